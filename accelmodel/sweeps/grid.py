"""The grid of a question, cut into chunks, and what one chunk answers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from accelmodel.errors import Infeasible, SpecError
from accelmodel.laws.jit import running
from accelmodel.sweeps.calls import TRUTH, WORD, At, Variable
from accelmodel.sweeps.names import Field
from accelmodel.sweeps.question import Axis, Question

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
#: one slice for each axis of a question
Place: TypeAlias = tuple[slice, ...]
#: fields on which it depends whether a model can be cut at all, or a prompt is any: where a call is refused, points
#: are tried one by one along these
_DECIDING = ("tp", "pp", "ep", "dp", "prefix", "context", "batch")
#: a word of an answer takes at least as much room
_LONGEST = "sixteen letters."
#: kind of a variable → what it holds where there is no answer
_NOTHING = {"f": np.nan, "b": False, "U": ""}
#: reasons that an answer tells
MOST_REASONS = 20
#: time that points take compiled, from which that is worth it: the interpreter takes a thousand times as long [s]
WORTH_COMPILING = 2e-3


@dataclass(frozen=True, eq=False)
class Grid:
    """A question cut into chunks.

    Attributes
    ----------
    question : Question
    lengths : tuple of int
        Values of each axis in a chunk; the last chunk of an axis may be shorter.
    labels : mapping
        Axis that variables have of their own → its labels.
    """

    question: Question
    lengths: tuple[int, ...]
    labels: Mapping[str, list[str]]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(-(-size // length) for size, length in zip(self.question.shape, self.lengths, strict=True))

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return math.prod(self.counts)

    def place(self, number: int) -> Place:
        """Return where a chunk lies."""
        found = []
        for at, length, size in zip(
            np.unravel_index(number, self.counts), self.lengths, self.question.shape, strict=True
        ):
            found.append(slice(int(at) * length, min((int(at) + 1) * length, size)))
        return tuple(found)

    def shape(self, variable: Variable, place: Place | None = None) -> tuple[int, ...]:
        """Return the shape of a variable, of the whole grid or of one place."""
        sizes = self.question.shape if place is None else tuple(each.stop - each.start for each in place)
        return (*sizes, *(len(self.labels[name]) for name in variable.over))

    def dims(self, variable: Variable) -> tuple[str, ...]:
        """Return the names of the axes of a variable."""
        return (*self.question.dims, *variable.over)

    @property
    def point_bytes(self) -> float:
        """Bytes that one point takes in an answer [B]."""
        variables = self.question.command.variables.values()
        own = {each: math.prod(len(self.labels[name]) for name in each.over) for each in variables}
        return float(sum(self.dtype(each).itemsize * own[each] for each in variables))

    def dtype(self, variable: Variable) -> np.dtype[Any]:
        """Return what a variable is kept as."""
        return np.dtype(f"U{_word_length(self)}" if variable.dtype == WORD else variable.dtype)

    def holds(self, number: int, arrays: Arrays) -> bool:
        """Return whether arrays are all that a chunk answers."""
        place, variables = self.place(number), self.question.command.variables
        return arrays.keys() == variables.keys() and all(
            arrays[name].shape == self.shape(each, place) and arrays[name].dtype == self.dtype(each)
            for name, each in variables.items()
        )

    def room(self, variable: Variable, place: Place | None = None) -> npt.NDArray[Any]:
        """Return room for a variable, which must be written everywhere."""
        return np.empty(self.shape(variable, place), dtype=self.dtype(variable))


def _word_length(grid: Grid) -> int:
    """Return the letters that a word of an answer may have."""
    return max(len(name) for names in ([_LONGEST], *grid.labels.values()) for name in names)


def cut(question: Question, most: int) -> tuple[int, ...]:
    """Return how many values of each axis a chunk of at most ``most`` points has; the first axes are cut first.

    An axis that its caller has cut keeps his chunks.
    """
    lengths = [max(axis.chunks) if axis.chunks else len(axis.values) for axis in question.axes]
    for i in range(len(lengths)):
        rest = math.prod(lengths[i + 1 :])
        if not question.axes[i].chunks:
            lengths[i] = max(1, min(lengths[i], most // rest))
    return tuple(lengths)


def grid_of(question: Question, chunk: int | None = None) -> Grid:
    """Return the grid of a question, in chunks of as many points as asked, or as suits its command.

    Raises
    ------
    Infeasible
        If no model can be cut as asked anywhere.
    """
    found: dict[str, dict[str, None]] = {}
    if any(variable.over for variable in question.command.variables.values()):
        whole = tuple(slice(0, len(axis.values) if _decides(question, axis) else 1) for axis in question.axes)
        for where, values in _calls(question, whole):
            for own in _labels(question, where, values):
                for name, labels in own.items():
                    found[name] = found.get(name, {}) | dict.fromkeys(labels)
        if not found:
            raise Infeasible("no point can be: no model can be cut as asked; see tp, pp, ep, dp and prefix")
    labels_of = {name: list(labels) for name, labels in found.items()}
    return Grid(question, cut(question, chunk or question.head.chunk or question.command.chunk), labels_of)


def _decides(question: Question, axis: Axis) -> bool:
    """Tell whether labels of variables depend on an axis."""
    return (axis.field.part or axis.field.name) in question.command.labels_by


def _labels(question: Question, where: Place, values: Mapping[Field, Any]) -> Iterator[dict[str, list[str]]]:
    """Yield the labels of the axes that variables have of their own, of those parts of a call that can be."""
    try:
        yield question.command.labels(At(values, question.specs))
    except SpecError:
        for part, fewer in _halves(question, where, values):
            yield from _labels(question, part, fewer)


def runs(question: Question, axis: Axis) -> bool:
    """Tell whether one call runs over the axis; else each of its values is a call."""
    field = axis.field
    if field.quantity is None or field.whole:
        return False
    return field.part == "" or question.command.over_specs


def calls_in(question: Question, place: Place) -> int:
    """Return how many calls a place takes."""
    lengths = (each.stop - each.start for each in place)
    return math.prod(n for n, axis in zip(lengths, question.axes, strict=True) if not runs(question, axis))


def _calls(question: Question, place: Place) -> Iterator[tuple[Place, dict[Field, Any]]]:
    """Yield the calls of a place: where each lies in it, and the value or the labelled axis of each field."""
    import xarray as xr

    inner: dict[Field, Any] = {}
    outer: list[list[tuple[slice, Field, Any]]] = []
    for axis, part in zip(question.axes, place, strict=True):
        values = axis.values[part]
        if runs(question, axis):
            inner[axis.field] = xr.DataArray(values, dims=axis.dim, coords={axis.dim: values})
            outer.append([(slice(0, len(values)), axis.field, None)])
        else:
            outer.append([(slice(i, i + 1), axis.field, value) for i, value in enumerate(values)])
    for each in itertools.product(*outer):
        own = {field: value for _, field, value in each if field not in inner}
        yield tuple(where for where, _, _ in each), {**question.fixed, **inner, **own}


def evaluate(grid: Grid, place: Place) -> tuple[Arrays, list[str]]:
    """Return all variables of a place, and why points are missing.

    Points that cannot be, because a model does not fit or cannot be cut so, hold no number and are not ``feasible``.
    The whole grid is computed in one form, so that last digits do not depend on where and when a place of it is.
    """
    question = grid.question
    _, a_point = question.command.seconds
    out = {name: grid.room(variable, place) for name, variable in question.command.variables.items()}
    reasons: dict[str, None] = {}
    with running("compiled" if question.points * a_point > WORTH_COMPILING else "interpreted"):
        for where, values in _calls(question, place):
            _fill(grid, out, where, values, reasons)
    return out, list(reasons)[:MOST_REASONS]


def _fill(grid: Grid, out: Arrays, where: Place, values: Mapping[Field, Any], reasons: dict[str, None]) -> None:
    """Write the answer of one call; where it is refused, of its parts."""
    question = grid.question
    try:
        found = question.command.block(At(values, question.specs))
    except (Infeasible, SpecError) as error:
        parts = [] if isinstance(error, Infeasible) else list(_halves(question, where, values))
        if not parts:
            reasons[" ".join(str(error).split())] = None
            for values_of in out.values():
                values_of[where] = _NOTHING[values_of.dtype.kind]
        for part, fewer in parts:
            _fill(grid, out, part, fewer, reasons)
        return
    sizes = {
        dim: each.stop - each.start if hasattr(values.get(axis.field), "dims") else 1
        for dim, axis, each in zip(question.dims, question.axes, where, strict=True)
    }
    for name, variable in question.command.variables.items():
        out[name][where] = _placed(found[name], sizes, variable, grid)
    # what does not fit is timed along an axis and refused alone: no number then, whatever else is in its call
    refused = ~out["feasible"][where]
    if refused.any():
        for values_of in (out[name][where] for name in out):
            values_of[refused] = _NOTHING[values_of.dtype.kind]


def _halves(question: Question, where: Place, values: Mapping[Field, Any]) -> Iterator[tuple[Place, dict[Field, Any]]]:
    """Yield both halves of a call along the first axis that decides whether it is refused; none where there is none."""
    for i, axis in enumerate(question.axes):
        value = values[axis.field]
        if axis.field.part or axis.field.name not in _DECIDING or getattr(value, "size", 1) < 2:
            continue
        half = value.size // 2
        start = where[i].start
        for first, last in ((0, half), (half, value.size)):
            part = (*where[:i], slice(start + first, start + last), *where[i + 1 :])
            yield part, {**values, axis.field: value.isel({axis.dim: slice(first, last)})}
        return


def _placed(value: Any, sizes: Mapping[str, int], variable: Variable, grid: Grid) -> Any:
    """Return a variable over all axes of a call in their order, then over its own."""
    if not hasattr(value, "dims"):
        return value
    own = {name: grid.labels[name] for name in variable.over}
    for name, labels in own.items():
        strange = set(value[name].values) - set(labels)
        if strange:
            raise ValueError(f"{name} {min(strange)!r} was not foreseen")
    missing = {name: labels for name, labels in own.items() if list(value[name].values) != labels}
    if missing:
        fill = {TRUTH: False, WORD: ""}.get(variable.dtype, 0.0 if "operator" in missing else np.nan)
        value = value.reindex(missing, fill_value=fill)
    return value.variable.set_dims({**sizes, **{name: len(labels) for name, labels in own.items()}}).values
