"""Every script in ``sweeps/`` answers, and writes its numbers and its picture."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "sweeps").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_answers(script, tmp_path, monkeypatch, capsys, warm):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script.name, "--quick"])
    runpy.run_path(str(script), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    written = {path.suffix for path in tmp_path.iterdir()}
    assert written == {".nc", ".html"}
