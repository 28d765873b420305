"""What joins dies costs: hand values, and that more of anything is never cheaper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.cost import dies_per_wafer
from accelmodel.laws.packaging import (
    assembly_yield,
    bonding_loss,
    crossing,
    interposer_price,
    shoreline,
    stacked_area,
    substrate_price,
)

YIELDS = st.floats(0.5, 1.0)


def test_hand_values():
    # 1e-12: arithmetic alone
    assert substrate_price(1e-3, 4.0, 5e3) == pytest.approx(20.0, rel=1e-12)
    # 70,686 mm2 at 0.1 USD/mm2, on which 64.26 - 20.09 of 1.1 x 1000 mm2 fit; 0.66 defects in six clusters
    one = 7068.6 / (64.26 - 20.09) * (1 + 0.66 / 6) ** 6
    assert interposer_price(1e-3, 1.1, 1e5, 600.0, 6.0) == pytest.approx(one, rel=1e-3)
    assert assembly_yield(0.99, 2.0, 0.98, 8.0) == pytest.approx(0.9801 * 0.98**8, rel=1e-12)
    assert bonding_loss(900.0, 0.9) == pytest.approx(100.0, rel=1e-12)
    # 64 MiB at 0.6 mm2/MiB, a twentieth of it vias
    assert stacked_area(64 * 2**20, 0.6e-6 / 2**20, 0.05) == pytest.approx(64 * 0.6e-6 / 0.95, rel=1e-12)
    # five stacks of 7 mm and 18 links of 1 mm at four edges of 28.53 mm, nine tenths of them
    assert shoreline(53e-3, 814e-6, 1.0, 0.9) == pytest.approx(53.0 / (4 * 814**0.5 * 0.9), rel=1e-12)
    assert crossing(8e12, 4.0) == pytest.approx(6e12, rel=1e-12)


@given(YIELDS, YIELDS, st.floats(0.0, 16.0), st.floats(0.0, 16.0), st.floats(0.0, 4.0))
def test_more_bonds_never_hold_better(die, stack, dies, stacks, more):
    good = assembly_yield(die, dies, stack, stacks)
    assert 0.0 < assembly_yield(die, dies + more, stack, stacks) <= good <= 1.0
    assert assembly_yield(die, dies, stack, stacks + more) <= good
    assert bonding_loss(100.0, good) >= 0.0


@given(st.floats(1e-5, 5e-3), st.floats(1.0, 2.0), st.floats(0.0, 2e3), st.floats(1.0, 2.0))
def test_a_larger_interposer_is_dearer_by_more_than_its_area(standing, scale, defects, factor):
    one = interposer_price(standing, scale, 1e5, defects, 6.0)
    assert interposer_price(standing * factor, scale, 1e5, defects, 6.0) >= one * factor * (1.0 - 1e-12)
    assert one >= standing * scale * 1e5 * (1.0 - 1e-12)


@given(st.floats(1e-3, 0.3), st.floats(5e-5, 2e-3), st.floats(1.0, 8.0))
def test_cutting_silicon_in_dies_gives_more_edge(needed, area, dies):
    whole = shoreline(needed, area, 1.0, 0.9)
    assert shoreline(needed, area, dies, 0.9) == pytest.approx(whole / dies**0.5, rel=1e-9)
    assert shoreline(needed, area * 2.0, 1.0, 0.9) < whole


def test_interposers_on_a_wafer_are_near_those_that_are_counted():
    # the trade press counts 29 of an H100 and 16 of a B200; the law is the more pessimistic the larger they are
    for standing, counted, off in ((814e-6 + 5 * 110e-6, 29.0, 0.05), (1600e-6 + 8 * 121e-6, 16.0, 0.25)):
        assert float(dies_per_wafer(1.1 * standing, 0.3)) == pytest.approx(counted, rel=off)
