"""Tables as wide as a terminal is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from accelmodel.cli import terminal


@pytest.mark.parametrize(
    ("width", "shown", "missing"),
    [
        (60, ["name", "time", "bytes", "share"], ""),
        (26, ["name", "time", "bytes"], "share"),
        (19, ["name", "time"], "share, bytes"),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_whole_words(monkeypatch, width, shown, missing):
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    monkeypatch.setattr(terminal, "_console", lambda: console)
    row = ["attention", "1.5 ms", "12 GB", "40%"]
    terminal.print_table("", ["name", "time", "bytes", "share"], [row], spare=["share", "bytes"])
    printed = console.file.getvalue()
    head = next(line for line in printed.splitlines() if "name" in line)
    assert head.split() == shown
    assert " ".join(row[: len(shown)]) in " ".join(printed.split())
    told = " ".join(printed.split()).partition("narrow: ")[2]
    assert told == (f"{missing}; --json has them" if missing else "")


def test_a_pipe_gets_all_columns_on_one_line(monkeypatch):
    console = Console(width=20, file=io.StringIO())
    monkeypatch.setattr(terminal, "_console", lambda: console)
    terminal.print_table("", ["name", "reason"], [["attention", "for " * 40 + "this"]], spare=["reason"])
    assert any("attention" in line and "this" in line for line in console.file.getvalue().splitlines())


def test_a_title_is_as_long_as_it_is(monkeypatch):
    console = Console(width=80, file=io.StringIO())
    monkeypatch.setattr(terminal, "_console", lambda: console)
    terminal.print_table("longer than its table", ["name"], [["a"]])
    assert console.file.getvalue().splitlines()[0].rstrip() == "longer than its table"
