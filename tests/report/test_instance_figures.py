"""The numbers behind the figures of rented instances."""

from __future__ import annotations

import math
from datetime import date

import pytest

from accelmodel.cloud.choice import ranking
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market
from accelmodel.cloud.ranking import Inputs, Slo
from accelmodel.report import instance_figures, instances
from accelmodel.specs.load import load


def asked(batch=32):
    inputs = Inputs(load("model", "opt-2.7b"), 1024, 128, Slo(tps=100.0), batch=batch)
    offered = Market().offers()
    setup = Setup(load("engine", "flexgen"))
    return inputs, offered, setup, ranking(inputs, offered, [setup], date(2026, 1, 1))


def test_points_of_a_step_add_up_to_its_time(warm):
    """The parts of a serial engine's step are its time: host link, engine and operators, within 2 %."""
    inputs, offered, setup, data = asked()
    points = instance_figures.step_points(inputs, offered, data, setup)
    for i, name in enumerate(points["instances"]):
        row = next(row for row in data["rows"] if row["instance"] == name)
        total = sum(values[i] for values in points["tpot"].values())
        assert total == pytest.approx(row["tpot_s"] * 1e3, rel=0.02)
        first = sum(values[i] for values in points["ttft"].values())
        assert first == pytest.approx(row["ttft_s"] * 1e3, rel=1e-9)
        assert points["ttft"]["Compute"][i] > 0.5 * first  # 32 prompts of 1,024 tokens
    assert points["tpot"]["Host link"][0] > 0.0


def test_points_of_cost_have_a_front_that_rises(warm):
    inputs, _, _, data = asked()
    points = instance_figures.cost_points(inputs, data)
    front = [(spot["price"], spot["reached"]) for spot in points["front"]]
    assert front == sorted(front)
    assert sum(spot["choice"] for spot in points["spots"]) == 1
    assert len(instance_figures.figure_cost(points).data) == 4


def test_winners_are_cheaper_than_all_others(warm):
    inputs, offered, setup, _ = asked()
    points = instance_figures.winner_points(inputs, offered, setup)
    assert len(points["winner"]) == len(points["context"]) == 3  # 1,024 + 128 is within the model's 2,048 tokens
    assert all(math.isfinite(cost) for row in points["cost"] for cost in row if cost is not None)
    assert points["cost"][0][0] > points["cost"][0][5]  # larger batches make cheaper tokens
    assert instance_figures.figure_winner(points).data[0].type == "heatmap"
    steps = instance_figures.step_points(inputs, offered, asked()[3], setup)
    assert len(instance_figures.figure_step(steps, "tpot").data) >= 3
    assert len(instance_figures.figure_step(steps, "ttft").data) >= 2


@pytest.fixture(scope="module")
def rate():
    """Two requests a second on two instances, of which one misses the time per token whatever its number."""
    slo = Slo(ttft=0.5, tpot=0.05)
    inputs = Inputs(load("model", "llama-3.1-8b"), 1024, 256, slo, rate=2.0, most_instances=100)
    offered = Market(instances=["g6e.xlarge", "g6.xlarge"], only=True).offers()
    setup = Setup(load("engine", "in-flight"))
    return inputs, offered, setup, ranking(inputs, offered, [setup], date(2026, 1, 1))


def test_a_row_that_is_only_the_cap_is_not_drawn(warm, rate):
    """A decode step of one request takes longer on an L4 than is asked: no number of them helps."""
    inputs, offered, setup, data = rate
    assert [row["detail"]["capped"] for row in data["rows"]] == [False, True]
    assert [spot["instance"] for spot in instance_figures.cost_points(inputs, data)["spots"]] == ["g6e.xlarge"]
    assert instance_figures.step_points(inputs, offered, data, setup)["instances"] == ["g6e.xlarge"]
    assert "<td>g6.xlarge" not in instances.row_table(data)
    assert "even 100 of each miss it: g6.xlarge" in instances.lead(data)[0]


def test_steps_of_a_rate_are_of_the_requests_at_once(warm, rate):
    """The mean number at once is that of Little's law, and what users see is the step and their waiting."""
    inputs, offered, setup, data = rate
    row = data["choice"]
    at_once = row["detail"]["batch"]
    assert 0.8 * row["tps_output"] * row["tpot_s"] < at_once < row["tps_output"] * row["tpot_s"]  # of the median
    points = instance_figures.step_points(inputs, offered, data, setup)
    for time, seen in (("tpot", row["tpot_s"]), ("ttft", row["ttft_s"])):
        assert sum(values[0] for values in points[time].values()) == pytest.approx(seen * 1e3, rel=1e-9)
        assert points[time][instance_figures.WAITING][0] > 0.0
    # one request reads the weights as well: 16 GB at 864 GB/s
    assert points["tpot"]["Device memory"][0] > 16.06e9 / 864e9 * 1e3


def test_a_rate_is_drawn_by_both_times_and_without_static_batches(warm, rate):
    inputs, offered, setup, data = rate
    page = instances.page(inputs, offered, [setup], data)
    assert [name for name in ("cost-tpot", "cost-ttft", "tpot", "ttft") if f'<div id="figure-{name}"' in page] == [
        "cost-tpot", "cost-ttft", "tpot", "ttft",
    ]  # fmt: skip
    assert page.count('<div id="figure-') == 4
    assert instance_figures.cost_points(inputs, data, "ttft")["slo"] == 500.0
    assert instance_figures.cost_points(inputs, data)["slo"] == 50.0


def test_intervals_are_explained_where_there_are_some(warm, rate):
    inputs, offered, setup, data = asked()
    assert "nine of ten measured times" in instances.page(inputs, offered, [setup], data)
    inputs, offered, setup, data = rate
    assert "nine of ten measured times" not in instances.page(inputs, offered, [setup], data)
