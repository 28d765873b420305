"""Line-level simulator of a set-associative L2 with hashed sets and LRU replacement, for one PRESERVE window.

It sees the same window as the step kernel, as a trace of lines: the buffers of the collective with the
prefetches that run beside it; then each operator's input, weights in address order and output, with
the prefetches that go on beside it.  Prefetch and main lane interleave in proportion.  What an
operator has begun to read is no longer prefetched.  How much the lane fetches beside each row is
given, so that the occupancy law is tested apart from the timeline.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np


class Row(NamedTuple):
    """One operator in lines: activations in, weights, of which the first ``admitted`` may be prefetched, and out."""

    read: int
    weights: int
    admitted: int
    written: int


@numba.njit
def _hits(trace, homes, sets, ways):
    """Return for each access of the trace whether its line was there; ``homes`` is the set of each line."""
    tags = np.full((sets, ways), -1)
    stamps = np.full((sets, ways), -1)
    found = np.zeros(trace.size, dtype=np.bool_)
    for now in range(trace.size):
        line = trace[now]
        home = homes[line]
        victim = 0
        for way in range(ways):
            if tags[home, way] == line:
                victim = way
                found[now] = True
                break
            if stamps[home, way] < stamps[home, victim]:
                victim = way
        tags[home, victim] = line
        stamps[home, victim] = now
    return found


def _merge(main, lane):
    """Interleave two streams of lines in proportion; also return which places belong to the main lane."""
    place = np.concatenate([(np.arange(x.size) + 0.5) / max(x.size, 1) for x in (main, lane)])
    order = np.argsort(place, kind="stable")
    return np.concatenate([main, lane])[order], order < main.size


def simulate(rows, buffers, fetched, sets, ways, seed):
    """Return the hits of each operator on its own prefetched lines [line].

    Parameters
    ----------
    rows : sequence of Row
    buffers : int
        Lines that the collective touches.
    fetched : sequence of int
        Lines the lane fetches beside the collective, then beside each operator.
    sets, ways : int
        Shape of the cache.
    seed : int
        Of the hash that gives each line its set.
    """
    rng = np.random.default_rng(seed)
    sizes = [buffers] + [size for row in rows for size in (row.read, row.weights, row.written)]
    ends = np.cumsum(sizes)
    lines = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    homes = rng.integers(sets, size=int(ends[-1]))
    queue = np.concatenate([lines[2 + 3 * i][: row.admitted] for i, row in enumerate(rows)])
    trace, owner = [], []
    progress = min(fetched[0], queue.size)
    merged, _ = _merge(lines[0], queue[:progress])
    trace.append(merged)
    owner.append(np.full(merged.size, -1))
    position = 0
    for i, row in enumerate(rows):
        reached = max(progress, position + row.admitted)
        progress = min(reached + fetched[i + 1], queue.size)
        read, weights, written = lines[1 + 3 * i : 4 + 3 * i]
        main = np.concatenate([read, weights, written])
        merged, is_main = _merge(main, queue[reached:progress])
        own = is_main & (merged >= read.size + read[0] if read.size else is_main)
        trace.append(merged)
        owner.append(np.where(own, i, -1))
        position += row.admitted
    trace, owner = np.concatenate(trace), np.concatenate(owner)
    found = _hits(trace, homes, sets, ways)
    return np.array([np.sum(found & (owner == i)) for i in range(len(rows))])
