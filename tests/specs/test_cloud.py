"""Engines and the processors that they run on: what a file may say, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs.load import available, load

ENGINES = available("engine")


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_says_who_calls_how_and_on_what(name):
    engine = load("engine", name)
    assert {"collectives", "launch", "unfused", "cpu"} <= set(engine.facts)
    assert engine.cpu in available("cpu")
    assert all(fact.locator for fact in engine.facts.values())


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("collectives", "nccl", "unknown caller of collectives 'nccl'"),
        ("launch", "graphs", "unknown launch 'graphs', did you mean 'graph'"),
        ("unfused", ["norms"], "unknown kernel of its own 'norms', did you mean 'norm'"),
        ("prompts", "mixt", "unknown place of prompts 'mixt', did you mean 'mixed'"),
    ],
)
def test_what_an_engine_cannot_say_is_refused(field, value, said):
    with pytest.raises(ValueError, match=said):
        replace(load("engine", "vllm"), **{field: value})


def test_a_thread_is_clock_times_work_of_a_clock():
    assert load("cpu", "xeon-8480c").single_thread == pytest.approx(3.8e9 * 1.4)
    newer, older = load("cpu", "epyc-9v84"), load("cpu", "epyc-7v12")
    assert newer.single_thread > older.single_thread


def test_every_processor_of_an_instance_is_known():
    named = {load("instance", name).cpu for name in available("instance")}
    assert named - {""} <= set(available("cpu"))


def test_an_engine_on_a_processor_by_hand():
    """8259CL runs 3.5 GHz x 1 where 8480C runs 3.8 x 1.4: all times of the host are 1.52 times as long."""
    engine = load("engine", "vllm")
    slow = am.on_cpu(engine, "xeon-8259cl")
    for name in ("step_time", "layer_time", "sequence_time", "entry_time"):
        assert getattr(slow, name) == pytest.approx(getattr(engine, name) * 1.52)
    assert (slow.efficiency, slow.cpu) == (engine.efficiency, "xeon-8259cl")
    assert am.on_cpu(engine, "") is engine
    with pytest.raises(SpecError, match="unknown cpu"):
        am.on_cpu(engine, "abacus")
