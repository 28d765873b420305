"""Files of fitted constants: written, read back, and known to be of one chip alone."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from mutations import mutated

import accelmodel as am
from accelmodel.specs.hardware import FLAT
from accelmodel.specs.load import calibrated_path, path_of
from accelmodel.validation import calibrated


def test_a_file_of_fitted_constants_reads_back(chip, matmuls, tmp_path):
    base = tmp_path / "my-chip.toml"
    base.write_bytes(Path(path_of("device", "h100-sxm")).read_bytes())
    rows = tmp_path / "rows.csv"
    matmuls.rename(columns={"time": "time_s"}).assign(kind="matmul").to_csv(rows, index=False)
    data = calibrated.calibrate(str(base), rows, None)
    assert data["files"] == [str(tmp_path / "my-chip.calibrated.toml")]
    again, bare = am.load("device", str(base)), am.load("device", str(base), fitted=False)
    for name, found in data["constants"].items():
        assert getattr(again, name) == pytest.approx(found["value"], rel=1e-3)  # four digits are written
        assert again.facts[FLAT[name]].kind == "calibrated"
    assert bare.matrix_share == chip.device.matrix_share
    assert again.residuals
    assert not bare.residuals
    row = data["rows"][0]
    assert row["split"] == "held-out"
    assert row["median_ape"] < 0.03 < row["roofline_median_ape"]  # 2 % noise; the roofline knows none of the constants
    assert json.loads(json.dumps(data)) == data
    assert not am.override(again, l2_capacity=1e8).residuals  # another chip than the one that was measured


@pytest.mark.parametrize("times", [150, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_a_damaged_file_of_constants_is_refused_by_name_or_read(tmp_path, times):
    shutil.copy(path_of("device", "h100-sxm"), tmp_path / "chip.toml")
    sound = calibrated_path(path_of("device", "h100-sxm")).read_bytes()
    beside = tmp_path / "chip.calibrated.toml"
    rng = random.Random(times)
    read = 0
    for _ in range(times):
        beside.write_bytes(mutated(sound, rng))
        try:
            residuals = am.load("device", tmp_path / "chip.toml").residuals
        except am.SpecError as error:
            assert all(str(beside) in line or line.startswith("and ") for line in str(error).splitlines())
        else:
            read += 1
            assert all(0.0 < each.lower <= each.upper and each.rows > 0 for each in residuals)
    assert read < times / 4


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('kind = "matmul"', 'kind = "matmull"', "unknown kind of residual 'matmull', did you mean 'matmul'"),
        ("lower = 0.", "lower = 9.", "exchange them"),
        ("lower = 0.", "lower = nan  # ", "finite"),
        ("rows = ", "rows = -", "must be at least 1"),
        ("rows = ", "rows = 1.5 #", "rows"),
    ],
)
def test_residuals_are_checked(tmp_path, old, new, says):
    shutil.copy(path_of("device", "h100-sxm"), tmp_path / "chip.toml")
    text = calibrated_path(path_of("device", "h100-sxm")).read_text(encoding="utf-8")
    head, tail = text.split("[[residual]]", 1)
    beside = tmp_path / "chip.calibrated.toml"
    beside.write_text(f"{head}[[residual]]{tail.replace(old, new)}", encoding="utf-8")
    with pytest.raises(am.SpecError, match=r"chip\.calibrated\.toml: residual") as error:
        am.load("device", tmp_path / "chip.toml")
    assert says in str(error.value)
