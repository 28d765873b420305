"""The command ``sweep``: parse, call, print.  No physics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from accelmodel.cli.completion import name_of
from accelmodel.cli.options import Json, answered
from accelmodel.cli.progress import progress_bars
from accelmodel.cli.streams import complain
from accelmodel.cli.terminal import print_table, say
from accelmodel.errors import SpecError
from accelmodel.output import writable
from accelmodel.sweeps import formats, run
from accelmodel.sweeps.figure import figure_of
from accelmodel.sweeps.names import PLAIN
from accelmodel.sweeps.question import Question, load_sweep
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(add_completion=False)
#: work that takes less is begun without a word on how long it takes [s]
_BEFORE = 1.0

File = Annotated[
    str, typer.Argument(help="Shipped name such as l2-that-pays, or a TOML file.", autocompletion=name_of("sweep"))
]
Output = Annotated[
    Path | None,
    typer.Option("--output", help="What to write, such as l2.nc, l2.zarr or l2.csv; that of the file, or NAME.nc."),
]
Chunk = Annotated[
    int | None, typer.Option("--chunk", min=1, help="Points that are computed and kept at once, such as 100000.")
]
Workers = Annotated[int, typer.Option("--workers", min=1, max=1024, help="Processes on this machine, such as 2.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="Address of a Dask scheduler, such as tcp://host:8786.")
]
Most = Annotated[float, typer.Option("--most", help="Points beyond which nothing is begun, such as 1e8.")]
Pictured = Annotated[
    Path | None, typer.Option("--figure", help="Page of the file's figure, such as l2.html; beside the output.")
]


@contextmanager
def _progress(expected: run.Estimate) -> Iterator[Callable[[str, int, int], None]]:
    """Give what tells how far the work is, and as it begins what was estimated, unless it takes no second."""
    told = expected.seconds <= _BEFORE
    with progress_bars() as advance:

        def tell(stage: str, total: int, done: int) -> None:
            nonlocal told
            if not told:
                complain([expected.words()])
                told = True
            advance(stage, total, done)

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


def print_summary(data: dict[str, Any]) -> None:
    """Print axes and variables, and where the numbers are."""
    rows = []
    for axis in data["axes"]:
        ends = (axis["first"], axis["last"])
        words = [end if isinstance(end, str) else _shown(end, axis["unit"]) for end in ends]
        rows.append([axis["name"], str(axis["values"]), *words])
    print_table(data["title"] or data["name"], ["axis", "values", "first", "last"], rows)
    rows = []
    for name, variable in data["variables"].items():
        ends = (variable["min"], variable["max"])
        rows.append([name, *("-" if end is None else show(end, variable["unit"]) for end in ends)])
    print_table(f"{data['points']:,} points, {data['feasible']:,} feasible", ["variable", "least", "largest"], rows)
    for reason in data["skipped"]:
        say(f"left out: {reason}")
    for note in data["notes"]:
        say(note)
    say(f"weakest fact: {data['weakest_fact']}; written: {data['output']}")
    if data["figure"]:
        say(f"figure: {data['figure']}")


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
    formats.check(grid, path)
    drawn = figure_of(question, grid.labels)
    picture = _picture(question, path, figure)
    expected = run.estimate(grid, workers)
    for folder in run.left_behind(question, path, chunk)[1]:
        complain(
            [f"{folder} holds chunks of another question, or of files as they were; remove it if it is not needed"]
        )
    try:
        with _progress(expected) as tell:
            found = run.sweep(
                question, output=path, chunk=chunk, workers=workers, scheduler=scheduler, most=most, progress=tell
            )
    except KeyboardInterrupt:
        state, _ = run.left_behind(question, path, chunk)
        complain([f"stopped; {state}"])
        raise typer.Exit(130) from None
    data = summary(question, found)
    data["estimate"] = {"chunks": expected.chunks, "time_s": expected.seconds, "bytes": expected.bytes}
    data["output"] = str(path)
    data["figure"] = None
    with answered(data, as_json, print_summary):
        if picture is not None and drawn is not None:
            from accelmodel.report.sweep_figures import draw

            data["figure"] = str(draw(found, picture, **drawn, title=question.head.title))


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
