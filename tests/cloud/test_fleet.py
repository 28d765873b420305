"""Fleets: the integer program against enumeration, service levels, mixes that are wrong."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from builders import LINEAR, RULES

from accelmodel.cloud.fleet import Bucket, best_rate, cheapest, plan_fleet, read_mix
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.ranking import Slo
from accelmodel.errors import Infeasible, SpecError
from accelmodel.serving.serve import Replica
from accelmodel.serving.simulate import steady
from accelmodel.specs.load import load
from accelmodel.specs.prices import Price


def test_integer_program_against_enumeration():
    """All counts up to 4 of three types, slices of a bucket anywhere: the program finds the least cost."""
    served = np.array([[2.0, 5.0, 0.0], [0.5, 1.0, 4.0]])
    wanted, price = np.array([3.0, 4.0]), np.array([1.0, 2.2, 5.0])
    best = math.inf
    for counts in np.ndindex(5, 5, 5):
        for share in np.ndindex(9, 9, 9):
            if share[1] + share[2] > 8:
                continue
            first = np.array([share[0], 8 - share[0], 0]) / 8.0
            second = np.array([share[1], share[2], 8 - share[1] - share[2]]) / 8.0
            loads = sum(
                np.divide(w * s, r, out=np.where(s > 0, np.inf, 0.0), where=r > 0)
                for w, s, r in zip(wanted, (first, second), served, strict=True)
            )
            if counts @ price < best and (loads <= np.array(counts) + 1e-9).all():
                best = counts @ price
    counts = cheapest(served, wanted, price)
    assert counts @ price == pytest.approx(best)


def test_best_rate_keeps_to_the_service_level_and_no_further():
    replica, size = Replica(LINEAR, RULES), Bucket(200, 50, 1.0)
    slo = Slo(tpot=0.003)
    rate = best_rate(replica, size, slo)
    users = next(n for n in range(256, 0, -1) if steady(LINEAR, RULES, n, 200, 50)["tpot_s"] <= 0.003)
    assert rate == steady(LINEAR, RULES, users, 200, 50)["requests_per_s"]
    assert best_rate(replica, size, Slo(tpot=1e-4)) == 0.0


PRICES = {
    name: Price(name, "here", "on-demand", price, date(2026, 1, 1))
    for name, price in (("g6.xlarge", 0.8), ("g5.xlarge", 1.0), ("p4de.24xlarge", 41.0))
}


def test_a_fleet_costs_no_more_than_its_best_single_type(warm):
    model, setup = load("model", "llama-3.1-8b"), Setup(load("engine", "in-flight"), "none")
    mix = [Bucket(128, 128, 8.0), Bucket(2048, 256, 1.0)]
    found = plan_fleet(model, mix, Slo(tpot=0.1), setup=setup, offered=PRICES)
    assert found["cost_usd_per_hour"] <= found["best_single"]["cost_usd_per_hour"]
    assert found["cost_usd_per_hour"] == pytest.approx(sum(PRICES[n].per_hour * c for n, c in found["counts"].items()))
    assert found["saving"] == pytest.approx(1 - found["cost_usd_per_hour"] / found["best_single"]["cost_usd_per_hour"])
    more = plan_fleet(model, [replace_rate(b, 10.0) for b in mix], Slo(tpot=0.1), setup=setup, offered=PRICES)
    assert more["cost_usd_per_hour"] > found["cost_usd_per_hour"]
    with pytest.raises(Infeasible, match=r"serves requests of 2048 \+ 256 tokens within tpot 1 ms"):
        plan_fleet(model, mix[1:], Slo(tpot=0.001), setup=setup, offered=PRICES)


def replace_rate(bucket, factor):
    return bucket._replace(rate=bucket.rate * factor)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "columns must be input,output,rate"),
        ("input,output,rate\n", "has 0 buckets"),
        ("input,output\n1,2\n", "columns must be"),
        ("input,output,rate\n1,x,3\n", ":2: "),
        ("input,output,rate\n1,2,-3\n", "rate above 0"),
        ("input,output,rate\n0,2,3\n", "must be 1 to 10 million"),
    ],
)
def test_mixes_that_are_wrong_say_where(tmp_path, text, told):
    path = tmp_path / "mix.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=told):
        read_mix(path)
