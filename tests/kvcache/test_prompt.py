"""A prompt's two resources: chunk times of the step model, what a tier says, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from prompts import CURVE, prompt_of

from accelmodel.errors import Infeasible, SpecError
from accelmodel.kvcache import prompt as cake
from accelmodel.kvcache.traces import Trace
from accelmodel.specs import given
from accelmodel.specs import load as library


@pytest.fixture(scope="module")
def a100():
    return given.cluster(library.load("device", "a100-sxm-80gb"), 1)


def test_chunk_times_of_the_step_model_grow_with_position(a100):
    times = cake.chunk_times(library.load("model", "longalpaca-7b"), a100, 16384.0)
    assert times.shape == (32,)
    assert (np.diff(times) > 0.0).all()


def test_a_context_that_does_not_fit_is_infeasible(a100):
    with pytest.raises(Infeasible, match="does not fit"):
        cake.chunk_times(library.load("model", "longalpaca-13b"), a100, 131072.0)


def test_loading_takes_what_the_tier_says_unless_told():
    model = library.load("model", "longalpaca-13b")
    load = cake.loading(model, library.load("storage", "cloud-ssd"), kv_bits=8, io_chunk=64.0)
    assert load.kv_bytes == 400 * 1024  # Table 1 of the paper: 800 KiB at 16 bit
    assert load.bandwidth == 2.0**32
    assert load.io_chunk == 64.0
    assert cake.loading(model, library.load("storage", "nvme"), bandwidth=1e9).bandwidth == 1e9


@pytest.mark.parametrize("name", library.available("storage"))
def test_tail_of_every_tier_is_calibrated_with_a_range(name):
    fact = library.load("storage", name).facts["tail"]
    assert fact.kind == "calibrated"
    assert fact.range == (0.0, 0.152)


@pytest.mark.parametrize(
    "changes",
    [
        {"bandwidth": 0.0}, {"bandwidth": -1.0}, {"bandwidth": math.nan}, {"utilisation": 0.0},
        {"utilisation": 1.01}, {"utilisation": -0.5}, {"utilisation": math.nan}, {"stored": 20000.0}, {"stored": -1.0},
        {"tokens": 0.0}, {"tokens": 20000.0}, {"tail": -0.1}, {"latency": math.inf}, {"compression": 0.5},
        {"decompression_rate": 0.0}, {"io_chunk": 0.0}, {"chunk": 0.0}, {"chunk": math.inf}, {"times": CURVE[:31]},
        {"times": np.append(CURVE, 0.0)}, {"times": np.append(CURVE, math.nan)}, {"utilisation": 1e-9},
        {"budget": Trace(np.zeros(1), np.array([1.5]))},
    ],
)  # fmt: skip
def test_prompt_refuses(changes):
    with pytest.raises(SpecError):
        prompt_of(**changes)
