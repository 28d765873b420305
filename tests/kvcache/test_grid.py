"""The grid of prompts: against single prompts, closed forms, and where loading and computing are equal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from prompts import CURVE, KV, ROUNDING, TAIL, prompts

from accelmodel.errors import SpecError
from accelmodel.kvcache.grid import ttft_grid, uniform_bound
from accelmodel.kvcache.policies import POLICIES, meet
from accelmodel.kvcache.prompt import Loading


@settings(max_examples=40)
@given(prompt=prompts())
def test_grid_equals_single_prompts(prompt):
    """The traced kernel with constant traces, and the grid's kernel with its prefix sums."""
    load, computing = prompt.loading, prompt.computing
    one = ttft_grid(
        {"x": computing.times}, load, tokens=[prompt.tokens], bandwidth=[load.bandwidth],
        utilisation=[computing.utilisation], stored=prompt.stored,
    ).squeeze()  # fmt: skip
    for name, policy in POLICIES.items():
        assert float(one.ttft.sel(policy=name)) == pytest.approx(policy(prompt), rel=ROUNDING), name
    meeting = meet(prompt)
    assert float(one.computed_tokens) == pytest.approx(meeting.computed_tokens, rel=ROUNDING)
    assert float(one.loaded_tokens) == pytest.approx(meeting.loaded_tokens, rel=ROUNDING) or prompt.stored == 0.0


def test_uniform_costs_without_tail_approach_the_closed_form():
    """Within a step and a chunk of Tc Tl / (Tc + Tl)."""
    result = ttft_grid(
        {"x": np.full(64, 0.05)}, Loading(KV, 1e9, 32.0, 0.0), tokens=[32768], bandwidth=[1e9, 4e9, 2e10]
    )
    gap = result.ttft.sel(policy="oracle") / result.uniform_bound - 1.0
    assert float(abs(gap).max()) < 1e-6  # the fluid optimum is that form
    assert float((result.ttft.sel(policy="cake") - result.uniform_bound).max()) <= 0.05 + 128 * KV / 1e9


def test_uniform_bound_by_hand():
    assert uniform_bound(3.0, 6.0) == 2.0
    assert uniform_bound(3.0, 6.0, stages=2.0) == 1.0


def test_crossover_is_where_load_and_compute_are_equal():
    load = Loading(KV, 1e9, 32.0, TAIL, latency=1e-4)
    first = ttft_grid({"x": CURVE}, load, tokens=[8192, 16384], bandwidth=[1e9], utilisation=[0.5, 1.0])
    for tokens in (8192, 16384):
        for share in (0.5, 1.0):
            rate = float(first.crossover_bandwidth.sel(tokens=tokens, utilisation=share).squeeze())
            at = ttft_grid({"x": CURVE}, load, tokens=[tokens], bandwidth=[rate], utilisation=[share]).ttft.squeeze()
            assert float(at.sel(policy="load_only")) == pytest.approx(float(at.sel(policy="compute_only")), rel=1e-6)


def test_crossover_is_infinite_where_decompression_or_tail_forbid_it():
    slow = Loading(KV, 1e9, 32.0, TAIL, compression=4.0, decompression_rate=1e9)
    late = Loading(KV, 1e9, 32.0, tail=100.0)
    for load in (slow, late):
        found = ttft_grid({"x": CURVE}, load, tokens=[16384], bandwidth=[1e9]).crossover_bandwidth
        assert math.isinf(float(found.squeeze()))


def test_fewer_bits_are_fewer_bytes_and_compression_is_the_same():
    bits = ttft_grid({"x": CURVE}, Loading(KV, 1e9, 32.0, TAIL), tokens=[16384], bandwidth=[1e9], kv_bits=[16, 4]).ttft
    squeezed = ttft_grid(
        {"x": CURVE}, Loading(KV, 1e9, 32.0, TAIL, compression=4.0), tokens=[16384], bandwidth=[1e9]
    ).ttft
    assert bits.sel(kv_bits=4).values == pytest.approx(squeezed.squeeze("kv_bits").values, rel=ROUNDING)
    assert float(bits.sel(policy="load_only", kv_bits=4).squeeze()) < float(
        bits.sel(policy="load_only", kv_bits=16).squeeze()
    )


def test_devices_with_curves_of_other_lengths_share_a_grid():
    both = ttft_grid({"a": CURVE, "b": CURVE[:16]}, Loading(KV, 1e9, 32.0, TAIL), tokens=[8192], bandwidth=[1e9])
    one, two = (both.ttft.sel(device=name).values for name in ("a", "b"))
    assert one == pytest.approx(two, rel=ROUNDING)


@pytest.mark.parametrize(
    "changes",
    [{"bandwidth": [0.0]}, {"bandwidth": [-1.0]}, {"utilisation": [0.0]}, {"utilisation": [1.5]}, {"tokens": [20000]},
     {"tokens": []}, {"kv_bits": [0]}, {"chunk": 0.0}, {"stored": 20000.0}, {"stored": -1.0}, {"utilisation": [1e-9]}],
)  # fmt: skip
def test_grid_refuses(changes):
    with pytest.raises(SpecError):
        ttft_grid({"x": CURVE}, Loading(KV, 1e9, 32.0, TAIL), **{"tokens": [16384], "bandwidth": [1e9], **changes})


def test_grid_refuses_curves_that_are_none():
    for curves in ({}, {"x": np.append(CURVE, -1.0)}):
        with pytest.raises(SpecError):
            ttft_grid(curves, Loading(KV, 1e9, 32.0, TAIL), tokens=[16384], bandwidth=[1e9])
