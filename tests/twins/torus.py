"""Slices of a torus as a graph: messages go link by link, and the busiest link sets the time."""

from __future__ import annotations

import itertools
from collections import defaultdict


def path(start: int, end: int, length: int, closes: bool) -> list[tuple[int, int]]:
    """Return the hops along an axis the shorter way round; half and half is told by the caller."""
    step = 1 if (end - start) % length <= (start - end) % length else -1
    if not closes:
        step = 1 if end > start else -1
    found = []
    while start != end:
        after = (start + step) % length if closes else start + step
        found.append((start, after))
        start = after
    return found


def exchange_load(axes: tuple[int, ...], wraps: tuple[bool, ...]) -> float:
    """Return bytes over the busiest link of an all-to-all, each device sending one byte, axis after axis.

    Where both ways round are as long, half goes each way.
    """
    load: dict = defaultdict(float)
    places = list(itertools.product(*map(range, axes)))
    for source, target in itertools.permutations(places, 2):
        at = list(source)
        for axis, length in enumerate(axes):
            hops = path(at[axis], target[axis], length, wraps[axis])
            ways = [(hops, 1.0)]
            if wraps[axis] and 2 * len(hops) == length:
                back = [((a - i) % length, (a - i - 1) % length) for a in [at[axis]] for i in range(len(hops))]
                ways = [(hops, 0.5), (back, 0.5)]
            for way, share in ways:
                for a, b in way:
                    here, there = list(at), list(at)
                    here[axis], there[axis] = a, b
                    load[tuple(here), tuple(there), b > a] += share / len(places)
            at[axis] = target[axis]
    return max(load.values())


def line_reduce_scatter_load(length: int) -> float:
    """Return bytes over the busiest link of a line whose devices each end with a share of a summed byte.

    Partial sums run from both ends towards the owner of each share.
    """
    load: dict = defaultdict(float)
    for owner in range(length):
        for place in range(owner):
            load[place, place + 1] += 1.0 / length
        for place in range(length - 1, owner, -1):
            load[place, place - 1] += 1.0 / length
    return max(load.values())


def ring_reduce_scatter_load(length: int) -> float:
    """Return the same for a closed ring, half of each share going round each way."""
    load: dict = defaultdict(float)
    for owner in range(length):
        for step in range(1, length):
            load[(owner + step) % length, "down"] += 0.5 / length
            load[(owner - step) % length, "up"] += 0.5 / length
    return max(load.values())
