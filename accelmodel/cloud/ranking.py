"""Ranking cloud instances for a workload and a service level: InferSave's four stages over price lists.

Either a batch of requests of one shape (offline, or the paper's online job), or an arrival rate, for which
continuous batching is simulated and the service level holds at a percentile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple, Self

from accelmodel.cloud.hosting import Setup, host
from accelmodel.cloud.infersave import HOUR, Task, cost_efficiency
from accelmodel.cloud.offers import Offers
from accelmodel.cloud.replicas import at_rate
from accelmodel.errors import Infeasible, SpecError, brief
from accelmodel.specs.cloud import Instance
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.prices import Price
from accelmodel.specs.quantities import Quantity, one
from accelmodel.units import parse, show

#: engine of a static batch and of an arrival rate
STATIC, STREAM = "flexgen", "in-flight"


class _Levels(NamedTuple):
    """Fields of ``Slo``, in SI."""

    tps: float | None
    tps_output: float | None
    ttft: float | None
    tpot: float | None
    latency: float | None
    deadline: float | None


class Slo(_Levels):
    """Service level: least throughput, longest times; None asks nothing.

    Attributes
    ----------
    tps, tps_output : float, optional
        Least tokens per second, input and output together as InferSave counts, or only what is generated [token/s].
    ttft, tpot, latency : float, optional
        Longest time to first token, per output token, and from arrival to last token [s].
    deadline : float, optional
        For all requests of a job [s].  Each a number in SI, or text with a unit.

    Raises
    ------
    SpecError
        If a level is no number, in another unit, or not above 0.

    Examples
    --------
    >>> Slo(ttft=0.5, tpot="50ms").tpot
    0.05
    """

    __slots__ = ()

    def __new__(
        cls,
        tps: float | str | None = None,
        tps_output: float | str | None = None,
        ttft: float | str | None = None,
        tpot: float | str | None = None,
        latency: float | str | None = None,
        deadline: float | str | None = None,
    ) -> Self:
        """Read and check each level."""
        given = zip(_Levels._fields, (tps, tps_output, ttft, tpot, latency, deadline), strict=True)
        return super().__new__(cls, *(_level(name, value) for name, value in given))


def _level(name: str, value: object) -> float | None:
    """Return a level in SI; raise SpecError where it is none."""
    unit = "token/s" if name.startswith("tps") else "s"
    if value is None:
        return None
    if isinstance(value, str):
        level = parse(value, unit, what=name)
    elif type(value) is not bool and isinstance(value, Real):
        level = one(name, value, Quantity(unit))
    else:
        raise SpecError(f"{name} must be a number [{unit}] or text with a unit, not {brief(value)}")
    if not level > 0.0:
        raise SpecError(f"{name} {level:g} {unit} must be above 0; leave it out to ask nothing")
    return level


@dataclass(frozen=True)
class Inputs:
    """What is asked: shapes, load, service level, and what may be rented.

    Either ``batch`` requests at a time, ``requests`` in all (one batch if 0), or ``rate`` requests per second.
    """

    model: LanguageModel
    input: int
    output: int
    slo: Slo
    batch: int = 0
    rate: float = 0.0
    requests: int = 0
    percentile: float = 95.0
    max_price: float = math.inf
    most_instances: int = 1
    time_model: str = "physical"


class Row(NamedTuple):
    """One instance at one precision, with what it reaches."""

    instance: Instance
    price: Price
    setup: Setup
    copies: int
    reached: dict[str, float]
    ratio: float
    tp: float
    misses: tuple[tuple[str, float], ...]
    reason: str
    short: float = 0.0  #: of device memory, where it does not fit [B]


#: field of Slo → (what is reached, unit, whether more is better)
_LEVELS = {
    "tps": ("tps_total", "token/s", True), "tps_output": ("tps_output", "token/s", True),
    "ttft": ("ttft_s", "s", False), "tpot": ("tpot_s", "s", False), "latency": ("latency_s", "s", False),
    "deadline": ("job_s", "s", False),
}  # fmt: skip


def misses(slo: Slo, reached: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Return the levels that are not met, each with how many times too slow it is, the worst first."""
    found = []
    for level, (name, _, more) in _LEVELS.items():
        asked = getattr(slo, level)
        if asked is not None:
            factor = asked / max(reached[name], 1e-12) if more else reached[name] / asked
            if factor > 1.0 + 1e-9:
                found.append((level, factor))
    return tuple(sorted(found, key=lambda each: -each[1]))


def _reason(slo: Slo, reached: dict[str, float], missed: tuple[tuple[str, float], ...]) -> str:
    if not missed:
        return "meets the SLO"
    parts = []
    for level, _ in missed:
        name, unit, _ = _LEVELS[level]
        parts.append(
            f"{name.removesuffix('_s')} {show(reached[name], unit)} of {show(getattr(slo, level), unit)} asked"
        )
    return "misses the SLO: " + ", ".join(parts)


def _batch_rows(inputs: Inputs, offered: Offers, setup: Setup) -> list[Row]:
    """Stages 2 and 3 for a batch: memory and time of each instance; several share the demand where one is too slow."""
    task = Task(float(inputs.batch), float(inputs.input), float(inputs.output))
    found = host(inputs.model, [each for each, _ in offered], task, setup, inputs.time_model).isel(batch=0)
    rows = []
    for i, (instance, price) in enumerate(offered):
        at = {str(name): float(found[name].values[i]) for name in found}
        reached = {
            "tps_total": at["tps_total"], "tps_output": at["tps_output"], "ttft_s": at["prefill"],
            "tpot_s": at["decode"], "latency_s": at["prefill"] + at["decode"] * (inputs.output - 1),
            "running": float(inputs.batch), "loads_s": at["loads"],
        }  # fmt: skip
        if at["feasible"] < 0.5:
            short = f"does not fit: {show(at['short'], 'B')} of device memory short"
            reason = short + ("" if setup.policy == "none" else ", and the host cannot take it")
            rows.append(Row(instance, price, setup, 1, reached | {"job_s": math.inf}, at["offload_ratio"], at["tp"],
                            (("memory", math.inf),), reason, at["short"]))  # fmt: skip
            continue
        count = _copies(inputs, reached)
        reached |= {name: count * reached[name] for name in ("tps_total", "tps_output")}
        jobs = max(inputs.requests, inputs.batch)
        reached["job_s"] = jobs * (inputs.input + inputs.output) / reached["tps_total"]
        missed = misses(inputs.slo, reached)
        reason = _reason(inputs.slo, reached, missed)
        rows.append(Row(instance, price, setup, count, reached, at["offload_ratio"], at["tp"], missed, reason))
    return rows


def _copies(inputs: Inputs, reached: dict[str, float]) -> int:
    """How many instances the throughput asked for needs: its ceiling, at most ``most_instances``."""
    slo, jobs = inputs.slo, max(inputs.requests, inputs.batch)
    wanted = [(slo.tps or 0.0) / reached["tps_total"], (slo.tps_output or 0.0) / reached["tps_output"]]
    if slo.deadline:
        wanted.append(jobs * (inputs.input + inputs.output) / slo.deadline / reached["tps_total"])
    return min(max(math.ceil(max(wanted) - 1e-9), 1), inputs.most_instances)


def _rate_rows(inputs: Inputs, offered: Offers, setup: Setup) -> list[Row]:
    """Stages 2 and 3 for an arrival rate: continuous batching simulated, on as many instances as it takes."""
    rows = []
    for served, (instance, price) in zip(
        at_rate(
            inputs.model, [each for each, _ in offered], setup, inputs.input, inputs.output, inputs.rate,
            lambda reached: not misses(inputs.slo, reached), (inputs.percentile, inputs.most_instances),
        ), offered, strict=True,
    ):  # fmt: skip
        if not served.reached:
            nothing = dict.fromkeys(("tps_total", "tps_output"), 0.0)
            nothing |= dict.fromkeys(("ttft_s", "tpot_s", "latency_s"), math.inf)
            short = f"does not fit: {show(served.short, 'B')} of device memory short for one request"
            rows.append(
                Row(instance, price, setup, 1, nothing, 0.0, served.tp, (("memory", math.inf),), short, served.short)
            )
            continue
        reached = served.reached
        missed = misses(inputs.slo, reached)
        reason = _reason(inputs.slo, reached, missed)
        rows.append(Row(instance, price, setup, served.copies, reached, 0.0, served.tp, missed, reason))
    return rows


def efficiency(inputs: Inputs, row: Row) -> float:
    """Cost efficiency of a row by equation (3) [token/USD per billed hour]; without a job, of one hour.

    The throughput that counts is at most that asked for.
    """
    asked = inputs.slo.tps or math.inf
    if inputs.rate:
        return row.reached["tps_total"] * HOUR / (row.copies * row.price.per_hour)
    jobs = max(inputs.requests, inputs.batch) * (inputs.input + inputs.output)
    return float(cost_efficiency(jobs, row.reached["tps_total"], asked, row.copies * row.price.per_hour))


def rank(inputs: Inputs, offered: Offers, setups: list[Setup]) -> list[Row]:
    """Return all rows, the best first: stage 4, the service level as a filter, then cost efficiency, then throughput.

    Parameters
    ----------
    inputs : Inputs
    offered : list of (Instance, Price)
        What may be rented, see ``offers.Market``.
    setups : list of Setup
        Precisions (and policies) to try; each gives a row per instance.

    Raises
    ------
    Infeasible
        If the model fits nowhere, or no instance within ``max_price`` meets the service level: names the nearest
        miss and what would meet it.
    SpecError
        If nothing is asked.
    """
    _need_sense(inputs, setups)
    make = _rate_rows if inputs.rate else _batch_rows
    everything = [row for setup in setups for row in make(inputs, offered, setup)]
    rows = [row for row in everything if row.price.per_hour <= inputs.max_price]
    best = sorted(rows, key=lambda row: (bool(row.misses), *_preferred(inputs, row)))
    if not best or best[0].misses:
        raise _refused(inputs, everything, rows)
    return best


def _need_sense(inputs: Inputs, setups: list[Setup]) -> None:
    """Raise SpecError where something asked has no meaning for a rate, or for a batch, and would change nothing."""
    if bool(inputs.batch) == bool(inputs.rate):
        raise SpecError("give either a batch or a rate, and not both")
    if inputs.batch:
        if inputs.percentile != Inputs.percentile:
            raise SpecError("a percentile is of a rate's users, and a batch has none: leave it out, or give a rate")
        return
    if inputs.time_model != "physical":
        raise SpecError("an arrival rate needs the physical time model: the paper's has no queue")
    if others := {setup.policy for setup in setups} - {"none", "infersave"}:
        raise SpecError(f"an arrival rate keeps all KV cache on the device: policy {min(others)!r} needs a batch")
    if any(setup.memory_rule for setup in setups):
        raise SpecError("an arrival rate keeps all KV cache on the device: a memory rule needs a batch")
    if inputs.slo.deadline is not None or inputs.requests:
        raise SpecError("an arrival rate has no end: a deadline and a number of requests need a batch")


def _preferred(inputs: Inputs, row: Row) -> tuple[float, float]:
    if row.misses:
        return row.misses[0][1], 0.0
    return -efficiency(inputs, row), -row.reached["tps_total"]


def _refused(inputs: Inputs, everything: list[Row], rows: list[Row]) -> Infeasible:
    """Say the nearest miss and what would meet the service level."""
    if not rows:
        least = min(everything, key=lambda row: row.price.per_hour)
        return Infeasible(
            f"no instance costs at most {inputs.max_price:g} USD/h; the cheapest is {least.instance.name} at "
            f"{least.price.per_hour:g} USD/h"
        )
    fitting = [row for row in everything if row.misses[:1] != (("memory", math.inf),)]
    if not fitting:
        least = min(everything, key=lambda row: row.short)
        return Infeasible(
            f"{inputs.model.name} fits no instance on offer; the nearest, {least.instance.name}: {least.reason}; "
            "offload (--offload infersave), lower batch, lengths or bits, or offer larger instances"
        )
    met = [row for row in everything if not row.misses]
    near = min((row for row in rows if row in fitting), key=lambda row: row.misses[0][1], default=None)
    nearest = f"nearest is {near.instance.name}: {near.reason}" if near else "none within the price fits the model"
    remedy = "lower the SLO, or allow several instances (--most-instances), fewer bits or a smaller batch"
    if met:
        first = min(met, key=lambda row: row.price.per_hour)
        remedy = f"{first.instance.name} at {first.price.per_hour:g} USD/h would meet it: raise --max-price"
    within = f" within {inputs.max_price:g} USD/h" if math.isfinite(inputs.max_price) else ""
    return Infeasible(f"no instance meets the SLO{within}; {nearest}; {remedy}")
