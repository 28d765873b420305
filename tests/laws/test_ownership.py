"""What owning costs: hand values and monotony."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.laws.cost import tokens_per_dollar
from accelmodel.laws.ownership import capital, carbon_rate, cost_rate, drawn_power


def test_hand_values():
    # 1e-12: arithmetic alone
    assert capital(30_000.0, 4_000.0, 0.15) == pytest.approx(40_000.0, rel=1e-12)
    # 700 W, 84 W for a quarter of the time it serves, 300 W of the host for five quarters, at 1.3
    assert drawn_power(700.0, 84.0, 0.8, 300.0, 1.3) == pytest.approx((700 + 21 + 375) * 1.3, rel=1e-12)
    assert cost_rate(1000.0, 1e6, 0.5, 400.0, 1e-8) == pytest.approx(1000.0 / 5e5 + 4e-6, rel=1e-12)
    assert carbon_rate(80.0, 1e8, 0.8, 1000.0, 8e-8) == pytest.approx(1e-6 + 8e-5, rel=1e-12)


def test_a_device_that_always_serves_draws_no_idle_power():
    assert drawn_power(400.0, 1e6, 1.0, 0.0, 1.0) == 400.0


@given(st.floats(1.0, 1e5), st.floats(1e6, 1e9), st.floats(0.1, 1.0), st.floats(0.0, 1e4), st.floats(1.01, 10.0))
def test_cheaper_with_a_longer_life_and_more_use(price, lifetime, use, power, factor):
    before = cost_rate(price, lifetime, use, power, 2e-8)
    assert cost_rate(price, lifetime * factor, use, power, 2e-8) < before
    assert cost_rate(price * factor, lifetime, use, power, 2e-8) > before
    assert tokens_per_dollar(factor, 8.0, before) > tokens_per_dollar(1.0, 8.0, before)


@given(st.floats(1.0, 1e3), st.floats(0.0, 1.0), st.floats(0.1, 1.0), st.floats(0.0, 1e3), st.floats(1.0, 2.0))
def test_waiting_is_paid_by_what_serves(busy, idle, use, host, pue):
    found = drawn_power(busy, busy * idle, use, host, pue)
    assert found >= drawn_power(busy, busy * idle, 1.0, host, pue) * (1.0 - 1e-12)
    assert found >= busy
