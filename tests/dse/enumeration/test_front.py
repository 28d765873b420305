"""Fronts over one, two and more objectives against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.dse.enumeration import front


@st.composite
def points(draw, most=40):
    """Few values, so that ties and equals happen."""
    objectives = draw(st.integers(1, 4))
    count = draw(st.integers(0, most))
    values = draw(st.lists(st.integers(0, 4), min_size=objectives * count, max_size=objectives * count))
    return np.array(values, dtype=float).reshape(objectives, count)


def brute(values):
    """The set of points that no other beats, by comparing all pairs."""
    rows = [tuple(row) for row in values.T]
    return {row for row in rows if not any(o != row and all(a <= b for a, b in zip(o, row, strict=True)) for o in rows)}


@given(points())
def test_against_all_pairs(values):
    found = front.front(values)
    rows = [tuple(row) for row in values[:, found].T]
    assert set(rows) == brute(values)
    assert rows == sorted(rows), "in order of the first objective, each once"
    for place in found:
        assert not (values[:, :place] == values[:, [place]]).all(axis=0).any(), "the first of equals"


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_large_against_all_pairs(objectives):
    values = np.random.default_rng(objectives).integers(0, 30, (objectives, 2000)).astype(float)
    assert {tuple(row) for row in values[:, front.front(values)].T} == brute(values)


@given(points(), st.integers(0, 40))
def test_of_a_part_and_the_rest_it_is_that_of_all(values, cut):
    order = np.r_[front.front(values[:, :cut]), np.arange(min(cut, values.shape[1]), values.shape[1])]
    merged = order[front.front(values[:, order])]
    assert values[:, merged].tolist() == values[:, front.front(values)].tolist()


@given(points(), points())
def test_beaten_is_nowhere_worse_and_somewhere_better(mine, others):
    if len(mine) != len(others):
        others = np.zeros((len(mine), 3))
    expected = [any((other <= one).all() and (other < one).any() for other in others.T) for one in mine.T]
    assert front.beaten(mine, others).tolist() == expected


@given(points())
def test_pivots_are_of_the_front_and_beat_nothing_of_it(values):
    edge = values[:, front.front(values)]
    few = front.pivots(edge)
    assert few.shape[1] == min(edge.shape[1], front.PIVOTS)
    assert not front.beaten(edge, few).any()


@given(st.lists(st.fixed_dictionaries({"v": st.integers(0, 6).map(float), "c": st.integers(0, 6).map(float)})))
def test_rows_keep_what_they_hold_besides(rows):
    rows = [{**row, "name": i} for i, row in enumerate(rows)]
    found = front.pareto(rows, {"v": 1.0, "c": -1.0})
    assert all(row in rows for row in found)
    assert [row["v"] for row in found] == sorted({row["v"] for row in found}, reverse=True)
    for row in rows:
        best = [each for each in found if each["v"] >= row["v"] and each["c"] <= row["c"]]
        assert best, "each row is on the front or beaten by it"
