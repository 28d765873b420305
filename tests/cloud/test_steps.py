"""What bounds the steps of a rented instance, and their intervals."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.cloud.hosting import Setup, devices_of
from accelmodel.cloud.steps import ENGINE, HOST_LINK, DeviceStep, bound_of, device_step, sequences, span, steps_of
from accelmodel.specs.load import load

STEP = DeviceStep({"compute": 1.0, "hbm": 3.0}, 0.75, 1.5)


def test_what_takes_most():
    assert bound_of(STEP, 4.0, 0.0) == "hbm"
    assert bound_of(STEP, 10.0, 5.0) == HOST_LINK
    assert bound_of(STEP, 10.0, 1.0) == ENGINE
    assert bound_of(STEP, 3.5, 0.0) == "hbm"  # the engine runs beside the device


def test_the_rest_of_a_time_is_taken_as_exact():
    assert span(STEP, 4.0) == (3.0, 6.0)
    assert span(STEP, 10.0) == (9.0, 12.0)
    assert span(STEP, 0.5) == (0.0, 2.5)


def test_the_busiest_replica():
    instance = load("instance", "g5.48xlarge")  # eight GPUs
    assert sequences(instance, 2, 32) == 8.0
    assert sequences(instance, 2, 33) == 9.0
    assert sequences(instance, 8, 0.3) == 1.0


def test_a_step_on_the_device_is_that_of_the_step_model():
    """With an engine that makes attention no longer, but all of it; the interval is that of the measured device."""
    model, instance = load("model", "llama-3.1-8b"), load("instance", "p5.48xlarge")
    setup = Setup(am.override(load("engine", "in-flight"), efficiency=0.8))
    assert float(setup.engine.attention_factor) == 1.0
    work = {"phase": "decode", "batch": 8, "context": 1000, "tp": 4}
    chips = devices_of(instance, 4, setup.engine)
    alone = am.time_step(model, chips, work)
    found = device_step(model, chips, setup, "decode", 8.0, 1000)
    assert found.time == pytest.approx(float(alone.step_time) / 0.8, rel=1e-12)
    assert found.upper == pytest.approx(float(alone.step_time_upper / alone.step_time), rel=1e-12)
    first, later = steps_of(model, instance, setup, (900, 200), {"tp": 4, "batch": 16.0})
    assert later == found
    assert first.time > later.time


def test_memory_that_is_too_small_is_no_matter_of_time():
    """What is offloaded leaves the device's own time as it is."""
    model, instance = load("model", "opt-2.7b"), load("instance", "g4dn.xlarge")
    setup = Setup(load("engine", "flexgen"))
    found = device_step(model, devices_of(instance, 1, setup.engine), setup, "decode", 64.0, 2000)
    assert found.time > 64 * 2000 * 2 * 32 * 2560 * 2.0 / 320e9  # KV cache at the rate of a T4
