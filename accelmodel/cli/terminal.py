"""Answers as JSON-ready data, and as tables and progress bars for a terminal."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelmodel.errors import SpecError, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from accelmodel.specs.base import Spec

#: longest message on standard error
_LONGEST = 1200
#: how a stream writes what its encoding lacks, and what stands for what people know
_LIKENESS = "accelmodel.likeness"
_ALIKE = {"µ": "u", "²": "2", "–": "-", "→": "->", "…": "...", "×": "x", "é": "e", "·": "."}


def print_table(title: str, columns: list[str], rows: list[list[str]], left: int = 1) -> None:
    """Print a table; the first ``left`` columns are words."""
    from rich import box
    from rich.table import Table

    table = Table(title=_words(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(_words(column), justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(_words, row))
    _console().print(table)


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


def complain(text: str) -> None:
    """Print one line on standard error, shortened where it is longer than anyone reads."""
    line = plain(" ".join(text.split()))
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST * 3 // 4]} … {line[-_LONGEST // 4 :]}"
    sys.stderr.write(f"accelmodel: {line}\n")


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


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Give a callable (stage, total, done) that draws progress bars on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, Any] = {}

    def advance(stage: str, total: int, done: int) -> None:
        if not tasks:
            bars.start()  # not before: what is refused at once leaves no empty bar
        if stage not in tasks:
            tasks[stage] = bars.add_task(plain(stage), total=total)
        bars.advance(tasks[stage], done)

    try:
        yield advance
    finally:
        if tasks:
            bars.stop()


def write_text(path: Path, text: str) -> None:
    """Write a file; SpecError if it cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
