"""Chips kept in a file: the store of sweeps, so that any end is gone on from and workers change no byte."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from accelmodel.dse.enumeration import blocks, keeping
from accelmodel.dse.enumeration import enumerate as enumeration
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.studies import space
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError
from accelmodel.sweeps import spread, store

#: 36 chips in three blocks; the limit excludes some
STUDY = """
[study]
title = "small"
device = "ascend-910b2"
bill = "ascend-910b"
objectives = ["throughput", "die_area", "tpot"]
[space]
l2_capacity = { values = ["8MB", "104MB", "192MB"] }
links = { values = ["7", "14"] }
link_bandwidth = { values = ["14GB/s", "28GB/s"] }
cores = { values = ["16", "20", "24", "28"] }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
phase = "decode"
weight_bits = 8
[software]
tp = [8]
[constraints]
die_area = "640mm2"
"""
BLOCK = 12


@pytest.fixture
def study(tmp_path, monkeypatch, warm):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    return load_study("./small.toml")


@pytest.fixture
def parts(study):
    return parts_of_study(study)


def told(found):
    return repr(dataclasses.replace(found, kept="", plan=None))


def looked(study, parts, **more):
    return enumeration.enumerate_space(study, parts, block=BLOCK, **more)


@pytest.mark.parametrize("name", ["a.nc", "a.zarr", "a.csv", "a.front.nc", "a.front.zarr"])
def test_what_is_kept_changes_nothing_and_goes_on_after_a_full_disk(study, parts, tmp_path, monkeypatch, name):
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    path = tmp_path / name
    plain = told(looked(study, parts))
    real, left = store.Store.keep, [2]

    def keep(*given):
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        real(*given)

    monkeypatch.setattr(store.Store, "keep", keep)
    with pytest.raises(SpecError, match="No space left on device.* 2 of 3 chunks are kept in .*run the same again"):
        looked(study, parts, keep=path)
    assert not path.exists()
    left[0] = 10**9
    computed = []
    task = "reaped" if ".front" in name else "arrays_of"
    once = getattr(keeping, task)
    monkeypatch.setattr(keeping, task, lambda each, number: computed.append(number) or once(each, number))
    found = looked(study, parts, keep=path)
    assert told(found) == plain
    assert len(set(computed) - {0}) == 1, "two of three were there; the first is computed to see what is kept of it"
    assert found.kept == str(path)
    assert sorted(os.listdir()) == [name, "small.toml"]


KILLED = """
import os, signal
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.studies.study import load_study

study, done = load_study("./small.toml"), []
def progress(chips):
    done.append(chips)
    if sum(done) >= 12:
        os.kill(os.getpid(), signal.SIGKILL)
enumerate_space(study, parts_of_study(study), progress, block=12, keep="a.nc")
"""


def test_a_kill_changes_no_byte(study, parts, tmp_path):
    ended = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert ended.returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob("a.nc.*.parts")
    assert len(list(folder.glob("*.npz"))) >= 1
    steps = []
    found = looked(study, parts, progress=steps.append, keep=tmp_path / "a.nc")
    assert steps[1] >= 12, "what was kept is told at once"
    assert sum(steps) == 36
    assert told(found) == told(looked(study, parts))
    before = (tmp_path / "a.nc").read_bytes()
    looked(study, parts, keep=tmp_path / "a.nc")
    assert (tmp_path / "a.nc").read_bytes() == before


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_every_chip_stands_in_the_file_under_its_axes(study, parts, tmp_path, name):
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    looked(study, parts, keep=tmp_path / name)
    every = evaluate(study, parts, **(points := space.points(study, 0, space.size(study))))
    with xr.open_dataset(name, engine="zarr" if name.endswith(".zarr") else "scipy") as kept:
        assert kept.attrs["title"] == "small"
        assert "ascend-910b2" in kept.attrs["digests"]
        assert kept.l2_capacity.attrs["units"] == "B"
        assert kept.throughput.attrs["units"] == "token/s"
        assert kept.excess_die_area.attrs["units"] == "1"
        # 7 x 28 GB/s are 14 x 14 GB/s: one dimension of what links bring together, with both beside it
        assert kept.links_x_link_bandwidth.attrs["units"] == "B/s"
        assert (kept.links * kept.link_bandwidth == kept.links_x_link_bandwidth).all()
        assert kept.sizes["links_x_link_bandwidth"] == 3
        for chip in range(space.size(study)):
            at = {name: float(values[chip]) for name, values in points.items()}
            at["links_x_link_bandwidth"] = at.pop("links") * at.pop("link_bandwidth")
            for variable in ("throughput", "tpot", "die_area", "feasible", "excess_die_area", "excess_memory"):
                own = every[variable].isel(design=chip) if "design" in every[variable].dims else every[variable]
                assert np.array_equal(kept[variable].sel(at).values, own.values), variable


def test_a_front_stands_in_its_file_under_its_techniques(study, parts, tmp_path):
    found = looked(study, parts, keep=tmp_path / "a.front.nc")
    assert found.front_by == ("throughput", "die_area", "tpot")
    with xr.open_dataset("a.front.nc", engine="scipy") as kept:
        for technique, rows in found.front.items():
            own = kept.isel(point=(kept.technique_of_point == technique).values)
            assert own.front_die_area.values.tolist() == [row["die_area"] for row in rows]
            assert kept.best_throughput.sel(technique=technique) == found.best[technique]["throughput"]
            assert own.front_cores.attrs["units"] == "1"
        values, best = found.curves["cores"]
        assert kept.cores.values.tolist() == values
        assert kept.curve_cores.sel(technique="none").values.tolist() == best["none"]


def test_a_file_that_cannot_be_is_refused(study, parts, tmp_path):
    with pytest.raises(SpecError, match="ending"):
        looked(study, parts, keep=tmp_path / "a.txt")
    with pytest.raises(SpecError, match="ending"):
        looked(study, parts, keep=tmp_path / "a.front.csv")
    for way in ("sample=5", "none"):
        with pytest.raises(SpecError, match="all chips are kept, or none"):
            looked(study, parts, way=way, keep=tmp_path / "a.nc")
    assert os.listdir() == ["small.toml"]


def digest(study, parts, block=BLOCK):
    found = blocks.blocks_of(study, parts, enumeration.wanted(study), enumeration.whole(study, block))
    return keeping.digest_of(found, keeping.grid_of(found, blocks.arrays_of(found, 0)))


def test_what_stands_behind_a_number_is_in_the_digest(study, parts, tmp_path):
    before = digest(study, parts)
    same = STUDY.replace('title = "small"', 'title = "other"\ntrials = 3\nseed = 5')
    changes = {
        same: True,
        STUDY.replace("192MB", "200MB"): False,
        STUDY.replace("context = [4096]", "context = [4097]"): False,
        STUDY.replace("640mm2", "641mm2"): False,
        STUDY.replace('"throughput", ', ""): False,
    }
    for text, alike in changes.items():
        (tmp_path / "small.toml").write_text(text, encoding="utf-8")
        assert (digest(load_study("./small.toml"), parts) == before) is alike, text
    assert digest(study, parts, 36) != before
    other = dataclasses.replace(parts, device=dataclasses.replace(parts.device, digest="edited"))
    assert digest(study, other) != before


def test_two_workers_of_a_dask_scheduler_answer_as_one(study, parts, tmp_path):
    distributed = pytest.importorskip("distributed")
    plain = told(looked(study, parts))
    with distributed.LocalCluster(2, processes=True, threads_per_worker=1, dashboard_address=None) as local:
        address = local.scheduler_address
        assert told(looked(study, parts, scheduler=address)) == plain
        assert told(looked(study, parts, scheduler=address, keep=tmp_path / "a.nc")) == plain


def test_a_worker_with_another_model_is_refused(study, parts):
    found = blocks.blocks_of(study, parts, enumeration.wanted(study), enumeration.whole(study))
    assert pickle.loads(pickle.dumps(found)).models == found.models
    other = dataclasses.replace(found, models={"llama-3-8b": "edited"})
    with pytest.raises(SpecError, match="another file of model llama-3-8b"):
        list(spread.computed(lambda number: blocks.reaped(other, number), [0]))
