"""Files that others wrote: plain files of bounded size, UTF-8 text, and the lines that errors name.

What is no plain file is never read: a named pipe would wait for ever and a device never ends.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief

#: largest file of a specification, and of a table [B]
SPECIFICATION, TABLE = 1 << 20, 1 << 22
_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
}
_WORD = r"(?:\"[^\"]*\"|'[^']*'|[\w-]+)"
_NAME = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_NAME})\s*\]\]?")
_KEY = re.compile(rf"\s*({_NAME})\s*=")
_SYNTAX = re.compile(r"(.*) \(at line (\d+), column \d+\)")


def read_bytes(path: Path, most: int = SPECIFICATION) -> bytes:
    """Return the content of a file.

    Raises
    ------
    SpecError
        If it cannot be read, is no plain file, or is larger than ``most`` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError:  # no file can have that name
        raise SpecError(f"{brief(str(path))}: cannot be read (no file has such a name); check the path") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            kind = _KINDS.get(stat.S_IFMT(about.st_mode), "is something else")
            raise SpecError(f"{path}: cannot be read ({kind}, no file); give a plain file")
        with open(handle, "rb", closefd=False) as file:
            raw = b"" if about.st_size > most else file.read(most + 1)
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    finally:
        os.close(handle)
    if about.st_size > most or len(raw) > most:
        raise SpecError(f"{path}: larger than {most >> 20} MiB; keep what is needed")
    return raw


def is_file(path: Path) -> bool:
    """Tell whether a file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there; a name that no folder can have is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def as_text(path: Path, raw: bytes) -> str:
    """Return bytes as text, without the mark that some editors write first; SpecError with the line if it is none."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from None


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the columns of a CSV file, and of each row its line and its cells by column, empty where there is none.

    Blank lines, and lines that begin with ``#``, are left out.

    Raises
    ------
    SpecError
        If it cannot be read, is not CSV, names a column twice, or a row has more cells than columns.
    """
    text = as_text(path, read_bytes(path, TABLE))
    reader = csv.reader("\n" if line.startswith("#") else line for line in io.StringIO(text, newline=""))
    columns: list[str] = []
    rows = []
    try:
        for line, cells in _numbered(reader):
            if not columns:
                columns = [cell.strip() for cell in cells]
                twice = next((name for name in columns if columns.count(name) > 1), None)
                if twice is not None:
                    raise SpecError(f"{path}:{line}: column {brief(twice)} stands twice; leave one out")
                continue
            if len(cells) > len(columns):
                raise SpecError(f"{path}:{line}: has {len(cells)} cells for {len(columns)} columns; correct the row")
            filled = [*cells, *[""] * (len(columns) - len(cells))]
            rows.append((line, dict(zip(columns, (cell.strip() for cell in filled), strict=True))))
    except csv.Error as error:
        raise SpecError(f"{path}:{reader.line_num}: is not CSV ({error}); save it so") from None
    return columns, rows


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that hold something, with the line that each begins on."""
    line = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """Return the content of a TOML text; SpecError with the line where it is none."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number too long to read
        found = _SYNTAX.fullmatch(str(error))
        place, why = (f"{path}:{found[2]}", found[1]) if found else (str(path), str(error))
        raise SpecError(f"{place}: is not valid TOML: {why}") from None


def toml_lines(text: str) -> dict[str, int]:
    """Return the line of each table and key of a TOML text, by dotted name.

    Examples
    --------
    >>> toml_lines("[device]\\nprice = 1\\n\\n[device.l2]\\nways = 8\\n")
    {'device': 1, 'device.price': 2, 'device.l2': 4, 'device.l2.ways': 5}
    """
    found: dict[str, int] = {}
    table, inside = "", ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not inside:
            header, key = _HEADER.match(line), _KEY.match(line)
            if header:
                table = _plain(header[1])
                found.setdefault(table, number)
            elif key:
                found.setdefault(f"{table}.{_plain(key[1])}".removeprefix("."), number)
        for quotes in ('"""', "'''"):
            if inside in ("", quotes) and line.count(quotes) % 2:
                inside = "" if inside else quotes
    return found


def _plain(name: str) -> str:
    """Return a dotted name without quotes and blanks."""
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def at(path: Path | str, name: str, lines: Mapping[str, int]) -> str:
    """Return ``PATH:LINE`` of a key by its dotted name, or of the nearest table around it; else the path alone.

    Examples
    --------
    >>> at("a.toml", "space.l2_capacity.step", {"space": 3, "space.l2_capacity": 4})
    'a.toml:4'
    """
    name = name.strip("[]")
    while name and name not in lines:
        name = name.rpartition(".")[0]
    return f"{path}:{lines[name]}" if name else str(path)


def json_place(path: Path, key: str) -> str:
    """Return ``PATH:LINE`` of a key of a JSON file, of the text part where there is one; else the path alone."""
    try:
        text = as_text(path, read_bytes(path))
    except SpecError:  # gone since
        return str(path)
    sought = re.compile(rf'"{re.escape(key)}"\s*:')
    found = sought.search(text, max(text.find('"text_config"'), 0)) or sought.search(text)
    return f"{path}:{text.count(chr(10), 0, found.start()) + 1}" if found else str(path)
