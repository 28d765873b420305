"""Instances of a sweep are those of ``rank_instances``."""

from __future__ import annotations

import pytest

import accelmodel as am


def test_each_point_is_a_ranking(warm):
    question = {
        "sweep": {"command": "instances"},
        "fixed": {"model": "opt-2.7b", "input": 128, "output": 32, "slo.tpot": "50ms"},
        "axes": {"batch": [1, 8]},
    }
    found = am.sweep(question)
    for batch in (1, 8):
        door = am.rank_instances("opt-2.7b", input=128, output=32, batch=batch, slo=am.Slo(tpot="50ms"))
        here = found.sel(batch=batch)
        assert str(here.choice.item()) == door["choice"]["instance"]
        for row in door["rows"]:
            mine = here.sel(instance=row["instance"])
            assert bool(mine.meets) is row["feasible"]
            if row["cost_usd_per_million_tokens"] is not None:
                assert float(mine.cost_per_token) == pytest.approx(row["cost_usd_per_million_tokens"] * 1e-6, rel=1e-12)
                assert float(mine.tpot) == pytest.approx(row["tpot_s"], rel=1e-12)
        cheapest = min(
            (row for row in door["rows"] if row["feasible"]), key=lambda row: row["cost_usd_per_million_tokens"]
        )
        assert str(here.cheapest.item()) == cheapest["instance"]


def test_a_level_that_nothing_meets_is_told_beside_those_that_are_met(warm):
    question = {
        "sweep": {"command": "instances"},
        "fixed": {"model": "opt-2.7b", "input": 128, "output": 32, "batch": 1},
        "axes": {"slo.tpot": [1e-6, 0.05]},
    }
    found = am.sweep(question)
    assert found.feasible.values.tolist() == [False, True]
    assert "no instance meets the SLO" in found.attrs["skipped"]


def test_an_instance_that_the_model_does_not_fit_has_no_numbers_and_the_others_do(warm):
    question = {
        "sweep": {"command": "instances"},
        "fixed": {"model": "llama-3.1-8b", "input": 256, "output": 32, "weight_bits": 16},
        "axes": {"batch": [1, 64]},
    }
    found = am.sweep(question)
    assert found.feasible.all()
    without = found.tpot.isnull()
    assert without.any()
    assert not without.all("instance").any()
    assert not found.meets.where(without, False).any()
    assert found.least_cost_per_token.notnull().all()
