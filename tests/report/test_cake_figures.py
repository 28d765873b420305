"""The numbers behind Cake's figures: regimes about the crossover, fronts over time."""

from __future__ import annotations

import numpy as np

from accelmodel.cli.options import hardware
from accelmodel.kvcache import evaluate as cake_answer
from accelmodel.kvcache.traces import constant_trace
from accelmodel.report import cake_figures
from accelmodel.specs.load import load

GIB = 2.0**30


def inputs_of(**fields) -> cake_answer.Inputs:
    given = {"tokens": [16384], "bandwidth": [4 * GIB], **fields}
    return cake_answer.Inputs(
        load("model", "longalpaca-13b"), hardware("a100-sxm-80gb", 1), load("storage", "cloud-ssd"), **given
    )


def test_the_map_shows_three_regimes_about_the_crossover(warm):
    points = cake_figures.surface_points(inputs_of())
    assert set(np.unique(points["regime"])) == {"compute", "both", "load"}
    # a smaller share needs less bandwidth to be worth loading
    assert (np.diff(points["crossover"][np.isfinite(points["crossover"])]) > 0.0).all()
    for row, crossover in enumerate(points["crossover"]):
        if np.isfinite(crossover) and crossover < points["bandwidth"][-1]:
            at = int(np.argmin(np.abs(points["bandwidth"] - crossover)))
            assert points["regime"][row, at] == "both"


def test_the_front_picture_shows_the_rates_of_traces(warm):
    points = cake_figures.fronts_points(inputs_of(bandwidth_trace=constant_trace(4e9)))
    assert set(points["rates"]) == {"bandwidth"}
    assert points["rates"]["bandwidth"][0][-1] == points["meet_time_s"]
    assert len(cake_figures.figure_fronts(points).data) == 4
