"""What chunks answer, with labels: a dataset in memory, or its parts one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference.attributes import behind
from accelmodel.nomenclature import ABSENT, NOMENCLATURE, described, label
from accelmodel.sweeps.grid import Arrays, Grid, Place
from accelmodel.sweeps.names import PLAIN

if TYPE_CHECKING:
    import xarray as xr


def _labels(values: Any, unit: str) -> Any:
    """Return the labels of an axis: whole numbers where things are counted, names as objects of any length."""
    if values.dtype == object:
        return values
    whole = unit in PLAIN and bool(np.all(values == np.round(values))) and bool(np.all(np.abs(values) < 2**31))
    return values.astype(np.int64) if whole else values


def coordinates(grid: Grid, place: Place | None = None) -> dict[str, Any]:
    """Return the coordinates of the whole grid, or of one place."""
    found: dict[str, Any] = {}
    for i, axis in enumerate(grid.question.axes):
        values = _labels(axis.values, axis.field.unit)
        about = {"units": axis.field.unit, "long_name": axis.field.full}
        if axis.dim in NOMENCLATURE:
            about = {**described(axis.dim), "units": axis.field.unit}
        found[axis.dim] = (axis.dim, values if place is None else values[place[i]], about)
        for name, (unit, own) in axis.beside.items():
            found[name] = (axis.dim, own if place is None else own[place[i]], {"units": unit, "long_name": name})
    for name, labels in grid.labels.items():
        found[name] = (name, np.array(labels, dtype=object), described(name))
    return found


def attributes(grid: Grid, digest: str, reasons: Iterable[str]) -> dict[str, str]:
    """Return what an answer says of itself, all of it text: the question, what stands behind it, what is missing."""
    question = grid.question
    specs = {f"{part} {word}": spec for (part, word), spec in question.specs.items()}
    fixed = {field.full: value for field, value in question.fixed.items()}
    return {
        **behind(specs),
        "command": question.head.command,
        "title": question.head.title,
        "fixed": json.dumps(fixed),
        "skipped": json.dumps(list(reasons)),
        "sweep_digest": digest,
    }


def part(grid: Grid, place: Place, arrays: Arrays) -> xr.Dataset:
    """Return one place of a grid with its labels."""
    return _dataset(grid, coordinates(grid, place), arrays)


def whole(grid: Grid, parts: Iterable[tuple[Place, Arrays]], attrs: dict[str, str]) -> xr.Dataset:
    """Return a whole grid in memory."""
    variables = grid.question.command.variables
    arrays = {name: grid.room(variable) for name, variable in variables.items()}
    for place, found in parts:
        for name, values in found.items():
            arrays[name][place] = values
    absent = {*ABSENT, *(name for name, variable in variables.items() if variable.absent)}
    return label(_dataset(grid, coordinates(grid), arrays).assign_attrs(attrs), absent)


def _dataset(grid: Grid, coords: dict[str, Any], arrays: dict[str, Any]) -> xr.Dataset:
    import xarray as xr

    variables = grid.question.command.variables
    # names as objects: no file format then has to guess how long they are
    data = {
        name: (grid.dims(variable), arrays[name].astype(object) if arrays[name].dtype.kind == "U" else arrays[name])
        for name, variable in variables.items()
    }
    return xr.Dataset(data, coords=coords)
