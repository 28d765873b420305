"""A chip as parameters and back: readable, in units, and the value of the space to the last bit."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import STUDY, small

from accelmodel.dse.search.parameters import _parameter, labelled, shown, space_of
from accelmodel.dse.studies.axes import Axis
from accelmodel.dse.studies.study import load_study

Float, Int, Words = (
    optuna.distributions.FloatDistribution,
    optuna.distributions.IntDistribution,
    optuna.distributions.CategoricalDistribution,
)


def test_axes_become_distributions_in_the_units_of_their_names(tmp_path):
    study, _ = small(tmp_path)
    assert space_of(study).distributions == {
        "L2 [MB]": Float(8.0, 256.0, step=8.0),
        "HBM stacks": Words([2, 4, 5]),
        "cores": Words([24]),
    }
    assert space_of(load_study("preserve-l2")).distributions == {
        "L2 [MB]": Float(8.0, 256.0, step=8.0),
        "link bandwidth [GB/s]": Words([14.0, 28.0, 56.0]),
        "links": Int(7, 14, step=7),
        "HBM stacks": Int(2, 6),
        "cores": Int(16, 32, step=4),
    }


@pytest.mark.parametrize(
    ("text", "label", "kind"),
    [
        ('clock = { from = "1GHz", to = "2GHz", step = "0.1GHz" }', "clock [GHz]", Float(1.0, 2.0, step=0.1)),
        ('hbm.bandwidth = { from = "1TB/s", to = "4TB/s" }', "HBM bandwidth [GB/s]", Float(1000.0, 4000.0)),
        (
            'hbm.bandwidth = { from = "1TB/s", to = "4TB/s", log = true }',
            "HBM bandwidth [GB/s]",
            Float(1000.0, 4000.0, log=True),
        ),
        ('process = { values = ["smic-7nm", "n7"] }', "process", Words(["smic-7nm", "n7"])),
    ],
)
def test_any_axis_has_its_kind(tmp_path, text, label, kind):
    study, _ = small(tmp_path, STUDY.replace("[workload]", f"{text}\n[workload]"))
    assert space_of(study).distributions[label] == kind


@given(st.floats(1e-3, 1e15), st.floats(1e-3, 1e12), st.integers(2, 40), st.sampled_from(["B", "B/s", "m2", "s", "1"]))
def test_what_is_drawn_means_a_value_of_the_space_exactly(low, step, count, unit):
    """Whatever Optuna's arithmetic of steps makes of the shown numbers."""
    values = np.unique(low + step * np.arange(count))
    if unit == "1":
        values = np.unique(np.ceil(values))
    axis = Axis("x", "x", "number", unit, values, float(values[0]), float(values[-1]))
    if len({shown(value, unit) for value in values}) < len(values):
        return  # closer than twelve digits tell apart
    parameter = _parameter(axis)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask({"x": parameter.distribution})
    assert parameter.back(trial.params["x"]) in values
    assert [parameter.back(shown(value, unit)) for value in values] == values.tolist()


@pytest.mark.parametrize("value", [9.0, 8, 8.0000001, math.nan, math.inf, "8", True, None, [8.0]], ids=repr)
def test_what_is_not_in_the_space_means_nothing(tmp_path, value):
    study, _ = small(tmp_path)
    found = space_of(study).parameters["L2 [MB]"].back(value)
    assert found == (8e6 if value == 8 and not isinstance(value, bool | str) else None)


def test_links_and_bandwidth_of_one_product_are_one_chip():
    space = space_of(load_study("preserve-l2"))
    params = {"L2 [MB]": 8.0, "HBM stacks": 4, "cores": 24}
    one = space.key({**params, "links": 14, "link bandwidth [GB/s]": 28.0})
    other = space.key({**params, "links": 7, "link bandwidth [GB/s]": 56.0})
    assert one == other != space.key({**params, "links": 7, "link bandwidth [GB/s]": 28.0})


def test_a_chip_that_was_not_tried_is_found_to_the_last(tmp_path):
    study, _ = small(tmp_path)
    space, random, tried = space_of(study), np.random.default_rng(0), set()
    for _ in range(96):
        params = space.untried(tried, random)
        assert space.key(params) not in tried
        tried.add(space.key(params))
    assert space.untried(tried, random) is None
    assert len(tried) == space.chips == 96


@given(st.sampled_from([0.0, 8e6, 104e6, 123456789.0, 1.6e12]), st.sampled_from(["B", "B/s", "USD", "1"]))
def test_names_say_the_unit_of_the_numbers(value, unit):
    scale = {"B": 1e6, "B/s": 1e9, "USD": 1.0, "1": 1.0}[unit]
    assert shown(value, unit) == pytest.approx(value / scale)
    assert (
        labelled("price", unit) == {"B": "price [MB]", "B/s": "price [GB/s]", "USD": "price [USD]", "1": "price"}[unit]
    )
