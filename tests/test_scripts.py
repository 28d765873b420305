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


@pytest.mark.parametrize(
    ("script", "arguments", "says"),
    [
        ("tp_against_latency", ["--device", "nowhere"], "unknown device 'nowhere'"),
        ("precision", ["--batch", "0"], "batch: 0 must be at least 1"),
        ("hbm_generation", ["--stacks", "0"], "--stacks 0"),
        ("preserve_gain_map", ["--output", "map.txt"], "unknown ending of an output '.txt'"),
        ("cake_crossover", ["--quick", "--bandwidth", "4"], "4 B/s must be at least 1 kB/s"),
        ("cheapest_instance", ["--quick", "--region", "nowhere"], "unknown region 'nowhere'"),
        ("l2_size_that_pays", ["--l2", "64MB", "8MB", "8MB"], "--l2 64MB 8MB 8MB: give a size, a larger one"),
        ("l2_size_that_pays", ["--l2", "8MB", "64MB", "0MB"], "--l2 8MB 64MB 0MB: give a size, a larger one"),
        ("link_budget_that_pays", ["--bandwidth", "7", "9"], "--bandwidth: '7' has no unit"),
        ("link_budget_that_pays", ["--quick", "--output", "no/x.nc"], "no/x.nc: cannot be written"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(script, arguments, says, tmp_path, monkeypatch, capsys, warm):
    path = next(each for each in SCRIPTS if each.stem == script)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [path.name, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    last = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert last.startswith(f"{path.name}: ")
    assert says in last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_uses_nothing_but_the_door(script):
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith(("import", "from"))]
    assert lines == ["import argparse", "import accelmodel as am"]
