"""Design-space exploration: the whole space enumerated, the same space searched with Optuna, and the regret.

A trial is a chip.  Inside it the kernel enumerates what software may choose for each model and workload
(tensor parallelism, parameters of the technique), so that a chip is judged by its best use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.dse.chip import Parts
from accelmodel.dse.evaluate import evaluate
from accelmodel.dse.misses import Misses
from accelmodel.dse.objectives import sign
from accelmodel.dse.space import points, size
from accelmodel.dse.study import Study

if TYPE_CHECKING:
    import xarray as xr

#: chips evaluated at once: bounds the memory of an enumeration
CHUNK = 8192
Count = Callable[[int], None]


def no_progress(done: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Enumeration:
    """What is kept of an exhaustive enumeration, however large.

    Attributes
    ----------
    best : dict
        technique → the best chip: its axes, figures and objectives, in SI.
    curve : dict
        technique → (values of ``study.axis``, best objective at each, 0 where no chip keeps to the limits).
    front : dict
        technique → rows of the Pareto front over throughput per device and die area.
    evaluated, feasible : int
        Chips looked at; those that keep to all limits with one of the techniques.
    misses : Misses
        Which limits exclude how many chips.
    """

    best: dict[str, dict[str, Any]]
    curve: dict[str, tuple[list[float], list[float]]]
    front: dict[str, list[dict[str, Any]]]
    evaluated: int
    feasible: int
    misses: Misses


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
) -> Iterator[dict[str, Any]]:
    """Return the kept chips: axes, figures, objectives, distances to limits, and ``chosen_KNOB.MODEL``."""
    chosen = result.sel(technique=technique)
    for i in np.flatnonzero(keep):
        row = {name: values.values[i].item() for name, values in chips.items()}
        for name, variable in chosen.data_vars.items():
            if name == "feasible":
                continue
            at = variable.isel(design=i) if "design" in variable.dims else variable
            if "model" in at.dims:
                row |= {
                    f"{name}.{model}": value.item() for model, value in zip(at.model.values, at.values, strict=True)
                }
            else:
                row[str(name)] = at.item()
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
    objective, total = study.objective, size(study)
    way = sign(objective)
    lead = study.axis or next(iter(study.axes()))
    values = np.asarray(study.axes()[lead].grid)
    best: dict[str, dict[str, Any]] = {}
    curves = {technique: np.full(len(values), -np.inf) for technique in study.techniques}
    fronts: dict[str, list[dict[str, Any]]] = {technique: [] for technique in study.techniques}
    feasible, misses = 0, Misses()
    progress(0)
    for start in range(0, total, CHUNK):
        chips = points(study, start, min(start + CHUNK, total))
        result = evaluate(study, parts, **chips)
        count = len(chips[lead])
        misses.add(result, chips)
        allowed = {name: _each(result.feasible.sel(technique=name), count) for name in study.techniques}
        feasible += int(np.logical_or.reduce(list(allowed.values())).sum())
        places = np.argmax(chips[lead].values[:, None] == values[None, :], axis=1)
        for technique, ok in allowed.items():
            if not ok.any():
                continue
            score = np.where(ok, way * _of(result, objective, technique, count), -np.inf)
            np.maximum.at(curves[technique], places, score)
            top = int(score.argmax())
            if technique not in best or score[top] > way * best[technique][objective]:
                best[technique] = next(_rows(result, chips, technique, np.arange(count) == top))
            mask = _on_front(_of(result, "throughput", technique, count), _of(result, "die_area", technique, count), ok)
            fronts[technique] = pareto(
                [*fronts[technique], *_rows(result, chips, technique, mask)], "throughput", "die_area"
            )
        progress(count)
    if not best:
        raise misses.error(study)
    curve = {
        name: (values.tolist(), [way * each if np.isfinite(each) else 0.0 for each in found])
        for name, found in curves.items()
    }
    return Enumeration(best, curve, fronts, total, feasible, misses)


def _each(value: Any, count: int) -> np.ndarray:
    """Return a value of each chip."""
    return np.broadcast_to(value.values, count)


def _of(result: xr.Dataset, name: str, technique: str, count: int) -> np.ndarray:
    value = result[name]
    return _each(value.sel(technique=technique) if "technique" in value.dims else value, count)
