"""A server whose steps verify drafted tokens."""

from __future__ import annotations

import pytest
from builders import RULES

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.memory import draft_bytes, memory_per_device
from accelmodel.laws.kernels.batching import curve, surface
from accelmodel.serving.serve import replicas_on
from accelmodel.serving.simulate import closed_loop, layers_run, simulate, yielded
from accelmodel.specs.load import load

CHIP = am.cluster("h100-sxm", 1)
#: an engine whose host takes nothing
ENGINE = am.override(
    load("engine", "in-flight"), efficiency=1.0, step_time=0.0, layer_time=0.0, sequence_time=0.0, entry_time=0.0
)
MODEL = load("model", "llama-3-8b")
DRAFTS = {"speculative": 3.0, "acceptance": 0.5, "draft": "eagle"}


def one_user(**drafts):
    return am.serve("llama-3-8b", CHIP, prompt=1024, answer=257, users=1, engine=ENGINE, **drafts)


def test_a_token_takes_a_step_over_what_it_yields():
    """1 + 1/2 + 1/4 + 1/8 tokens a step: a step of 15 is 137 for 256 tokens; the mean context is some 1,150."""
    assert yielded(DRAFTS) == 1.875
    found = one_user(**DRAFTS)
    step = am.time_step(MODEL, CHIP, {"phase": "decode", "batch": 1, "context": 1152, **DRAFTS})
    assert float(found.gap) == pytest.approx(float(step.step_time), rel=0.05)
    assert float(found.tpot) == pytest.approx(float(found.gap) * 137 / 256, rel=0.01)


def test_a_draft_that_costs_nothing_and_is_always_taken():
    plain, drafted = one_user(), one_user(speculative=1, acceptance=1.0, draft="n-gram")
    assert 1.8 < float(plain.tpot / drafted.tpot) <= 2.0
    none = one_user(speculative=0)
    assert float(none.tpot) == float(plain.tpot)
    assert "speculation" not in none.attrs
    assert "n-gram" in drafted.attrs["speculation"]


def test_tables_with_drafts_are_the_step_model():
    (replica,) = replicas_on(MODEL, [CHIP], ENGINE, 4096, DRAFTS)
    assert (replica.rules.rows, replica.rules.yields) == (4, 1.875)
    for batch, context in ((1, 1024), (16, 2048)):
        told = surface(replica.times.decode_attention, batch, context) + curve(replica.times.other, 4.0 * batch)
        work = {"phase": "decode", "batch": batch, "context": context, **DRAFTS}
        assert told == pytest.approx(float(am.time_step(MODEL, CHIP, work).step_time), rel=1e-9)


def test_a_draft_takes_room_and_layers_of_the_host():
    work = am.workload(phase="decode", batch=1, context=1, **DRAFTS)
    weights, cache = draft_bytes(MODEL, 4096.0, work)
    whole = memory_per_device(MODEL, am.workload(phase="decode", batch=1, context=4097, **DRAFTS))["draft"]
    assert weights + cache == pytest.approx(whole)
    assert cache == 4096 * 2 * 8 * 128 * 2
    (plain,), (drafted,) = (replicas_on(MODEL, [CHIP], ENGINE, 4096, each) for each in ({}, DRAFTS))
    free = float(plain.rules.room) * 131072 - weights
    assert float(drafted.rules.room) == pytest.approx(free / (131072 + cache / 4096), rel=1e-9)
    assert layers_run(MODEL, {**DRAFTS, "draft": "llama-3-8b"}) == 32 * 4
    assert layers_run(MODEL, {**DRAFTS, "draft": "n-gram"}) == 32


def test_half_a_step_is_a_whole_one():
    """Of 1.5 tokens a step an answer of 5 takes three after its first token."""
    (replica,) = replicas_on(MODEL, [CHIP], ENGINE, 64, {**DRAFTS, "speculative": 1.0})
    rules = RULES._replace(rows=2, yields=1.5)
    served = simulate(replica.times, rules, closed_loop(1, 1, 16, 5))
    assert len(served.gaps) == 3
    assert served.gaps.sum() == pytest.approx(served.finish[0] - served.first[0])


@pytest.mark.parametrize(
    ("drafts", "says"),
    [
        ({"speculative": 2}, "speculative needs acceptance"),
        ({"acceptance": 0.5}, "need speculative"),
        ({"speculative": [1, 2], "acceptance": 0.5}, "is an axis; give one number"),
        ({"speculative": 1, "acceptance": 0.5, "draft": "mtp"}, "no modules that predict further tokens"),
    ],
)
def test_what_is_no_draft_is_refused(drafts, says):
    with pytest.raises(SpecError, match=says):
        one_user(**drafts)
