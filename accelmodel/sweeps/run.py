"""A sweep: estimated, checked, computed chunk by chunk, kept, and labelled."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelmodel.errors import Infeasible, SpecError, brief
from accelmodel.estimates import duration
from accelmodel.sweeps import formats
from accelmodel.sweeps.dataset import attributes, whole
from accelmodel.sweeps.digest import digest_of
from accelmodel.sweeps.grid import MOST_REASONS, Arrays, Grid, Place, evaluate, grid_of, runs
from accelmodel.sweeps.lazily import lazy
from accelmodel.sweeps.question import Question, load_sweep, read
from accelmodel.sweeps.spread import computed
from accelmodel.sweeps.store import Store, folder_of, opened, others
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

Progress = Callable[[str, int, int], None]
#: points of a sweep unless more are allowed
MOST = 100_000_000
#: chunks of a sweep: each is a file
MOST_CHUNKS = 100_000


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take: points, chunks, time within a factor of three [s], and size of the answer [B]."""

    points: int
    chunks: int
    seconds: float
    bytes: float

    def words(self) -> str:
        """Return it in words."""
        return (
            f"{self.points:,} points in {self.chunks:,} chunks, about {duration(self.seconds)}, "
            f"{show(self.bytes, 'B', 3)}"
        )


def estimate(grid: Grid, workers: int = 1) -> Estimate:
    """Return what a sweep will take, before it is begun."""
    question = grid.question
    calls = math.prod(
        len(axis.values) if not runs(question, axis) else count
        for axis, count in zip(question.axes, grid.counts, strict=True)
    )
    a_call, a_point = question.command.seconds
    seconds = (calls * a_call + question.points * a_point) / max(1, min(workers, grid.chunks))
    return Estimate(question.points, grid.chunks, seconds, question.points * grid.point_bytes)


def asked(question: str | os.PathLike[str] | Mapping[str, Any] | Question) -> Question:
    """Return the question that a name, a path, or a mapping with the tables of a file stands for."""
    if isinstance(question, Question):
        return question
    if isinstance(question, Mapping):
        return read(question, "sweep", bare=True)
    if isinstance(question, str | os.PathLike):
        return load_sweep(os.fspath(question))
    raise SpecError(f"a sweep is a name, a path or a mapping with sweep, fixed and axes, not {brief(question)}")


def sweep(
    question: str | os.PathLike[str] | Mapping[str, Any] | Question,
    *,
    output: str | os.PathLike[str] | None = None,
    chunk: int | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    most: float = MOST,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Answer a question over a grid of any axes, chunk by chunk.

    Parameters
    ----------
    question : str, path or mapping
        Shipped name or file of a sweep, or its three tables: ``sweep`` (``command``, ``title`` …), ``fixed`` and
        ``axes``, each name with its values.  Numbers in a mapping are in SI, text has its unit.
    output : path, optional
        ``.nc``, ``.zarr`` or ``.csv``.  Finished chunks are kept beside it until it is whole: the same call goes on
        where one before it ended, however that was.
    chunk : int, optional
        Points that are evaluated and kept at once [1]; as suits the command by default.
    workers : int
        Processes on this machine [1].
    scheduler : str, optional
        Address of a Dask scheduler whose workers compute the chunks instead.
    most : float
        Points beyond which nothing is begun [1].
    progress : callable, optional
        Told (stage, all, done) after each chunk that is kept.

    Returns
    -------
    xarray.Dataset
        Over the axes, each under its name with dots as underscores; variables by command, see the page of
        ``accelmodel sweep``.  Points that cannot be hold no number, and ``feasible`` is false there; ``skipped`` says
        why.  With ``output`` it is read from the file, lazily; where an axis is a Dask array, nothing is computed
        before it is asked for.

    Raises
    ------
    SpecError
        If a key, name, unit or value is wrong, the output cannot be written, or there are too many points.
    Infeasible
        If no point of it can be.

    Examples
    --------
    >>> found = sweep({
    ...     "sweep": {"command": "step"},
    ...     "fixed": {"device": "h100-sxm", "model": "llama-3-8b", "context": 4096},
    ...     "axes": {"technique": ["none", "preserve"], "l2.capacity": ["40MB", "80MB"], "batch": [1, 8]},
    ... })
    >>> dict(found.sizes), found.step_time.attrs["units"]
    ({'technique': 2, 'l2_capacity': 2, 'batch': 2}, 's')
    """
    wanted = asked(question)
    grid = limited(wanted, chunk, most)
    if scheduler is not None and workers > 1:
        raise SpecError("workers are processes on this machine, and a scheduler has its own; give one of the two")
    expected = estimate(grid, workers)
    told = progress or _silent
    if output is None:
        if any(axis.chunks for axis in wanted.axes):
            return lazy(grid)
        return _in_memory(grid, expected, (workers, scheduler), told)
    path = Path(output)
    formats.check(grid, path)
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    digest = digest_of(grid)
    try:
        with opened(grid, digest, path) as store:
            return _kept(store, path, (workers, scheduler), told)
    except OSError as error:
        raise formats.failed(path, error, _state(grid, path, digest)) from None


def limited(question: Question, chunk: int | None, most: float = MOST) -> Grid:
    """Return the grid of a question; SpecError with the number if it has too many points or chunks."""
    points, (_, a_point) = question.points, question.command.seconds
    if not points <= most:
        least = duration(points * a_point)
        width = len(question.command.variables) * 8.0
        raise SpecError(
            f"{points:,} points, at least {least} and some {show(points * width, 'B', 2)}, are over the limit of "
            f"{most:,.0f} points; narrow an axis, or raise the limit with most={points:.2g} (--most)"
        )
    grid = grid_of(question, chunk)
    if grid.chunks > MOST_CHUNKS:
        raise SpecError(
            f"{grid.chunks:,} chunks of {math.prod(grid.lengths):,} points are over the limit of {MOST_CHUNKS:,} "
            "chunks; narrow an axis, or make chunks larger (--chunk)"
        )
    return grid


def _silent(stage: str, total: int, done: int) -> None:
    """Progress that nobody watches."""


def _state(grid: Grid, path: Path, digest: str) -> str:
    """Return in words what is kept of a sweep that did not end."""
    store = Store(grid, digest, folder_of(path, digest))
    done = grid.chunks - len(store.missing())
    return f"{done} of {grid.chunks} chunks are kept in {store.folder}; run the same again to go on"


def left_behind(question: Question, path: Path, chunk: int | None) -> tuple[str, list[Path]]:
    """Return in words what is kept of a sweep, and the folders that other questions left for the same output."""
    grid = grid_of(question, chunk)
    digest = digest_of(grid)
    return _state(grid, path, digest), others(path, digest)


def _in_memory(grid: Grid, expected: Estimate, where: tuple[int, str | None], told: Progress) -> xr.Dataset:
    if expected.bytes > formats.MEMORY_MOST:
        raise SpecError(f"{expected.words()}: too much for memory; give an output, or chunked axes")
    reasons: dict[str, None] = {}

    def parts() -> Iterator[tuple[Place, Arrays]]:
        for number, (arrays, why) in computed(partial(_chunk, grid), list(range(grid.chunks)), *where):
            reasons.update(dict.fromkeys(why))
            yield grid.place(number), arrays
            told("points", grid.chunks, 1)

    found = whole(grid, parts(), {})
    if not bool(found.feasible.any()) and reasons:
        raise Infeasible(f"no point can be: {next(iter(reasons))}")
    return found.assign_attrs(attributes(grid, digest_of(grid), list(reasons)[:MOST_REASONS]))


def _kept(store: Store[Grid], path: Path, where: tuple[int, str | None], told: Progress) -> xr.Dataset:
    grid = store.grid
    todo = store.missing()
    told("chunks", grid.chunks, grid.chunks - len(todo))
    for number, (arrays, why) in computed(partial(_chunk, grid), todo, *where):
        store.keep(number, arrays, why)
        told("chunks", grid.chunks, 1)
    reasons: dict[str, None] = {}
    feasible = False
    for number in range(grid.chunks):
        arrays, why = _again(store, number)
        reasons.update(dict.fromkeys(why))
        feasible = feasible or bool(arrays["feasible"].any())
    if not feasible and reasons:
        raise Infeasible(f"no point can be: {next(iter(reasons))}")
    attrs = attributes(grid, store.digest, list(reasons)[:MOST_REASONS])
    formats.write(grid, _parts(store), attrs, path, store.folder)
    found = whole(grid, _parts(store), attrs) if path.suffix == ".csv" else formats.read(path)
    store.drop()
    return found


def _chunk(grid: Grid, number: int) -> tuple[Arrays, list[str]]:
    return evaluate(grid, grid.place(number))


def _parts(store: Store[Grid]) -> Iterator[tuple[Place, Arrays]]:
    for number in range(store.grid.chunks):
        yield store.grid.place(number), _again(store, number)[0]


def _again(store: Store[Grid], number: int) -> tuple[Arrays, list[str]]:
    """Return a chunk as it was kept; computed anew if it does not read back whole."""
    found = store.read(number)
    return _chunk(store.grid, number) if found is None else found
