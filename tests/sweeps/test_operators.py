"""Sweeps over single operators give what the operators give one by one."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am
from accelmodel.errors import Infeasible


def sweep(command, fixed, axes):
    return am.sweep({"sweep": {"command": command}, "fixed": {"device": "h100-sxm", **fixed}, "axes": axes})


def test_matmuls(warm):
    found = sweep("matmul", {"n": 4096, "k": 8192}, {"bits": [16, 8], "m": [1, 64, 4096]})
    assert found.time.dims == ("bits", "m")
    for bits in (16, 8):
        alone = am.matmul("h100-sxm", m=[1, 64, 4096], n=4096, k=8192, bits=bits)
        for name in ("time", "lower", "upper"):  # 1e-12: compiled beside others, in a vector register
            np.testing.assert_allclose(found[name].sel(bits=bits).values, alone[name].values, rtol=1e-12)
        assert (found.bound.sel(bits=bits).values == alone.bound.values).all()
    assert found.time.attrs["units"] == "s"


def test_matmuls_over_a_field_of_the_device_and_a_format(warm):
    found = sweep("matmul", {"n": 4096, "k": 4096, "format": "int8"}, {"hbm.bandwidth": [2e12, 4e12], "m": [1, 8]})
    chip = am.override(am.load("device", "h100-sxm"), {"hbm.bandwidth": [2e12, 4e12]})
    alone = am.matmul(chip, m=[1, 8], n=4096, k=4096, bits="int8").time.transpose("hbm_bandwidth", "m")
    np.testing.assert_allclose(found.time.values, alone.values, rtol=1e-12)


def test_attention_and_heads_that_do_not_divide(warm):
    found = sweep("attention", {"batch": 8}, {"kv_heads": [8, 12], "context": [512, 8192]})
    alone = am.attention("h100-sxm", batch=8, kv_heads=8, context=[512, 8192])
    np.testing.assert_allclose(found.time.sel(kv_heads=8).values, alone.time.values, rtol=1e-12)
    assert not found.feasible.sel(kv_heads=12).any()
    assert "multiple of kv_heads" in found.attrs["skipped"]


def test_collectives(warm):
    found = sweep("collective", {"kind": "all-gather"}, {"ranks": [2, 8], "bytes": [1e4, 1e8]})
    alone = am.collective("h100-sxm", size=[1e4, 1e8], devices=[2, 8], kind="all-gather")
    for name in ("time", "busbw"):
        ours, theirs = found[name].values, alone[name].transpose("devices", "size").values
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert (found.algorithm.values == alone.algorithm.transpose("devices", "size").values).all()
    whole = sweep("collective", {}, {"bytes": [1e8]})
    assert float(whole.time[0]) == pytest.approx(float(am.collective("h100-sxm", size=1e8, devices=8).time), rel=1e-12)


def test_what_nothing_can_be_is_said_with_its_reason():
    with pytest.raises(Infeasible, match="unknown region 'nowhere'"):
        am.sweep({
            "sweep": {"command": "instances"},
            "fixed": {"model": "opt-1.3b", "input": 128, "output": 32, "region": "nowhere"},
            "axes": {"batch": [1, 2]},
        })  # fmt: skip
