"""What an engine's host adds to a step: by hand, at its limits, and that devices wait at rest."""

from __future__ import annotations

import json

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs.given import override
from accelmodel.specs.load import load

WORK = {"phase": "decode", "batch": 64, "context": 1024}
ENGINE = load("engine", "in-flight")
NOTHING = dict.fromkeys(("step_time", "layer_time", "sequence_time", "prompt_time", "entry_time"), 0.0)
FREE = override(ENGINE, efficiency=1.0, **NOTHING)


def asked(engine="", cpu="", **work):
    return am.time_step("llama-3.1-8b", "h100-sxm", {**WORK, **work}, engine=engine, cpu=cpu)


def test_a_step_with_its_host_by_hand():
    engine = override(FREE, sequence_time=20e-6, step_time=1e-3)
    alone, found = asked(), asked(engine)
    host = 1e-3 + 64 * 20e-6
    assert float(found.host_time) == pytest.approx(host, rel=1e-12)
    assert float(found.step_time) == float(alone.step_time)
    whole = float(alone.step_time) + host
    assert float(found.tpot) == pytest.approx(whole, rel=1e-12)
    assert float(found.tokens_per_s) == pytest.approx(64 / whole, rel=1e-12)
    energy = float(alone.step_energy) + 0.22 * 700.0 * host
    assert float(found.step_energy) == pytest.approx(energy, rel=1e-9)
    assert float(found.power) == pytest.approx(energy / whole, rel=1e-9)
    assert float(found.joules_per_token) == pytest.approx(energy / 64, rel=1e-9)
    assert float(found.step_energy_lower) < energy < float(found.step_energy_upper)
    assert found.attrs["engine"] == "in-flight"
    assert "in-flight:" in found.attrs["digests"]
    assert "the host of in-flight adds 2.28 ms" in found.attrs["notes"]


def test_launches_beside_add_only_what_is_longer_than_the_step():
    """32 layers: 10 us a layer hide behind the kernels, 1 ms a layer is the floor; in series both are added."""
    beside = override(FREE, host="overlapped", launch="eager", layer_time=10e-6)
    assert float(asked(beside).host_time) == 0.0
    assert float(asked(beside).power) == pytest.approx(float(asked().power), rel=1e-12)
    found = asked(override(beside, layer_time=1e-3))
    assert float(found.host_time + found.step_time) == pytest.approx(32e-3, rel=1e-12)
    assert float(asked(override(beside, host="serial")).host_time) == pytest.approx(32 * 10e-6, rel=1e-9)


def test_an_eager_floor_does_not_shrink_with_the_prompt_and_a_graph_has_none():
    """A prompt of 16 tokens as long as one of 256: 32 layers of 1 ms; a graph of 32 tokens holds the first."""
    eager = override(FREE, host="overlapped", launch="eager", layer_time=1e-3)
    work = {"phase": "prefill", "batch": 1, "context": [16, 256]}
    assert asked(eager, **work).ttft.values == pytest.approx([32e-3, 32e-3], rel=1e-12)
    graph = override(eager, launch="graph", graph_tokens=32)
    assert asked(graph, **work).host_time.values == pytest.approx([0.0, 32e-3 - asked(**work).step_time.values[1]])


def test_a_faster_thread_shortens_what_the_host_takes():
    """8480C: 3.8 GHz x 1.4; 8259CL: 3.5 GHz x 1."""
    scaled = override(ENGINE, efficiency=1.0)
    slow, fast = (float(asked(scaled, cpu=name).host_time) for name in ("xeon-8259cl", "xeon-8480c"))
    assert slow / fast == pytest.approx(3.8 * 1.4 / 3.5, rel=1e-12)
    assert fast == pytest.approx(float(asked(scaled).host_time), rel=1e-12)
    with pytest.raises(SpecError, match="unknown cpu 'xeon-8480', did you mean"):
        asked("in-flight", cpu="xeon-8480")


def test_ends_hold_what_is_not_known_of_the_engine():
    """The kernels' end and one constant's in quadrature; unsaid, all that engines of streams may add."""
    alone, hosted = asked(), asked("in-flight", cpu="xeon-8480c")
    assert float(alone.tpot_lower) == pytest.approx(float(alone.step_time_lower), rel=1e-12)
    assert float(alone.tpot_upper) > float(hosted.tpot)
    assert float(hosted.tpot_lower) < float(hosted.tpot) < float(hosted.tpot_upper)
    assert float(asked("in-flight").tpot_upper) > float(hosted.tpot_upper)


def test_steps_reach_a_share_of_their_kernels_speed():
    found = asked(override(FREE, efficiency=0.8))
    assert float(found.tpot) == pytest.approx(float(found.step_time) / 0.8, rel=1e-12)


def test_a_host_without_work_changes_nothing_and_more_of_it_is_never_faster():
    free = asked(FREE, batch=[1, 64])
    alone = asked(batch=[1, 64])
    for name in ("tpot", "step_energy", "power", "joules_per_token", "tokens_per_s"):
        assert free[name].values == pytest.approx(alone[name].values, rel=1e-12), name
    more = asked(override(FREE, launch="eager", layer_time=10e-6, sequence_time=20e-6), batch=[1, 64])
    assert more.host_time.values == pytest.approx([32 * 10e-6 + 20e-6, 32 * 10e-6 + 64 * 20e-6], rel=1e-9)
    assert (more.power < alone.power).all()
    assert (more.power > 0.22 * 700.0).all()


def test_an_unknown_engine_is_refused():
    with pytest.raises(SpecError, match="unknown engine 'in-flite', did you mean 'in-flight'"):
        asked("in-flite")


def test_what_the_answer_says_is_text():
    assert json.loads(asked("in-flight").attrs["overrides"]) == {}


def test_a_processor_needs_an_engine_that_knows_its_own():
    with pytest.raises(SpecError, match="cpu epyc-7r13 is what an engine's host runs on"):
        asked(cpu="epyc-7r13")
    with pytest.raises(SpecError, match="does not state on which processor"):
        asked(override(ENGINE, cpu=""), cpu="epyc-7r13")
    with pytest.raises(SpecError, match="engine must be a name"):
        asked(3)
    with pytest.raises(SpecError, match="engine must be load"):
        am.on_cpu("vllm", "epyc-7r13")
