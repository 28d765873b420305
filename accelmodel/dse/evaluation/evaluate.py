"""Everything about some chips of a study: figures, objectives, how far each is from its limits, what software chose."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.chip import design, value_on
from accelmodel.dse.evaluation.choice import Used, best
from accelmodel.dse.evaluation.powered import limited
from accelmodel.dse.evaluation.use import ask, prepare
from accelmodel.dse.studies.mix import Kind
from accelmodel.dse.studies.objectives import OBJECTIVES, OF_ENERGY, sign
from accelmodel.dse.studies.software import DEGREES, degrees
from accelmodel.dse.studies.study import PER_MODEL, Study
from accelmodel.dse.studies.words import apart, by_word
from accelmodel.laws.numeric import Number
from accelmodel.nomenclature import NOMENCLATURE, label, need_finite
from accelmodel.specs.hardware import Cluster

if TYPE_CHECKING:
    import xarray as xr

#: software's choices, as results name them
KNOBS = (*DEGREES, "batch", "threshold", "rule")


def use(
    study: Study, cluster: Cluster, errors: Mapping[str, Number] | None = None
) -> dict[str, list[tuple[Kind, Used]]]:
    """Return technique → how each kind of request is served at its best, over the axes of the cluster."""
    found: dict[str, list[tuple[Kind, Used]]] = {technique: [] for technique in study.techniques}
    chosen = degrees(study, cluster)
    for kind in study.kinds():
        question, steps = prepare(ask(kind, study, cluster, chosen, errors))
        for technique, used in best(question, steps, study).items():
            found[technique].append((kind, used))
    return found


def mean(study: Study, used: list[tuple[Kind, Used]]) -> Any:
    """Return tokens a second of a device over all kinds of requests, by the study's mean; 0 where one does not fit."""
    weights = sum(kind.weight for kind, _ in used)
    with np.errstate(divide="ignore"):
        if study.mean == "geometric":
            logs = sum(kind.weight * np.log(each.rate).mean("point") for kind, each in used)
            return np.exp(logs / weights)
        return weights / sum(kind.weight * (1.0 / each.rate).mean("point") for kind, each in used)


def joules(study: Study, used: list[tuple[Kind, Used]]) -> Any:
    """Return the energy of a token over all kinds of requests, by the study's mean [J/token]; None if not asked for."""
    if any(each.joules is None for _, each in used):
        return None
    weights = sum(kind.weight for kind, _ in used)
    if study.mean == "geometric":
        return np.exp(sum(kind.weight * np.log(each.joules).mean("point") for kind, each in used) / weights)
    return sum(kind.weight * each.joules.mean("point") for kind, each in used) / weights


def throughput(study: Study, cluster: Cluster, errors: Mapping[str, Number] | None = None) -> xr.Dataset:
    """Return tokens a second and device of each technique, over the axes of the cluster.

    The mean over the kinds of requests, of the best that software finds for each; zero where a model does not fit.
    ``errors`` multiplies the times of kinds of operators.

    Returns
    -------
    xarray.Dataset
        A variable for each technique of the study [token/s].
    """
    import xarray as xr

    return xr.Dataset({name: mean(study, used) for name, used in use(study, cluster, errors).items()})


def _slowest(used: list[tuple[Kind, Used]], name: str, labels: tuple[str, ...] = ()) -> Any:
    """Return the largest latency of some kinds of requests, of all where none is named; None where none has it."""
    values = [getattr(each, name) for kind, each in used if not labels or {kind.label, kind.model} & set(labels)]
    values = [value.max("point") for value in values if value is not None]
    return functools.reduce(np.maximum, values) if values else None


def _over(techniques: list[str], values: list[Any]) -> Any:
    import xarray as xr

    return xr.concat(values, xr.Variable("technique", techniques))


def _in_use(study: Study, used: dict[str, list[tuple[Kind, Used]]]) -> dict[str, Any]:
    """Return rate, latencies and the excess of memory over technique."""
    names = study.techniques
    found = {"throughput": _over(names, [mean(study, used[name]) for name in names])}
    for latency in PER_MODEL:
        slowest = [_slowest(used[name], latency) for name in names]
        if all(each is not None for each in slowest):
            found[latency] = _over(names, slowest).where(found["throughput"] > 0.0)
    energy = [joules(study, used[name]) for name in names]
    if all(each is not None for each in energy):
        found["joules_per_token"] = _over(names, energy)
    fullest = [_slowest(used[name], "memory") for name in names]
    return {**found, "excess_memory": _over(names, fullest)}


def excesses(study: Study, figures: Mapping[str, Any], used: dict[str, list[tuple[Kind, Used]]]) -> dict[str, Any]:
    """Return limit → how far a chip is beyond it, as a share of it [1]; at most 0 where it keeps to it."""
    found: dict[str, Any] = {}
    fits = figures["throughput"] > 0.0
    for name, limit in study.limits().items():
        figure, _, of = name.partition(".")
        if figure not in PER_MODEL:
            excess = sign(figure) * (1.0 - figures[figure] / limit)
            in_use = "technique" in excess.dims
            found[f"excess_{name}"] = excess.where(fits, figures["excess_memory"]) if in_use else excess
            continue
        slowest = [_slowest(used[each], figure, (of,) if of else ()) for each in study.techniques]
        late = _over(study.techniques, slowest) / limit - 1.0
        # what does not fit has no latency
        found[f"excess_{name}"] = late.where(fits, figures["excess_memory"])
    return found


def _chosen(study: Study, used: dict[str, list[tuple[Kind, Used]]]) -> dict[str, Any]:
    """Return ``chosen_…`` over technique and model; several points of one kind are told apart by number."""
    import xarray as xr

    found: dict[str, Any] = {}
    for knob in KNOBS:
        if all(knob in one.chosen for each in used.values() for _, one in each):
            values = [
                xr.concat([_by_model(kind, one.chosen[knob]) for kind, one in used[technique]], "model")
                for technique in study.techniques
            ]
            found[f"chosen_{knob}"] = _over(study.techniques, values)
    return found


def _by_model(kind: Kind, value: Any) -> Any:
    points = value.sizes["point"]
    labels = [kind.label] if points == 1 else [f"{kind.label} [{place}]" for place in range(points)]
    return value.rename(point="model").assign_coords(model=labels)


def evaluate(study: Study, parts: Parts, errors: Any = None, **axes: Any) -> xr.Dataset:
    """Return everything about some chips.

    Parameters
    ----------
    study : Study
    parts : Parts
        Reference chip, link, bill and process; their fields may carry axes of their own.
    errors : dict, optional
        Kind of ``intervals.KINDS`` → what the times of its operators are multiplied by.
    **axes
        Axis of the space → DataArray; usually all over one dimension ``design``.

    Returns
    -------
    xarray.Dataset
        Every objective by its name, over ``technique`` where it depends on it; the figures of ``chip.design``;
        ``excess_…`` of each limit and of the memory; ``feasible`` over technique; ``chosen_…`` over technique and
        model.
    """
    if (name := apart(axes)) is not None:
        return by_word(name, axes, functools.partial(evaluate, study, parts, errors))
    import xarray as xr

    found, used = _judged(study, parts, errors, axes, OBJECTIVES)
    return described(xr.Dataset({**found, **_chosen(study, used)}))


def judged(study: Study, parts: Parts, only: Collection[str], **axes: Any) -> xr.Dataset:
    """Return some of the variables of ``evaluate``, none of them ``chosen_…``: for many chips in 0.6 of its time."""
    import xarray as xr

    if apart(axes) is not None:
        return evaluate(study, parts, **axes)[list(only)]
    looked_at = {name.partition(".")[0] for name in study.limits()}
    looked_at |= {name for rule in study.rules_read() for name in rule.names}
    found, _ = _judged(study, parts, None, axes, {*only, *looked_at})
    return described(xr.Dataset({name: found[name] for name in only}))


def _judged(
    study: Study, parts: Parts, errors: Any, axes: Mapping[str, Any], wanted: Collection[str]
) -> tuple[dict[str, Any], dict[str, list[tuple[Kind, Used]]]]:
    """Return figures, those objectives that are wanted, excesses and ``feasible``; and what software chose."""
    import xarray as xr

    cluster, costs = design(parts, study.software.devices, **axes)
    if OF_ENERGY & {*study.objectives, *(name.partition(".")[0] for name in study.limits())}:
        cluster = limited(cluster, parts, costs["power"])
    used = use(study, cluster, errors)
    figures: dict[str, Any] = {name: xr.DataArray(value) for name, value in costs.items()} | _in_use(study, used)
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, objective in OBJECTIVES.items():
            if name in wanted and name not in figures and _known(name, figures):
                figures[name] = objective.law(figures)
        over = excesses(study, figures, used) | _rules(study, cluster, parts, figures, axes)
    feasible = figures["throughput"] > 0.0
    for each in over.values():
        feasible = feasible & (each <= 0.0)
    return {**figures, **over, "feasible": feasible}, used


def _rules(
    study: Study, cluster: Cluster, parts: Parts, figures: Mapping[str, Any], axes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return rule → how far a chip is beyond it [1]; an axis that is not given is as in the chip."""
    import xarray as xr

    found: dict[str, Any] = {}
    for rule in study.rules_read():
        names = [name for name in rule.names if name not in figures and name not in axes]
        own = {name: value_on(parts, cluster, name) for name in names}
        excess = xr.DataArray(rule.excess({**own, **axes, **figures}))
        in_use = "technique" in excess.dims
        found[f"excess_{rule.name}"] = (
            excess.where(figures["throughput"] > 0.0, figures["excess_memory"]) if in_use else excess
        )
    return found


def _known(name: str, figures: Mapping[str, Any]) -> bool:
    needs = {"ttft": "ttft", "tpot": "tpot", "carbon": "carbon", "tokens_per_joule": "joules_per_token"}
    return needs.get(name, "joules_per_token" if name == "joules_per_token" else "throughput") in figures


def described(result: xr.Dataset) -> xr.Dataset:
    """Return a result with units on everything; what is of this study alone is told from its name."""
    own = [name for name in result.data_vars if name not in NOMENCLATURE]
    for name, variable in result.data_vars.items():
        if (
            "technique" in variable.dims and variable.dtype.kind == "f"
        ):  # what does not fit has neither latency nor price
            need_finite(variable.where(result.feasible, 0.0).values, str(name))
    in_use = [str(name) for name, variable in result.data_vars.items() if "technique" in variable.dims]
    known = label(result.drop_vars(own), absent=in_use)
    for name in own:
        known[name] = result[name].assign_attrs(_attributes(str(name)))
    return known


def _attributes(name: str) -> dict[str, str]:
    """Return what is said of a variable whose name or unit is of studies alone."""
    words = {"long_name": name.replace("_", " ")}
    if name in OBJECTIVES:  # money of a million tokens, which is no SI unit
        return {"units": OBJECTIVES[name].unit, **words, "description": OBJECTIVES[name].words}
    what, _, of = name.partition("_")
    said = {"excess": "how far beyond its limit, as a share of it", "chosen": "what software chose"}
    return {"units": "1", **words, "description": f"{said[what]}: {of}"}
