"""Sizes of single operators over one grid: numbers, lists that are axes of their own name, labelled arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.axes import Labels, axes_of
from accelmodel.laws.numeric import Array
from accelmodel.specs.quantities import axis_of


@dataclass(frozen=True)
class Grid:
    """Sizes over one grid.

    Attributes
    ----------
    axes : dict of str to ndarray
        Labels of each axis.
    sizes : dict of str to ndarray
        Each size over all axes.
    varies : dict of str to tuple of str
        Axes along which each size was given.
    """

    axes: Labels
    sizes: dict[str, Array]
    varies: dict[str, tuple[str, ...]]

    def flat(self, name: str) -> Array:
        """Return a size at each point of the grid, in one row."""
        return self.sizes[name].ravel()

    def above_zero(self, *names: str) -> None:
        """Raise SpecError where one of some sizes is not above 0."""
        for name in names:
            least = float(self.sizes[name].min())
            if least <= 0.0:
                raise SpecError(f"{name} {least:g} must be above 0")


def _read(name: str, value: Any) -> tuple[Array, Labels]:
    """Return a size as an array, and the labels of its axes."""
    try:
        own = axis_of(value)
    except ValueError as error:
        raise SpecError(f"{name}: {error}") from None
    if own is not None:
        value, labels = own, {name: own}
    else:
        labels = axes_of([value], {})
    numbers = getattr(value, "values", value)
    if isinstance(numbers, str | bool) or not np.all(np.isfinite(np.asarray(numbers, dtype=float))):
        raise SpecError(f"{name}: {value!r} is not a finite number")
    return np.asarray(numbers, dtype=float), labels


def grid(**sizes: Any) -> Grid:
    """Return sizes over one grid, its axes in order of appearance.

    Raises
    ------
    SpecError
        If a size is not a finite number, or an axis is given twice with different labels.

    Examples
    --------
    >>> found = grid(m=[1, 2], n=3)
    >>> found.axes["m"].tolist(), found.flat("n").tolist()
    ([1, 2], [3.0, 3.0])
    """
    axes: Labels = {}
    read = {name: _read(name, value) for name, value in sizes.items()}
    for _, labels in read.values():
        for axis, values in labels.items():
            if not np.array_equal(axes.setdefault(axis, values), values):
                raise SpecError(f"axis {axis!r} is given twice with different labels; use one set of labels")
    shape = tuple(len(labels) for labels in axes.values())
    spread = {}
    for name, (numbers, labels) in read.items():
        ordered = numbers.transpose([list(labels).index(axis) for axis in axes if axis in labels])
        lengths = [len(values) if axis in labels else 1 for axis, values in axes.items()]
        spread[name] = np.broadcast_to(ordered.reshape(lengths), shape)
    return Grid(axes, spread, {name: tuple(labels) for name, (_, labels) in read.items()})
