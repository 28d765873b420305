"""Any answer as a file: what is read back is what was written, and what stood there is replaced whole or stays."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.sweeps import save


@pytest.fixture
def found(warm):
    return am.time_step("llama-3-8b", "h100-sxm", {"phase": "decode", "batch": [1, 8], "context": 512, "tp": 8})


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_names_and_numbers_are_read_back(found, tmp_path, ending):
    if ending == ".zarr":
        pytest.importorskip("zarr")
    path = tmp_path / f"step{ending}"
    for _ in range(2):  # the second replaces the first
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert am.save(found, path) == path
    engine = {".nc": "scipy", ".zarr": "zarr"}[ending]
    with xr.open_dataset(path, engine=engine) as back:
        np.testing.assert_array_equal(back.step_time.values, found.step_time.values)
        assert back.operator.values.tolist() == found.operator.values.tolist()
        assert back.bound.values.tolist() == found.bound.values.tolist()
        assert back.step_time.attrs["units"] == "s"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_row_a_point(found, tmp_path):
    path = am.save(found[["step_time"]], tmp_path / "step.csv")
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    assert head == "batch,step_time"
    assert [float(row.split(",")[1]) for row in rows] == found.step_time.values.tolist()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("step.txt", "unknown ending of an output '.txt'"),
        ("step", "unknown ending"),
        ("no/step.nc", "cannot be written"),
    ],
)
def test_a_place_that_can_be_none(found, tmp_path, name, says):
    with pytest.raises(SpecError, match=says):
        am.save(found, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_stood_there_stays_where_writing_fails(found, tmp_path, monkeypatch):
    path = tmp_path / "step.nc"
    path.write_text("before", encoding="utf-8")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(save.WRITERS, ".nc", full)
    with pytest.raises(SpecError, match="No space left"):
        am.save(found, path)
    assert path.read_text(encoding="utf-8") == "before"


def test_no_dataset():
    with pytest.raises(SpecError, match="is no dataset"):
        am.save(3.0, "x.nc")
