"""Answers as JSON-ready data, and as tables for a terminal."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from accelmodel.errors import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from accelmodel.specs.base import Spec

#: how a stream writes what its encoding lacks, and what stands for what people know
_LIKENESS = "accelmodel.likeness"
_ALIKE = {"µ": "u", "²": "2", "–": "-", "→": "->", "…": "...", "×": "x", "é": "e", "·": "."}


#: characters of a line that no table reaches
_WIDEST = 10_000


def print_table(
    title: str, columns: list[str], rows: list[list[str]], left: int = 1, spare: Sequence[str] = ()
) -> None:
    """Print a table; the first ``left`` columns are words.

    Where the terminal is too narrow the ``spare`` columns are left out, in order, and a line says which; a file or a
    pipe gets them all.
    """
    console = _console()
    shown = list(columns)
    table = _table(columns, rows, left, shown)
    missing = []
    for name in spare if console.is_terminal else ():
        if _width(console, table) <= console.width:
            break
        shown.remove(name)
        missing.append(name)
        table = _table(columns, rows, left, shown)
    if spare and not console.is_terminal:
        console.width = max(console.width, _width(console, table))
    if title:
        console.print(_words(title), style="italic", highlight=False)
    console.print(table)
    if missing:
        say(f"left out, since the terminal is narrow: {', '.join(missing)}; --json has them")


def _width(console: Console, table: Table) -> int:
    """Return the width that a table needs [characters]."""
    return console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum


def _table(columns: list[str], rows: list[list[str]], left: int, shown: list[str]) -> Table:
    """Return a table with the columns that are shown."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    places = [i for i, column in enumerate(columns) if column in shown]
    for i in places:
        table.add_column(_words(columns[i]), justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_words(row[i]) for i in places))
    return table


def _console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for every column where there is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=200)


def say(text: str) -> None:
    """Print one line."""
    _console().print(_words(text), highlight=False)


def _words(text: str) -> Text:
    """Return text as words: nothing in it is markup, an emoji's name or an order to the terminal."""
    from rich.text import Text

    return Text(plain(text))


def has_display() -> bool:
    """Whether a browser can be opened for whoever sits here."""
    graphical = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(graphical) or sys.platform in ("darwin", "win32")


def any_encoding() -> None:
    """Let standard output and error write every character in whatever encoding they have, by a likeness or an escape.

    Under PYTHONIOENCODING=ascii µs is us.
    """
    codecs.register_error(_LIKENESS, _alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_LIKENESS)


def _alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ALIKE.get(each, ascii(each)[1:-1]) for each in error.object[error.start : error.end]), error.end


def say_notes(specs: Mapping[str, Spec]) -> None:
    """Print how many notes each specification has, by the name under which ``show`` tells them."""
    for name, spec in specs.items():
        if spec.notes:
            many = "1 note" if len(spec.notes) == 1 else f"{len(spec.notes)} notes"
            say(f"{many} on {spec.name}: accelmodel show {name}")


def say_intervals(factors: Mapping[str, Sequence[float]]) -> None:
    """Print between which factors of the model's times nine of ten measured operators of each kind lie."""
    kinds = ", ".join(f"{kind} {low - 1.0:+.0%}/{high - 1.0:+.0%}" for kind, (low, high) in factors.items())
    say(f"how far single operators may be off (nine of ten measured): {kinds}")
