"""The prefetch lane of a block of designs: windows, their plans, and what L2 still holds of what was fetched."""

from __future__ import annotations

from typing import Any, NamedTuple

from accelmodel.laws.attention import attention_from
from accelmodel.laws.jit import glue, inner_kernel, law
from accelmodel.laws.kernels.block import (
    ADMITTED,
    BEFORE,
    COUNT,
    INPUT,
    KIND,
    L2_BYTES,
    MESSAGE,
    OUTPUT,
    PREFETCH,
    PREFETCH_START,
    RANKS,
    WEIGHTS,
    Block,
    cost_at,
    lanes_at,
    machine_for,
    operator_at,
)
from accelmodel.laws.kernels.describing import TIME, describe
from accelmodel.laws.l2cache import kept
from accelmodel.laws.matmul import exposed_share
from accelmodel.laws.prefetch import (
    BEST_FIT,
    ISSUED,
    PAPER,
    PAYS,
    admit_in_order,
    admit_partial,
    admit_set,
    cap,
    lane_progress,
    plans,
)
from accelmodel.laws.roofline import body_time, stream_time
from accelmodel.laws.types import ATTENTION, COLLECTIVE, Cost, Machine, Operator, Policy

_attention_at = machine_for(attention_from)


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
    """First row after the last operator of the window that row ``opener`` opens."""
    row = opener + 1
    while row < table.shape[1] and table[COUNT, row, w] == table[COUNT, opener, w]:
        if table[KIND, row, w] >= COLLECTIVE and table[RANKS, row, w] > 1.0:
            break
        row += 1
    while row > opener + 1 and table[KIND, row - 1, w] >= COLLECTIVE:
        row -= 1
    return row


@inner_kernel
def _open_window(b: Block, table: Any, policy: Policy, w: int, opener: int, end: int) -> int:
    """Fill ``places`` and ``touched`` of a window, and return its last row of which anything may be prefetched."""
    last = opener
    offered = 0.0
    b.touched[0] = 2.0 * table[MESSAGE, opener, w]
    for row in range(opener + 1, end):
        passed = 0.0
        if table[KIND, row, w] < COLLECTIVE:
            passed = table[INPUT, row, w] + table[WEIGHTS, row, w] + table[OUTPUT, row, w]
        b.touched[row - opener] = b.touched[row - opener - 1] + passed
        size = table[PREFETCH, row, w]
        larger = 0.0
        for other in range(opener + 1, end):
            earlier = table[PREFETCH, other, w] == size and other < row
            larger += 1.0 if table[PREFETCH, other, w] > size or earlier else 0.0
        b.places[row - opener] = larger if policy.rule == BEST_FIT else offered
        if size > 0.0:
            offered += 1.0
            last = row
    b.places[0] = offered
    return last


@glue
def _admit_plan(b: Block, table: Any, policy: Policy, at: tuple[int, int, int], width: int) -> None:
    """Fill the queue of a window, and the ``total``, by each design's ``plan``."""
    w, opener, end = at
    b.total[:width] = 0.0
    for row in range(opener + 1, end):
        own, place, size = b.queue[row - opener], b.places[row - opener], table[PREFETCH, row, w]
        granted = own[ADMITTED]
        own[BEFORE, :width] = b.total[:width]
        if size == 0.0:
            granted[:width] = 0.0
            continue
        if policy.rule == PAPER:
            for j in range(width):
                granted[j] = admit_in_order(b.plan[j], place, size)
        elif policy.rule == BEST_FIT:
            for j in range(width):
                granted[j] = admit_set(b.plan[j], place, size)
        else:
            for j in range(width):
                budget = b.plan[j] * cap(policy.threshold, policy.rule, b.machines[L2_BYTES, j])
                granted[j] = admit_partial(size, b.total[j], budget)
        for j in range(width):
            b.total[j] += granted[j]


@glue
def _begin_lane(b: Block, op: Operator, times: Any, width: int) -> None:
    """Fetch while the collective of a window runs, with the HBM bandwidth left over."""
    buffers = 2.0 * op.message_bytes
    for j in range(width):
        machine = lanes_at(b.machines, j)
        moved = buffers * (1.0 - kept(buffers, machine))
        served = lane_progress(b.total[j], times[j], moved, machine.hbm_rate, machine.prefetch_share)
        b.cold[j] = moved
        b.served[j] = served
        b.progress[j] = served
        b.window[0, j] = 0.0
        b.window[1, j] = served
        b.window[2, j] = moved + served


@law
def operator_alone(op: Operator, machine: Machine, cost: Cost, hot: float) -> tuple[float, float]:
    """Bytes that an operator reads from HBM [B], and its time [s], where it finds so many in L2."""
    cold = cost.hbm_bytes - hot
    memory = stream_time(hot, cold, machine.l2_time, cost.hbm_time)
    return cold, op.stretch * (cost.start + body_time(max(cost.compute, cost.l2), memory, exposed_share(op, machine)))


@law
def found_hot(op: Operator, cost: Cost, lane: Lane, share: float) -> float:
    """Bytes that an operator finds in L2 [B], where it still holds a share of what was fetched of it."""
    return min(max(lane.progress - lane.before, 0.0), lane.admitted) * share + op.warm * cost.hbm_bytes


@law
def beside(op: Operator, machine: Machine, cost: Cost, lane: Lane, share: float) -> Beside:
    """What an operator takes, and what the lane fetches beside it, where a share of what was fetched is still in L2."""
    cold, alone = operator_alone(op, machine, cost, found_hot(op, cost, lane, share))
    reached = max(lane.progress, lane.before + lane.admitted)
    backlog = max(lane.total - reached, 0.0)
    served = lane_progress(backlog, alone, cold, machine.hbm_rate, machine.prefetch_share)
    return Beside(cold, alone, reached, served)


@glue
def _survive(b: Block, op: Operator, place: int, width: int) -> None:
    """Fill ``survival``: the share of a row's fetched bytes that L2 still holds when the row reads them.

    A byte's stack distance is what both lanes touch between its fetch and its use: on the main lane at most all since
    the window began, in the queue at most all that was admitted from its own operand on.
    """
    own, touched = b.queue[place], b.touched[place - 1] + op.input_bytes
    for j in range(width):
        b.survival[j] = kept(touched + b.total[j] - own[BEFORE, j], lanes_at(b.machines, j))


@glue
def _deal_anew(b: Block, op: Operator, costs: Any, place: int, dealt: Any, width: int) -> None:
    """Fill ``dealt`` with the costs of attention that is dealt as is fastest with what it finds in L2."""
    own = b.queue[place]
    for j in range(width):
        lane = Lane(b.progress[j], b.total[j], own[BEFORE, j], own[ADMITTED, j])
        b.served[j] = found_hot(op, cost_at(costs, j), lane, b.survival[j]) / costs[3, j]
    # a loop of its own, or it does not vectorise
    for j in range(width):
        cost = attention_from(op, _attention_at(b.machines, j), b.served[j])
        dealt[0, j], dealt[1, j], dealt[2, j], dealt[3, j], dealt[4, j] = cost


@glue
def _run_beside(b: Block, op: Operator, costs: Any, times: Any, place: int, width: int) -> None:
    """Run a row of a window: what was prefetched and survived is read at L2 speed, the lane goes on beside it."""
    own = b.queue[place]
    for j in range(width):
        lane = Lane(b.progress[j], b.total[j], own[BEFORE, j], own[ADMITTED, j])
        found = beside(op, lanes_at(b.machines, j), cost_at(costs, j), lane, b.survival[j])
        times[j] = found.time
        b.cold[j] = found.cold
        b.served[j] = found.served
        b.progress[j] = found.reached + found.served
    # a loop of its own: one that writes to more columns does not vectorise
    for j in range(width):
        b.window[0, j] += times[j]
        b.window[1, j] += b.served[j]
        b.window[2, j] += b.cold[j] + b.served[j]


@inner_kernel
def _run_without(b: Block, table: Any, at: tuple[int, int, int], width: int) -> None:
    """Fill ``kept`` with what a window takes of which nothing is prefetched."""
    w, opener, end = at
    buffers = 2.0 * table[MESSAGE, opener, w]
    for j in range(width):
        b.kept[0, j] = 0.0
        b.kept[1, j] = 0.0
        b.kept[2, j] = buffers * (1.0 - kept(buffers, lanes_at(b.machines, j)))
    for row in range(opener + 1, end):
        op, costs = operator_at(table, row, w), b.costs[b.slots[row]]
        if op.kind < COLLECTIVE:
            for j in range(width):
                cost = cost_at(costs, j)
                cold, time = operator_alone(op, lanes_at(b.machines, j), cost, op.warm * cost.hbm_bytes)
                b.kept[0, j] += time
                b.kept[2, j] += cold


@glue
def _keep_faster(b: Block, policy: Policy, plan: float, width: int) -> None:
    """Take a plan where it fits and is faster than the best so far; what its prefetches cost is in its time."""
    for j in range(width):
        spent = b.window[0, j] + b.machines[PREFETCH_START, j]
        most = cap(policy.threshold, policy.rule, b.machines[L2_BYTES, j]) * (1.0 + PAYS)
        pays = (b.total[j] <= most) & (spent < b.kept[0, j] * (1.0 - PAYS)) | (policy.rule == ISSUED)
        b.chosen[j] = plan if pays else b.chosen[j]
        b.kept[0, j] = spent if pays else b.kept[0, j]
        b.kept[1, j] = b.window[1, j] if pays else b.kept[1, j]
        b.kept[2, j] = b.window[2, j] if pays else b.kept[2, j]


@glue
def run_window(
    b: Block, table: Any, policy: Policy, detail: Any, again: bool, at: tuple[int, int, int, int], width: int
) -> None:
    """Run a window, of which the costs of all rows are known, by the fastest plan of each design.

    What the prefetches cost the main lane is booked on the collective.  ``again`` says whether the times of its rows
    are asked for: then it runs once more, by the plans that were chosen.
    """
    w, start, opener, end = at
    collective, times = operator_at(table, opener, w), b.times[opener]
    exchanged = b.costs[b.slots[opener]]
    for j in range(width):
        times[j] = collective.stretch * (exchanged[0, j] + exchanged[1, j] + exchanged[2, j])
    last = _open_window(b, table, policy, w, opener, end)
    turns = int(plans(policy.rule, b.places[0])) if last > opener else 0
    _run_without(b, table, (w, opener, end), width)
    b.chosen[:width] = 0.0
    for turn in range(turns + 1 if again else turns):
        if turn < turns:
            b.plan[:width] = turn + 1.0
        else:
            b.plan[:width] = b.chosen[:width]
        _admit_plan(b, table, policy, (w, opener, end), width)
        _begin_lane(b, collective, times, width)
        if turn == turns and detail.shape[0] > 0:
            describe(b, collective, b.slots[opener], detail, (opener, w, start), 0, width)
        for row in range(opener + 1, end):
            op = operator_at(table, row, w)
            if op.kind < COLLECTIVE:
                place, slot = row - opener, b.slots[row]
                if op.prefetch_bytes > 0.0:
                    _survive(b, op, place, width)
                    if op.kind == ATTENTION:
                        _deal_anew(b, op, b.costs[slot], place, b.costs[table.shape[1] + 1], width)
                        slot = table.shape[1] + 1
                _run_beside(b, op, b.costs[slot], b.times[row], place, width)
                if turn == turns and detail.shape[0] > 0:
                    describe(b, op, slot, detail, (row, w, start), place, width)
        if turn < turns:
            _keep_faster(b, policy, turn + 1.0, width)
    for j in range(width):
        b.sums[0, j] += collective.count * (b.kept[0, j] + times[j])
        b.sums[1, j] += collective.count * b.kept[1, j]
        b.sums[2, j] += collective.count * b.kept[2, j]
    if again:
        for j in range(width):
            times[j] += b.machines[PREFETCH_START, j] if b.total[j] > 0.0 else 0.0
    if detail.shape[0] > 0:
        for j in range(width):
            detail[TIME, opener, w, start + j] = times[j]
