"""Stored prompts of a sweep are those of ``ttft_grid``."""

from __future__ import annotations

import numpy as np

import accelmodel as am

FIXED = {"model": "llama-3-8b", "tier": "nvme", "device": "a100-sxm-80gb"}


def asked(axes, **fixed):
    kept = {name: each for name, each in (FIXED | fixed).items() if name not in axes}
    return am.sweep({"sweep": {"command": "cake"}, "fixed": kept, "axes": axes})


def test_a_grid_of_constant_rates_is_that_of_the_door(warm):
    axes = {"bandwidth": [1e9, 4e9], "tokens": [4096, 16384], "utilisation": [0.5, 1.0]}
    found = asked(axes)
    curve = am.chunk_times("llama-3-8b", am.cluster("a100-sxm-80gb", 1), 16384)
    door = am.ttft_grid({"a": curve}, am.loading("llama-3-8b", "nvme"), **axes).isel(device=0, kv_bits=0)
    mine = found.ttft.transpose("policy", "tokens", "bandwidth", "utilisation")
    assert mine.policy.values.tolist() == door.policy.values.tolist()
    assert np.allclose(mine.values, door.ttft.values, rtol=1e-12)
    assert found.ttft.attrs["units"] == "s"


def test_what_the_step_depends_on_is_asked_of_the_step(warm):
    found = asked({"device": ["a100-sxm-80gb", "h100-sxm"], "tp": [1, 2], "hbm.bandwidth": [1e12, 2e12]}, tokens=8192)
    compute = found.ttft.sel(policy="compute_only")
    assert float(compute.sel(device="h100-sxm", tp=1).max()) < float(compute.sel(device="a100-sxm-80gb", tp=1).min())
    assert (compute.sel(tp=2) < compute.sel(tp=1)).all()


def test_where_loading_never_pays_there_is_no_crossover(warm):
    found = asked({"tokens": [1024]}, tail="1000s")
    assert np.isnan(found.crossover_bandwidth).all()
