"""Invariants of a step: each a function from a case to what breaks it, None where it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.figures import Figures
from accelmodel.inference.machine import with_numbers
from accelmodel.inference.policies import policy
from accelmodel.inference.step import figures, prepare, totals
from accelmodel.laws.types import PRODUCTS
from accelmodel.nomenclature import NOMENCLATURE
from accelmodel.specs.base import value_of
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Device
from accelmodel.specs.memories import none
from accelmodel.testing.case import Case
from accelmodel.testing.resources import more, resources

#: relative rounding of sums in another order
ROUNDING = 1e-9
_DIM = "resource"


@dataclass(frozen=True)
class Broken:
    """How an invariant is broken: in words, and the numbers that contradict it, each with the command that gives it."""

    says: str
    commands: tuple[str, ...]
    values: tuple[float, ...]
    unit: str = "s"


def slower(time: float, before: float) -> bool:
    """Tell whether a time is longer than another by more than rounding."""
    return time > before * (1.0 + ROUNDING)


def _time(case: Case) -> float:
    return float(totals(case.inputs(), case.technique).step_time)


def _pair(says: str, first: Case, second: Case, values: tuple[float, float], unit: str = "s") -> Broken:
    return Broken(says, (first.command, second.command), values, unit)


def _along(case: Case, changed: list[dict[str, float]]) -> Any:
    """Return the cluster of a case as it is, and with each of some changes, along one axis."""
    import xarray as xr

    fields = {name for each in changed for name in each}
    values = {}
    for name in fields:
        part, _, field = name.partition(".")
        now = value_of(getattr(case.cluster, part), field)
        values[name] = xr.DataArray([now, *(each.get(name, now) for each in changed)], dims=_DIM)
    return with_numbers(case.cluster, values)


def more_is_never_slower(case: Case) -> Broken | None:
    """More of any resource of the device or its links, and less of any latency, never slows a step."""
    names = list(resources(case.cluster))
    changed = [more(case.cluster, name, case.factor) for name in names]
    inputs = prepare(case.model, _along(case, changed), workload(**case.work))
    times = totals(inputs, case.technique).step_time.values.reshape(-1)
    for place in np.argsort(-times[1:], kind="stable")[:1]:
        if slower(float(times[place + 1]), float(times[0])):
            better = case.having(changed[place])
            # told of the two alone, as their commands give them
            found = (_time(case), _time(better))
            if slower(found[1], found[0]):
                return _pair(f"a step is slower with more of {names[place]}", case, better, found)
    return None


def more_memory_never_refuses(case: Case) -> Broken | None:
    """What fits a device fits one with more memory, and takes as much of it."""
    name = "hbm.capacity" if not none(case.cluster.device.hbm.capacity) else "l2.capacity"
    larger = case.having(more(case.cluster, f"device.{name}", case.factor))
    inputs = case.inputs()
    before = float(inputs.memory)
    try:
        after = larger.inputs()
    except Infeasible:
        return _pair("what fits is refused with more memory", case, larger, (before, math.nan), "B")
    if abs(float(after.memory) - before) > ROUNDING * before:
        return _pair("it takes more memory where there is more", case, larger, (before, float(after.memory)), "B")
    return None


def a_technique_is_never_slower(case: Case) -> Broken | None:
    """A technique, with any admission rule, is never slower than nothing beside the operators."""
    plain = case.using(policy("none"))
    before, after = _time(plain), _time(case)
    if slower(after, before):
        return _pair(f"a step is slower with {case.technique.name} than without", plain, case, (before, after))
    return None


def _prefetching(case: Case) -> Case:
    """Return the case with a technique that prefetches."""
    return case if case.technique.name == "preserve" else case.using(policy("preserve"))


def _same_as_baseline(case: Case, what: str) -> Broken | None:
    plain = case.using(policy("none"))
    before, after = _time(plain), _time(case)
    if not math.isclose(before, after, rel_tol=ROUNDING):
        return _pair(f"{what}, and prefetching changes the step", plain, case, (before, after))
    return None


def prefetching_needs_collectives(case: Case) -> Broken | None:
    """Without a collective there is nothing to prefetch beside: the step is the baseline."""
    alone = dict.fromkeys(("tp", "pp", "ep", "dp"), 1)
    return _same_as_baseline(_prefetching(case).asking(**alone), "no collective runs")


def prefetching_needs_l2(case: Case) -> Broken | None:
    """Without L2 there is nowhere to prefetch to: the step is the baseline."""
    if none(case.cluster.device.hbm.capacity):  # L2 is all the memory that it has
        return None
    return _same_as_baseline(_prefetching(case).having({"device.l2.capacity": 0.0}), "there is no L2")


def _of_step(case: Case) -> Figures:
    return figures(case.inputs(), case.technique)


def operators_add_up(case: Case) -> Broken | None:
    """The times of a step's operators add up to the time of the step."""
    found = _of_step(case)
    parts, whole = float(found["time"].sum()), float(found["step_time"])
    if not math.isclose(parts, whole, rel_tol=ROUNDING):
        return Broken("operators do not add up to the step", (case.command,) * 2, (parts, whole))
    return None


def numbers_are_sound(case: Case) -> Broken | None:
    """Every number of a step is finite and not negative, and its name has a unit."""
    for name, (_, values) in _of_step(case).variables.items():
        array = np.asarray(values)
        if name not in NOMENCLATURE:
            return Broken(f"{name} has no unit", (case.command,), (math.nan,))
        if array.dtype.kind == "f" and not (np.isfinite(array) & (array >= 0.0)).all():
            worst = float(array[~(np.isfinite(array) & (array >= 0.0))].flat[0])
            return Broken(f"{name} is no number of its kind", (case.command,), (worst,), NOMENCLATURE[name].unit)
    return None


def the_interval_holds_the_value(case: Case) -> Broken | None:
    """The interval of a step, and of each of its operators, contains its time."""
    found = _of_step(case)
    for low, value, high in (
        ("step_time_lower", "step_time", "step_time_upper"),
        ("lower", "time", "upper"),
    ):
        ends = [np.atleast_1d(found[name]) for name in (low, value, high)]
        outside = (ends[0] > ends[1] * (1.0 + ROUNDING)) | (ends[1] > ends[2] * (1.0 + ROUNDING))
        if outside.any():
            at = tuple(np.argwhere(outside)[0])
            return Broken(
                f"{value} lies outside {low} and {high}", (case.command,) * 3, tuple(float(e[at]) for e in ends)
            )
    return None


def weights_are_read(case: Case) -> Broken | None:
    """The weights that a step multiplies by come out of memory at least once."""
    inputs = case.inputs()
    matrices = np.isin(inputs.column("kind"), PRODUCTS)
    weights = float((inputs.column("count") * inputs.column("weight_bytes"))[matrices].sum())
    moved = float(totals(inputs, case.technique).hbm_bytes)
    if moved < weights * (1.0 - 1e-6):  # bytes that were fetched and hit are counted when fetched; the lane rounds
        return Broken("memory brings less than the weights", (case.command,) * 2, (moved, weights), "B")
    return None


def _best_peak(device: Device) -> float:
    compute = device.compute
    names = ("peak_16bit", "peak_8bit_float", "peak_8bit_int", "peak_6bit", "peak_4bit", "peak_4bit_int")
    return max(float(getattr(compute, name)) for name in names) + float(device.tier.compute)


def never_below_the_roofline(case: Case) -> Broken | None:
    """A step takes at least its operations over the best peak, and its bytes over the bandwidth of memory and links."""
    found, device = _of_step(case), case.cluster.device
    moved = float(found["hbm_bytes"].sum() + found["fetched_bytes"].sum())
    least = {
        "computing": float(found["flops"].sum()) / _best_peak(device),
        "memory": moved / float(device.memory.bandwidth + device.tier.bandwidth),
        "links": float(found["link_bytes"].sum()) / sum(float(level.bandwidth) for level in case.cluster.levels),
    }
    what = max(least, key=lambda name: least[name])
    time = float(found["step_time"])
    if time < least[what] * (1.0 - ROUNDING):
        return Broken(f"a step is shorter than its roofline of {what}", (case.command,) * 2, (time, least[what]))
    return None


def more_work_is_never_faster(case: Case) -> Broken | None:
    """A step of more sequences, or of longer ones, is never faster and never takes less memory."""
    # engines deal sequences to micro-batches of one size: a remainder makes fewer of them, which is their choice
    stages = int(case.work.get("pp", 1))
    case = case.asking(batch=stages * math.ceil(case.work["batch"] / stages))
    before, least = _time(case), float(case.inputs().memory)
    for name in ("batch", "context"):
        whole = stages if name == "batch" else 1
        larger = case.asking(**{name: whole * math.ceil(case.work[name] * case.factor / whole)})
        try:
            inputs = larger.inputs()
        except (SpecError, Infeasible):
            continue
        after = float(totals(inputs, case.technique).step_time)
        if slower(before, after):
            return _pair(f"a step is faster with more {name}", case, larger, (before, after))
        if slower(least, float(inputs.memory)):
            return _pair(f"it takes less memory with more {name}", case, larger, (least, float(inputs.memory)), "B")
    return None


def an_axis_is_its_points(case: Case) -> Broken | None:
    """An axis of a workload gives what each of its points gives alone."""
    batches = [int(case.work["batch"]), math.ceil(case.work["batch"] * case.factor)]
    if batches[0] == batches[1]:
        return None
    axis = totals(case.asking(batch=batches).inputs(), case.technique).step_time.values
    for place, batch in enumerate(batches):
        one = case.asking(batch=batch)
        try:
            time = _time(one)
        except Infeasible:
            continue
        if not math.isclose(float(axis[place]), time, rel_tol=ROUNDING):
            return Broken("an axis differs from its points", (one.command,) * 2, (float(axis[place]), time))
    return None
