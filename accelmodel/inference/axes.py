"""Labelled axes of inputs, and the arrays over them that the compiled loops take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from accelmodel.errors import SpecError
from accelmodel.inference import routes
from accelmodel.inference.machine import machine, varied, with_numbers
from accelmodel.inference.operators import OperatorTable
from accelmodel.inference.routes import router
from accelmodel.inference.run import Machines
from accelmodel.laws.numeric import Array, Floats, Number, has_axes
from accelmodel.laws.types import GIVEN, Operator
from accelmodel.nomenclature import NOMENCLATURE, label
from accelmodel.specs.base import field_units, value_of
from accelmodel.specs.hardware import Cluster

if TYPE_CHECKING:
    import xarray as xr

#: axis → its labels
Labels: TypeAlias = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Axes:
    """Labelled axes of inputs: those of the workload, then those only the machine varies over."""

    workload: Labels
    machine: Labels

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, workload first."""
        return tuple(len(values) for values in (*self.workload.values(), *self.machine.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each axis, workload first."""
        return (*self.workload, *self.machine)


def gathered(values: Iterable[xr.DataArray]) -> xr.Coordinates | None:
    """Return everything that stands on the axes of some arrays, None where there are none; what comes first holds."""
    found: xr.Dataset | None = None
    for value in values:
        own = value.coords.to_dataset()
        if found is not None:
            own = found.merge(own.drop_vars(list(found.coords), errors="ignore"), compat="override", join="override")
        found = own
    return None if found is None else found.coords


def carried(*specs: Any) -> xr.Coordinates | None:
    """Return everything that callers put on the axes of some specifications; None where there are no axes.

    An axis whose labels are the values of the field itself has that field's unit.
    """
    return gathered(value for spec in specs for value in _axes_on(spec))


def _axes_on(spec: Any) -> list[xr.DataArray]:
    """Return the fields of a specification that are axes."""
    values = ((value_of(spec, name), unit) for name, unit in field_units(type(spec)).items())
    return [_with_units(value, unit) for value, unit in values if hasattr(value, "dims")]


def _with_units(value: xr.DataArray, unit: str) -> xr.DataArray:
    """Return the value, its axis with the unit of its field where the labels are its own values."""
    (dim,) = value.dims if value.ndim == 1 else (None,)
    if dim is None or dim in NOMENCLATURE or dim not in value.coords or "units" in value[dim].attrs:
        return value
    if not np.array_equal(value[dim].values, value.values):
        return value
    return value.assign_coords({dim: value[dim].assign_attrs(units=unit)})


def with_coordinates(result: xr.Dataset, more: xr.Coordinates | None) -> xr.Dataset:
    """Return an answer with units on everything, and with what its caller put on the axes; raises as ``joined``."""
    return label(joined(result, more))


def joined(result: xr.Dataset, more: xr.Coordinates | None) -> xr.Dataset:
    """Return an answer with what its caller put on the axes.

    Raises
    ------
    SpecError
        If a coordinate has the name of a variable of the answer.
    """
    if more is not None:
        taken = sorted(str(name) for name in more if name in result.data_vars)
        if taken:
            raise SpecError(f"coordinate {taken[0]!r} has the name of a variable of the answer; rename it")
        absent = [name for name, value in more.items() if not set(value.dims) <= set(result.dims)]
        result = result.assign_coords(more.to_dataset().drop_vars(absent).coords)
    return result


def _same(labels: Any, others: Any) -> bool:
    """Whether labels are the same; places that nobody labelled are compared without writing them out."""
    if hasattr(labels, "equals") and hasattr(others, "equals"):
        return bool(labels.equals(others))
    return bool(np.array_equal(labels, others))


def axes_of(values: list[Number], known: Labels) -> Labels:
    """Collect labelled axes in order of appearance; the same name with other labels is an error."""
    found: Labels = {}
    for value in filter(has_axes, values):
        for dim in cast("tuple[str, ...]", value.dims):
            # places that nobody labelled take no memory
            labels = value[dim].values if dim in value.coords else value.get_index(dim)
            before = found.get(dim, known.get(dim))
            if before is not None and not _same(before, labels):
                raise SpecError(f"axis {dim!r} is given twice with different labels; use one set of labels")
            if dim not in known:
                found.setdefault(dim, labels)
    return found


def spread(value: Number, axes: Labels) -> Array:
    """Return the value as an array over ``axes``, of length 1 where it does not vary."""
    if not has_axes(value):
        return np.asarray(float(value)).reshape((1,) * len(axes))
    ordered = value.transpose(*(dim for dim in axes if dim in value.dims))
    shape = tuple(value.sizes.get(dim, 1) for dim in axes)
    return np.asarray(ordered.values, dtype=float).reshape(shape)


def table_array(table: OperatorTable, axes: Labels) -> Array:
    """Return the operator table as an array (column, row, workload)."""
    shape = tuple(len(labels) for labels in axes.values())
    out = np.empty((len(Operator._fields), len(table.names), *shape))
    for c, column in enumerate(Operator._fields):
        for r, value in enumerate(table.columns[column]):
            out[c, r] = spread(value, axes)
    return out.reshape(*out.shape[:2], math.prod(shape))


def axes_over(cluster: Cluster, known: Labels, *more: Number) -> Labels:
    """Return the axes that the machines of a cluster, and then some other values, add to those known.

    Machines are made of the first label of each axis: only which axes they have is asked.
    """
    leaves = varied(cluster)
    labels = axes_of(list(leaves.values()), known)
    first = {name: value.isel(dict.fromkeys(value.dims, slice(0, 1))) for name, value in leaves.items()}
    chip = machine(with_numbers(cluster, first))
    names = [dim for value in (*chip.values(), *more) if has_axes(value) for dim in value.dims]
    return {str(dim): labels[str(dim)] for dim in dict.fromkeys(names) if dim not in known}


def machines_over(cluster: Cluster, axes: Axes) -> Machines:
    """Return the machines of a cluster over the axes: what varies in it, and what makes machines of a part of that."""
    everything = {**axes.workload, **axes.machine}
    for level in (*cluster.link.inside, *cluster.beyond):
        for name in field_units(type(level)):
            if has_axes(value_of(level, name)):
                raise SpecError(f"{level.name}: {name} varies: of levels beside link and scale_out give one number")
    leaves = {name: value for name, value in varied(cluster).items() if set(value.dims) <= set(everything)}

    def made(values: tuple[Array, ...]) -> tuple[Floats, ...]:
        chip = machine(with_numbers(cluster, dict(zip(leaves, values, strict=True))))
        return tuple(cast(Floats, chip[name]) for name in GIVEN)

    lengths = axes.shape
    outer = len(axes.workload)
    sources = tuple(spread(value, everything) for value in leaves.values())
    return Machines(sources, lengths[:outer], lengths[outer:], made, _router(cluster, leaves, everything, outer))


#: operator tables, and where over (workload, design) each holds, None for everywhere
Routes: TypeAlias = list[tuple[Array, Array | None]]


def _everywhere(route: Callable[[Array], Array], table: Array) -> Routes:
    return [(route(table), None)]


def _router(
    cluster: Cluster, leaves: dict[str, xr.DataArray], axes: Labels, outer: int
) -> Callable[[Array], Routes] | None:
    """Return what puts routes into an operator table: for each that is the fastest somewhere, the table and where."""
    route = router(cluster)
    links = {name: value for name, value in leaves.items() if name.startswith(("link.", "scale_out."))}
    if route is None or not links:
        return None if route is None else partial(_everywhere, route)
    codes: Any = np.zeros((1,) * len(axes), dtype=np.int64)
    for value in links.values():
        different, places = np.unique(np.asarray(value), return_inverse=True)
        codes = codes * len(different) + spread(value.copy(data=places.reshape(value.shape)), axes)
    arrays = {name: np.broadcast_to(spread(value, axes), codes.shape) for name, value in links.items()}

    def routed(table: Array) -> Routes:
        tables: dict[bytes, Array] = {}
        held: dict[bytes, list[float]] = {}
        for code, first in zip(*np.unique(codes, return_index=True), strict=True):
            numbers = {name: float(array.flat[first]) for name, array in arrays.items()}
            found = routes.routed(table, with_numbers(cluster, numbers))
            tables.setdefault(found.tobytes(), found)
            held.setdefault(found.tobytes(), []).append(code)
        if len(tables) == 1:
            return [(found, None)]
        lengths = tuple(len(labels) for labels in axes.values())
        places = np.broadcast_to(codes, lengths).reshape(math.prod(lengths[:outer]), -1)
        each: Routes = []
        for key, found in tables.items():
            where: Any = np.isin(places, held[key])
            each.append((found, where))
        return each

    return routed
