"""Raw tables of measurements on one device: what a run holds, how it is written and read back.

A run is a folder with ``run.toml``, which says on what it was measured, and one CSV file for each table below.  A
time that was not measured is an empty cell, and ``note`` says why; nothing else is ever written in its place.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.output import failed, make_folder, toml_string, write
from accelmodel.specs import files
from accelmodel.specs.facts import read_toml, root

#: changes when columns change meaning
SCHEMA = 1
HEADER_FILE = "run.toml"
#: of a table of one run
_MOST_BYTES = 1 << 26
#: precision → bits of an element of both operands; outputs are 16 bit
BITS = {"bf16": 16, "fp16": 16, "fp8": 8}


class Column(NamedTuple):
    """One column of a table, or one key of the header."""

    name: str
    unit: str
    type: type
    meaning: str


_TIMES = (
    Column("time_s", "s", float, "median over the repeats"),
    Column("low_s", "s", float, "10th percentile over the repeats"),
    Column("high_s", "s", float, "90th percentile over the repeats"),
    Column("note", "1", str, "why there is no time, else empty"),
)
#: columns that are empty until they are measured
MEASURED = tuple(column.name for column in _TIMES)
_REPEATS = Column("repeats", "1", int, "replays of the graph that the median is over")
_PRECISION = Column("precision", "1", str, f"{', '.join(BITS)}: of both operands; the output is 16 bit")

#: table → its columns
TABLES: dict[str, tuple[Column, ...]] = {
    "matmul": (
        _PRECISION,
        Column("cache", "1", str, "cold: the weights come from HBM; hot: the same weights again and again"),
        Column("m", "1", int, "rows of activations"),
        Column("n", "1", int, "output features"),
        Column("k", "1", int, "input features"),
        Column("copies", "1", int, "copies of the weights that are used in turn"),
        Column("matmuls", "1", int, "matmuls in the graph"),
        _REPEATS,
        *_TIMES,
    ),
    "bandwidth": (
        Column("footprint_bytes", "B", int, "bytes that are read over and over, always in the same order"),
        Column("passes", "1", int, "times that one launch reads them"),
        Column("launches", "1", int, "launches in the graph"),
        _REPEATS,
        *_TIMES,
    ),
    "reread": (
        Column("probe_bytes", "B", int, "bytes read in every round; 0 in the rows that time the others alone"),
        Column("others_bytes", "B", int, "other bytes, cold, read between two reads of the probe"),
        Column("rounds", "1", int, "rounds in the graph"),
        _REPEATS,
        *_TIMES,
    ),
    "preserve": (
        _PRECISION,
        Column("m", "1", int, "rows of activations"),
        Column("operators", "1", str, "matmuls of the window as n x k, in order; none: only what stands for them"),
        Column("stand_in", "1", str, "what stands for the collective: none, spin, or traffic, which also copies"),
        Column("duration_s", "s", float, "time the stand-in is set to last"),
        Column("message_bytes", "B", int, "bytes the stand-in copies, the same buffers in every window"),
        Column("prefetch_bytes", "B", int, "first bytes of the weights that are prefetched beside the stand-in"),
        Column("join", "1", str, "after: operators start with the prefetch on its way; before: they wait for it"),
        Column("hint", "1", str, "eviction policy of the prefetch: normal or evict-last"),
        Column("windows", "1", int, "windows in the graph, each with weights of its own"),
        _REPEATS,
        *_TIMES,
    ),
}

#: keys of the header that are known before anything is measured
PLANNED = (
    Column("schema", "1", int, "version of this layout"),
    Column("device", "1", str, "specification in hwspecs/devices that the run is compared with"),
    Column("l2_bytes", "B", int, "L2 capacity as the driver says; in a dry run that of the specification"),
    Column("memory_bytes", "B", int, "device memory, likewise"),
    Column("seed", "1", int, "of the order of measurements and of the data"),
    Column("command", "1", str, "command line of the run"),
    Column("accelmodel", "1", str, "version of this package"),
    Column("dry", "1", bool, "true: nothing was measured and all times are empty"),
)
#: and those that only a run on a device has
OBSERVED = (
    Column("device_name", "1", str, "name as the driver says"),
    Column("driver", "1", str, "version of the driver"),
    Column("cuda", "1", str, "version of CUDA that PyTorch was built with"),
    Column("torch", "1", str, "version of PyTorch"),
    Column("triton", "1", str, "version of Triton"),
    Column("date", "1", str, "UTC, ISO 8601"),
    Column("sm_clock_before_hz", "1/s", float, "clock of the multiprocessors under load, before the run"),
    Column("memory_clock_before_hz", "1/s", float, "memory clock under load, before the run"),
    Column("sm_clock_after_hz", "1/s", float, "the same after the run; missing if the run was cut off"),
    Column("memory_clock_after_hz", "1/s", float, "the same after the run; missing if the run was cut off"),
)
_MAY_BE_MISSING = ("sm_clock_after_hz", "memory_clock_after_hz")


class Run(NamedTuple):
    """A run as read back: header by key, rows by table and column; an empty time is None."""

    folder: Path
    header: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]


def operators_text(operators: list[tuple[int, int]]) -> str:
    """Return the matmuls of a window as the tables hold them.

    Examples
    --------
    >>> operators_text([(1280, 8192), (8192, 1024)])
    '1280x8192 8192x1024'
    """
    return " ".join(f"{n}x{k}" for n, k in operators)


def operators_of(text: str) -> list[tuple[int, int]]:
    """Return the matmuls of a window, as (n, k); none for ``none``.

    Examples
    --------
    >>> operators_of("1280x8192 8192x1024"), operators_of("none")
    ([(1280, 8192), (8192, 1024)], [])
    """
    pairs = [part.split("x") for part in text.split()] if text != "none" else []
    return [(int(n), int(k)) for n, k in pairs]


def write_header(folder: Path, header: Mapping[str, Any]) -> None:
    """Write ``run.toml``; raises SpecError if a key is unknown, missing or of another type."""
    _check_header(folder / HEADER_FILE, header)
    make_folder(folder, "--out")
    # a JSON number or truth value is one in TOML as well
    values = [toml_string(value) if isinstance(value, str) else json.dumps(value) for value in header.values()]
    lines = [f"{name} = {value}\n" for name, value in zip(header, values, strict=True)]
    write(folder / HEADER_FILE, "".join(lines), "--out")


def write_table(folder: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one table, each row as soon as it is there, and return how many there were.

    Parameters
    ----------
    folder : Path
        Of the run.
    name : str
        One of ``TABLES``.
    rows : iterable of mapping
        Column → value; measured columns may be missing and are then empty.
    """
    columns = [column.name for column in TABLES[name]]
    make_folder(folder, "--out")
    path, count = folder / f"{name}.csv", 0
    try:
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            # Python 3.11 and 3.12 leave a carriage return bare, which ends the line for whoever reads it
            quoting = csv.DictWriter(file, columns, restval="", lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writeheader()
            for row in rows:
                bare = any(isinstance(value, str) and "\r" in value for value in row.values())
                (quoting if bare else writer).writerow(row)
                file.flush()
                count += 1
    except OSError as error:
        raise failed(path, error, "--out") from None
    return count


def read_run(folder: Path) -> Run:
    """Read a run back, checked.

    Raises
    ------
    SpecError
        If a key, column or value is missing, unknown or not of its type, a time is not a positive number, or a dry
        run has times; names file, line and column.
    """
    path = folder / HEADER_FILE
    header, _ = read_toml(path)
    _check_header(path, header)
    tables = {name: _read_table(folder / f"{name}.csv", name) for name in TABLES if (folder / f"{name}.csv").exists()}
    if not tables:
        raise SpecError(f"{folder}: has {HEADER_FILE} but none of {', '.join(f'{name}.csv' for name in TABLES)}")
    if header["dry"] and any(row["time_s"] is not None for rows in tables.values() for row in rows):
        raise SpecError(f"{path}: dry is true but there are times; a dry run measures nothing, remove the folder")
    return Run(folder, header, tables)


def runs(folder: Path | None = None) -> list[Run]:
    """Return all runs below a folder, ``hwspecs/measured`` by default, sorted by path; none if it does not exist."""
    return [read_run(path.parent) for path in sorted((folder or root() / "measured").rglob(HEADER_FILE))]


def _check_header(path: Path, header: Mapping[str, Any]) -> None:
    dry = header.get("dry", False)
    allowed = {column.name: column for column in (PLANNED if dry else (*PLANNED, *OBSERVED))}
    for name, value in header.items():
        if name not in allowed:
            raise SpecError(f"{path}: {unknown('key', name, allowed)}")
        if type(value) is not allowed[name].type:
            raise SpecError(f"{path}: {name} is {brief(value)}, expected {allowed[name].type.__name__}")
    missing = [name for name in allowed if name not in header and name not in _MAY_BE_MISSING]
    if missing:
        raise SpecError(f"{path}: {', '.join(missing)} missing; measure again, a header is not written by hand")
    if header["schema"] != SCHEMA:
        raise SpecError(f"{path}: schema {header['schema']} is not {SCHEMA}, the one this version reads; measure again")


def _read_table(path: Path, name: str) -> list[dict[str, Any]]:
    columns = TABLES[name]
    try:
        reader = csv.reader(
            io.StringIO(files.as_text(path, files.read_bytes(path, _MOST_BYTES)), newline=""), strict=True
        )
        head = next(reader, [])
        if head != [column.name for column in columns]:
            raise SpecError(f"{path}: columns are {brief(head)}, expected {','.join(c.name for c in columns)}")
        return [_row(f"{path}:{reader.line_num}", columns, cells) for cells in reader]
    except csv.Error as error:
        raise SpecError(f"{path}: cannot be read ({error}); measure again") from None


def _row(where: str, columns: tuple[Column, ...], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise SpecError(f"{where}: has {len(cells)} cells, expected {len(columns)}; measure again, or remove the line")
    row = {column.name: _cell(where, column, text) for column, text in zip(columns, cells, strict=True)}
    times = [row["time_s"], row["low_s"], row["high_s"]]
    if any(time is None for time in times) and any(time is not None for time in times):
        raise SpecError(f"{where}: time_s, low_s and high_s must be all given or all empty")
    return row


def _cell(where: str, column: Column, text: str) -> Any:
    """Return a cell as its type; None for an empty time."""
    if column.type is str or (text == "" and column.name in MEASURED):
        return text if column.type is str else None
    try:
        value = column.type(text)
    except ValueError:
        raise SpecError(f"{where}: {column.name} is {brief(text)}, expected {column.type.__name__}") from None
    least = 0.0 if column.name not in MEASURED else math.ulp(0.0)
    if not least <= value < math.inf:
        raise SpecError(f"{where}: {column.name} is {brief(text)} {column.unit}, expected a positive finite number")
    return value
