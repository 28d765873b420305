"""What a sample proves of all chips: against all samples of small spaces, and against draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.dse.enumeration.certificate import certify, draw, missed
from accelmodel.errors import SpecError


@given(st.integers(1, 8), st.data())
def test_all_samples_of_a_small_space(chips, data):
    drawn = data.draw(st.integers(1, chips))
    better = data.draw(st.integers(0, chips))
    samples = list(itertools.combinations(range(chips), drawn))
    without = [sample for sample in samples if min(sample) >= better]  # chips 0 to better - 1 are the better ones
    assert missed(chips, drawn, better) == pytest.approx(len(without) / len(samples), abs=1e-12)


@given(st.integers(1, 8), st.floats(0.01, 0.99), st.data())
def test_a_certificate_fails_no_more_often_than_it_says(chips, confidence, data):
    drawn = data.draw(st.integers(1, chips))
    found = certify(chips, drawn, confidence)
    samples = list(itertools.combinations(range(chips), drawn))
    # the best drawn of chips in order of worth has as many better ones as its place
    wrong = sum(min(sample) >= found.fewer_than for sample in samples) / len(samples)
    assert wrong <= 1.0 - confidence + 1e-12
    if found.fewer_than > 1.0:
        fewer = sum(min(sample) >= found.fewer_than - 1.0 for sample in samples) / len(samples)
        assert fewer > 1.0 - confidence - 1e-12, "a stronger one would have held"


def test_by_hand():
    # 1 of 100 drawn: 99 others are all missed with 1/100, 90 with 10/100
    assert certify(100, 1, 0.9).fewer_than == 90.0
    assert certify(100, 100, 0.999).fewer_than == 1.0
    assert "none is better" in certify(100, 100).words()
    # 0.99^459 is the first power under 1/100
    assert certify(math.inf, 459).share < 0.01 < certify(math.inf, 458).share
    assert certify(10**15, 459).share == pytest.approx(certify(math.inf, 459).share, rel=1e-6)
    assert "with 99 % confidence fewer than 0.998 % of all chips" in certify(math.inf, 459).words()
    # of three, one better than two is missed by one of three pairs
    assert certify(3, 2, 0.6).fewer_than == 1.0
    assert "of 2 chips drawn at random: with 60 % confidence no chip is better" in certify(3, 2, 0.6).words()


@pytest.mark.parametrize(("chips", "drawn", "confidence"), [(10, 0, 0.9), (10, 11, 0.9), (10, 1, 1.0), (10, 1, 0.0)])
def test_what_proves_nothing_is_refused(chips, drawn, confidence):
    with pytest.raises(SpecError):
        certify(chips, drawn, confidence)


def test_chips_are_drawn_alike_and_once():
    taken = np.concatenate([draw(10, 3, seed) for seed in range(2000)])
    assert all(len(set(draw(10, 3, seed))) == 3 for seed in range(50))
    # 600 of each expected, with a standard deviation of 20
    assert np.abs(np.bincount(taken, minlength=10) - 600).max() < 100
    assert draw(10**17, 5, 0).tolist() == draw(10**17, 5, 0).tolist() != draw(10**17, 5, 1).tolist()
