"""Priors: shapes whose quantiles are known by hand, and everything that has a range found."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.posterior.draws import draw
from accelmodel.dse.posterior.priors import PRIORS, Prior, named, priors, replaced, residuals, uncertain
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError
from accelmodel.inference.intervals import KINDS, uncalibrated


@pytest.fixture(scope="module")
def study():
    return load_study()


@pytest.fixture(scope="module")
def parts(study):
    return parts_of_study(study)


def prior(shape="uniform", scale="linear", low=2.0, nominal=3.0, high=6.0, **other) -> Prior:
    return Prior("device", "hbm.share", "assumed", "1", shape, scale, low, nominal, high, **other)


@pytest.mark.parametrize(
    ("known", "share", "value"),
    [
        (prior(), 0.25, 3.0),
        (prior(scale="log", low=1.0, high=1e4), 0.25, 10.0),
        # a triangle from 2 over 3 to 6: a quarter of it lies left of its top, half of that left of 2 + 1 / sqrt(2)
        (prior("triangular"), 0.25, 3.0),
        (prior("triangular"), 0.125, 2.0 + math.sqrt(0.5)),
        (prior("triangular"), 1.0 - 1.0 / 12.0, 5.0),
        # each of five counts has a fifth
        (prior(scale="counts"), 0.39, 3.0),
        (prior(scale="counts"), 0.41, 4.0),
        # 2, 4, 8: a third each
        (prior(scale="powers of two", low=2.0, nominal=4.0, high=8.0), 0.34, 4.0),
        (prior(scale="powers of two", low=2.0, nominal=4.0, high=8.0), 0.67, 8.0),
        # nine tenths between the ends, half of it below their geometric mean
        (prior("normal", "log", 0.5, 1.0, 2.0), 0.05, 0.5),
        (prior("normal", "log", 0.5, 1.0, 2.0), 0.5, 1.0),
        (prior("normal", "log", 0.5, 1.0, 2.0), 0.95, 2.0),
        # nothing is sold for less than a cent, but for nothing
        (prior(low=0.0, nominal=0.0, high=1.0, least=0.01), 0.005, 0.0),
        (prior(low=0.0, nominal=0.0, high=1.0, least=0.01), 0.02, 0.02),
    ],
)
def test_quantiles_by_hand(known, share, value):
    assert known.quantile(np.array([share]))[0] == pytest.approx(value, rel=1e-12)


@given(
    shape=st.sampled_from(list(PRIORS)),
    scale=st.sampled_from(["linear", "log", "counts", "powers of two"]),
    power=st.tuples(*[st.integers(0, 8)] * 3).map(sorted),
    shares=st.lists(st.floats(1e-9, 1.0 - 1e-9), min_size=2, max_size=20).map(sorted),
)
def test_draws_rise_with_their_share_and_keep_to_the_range(shape, scale, power, shares):
    low, nominal, high = (2.0**each for each in power)
    found = prior(shape, scale, low, nominal, high).quantile(np.array(shares))
    assert (np.diff(found) >= 0.0).all()
    assert low <= found[0]
    assert found[-1] <= high
    if scale in ("counts", "powers of two"):
        assert (found % 1.0 == 0.0).all()
    if scale == "powers of two":
        assert set(found) <= {2.0**each for each in range(9)}


def test_a_prior_without_width_is_the_value():
    for shape in PRIORS:
        assert prior(shape, low=3.0, high=3.0).quantile(np.array([0.01, 0.99])).tolist() == [3.0, 3.0]


def test_nine_tenths_of_a_triangular_residual_lie_between_its_factors(study, parts):
    ends = residuals(study, parts)
    for each in priors(study, parts, "triangular")[-len(KINDS) :]:
        found = each.quantile(np.array([0.05, 0.95]))
        assert found == pytest.approx(ends[each.field], rel=1e-9)


def test_everything_that_has_a_range_is_drawn(study, parts):
    known = priors(study, parts)
    found = {(each.part, each.field) for each in known}
    for part in ("device", "link", "bill", "process"):
        for name, fact in getattr(parts, part).facts.items():
            # what closes the die and the power of the device is no constant: it follows
            if fact.range is not None and fact.range[0] < fact.range[1] and name not in ("uncore_area", "uncore_power"):
                assert (part, name) in found
    assert [each.field for each in known[-len(KINDS) :]] == list(KINDS)
    ends = uncalibrated(parts.device.vendor)
    assert [(each.low, each.high) for each in known[-len(KINDS) :]] == [ends[kind] for kind in KINDS]
    assert len(found) == len(known) == len(uncertain(parts)) + len(KINDS)


def test_what_constants_are_drawn_in(study, parts):
    known = {named(each, parts): each for each in priors(study, parts)}
    assert known["device.tile_m"].words == "uniform among powers of two"
    assert known["device.l2_copies"].words == "uniform among whole numbers"
    assert known["link.start_up"].words == "uniform in the logarithm"  # 10 to 150 us
    assert known["process.sram_area"].words == "uniform"  # 0.5625 to 0.64 mm² a MiB
    assert known["device.hbm_share"].words == "uniform"
    assert known["time.collective"].words == "lognormal"
    assert known["phy.price"].least == 0.01
    assert all(each.low <= each.nominal <= each.high for each in known.values())


def test_what_goes_together(study, parts):
    known = {named(each, parts): each.group for each in priors(study, parts)}
    assert known["device.launch_time"] == known["device.split_time"] == known["device.exposed"]
    assert known["link.start_up"] == known["link.hop_latency"] != known["device.launch_time"]
    assert known["memory.area"] == known["memory.footprint"] != known["memory.power"]
    # alone of its kind, or of none
    assert {known["site.lifetime"], known["process.sram_area"], known["time.matmul"]} == {""}


def test_a_fact_of_any_part_counts(study, parts):
    """Whatever a chip is made of is asked, not a list of parts."""
    fact = replace(parts.process.facts["wafer_diameter"], range=(0.2, 0.45))
    process = replace(parts.process, facts={**parts.process.facts, "wafer_diameter": fact})
    more = priors(study, replace(parts, process=process))
    assert {each.name for each in more} - {each.name for each in priors(study, parts)} == {"process.wafer_diameter"}


def test_what_two_parts_are_made_of_alike_is_drawn_once(study, parts):
    """Base dies of the process of the compute dies have its defects, not others."""
    assert parts.below is parts.process
    known = priors(study, parts)
    assert not [each for each in known if each.part == "base"]
    moved = draw(known, 3).parts(parts)
    assert moved.below is moved.process
    assert moved.below.defect_density.dims == ("draw",)


def test_what_an_axis_says_is_not_drawn(study, parts):
    known = {each.name: each for each in priors(study, parts)}
    assert replaced(known["device.hbm.share"], ["hbm_share"])
    assert replaced(known["process.sram_area"], ["process"])
    assert replaced(known["phy.area"], ["link"])
    assert replaced(known["process.defect_density"], ["process_defect_density"])
    for name in ("device.hbm.share", "process.sram_area", "device.hbm.stacks"):
        # what stacks of the reference bring is still not known where there may be more of them
        assert not replaced(known[name], ["l2_capacity", "hbm_stacks", "links", "site"])


def test_a_prior_that_is_not_known_is_refused(study, parts):
    with pytest.raises(SpecError, match="unknown prior 'triangle', did you mean 'triangular'"):
        priors(study, parts, "triangle")
