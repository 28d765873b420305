"""Files of fitted constants: written, read back, and known to be of one chip alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import accelmodel as am
from accelmodel.specs.hardware import FLAT
from accelmodel.specs.load import path_of
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
