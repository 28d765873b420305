"""What bounds the steps of a rented instance, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.cloud.hosting import Setup, devices_of, host
from accelmodel.cloud.infersave import Task
from accelmodel.cloud.replicas import replicas
from accelmodel.cloud.steps import ENGINE, HOST_LINK, DeviceStep, bound_of, device_step, sequences, span, steps_of
from accelmodel.laws.kernels.batching import curve, step_time, surface
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


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(("in-flight", "vllm", "sglang", "tensorrt-llm", "transformers")),
    st.sampled_from(("gpu-1x-h100-sxm5", "gpu-1x-b200-sxm6")),
    st.sampled_from((("llama-3-8b", 0.0), ("llama-3-8b", 8.0), ("qwen3-30b-a3b", 0.0), ("gpt-oss-20b", 0.0))),
    st.integers(0, 6),
    st.integers(7, 11),
)
def test_an_engine_takes_the_same_time_wherever_it_is_asked(warm, engine, name, asked, batch, context):
    """A decode step by ``step --engine``, as servers and instances under load have it, and as batches on instances."""
    (model, bits), sequences, length = asked, 2**batch, 2**context
    instance, spec = load("instance", name), load("model", model)
    setup = Setup(load("engine", engine), "none", weight_bits=bits)
    work = {"phase": "decode", "batch": sequences, "context": length, **setup.bits}
    chips = devices_of(instance, 1, setup.engine)
    alone = float(am.time_step(spec, chips, work, engine=engine, cpu=instance.cpu).tpot)
    (replica,) = replicas(spec, [instance], setup, 1, 2048)
    kernels = surface(replica.times.decode_attention, sequences, length) + curve(replica.times.other, sequences)
    assert step_time(kernels, sequences, 0.0, sequences, replica.rules) == pytest.approx(alone, rel=1e-9)
    (offered,) = host(spec, [instance], Task(np.array([sequences]), length - 1.0, 1.0), setup).decode.values.ravel()
    assert offered == pytest.approx(alone, rel=1e-9)
    step = device_step(spec, chips, setup, "decode", sequences, length)
    whole = step_time(step.time, sequences, 0.0, sequences, replica.rules)
    assert whole == pytest.approx(alone, rel=1e-9)
