"""Adaptive scheduling: who is served first, decode before everything, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from prompts import ROUNDING, prompt_of

from accelmodel.errors import SpecError
from accelmodel.kvcache.adaptive import Request, adaptive_scheduling, batch_times
from accelmodel.kvcache.policies import POLICIES
from accelmodel.specs import given
from accelmodel.specs import load as library


def small_requests():
    return [Request(0.0, float(n)) for n in 3 * (256, 64, 448, 384, 16, 128)]


def test_adaptive_scheduling_serves_others_first_and_ends_earlier():
    sizes = np.array([1.0, 128.0, 256.0, 512.0]), np.array([0.02, 0.022, 0.03, 0.04])
    result = adaptive_scheduling(prompt_of(), small_requests(), sizes)
    off, on = result.sel(mode="default"), result.sel(mode="adaptive")
    assert float(on.finish) < float(off.finish)
    assert float(on.throughput) > float(off.throughput)
    assert float(on.mean_request_ttft) < float(off.mean_request_ttft)
    assert float(off.cake_ttft) == pytest.approx(POLICIES["cake"](prompt_of()), rel=ROUNDING)
    assert (on.step_tokens[:10] == 512.0).all()
    assert float(on.step_cake_tokens.sum()) < float(off.step_cake_tokens.sum())
    assert float((off.step_tokens - off.step_cake_tokens).sum()) == 3 * (256 + 64 + 448 + 384 + 16 + 128)


def test_decode_comes_before_everything():
    sizes = np.array([1.0, 512.0]), np.array([0.02, 0.04])
    result = adaptive_scheduling(prompt_of(), [Request(0.0, 16.0, decode=5.0)], sizes).sel(mode="adaptive")
    others = (result.step_tokens - result.step_cake_tokens).values
    assert list(others[:7]) == [16.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]


def test_late_requests_are_waited_for():
    sizes = np.array([1.0, 512.0]), np.array([0.02, 0.04])
    result = adaptive_scheduling(prompt_of(), [Request(50.0, 512.0)], sizes)
    assert result.finish.values == pytest.approx([50.04, 50.04], rel=ROUNDING)
    assert result.request_ttft.values == pytest.approx(np.full((2, 1), 0.04), rel=ROUNDING)


@pytest.fixture(scope="module")
def a100():
    return given.cluster(library.load("device", "a100-sxm-80gb"), 1)


def test_step_time_against_batch_has_a_floor():
    a100 = given.cluster(library.load("device", "a100-sxm-80gb"), 1)
    sizes, times = batch_times(library.load("model", "longalpaca-7b"), a100, [16, 32, 512])
    assert times[1] < 1.1 * times[0]
    assert times[2] > times[1]
    assert list(sizes) == [16.0, 32.0, 512.0]


@pytest.mark.parametrize("changes", [{"tokens": 0.0}, {"arrival": -1.0}, {"decode": math.inf}])
def test_requests_refuse(changes):
    with pytest.raises(SpecError):
        Request(**{"arrival": 0.0, "tokens": 10.0, **changes})


def test_adaptive_refuses_bad_curves_and_short_traces():
    for sizes, times in (([1.0, 1.0], [0.1, 0.1]), ([1.0], [0.0]), ([], [])):
        with pytest.raises(SpecError):
            adaptive_scheduling(prompt_of(), [], (np.array(sizes), np.array(times)))
    with pytest.raises(SpecError, match="prefills"):
        adaptive_scheduling(prompt_of(), [], (np.array([1.0]), np.array([0.1])), prefills=0)
