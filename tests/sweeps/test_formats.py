"""Whatever the names, every format is read back as it was written, and without warnings."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.specs import find

NAMES = ['o\'neil "quoted", comma', "漢字 ünï→\u200b", "a;b\tc"]


@pytest.mark.parametrize("ending", ["nc", "zarr", "csv"])
def test_names_of_any_kind_come_back(tmp_path, monkeypatch, warm, ending):
    if ending == "zarr":
        pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    text = find.path_of("device", "h100-sxm").read_text(encoding="utf-8")
    for i, name in enumerate(NAMES):
        (tmp_path / f"{name}.toml").write_text(text.replace("3.35,", f"{i + 1},"), encoding="utf-8")
    question = {
        "sweep": {"command": "step", "title": 'ünï\n"x"', "chunk": 2},
        "fixed": {"model": "llama-3-8b", "context": 4096},
        "axes": {"device": NAMES, "batch": [1, 8]},
    }
    memory = am.sweep(question)
    assert len(set(memory.step_time.values[:, 0])) == len(NAMES)
    path = tmp_path / f"out {NAMES[0]}.{ending}"
    found = am.sweep(question, output=path)
    if ending == "csv":
        import pandas as pd

        table = pd.read_csv(path).set_index(["device", "batch"])
        found = table.to_xarray().sel(device=NAMES)
    elif ending == "nc":
        found = xr.open_dataset(path, engine="scipy")
    else:
        found = xr.open_zarr(path)
    with found:
        assert found.device.values.tolist() == NAMES
        for name in memory.data_vars:
            assert np.array_equal(found[name].values, memory[name].values), name
            assert found[name].dtype == memory[name].dtype
        if ending != "csv":
            assert found.attrs == memory.attrs
            assert found.batch.attrs == memory.batch.attrs


@pytest.mark.parametrize("ending", ["nc", "zarr", "csv"])
def test_words_and_own_axes_come_back(tmp_path, warm, ending):
    if ending == "zarr":
        pytest.importorskip("zarr")
    question = {
        "sweep": {"command": "operators"},
        "fixed": {"model": "llama-3-8b", "device": "h100-sxm", "context": 4096},
        "axes": {"batch": [1, 8], "tp": [1, 64]},
    }
    memory = am.sweep(question)
    found = am.sweep(question, output=tmp_path / f"out.{ending}").load()
    assert memory.bound.dims == ("batch", "tp", "operator")
    assert set(memory.bound.values[:, 0].ravel()) > {"none"}
    assert not memory.feasible[:, 1].any()
    for name in memory.data_vars:
        assert found[name].dims == memory[name].dims
        assert found[name].values.astype(str).tolist() == memory[name].values.astype(str).tolist(), name


def test_a_store_is_cut_as_it_was_computed(tmp_path, warm):
    pytest.importorskip("zarr")
    pytest.importorskip("dask")
    question = {
        "sweep": {"command": "step", "chunk": 4},
        "fixed": {"model": "llama-3-8b", "device": "h100-sxm", "context": 4096},
        "axes": {"technique": ["none", "preserve"], "batch": [1, 2, 3, 4, 5]},
    }
    found = am.sweep(question, output=tmp_path / "a.zarr")
    assert found.step_time.chunks == ((1, 1), (4, 1))


def test_a_store_of_before_is_replaced_whole(tmp_path, warm):
    pytest.importorskip("zarr")
    question = {
        "sweep": {"command": "step"},
        "fixed": {"model": "llama-3-8b", "device": "h100-sxm", "context": 4096},
        "axes": {"batch": [1, 2, 3]},
    }
    am.sweep(question, output=tmp_path / "a.zarr").close()
    found = am.sweep(question | {"axes": {"batch": [4]}}, output=tmp_path / "a.zarr")
    assert found.batch.values.tolist() == [4]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
