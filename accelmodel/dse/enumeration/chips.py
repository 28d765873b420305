"""The chips that an enumeration looks at: all of a study, block by block, or some drawn at random."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from accelmodel.dse.enumeration.blocksize import block_of
from accelmodel.dse.enumeration.certificate import draw
from accelmodel.dse.studies.axes import Axis
from accelmodel.dse.studies.space import groups
from accelmodel.dse.studies.study import Study
from accelmodel.sweeps.grid import Place

#: parts of an axis without steps in which the best of a sample is told
PARTS = 32
#: what a chip sends to all others together: links times the bandwidth of each [B/s]
BUDGET = "link_budget"
_LINKS = frozenset(("links", "link_bandwidth"))
Numbers: TypeAlias = npt.NDArray[np.int64]
Values: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Whole:
    """All chips of a space, as a grid that is cut into blocks of neighbours.

    Attributes
    ----------
    groups : tuple of mapping
        Each a side of the grid: name of an axis → its value at each place; most are of one axis.
    lengths : tuple of int
        Places of each side in a block; the last block of a side may be shorter.
    """

    groups: tuple[Mapping[str, Values], ...]
    lengths: tuple[int, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """How many places each side has."""
        return tuple(len(next(iter(group.values()))) for group in self.groups)

    @property
    def size(self) -> int:
        """How many chips there are."""
        return math.prod(self.shape)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many blocks there are along each side."""
        return tuple(-(-size // length) for size, length in zip(self.shape, self.lengths, strict=True))

    @property
    def chunks(self) -> int:
        """How many blocks there are."""
        return math.prod(self.counts)

    def place(self, number: int) -> Place:
        """Return where a block lies."""
        at = np.unravel_index(number, self.counts)
        return tuple(
            slice(int(i) * length, min((int(i) + 1) * length, size))
            for i, length, size in zip(at, self.lengths, self.shape, strict=True)
        )

    def within(self, number: int) -> tuple[int, ...]:
        """Return the shape of a block."""
        return tuple(each.stop - each.start for each in self.place(number))

    def dims(self, number: int) -> tuple[str, ...]:
        """Return the names of the dimensions of a block, which are no name of anything else."""
        return tuple(f"along {' and '.join(group)}" for group in self.groups)

    def given(self, number: int) -> dict[str, Any]:
        """Return the axes of a block, each side along a dimension of its own; the one word of a block as it is.

        A single number stays an array: powers of numbers and of arrays differ in the last digit.
        """
        import xarray as xr

        found: dict[str, Any] = {}
        for dim, group, part in zip(self.dims(number), self.groups, self.place(number), strict=True):
            for name, values in group.items():
                own = values[part]
                found[name] = str(own[0]) if own.dtype == object else xr.DataArray(own, dims=dim)
        return found

    def chips(self, number: int, local: Any) -> Numbers:
        """Return the numbers of chips in the whole space, in row-major order, of their places in a block."""
        inside = np.unravel_index(local, self.within(number))
        at = [i + part.start for i, part in zip(inside, self.place(number), strict=True)]
        return np.asarray(np.ravel_multi_index(at, self.shape), dtype=np.int64)

    def values(self, chips: Numbers) -> dict[str, Values]:
        """Return the values of the axes of some chips."""
        at = np.unravel_index(chips, self.shape)
        return {name: values[i] for group, i in zip(self.groups, at, strict=True) for name, values in group.items()}

    @cached_property
    def curves(self) -> dict[str, Values]:
        """Name of an axis → the values that it has; of links and their bandwidth their product as well."""
        found = {name: _different(values) for group in self.groups for name, values in group.items()}
        if self._links:
            found[BUDGET] = np.unique(self._budgets(tuple(slice(0, size) for size in self.shape)))
        return found

    @cached_property
    def _links(self) -> tuple[int, ...]:
        """Sides along which links and their bandwidth lie; none where one of them is no axis."""
        named = {name for group in self.groups for name in group}
        return tuple(i for i, group in enumerate(self.groups) if named >= _LINKS and not _LINKS.isdisjoint(group))

    def _budgets(self, place: Place) -> Values:
        """Return what the links of a block give together, its other sides left out."""
        found: Values = np.ones(1)
        for i in self._links:
            own = np.array([values[place[i]] for name, values in self.groups[i].items() if name in _LINKS])
            found = np.multiply.outer(found, own.prod(axis=0)).reshape(-1)
        return found.round(3)

    def along(self, number: int, scores: Values) -> dict[str, Values]:
        """Return the best score of each technique at each value of each axis (technique, value)."""
        found = {}
        for side, (group, part) in enumerate(zip(self.groups, self.place(number), strict=True), 1):
            best = scores.max(axis=tuple(i for i in range(1, scores.ndim) if i != side))
            for name, values in group.items():
                found[name] = _best_at(places_of(self.curves[name], values[part]), best, len(self.curves[name]))
        if self._links:
            others = tuple(i for i in range(1, scores.ndim) if i - 1 not in self._links)
            places = places_of(self.curves[BUDGET], self._budgets(self.place(number)))
            best = scores.max(axis=others).reshape(len(scores), -1)
            found[BUDGET] = _best_at(places, best, len(self.curves[BUDGET]))
        return found


@dataclass(frozen=True, eq=False)
class Sample:
    """Some chips of a space, in an order of their own.

    Attributes
    ----------
    columns : mapping
        Name of an axis → the value of each chip.
    curves : mapping
        Name → values at which the best is told; of an axis without steps the middles of equal parts.
    at : mapping
        Name → of each chip, at which of these values it is.
    parts : tuple of slice
        Chips that are evaluated at once; those of one have the same words.
    """

    columns: Mapping[str, Values]
    curves: Mapping[str, Values]
    at: Mapping[str, Numbers]
    parts: tuple[slice, ...]

    @property
    def size(self) -> int:
        """How many chips there are."""
        return len(next(iter(self.columns.values())))

    @property
    def chunks(self) -> int:
        """How many parts there are."""
        return len(self.parts)

    def within(self, number: int) -> tuple[int, ...]:
        """Return the shape of a part."""
        return (self.parts[number].stop - self.parts[number].start,)

    def dims(self, number: int) -> tuple[str, ...]:
        """Return the name of the dimension of a part."""
        return ("design",)

    def given(self, number: int) -> dict[str, Any]:
        """Return the axes of a part, numbers all along one dimension."""
        return along_design({name: values[self.parts[number]] for name, values in self.columns.items()})

    def chips(self, number: int, local: Any) -> Numbers:
        """Return the numbers of chips of their places in a part."""
        return np.asarray(np.add(local, self.parts[number].start), dtype=np.int64)

    def values(self, chips: Numbers) -> dict[str, Values]:
        """Return the values of the axes of some chips."""
        return {name: values[chips] for name, values in self.columns.items()}

    def along(self, number: int, scores: Values) -> dict[str, Values]:
        """Return the best score of each technique at the values of each curve (technique, value)."""
        part = self.parts[number]
        return {name: _best_at(self.at[name][part], scores, len(values)) for name, values in self.curves.items()}


Source: TypeAlias = Whole | Sample


def plain(value: Any) -> Any:
    """Return one value as a number or a word of Python."""
    return value if isinstance(value, str) else float(value)


def along_design(columns: Mapping[str, Values]) -> dict[str, Any]:
    """Return axes along one dimension ``design``; of words, which must be the same everywhere, the word."""
    import xarray as xr

    return {
        name: str(values[0]) if values.dtype == object else xr.DataArray(values, dims="design")
        for name, values in columns.items()
    }


def runs(columns: Mapping[str, Values], most: int) -> tuple[Numbers, tuple[slice, ...]]:
    """Return an order of chips in which those of the same words are neighbours, and its parts of at most so many."""
    count = len(next(iter(columns.values())))
    words = [values.astype(str) for values in columns.values() if values.dtype == object]
    order = np.lexsort(words[::-1]) if words else np.arange(count)
    changes = [np.flatnonzero(each[order][1:] != each[order][:-1]) + 1 for each in words]
    ends = np.unique(np.concatenate([*changes, np.arange(0, count, most), [count]])).astype(int).tolist()
    return order.astype(np.int64), tuple(itertools.starmap(slice, itertools.pairwise(ends)))


def _different(values: Values) -> Values:
    """Return the different values of an axis: numbers ascending, words in the order given."""
    return np.array(list(dict.fromkeys(values)), dtype=object) if values.dtype == object else np.unique(values)


def places_of(values: Values, taken: Values) -> Numbers:
    """Return at which of the values of an axis each of those taken is."""
    if values.dtype == object:
        index = {value: i for i, value in enumerate(values)}
        return np.array([index[value] for value in taken], dtype=np.int64)
    return np.asarray(np.searchsorted(values, taken), dtype=np.int64)


def _best_at(places: Numbers, scores: Values, count: int) -> Values:
    """Return the best of scores (technique, chip) at each of so many places; -inf where there is none."""
    found = np.full((len(scores), count), -np.inf)
    for own, score in zip(found, scores, strict=True):
        np.maximum.at(own, places, score)
    return found


def _sides(study: Study) -> tuple[dict[str, Values], ...]:
    words = {name for name, axis in study.axes().items() if axis.kind == "word"}
    return tuple(
        {name: np.array(values, dtype=object if name in words else float) for name, values in group.values.items()}
        for group in groups(study)
    )


def whole(study: Study, block: int | None = None) -> Whole:
    """Return all chips of a study, of an axis without steps at as many values as the study says.

    Sides are cut in their order, so that a block has ``block`` chips at most, by default as many as suit; words are
    cut one by one, since another link is more than another number.
    """
    sides = _sides(study)
    most = block or block_of(study)
    lengths = [1 if _of_words(side) else len(next(iter(side.values()))) for side in sides]
    for i in range(len(lengths)):
        lengths[i] = max(1, min(lengths[i], most // math.prod(lengths[i + 1 :])))
    return Whole(sides, tuple(lengths))


def _of_words(side: Mapping[str, Values]) -> bool:
    return any(values.dtype == object for values in side.values())


def continuous(study: Study) -> list[str]:
    """Return the axes of a study that have no steps."""
    return [name for name, axis in study.axes().items() if axis.values is None]


def sample(study: Study, count: int, seed: int, chunk: int) -> Sample:
    """Return chips drawn at random, each alike likely; different ones where the space has steps."""
    every = whole(study)
    if continuous(study):
        return _ordered(*_drawn_between(study, count, seed), chunk)
    columns = every.values(draw(every.size, count, seed))
    along = dict(columns)
    if BUDGET in every.curves:
        along[BUDGET] = (columns["links"] * columns["link_bandwidth"]).round(3)
    at = {name: places_of(values, along[name]) for name, values in every.curves.items()}
    return _ordered(columns, every.curves, at, chunk)


def _ordered(
    columns: Mapping[str, Values], curves: Mapping[str, Values], at: Mapping[str, Numbers], chunk: int
) -> Sample:
    order, parts = runs(columns, chunk)
    return Sample(
        {name: values[order] for name, values in columns.items()},
        curves,
        {name: places[order] for name, places in at.items()},
        parts,
    )


def _drawn_between(study: Study, count: int, seed: int) -> tuple[dict[str, Values], dict[str, Values], dict[str, Any]]:
    """Return columns, curves and places of chips that are drawn where some axes have no steps."""
    random = np.random.default_rng(seed)
    columns: dict[str, Values] = {}
    curves: dict[str, Values] = {}
    at: dict[str, Numbers] = {}
    for side in _sides(study):
        chosen = random.integers(len(next(iter(side.values()))), size=count)
        for name, values in side.items():
            axis = study.axes()[name]
            if axis.values is not None:
                columns[name] = values[chosen]
                curves[name] = _different(values)
                at[name] = places_of(curves[name], columns[name])
                continue
            shares = random.random(count)
            columns[name] = _between(axis, shares)
            curves[name] = _between(axis, (np.arange(PARTS) + 0.5) / PARTS)
            at[name] = (shares * PARTS).astype(np.int64)
    return columns, curves, at


def _between(axis: Axis, shares: Values) -> Values:
    """Return what lies at shares of the way along an axis."""
    if axis.log:
        return np.asarray(axis.low * (axis.high / axis.low) ** shares)
    return np.asarray(axis.low + (axis.high - axis.low) * shares)
