"""Every chip of an enumeration in a file: block by block while it is computed, then whole and labelled.

It is the store of sweeps: chips are the points of a grid over the axes of the space.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelmodel import __version__
from accelmodel.dse.enumeration.blocks import Blocks, arrays_of, reaped
from accelmodel.dse.enumeration.chips import Whole
from accelmodel.dse.enumeration.harvest import reap
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.run import cores
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity
from accelmodel.sweeps import formats
from accelmodel.sweeps.calls import NUMBER, TRUTH, At, Command, Variable
from accelmodel.sweeps.dataset import attributes
from accelmodel.sweeps.digest import LENGTH, sources
from accelmodel.sweeps.grid import Arrays, Grid, Place
from accelmodel.sweeps.names import plain
from accelmodel.sweeps.question import Axis, Head, Question
from accelmodel.sweeps.spread import computed
from accelmodel.sweeps.store import Store, folder_of, opened

#: what of a study changes no number
_UNNUMBERED = ("title", "trials", "seed")


@dataclasses.dataclass(frozen=True, eq=False)
class Chips(Question):
    """The chips of a study as the points of a sweep, each with what ``answers`` says."""

    answers: Command

    @property
    def command(self) -> Command:
        """What is asked of each chip."""
        return self.answers


def _unasked(at: At) -> dict[str, Any]:
    raise NotImplementedError("blocks of chips are evaluated by dse.enumeration.blocks")


def grid_of(blocks: Blocks, first: Arrays) -> Grid:
    """Return the chips as a grid; ``first`` are the arrays of a block, which tell what depends on the technique."""
    source = blocks.source
    if not isinstance(source, Whole):
        raise TypeError("only a whole space is a grid")
    sides = len(source.groups)
    variables = {
        name: Variable(
            TRUTH if values.dtype == bool else NUMBER, ("technique",) if values.ndim > sides else (), absent=True
        )
        for name, values in first.items()
    }
    units = {name: axis.unit for name, axis in blocks.study.axes().items()}
    axes = tuple(_axis(group, units) for group in source.groups)
    parts = {field.name: getattr(blocks.parts, field.name) for field in dataclasses.fields(blocks.parts)}
    specs = {(kind, spec.name): spec for kind, spec in parts.items() if hasattr(spec, "digest")}
    specs |= {("model", name): load("model", name) for name in blocks.models}
    fixed = {plain("study"): blocks.study.name, plain("objectives"): ", ".join(blocks.study.objectives)}
    head = Head(command="explore", title=blocks.study.study.title)
    command = Command(_unasked, (), (), variables, (0.0, 0.0))
    question = Chips(head, axes, fixed, specs, blocks.study.name, command)
    return Grid(question, source.lengths, {"technique": list(blocks.wanted.techniques)})


def _axis(group: Mapping[str, npt.NDArray[Any]], units: Mapping[str, str]) -> Axis:
    """Return a side of a space as an axis; of several axes whose product counts that, with each of them beside it."""
    name, values = next(iter(group.items()))
    if len(group) == 1:
        words = values.dtype == object
        return Axis(plain(name, None if words else Quantity(units[name])), values)
    rates = [unit for unit in (units[each] for each in group) if unit != "1"]
    product = np.asarray(np.prod(list(group.values()), axis=0))
    beside = {each: (units[each], own) for each, own in group.items()}
    return Axis(plain("_x_".join(group), Quantity(rates[0] if rates else "1")), product, beside=beside)


def digest_of(blocks: Blocks, grid: Grid) -> str:
    """Return what identifies the numbers of all chips: the code, what the study asks, everything behind it, the cut."""
    asked = blocks.study.model_dump(mode="json", by_alias=True, exclude={"name", "digest"})
    asked["study"] = {name: value for name, value in asked["study"].items() if name not in _UNNUMBERED}
    behind = {
        "version": __version__,
        "sources": sources(),
        "study": asked,
        "specs": sorted([kind, name, spec.digest] for (kind, name), spec in grid.question.specs.items()),
        "cut": grid.lengths,
    }
    return hashlib.sha256(json.dumps(behind, sort_keys=True).encode()).hexdigest()[:LENGTH]


def kept(
    blocks: Blocks, path: Path, scheduler: str | None, progress: Callable[[int], None]
) -> Iterator[tuple[int, Arrays]]:
    """Yield what is kept of each block, in order, with every chip in a file when all are.

    Raises
    ------
    SpecError
        If the file cannot be written, or another process writes it.
    """
    grid = grid_of(blocks, arrays_of(blocks, 0))
    formats.check(grid, path)
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    digest = digest_of(blocks, grid)
    with _told(grid, digest, path), opened(grid, digest, path) as store:
        _fill(store, blocks, partial(arrays_of, blocks), partial(_last, grid), scheduler, progress)
        for number in range(grid.chunks):
            yield number, reap(blocks.wanted, blocks.source, number, _again(blocks, store, number))
        formats.write(grid, _places(blocks, store), attributes(grid, digest, []), path, store.folder)
        store.drop()


@dataclasses.dataclass(frozen=True)
class Reaped:
    """What is kept of blocks without their chips: so many, and the names of what is kept of each."""

    chunks: int
    names: frozenset[str]

    def holds(self, number: int, arrays: Arrays) -> bool:
        """Return whether arrays that were read back are all that is kept of a block."""
        return arrays.keys() == self.names


def is_front(path: Path) -> bool:
    """Return whether a file is to hold the front alone, by its name.

    Examples
    --------
    >>> is_front(Path("large.front.zarr")), is_front(Path("large.zarr"))
    (True, False)
    """
    return Path(path.stem).suffix == ".front"


@contextlib.contextmanager
def kept_front(
    blocks: Blocks, path: Path, scheduler: str | None, progress: Callable[[int], None]
) -> Iterator[tuple[Path, Iterator[tuple[int, Arrays]]]]:
    """Give a folder beside a file, and what is kept of each block, in order; it stays until the caller is done.

    Raises
    ------
    SpecError
        If the file cannot be written, or another process writes it.
    """
    if path.suffix not in (".nc", ".zarr"):
        raise SpecError(f"{path}: {unknown('ending of a front', path.suffix, ('.nc', '.zarr'))}")
    formats.writable(path)
    cut = Reaped(blocks.source.chunks, frozenset(reaped(blocks, 0)))
    digest = digest_of(blocks, grid_of(blocks, arrays_of(blocks, 0)))
    with _told(cut, digest, path), opened(cut, digest, path) as store:
        _fill(store, blocks, partial(reaped, blocks), dict, scheduler, progress)
        found = ((number, store.read(number)) for number in range(cut.chunks))
        yield store.folder, ((number, reaped(blocks, number) if each is None else each[0]) for number, each in found)
        store.drop()


def _fill(
    store: Store[Any],
    blocks: Blocks,
    task: Callable[[int], Arrays],
    packed: Callable[[Arrays], Arrays],
    scheduler: str | None,
    progress: Callable[[int], None],
) -> None:
    """Compute and keep the blocks that are missing."""
    chips = [math.prod(blocks.source.within(number)) for number in range(store.grid.chunks)]
    todo = store.missing()
    progress(sum(chips) - sum(chips[number] for number in todo))
    for number, arrays in computed(task, todo, cores(), scheduler, threads=True):
        store.keep(number, packed(arrays), [])
        progress(chips[number])


@contextlib.contextmanager
def _told(cut: Grid | Reaped, digest: str, path: Path) -> Iterator[None]:
    """Tell, where the disk takes no more, what is kept."""
    try:
        yield
    except OSError as error:
        left: Store[Any] = Store(cut, digest, folder_of(path, digest))
        there = cut.chunks - len(left.missing())
        rest = f"{there} of {cut.chunks} chunks are kept in {left.folder}; run the same again to go on"
        raise formats.failed(path, error, rest) from None


def _last(grid: Grid, arrays: Arrays) -> Arrays:
    """Return arrays with the technique last, as a sweep has the axes of a variable behind those of the grid."""
    return {name: _moved(grid, name, values, 0, -1) for name, values in arrays.items()}


def _moved(grid: Grid, name: str, values: npt.NDArray[Any], source: int, target: int) -> npt.NDArray[Any]:
    over = grid.question.command.variables[name].over
    return np.ascontiguousarray(np.moveaxis(values, source, target) if over else values)


def _again(blocks: Blocks, store: Store[Grid], number: int) -> Arrays:
    """Return a block as it was kept; computed anew if it does not read back whole."""
    found = store.read(number)
    if found is None:
        return arrays_of(blocks, number)
    return {name: _moved(store.grid, name, values, -1, 0) for name, values in found[0].items()}


def _places(blocks: Blocks, store: Store[Grid]) -> Iterator[tuple[Place, Arrays]]:
    for number in range(store.grid.chunks):
        yield store.grid.place(number), _last(store.grid, _again(blocks, store, number))
