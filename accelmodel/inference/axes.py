"""Labelled axes of inputs, and the arrays over them that the compiled loops take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.operators import OperatorTable
from accelmodel.laws.types import Machine, Operator
from accelmodel.specs.quantities import Number


@dataclass(frozen=True)
class Axes:
    """Labelled axes of inputs: those of the workload, then those only the machine varies over."""

    workload: dict[str, Any]
    machine: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, workload first."""
        return tuple(len(values) for values in (*self.workload.values(), *self.machine.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each axis, workload first."""
        return (*self.workload, *self.machine)


def axes_of(values: list[Number], known: dict[str, Any]) -> dict[str, Any]:
    """Collect labelled axes in order of appearance; the same name with other labels is an error."""
    found: dict[str, Any] = {}
    for value in values:
        for dim in getattr(value, "dims", ()):
            labels = value[dim].values if dim in value.coords else np.arange(value.sizes[dim])
            before = found.get(dim, known.get(dim))
            if before is not None and not np.array_equal(before, labels):
                raise SpecError(f"axis {dim!r} is given twice with different labels; use one set of labels")
            if dim not in known:
                found.setdefault(dim, labels)
    return found


def _spread(value: Number, axes: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return the value as an array over ``axes``, of length 1 where it does not vary."""
    if not hasattr(value, "dims"):
        return np.asarray(float(value)).reshape((1,) * len(axes))
    ordered = value.transpose(*(dim for dim in axes if dim in value.dims))
    shape = tuple(value.sizes.get(dim, 1) for dim in axes)
    return np.asarray(ordered.values, dtype=float).reshape(shape)


def table_array(table: OperatorTable, axes: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return the operator table as an array (column, row, workload)."""
    shape = tuple(len(labels) for labels in axes.values())
    out = np.empty((len(Operator._fields), len(table.names), *shape))
    for c, column in enumerate(Operator._fields):
        for r, value in enumerate(table.columns[column]):
            out[c, r] = _spread(value, axes)
    return out.reshape(*out.shape[:2], math.prod(shape))


def machine_array(chip: dict[str, Number], axes: Axes) -> np.ndarray[Any, Any]:
    """Return machines as an array (field, workload, design), of length 1 along workload where it does not matter."""
    everything = {**axes.workload, **axes.machine}
    shared = any(dim in axes.workload for value in chip.values() for dim in getattr(value, "dims", ()))
    inner = tuple(len(labels) for labels in axes.machine.values())
    outer = tuple(len(labels) for labels in axes.workload.values()) if shared else (1,) * len(axes.workload)
    out = np.empty((len(Machine._fields), *outer, *inner))
    for f, name in enumerate(Machine._fields):
        out[f] = _spread(chip[name], everything)
    return out.reshape(len(Machine._fields), math.prod(outer), math.prod(inner))
