"""Energy of a step: hand values, and what a power limit may never do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from accelmodel.laws.energy import (
    VOLTAGE_FLOOR,
    attention_l2_bytes,
    clock_share,
    matmul_l2_bytes,
    stated_energy,
    step_joules,
    sustained_clock,
    tiles_of,
    under_limit,
    waited,
)

JOULES = st.floats(0.0, 1e3)
WATTS = st.floats(1.0, 1e3)
SECONDS = st.floats(1e-6, 10.0)


def limited(on_chip, beyond, static, time, limit):
    scale, longer = under_limit(on_chip, beyond, static, time, limit)
    return step_joules(on_chip * scale, beyond, static, time * longer), longer


def test_bytes_of_a_matmul_between_l2_and_cores():
    # 300 x 520 in tiles of 128 x 256: three down, three across; 10 B of input three times, 70 B of weights three times
    assert matmul_l2_bytes(300.0, 520.0, 10.0, 70.0, 5.0, (128.0, 256.0, 1.0)) == 3 * 10 + 3 * 70 + 5
    # shared by two cores
    assert matmul_l2_bytes(300.0, 520.0, 10.0, 70.0, 5.0, (128.0, 256.0, 2.0)) == 1.5 * 80 + 5
    # never less than once
    assert matmul_l2_bytes(300.0, 520.0, 10.0, 70.0, 5.0, (128.0, 256.0, 100.0)) == 80 + 5


def test_tiles_are_padded_to_the_matrix_unit():
    # 5 rows take a tile of 16, and 144 rows two of 128
    assert [float(tiles_of(rows, 128.0)) for rows in (0.0, 5.0, 128.0, 144.0, 257.0)] == [1.0, 1.0, 1.0, 2.0, 3.0]


def test_bytes_of_attention_between_l2_and_cores():
    # one tile reads the cache as it lies; four tiles read 30 B of keys each, and the cache once at least
    assert attention_l2_bytes(30.0, 1.0, 50.0, 2.0, 3.0) == 55.0
    assert attention_l2_bytes(30.0, 4.0, 50.0, 2.0, 3.0) == 125.0
    assert attention_l2_bytes(30.0, 4.0, 500.0, 2.0, 3.0) == 505.0


def test_energy_by_hand():
    # 2 J and 1 J of work, 50 W for 0.1 s
    assert step_joules(2.0, 1.0, 50.0, 0.1) == 8.0


def test_clock_by_hand():
    # (c f² + m) f with c = 1, m = 1 at f = 0.8: 0.512 + 0.8
    assert clock_share(1.0, 1.0, 1.312) == pytest.approx(0.8, rel=1e-12)
    # below the floor of voltage energy stays that of it: half of what it takes there is half the clock there
    least = (1.0 * VOLTAGE_FLOOR**2 + 1.0) * VOLTAGE_FLOOR
    assert clock_share(1.0, 1.0, 0.5 * least) == pytest.approx(0.5 * VOLTAGE_FLOOR, rel=1e-12)
    # memory alone: no voltage to save
    assert clock_share(0.0, 2.0, 1.0) == pytest.approx(0.5, rel=1e-12)
    assert clock_share(0.0, 0.0, 1.0) == 1.0


@given(JOULES, JOULES, st.floats(1e-3, 2e3))
def test_clock_solves_its_equation(on_chip, beyond, available):
    def left(f):
        return (on_chip * max(f, VOLTAGE_FLOOR) ** 2 + beyond) * f - available

    clock = float(clock_share(on_chip, beyond, available))
    root = 1.0 if left(1.0) <= 0.0 else brentq(left, 0.0, 1.0, xtol=1e-15, rtol=1e-14)
    assert clock == pytest.approx(root, rel=1e-9)


@given(JOULES, JOULES, WATTS, SECONDS, st.floats(1.01, 50.0))
def test_power_never_passes_its_limit(on_chip, beyond, static, time, headroom):
    limit = static * headroom
    energy, longer = limited(on_chip, beyond, static, time, limit)
    # 1e-9: the root of the clock
    assert energy / (time * longer) <= limit * (1.0 + 1e-9)
    assert longer >= 1.0
    free = on_chip + beyond + static * time
    if free / time <= limit:
        assert (energy, longer) == (free, 1.0)
    elif longer > 1.0 + 1e-9:
        assert energy / (time * longer) == pytest.approx(limit, rel=1e-9)


@given(JOULES, JOULES, st.floats(1.0, 100.0), SECONDS, st.floats(101.0, 1e3), st.floats(1.0, 3.0))
def test_a_higher_limit_is_never_slower_and_more_work_never_takes_less(on_chip, beyond, static, time, limit, more):
    energy, longer = limited(on_chip, beyond, static, time, limit)
    assert limited(on_chip, beyond, static, time, limit * more)[1] <= longer * (1.0 + 1e-9)
    assert limited(on_chip * more, beyond, static, time, limit)[0] >= energy * (1.0 - 1e-9)
    assert limited(on_chip, beyond * more, static, time, limit)[0] >= energy * (1.0 - 1e-9)


def test_arrays_are_taken_point_by_point():
    work = np.array([1.0, 30.0, 900.0])
    energy, longer = limited(work, 1.0, 100.0, 1.0, np.array([[0.0], [120.0]]))
    assert energy.shape == longer.shape == (2, 3)
    assert longer[0].tolist() == [1.0, 1.0, 1.0]
    assert energy[1, 2] == pytest.approx(limited(900.0, 1.0, 100.0, 1.0, 120.0)[0], rel=1e-12)


@given(st.floats(1.0, 1e3), st.floats(0.0, 1.0), st.floats(1e-6, 1.0), st.floats(0.0, 1.0))
def test_waiting_lowers_the_mean_to_no_less_than_power_at_rest(busy, share, time, waiting):
    mean = waited(busy, share * busy, time, waiting)
    assert share * busy * (1.0 - 1e-12) <= mean <= busy * (1.0 + 1e-12)
    assert mean * (time + waiting) == pytest.approx(busy * time + share * busy * waiting, rel=1e-12)


@given(st.floats(0.3, 0.99), st.floats(0.5e9, 3e9), st.floats(1e13, 1e16), st.floats(0.0, 1e-13), WATTS)
def test_the_clock_of_a_product_and_the_energy_behind_it_are_one_law(share, clock, rate, moved, available):
    """A chip that sustains a share of its clock shows an energy, and with that energy it sustains that share."""
    energy = stated_energy(rate, clock, share, moved, available)
    if energy > 0.0:
        assert sustained_clock(rate, clock, energy, moved, available) == pytest.approx(share, rel=1e-6)


def test_ample_power_leaves_the_full_clock():
    assert sustained_clock(1e14, 2e9, 0.1e-12, 0.0, 50.0) == 1.0
    assert sustained_clock(1e14, 2e9, 0.1e-12, 0.0, 5.0) < 0.6
    assert sustained_clock(1e14, 2e9, 0.1e-12, 0.0, np.inf) == 1.0
