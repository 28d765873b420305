"""Progress of work that takes more than a second, on standard error: bars on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from accelmodel.errors import plain

#: nothing is shown of work that takes less [s]
QUIET = 1.0
#: time between two frames of the bars, and between two lines [s]
FRAME, LINE = 0.1, 10.0


@dataclass
class Stage:
    """How much of a part of the work is done; of one with a total of 1 only that it is."""

    total: int
    done: int = 0


Stages = dict[str, Stage]


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Give a callable (stage, total, done) that shows progress on standard error."""
    stages: Stages = {}
    over = threading.Event()
    shown = _bars if sys.stderr.isatty() else _lines
    watcher = threading.Thread(target=shown, args=(stages, over), daemon=True)

    def advance(stage: str, total: int, done: int) -> None:
        stages.setdefault(stage, Stage(total)).done += done

    watcher.start()
    try:
        yield advance
    finally:
        over.set()
        watcher.join()


@contextmanager
def in_turn() -> Iterator[Callable[[str], None]]:
    """Give a callable (stage) for work whose stages follow one another: the next begins when the one before is done."""
    with progress_bars() as advance:
        under_way: list[str] = []

        def begin(stage: str) -> None:
            while under_way:
                advance(under_way.pop(), 1, 1)
            advance(stage, 1, 0)
            under_way.append(stage)

        yield begin
        while under_way:
            advance(under_way.pop(), 1, 1)


@contextmanager
def working(stage: str) -> Iterator[None]:
    """Show that work of one stage goes on."""
    with in_turn() as begin:
        begin(stage)
        yield


def _bars(stages: Stages, over: threading.Event) -> None:
    if over.wait(QUIET):
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}
        ended = False
        while not ended:
            ended = over.wait(FRAME)
            for name, stage in list(stages.items()):
                if name not in tasks:
                    tasks[name] = bars.add_task(plain(name), total=None)
                # a stage without parts pulses until it is done
                total = stage.total if stage.total > 1 or stage.done else None
                bars.update(tasks[name], total=total, completed=stage.done)


def _lines(stages: Stages, over: threading.Event) -> None:
    begun = time.monotonic()
    wait = QUIET
    while not over.wait(wait):
        wait = LINE
        for name, stage in list(stages.items())[-1:]:
            parts = f" {stage.done} of {stage.total}," if stage.total > 1 else ""
            sys.stderr.write(f"{name},{parts} {time.monotonic() - begun:.0f} s\n")
            sys.stderr.flush()
