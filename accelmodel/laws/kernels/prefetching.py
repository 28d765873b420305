"""The prefetch lane of a block of designs: windows, what is admitted in them, and what L2 still holds of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.laws.jit import glue, inner_kernel
from accelmodel.laws.kernels.block import COUNT, KIND, L2_BYTES, PREFETCH, RANKS, Block, machine_at
from accelmodel.laws.l2cache import mean_resident_share
from accelmodel.laws.matmul import exposed_share
from accelmodel.laws.prefetch import RULES, admit, lane_backlog, lane_progress
from accelmodel.laws.roofline import body_time, memory_time
from accelmodel.laws.types import COLLECTIVE, Operator

BEST_FIT = RULES["best-fit"]


@inner_kernel
def window_end(table: Any, opener: int, w: int) -> int:
    """First row after the window that row ``opener`` opens."""
    row = opener + 1
    while row < table.shape[1] and table[COUNT, row, w] == table[COUNT, opener, w]:
        if table[KIND, row, w] >= COLLECTIVE and table[RANKS, row, w] > 1.0:
            break
        row += 1
    return row


@glue
def _next_offer(b: Block, opener: int, end: int, offered: Any) -> int:
    """Row whose operand is offered for admission next: in graph order, or for best fit the largest."""
    row = -1
    for candidate in range(opener + 1, end):
        if offered[candidate - opener] == 0.0:
            larger = row >= 0 and b.table[PREFETCH, candidate, b.w] > b.table[PREFETCH, row, b.w]
            if row < 0 or (b.policy.rule == BEST_FIT and larger):
                row = candidate
    return row


@glue
def admit_window(b: Block, opener: int, end: int) -> None:
    """Fill ``admitted`` and ``before`` for the rows of one window, and the ``total``."""
    offered = np.zeros(end - opener)
    b.total[:] = 0.0
    b.closed[:] = 0.0
    for _ in range(opener + 1, end):
        row = _next_offer(b, opener, end, offered)
        offered[row - opener] = 1.0
        size = b.table[PREFETCH, row, b.w]
        if size == 0.0:
            b.admitted[row, :] = 0.0
            continue
        for j in range(b.width):
            cap = b.policy.threshold * b.machines[L2_BYTES, j]
            grant, b.closed[j] = admit(b.policy.rule, size, b.total[j], b.closed[j], cap)
            b.admitted[row, j] = grant
            b.total[j] += grant
    for j in range(b.width):
        place = 0.0
        for row in range(opener + 1, end):
            b.before[row, j] = place
            place += b.admitted[row, j]


@inner_kernel
def survive(b: Block, op: Operator, r: int, opener: int) -> None:
    """Fill ``survival``: the share of the row's fetched bytes that L2 still holds when it reads them.

    A byte's stack distance is what both lanes have touched since it was fetched: in the queue, all that
    was fetched from its own operand on, and what the lane fetches while the operator runs; on the main
    lane, all since the moment of its fetch.  It is found at the first, middle and last byte; in between
    the occupancy law is averaged.  What the lane fetches beside the operator depends in turn on the
    hits: first all count as hits, then those found.
    """
    for place in range(3):
        b.clock[place, :] = 0.0
        for row in range(opener, r):
            passed = b.touched[row] - (b.touched[row - 1] if row > opener else 0.0)
            for j in range(b.width):
                fetched = min(max(b.progress[j] - b.before[r, j], 0.0), b.admitted[r, j])
                ahead = b.before[r, j] + 0.5 * place * fetched - b.first[row, j]
                b.clock[place, j] += min(max(ahead * b.pace[row, j], 0.0), passed)
    b.survival[:] = 1.0
    for _ in range(2):
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            place = b.before[r, j]
            want = b.admitted[r, j]
            hot = min(max(b.progress[j] - place, 0.0), want) * b.survival[j] + op.warm * b.hbm_bytes[j]
            cold = b.hbm_bytes[j] - hot
            memory = memory_time(hot, cold, machine.l2_rate, b.hbm_rate[j])
            body = body_time(max(b.compute[j], b.l2[j]), memory, exposed_share(op, machine))
            reached = max(b.progress[j], place + want)
            backlog = lane_backlog(b.total[j], reached, place + want, machine.l2_bytes)
            beside = lane_progress(backlog, op.stretch * (b.start_time[j] + body), cold, machine.hbm_rate)
            since = b.touched[r - 1] + max(b.progress[j] - place, 0.0) + op.input_bytes
            first = since - b.clock[0, j]
            middle = since - b.clock[1, j] + 0.5 * beside
            last = since - b.clock[2, j] + beside
            early = mean_resident_share(first, middle, machine.l2_bytes, machine.l2_ways)
            late = mean_resident_share(middle, last, machine.l2_bytes, machine.l2_ways)
            b.survival[j] = 0.5 * (early + late)
