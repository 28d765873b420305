"""Engines' files: which are fitted to what, and how offline runs come out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from builders import RULES

from accelmodel.calibration.engines import CONSTANTS
from accelmodel.errors import SpecError
from accelmodel.laws.kernels.batching import Times
from accelmodel.specs.load import load
from accelmodel.validation import engines


@pytest.mark.parametrize("name", engines.FITTED)
def test_an_engine_has_at_most_four_fitted_constants_with_ranges(name):
    engine = load("engine", name)
    fitted = {field: fact for field, fact in engine.facts.items() if fact.kind == "calibrated"}
    assert set(fitted) == {*CONSTANTS, "entry_time"}
    assert all(fact.range[0] <= fact.value <= fact.range[1] for fact in fitted.values())


def test_an_engine_that_nobody_measured_is_refused():
    with pytest.raises(SpecError, match="unknown engine that was measured 'flexgen'"):
        engines.fit_engine("flexgen", None)


def test_the_share_between_the_ends_by_hand():
    """1 s of kernels, steps of 0.1 to 0.4 s around 0.2: ends (0.1, 0.15) below and (0.2, 0.15) above, in quadrature."""
    frame = pd.DataFrame({"kernels": np.ones(4), "steps": 100.0, "sequences": 0.0, "time": [1.01, 1.03, 1.44, 1.46]})
    made = {"efficiency": 1.0, "step_time": 2e-3, "sequence_time": 0.0}
    spans = {"efficiency": (), "step_time": (1e-3, 4e-3), "sequence_time": ()}
    assert engines._inside(frame, made, spans) == 0.5


def test_offline_throughput_of_constant_steps():
    """Steps of 10 ms whatever is in them, room for 300 // 22 sequences of the mean: 13 tokens a step at most."""
    flat = Times(np.full(20, 0.01), np.zeros((12, 20)), np.zeros((20, 20)))
    rules = RULES._replace(room=300.0, max_num_batched_tokens=8192)
    rate = engines._throughput(flat, rules, 2.0, 20.0)
    assert 400.0 < rate <= 1300.0
    assert engines._throughput(flat, rules._replace(step=0.01), 2.0, 20.0) == pytest.approx(rate / 2.0, rel=1e-6)
