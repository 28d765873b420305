"""Ranking of instances: the cheapest that meets the service level, misses, several instances, fewer bits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from accelmodel.cloud.choice import precisions, ranking
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import candidates
from accelmodel.cloud.ranking import Inputs, Slo, misses, rank
from accelmodel.errors import Infeasible, SpecError
from accelmodel.specs import prices
from accelmodel.specs.given import override
from accelmodel.specs.load import load

FLEXGEN = load("engine", "flexgen")
MODEL = load("model", "opt-2.7b")
# ranking
PRICES = [
    prices.Price("g4dn.xlarge", "here", "on-demand", 0.71, date(2025, 1, 1)),
    prices.Price("g6.xlarge", "here", "on-demand", 1.167, date(2026, 1, 1)),
    prices.Price("g6e.xlarge", "here", "on-demand", 2.699, date(2026, 1, 1)),
]
TODAY = date(2026, 2, 1)


def offered():
    return candidates(prices.offers(PRICES, ["here"], "on-demand"))


def asked_for(**changes):
    base = Inputs(MODEL, 128, 512, Slo(tps=400.0), batch=32)
    return replace(base, **changes)


def test_the_cheapest_that_meets_the_slo_is_chosen(warm):
    found = ranking(asked_for(), offered(), [Setup(FLEXGEN)], TODAY)
    assert found["choice"]["instance"] == "g4dn.xlarge"
    assert [row["instance"] for row in found["rows"]] == ["g4dn.xlarge", "g6.xlarge", "g6e.xlarge"]
    assert found["prices"]["stale"] == 1
    best = found["choice"]
    assert best["cost_usd_per_million_tokens"] == pytest.approx(0.71 / 3600 / best["tps_total"] * 1e6)
    assert best["tps_output"] == pytest.approx(best["tps_total"] * 512 / 640)
    assert ranking(asked_for(slo=Slo(tps=720.0)), offered(), [Setup(FLEXGEN)], TODAY)["choice"]["gpu"] == "l4"


def test_misses_are_ranked_by_how_far_off_they_are():
    reached = {"tps_total": 50.0, "tps_output": 40.0, "ttft_s": 1.0, "tpot_s": 0.2, "latency_s": 9.0, "job_s": 1.0}
    assert misses(Slo(tps=100.0, tpot=0.05, latency=10.0), reached) == (("tpot", 4.0), ("tps", 2.0))
    assert misses(Slo(), reached) == ()


def test_what_nothing_meets_names_the_nearest_miss_and_the_remedy(warm):
    with pytest.raises(Infeasible, match=r"nearest is g6e.xlarge: misses the SLO: tps_total .* of 5 ktoken/s asked"):
        rank(asked_for(slo=Slo(tps=5000.0)), offered(), [Setup(FLEXGEN)])
    with pytest.raises(Infeasible, match="g6e.xlarge at 2.699 USD/h would meet it: raise --max-price"):
        rank(asked_for(slo=Slo(tps=1200.0), max_price=2.0), offered(), [Setup(FLEXGEN)])
    with pytest.raises(Infeasible, match="the cheapest is g4dn.xlarge at 0.71 USD/h"):
        rank(asked_for(max_price=0.1), offered(), [Setup(FLEXGEN)])
    with pytest.raises(Infeasible, match=r"llama-3.1-405b fits no instance on offer; the nearest, g6e.xlarge"):
        rank(asked_for(model=load("model", "llama-3.1-405b")), offered(), [Setup(FLEXGEN)])


def test_several_instances_share_the_demand(warm):
    rows = rank(asked_for(slo=Slo(tps=2000.0), most_instances=10), offered(), [Setup(FLEXGEN)])
    for row in rows:
        assert row.reached["tps_total"] >= 2000.0
        assert row.reached["tps_total"] * (row.copies - 1) / row.copies < 2000.0


def test_fewer_bits_can_be_the_answer(warm):
    """Llama-3-8B does not fit 16 GB at 16 bit and does at 8: the cheapest instance then serves it."""
    asked = asked_for(model=load("model", "llama-3.1-8b"), slo=Slo(tps=50.0), batch=4)
    fused = Setup(override(FLEXGEN, widening_bytes=0.0))
    found = ranking(asked, offered(), precisions(fused, [16.0, 8.0], [16.0, 8.0]), TODAY)
    assert found["choice"]["instance"] == "g4dn.xlarge"
    assert found["choice"]["detail"]["weight_bits"] == 8.0
    assert found["fewer_bits"]["instance_at_most_bits"] == "g6.xlarge"
    assert found["fewer_bits"]["saving"] == pytest.approx(1.0 - 0.71 / 1.167)


def test_a_batch_and_a_rate_exclude_each_other():
    with pytest.raises(SpecError, match="either a batch or a rate"):
        rank(asked_for(rate=1.0), offered(), [Setup(FLEXGEN)])
    with pytest.raises(SpecError, match="needs the physical time model"):
        rank(asked_for(batch=0, rate=1.0, time_model="as-published"), offered(), [Setup(FLEXGEN)])
