"""Answers as JSON-ready data, and as tables and progress bars for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from accelmodel.specs.base import Spec


def print_table(title: str, columns: list[str], rows: list[list[str]], left: int = 1) -> None:
    """Print a table; the first ``left`` columns are words."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _console().print(table)


def _console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for every column where there is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=200)


def say(text: str) -> None:
    """Print one line."""
    _console().print(text, highlight=False, markup=False)


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

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, Any] = {}

    def advance(stage: str, total: int, done: int) -> None:
        if not tasks:
            bars.start()
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.advance(tasks[stage], done)

    try:
        yield advance
    finally:
        if tasks:  # nothing drawn leaves no line
            bars.stop()
