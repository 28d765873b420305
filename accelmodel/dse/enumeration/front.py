"""Pareto fronts over any number of objectives: what no other beats on all of them.

Points are columns of an array (objective, point) in which less is better.  Of points that are equal in everything the
first one stays, so that a front does not depend on how a space was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
#: points of the front so far that others are first held against: few find out nearly all that are beaten
PIVOTS = 16
#: points that are held against each other at once
_BLOCK = 256
#: points from which a few of them are tried first
_MANY = 2**12


def costs(rows: Sequence[dict[str, float]], signs: dict[str, float]) -> Points:
    """Return rows as columns of costs: objective → 1 where more of it is better, -1 where less."""
    return np.array([[-sign * row[name] for row in rows] for name, sign in signs.items()]).reshape(len(signs), -1)


def beaten(points: Points, by: Points) -> Mask:
    """Return which points one of ``by`` beats: nowhere worse, and somewhere better."""
    found = np.zeros(points.shape[1], dtype=bool)
    for other in by.T:
        worse = points[0] > other[0]
        no_better = points[0] >= other[0]
        for mine, theirs in zip(points[1:], other[1:], strict=True):
            worse |= mine > theirs
            no_better &= mine >= theirs
        found |= worse & no_better
    return found


def pivots(points: Points) -> Points:
    """Return the few points of a front that beat most: evenly along it, in order of the first objective."""
    if points.shape[1] <= PIVOTS:
        return points
    order = np.lexsort(points[::-1])
    return points[:, order[np.linspace(0, len(order) - 1, PIVOTS).round().astype(int)]]


def front(points: Points) -> npt.NDArray[np.intp]:
    """Return the places of the points that no other beats, in order of the first objective, then of the others.

    Examples
    --------
    >>> front(np.array([[1.0, 3.0, 2.0, 1.0], [2.0, 1.0, 2.5, 2.0]])).tolist()
    [0, 1]
    """
    # the first of equals comes first: sorting is stable
    order = np.lexsort(points[::-1])
    ordered = points[:, order]
    equal = np.r_[False, (ordered[:, 1:] == ordered[:, :-1]).all(axis=0)][: len(order)]
    order, ordered = order[~equal], ordered[:, ~equal]
    if len(points) == 1:
        kept = np.arange(min(1, len(order)))
    elif len(points) == 2:
        least = np.minimum.accumulate(ordered[1])
        kept = np.flatnonzero(np.r_[True, least[1:] < least[:-1]][: len(order)])
    else:
        kept = _unbeaten(ordered)
    return np.asarray(order[kept], dtype=np.intp)


def front_of_many(points: Points) -> npt.NDArray[np.intp]:
    """Return what ``front`` does, sooner where nearly all of many points are beaten by a few."""
    left = np.arange(points.shape[1])
    if len(left) <= _MANY:
        return front(points)
    some = points[:, :: len(left) // _MANY]
    few = pivots(some[:, front(some)])
    # from the middle outwards: the first finds out most
    for i in sorted(range(few.shape[1]), key=lambda place: abs(place - few.shape[1] // 2)):
        kept = ~beaten(points, few[:, [i]])
        points, left = points[:, kept], left[kept]
    return left[front(points)]


def _unbeaten(ordered: Points) -> npt.NDArray[np.intp]:
    """Return the places of the front of different points in lexical order: only earlier ones can beat a point."""
    kept = np.empty(0, dtype=np.intp)
    left = np.arange(ordered.shape[1])
    while len(left):
        block, left = left[:_BLOCK], left[_BLOCK:]
        # which (first) is nowhere better than which other (second); each is so than itself
        among = np.logical_and.reduce(ordered[:, block, None] >= ordered[:, None, block])
        own = block[among.sum(axis=1) == 1]
        kept = np.r_[kept, own]
        for some in np.array_split(own, -(-len(own) // PIVOTS)):
            left = left[~beaten(ordered[:, left], ordered[:, some])]
    return kept


def pareto(rows: Sequence[dict[str, Any]], signs: dict[str, float]) -> list[dict[str, Any]]:
    """Return the rows that no other beats, in order of the first objective, best first.

    Parameters
    ----------
    rows : sequence of dict
    signs : dict
        Objective → 1 where more of it is better, -1 where less is.

    Examples
    --------
    >>> rows = [{"v": 1.0, "c": 1.0}, {"v": 3.0, "c": 2.0}, {"v": 2.0, "c": 2.5}]
    >>> [row["v"] for row in pareto(rows, {"v": 1.0, "c": -1.0})]
    [3.0, 1.0]
    """
    return [rows[i] for i in front(costs(rows, signs))]
