"""The prefetch lane of a block of designs: windows, what is admitted in them, and what L2 still holds of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from accelmodel.laws.attention import attention_from
from accelmodel.laws.jit import glue, inner_kernel, law
from accelmodel.laws.kernels.block import (
    ADMITTED,
    BEFORE,
    COUNT,
    FIRST,
    KIND,
    L2_BYTES,
    PACE,
    PREFETCH,
    RANKS,
    Block,
    cost_at,
    lanes_at,
    machine_at,
)
from accelmodel.laws.l2cache import mean_kept
from accelmodel.laws.matmul import exposed_share
from accelmodel.laws.prefetch import RULES, admit, lane_backlog, lane_progress
from accelmodel.laws.roofline import body_time, stream_time
from accelmodel.laws.types import COLLECTIVE, Cost, Machine, Operator, Policy

BEST_FIT = RULES["best-fit"]


class Lane(NamedTuple):
    """Where the prefetch lane stands when a row begins, in bytes of the window's queue [B]."""

    progress: float  #: fetched so far
    total: float  #: admitted in the window
    before: float  #: admitted before the row's own operand
    admitted: float  #: of the row's own operand


class Beside(NamedTuple):
    """An operator and the lane beside it."""

    cold: float  #: bytes that the operator reads from HBM itself [B]
    time: float  #: of the operator [s]
    reached: float  #: where the lane begins [B]
    served: float  #: bytes that it fetches [B]


@inner_kernel
def window_end(table: Any, opener: int, w: int) -> int:
    """First row after the window that row ``opener`` opens."""
    row = opener + 1
    while row < table.shape[1] and table[COUNT, row, w] == table[COUNT, opener, w]:
        if table[KIND, row, w] >= COLLECTIVE and table[RANKS, row, w] > 1.0:
            break
        row += 1
    return row


@inner_kernel
def last_offered(table: Any, opener: int, end: int, w: int) -> int:
    """Last row of a window of which anything may be prefetched, its opener if there is none."""
    last = opener
    for row in range(opener + 1, end):
        if table[PREFETCH, row, w] > 0.0:
            last = row
    return last


@glue
def _next_offer(table: Any, policy: Policy, w: int, opener: int, end: int, offered: Any) -> int:
    """Row whose operand is offered for admission next: in graph order, or for best fit the largest."""
    row = -1
    for candidate in range(opener + 1, end):
        if offered[candidate - opener] == 0.0:
            larger = row >= 0 and table[PREFETCH, candidate, w] > table[PREFETCH, row, w]
            if row < 0 or (policy.rule == BEST_FIT and larger):
                row = candidate
    return row


@glue
def admit_window(b: Block, table: Any, policy: Policy, w: int, opener: int, end: int, width: int) -> None:
    """Fill ``admitted`` and ``before`` for the rows of one window, and the ``total``."""
    b.offered[:] = 0.0
    b.total[:width] = 0.0
    b.closed[:width] = 0.0
    b.queue[0, BEFORE, :width] = 0.0
    b.queue[0, ADMITTED, :width] = 0.0
    for _ in range(opener + 1, end):
        row = _next_offer(table, policy, w, opener, end, b.offered)
        b.offered[row - opener] = 1.0
        size = table[PREFETCH, row, w]
        granted = b.queue[row - opener, ADMITTED]
        if size == 0.0:
            granted[:width] = 0.0
            continue
        for j in range(width):
            cap = policy.threshold * b.machines[L2_BYTES, j]
            grant, b.closed[j] = admit(policy.rule, size, b.total[j], b.closed[j], cap)
            granted[j] = grant
            b.total[j] += grant
    for place in range(1, end - opener):
        own, one_before = b.queue[place], b.queue[place - 1]
        for j in range(width):
            own[BEFORE, j] = one_before[BEFORE, j] + one_before[ADMITTED, j]


@glue
def _read_clock(b: Block, place: int, width: int) -> None:
    """Fill ``clock`` for the first, middle and last byte that was fetched of an operand."""
    b.clock[:, :width] = 0.0
    own = b.queue[place]
    for earlier in range(place):
        passed = b.touched[earlier] - (b.touched[earlier - 1] if earlier > 0 else 0.0)
        then = b.queue[earlier]
        for j in range(width):
            half = 0.5 * min(max(b.progress[j] - own[BEFORE, j], 0.0), own[ADMITTED, j])
            ahead = own[BEFORE, j] - then[FIRST, j]
            b.clock[0, j] += min(max(ahead * then[PACE, j], 0.0), passed)
            b.clock[1, j] += min(max((ahead + half) * then[PACE, j], 0.0), passed)
            b.clock[2, j] += min(max((ahead + half + half) * then[PACE, j], 0.0), passed)


@law
def operator_alone(op: Operator, machine: Machine, cost: Cost, hot: float) -> tuple[float, float]:
    """Bytes that an operator reads from HBM [B], and its time [s], where it finds so many in L2."""
    cold = cost.hbm_bytes - hot
    memory = stream_time(hot, cold, machine.l2_time, cost.hbm_time)
    return cold, op.stretch * (cost.start + body_time(max(cost.compute, cost.l2), memory, exposed_share(op, machine)))


@law
def beside(op: Operator, machine: Machine, cost: Cost, lane: Lane, share: float) -> Beside:
    """What an operator takes, and what the lane fetches beside it, where a share of what was fetched is still in L2."""
    waiting = min(max(lane.progress - lane.before, 0.0), lane.admitted)
    cold, alone = operator_alone(op, machine, cost, waiting * share + op.warm * cost.hbm_bytes)
    reached = max(lane.progress, lane.before + lane.admitted)
    backlog = lane_backlog(lane.total, reached, lane.before + lane.admitted, machine.l2_bytes)
    return Beside(cold, alone, reached, lane_progress(backlog, alone, cold, machine.hbm_rate))


@inner_kernel
def survive(b: Block, op: Operator, costs: Any, place: int, rounds: int, width: int) -> None:
    """Fill ``survival``: the share of a row's fetched bytes that L2 still holds when the row reads them.

    A byte's stack distance is what both lanes have touched since it was fetched: in the queue, all that
    was fetched from its own operand on, and what the lane fetches while the operator runs; on the main
    lane, all since the moment of its fetch.  It is found at the first, middle and last byte; in between
    the occupancy law is averaged.  What the lane fetches beside the operator depends in turn on the
    hits: first all count as hits, then those found.  Beside the last operand of a window it has nothing
    left to fetch: one round is the same as two.
    """
    _read_clock(b, place, width)
    own = b.queue[place]
    b.survival[:width] = 1.0
    for _ in range(rounds):
        for j in range(width):
            machine = lanes_at(b.machines, j)
            lane = Lane(b.progress[j], b.total[j], own[BEFORE, j], own[ADMITTED, j])
            served = beside(op, machine, cost_at(costs, j), lane, b.survival[j]).served
            since = b.touched[place - 1] + max(lane.progress - lane.before, 0.0) + op.input_bytes
            middle = since - b.clock[1, j] + 0.5 * served
            b.survival[j] = mean_kept(since - b.clock[0, j], middle, since - b.clock[2, j] + served, machine)


@glue
def deal_anew(b: Block, op: Operator, costs: Any, place: int, dealt: Any, width: int) -> None:
    """Fill ``dealt`` with the costs of attention that is dealt as is fastest with what it finds in L2."""
    own = b.queue[place]
    for j in range(width):
        fetched = min(max(b.progress[j] - own[BEFORE, j], 0.0), own[ADMITTED, j])
        b.served[j] = fetched * b.survival[j] / costs[3, j] + op.warm
    # a loop of its own, or it does not vectorise
    for j in range(width):
        cost = attention_from(op, machine_at(b.machines, j), b.served[j])
        dealt[0, j], dealt[1, j], dealt[2, j], dealt[3, j], dealt[4, j] = cost
