"""Sizes of single operators over one grid: numbers, lists that are axes of their own name, labelled arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.estimates import need_affordable
from accelmodel.inference.axes import Labels, axes_of
from accelmodel.laws.numeric import Array, has_axes
from accelmodel.specs.quantities import Quantity, axis_of


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


#: what any size may be: below 1e9 no law leaves the numbers that a float has
_SIZE = Quantity(ge=1e-3, le=1e9, or_zero=True)
_SIZES = {"size": Quantity("B", ge=1e-3, le=1e18, or_zero=True)}


def _read(name: str, value: Any) -> tuple[Array, Labels]:
    """Return a size as an array, and the labels of its axes."""
    allowed = _SIZES.get(name, _SIZE)
    try:
        own = axis_of(value)
        if own is not None:
            return allowed.check_all(own), {name: own}
        if has_axes(value):
            return allowed.check_all(value.values), axes_of([value], {})
        number = value.item() if isinstance(value, np.ndarray | np.generic) else value
        return np.asarray(allowed.check(number)), {}
    except ValueError as error:
        raise SpecError(f"{name}: {error}") from None


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
    need_affordable("operators", {name: len(labels) for name, labels in axes.items()}, seconds=2e-6, room=200.0)
    shape = tuple(len(labels) for labels in axes.values())
    spread = {}
    for name, (numbers, labels) in read.items():
        ordered = numbers.transpose([list(labels).index(axis) for axis in axes if axis in labels])
        lengths = [len(values) if axis in labels else 1 for axis, values in axes.items()]
        spread[name] = np.broadcast_to(ordered.reshape(lengths), shape)
    return Grid(axes, spread, {name: tuple(labels) for name, (_, labels) in read.items()})
