"""Commands run as a user runs them, in an empty folder."""

from __future__ import annotations

import json
import sys

import pytest

from accelmodel.cli import app, progress


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """However slow the machine is, no progress among what a command says."""
    monkeypatch.setattr(progress, "QUIET", 3600.0)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, warm):
    """Run a command in an empty folder; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    # what else is compiled depends on what ran before on this machine
    monkeypatch.setattr(app, "_say_compiling", lambda kernel: None)

    def call(command, *more):
        monkeypatch.setattr(sys, "argv", ["accelmodel", *command.split(), *more])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


@pytest.fixture
def answer(run):
    """Run a command with --json and return the document; nothing else may be printed."""

    def call(command, *more):
        code, out, err = run(command, *more, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


@pytest.fixture
def refused(run):
    """Run a command that is wrong: exit code 2, nothing on standard output, one line (of a file one a fault)."""

    def call(command, *more):
        code, out, err = run(command, *more)
        assert (code, out) == (2, "")
        assert err.endswith("\n")
        lines = err.splitlines()
        assert len(lines) == 1 or all(".toml:" in line for line in lines[:10])
        assert all(line.startswith("accelmodel: ") for line in lines)
        assert len(lines) <= 11
        assert "Traceback" not in err
        assert "internal error" not in err
        return err

    return call
