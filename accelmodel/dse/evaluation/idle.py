"""Axes that move nothing: what neither an objective nor a limit of the best chip hangs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.studies.study import Study

#: values of an axis that are tried: both ends and what lies between
_TRIED = 3


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
        grid = list(axis.grid)
        tried = [grid[i] for i in sorted({0, len(grid) // 2, len(grid) - 1})][:_TRIED]
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


def _still(values: Any) -> bool:
    first = values.isel(design=0)
    return bool(np.array_equal(values, first.broadcast_like(values), equal_nan=True))
