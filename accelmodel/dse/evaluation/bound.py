"""What holds a chip back in use: its steps operator by operator, of the few chips that an answer tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.chip import design
from accelmodel.dse.evaluation.powered import limited
from accelmodel.dse.evaluation.use import BITS
from accelmodel.dse.studies.mix import Kind
from accelmodel.dse.studies.software import DEGREES, policies
from accelmodel.dse.studies.study import Study
from accelmodel.inference.policies import Technique
from accelmodel.inference.request import prepare_request
from accelmodel.inference.step import Inputs, evaluate
from accelmodel.laws.types import BOUNDS
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.specs.memories import none


def bounds(study: Study, parts: Parts, technique: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return of each kind of request what holds the steps of a chip back, by what software chose on it.

    Parameters
    ----------
    study : Study
    parts : Parts
    technique : str
    row : mapping
        The chip: its axes, and ``chosen_…``, as ``enumeration.rows`` gives it.

    Returns
    -------
    list of dict
        ``request``, its label as ``chosen_…`` has it; ``technique`` that software took, the baseline where that is
        better; ``bound``, by which most of the time passes, and the ``shares`` of all that bind [1]; mean ``power`` [W]
        and ``stretch``: how many times as long the steps last where the power limit holds down the clock [1], both
        None where the energy of the device is not known.
    """
    axes = {name: row[name] for name in study.axes()}
    cluster, costs = design(parts, study.software.devices, **axes)
    known = not none(parts.device.energy.flop_16bit)
    if known:
        cluster = limited(cluster, parts, costs["power"])
    found = []
    for kind in study.kinds():
        points = [(batch, context) for batch in _batches(study, kind) for context in kind.context]
        for place, (batch, context) in enumerate(points):
            label = kind.label if len(points) == 1 else f"{kind.label} [{place}]"
            one = replace(kind, batch=(batch or int(row[f"chosen_batch.{label}"]),), context=(context,))
            told = _used(study, cluster, one, technique, {name: row[f"chosen_{name}.{label}"] for name in _KNOBS})
            found.append({"request": label, **told, **({} if known else {"power": None, "stretch": None})})
    return found


_KNOBS = (*DEGREES, "threshold", "rule")


def _batches(study: Study, kind: Kind) -> tuple[int, ...]:
    """Return the batches of a kind of request; 0 for one that software chooses."""
    return (0,) if study.software.batch is not None else kind.batch


def _used(study: Study, cluster: Cluster, kind: Kind, technique: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one kind of request is bound by, with the quickest technique of the parameters that were chosen."""
    work = {name: float(knobs[name]) for name in DEGREES} | {"batch": float(kind.batch[0])}
    work |= {name: getattr(study.workload, name) for name in BITS}
    steps = prepare_request(load("model", kind.model), cluster, kind.phase, float(kind.context[0]), **work)
    fitting = [each for each in policies(study, technique) if _alike(each, knobs)]
    tried = [(each, _over(steps, each)) for each in fitting]
    taken, (time, over, energy, longer) = min(tried, key=lambda each: each[1][0])
    total = sum(over.values())
    shares = {name: over[name] / total for name in sorted(over, key=lambda name: -over[name]) if over[name] > 0.0}
    return {
        "technique": taken.name,
        "bound": next(iter(shares)),
        "shares": shares,
        "power": energy / longer,
        "stretch": longer / time,
    }


def _alike(technique: Technique, knobs: Mapping[str, Any]) -> bool:
    given = technique.parameters
    return given.get("threshold", 0.0) == knobs["threshold"] and given.get("rule", "") == knobs["rule"]


def _over(steps: list[tuple[Inputs, Any]], technique: Technique) -> tuple[float, dict[str, float], float, float]:
    """Return the time of some steps [s], that by each bound [s], their energy [J], and the time at their clock [s]."""
    time = energy = longer = 0.0
    over = dict.fromkeys(BOUNDS, 0.0)
    for inputs, weights in steps:
        found = evaluate(inputs, technique)
        time += float((found.step_time * weights).sum())
        energy += float((found.step_energy * weights).sum())
        longer += float((found.step_time * found.power_stretch * weights).sum())
        for name in BOUNDS:
            over[name] += float((found.time.where(found.bound == name, 0.0) * weights).sum())
    return time, over, energy, longer
