"""Regret, the robust choice, regions and what knowing a constant is worth: against hand numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accelmodel.dse.posterior.decision import best_design, choice, interval, level_of, region, regret, robust, worth

#: three draws of two designs; in the last none is allowed
SCORE = np.array([[2.0, 1.0], [0.0, 4.0], [0.0, 0.0]])
SCORES = arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0]))


def test_the_best_design_of_each_draw():
    assert best_design(SCORE).tolist() == [0, 1, -1]
    assert best_design(np.array([[3.0, 3.0]])).tolist() == [0]


def test_choices_by_hand():
    assert regret(SCORE).tolist() == [[0.0, 0.5], [1.0, 0.0]]
    first, second = choice(SCORE, 0), choice(SCORE, 1)
    assert (first.expected, second.expected) == (0.5, 0.25)
    assert (first.feasible, second.feasible) == (1 / 2, 1.0)  # of the two draws in which some design is allowed
    assert second.high == pytest.approx(0.475)  # between 0 and 0.5, at 0.95 of the way
    assert robust(SCORE) == second


@given(score=SCORES)
def test_the_robust_choice_is_never_beaten_on_average(score):
    chosen = robust(score)
    if (score.max(axis=1) > 0.0).any():
        assert all(chosen.expected <= choice(score, design).expected for design in range(score.shape[1]))
        assert (regret(score) >= 0.0).all()
        assert (regret(score) <= 1.0).all()
        assert np.allclose(regret(score).min(axis=1), 0.0)
    else:
        assert np.isnan(chosen.expected)


def test_knowing_what_decides_is_worth_all_that_is_missed():
    """One of two designs is right, by the sign of the first constant alone."""
    values = np.random.default_rng(0).uniform(-1.0, 1.0, (1500, 3))
    right = values[:, 0] > 0.0
    score = np.where(np.array([right, ~right]).T, 2.0, 1.0)
    now = robust(score).expected
    assert now == pytest.approx(0.25, abs=0.02)  # wrong half of the time, by half
    found = worth(score, values)
    assert 0.9 * now < found[0] <= now
    assert found[1:] == pytest.approx(0.0, abs=0.005)


def test_a_constant_with_two_values_is_told_exactly():
    values = np.array([[0.0], [1.0]] * 200)
    score = np.where(values == 0.0, [[2.0, 1.0]], [[1.0, 4.0]])
    # 0 for the first and 1 for the second: choosing the second misses a half in half of the draws
    assert robust(score).expected == 0.25
    assert worth(score, values)[0] == pytest.approx(0.25, abs=0.01)


def test_nothing_is_worth_knowing_where_one_design_is_always_best():
    score = np.tile([3.0, 1.0], (100, 1))
    values = np.random.default_rng(0).random((100, 2))
    assert worth(score, values).tolist() == [0.0, 0.0]
    assert worth(np.zeros((100, 2)), values).tolist() == [0.0, 0.0]


def test_intervals_by_hand():
    values = np.arange(1.0, 101.0)
    # as many lie below as above
    assert interval(values, 0.9) == (5.0, 96.0)
    assert interval(values, 0.5) == (25.0, 76.0)
    assert interval(np.array([4.0]), 0.9) == (4.0, 4.0)


def test_a_region_of_one_number_is_its_interval():
    values = np.arange(1.0, 201.0)[:, None]
    found = region(values, 0.9)
    assert found.holds(values[:, 0][:, None]).mean() == pytest.approx(0.9, abs=0.011)
    assert (found.low[0], found.high[0]) == pytest.approx((11.0, 190.0), abs=1.0)


@given(
    numbers=arrays(float, st.tuples(st.integers(2, 40), st.integers(1, 3)), elements=st.integers(0, 6).map(float)),
    level=st.sampled_from([0.5, 0.9, 1.0]),
)
def test_a_region_holds_its_share_of_the_draws(numbers, level):
    found = region(numbers, level)
    assert found.holds(numbers).all(axis=1).mean() >= level
    assert (numbers.min(axis=0) <= found.low).all()
    assert (found.high <= numbers.max(axis=0)).all()


@given(
    numbers=arrays(float, st.tuples(st.integers(2, 40), st.integers(1, 3)), elements=st.integers(0, 6).map(float)),
    level=st.sampled_from([0.5, 0.9]),
    claim=st.lists(st.integers(0, 6).map(float), min_size=3, max_size=3),
)
def test_a_claim_outside_a_region_needs_a_larger_one(numbers, level, claim):
    asked = np.array(claim[: numbers.shape[1]])
    inside = bool(region(numbers, level).holds(asked).all())
    if not inside:
        assert level_of(numbers, asked) >= level
    turned = region(-numbers, level)
    assert bool(turned.holds(-asked).all()) == inside  # neither end is another than the other


def test_a_constant_that_does_nothing_is_worth_nothing():
    values = np.random.default_rng(0).random((300, 60))
    right = np.random.default_rng(1).random(300) > 0.5
    score = np.where(np.array([right, ~right]).T, 2.0, 1.0)
    assert np.count_nonzero(worth(score, values)) <= 1


def test_where_a_claim_lies():
    numbers = np.arange(1.0, 101.0)[:, None]
    assert level_of(numbers, np.array([50.0])) < 0.05
    assert level_of(numbers, np.array([96.0])) == pytest.approx(0.9, abs=0.03)
    assert level_of(numbers, np.array([101.0])) == 1.0
    assert level_of(numbers, np.array([0.0])) == 1.0
