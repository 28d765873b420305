"""Axes that move nothing: what neither an objective nor a limit of the best chip hangs on; and those that are free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.chip import design
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.studies.axes import Axis
from accelmodel.dse.studies.study import Study
from accelmodel.errors import Infeasible, SpecError

#: figures of a chip that money or making it hangs on
_COSTS = ("die_area", "silicon_area", "shoreline", "price", "power", "carbon", "dollars_per_s")


def idle(study: Study, parts: Parts, chip: Mapping[str, Any]) -> list[str]:
    """Return the axes along which neither objectives nor limits of a chip change, the others staying as they are.

    Parameters
    ----------
    study : Study
    parts : Parts
    chip : mapping
        Axis → its value.
    """
    import xarray as xr

    axes = study.axes()
    columns: dict[str, list[Any]] = {name: [] for name in axes}
    places: dict[str, list[int]] = {}
    for name, axis in axes.items():
        tried = _tried(axis)
        if len(tried) < 2:
            continue
        places[name] = [len(columns[name]) + i for i in range(len(tried))]
        for other, column in columns.items():
            column += tried if other == name else [chip[other]] * len(tried)
    if not places:
        return []
    found = evaluate(study, parts, **{name: xr.DataArray(values, dims="design") for name, values in columns.items()})
    told = [*study.objectives, *(str(name) for name in found.data_vars if str(name).startswith("excess_"))]
    moving = [found[name] for name in told if "design" in found[name].dims]
    return [name for name, here in places.items() if all(_still(each.isel(design=here)) for each in moving)]


def _tried(axis: Axis) -> list[Any]:
    """Return both ends of an axis and what lies between."""
    grid = list(axis.grid)
    return [grid[i] for i in sorted({0, len(grid) // 2, len(grid) - 1})]


def free(study: Study, parts: Parts, chip: Mapping[str, Any]) -> list[str]:
    """Return the axes along which a chip costs the same, of whatever is made and paid: area, money, power, carbon.

    Parameters
    ----------
    study, parts, chip
        As in ``idle``.
    """
    axes = study.axes()
    here = {name: chip[name] for name in axes}
    return [name for name, axis in axes.items() if len(_tried(axis)) > 1 and _costs_alike(study, parts, here, axis)]


def _costs_alike(study: Study, parts: Parts, chip: Mapping[str, Any], axis: Axis) -> bool:
    found = set()
    for value in _tried(axis):
        try:
            _, costs = design(parts, study.software.devices, **{**chip, axis.name: value})
        except (SpecError, Infeasible):  # no such chip can be built, so that it costs nothing
            continue
        found.add(tuple(float(costs[name]) for name in _COSTS))
    return len(found) == 1


def _still(values: Any) -> bool:
    first = values.isel(design=0)
    return bool(np.array_equal(values, first.broadcast_like(values), equal_nan=True))
