"""What a chip costs: published hand values and monotony."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc
from twins import harvest

from accelmodel.laws.cost import (
    design_price,
    die_carbon,
    die_price,
    die_yield,
    dies_per_wafer,
    fatal_area,
    harvested_yield,
    known_good_die,
    part_sum,
    tokens_per_dollar,
)

AREAS = st.floats(50e-6, 900e-6)
DEFECTS = st.floats(1.0, 1e4)


@pytest.mark.parametrize(
    ("area_mm2", "wafer", "defects_per_mm2", "clustering", "dies", "good", "price"),
    [
        # 826 mm2 at 7 nm: pi 300^2 / (4 x 826) = 85.57, less pi 300 / sqrt(2 x 826) = 23.19
        (826.0, 9346.0, 1.5e-3, 3.0, 62.4, 0.354, 423.0),
        # 814 mm2 at 5 nm: 86.84 less 23.36
        (814.0, 16988.0, 2.0e-3, 3.0, 63.5, 0.272, 982.0),
    ],
)
def test_published_dies(area_mm2, wafer, defects_per_mm2, clustering, dies, good, price):
    area, defects = area_mm2 * 1e-6, defects_per_mm2 * 1e6
    # half of the last digit printed, and a per mille of the price, which is their quotient
    assert dies_per_wafer(area, 0.3) == pytest.approx(dies, abs=0.06)
    assert die_yield(area, defects, clustering) == pytest.approx(good, abs=6e-4)
    assert die_price(area, wafer, 0.3, die_yield(area, defects, clustering)) == pytest.approx(price, rel=2e-3)


def test_hand_values():
    # 1e-12: arithmetic alone
    assert dies_per_wafer(1e-4, 0.3) == pytest.approx(np.pi * 0.09 / 4e-4 - np.pi * 0.3 / np.sqrt(2e-4), rel=1e-12)
    assert die_yield(1e-4, 1e3, 2.0) == pytest.approx(1 / (1 + 0.1 / 2) ** 2, rel=1e-12)
    assert die_price(1e-4, 5000.0, 0.3, 1.0) == pytest.approx(5000.0 / dies_per_wafer(1e-4, 0.3), rel=1e-12)
    assert part_sum((2.0, 3.0), (5.0, 0.5)) == 8.5
    assert tokens_per_dollar(100.0, 8.0, 0.5) == pytest.approx(25.0, rel=1e-12)


def test_a_die_larger_than_the_wafer_has_a_price_all_the_same():
    assert dies_per_wafer(1.0, 0.3) == 0.0
    assert die_price(1.0, 5000.0, 0.3, 0.5) == pytest.approx(1e12, rel=1e-12)  # arithmetic alone


@given(AREAS, DEFECTS, st.floats(0.5, 10.0), st.floats(1.01, 2.0))
def test_larger_or_dirtier_dies_cost_more(area, defects, clustering, factor):
    def price(a, d):
        return die_price(a, 1e4, 0.3, die_yield(a, d, clustering))

    assert price(area * factor, defects) > price(area, defects) * factor * (1.0 - 1e-9)  # at least in proportion
    assert price(area, defects * factor) > price(area, defects)
    assert 0.0 < die_yield(area, defects, clustering) <= 1.0


@given(AREAS, st.floats(1.0, 1e4))
def test_yield_tends_to_the_poisson_law_without_clustering(area, defects):
    # (1 + x/c)^-c = exp(-x + x^2/2c - ...): with c = 1e6 and x below 9 off by at most 4e-5
    assert die_yield(area, defects, 1e6) == pytest.approx(np.exp(-area * defects), rel=1e-4)


@given(AREAS)
def test_arrays_give_what_floats_give(area):
    both = die_price(np.array([area, area / 2]), 1e4, 0.3, 0.5)
    assert both == pytest.approx([die_price(a, 1e4, 0.3, 0.5) for a in (area, area / 2)], rel=1e-12)  # arithmetic


def test_parts_of_a_good_die_by_hand():
    # 1e-12: arithmetic alone
    assert fatal_area(800e-6, 100e-6, 0.2) == pytest.approx(720e-6, rel=1e-12)
    assert known_good_die(300.0, 10.0, 0.25) == pytest.approx(340.0, rel=1e-12)
    # a die of 100 mm2: 640.27 whole ones; half of them good carry 0.070686 m2 x 20,000 kg/m2
    assert die_carbon(1e-4, 0.3, 0.5, 2e4) == pytest.approx(np.pi * 0.0225 * 2e4 / (0.5 * 640.2), rel=2e-3)
    # 600 mm2 of which 300 are unique: half of the node, 0.6 of it, a fifth, and the masks
    assert design_price(600e-6, 300e-6, 1e8, 5e6) == pytest.approx(1e8 * (0.5 + 0.6 + 0.2) + 5e6, rel=1e-12)


def test_harvested_yield_by_hand():
    """No clustering to speak of: (1 - e^-x) of Poisson counts; one spare of a mean of 0.5 defects in cores."""
    rest, cores, defects = 3e-4, 5e-4, 1e3
    poisson = np.exp(-0.3) * np.exp(-0.5) * (1.0 + 0.5)
    assert harvested_yield(rest, cores, 1.0, defects, 1e6) == pytest.approx(poisson, rel=1e-5)  # 1/c is left
    # c = 1 is a geometric law: outside (1 + 0.3)^-1, and of the rest all but q^2 with q = 0.5 / 1.8
    geometric = (1.0 - (0.5 / 1.8) ** 2) / 1.3
    assert harvested_yield(rest, cores, 1.0, defects, 1.0) == pytest.approx(geometric, rel=1e-12)


@given(AREAS, st.floats(0.0, 1.0), DEFECTS, st.floats(0.5, 10.0))
def test_without_spares_it_is_the_yield_of_the_whole(area, share, defects, clustering):
    whole = die_yield(area, defects, clustering)
    found = harvested_yield(area * (1.0 - share), area * share, 0.0, defects, clustering)
    assert found == pytest.approx(whole, rel=1e-9)


@given(AREAS, st.floats(0.05, 0.95), DEFECTS, st.floats(0.5, 10.0), st.floats(0.0, 20.0), st.floats(0.1, 20.0))
def test_spares_never_cost_yield_and_never_mend_what_is_outside(area, share, defects, clustering, spares, more):
    rest, cores = area * (1.0 - share), area * share
    found = harvested_yield(rest, cores, spares, defects, clustering)
    assert found <= harvested_yield(rest, cores, spares + more, defects, clustering) * (1.0 + 1e-12)
    assert found <= die_yield(rest, defects, clustering) * (1.0 + 1e-12)
    assert harvested_yield(rest, cores, spares, defects * 1.5, clustering) <= found * (1.0 + 1e-12)
    assert harvested_yield(rest * 1.5, cores, spares, defects, clustering) <= found * (1.0 + 1e-12)


@pytest.mark.parametrize(
    ("rest", "core", "made", "spares", "defects", "clustering"),
    [(338e-6, 3.06e-6, 144, 12, 2e3, 3.0), (300e-6, 6e-6, 25, 1, 2e3, 3.0), (60e-6, 2e-6, 40, 2, 5e3, 1.5)],
)
def test_dies_with_cores_one_after_the_other(rest, core, made, spares, defects, clustering):
    by_cores, by_defects = harvest.sold(rest, core, made, spares, defects, clustering)
    found = harvested_yield(rest, core * made, spares, defects, clustering)
    noise = 4.0 * np.sqrt(0.25 / 40_000)  # four standard errors of a share
    assert found == pytest.approx(by_defects, abs=noise)
    assert found <= by_cores + noise  # two defects in a core are one dead core: the law is on the dear side
    assert by_cores - found < 0.004 * by_cores + noise


@pytest.mark.parametrize(
    ("rest", "core", "made", "spares", "defects", "off"),
    [(338e-6, 3.06e-6, 144, 12, 2e3, 1e-6), (445e-6, 5.36e-6, 80, 6, 2e3, 1e-4), (3e-4, 6e-6, 25, 1, 5e3, 4e-3)],
)
def test_the_binomial_law_of_dead_cores_lies_close(rest, core, made, spares, defects, off):
    """Integrated over densities: each core is bad with 1 - e^-Da, at most so many of them; a fine grid of densities."""
    clustering = 3.0
    share = (np.arange(20_000) + 0.5) / 20_000 * 40.0
    weight = share ** (clustering - 1.0) * np.exp(-share)
    density = share * defects / clustering
    good = np.exp(-density * rest) * betainc(made - spares, spares + 1.0, np.exp(-density * core))
    exact = float((weight * good).sum() / weight.sum())
    found = float(harvested_yield(rest, core * made, float(spares), defects, clustering))
    assert -1e-7 * exact < exact - found < off * exact  # a ten-millionth is left by the grid


def test_harvest_over_labelled_axes():
    spares = xr.DataArray([0.0, 1.0, 12.0], dims="spares")
    defects = xr.DataArray([1e3, 2e3], dims="defects")
    found = harvested_yield(3e-4, 4e-4, spares, defects, 3.0)
    assert dict(found.sizes) == {"spares": 3, "defects": 2}
    assert float(found.isel(spares=1, defects=0)) == pytest.approx(
        float(harvested_yield(3e-4, 4e-4, 1.0, 1e3, 3.0)), rel=1e-12
    )


@given(AREAS, st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_repair_never_makes_a_die_dearer(area, sram, share, less):
    fatal = fatal_area(area, area * sram, share)
    assert 0.0 <= fatal_area(area, area * sram, share * less) <= fatal * (1.0 + 1e-12) <= area * (1.0 + 1e-9)
