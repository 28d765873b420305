"""Progress on standard error, on a terminal and off it."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from accelmodel.cli import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def watched(monkeypatch):
    """Standard error as a stream of some kind, and every time short."""

    def patch(kind, quiet=0.02):
        stream = kind()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(progress, "QUIET", quiet)
        monkeypatch.setattr(progress, "LINE", 0.02)
        return stream

    return patch


def wait_for(stream, word):
    """Wait until a word is on a stream, five seconds at most."""
    end = time.monotonic() + 5.0
    while word not in stream.getvalue() and time.monotonic() < end:
        time.sleep(0.005)


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_work_that_is_done_soon_shows_nothing(watched, kind):
    stream = watched(kind, quiet=1.0)
    with progress.working("a stage"):
        pass
    assert stream.getvalue() == ""


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_work_that_fails_ends_its_progress(watched, kind):
    stream = watched(kind)
    with pytest.raises(ZeroDivisionError), progress.working("a stage"):
        raise ZeroDivisionError(wait_for(stream, "a stage"))
    told = stream.getvalue()
    time.sleep(0.05)
    assert "a stage" in told
    assert stream.getvalue() == told


def test_lines_off_a_terminal(watched, capsys):
    stream = watched(io.StringIO)
    with progress.progress_bars() as advance:
        advance("designs", 8, 3)
        wait_for(stream, "\n")
    lines = stream.getvalue().splitlines()
    assert lines
    assert all(re.fullmatch(r"designs, 3 of 8, \d+ s", line) for line in lines)
    assert capsys.readouterr().out == ""


def test_bars_on_a_terminal(watched, capsys):
    """Stages in turn: the first is done when the second begins; a name is no markup."""
    stream = watched(Terminal)
    with progress.in_turn() as begin:
        begin("[b]one[/b]")
        wait_for(stream, "0/?")
        begin("two")
    told = stream.getvalue()
    assert "[b]one[/b]" in told
    assert "0/?" in told
    assert "two" in told
    assert told.count("1/1") >= 2
    assert capsys.readouterr().out == ""
