"""The fused kernel: whole steps of many designs, the only loop of the package.

Designs lie side by side and the innermost loops run over a block of them, so that the laws, which
are inlined, vectorise.  The rows of the operator table are the loop around them.  Measured against
calling a compiled scalar step per design: see ``accelmodel benchmark``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from accelmodel.laws.attention import attention_from
from accelmodel.laws.collectives import fused_time
from accelmodel.laws.jit import glue, inner_kernel, kernel, parallel_kernel
from accelmodel.laws.kernels.block import BLOCK, COUNT, FEEDS, KIND, RANKS, Block, machine_at, new_block, operator_at
from accelmodel.laws.kernels.costs import fill_costs, fill_exchanges
from accelmodel.laws.kernels.prefetching import admit_window, survive, window_end
from accelmodel.laws.l2cache import resident_share
from accelmodel.laws.matmul import exposed_share
from accelmodel.laws.prefetch import lane_backlog, lane_progress
from accelmodel.laws.roofline import body_time, memory_time
from accelmodel.laws.types import (
    ATTENTION,
    BY_COMPUTE,
    BY_HBM,
    BY_L2,
    BY_LATENCY,
    BY_LINK,
    COLLECTIVE,
    DETAIL,
    Operator,
    Policy,
)

FIELDS = len(DETAIL)


@glue
def _run_collective(b: Block, r: int) -> None:
    """Time one collective; the lane fetches with the HBM bandwidth left over."""
    op = operator_at(b.table, r, b.w)
    buffers = 2.0 * op.message_bytes
    b.touched[r] = buffers
    fill_exchanges(b, op)
    for j in range(b.width):
        machine = machine_at(b.machines, j)
        time = op.stretch * (b.starts[j] + b.hops[j] + b.wires[j])
        b.hbm_bytes[j] = buffers * (1.0 - resident_share(buffers, machine.l2_bytes, machine.l2_ways))
        backlog = lane_backlog(b.total[j], 0.0, 0.0, machine.l2_bytes)
        b.progress[j] = lane_progress(backlog, time, b.hbm_bytes[j], machine.hbm_rate)
        b.first[r, j] = 0.0
        b.last[r, j] = b.progress[j]
        b.pace[r, j] = buffers / max(b.progress[j], 1.0)
        b.times[r, j] = time
    for j in range(b.width):
        b.totals[0, b.w, b.start + j] += op.count * b.times[r, j]
        b.totals[1, b.w, b.start + j] += op.count * b.progress[j]
        b.totals[2, b.w, b.start + j] += op.count * (b.hbm_bytes[j] + b.progress[j])
    if b.detail.shape[0] > 0:
        for j in range(b.width):
            bound = BY_LINK if b.wires[j] > b.starts[j] + b.hops[j] else BY_LATENCY
            fetched = b.progress[j]
            row = (b.times[r, j], bound, b.hbm_bytes[j], 0.0, b.sent[j], 0.0, fetched, fetched, b.algorithms[j])
            for field in range(FIELDS):
                b.detail[field, r, b.w, b.start + j] = row[field]


@inner_kernel
def _deal_anew(b: Block, op: Operator, r: int) -> None:
    """Deal attention as is fastest with what it finds in L2."""
    for j in range(b.width):
        fetched = min(max(b.progress[j] - b.before[r, j], 0.0), b.admitted[r, j])
        hot = fetched * b.survival[j] / b.hbm_bytes[j] + op.warm
        b.start_time[j], b.compute[j], b.l2[j], b.hbm_bytes[j], b.hbm_rate[j] = attention_from(
            op, machine_at(b.machines, j), hot
        )


@glue
def _run_operator(b: Block, r: int, opener: int) -> None:
    """Time one operator: what was prefetched and survived is read at L2 speed, the lane goes on beside it."""
    op = operator_at(b.table, r, b.w)
    fill_costs(b, op)
    passed = op.input_bytes + op.weight_bytes + op.output_bytes
    if opener >= 0:
        b.touched[r] = b.touched[r - 1] + passed
        if b.policy.rule >= 0.0 and op.prefetch_bytes > 0.0:
            survive(b, op, r, opener)
            if op.kind == ATTENTION:
                _deal_anew(b, op, r)
    else:
        b.progress[:] = 0.0
        b.total[:] = 0.0
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
        b.hot[j] = hot
        b.body[j] = body
        b.times[r, j] = op.stretch * (b.start_time[j] + body)
        served = lane_progress(backlog, b.times[r, j], cold, machine.hbm_rate)
        b.first[r, j] = reached
        b.last[r, j] = reached + served
        b.pace[r, j] = passed / max(served, 1.0)
        b.progress[j] = reached + served
    for j in range(b.width):
        served = b.last[r, j] - b.first[r, j]
        b.totals[0, b.w, b.start + j] += op.count * b.times[r, j]
        b.totals[1, b.w, b.start + j] += op.count * served
        b.totals[2, b.w, b.start + j] += op.count * (b.hbm_bytes[j] - b.hot[j] + served)
    if b.detail.shape[0] > 0:
        _describe_operator(b, r)


@inner_kernel
def _describe_operator(b: Block, r: int) -> None:
    """Write down one operator's bound, bytes, hits and what the lane did beside it."""
    for j in range(b.width):
        machine = machine_at(b.machines, j)
        hot = b.hot[j]
        cold = b.hbm_bytes[j] - hot
        by_memory = BY_HBM if cold / b.hbm_rate[j] >= hot / machine.l2_rate else BY_L2
        by_chip = BY_COMPUTE if b.compute[j] >= b.l2[j] else BY_L2
        memory = memory_time(hot, cold, machine.l2_rate, b.hbm_rate[j])
        bound = by_memory if memory >= max(b.compute[j], b.l2[j]) else by_chip
        bound = BY_LATENCY if b.start_time[j] > b.body[j] else bound
        served = b.last[r, j] - b.first[r, j]
        waiting = max(b.progress[j] - b.before[r, j] - b.admitted[r, j], 0.0)
        row = (b.times[r, j], bound, cold, hot, 0.0, b.admitted[r, j], served, waiting, -1.0)
        for field in range(FIELDS):
            b.detail[field, r, b.w, b.start + j] = row[field]


@inner_kernel
def _fuse(b: Block, r: int) -> None:
    """Overlap row ``r`` with the collective that reduces it; the gain is booked on the collective."""
    into = int(b.table[FEEDS, r, b.w])
    reducer = operator_at(b.table, into, b.w)
    if reducer.ranks <= 1.0:
        return
    count = b.table[COUNT, r, b.w]
    longer = reducer.stretch
    fill_exchanges(b, reducer)
    for j in range(b.width):
        matmul = b.times[r, j]
        together = fused_time(matmul, longer * b.starts[j], longer * b.hops[j], longer * b.wires[j])
        gain = matmul + b.times[into, j] - together
        b.totals[0, b.w, b.start + j] -= count * gain
        if b.detail.shape[0] > 0:
            b.detail[0, into, b.w, b.start + j] -= gain * count / reducer.count


@kernel
def _steps(table: Any, machines: Any, policy: Policy, w: int, start: int, totals: Any, detail: Any) -> None:
    """One block of designs through all rows of one workload."""
    rows = table.shape[1]
    b = new_block(table, machines, policy, totals, detail, w, start)
    outside: Any = np.int64(-1)  # typed: a literal would compile the operator a second time
    opener = outside
    end = 0
    for r in range(rows):
        if table[COUNT, r, w] == 0.0:
            continue
        if table[KIND, r, w] < COLLECTIVE:
            _run_operator(b, r, opener if r < end else outside)
        elif table[RANKS, r, w] > 1.0:
            opener = r
            end = window_end(table, r, w)
            if policy.rule >= 0.0:
                admit_window(b, r, end)
            _run_collective(b, r)
    if policy.fused > 0.5:
        for r in range(rows):
            if table[FEEDS, r, w] >= 0.0 and table[COUNT, r, w] > 0.0:
                _fuse(b, r)


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
            _steps(table, machines, policy, w, start, totals, detail)


@parallel_kernel
def evaluate_parallel(table: Any, machines: Any, policy: Policy, totals: Any, detail: Any) -> None:
    """As ``evaluate``, on all cores."""
    blocks = (machines.shape[2] + BLOCK - 1) // BLOCK
    for task in numba.prange(table.shape[2] * blocks):
        w = task // blocks
        start = task % blocks * BLOCK
        _steps(table, machines, policy, w, start, totals, detail)
