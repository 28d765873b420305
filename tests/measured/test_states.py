"""Measured layers with states: what is read, what is left out, how far the laws are."""

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.measured import aiconfigurator, states
from accelmodel.validation import operators as accuracy

NEEDS_SILICON = pytest.mark.skipif(not aiconfigurator.installed(), reason="pip install 'accelmodel[silicon]'")
HEADS = pd.DataFrame(
    {"batch": [1, 4], "tokens": [1, 1], "key_heads": [16, 16], "value_heads": [32, 32], "key_dim": 128,
     "value_dim": 128, "bits": 16.0, "source": "vLLM, one kernel", "time": [1e-5, 1e-5]}
)  # fmt: skip


def test_a_decode_step_moves_each_state_both_ways():
    _, moved, _ = states.work("gated delta decode", HEADS)
    # states of 32 heads at 32 bit, and of each head q and k of 128, v and o of 128 numbers at 16 bit
    assert moved.tolist() == [n * (2 * 32 * 128 * 128 * 4 + 32 * 128 * 4 * 2) for n in (1, 4)]


def test_a_state_that_comes_faster_than_memory_is_left_out():
    device = am.load("device", "h100-sxm")
    many = HEADS.assign(batch=1000, time=[1e-3, 2e-3])
    # 4.2 GB do not come in 1 ms at 3.35 TB/s
    assert states.impossible("gated delta decode", many, device).tolist() == [True, False]


def test_kernels_apart_are_predicted_apart(warm):
    chip = am.cluster(am.load("device", "h200-sxm"))
    frame = HEADS.assign(tokens=4096)
    together = states.predict("gated delta prefill", frame, chip)
    apart = states.predict("gated delta prefill", frame.assign(source="vLLM, kernels apart"), chip)
    assert (apart != together).all()


def test_training_rows_are_the_same_for_every_source():
    frame = pd.concat([HEADS.assign(batch=range(k, k + 2)) for k in range(1, 400, 2)])
    seen = states.training("kda prefill", frame)
    assert (seen == states.training("kda prefill", frame.assign(source="other", time=1.0))).all()
    # 70 % of 400, within four standard deviations
    assert 0.6 < np.mean(seen) < 0.8


@NEEDS_SILICON
@pytest.mark.parametrize(("kind", "most"), [("gated delta prefill", 0.1), ("gated delta decode", 0.15)])
def test_measured_states_beat_the_roofline(warm, kind, most):
    device = am.load("device", "h200-sxm")
    rows = list(accuracy.layer_rows(device, kind, am.cluster(device), accuracy.NOT_FITTED))
    assert {row["split"] for row in rows} == {"held-out"}
    row = next(row for row in rows if row["source"].startswith("vLLM"))
    assert row["n"] >= 50
    assert row["median_ape"] < most
    assert row["median_ape"] < row["roofline_median_ape"]
