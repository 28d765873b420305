"""The fused kernel: whole steps of many designs, the only loop of the package.

Designs lie side by side and the innermost loops run over a block of them, so that the laws, which
are inlined, vectorise.  The rows of the operator table are the loop around them.  Measured against
calling a compiled scalar step per design: see ``accelmodel benchmark``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from accelmodel.laws.attention import attention
from accelmodel.laws.collectives import collective, fused_time
from accelmodel.laws.compiling import kernel, law, parallel_kernel
from accelmodel.laws.elementwise import elementwise
from accelmodel.laws.l2cache import resident_share
from accelmodel.laws.matmul import matmul
from accelmodel.laws.timeline import admit, lane_progress, memory_time
from accelmodel.laws.vectors import (
    ATTENTION,
    BY_COMPUTE,
    BY_HBM,
    BY_L2,
    BY_LATENCY,
    BY_LINK,
    COLLECTIVE,
    MATMUL,
    Machine,
    Operator,
    Policy,
)

KIND, COUNT, PREFETCH, RANKS, FEEDS = (
    Operator._fields.index(name) for name in ("kind", "count", "prefetch_bytes", "ranks", "feeds")
)
L2_BYTES = Machine._fields.index("l2_bytes")
#: designs that are evaluated side by side: their state stays in the first-level cache
BLOCK = 128


@law
def machine_at(machines: Any, v: int, d: int) -> Machine:
    """Machine of workload ``v`` and design ``d`` out of an array (field, workload, design)."""
    x = machines
    return Machine(
        x[0, v, d], x[1, v, d], x[2, v, d], x[3, v, d], x[4, v, d], x[5, v, d], x[6, v, d], x[7, v, d],
        x[8, v, d], x[9, v, d], x[10, v, d], x[11, v, d], x[12, v, d], x[13, v, d], x[14, v, d], x[15, v, d],
        x[16, v, d], x[17, v, d], x[18, v, d], x[19, v, d], x[20, v, d], x[21, v, d], x[22, v, d], x[23, v, d],
        x[24, v, d], x[25, v, d],
    )  # fmt: skip


@law
def operator_at(table: Any, r: int, w: int) -> Operator:
    """Row ``r`` of workload ``w`` out of an array (column, row, workload)."""
    x = table
    return Operator(
        x[0, r, w], x[1, r, w], x[2, r, w], x[3, r, w], x[4, r, w], x[5, r, w], x[6, r, w], x[7, r, w],
        x[8, r, w], x[9, r, w], x[10, r, w], x[11, r, w], x[12, r, w], x[13, r, w], x[14, r, w], x[15, r, w],
    )  # fmt: skip


@kernel
def _costs(op: Operator, machines: Any, v: int, start: int, width: int, costs: Any) -> None:
    """Fill ``costs`` (field of Cost, design).  One loop per kind, else the loops do not vectorise (1.8x slower)."""
    compute, l2, hbm_bytes, hbm_rate = costs[0], costs[1], costs[2], costs[3]
    if op.kind == MATMUL:
        for j in range(width):
            compute[j], l2[j], hbm_bytes[j], hbm_rate[j] = matmul(op, machine_at(machines, v, start + j))
    elif op.kind == ATTENTION:
        for j in range(width):
            compute[j], l2[j], hbm_bytes[j], hbm_rate[j] = attention(op, machine_at(machines, v, start + j))
    else:
        for j in range(width):
            compute[j], l2[j], hbm_bytes[j], hbm_rate[j] = elementwise(op, machine_at(machines, v, start + j))


@kernel
def _window_end(table: Any, opener: int, w: int) -> int:
    """First row after the window that row ``opener`` opens."""
    row = opener + 1
    while row < table.shape[1] and table[COUNT, row, w] == table[COUNT, opener, w]:
        if table[KIND, row, w] >= COLLECTIVE and table[RANKS, row, w] > 1.0:
            break
        row += 1
    return row


@kernel
def _admit_window(
    table: Any,
    w: int,
    opener: int,
    machines: Any,
    v: int,
    start: int,
    width: int,
    policy: Policy,
    admitted: Any,
    before: Any,
    state: Any,
) -> None:
    """Fill ``admitted`` and ``before`` (row, design) for one window, and the lane's total (state 0)."""
    end = _window_end(table, opener, w)
    done = np.zeros(end - opener)
    used, closed = state[0], state[1]
    used[:width] = 0.0
    closed[:width] = 0.0
    for _ in range(opener + 1, end):
        row = -1
        for candidate in range(opener + 1, end):
            if done[candidate - opener] == 0.0:
                larger = row >= 0 and table[PREFETCH, candidate, w] > table[PREFETCH, row, w]
                if row < 0 or (policy.rule == 2.0 and larger):
                    row = candidate
        done[row - opener] = 1.0
        size = table[PREFETCH, row, w]
        for j in range(width):
            cap = policy.threshold * machines[L2_BYTES, v, start + j]
            grant, shut = admit(policy.rule, size, used[j], closed[j], cap)
            grant = grant if size > 0.0 else 0.0
            admitted[row, j] = grant
            used[j] += grant
            closed[j] = shut if size > 0.0 else closed[j]
    for j in range(width):
        position = 0.0
        for row in range(opener + 1, end):
            before[row, j] = position
            position += admitted[row, j]


@kernel
def _run_collective(
    table: Any,
    r: int,
    w: int,
    machines: Any,
    v: int,
    start: int,
    width: int,
    times: Any,
    state: Any,
    totals: Any,
    detail: Any,
) -> None:
    """Time one collective; the lane fetches with the HBM bandwidth left over."""
    op = operator_at(table, r, w)
    total, progress, touched = state[0], state[2], state[3]
    buffers = 2.0 * op.message_bytes
    owns, sents, names, wires = state[4], state[5], state[6], state[7]
    for j in range(width):
        machine = machine_at(machines, v, start + j)
        hops, wire, name, sent = collective(op.kind, op.message_bytes, op.ranks, machine)
        time = machine.start_up + hops + wire
        own = buffers * (1.0 - resident_share(buffers, machine.l2_bytes, machine.l2_ways))
        owns[j], sents[j], names[j], wires[j] = own, sent, name, wire
        progress[j] = min(total[j], max(time * machine.hbm_rate - own, 0.0))
        touched[j] = buffers
        times[r, j] = time
    for j in range(width):
        totals[0, w, start + j] += op.count * times[r, j]
        totals[1, w, start + j] += op.count * progress[j]
        totals[2, w, start + j] += op.count * (owns[j] + progress[j])
    if detail.shape[0] > 0:
        for j in range(width):
            bound = BY_LINK if wires[j] > times[r, j] - wires[j] else BY_LATENCY
            rows = (times[r, j], bound, owns[j], 0.0, sents[j], 0.0, progress[j], progress[j], names[j])
            for field in range(9):
                detail[field, r, w, start + j] = rows[field]


@kernel
def _run_operator(
    table: Any,
    r: int,
    w: int,
    machines: Any,
    v: int,
    start: int,
    width: int,
    admitted: Any,
    before: Any,
    times: Any,
    state: Any,
    totals: Any,
    detail: Any,
) -> None:
    """Time one operator: what was prefetched and survived is read at L2 speed, the lane goes on beside it."""
    op = operator_at(table, r, w)
    total, progress, touched = state[0], state[2], state[3]
    costs = state[4:]
    _costs(op, machines, v, start, width, costs)
    compute, l2, hbm_bytes, hbm_rate = costs[0], costs[1], costs[2], costs[3]
    own = op.input_bytes + op.output_bytes
    hots, served_bytes, bodies = costs[4], costs[5], costs[6]
    want, position = admitted[r], before[r]
    for j in range(width):
        machine = machine_at(machines, v, start + j)
        ahead = max(progress[j] - position[j], 0.0)
        survival = resident_share(touched[j] + ahead + own, machine.l2_bytes, machine.l2_ways)
        hot = min(ahead, want[j]) * survival
        cold = hbm_bytes[j] - hot
        body = max(max(compute[j], l2[j]), memory_time(hot, cold, machine.l2_rate, hbm_rate[j]))
        reached = max(progress[j], position[j] + want[j])
        backlog = max(total[j] - reached, 0.0)
        served, delay = lane_progress(backlog, machine.launch + body, cold, machine.hbm_rate)
        hots[j], served_bytes[j], bodies[j] = hot, served, body
        times[r, j] = machine.launch + body + delay
        progress[j] = reached + served
        touched[j] += own + op.weight_bytes
    for j in range(width):
        totals[0, w, start + j] += op.count * times[r, j]
        totals[1, w, start + j] += op.count * served_bytes[j]
        totals[2, w, start + j] += op.count * (hbm_bytes[j] - hots[j] + served_bytes[j])
    if detail.shape[0] > 0:
        _describe_operator(r, w, machines, v, start, width, want, position, times, state, detail)


@kernel
def _describe_operator(
    r: int,
    w: int,
    machines: Any,
    v: int,
    start: int,
    width: int,
    want: Any,
    position: Any,
    times: Any,
    state: Any,
    detail: Any,
) -> None:
    """Write down one operator's bound, bytes, hits and what the lane did beside it."""
    compute, l2, hbm_bytes, hbm_rate = state[4], state[5], state[6], state[7]
    hots, served_bytes, bodies = state[8], state[9], state[10]
    for j in range(width):
        machine = machine_at(machines, v, start + j)
        cold = hbm_bytes[j] - hots[j]
        memory = memory_time(hots[j], cold, machine.l2_rate, hbm_rate[j])
        by_memory = BY_HBM if cold / hbm_rate[j] >= hots[j] / machine.l2_rate else BY_L2
        by_chip = BY_COMPUTE if compute[j] >= l2[j] else BY_L2
        bound = by_memory if memory >= max(compute[j], l2[j]) else by_chip
        waiting = max(state[2, j] - position[j] - want[j], 0.0)
        rows = (times[r, j], BY_LATENCY if machine.launch > bodies[j] else bound, cold, hots[j], 0.0, want[j])
        for field in range(6):
            detail[field, r, w, start + j] = rows[field]
        detail[6, r, w, start + j] = served_bytes[j]
        detail[7, r, w, start + j] = waiting
        detail[8, r, w, start + j] = -1.0


@kernel
def _fuse(
    table: Any, r: int, w: int, machines: Any, v: int, start: int, width: int, times: Any, totals: Any, detail: Any
) -> None:
    """Overlap row ``r`` with the collective that reduces it; the gain is booked on the collective."""
    into = int(table[FEEDS, r, w])
    reducer = operator_at(table, into, w)
    if reducer.ranks <= 1.0:
        return
    count = table[COUNT, r, w]
    for j in range(width):
        machine = machine_at(machines, v, start + j)
        hops, wire, _, _ = collective(reducer.kind, reducer.message_bytes, reducer.ranks, machine)
        product = times[r, j]
        gain = product + times[into, j] - fused_time(product, machine.start_up, hops, wire)
        totals[0, w, start + j] -= count * gain
        if detail.shape[0] > 0:
            detail[0, into, w, start + j] -= gain * count / reducer.count


@kernel
def _steps(table: Any, machines: Any, policy: Policy, w: int, start: int, width: int, totals: Any, detail: Any) -> None:
    """One block of designs through all rows of one workload."""
    rows = table.shape[1]
    v = w if machines.shape[1] > 1 else 0
    admitted = np.zeros((rows, width))
    before = np.zeros((rows, width))
    times = np.zeros((rows, width))
    state = np.zeros((11, width))
    end = 0
    for r in range(rows):
        if table[COUNT, r, w] == 0.0:
            continue
        if table[KIND, r, w] >= COLLECTIVE:
            if table[RANKS, r, w] > 1.0:
                end = _window_end(table, r, w)
                if policy.rule >= 0.0:
                    _admit_window(table, w, r, machines, v, start, width, policy, admitted, before, state)
                _run_collective(table, r, w, machines, v, start, width, times, state, totals, detail)
            continue
        if r >= end:
            state[:4] = 0.0
        _run_operator(table, r, w, machines, v, start, width, admitted, before, times, state, totals, detail)
    if policy.fused > 0.5:
        for r in range(rows):
            if table[FEEDS, r, w] >= 0.0 and table[COUNT, r, w] > 0.0:
                _fuse(table, r, w, machines, v, start, width, times, totals, detail)


@kernel
def evaluate(table: Any, machines: Any, policy: Policy, totals: Any, detail: Any) -> None:
    """Time whole steps on one core.

    Parameters
    ----------
    table : ndarray (column of Operator, row, workload)
    machines : ndarray (field of Machine, workload, design)
        Of length 1 along workload where machines do not vary with it.
    policy : Policy
    totals : ndarray (TOTALS, workload, design)
        Zeroed; filled with step time [s], prefetched bytes and HBM bytes [B].
    detail : ndarray (DETAIL, row, workload, design), or of length 0 along the first axis
        Filled per row and invocation, unless it is empty.
    """
    for w in range(table.shape[2]):
        for start in range(0, machines.shape[2], BLOCK):
            width = min(BLOCK, machines.shape[2] - start)
            _steps(table, machines, policy, w, start, width, totals, detail)


@parallel_kernel
def evaluate_parallel(table: Any, machines: Any, policy: Policy, totals: Any, detail: Any) -> None:
    """As ``evaluate``, on all cores."""
    blocks = (machines.shape[2] + BLOCK - 1) // BLOCK
    for task in numba.prange(table.shape[2] * blocks):
        w, start = task // blocks, task % blocks * BLOCK
        width = min(BLOCK, machines.shape[2] - start)
        _steps(table, machines, policy, w, start, width, totals, detail)
