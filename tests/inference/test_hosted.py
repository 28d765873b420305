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


def asked(engine="", **work):
    return am.time_step("llama-3.1-8b", "h100-sxm", {**WORK, **work}, engine=engine)


def test_a_step_with_its_host_by_hand():
    alone, found = asked(), asked("in-flight")
    host = 64 * 20e-6
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
    assert "the host of in-flight adds 1.28 ms" in found.attrs["notes"]


def test_a_host_beside_adds_only_what_is_longer_than_the_step():
    beside = override(ENGINE, host="overlapped")
    assert float(asked(beside).host_time) == 0.0
    assert float(asked(beside).power) == pytest.approx(float(asked().power), rel=1e-12)
    slow = override(beside, sequence_time=1e-3)
    found = asked(slow)
    assert float(found.host_time + found.step_time) == pytest.approx(64e-3, rel=1e-12)


def test_a_host_without_work_changes_nothing_and_more_of_it_is_never_faster():
    free = asked(override(ENGINE, sequence_time=0.0, layer_time=0.0), batch=[1, 64])
    alone = asked(batch=[1, 64])
    for name in ("tpot", "step_energy", "power", "joules_per_token", "tokens_per_s"):
        assert free[name].values == pytest.approx(alone[name].values, rel=1e-12), name
    more = asked(override(ENGINE, layer_time=10e-6), batch=[1, 64])
    assert more.host_time.values == pytest.approx([32 * 10e-6 + 20e-6, 32 * 10e-6 + 64 * 20e-6], rel=1e-9)
    assert (more.power < alone.power).all()
    assert (more.power > 0.22 * 700.0).all()


def test_an_unknown_engine_is_refused():
    with pytest.raises(SpecError, match="unknown engine 'in-flite', did you mean 'in-flight'"):
        asked("in-flite")


def test_what_the_answer_says_is_text():
    assert json.loads(asked("in-flight").attrs["overrides"]) == {}
