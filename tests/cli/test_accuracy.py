"""The commands ``validate`` and ``calibrate``: keys of the rows, and the files that they write."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from faults import FAULTS, Plan, each_fault

import accelmodel as am
from accelmodel.specs import facts
from accelmodel.validation import calibrated, table


def test_validate(answer, tmp_path):
    data = answer("validate --claims --output table.md")
    keys = {"claim", "source", "published", "model", "relative_error", "tolerance", "within", "calibrated_on_it"}
    keys |= {"device", "kind", "precision", "n", "median_ape", "mean_ape", "p90_ape", "bias", "split"}
    assert len(data["rows"]) > 10
    assert all(keys <= set(row) for row in data["rows"])
    assert data["region"]["holds"] == len(data["region"]["points"])
    assert data["region"]["tested"] == 540
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    titles = [line for line in lines if line.startswith("## ")]
    assert titles == ["## Measured kernels", "## Published claims", "## Other measurements"]
    assert sum(line.startswith("| ") for line in lines) == len(titles) + len(data["rows"])


MINE = """
[device]
like = "h100-sxm"
link = "own-link.toml"
[default]
kind = "datasheet"
source = "data-sheet"
locator = "page 1"
[sources.data-sheet]
title = "a chip"
"""
#: quotes, a backslash, a comment and letters beyond ASCII, in the names of files and so of specifications
ODD = 'chïp "a" \\ #1'


def measurements(folder, name="rows.csv"):
    """Write matmuls and all-reduces as some chip might run them."""
    rng = np.random.default_rng(0)
    lines = ["kind,m,n,k,operation,devices,elements,bits,time_s"]
    for m, n, k in 2 ** rng.integers(6, 13, (200, 3)):
        lines.append(f"matmul,{m},{n},{k},,,,16,{2.0 * m * n * k / 4e14 + 5e-6}")
    for devices, size in zip(rng.choice([2, 4, 8], 200), 2 ** rng.integers(10, 27, 200), strict=True):
        lines.append(f"all-reduce,,,,1,{devices},{size},16,{4.0 * size / 3e11 + 1e-5}")
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def own_chip(folder, name="chip"):
    (folder / f"{name}.toml").write_text(MINE, encoding="utf-8")
    shutil.copy(facts.root() / "links" / "nvlink4-switch.toml", folder / "own-link.toml")


@pytest.fixture
def fitted_once(monkeypatch):
    """Fit once: what is written does not depend on how long it took."""
    found = []
    real = calibrated.calibration.calibrate

    def once(*arguments):
        found.append(found[0] if found else real(*arguments))
        return found[0]

    monkeypatch.setattr(calibrated.calibration, "calibrate", once)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_whatever_fails_constants_are_the_old_or_the_new_ones(run, tmp_path, fitted_once, every):
    complete: dict[str, str] = {}
    names = ("fit.toml", "own-link.calibrated.toml")

    def fill(folder):
        own_chip(folder)
        measurements(folder)
        for name, text in complete.items():
            (folder / name).write_text(f"# old\n{text}", encoding="utf-8")

    def look(folder):
        for name in names:
            text = (folder / name).read_text(encoding="utf-8")
            assert text.removeprefix("# old\n") == complete.setdefault(name, text), f"{name} is half"

    each_fault(run, tmp_path, "calibrate chip.toml --measurements rows.csv --output fit.toml", fill, look, every)
    assert all(tomllib.loads(text) for text in complete.values())


def test_files_of_a_fit_are_written_beside_each_other_whatever_the_names(run, tmp_path, fitted_once):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    own_chip(tmp_path / "here", ODD)
    measurements(tmp_path / "here", f"{ODD}.csv")
    chip, rows = (str(Path("here") / f"{ODD}.{end}") for end in ("toml", "csv"))
    place = str(Path("there") / f"{ODD}.calibrated.toml")
    code, out, err = run("calibrate", chip, "--measurements", rows, "--output", place, "--json")
    assert code == 0, err
    assert json.loads(out)["files"] == [place, str(Path("there") / "own-link.calibrated.toml")]
    for path in (tmp_path / "there").iterdir():
        shutil.copy(path, tmp_path / "here")
    fitted = am.load("device", tmp_path / chip)
    assert fitted.name == ODD
    fact = fitted.facts["compute.matrix_share"]
    assert f"given {ODD}.csv" in fact.locator
    assert fact.value == pytest.approx(json.loads(out)["constants"]["matrix_share"]["value"], rel=1e-3)
    assert am.load("link", tmp_path / "here" / "own-link.toml").residuals


def test_device_and_link_are_not_written_into_one_file(refused, tmp_path, fitted_once):
    own_chip(tmp_path)
    measurements(tmp_path)
    command = "calibrate chip.toml --measurements rows.csv --output own-link.calibrated.toml"
    assert "choose another name with --output" in refused(command)


def test_what_was_fitted_is_told_though_it_cannot_be_written(run, tmp_path, fitted_once):
    own_chip(tmp_path)
    measurements(tmp_path)
    command = "calibrate chip.toml --measurements rows.csv --output fit.toml --json"
    with Plan(tmp_path) as plan:
        run(command)
    last = max(place for place, text in enumerate(plan.seen) if text.startswith("os.rename") and "fit.toml" in text)
    with Plan(tmp_path, last, FAULTS["disk full"]):
        code, out, err = run(command)
    assert code == 2
    data = json.loads(out)
    assert data["constants"]
    assert data["files"] == ["own-link.calibrated.toml"]
    told = err.splitlines()[-1]
    assert told.startswith("accelmodel: fit.toml: cannot be written (No space left on device)")
    assert told.endswith("; kept: own-link.calibrated.toml")


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_a_place_is_looked_at_before_the_work(refused, monkeypatch, option):
    monkeypatch.setattr(table, "validate", lambda *_, **__: pytest.fail("worked"))
    assert f"choose another place with {option}" in refused(f"validate --claims {option} no/file")
