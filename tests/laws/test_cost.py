"""What a chip costs: published hand values and monotony."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.cost import die_price, die_yield, dies_per_wafer, part_sum, tokens_per_dollar
from accelmodel.laws.ownership import cost_rate

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
    assert cost_rate(1000.0, 1e6, 0.5, 400.0, 1e-8) == pytest.approx(1000.0 / 5e5 + 4e-6, rel=1e-12)
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


@given(st.floats(1.0, 1e5), st.floats(1e6, 1e9), st.floats(0.1, 1.0), st.floats(0.0, 1e4), st.floats(1.01, 10.0))
def test_cheaper_with_a_longer_life_and_more_use(price, lifetime, use, power, factor):
    before = cost_rate(price, lifetime, use, power, 2e-8)
    assert cost_rate(price, lifetime * factor, use, power, 2e-8) < before
    assert cost_rate(price * factor, lifetime, use, power, 2e-8) > before
    assert tokens_per_dollar(factor, 8.0, before) > tokens_per_dollar(1.0, 8.0, before)


@given(AREAS)
def test_arrays_give_what_floats_give(area):
    both = die_price(np.array([area, area / 2]), 1e4, 0.3, 0.5)
    assert both == pytest.approx([die_price(a, 1e4, 0.3, 0.5) for a in (area, area / 2)], rel=1e-12)  # arithmetic
