"""Intervals of a step: errors that add up, and chips that were not measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import accelmodel as am
from accelmodel.inference import intervals
from accelmodel.laws.types import ALL_REDUCE, ATTENTION, ELEMENTWISE, GROUPED, MATMUL, ROW
from accelmodel.specs.base import RESIDUALS


def test_errors_of_a_kind_add_up_and_those_of_different_kinds_in_squares():
    times = np.array([3.0, 1.0, 2.0, 4.0])
    kinds = np.array([MATMUL, MATMUL, ATTENTION, ALL_REDUCE])
    ends = np.array([[0.9, 1.2], [0.5, 1.5], [1.0, 1.0], [0.75, 1.25], [1.0, 1.0], [1.0, 1.0]])
    low, high = intervals.interval(times, kinds, ends)
    assert float(low) == pytest.approx(10.0 - np.sqrt(0.4**2 + 1.0**2 + 1.0**2))
    assert float(high) == pytest.approx(10.0 + np.sqrt(0.8**2 + 1.0**2 + 1.0**2))


def test_kinds_of_operators():
    found = intervals.kind_of([MATMUL, ATTENTION, ELEMENTWISE, ALL_REDUCE, ROW, GROUPED])
    assert tuple(intervals.KINDS[i] for i in found) == intervals.KINDS


def test_a_chip_that_was_not_measured_has_wider_intervals(warm):
    known = am.cluster(am.load("device", "h100-sxm"))
    changed = replace(known, device=am.override(known.device, hbm_bandwidth=4e12))
    narrow, wide = (intervals.factors(each, "decode") for each in (known, changed))
    assert (wide[:2, 0] <= narrow[:2, 0]).all()
    assert (wide[:2, 1] >= narrow[:2, 1]).all()
    model, work = am.load("model", "llama-3-8b"), am.workload(phase="decode", batch=8, context=4096)
    step = am.time_step(model, known, work)
    assert float(step.step_time_lower) < float(step.step_time) < float(step.step_time_upper)
    assert (step.lower <= step.time).all()
    assert (step.upper >= step.time).all()


def test_every_kind_of_residual_stands_for_errors_of_one_kind():
    assert tuple(intervals.MEASURED) == RESIDUALS
    assert set(intervals.MEASURED.values()) <= set(intervals.KINDS)


def test_less_is_known_of_makers_of_whom_no_tables_were_fitted():
    known = intervals.uncalibrated("NVIDIA")
    some, none = intervals.uncalibrated("AMD", "CDNA3"), intervals.uncalibrated("AWS", "NeuronCore")
    assert known == intervals.uncalibrated()
    for kind in ("matmul", "attention", "collective", "row", "memory-bound"):
        low, high = known[kind]
        assert some[kind] == pytest.approx((low**1.35, high**1.35), rel=1e-12)
        assert none[kind] == pytest.approx((low**1.25, high**3.25), rel=1e-12)
    # runs of other makers' chips were made with their own kernels, whoever's they are
    assert some["unsaid matmul"] == some["matmul"]
    assert none["mla decode"][1] == max(known["mla decode"][1], none["attention"][1])
    assert intervals.on_maker(am.cluster("h100-sxm")) == intervals.on_maker(am.cluster("t4")) == ()
    assert "kernels of AMD" in intervals.on_maker(am.cluster("mi300x"))[0]


def test_a_step_says_of_whom_nothing_was_fitted(warm):
    asked = {"phase": "decode", "batch": 1, "context": 1024}
    assert "no kernel of TPU v6e was measured" in am.time_step("llama-3-8b", "tpu-v6e", asked).attrs["notes"]
    assert "measured, constants" not in am.time_step("llama-3-8b", "l4", asked).attrs["notes"]


def test_experts_have_errors_of_their_own(warm):
    """Whose kernels run is not said: the slowest take three times as long as the law says."""
    times, kinds = np.array([3.0, 1.0]), np.array([MATMUL, GROUPED])
    ends = np.array([[0.9, 1.2], *[[1.0, 1.0]] * 4, [0.5, 3.0]])
    low, high = intervals.interval(times, kinds, ends)
    assert float(low) == pytest.approx(4.0 - np.hypot(0.3, 0.5))
    assert float(high) == pytest.approx(4.0 + np.hypot(0.6, 2.0))
    chip, work = am.cluster(am.load("device", "h100-sxm"), 2), am.workload(phase="decode", batch=8, context=512, tp=2)
    step = am.time_step(am.load("model", "mixtral-8x7b"), chip, work)
    ratio = (step.upper / step.time).to_series()
    (unsaid,) = (each for each in chip.device.residuals if (each.kind, each.bits) == ("unsaid moe", 16.0))
    assert ratio["expert_up_moe"] == pytest.approx(unsaid.upper)
    assert ratio["qkv_projection"] < 1.5


def test_kernels_that_somebody_named_have_narrower_intervals():
    """fp8 matmuls of an H100: a library that is named errs less than any of which nobody says whose it is."""
    chip = am.cluster("h100-sxm")
    kinds = {each: intervals.factors(chip, "decode", 8.0, special=each)[0] for each in ((), intervals.UNSAID)}
    assert kinds[()][1] < kinds[intervals.UNSAID][1]
    sixteen = [intervals.factors(chip, "decode", 16.0, special=each)[0] for each in ((), intervals.UNSAID)]
    assert (sixteen[0] == sixteen[1]).all()  # one library for all


def test_other_makers_frameworks_are_not_known_by_those_of_one():
    """At 8 bit, chips of other makers have errors of matmuls in general, each factor to a power."""
    low, high = intervals.factors(am.cluster("mi300x"), "decode", 8.0)[0]
    assert [low, high] == pytest.approx(intervals.uncalibrated("AMD", "CDNA3")["matmul"], rel=1e-12)
