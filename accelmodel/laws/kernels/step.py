"""The fused kernel: whole steps of many designs, the only loop of the package.

Designs lie side by side and the innermost loops run over a block of them, so that the laws, which
are inlined, vectorise.  The rows of the operator table are the loop around them.  Measured against
calling a compiled scalar step per design: see ``accelmodel benchmark``.
"""

from __future__ import annotations

from typing import Any

from accelmodel.laws.collectives import fused_in_node, fused_over_nodes
from accelmodel.laws.exchange import NORMAL, ROUTED_NORMAL
from accelmodel.laws.jit import glue, inner_kernel, kernel
from accelmodel.laws.kernels.block import (
    BLOCK,
    COUNT,
    CROWDING,
    FEEDS,
    KIND,
    LANE,
    RANKS,
    Block,
    Designs,
    Span,
    cost_at,
    find_alike,
    lanes_at,
    machine_for,
    new_block,
    operator_at,
    read_designs,
)
from accelmodel.laws.kernels.costs import (
    fewest_and_most_nodes,
    fill_costs,
    fill_exchanges,
    take_over_nodes,
)
from accelmodel.laws.kernels.describing import ALGORITHM, LINK_BYTES, TIME, describe
from accelmodel.laws.kernels.prefetching import operator_alone, run_window, window_end
from accelmodel.laws.l2cache import kept
from accelmodel.laws.transfers import fused_time
from accelmodel.laws.types import (
    ALL_REDUCE,
    COLLECTIVE,
    GROUPED,
    SENDING,
    TOTALS,
    Machine,
    Operator,
    Policy,
)

STRETCH = Operator._fields.index("stretch")
EXCHANGE_CORES = Machine._fields.index("exchange_cores")
_link_at = machine_for(fused_in_node, fused_over_nodes)


@glue
def _run_collective(b: Block, op: Operator, costs: Any, times: Any, width: int) -> None:
    """Time one collective where nothing is prefetched."""
    buffers = 2.0 * op.message_bytes
    for j in range(width):
        time = op.stretch * (costs[0, j] + costs[1, j] + costs[2, j])
        moved = buffers * (1.0 - kept(buffers, lanes_at(b.machines, j)))
        times[j] = time
        b.cold[j] = moved
        b.sums[0, j] += op.count * time
        b.sums[2, j] += op.count * moved


@inner_kernel
def _run_alone(b: Block, op: Operator, costs: Any, times: Any, width: int) -> None:
    """Time one operator where nothing is prefetched.

    Compiled apart: inlined, it makes the loops beside it 5 % slower, and those of few designs 1.6 times.
    """
    for j in range(width):
        cost = cost_at(costs, j)
        cold, time = operator_alone(op, lanes_at(b.machines, j), cost, op.warm * cost.hbm_bytes)
        times[j] = time
        b.cold[j] = cold
        b.sums[0, j] += op.count * time
        b.sums[2, j] += op.count * cold


@inner_kernel
def _fuse(b: Block, table: Any, detail: Any, at: tuple[int, int, int], width: int) -> None:
    """Overlap a row with the collective that reduces it; the gain is booked on the collective."""
    r, w, start = at
    into = int(table[FEEDS, r, w])
    reducer = operator_at(table, into, w)
    if reducer.ranks <= 1.0 or reducer.count == 0.0:
        return
    count = table[COUNT, r, w]
    longer = reducer.stretch
    costs = b.costs[b.slots[into]]
    matmuls, reductions = b.times[r], b.times[into]
    if reducer.kind == ALL_REDUCE:
        # another algorithm may be the fastest
        costs = b.costs[table.shape[1] + 1]
        message, ranks = reducer.message_bytes, reducer.ranks
        fewest, most = fewest_and_most_nodes(b, reducer, width)
        if fewest <= 1.0:
            for j in range(width):
                machine = _link_at(b.machines, j)
                found = fused_in_node(message, ranks, machine, matmuls[j] * b.machines[CROWDING, j] / longer)
                costs[0, j], costs[1, j], costs[2, j], costs[3, j], costs[4, j] = found
        if most > 1.0:
            far = costs if fewest > 1.0 else b.costs[table.shape[1]]
            for j in range(width):
                machine = _link_at(b.machines, j)
                found = fused_over_nodes(message, ranks, machine, matmuls[j] * b.machines[CROWDING, j] / longer)
                far[0, j], far[1, j], far[2, j], far[3, j], far[4, j] = found
            if fewest <= 1.0:
                take_over_nodes(b, reducer, costs, far, width)
    for j in range(width):
        matmul = matmuls[j]
        fixed, hops, wire = longer * costs[0, j], longer * costs[1, j], longer * costs[2, j]
        crowded = fused_time(matmul * b.machines[CROWDING, j], fixed, hops, wire)
        together = min(crowded, matmul + fixed + hops + wire)
        b.cold[j] = matmul + reductions[j] - together
        b.sums[0, j] -= count * b.cold[j]
    if detail.shape[0] > 0:
        # one matmul may end in reductions of several rows: what this one cannot have gained is booked on the matmul
        share = min(count / reducer.count, 1.0)
        rest = 1.0 - share * reducer.count / count
        for j in range(width):
            detail[TIME, into, w, start + j] -= b.cold[j] * share
            detail[TIME, r, w, start + j] -= b.cold[j] * rest
            detail[ALGORITHM, into, w, start + j] = costs[3, j]
            detail[LINK_BYTES, into, w, start + j] = costs[4, j]


@inner_kernel
def _take_turns(b: Block, table: Any, detail: Any, at: tuple[int, int], width: int) -> None:
    """Send for one half of a batch while the other half computes; the gain is booked on what is sent.

    Of n layers each half is sent and computed n times, and of the 2 n turns all but one overlap.  Kernels begin and end
    on the cores themselves, so that only what comes after their start is hidden.  Normal ones hold a share f of the
    cores: matmuls, m long on all of them, keep to the others throughout, as engines set them; what else is computed, o,
    has fewer while it runs beside its part of what is sent, s.  Together they last

        max(s, c + f s o / c),  c = m / (1 - f) + o.
    """
    w, start = at
    turns, takes = 0.0, 0.0
    sent, hidden = b.cold, b.progress
    products, others = b.served, b.survival
    sent[:width] = 0.0
    products[:width] = 0.0
    others[:width] = 0.0
    for r in range(table.shape[1]):
        lane, count = table[LANE, r, w], table[COUNT, r, w]
        if lane > 0.0 and count > 0.0:
            turns += 0.5 * count if lane == SENDING else 0.0
            takes = 1.0 if table[KIND, r, w] == NORMAL or table[KIND, r, w] == ROUTED_NORMAL else takes
            if lane == SENDING:
                starts, longer = b.costs[b.slots[r], 0], table[STRETCH, r, w]
                for j in range(width):
                    sent[j] += count * (b.times[r, j] - longer * starts[j])
            else:
                computed = products if table[KIND, r, w] <= GROUPED else others
                for j in range(width):
                    computed[j] += count * b.times[r, j]
    for j in range(width):
        taken = takes * b.machines[EXCHANGE_CORES, j]
        busy = products[j] / (1.0 - taken) + others[j]
        together = max(sent[j], busy + taken * sent[j] * others[j] / max(busy, 1e-30))
        gain = (sent[j] + products[j] + others[j] - together) * (1.0 - 1.0 / turns)
        b.sums[0, j] -= gain
        hidden[j] = gain / max(sent[j], 1e-30)
    if detail.shape[0] > 0:
        for r in range(table.shape[1]):
            if table[LANE, r, w] == SENDING and table[COUNT, r, w] > 0.0:
                starts, longer = b.costs[b.slots[r], 0], table[STRETCH, r, w]
                for j in range(width):
                    detail[TIME, r, w, start + j] -= hidden[j] * (b.times[r, j] - longer * starts[j])


@inner_kernel
def _taking_turns(table: Any, w: int) -> bool:
    """Whether two halves of a batch take turns: a row is sent for one of them."""
    for r in range(table.shape[1]):
        if table[LANE, r, w] == SENDING and table[COUNT, r, w] > 0.0 and table[RANKS, r, w] > 1.0:
            return True
    return False


@glue
def _run_rows(b: Block, table: Any, policy: Policy, detail: Any, at: tuple[int, int], width: int) -> None:
    """One block of designs through all rows of one workload.

    With prefetch a window runs when the costs of all its rows are known.
    """
    w, start = at
    together = _taking_turns(table, w)
    again = detail.shape[0] > 0 or together or policy.fused > 0.5
    opener, end = -1, 0
    for r in range(table.shape[1]):
        op = operator_at(table, r, w)
        if op.count == 0.0 or (op.kind >= COLLECTIVE and op.ranks <= 1.0):
            continue
        costs, times = b.costs[b.slots[r]], b.times[r]
        if op.kind >= COLLECTIVE:
            if b.alike[r] == r:
                fill_exchanges(b, op, costs, width)
            if policy.rule >= 0.0:
                opener, end = r, window_end(table, r, w)
            else:
                _run_collective(b, op, costs, times, width)
        else:
            if b.alike[r] == r:
                fill_costs(b, op, costs, width)
            if r >= end:
                b.progress[:width] = 0.0
                b.served[:width] = 0.0
                _run_alone(b, op, costs, times, width)
        if r == end - 1:
            run_window(b, table, policy, detail, again, (w, start, opener, end), width)
        elif detail.shape[0] > 0 and r >= end:
            describe(b, op, b.slots[r], detail, (r, w, start), 0, width)
    if policy.fused > 0.5:
        for r in range(table.shape[1]):
            if table[FEEDS, r, w] >= 0.0 and table[COUNT, r, w] > 0.0:
                _fuse(b, table, detail, (r, w, start), width)
    if together:
        _take_turns(b, table, detail, at, width)


def seconds(rows: int, points: int) -> float:
    """Time that the interpreter takes for whole steps [s]: 45 us a row."""
    return 4.5e-5 * rows * points


def _interpreting(table: Any, designs: Designs, policy: Policy, span: Span, *_: Any) -> float:
    return seconds(table.shape[1], (span.last - span.first) * (span.end - span.begin))


@kernel(_interpreting)
def evaluate(table: Any, designs: Designs, policy: Policy, span: Span, totals: Any, detail: Any) -> None:
    """Time whole steps on one core.

    Parameters
    ----------
    table : ndarray (column of Operator, row, workload)
    designs : Designs
    policy : Policy
    span : Span
        Workloads and designs that are timed.
    totals : ndarray (TOTALS, workload, design)
        Filled with step time [s], prefetched bytes and HBM bytes [B].
    detail : ndarray (DETAIL, row, workload, design), or of length 0 along the first axis
        Zeroed; filled per row and invocation, unless it is empty.
    """
    b = new_block(table, designs, min(BLOCK, span.end - span.begin))
    for w in range(span.first, span.last):
        find_alike(b, table, w, policy.rule >= 0.0)
        for start in range(span.begin, span.end, BLOCK):
            width = min(BLOCK, span.end - start)
            read_designs(b, designs, w, start, width)
            b.sums[:, :width] = 0.0
            _run_rows(b, table, policy, detail, (w, start), width)
            for k in range(len(TOTALS)):
                for j in range(width):
                    totals[k, w, start + j] = b.sums[k, j]
