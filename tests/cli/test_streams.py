"""Answers that cannot be printed, and complaints that nobody reads."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from accelmodel import output
from accelmodel.cli import app, specs


class Failing(io.StringIO):
    """A stream that takes some letters and then no more."""

    def __init__(self, error, room=0):
        super().__init__()
        self.error, self.room = error, room

    def write(self, text):
        self.room -= len(text)
        if self.room < 0:
            raise self.error
        return super().write(text)


@pytest.fixture
def main(monkeypatch):
    """Run a command with streams of one's own; return exit code and standard error."""

    def call(command, out, err):
        monkeypatch.setattr(sys, "argv", ["accelmodel", *command.split()])
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as ended:
            app.main()
        return ended.value.code

    return call


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
CLOSED = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


@pytest.mark.parametrize("command", ["list", "list --json", "--version", "--help", "schema link", "show h100-sxm"])
@pytest.mark.parametrize("room", [0, 10])
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FULL, "standard output: cannot be written (No space left on device); the answer was not printed whole"),
        (CLOSED, "standard output was closed before the answer was printed whole"),
    ],
)
def test_an_answer_that_cannot_be_printed_is_one_line_and_exit_2(main, command, room, error, says):
    err = io.StringIO()
    assert main(command, Failing(error, room), err) == 2
    assert err.getvalue() == f"accelmodel: {says}\n"


def test_what_was_written_before_is_named(main, monkeypatch, tmp_path):
    real = specs.known

    def writing(*arguments):
        output.write(tmp_path / "a file", "")
        return real(*arguments)

    monkeypatch.setattr(specs, "known", writing)
    err = io.StringIO()
    assert main("list", Failing(FULL), err) == 2
    assert err.getvalue().endswith(f"not printed whole; kept: {tmp_path / 'a file'}\n")


def test_a_closed_standard_output_is_said_before_the_work(main, monkeypatch):
    monkeypatch.setattr(specs, "known", lambda *_: pytest.fail("worked"))
    err = io.StringIO()
    assert main("list", None, err) == 2
    assert err.getvalue() == "accelmodel: standard output is closed; give it a place, such as > /dev/null\n"


@pytest.mark.parametrize("err", [None, Failing(FULL), Failing(CLOSED, 5)], ids=["none", "full", "closed"])
def test_bars_and_complaints_that_nobody_reads_stop_nothing(main, err, tmp_path):
    out = io.StringIO()
    assert main("validate --claims --json", out, err) == 0
    assert json.loads(out.getvalue())["rows"]
    assert main("lisst", io.StringIO(), err) == 2


@pytest.mark.parametrize("error", [FULL, OSError("odd")])
def test_other_faults_of_the_system_are_one_line(main, monkeypatch, error):
    def failing(*_):
        raise error

    monkeypatch.setattr(specs, "known", failing)
    err = io.StringIO()
    assert main("list", io.StringIO(), err) == 2
    assert err.getvalue().count("\n") == 1
    assert str(error.strerror or error) in err.getvalue()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_as_a_user_meets_it():
    root = Path(app.__file__).parents[2]
    with open("/dev/full", "w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "accelmodel", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=root, check=False)
    assert done.returncode == 2
    says = "standard output: cannot be written (No space left on device); the answer was not printed whole"
    assert done.stderr == f"accelmodel: {says}\n"
