"""The command ``sweep``: what it writes and tells, two at once, and a process that is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.sweeps import run as runs

QUESTION = """
[sweep]
command = "step"
title = "mine <b>"
{more}
[fixed]
device = "h100-sxm"
model = "llama-3-8b"
context = 4096
[axes]
technique = ["none", "preserve"]
l2.capacity = {{ from = "10MB", to = "100MB", step = "10MB" }}
batch = [1, 8, 100000]
"""
FIGURE = 'figure = { y = "step_time", x = "l2.capacity", lines = ["technique"], at = { batch = 8 } }'


@pytest.fixture
def written(tmp_path):
    def write(more=""):
        (tmp_path / "mine.toml").write_text(QUESTION.format(more=more), encoding="utf-8")
        return tmp_path

    return write


def test_it_writes_the_numbers_and_says_where(answer, written):
    here = written()
    data = answer("sweep mine")
    assert data["output"] == "mine.nc"
    assert data["figure"] is None
    assert (data["points"], data["feasible"]) == (60, 40)
    assert [axis["name"] for axis in data["axes"]] == ["technique", "l2.capacity", "batch"]
    assert data["axes"][1]["first"] == 10e6
    with xr.open_dataset(here / "mine.nc", engine="scipy") as found:
        assert float(found.step_time.where(found.feasible).min()) == data["variables"]["step_time"]["min"]
        assert np.array_equal(found.step_time.values, am.sweep(here / "mine.toml").step_time.values, equal_nan=True)
    assert sorted(os.listdir(here)) == ["mine.nc", "mine.toml"]


def test_the_table_and_the_figure(run, written):
    here = written(FIGURE + '\noutput = "there.csv"')
    code, out, err = run("sweep mine")
    assert code == 0, err
    assert "60 points, 40 feasible" in out
    assert "there.csv" in out
    page = (here / "there.html").read_text(encoding="utf-8")
    assert "mine &lt;b&gt;" in page
    assert "mine <b>" not in page
    assert sorted(os.listdir(here)) == ["mine.toml", "there.csv", "there.html"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("nothing", "unknown sweep 'nothing'"),
        ("mine --output a.hdf", "unknown ending of an output '.hdf'"),
        ("mine --most 10", "over the limit of 10 points"),
        ("mine --figure x.html", "the file asks for none"),
        ("mine --chunk 0", "chunk"),
        ("mine --output nowhere/x.nc", "cannot be written"),
    ],
)
def test_what_is_wrong_is_said_before_the_work(refused, written, monkeypatch, options, says):
    written()
    monkeypatch.setattr(runs, "evaluate", lambda *_: pytest.fail("work was begun"))
    assert says in refused(f"sweep {options}")


def test_a_place_for_the_figure_is_checked_before_the_work(refused, written, monkeypatch):
    written(FIGURE)
    monkeypatch.setattr(runs, "evaluate", lambda *_: pytest.fail("work was begun"))
    assert "cannot be written" in refused("sweep mine --figure nowhere/x.html")


@pytest.mark.parametrize("place", [".", "..", "/", "mine.toml/x"])
def test_a_place_that_can_be_no_output_is_named_as_the_output(refused, written, place):
    written(FIGURE)
    assert f"{place}: unknown ending of an output" in refused(f"sweep mine --output {place}")


def test_where_no_figure_can_be_drawn_the_answer_is_there(run, written):
    here = written(FIGURE.replace("batch = 8", "batch = 100000"))
    code, out, err = run("sweep mine --json")
    assert code == 2
    assert json.loads(out)["feasible"] == 40
    assert "no point of the figure is feasible" in err
    assert sorted(os.listdir(here)) == ["mine.nc", "mine.toml"]


def test_an_interrupt_says_what_is_kept(run, written, monkeypatch):
    here = written("chunk = 6")
    real, seen = runs.evaluate, []

    def evaluate(*given):
        seen.append(given)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(runs, "evaluate", evaluate)
    code, out, err = run("sweep mine")
    assert (code, out) == (130, "")
    assert "stopped; 2 of 10 chunks are kept in mine.nc." in err
    seen.extend([None] * 3)
    code, _, err = run("sweep mine --json")
    assert code == 0
    assert len(seen) == 6 + 8
    assert sorted(os.listdir(here)) == ["mine.nc", "mine.toml"]


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("mine.nc.*.parts/0*.npz"))


def test_a_killed_process_loses_nothing_and_two_do_not_mix(run, refused, written, monkeypatch):
    """One process is at work, a second is refused, the first is killed without warning, and a third goes on."""
    here = written("chunk = 1")
    command = [sys.executable, "-m", "accelmodel", "sweep", "mine.toml", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(am.__file__).parents[1])}
    first = subprocess.Popen(
        command, cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120.0
        while len(kept(here)) < 3 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        second = refused("sweep mine") if first.poll() is None else ""
    finally:
        first.kill()
        _, told = first.communicate()
    assert first.returncode == -9, "it was done before it could be killed"
    assert "mine.nc: another process is computing it" in second
    whole = len(kept(here))
    assert whole >= 3
    assert all(int(line.split()[0]) <= whole for line in told.splitlines() if " of 60 chunks after" in line)
    real, seen = runs.evaluate, []
    monkeypatch.setattr(runs, "evaluate", lambda *given: seen.append(given) or real(*given))
    code, out, _ = run("sweep mine --json")
    assert code == 0
    assert len(seen) == 60 - whole
    assert json.loads(out)["points"] == 60
    with xr.open_dataset(here / "mine.nc", engine="scipy") as found:
        assert np.array_equal(found.step_time.values, am.sweep(here / "mine.toml").step_time.values, equal_nan=True)
    assert sorted(os.listdir(here)) == ["mine.nc", "mine.toml"]
