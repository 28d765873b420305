"""What an answer tells beside its best chips: edges of the space, limits, prices, means; texts are made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.bound import bounds
from accelmodel.dse.evaluation.chip import LIMIT_PER_STATIC
from accelmodel.dse.evaluation.idle import free
from accelmodel.dse.evaluation.misses import Misses
from accelmodel.dse.studies.objectives import LIMITED, OBJECTIVES, gain, sign
from accelmodel.dse.studies.space import groups
from accelmodel.dse.studies.study import Study
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.request import BASELINE
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.units import show

if TYPE_CHECKING:
    from accelmodel.dse.studies.axes import Axis


def edges(study: Study, best: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return where best chips stand on the edge of the space: technique, axis, its side and value.

    Parameters
    ----------
    study : Study
    best : mapping
        Technique → the best chip, by names of axes.
    """
    found = []
    for technique, row in best.items():
        for group in groups(study):
            place = math.prod(row[name] for name in group.values) if len(group.values) > 1 else None
            for name in group.values:
                axis = study.axes()[name]
                low, high = axis.low, axis.high
                if place is not None:  # of axes that count by their product that is at an end
                    products = np.prod(list(group.values.values()), axis=0)
                    low, high = float(products.min()), float(products.max())
                at = row[name] if place is None else place
                side = "low" if at == low else "high" if at == high else ""
                if axis.kind != "word" and high > low and axis.high > axis.low and side:
                    edge = {"technique": technique, "axis": name, "side": side}
                    found.append({**edge, "value": row[name], "unit": axis.unit})
    return found


def edge_words(study: Study, found: list[dict[str, Any]]) -> list[str]:
    """Return a line for each axis that a best chip stands at the end of."""
    said: dict[tuple[str, str], list[str]] = {}
    for edge in found:
        said.setdefault((edge["axis"], edge["side"]), []).append(edge["technique"])
    axes = study.axes()
    return [
        f"{_listed(names)}: the best {axes[axis].full} is the {_side(side)} of the space, "
        f"{show(getattr(axes[axis], side), axes[axis].unit)}; widen space.{axes[axis].full}"
        for (axis, side), names in said.items()
    ]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _side(side: str) -> str:
    return "largest" if side == "high" else "smallest"


def limits_told(study: Study, misses: Misses) -> list[dict[str, Any]]:
    """Return of each limit and rule how many of the chips looked at it excludes, alone too, and the least excess."""
    limits = study.limits()
    return [
        {
            "limit": name,
            "value": limits.get(name),
            "unit": LIMITED[name.partition(".")[0]].unit if name in limits else "1",
            "rule": study.rules.get(name),
            "excluded": count,
            "excluded_alone": misses.alone[name],
            "least_excess": misses.least[name],
        }
        for name, count in misses.excluded.items()
    ]


def price_told(study: Study, parts: Parts) -> dict[str, Any]:
    """Return whether prices are those of parts or of sale, and in words."""
    device, kind = parts.device, study.study.price
    sold = float(device.price)
    words = (
        f"price is a selling price: the bill of materials times {float(parts.markup):.3g}, by which {device.name} sells"
        if kind == "selling"
        else "price is a bill of materials: what parts cost to make and put together, without margin and development"
    )
    if kind == "bill" and sold:
        words += f"; {device.name} sells at {sold:,.0f} USD"
    return {"price_kind": kind, "price_words": words, "markup": float(parts.markup)}


def mean_told(study: Study) -> dict[str, Any]:
    """Return the mean over the mix, and why it is that."""
    why = {
        "geometric": "ratios of speed count alike, however fast a model is: a gain is the mean of gains",
        "traffic": "weights are shares of the tokens, and what tokens cost in money, time and energy adds up: the "
        "arithmetic mean of cost per token",
    }
    kinds = [
        {
            "label": kind.label,
            "model": load("model", kind.model).name,
            "weight": kind.weight,
            "batch": list(kind.batch),
            "context": list(kind.context),
            "phase": kind.phase,
        }
        for kind in study.kinds()
    ]
    return {"mean": study.mean, "mean_words": why[study.mean], "mix": kinds}


def space_told(study: Study) -> list[dict[str, Any]]:
    """Return the axes of the space."""
    return [
        {
            "axis": name,
            "full": axis.full,
            "kind": axis.kind,
            "unit": axis.unit,
            "low": None if axis.kind == "word" else axis.low,
            "high": None if axis.kind == "word" else axis.high,
            "values": None if axis.values is None else len(axis.values),
            "words": list(axis.values) if axis.kind == "word" else None,
        }
        for name, axis in study.axes().items()
    ]


def objectives_told(study: Study) -> list[dict[str, Any]]:
    """Return what chips are judged by, the headline first."""
    return [
        {"objective": name, **{key: getattr(OBJECTIVES[name], key) for key in ("unit", "direction", "words")}}
        for name in study.objectives
    ]


def doubts(study: Study, parts: Parts, best: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what a reader must know of the space and of the best chips before using the answer."""
    axes = study.axes()
    unpriced = free(study, parts, best[winner(study, best)])
    found = [f"{axes[name].full}: the bill does not price it: what is better of it costs nothing" for name in unpriced]
    power = parts.device.power
    if none(load("device", study.study.device).power):
        found.append(
            f"power of {parts.device.name} is not known: taken as {show(float(power), 'W', 3)}, {LIMIT_PER_STATIC:g} "
            "times what it is thought to draw at rest (energy.static); give power in its file"
        )
    if "process" in axes:
        found.append(
            "process: changes wafers, yield and the density of SRAM; area and power of cores stay those that close the "
            f"die of {parts.device.name}"
        )
    if "clock" in axes:
        found.append("clock: cores draw power in proportion, at one voltage: optimistic above that of the device")
    large = {name: row["reticle"] for name, row in best.items() if row.get("reticle", 0.0) > 1.0}
    if large:
        said = ", ".join(f"{name} {value:.3g}" for name, value in large.items())
        found.append(f"largest die over the reticle: {said}; none is made in one piece: limit reticle, or add dies")
    return found


#: share of the time from which a bound is told [1], and what a step may be longer by before that is [1]
_TOLD, _LONGER = 0.1, 1.005
#: how much better a value may be and still be the same [1]
_ROUNDING = 1e-9


def held_back(study: Study, parts: Parts, best: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the steps of the best chips are bound by, and of the best of all in words."""
    try:
        found = {technique: bounds(study, parts, technique, row) for technique, row in best.items()}
    except (SpecError, Infeasible, ValueError, KeyError) as error:  # the answer stands without it
        return {"bounds": {}, "bound_words": [f"bounds of the best chip: {error}"]}
    technique = winner(study, best)
    told = []
    for each in found[technique]:
        most = [f"{name} {share:.0%}" for name, share in each["shares"].items() if share > _TOLD]
        told.append(f"{each['request']} {', '.join(most)}")
    words = [f"time of the best chip is bound by: {'; '.join(told)}"]
    longer = [each for each in found[technique] if each["stretch"] is not None and each["stretch"] > _LONGER]
    if longer:
        factors = ", ".join(f"{each['request']} {each['stretch']:.3g}" for each in longer)
        words.append(
            f"its power limit, {show(best[technique]['power'], 'W')}, holds down its clock: steps last longer than "
            f"told, which is at full clock, by a factor of {factors}"
        )
    return {"bounds": found, "bound_words": words}


def winner(study: Study, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the technique whose best chip is the best of all; of those that differ by rounding the first."""
    by = study.headline
    named = [name for name in study.techniques if name in rows]
    best = max(named, key=lambda name: sign(by) * rows[name][by])
    return next(name for name in named if gain(by, rows[best][by], rows[name][by]) < 1.0 + _ROUNDING)


def headline(study: Study, rows: Mapping[str, Mapping[str, Any]], gains: Mapping[str, float]) -> str:
    """Return the answer in one sentence: the best chip, with the technique that it is best with."""
    best = rows[winner(study, rows)]
    chip = ", ".join(f"{axis.full} {_value(axis, best[axis.name])}" for axis in study.axes().values())
    return f"{result(study, rows, gains)}: {chip}"


def result(study: Study, rows: Mapping[str, Mapping[str, Any]], gains: Mapping[str, float]) -> str:
    """Return the answer without the chip: what the best is worth, with which technique, under which limits."""
    name, technique = study.headline, winner(study, rows)
    best, gain = rows[technique], gains.get(technique)
    more = f", {gain:.3f} times better than without" if technique != BASELINE and gain is not None else ""
    said = [_limited(limit, value) for limit, value in study.limits().items() if limit.partition(".")[0] in OBJECTIVES]
    under = "".join(f", {each}" for each in said)
    used = f" with {technique}" if len(study.techniques) > 1 else ""
    return f"best by {OBJECTIVES[name].words}: {worth(name, best[name])}{used}{more}{under}"


def _limited(limit: str, value: float) -> str:
    """Return a limit in words."""
    figure, _, of = limit.partition(".")
    what = LIMITED[figure]
    most = "at most" if what.direction == "minimise" else "at least"
    shown = worth(figure, value) if figure in SHOWN else show(value, what.unit)
    return f"{what.words}{' of ' + of if of else ''} {most} {shown}"


def _value(axis: Axis, value: Any) -> str:
    return str(value) if axis.kind == "word" else show(float(value), axis.unit)


#: objective → unit that people read, and factor from SI
SHOWN = {
    "throughput": ("tokens/s", 1.0),
    "throughput_per_area": ("tokens/s per mm²", 1e-6),
    "tokens_per_dollar": ("million tokens per USD", 1e-6),
    "dollars_per_million_tokens": ("USD/Mtoken", 1.0),
    "tokens_per_joule": ("tokens/J", 1.0),
    "joules_per_token": ("J/token", 1.0),
    "ttft": ("ms", 1e3),
    "tpot": ("ms", 1e3),
    "die_area": ("mm²", 1e6),
    "power": ("W", 1.0),
    "price": ("USD", 1.0),
    "carbon": ("kg", 1.0),
}


def worth(objective: str, value: float) -> str:
    """Return a value of an objective as people read it.

    Examples
    --------
    >>> worth("tpot", 0.02), worth("throughput_per_area", 211600.0)
    ('20 ms', '0.2116 tokens/s per mm²')
    """
    unit, factor = SHOWN[objective]
    number = value * factor
    return f"{number:,.0f} {unit}" if abs(number) >= 1e4 and np.isfinite(number) else f"{number:.4g} {unit}"
