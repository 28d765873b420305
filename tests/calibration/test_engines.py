"""What an engine adds to its kernels, fitted: by hand, and back from what it was made with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.calibration.engines import CONSTANTS, fit, kernels_of_batch, predicted, solve
from accelmodel.errors import SpecError
from accelmodel.laws.kernels.batching import Times

GROUPS = ["origin", "model", "device"]
MADE = {"efficiency": 0.8, "step_time": 1e-3, "sequence_time": 2e-5}


def rows(**constants):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"kernels": draw.uniform(0.005, 5.0, 60), "steps": draw.integers(1, 2000, 60)})
    frame["sequences"] = frame["steps"] * draw.integers(1, 200, 60)
    frame["time"] = predicted(frame, MADE | constants)
    return frame.assign(origin=np.where(np.arange(60) < 45, "a", "b"), model="m", device="d")


def test_a_batch_by_hand():
    """Steps of 10 ms, 1 us a token of prompts: 20 prompts of 1,000 are 8, 8 and 4 together, then 9 decode steps."""
    line = 2.0 ** np.arange(20) * 1e-6
    times = Times(np.full(20, 0.01), np.zeros((12, 20)), np.broadcast_to(line[:, None], (20, 20)).copy())
    kernels, steps = kernels_of_batch(times, 20, 1000, 10)
    assert kernels == pytest.approx(12 * 0.01 + 20 * 1000 * 1e-6)
    assert steps == 12.0


def test_a_time_by_hand():
    frame = pd.DataFrame({"kernels": [2.0], "steps": [100.0], "sequences": [800.0]})
    assert predicted(frame, MADE) == pytest.approx([2.0 / 0.8 + 0.1 + 0.016])


@given(st.floats(0.5, 0.95), st.floats(1e-4, 1e-2), st.floats(1e-6, 1e-4))
@settings(max_examples=20, deadline=None)
def test_the_fit_finds_what_the_times_were_made_with(share, step, sequence):
    found = solve(rows(efficiency=share, step_time=step, sequence_time=sequence), GROUPS)
    assert found["efficiency"] == pytest.approx(share, rel=0.01)
    made = predicted(rows(), {"efficiency": share, "step_time": step, "sequence_time": sequence})
    assert predicted(rows(), found) == pytest.approx(made, rel=0.01)


def test_groups_count_alike_and_ranges_hold_each():
    """Steps of 2 ms in a small group, 1 ms in a large one: between them, and the range reaches towards both."""
    frame = rows()
    small = frame["origin"] == "b"
    frame.loc[small, "time"] = predicted(frame[small], MADE | {"step_time": 2e-3})
    found = fit(["x"], lambda _: frame)
    low, high = found.spans["step_time"]
    assert 1e-3 < found.values["step_time"] < 2e-3
    assert low < found.values["step_time"] < high
    assert set(found.values) == set(CONSTANTS)
    assert found.rows == 60


def test_what_nobody_measured_is_refused():
    with pytest.raises(SpecError, match="unknown measured engine 'x'"):
        fit(["x"], lambda _: pd.DataFrame())
