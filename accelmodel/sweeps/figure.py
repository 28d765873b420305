"""The figure that a file asks for, in names and values of the answer; checked before the work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.hardware import Device
from accelmodel.specs.names import canonical
from accelmodel.sweeps.names import finder
from accelmodel.sweeps.question import Axis, Question, flattened

#: lines that one figure can hold and still be read
MOST_LINES = 24
_WHERE = "sweep.figure"


class Drawn(TypedDict):
    """What is drawn: a variable over an axis, a line for each value of some, at one value of the rest."""

    y: str
    x: str
    lines: list[str]
    at: dict[str, Any]


def one_word(name: str) -> str:
    """Return the name that an axis has in an answer by the name that a file calls it.

    Examples
    --------
    >>> one_word("l2.capacity"), one_word("link.bandwidth"), one_word("batch")
    ('l2_capacity', 'link_bandwidth', 'batch')
    """
    return finder((), ("device",))(name).dim if canonical(Device, name) else name.replace(".", "_")


def figure_of(question: Question, labels: Mapping[str, list[str]]) -> Drawn | None:
    """Return the figure of a question, None if it asks for none.

    Raises
    ------
    SpecError
        If it asks for what the answer has not, or does not say where on an axis it is drawn.
    """
    asked = question.head.figure
    if asked is None:
        return None
    variables = question.command.variables
    if asked.y not in variables:
        raise SpecError(f"{_WHERE}.y: {unknown('variable', asked.y, variables)}")
    axes: dict[str, Axis | list[str]] = {axis.dim: axis for axis in question.axes}
    axes |= {name: list(labels[name]) for name in variables[asked.y].over}
    at = {one_word(name): value for name, value in flattened(asked.at).items()}
    found = Drawn(y=asked.y, x=one_word(asked.x), lines=[one_word(name) for name in asked.lines], at=at)
    for key, names in (("x", [found["x"]]), ("lines", found["lines"]), ("at", list(at))):
        for name in names:
            if name not in axes:
                raise SpecError(f"{_WHERE}.{key}: {unknown('axis', name, axes)}")
    placed = {found["x"], *found["lines"], *at}
    for name, axis in axes.items():
        if name not in placed and _size(axis) > 1:
            raise SpecError(f"{_WHERE}: {name} has several values; add it to lines, or a value of it to at")
    count = math.prod(_size(axes[name]) for name in found["lines"])
    if count > MOST_LINES:
        raise SpecError(f"{_WHERE}.lines: {count} lines are too many to read; at most {MOST_LINES}, give at for some")
    for name, value in at.items():
        at[name] = _value(axes[name], value, f"{_WHERE}.at.{name}")
    return found


def _size(axis: Axis | list[str]) -> int:
    return len(axis) if isinstance(axis, list) else len(axis.values)


def _value(axis: Axis | list[str], given: Any, where: str) -> Any:
    """Return a value of an axis as it stands there."""
    if isinstance(axis, list):
        if given not in axis:
            raise SpecError(f"{where}: {unknown('value', given, axis)}")
        return given
    value = axis.field.value(given, where, True)
    if isinstance(value, str):
        if value not in axis.values:
            raise SpecError(f"{where}: {unknown('value', value, axis.values.tolist())}")
        return value
    near = float(axis.values[np.argmin(np.abs(axis.values - value))])
    if not np.isclose(near, value, rtol=1e-9, atol=0.0):
        raise SpecError(f"{where}: {brief(given)} is none of the values that are swept; the nearest is {near:g}")
    return near
