"""The command ``sweep``: parse, call, print.  No physics."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.markup import escape

from accelmodel import __version__
from accelmodel.cli.options import Json, emit
from accelmodel.cli.terminal import print_table, progress_bars, say
from accelmodel.errors import SpecError
from accelmodel.sweeps import run
from accelmodel.sweeps.figure import figure_of
from accelmodel.sweeps.formats import writable
from accelmodel.sweeps.names import PLAIN
from accelmodel.sweeps.question import Question, load_sweep
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(add_completion=False)
#: time between two lines of progress where there is no terminal, and before the first [s]
_QUIET = 5.0
_BEFORE = 1.0

File = Annotated[str, typer.Argument(help="Shipped name, or path of a TOML file.")]
Output = Annotated[
    Path | None, typer.Option("--output", help="What to write: .nc, .zarr or .csv; that of the file, or NAME.nc.")
]
Chunk = Annotated[int | None, typer.Option("--chunk", min=1, help="Points that are computed and kept at once.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=1024, help="Processes on this machine.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="Address of a Dask scheduler, such as tcp://host:8786.")
]
Most = Annotated[float, typer.Option("--most", help="Points beyond which nothing is begun.")]
Pictured = Annotated[Path | None, typer.Option("--figure", help="Page of the file's figure; beside the output.")]


@contextmanager
def _progress(expected: run.Estimate) -> Iterator[Callable[[str, int, int], None]]:
    """Give what tells the estimate before the work, and then how far it is.

    Bars on a terminal, elsewhere a line now and then; nothing of what takes no second.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"{expected.words()}\n")
        with progress_bars() as advance:
            yield advance
        return
    told = expected.seconds <= _BEFORE
    begun = time.monotonic()
    next_at = begun + _BEFORE
    done = 0

    def tell(stage: str, total: int, more: int) -> None:
        nonlocal done, next_at, told
        if not told:
            sys.stderr.write(f"{expected.words()}\n")
            told = True
        done += more
        now = time.monotonic()
        if now >= next_at and done < total:
            sys.stderr.write(f"{done} of {total} {stage} after {now - begun:.0f} s\n")
            sys.stderr.flush()
            next_at = now + _QUIET

    yield tell


def _range_of(values: xr.DataArray, feasible: xr.DataArray) -> dict[str, float | None]:
    """Return the least and the largest value of the points that can be."""
    found = values.where(feasible) if set(feasible.dims) <= set(values.dims) else values
    low, high = float(found.min()), float(found.max())
    return {"min": low if np.isfinite(low) else None, "max": high if np.isfinite(high) else None}


def summary(question: Question, found: xr.Dataset) -> dict[str, Any]:
    """Return what a sweep gives, as JSON-ready data; the numbers themselves are in its file."""
    axes = []
    for axis in question.axes:
        values = axis.values.tolist()
        axes.append(
            {
                "name": axis.field.full,
                "dimension": axis.dim,
                "unit": axis.field.unit,
                "values": len(values),
                "first": values[0],
                "last": values[-1],
            }
        )
    variables = {}
    for name, values in found.data_vars.items():
        if values.dtype.kind == "f":
            about = {"unit": values.attrs["units"], **_range_of(values, found["feasible"])}
            variables[str(name)] = {**about, "dimensions": list(map(str, values.dims))}
    return {
        "name": question.name,
        "title": question.head.title,
        "command": question.head.command,
        "accelmodel_version": __version__,
        "points": question.points,
        "feasible": int(found["feasible"].sum()),
        "axes": axes,
        "variables": variables,
        "skipped": json.loads(found.attrs["skipped"]),
        "weakest_fact": found.attrs["weakest_fact"],
        "notes": [note for note in found.attrs["notes"].split("; ") if note],
    }


def _shown(value: float, unit: str) -> str:
    """Return a value of an axis; what is counted is written out."""
    return f"{value:.10g}" if unit in PLAIN else show(value, unit)


def _plain(text: str) -> str:
    """Return text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def print_summary(data: dict[str, Any]) -> None:
    """Print axes and variables, and where the numbers are."""
    rows = []
    for axis in data["axes"]:
        ends = (axis["first"], axis["last"])
        words = [end if isinstance(end, str) else _shown(end, axis["unit"]) for end in ends]
        rows.append([axis["name"], str(axis["values"]), *map(_plain, words)])
    print_table(escape(_plain(data["title"] or data["name"])), ["axis", "values", "first", "last"], rows)
    rows = []
    for name, variable in data["variables"].items():
        ends = (variable["min"], variable["max"])
        rows.append([name, *("-" if end is None else show(end, variable["unit"]) for end in ends)])
    print_table(f"{data['points']:,} points, {data['feasible']:,} feasible", ["variable", "least", "largest"], rows)
    for reason in data["skipped"]:
        say(_plain(f"left out: {reason}"))
    for note in data["notes"]:
        say(_plain(note))
    say(_plain(f"weakest fact: {data['weakest_fact']}; written: {data['output']}"))
    if data["figure"]:
        say(_plain(f"figure: {data['figure']}"))


@app.command("sweep")
def sweep_command(
    file: File,
    output: Output = None,
    chunk: Chunk = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    most: Most = run.MOST,
    figure: Pictured = None,
    as_json: Json = False,
) -> None:
    """A question over a grid of any axes, chunk by chunk, into a NetCDF, Zarr or CSV file; goes on where it ended."""
    question = load_sweep(file)
    path = output or Path(question.head.output or f"{question.name}.nc")
    grid = run.limited(question, chunk, most)
    drawn = figure_of(question, grid.labels)
    picture = _picture(question, path, figure)
    expected = run.estimate(grid, workers)
    for folder in run.left_behind(question, path, chunk)[1]:
        sys.stderr.write(
            f"{folder} holds chunks of another question, or of files as they were; remove it if it is not needed\n"
        )
    try:
        with _progress(expected) as tell:
            found = run.sweep(
                question, output=path, chunk=chunk, workers=workers, scheduler=scheduler, most=most, progress=tell
            )
    except KeyboardInterrupt:
        state, _ = run.left_behind(question, path, chunk)
        sys.stderr.write(f"stopped; {state}\n")
        raise typer.Exit(130) from None
    data = summary(question, found)
    data["estimate"] = {"chunks": expected.chunks, "time_s": expected.seconds, "bytes": expected.bytes}
    data["output"] = str(path)
    data["figure"] = None
    problem: SpecError | None = None
    if picture is not None and drawn is not None:
        from accelmodel.report.sweep_figures import draw

        try:
            data["figure"] = str(draw(found, picture, **drawn, title=question.head.title))
        except SpecError as error:  # the numbers are there all the same
            problem = error
    emit(data) if as_json else print_summary(data)
    if problem is not None:
        raise problem


def _picture(question: Question, path: Path, figure: Path | None) -> Path | None:
    """Return where the figure goes, None if there is none; checked before the work."""
    asked = question.head.figure
    if asked is None and figure is not None:
        raise SpecError('--figure: the file asks for none; add figure = { y = "step_time", x = "batch" } to [sweep]')
    if asked is None:
        return None
    found = figure or Path(asked.file or path.with_suffix(".html"))
    writable(found, "--figure")
    return found
