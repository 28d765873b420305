"""The numbers behind the figures of rented instances."""

from __future__ import annotations

import math
from datetime import date

import pytest

from accelmodel.cloud.choice import ranking
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market
from accelmodel.cloud.ranking import Inputs, Slo
from accelmodel.report import instance_figures
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
        total = sum(values[i] for values in points["parts"].values())
        assert total == pytest.approx(row["tpot_s"] * 1e3, rel=0.02)
    assert points["parts"]["Host link"][0] > 0.0


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
    assert len(instance_figures.figure_step(instance_figures.step_points(inputs, offered, asked()[3], setup)).data) >= 3
