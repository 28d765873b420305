"""Design-space exploration: the whole space enumerated, the same space searched with Optuna, and the regret.

A trial is a chip.  Inside it the kernel enumerates what software may choose for each model and workload
(tensor parallelism, parameters of the technique), so that a chip is judged by its best use.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.dse.chip import Parts, design, parts_of, within
from accelmodel.dse.study import Study
from accelmodel.errors import Infeasible
from accelmodel.inference.machine import varied
from accelmodel.inference.policies import TECHNIQUES, Technique, policy
from accelmodel.inference.preserve import prompt_length
from accelmodel.inference.request import BASELINE, fits, prepare_request, run_request
from accelmodel.inference.stretched import stretched
from accelmodel.laws.numeric import Number
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.units import label

if TYPE_CHECKING:
    import xarray as xr

#: chips evaluated at once: bounds the memory of an enumeration
CHUNK = 8192
Count = Callable[[int], None]


def no_progress(done: int) -> None:
    """Progress that nobody watches."""


def variants(study: Study, technique: str) -> list[Technique]:
    """Return a technique with every combination of the parameters that it takes and the study lets software choose."""
    software, takes = study.software, inspect.signature(TECHNIQUES[technique]).parameters
    offered: dict[str, Sequence[float | str]] = {"threshold": software.threshold, "rule": software.rule}
    chosen = {name: values for name, values in offered.items() if name in takes}
    return [policy(technique, **dict(zip(chosen, each, strict=True))) for each in itertools.product(*chosen.values())]


def policies(study: Study, technique: str) -> list[Technique]:
    """Return what software may choose from under a technique: its variants, and to leave it off."""
    off = variants(study, BASELINE)
    return off if technique == BASELINE else off + variants(study, technique)


def _axis(name: str, values: list[Any]) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(np.array(values, dtype=float), dims=name, coords={name: values})


def _answer_tokens(study: Study, context: xr.DataArray) -> Number:
    """Tokens that count as throughput: generated ones, or the prompt in a pure prefill."""
    if study.workload.phase == "decode":
        return 1.0
    return context if study.workload.phase == "prefill" else context - prompt_length(context)


def throughput(study: Study, cluster: Cluster, errors: Any = None) -> xr.Dataset:
    """Return tokens per second and device of each technique, over the axes of the cluster.

    Geometric mean over models, batches and lengths, of the best that software finds for each; zero where
    a model does not fit.  ``errors`` multiplies the times of kinds of operators.

    Returns
    -------
    xarray.Dataset
        A variable for each technique of the study [token/s].
    """
    serving = study.workload
    context, batch, tp = (
        _axis("context", serving.context),
        _axis("batch", serving.batch),
        _axis("tp", study.software.tp),
    )
    bits = {name: getattr(serving, name) for name in ("weight_bits", "activation_bits", "kv_bits")}
    logs: dict[str, Any] = dict.fromkeys(study.techniques, 0.0)
    for name in serving.models:
        try:
            model = load("model", name)
            prepared = prepare_request(model, cluster, serving.phase, context, batch=batch, tp=tp, **bits)
        except Infeasible:
            return _nothing(study, cluster)
        prepared = [(stretched(inputs, errors), weights) for inputs, weights in prepared] if errors else prepared
        rate = (
            fits(model, cluster, serving.phase, context, batch=batch, tp=tp, **bits)
            * batch
            * _answer_tokens(study, context)
            / tp
        )
        for technique in study.techniques:
            times = [run_request(prepared, each).step_time for each in policies(study, technique)]
            best = (rate / functools.reduce(np.minimum, times)).max("tp")
            with np.errstate(divide="ignore"):
                logs[technique] = logs[technique] + np.log(best).mean(("batch", "context"))
    import xarray as xr

    return xr.Dataset({name: np.exp(total / len(serving.models)) for name, total in logs.items()})


def _nothing(study: Study, cluster: Cluster) -> xr.Dataset:
    import xarray as xr

    blank = sum(varied(cluster).values()) * 0.0
    return xr.Dataset(dict.fromkeys(study.techniques, blank))


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
        ``throughput`` [token/s per device], ``throughput_per_area`` [token/s/m²] and
        ``tokens_per_dollar`` [token/USD] over ``technique``; the figures of ``chip.design``; ``feasible``.
    """
    import xarray as xr

    cluster, figures = design(parts, **axes)
    found = throughput(study, cluster, errors).to_array("technique", name="throughput")
    data: dict[str, Any] = {
        name: xr.DataArray(value) if not hasattr(value, "dims") else value for name, value in figures.items()
    }
    result = xr.Dataset({"throughput": found, **data})
    result["throughput_per_area"] = found / result.die_area
    result["tokens_per_dollar"] = found / result.dollars_per_s
    allowed = within(result, study.constraints.limits())
    result["feasible"] = (found.min("technique") > 0.0) & allowed
    return label(result)


def size(study: Study) -> int:
    """Return how many chips the space holds."""
    return math.prod(len(values) for values in study.axes().values())


def points(study: Study, start: int, stop: int) -> dict[str, xr.DataArray]:
    """Return chips ``start`` to ``stop`` of the space in row-major order, as arrays over ``design``."""
    import xarray as xr

    axes = study.axes()
    index = np.unravel_index(np.arange(start, stop), tuple(len(values) for values in axes.values()))
    return {name: xr.DataArray(values[i], dims="design") for (name, values), i in zip(axes.items(), index, strict=True)}


@dataclass(frozen=True)
class Enumeration:
    """What is kept of an exhaustive enumeration, however large.

    Attributes
    ----------
    best : dict
        technique → the best chip: its axes, figures and objectives, in SI.
    curve : dict
        technique → (values of the first axis, best objective at each).
    front : dict
        technique → rows of the Pareto front over throughput per device and die area.
    evaluated, feasible : int
    """

    best: dict[str, dict[str, float]]
    curve: dict[str, tuple[list[float], list[float]]]
    front: dict[str, list[dict[str, float]]]
    evaluated: int
    feasible: int


def pareto(rows: list[dict[str, float]], more: str, less: str) -> list[dict[str, float]]:
    """Return the rows that no other beats on both: most of ``more`` for the least of ``less``.

    Examples
    --------
    >>> rows = [{"v": 1.0, "c": 1.0}, {"v": 3.0, "c": 2.0}, {"v": 2.0, "c": 2.5}]
    >>> [row["v"] for row in pareto(rows, "v", "c")]
    [1.0, 3.0]
    """
    front: list[dict[str, float]] = []
    for row in sorted(rows, key=lambda each: (each[less], -each[more])):
        if not front or row[more] > front[-1][more]:
            front.append(row)
    return front


def _rows(
    result: xr.Dataset, chips: dict[str, xr.DataArray], technique: str, keep: np.ndarray
) -> Iterator[dict[str, float]]:
    chosen = result.sel(technique=technique)
    for i in np.flatnonzero(keep):
        row = {name: float(values[i]) for name, values in chips.items()}
        for name, variable in chosen.data_vars.items():
            if name != "feasible":
                row[str(name)] = float(variable.values[i] if variable.ndim else variable)
        yield row


def _on_front(value: np.ndarray, area: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    """Return a mask of candidates: the running maximum of value in order of area."""
    order = np.lexsort((-value, area))
    best = np.maximum.accumulate(np.where(feasible[order], value[order], -np.inf))
    first = np.r_[True, best[1:] > best[:-1]] & feasible[order]
    mask = np.zeros(len(value), dtype=bool)
    mask[order] = first
    return mask


def enumerate_space(study: Study, parts: Parts, progress: Count = no_progress) -> Enumeration:
    """Evaluate every chip of the space, a chunk at a time, and keep the best, the curve and the front.

    Raises
    ------
    Infeasible
        If no chip serves every model within the constraints.
    """
    objective, total = study.study.objective, size(study)
    lead, values = next(iter(study.axes().items()))
    best: dict[str, dict[str, float]] = {}
    curves = {technique: np.zeros(len(values)) for technique in study.techniques}
    fronts: dict[str, list[dict[str, float]]] = {technique: [] for technique in study.techniques}
    feasible = 0
    progress(0)
    for start in range(0, total, CHUNK):
        chips = points(study, start, min(start + CHUNK, total))
        result = evaluate(study, parts, **chips)
        allowed = result.feasible.values
        feasible += int(allowed.sum())
        for technique in study.techniques:
            score = np.where(allowed, result[objective].sel(technique=technique).values, 0.0)
            np.maximum.at(curves[technique], np.searchsorted(values, chips[lead].values), score)
            top = int(score.argmax())
            if score[top] > best.get(technique, {}).get(objective, 0.0):
                best[technique] = next(_rows(result, chips, technique, np.arange(len(score)) == top))
            mask = _on_front(result.throughput.sel(technique=technique).values, result.die_area.values, allowed)
            fronts[technique] = pareto(
                [*fronts[technique], *_rows(result, chips, technique, mask)], "throughput", "die_area"
            )
        progress(len(allowed))
    if not best:
        raise Infeasible(
            f"study {study.name}: none of its {total} chips serves every model within the constraints; "
            "loosen [constraints], add tp or hbm_stacks, or drop a model"
        )
    curve = {technique: (values.tolist(), curves[technique].tolist()) for technique in study.techniques}
    return Enumeration(best, curve, fronts, total, feasible)


def regret(found: float, best: float) -> float:
    """Return the share of the best objective that a search missed [1]."""
    return max(0.0, 1.0 - found / best)


def parts_of_study(study: Study) -> Parts:
    """Return the parts of the study's reference chip."""
    return parts_of(study.study.device, study.study.bill)
