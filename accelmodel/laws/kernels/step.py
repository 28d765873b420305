"""The fused kernel: whole steps of many designs, the only loop of the package.

Designs lie side by side and the innermost loops run over a block of them, so that the laws, which
are inlined, vectorise.  The rows of the operator table are the loop around them.  Measured against
calling a compiled scalar step per design: see ``accelmodel benchmark``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from accelmodel.laws.attention import attention
from accelmodel.laws.collectives import collective, fused_time
from accelmodel.laws.elementwise import elementwise
from accelmodel.laws.jit import glue, kernel, law, parallel_kernel
from accelmodel.laws.l2cache import mean_resident_share, resident_share
from accelmodel.laws.matmul import exposed_share, matmul
from accelmodel.laws.prefetch import RULES, admit, body_time, lane_progress, memory_time
from accelmodel.laws.types import (
    ALL_GATHER,
    ALL_REDUCE,
    ALL_TO_ALL,
    ATTENTION,
    BY_COMPUTE,
    BY_HBM,
    BY_L2,
    BY_LATENCY,
    BY_LINK,
    COLLECTIVE,
    MATMUL,
    POINT_TO_POINT,
    Machine,
    Operator,
    Policy,
)

KIND, COUNT, PREFETCH, RANKS, FEEDS = (
    Operator._fields.index(name) for name in ("kind", "count", "prefetch_bytes", "ranks", "feeds")
)
L2_BYTES = Machine._fields.index("l2_bytes")
BEST_FIT = RULES["best-fit"]
#: designs that are evaluated side by side: their state stays in the first-level cache
BLOCK = 128


@law
def machine_at(machines: Any, d: int) -> Machine:
    """Machine of design ``d`` out of an array (field, design)."""
    x = machines
    return Machine(
        x[0, d], x[1, d], x[2, d], x[3, d], x[4, d], x[5, d], x[6, d], x[7, d], x[8, d],
        x[9, d], x[10, d], x[11, d], x[12, d], x[13, d], x[14, d], x[15, d], x[16, d], x[17, d],
        x[18, d], x[19, d], x[20, d], x[21, d], x[22, d], x[23, d], x[24, d], x[25, d], x[26, d],
        x[27, d], x[28, d], x[29, d], x[30, d], x[31, d], x[32, d], x[33, d], x[34, d], x[35, d],
        x[36, d], x[37, d], x[38, d], x[39, d], x[40, d], x[41, d], x[42, d], x[43, d], x[44, d],
        x[45, d], x[46, d], x[47, d], x[48, d],
    )  # fmt: skip


@law
def operator_at(x: Any, r: int, w: int) -> Operator:
    """Row ``r`` of workload ``w`` out of an array (column, row, workload)."""
    return Operator(
        x[0, r, w], x[1, r, w], x[2, r, w], x[3, r, w], x[4, r, w], x[5, r, w], x[6, r, w], x[7, r, w],
        x[8, r, w], x[9, r, w], x[10, r, w], x[11, r, w], x[12, r, w], x[13, r, w], x[14, r, w], x[15, r, w],
        x[16, r, w], x[17, r, w],
    )  # fmt: skip


class Block(NamedTuple):
    """A block of designs on its way through one workload: inputs, results, and what is known so far.

    Arrays are over designs of the block, or over (row, design); ``table``, ``totals`` and ``detail`` are
    those of ``evaluate``, ``machines`` (field, design) a copy of the block's.
    """

    table: Any
    machines: Any
    policy: Policy
    totals: Any
    detail: Any
    w: int  #: workload
    start: int  #: first design
    width: int  #: designs
    times: Any  #: (row, design) time of an invocation [s]
    admitted: Any  #: (row, design) bytes admitted for prefetch [B]
    before: Any  #: (row, design) place in the prefetch queue: bytes admitted before this row [B]
    first: Any  #: (row, design) place of the lane in the queue when the row begins [B]
    last: Any  #: (row, design) and when it ends [B]
    pace: Any  #: (row, design) bytes the main lane touches per byte the lane fetches beside it
    touched: Any  #: (row,) bytes of L2 that the main lane has touched since the window began, row included [B]
    total: Any  #: bytes admitted in the window [B]
    closed: Any  #: 1 where admission has ended
    progress: Any  #: place of the lane in the queue [B]
    start_time: Any  #: launch, and what else nothing hides [s]
    compute: Any  #: time of the matrix and vector units [s]
    l2: Any  #: time of L2 traffic [s]
    hbm_bytes: Any  #: HBM traffic without prefetch [B]
    hbm_rate: Any  #: rate at which the active cores can draw it [B/s]
    survival: Any  #: share of what was fetched that is still in L2
    hot: Any  #: bytes found in L2 [B]
    body: Any  #: time without launch and delay [s]
    clock: Any  #: (3, design) bytes the main lane had touched when a first, middle or last byte was fetched [B]


@kernel
def _costs(b: Block, op: Operator) -> None:
    """Fill the five costs.  One loop per kind, else the loops do not vectorise (1.8x slower)."""
    if op.kind == MATMUL:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            b.start_time[j], b.compute[j], b.l2[j], b.hbm_bytes[j], b.hbm_rate[j] = matmul(op, machine)
    elif op.kind == ATTENTION:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            b.start_time[j], b.compute[j], b.l2[j], b.hbm_bytes[j], b.hbm_rate[j] = attention(op, machine)
    else:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            b.start_time[j], b.compute[j], b.l2[j], b.hbm_bytes[j], b.hbm_rate[j] = elementwise(op, machine)


@kernel
def _window_end(table: Any, opener: int, w: int) -> int:
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
def _admit_window(b: Block, opener: int, end: int) -> None:
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


@kernel
def _exchanges(b: Block, op: Operator) -> None:
    """Fill latency and wire time [s], algorithm, bytes sent [B].  One loop per kind, as for the costs (4x faster)."""
    waits, wires, names, sents = b.body, b.l2, b.compute, b.hbm_rate
    if op.kind == ALL_REDUCE:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            start, hops, wires[j], names[j], sents[j] = collective(ALL_REDUCE, op.message_bytes, op.ranks, machine)
            waits[j] = start + hops
    elif op.kind == ALL_TO_ALL:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            start, hops, wires[j], names[j], sents[j] = collective(ALL_TO_ALL, op.message_bytes, op.ranks, machine)
            waits[j] = start + hops
    elif op.kind == POINT_TO_POINT:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            start, hops, wires[j], names[j], sents[j] = collective(POINT_TO_POINT, op.message_bytes, op.ranks, machine)
            waits[j] = start + hops
    else:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            start, hops, wires[j], names[j], sents[j] = collective(ALL_GATHER, op.message_bytes, op.ranks, machine)
            waits[j] = start + hops


@glue
def _run_collective(b: Block, r: int) -> None:
    """Time one collective; the lane fetches with the HBM bandwidth left over."""
    op = operator_at(b.table, r, b.w)
    buffers = 2.0 * op.message_bytes
    b.touched[r] = buffers
    waits, wires, names, sents, own = b.body, b.l2, b.compute, b.hbm_rate, b.hbm_bytes
    _exchanges(b, op)
    for j in range(b.width):
        machine = machine_at(b.machines, j)
        time = op.stretch * (waits[j] + wires[j])
        own[j] = buffers * (1.0 - resident_share(buffers, machine.l2_bytes, machine.l2_ways))
        b.progress[j] = min(b.total[j], max(time * machine.hbm_rate - own[j], 0.0))
        b.first[r, j], b.last[r, j] = 0.0, b.progress[j]
        b.pace[r, j] = buffers / max(b.progress[j], 1e-9)
        b.times[r, j] = time
    for j in range(b.width):
        b.totals[0, b.w, b.start + j] += op.count * b.times[r, j]
        b.totals[1, b.w, b.start + j] += op.count * b.progress[j]
        b.totals[2, b.w, b.start + j] += op.count * (own[j] + b.progress[j])
    if b.detail.shape[0] > 0:
        for j in range(b.width):
            bound = BY_LINK if wires[j] > waits[j] else BY_LATENCY
            fetched = b.progress[j]
            row = (b.times[r, j], bound, own[j], 0.0, sents[j], 0.0, fetched, fetched, names[j])
            for field in range(9):
                b.detail[field, r, b.w, b.start + j] = row[field]


@kernel
def _survive(b: Block, op: Operator, r: int, opener: int) -> None:
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
            place, want = b.before[r, j], b.admitted[r, j]
            hot = min(max(b.progress[j] - place, 0.0), want) * b.survival[j] + op.warm * b.hbm_bytes[j]
            cold = b.hbm_bytes[j] - hot
            memory = memory_time(hot, cold, machine.l2_rate, b.hbm_rate[j])
            body = body_time(max(b.compute[j], b.l2[j]), memory, exposed_share(op, machine))
            backlog = max(b.total[j] - max(b.progress[j], place + want), 0.0)
            beside, _ = lane_progress(backlog, op.stretch * (b.start_time[j] + body), cold, machine.hbm_rate)
            since = b.touched[r - 1] + max(b.progress[j] - place, 0.0) + op.input_bytes
            first, last = since - b.clock[0, j], since - b.clock[2, j] + beside
            middle = since - b.clock[1, j] + 0.5 * beside
            early = mean_resident_share(first, middle, machine.l2_bytes, machine.l2_ways)
            late = mean_resident_share(middle, last, machine.l2_bytes, machine.l2_ways)
            b.survival[j] = 0.5 * (early + late)


@glue
def _run_operator(b: Block, r: int, opener: int) -> None:
    """Time one operator: what was prefetched and survived is read at L2 speed, the lane goes on beside it."""
    op = operator_at(b.table, r, b.w)
    _costs(b, op)
    passed = op.input_bytes + op.weight_bytes + op.output_bytes
    if opener >= 0:
        b.touched[r] = b.touched[r - 1] + passed
        if b.policy.rule >= 0.0 and op.prefetch_bytes > 0.0:
            _survive(b, op, r, opener)
    else:
        b.progress[:] = 0.0
        b.total[:] = 0.0
    for j in range(b.width):
        machine = machine_at(b.machines, j)
        place, want = b.before[r, j], b.admitted[r, j]
        hot = min(max(b.progress[j] - place, 0.0), want) * b.survival[j] + op.warm * b.hbm_bytes[j]
        cold = b.hbm_bytes[j] - hot
        memory = memory_time(hot, cold, machine.l2_rate, b.hbm_rate[j])
        body = body_time(max(b.compute[j], b.l2[j]), memory, exposed_share(op, machine))
        reached = max(b.progress[j], place + want)
        backlog = max(b.total[j] - reached, 0.0)
        served, delay = lane_progress(backlog, op.stretch * (b.start_time[j] + body), cold, machine.hbm_rate)
        b.hot[j], b.body[j] = hot, body
        b.times[r, j] = op.stretch * (b.start_time[j] + body) + delay
        b.first[r, j], b.last[r, j] = reached, reached + served
        b.pace[r, j] = passed / max(served, 1e-9)
        b.progress[j] = reached + served
    for j in range(b.width):
        served = b.last[r, j] - b.first[r, j]
        b.totals[0, b.w, b.start + j] += op.count * b.times[r, j]
        b.totals[1, b.w, b.start + j] += op.count * served
        b.totals[2, b.w, b.start + j] += op.count * (b.hbm_bytes[j] - b.hot[j] + served)
    if b.detail.shape[0] > 0:
        _describe_operator(b, r)


@kernel
def _describe_operator(b: Block, r: int) -> None:
    """Write down one operator's bound, bytes, hits and what the lane did beside it."""
    for j in range(b.width):
        machine = machine_at(b.machines, j)
        cold, hot = b.hbm_bytes[j] - b.hot[j], b.hot[j]
        by_memory = BY_HBM if cold / b.hbm_rate[j] >= hot / machine.l2_rate else BY_L2
        by_chip = BY_COMPUTE if b.compute[j] >= b.l2[j] else BY_L2
        memory = memory_time(hot, cold, machine.l2_rate, b.hbm_rate[j])
        bound = by_memory if memory >= max(b.compute[j], b.l2[j]) else by_chip
        bound = BY_LATENCY if b.start_time[j] > b.body[j] else bound
        served = b.last[r, j] - b.first[r, j]
        waiting = max(b.progress[j] - b.before[r, j] - b.admitted[r, j], 0.0)
        row = (b.times[r, j], bound, cold, hot, 0.0, b.admitted[r, j], served, waiting, -1.0)
        for field in range(9):
            b.detail[field, r, b.w, b.start + j] = row[field]


@kernel
def _fuse(b: Block, r: int) -> None:
    """Overlap row ``r`` with the collective that reduces it; the gain is booked on the collective."""
    into = int(b.table[FEEDS, r, b.w])
    reducer = operator_at(b.table, into, b.w)
    if reducer.ranks <= 1.0:
        return
    count, longer = b.table[COUNT, r, b.w], reducer.stretch
    for j in range(b.width):
        machine = machine_at(b.machines, j)
        start, hops, wire, _, _ = collective(reducer.kind, reducer.message_bytes, reducer.ranks, machine)
        matmul = b.times[r, j]
        gain = matmul + b.times[into, j] - fused_time(matmul, longer * start, longer * hops, longer * wire)
        b.totals[0, b.w, b.start + j] -= count * gain
        if b.detail.shape[0] > 0:
            b.detail[0, into, b.w, b.start + j] -= gain * count / reducer.count


@kernel
def _steps(table: Any, machines: Any, policy: Policy, w: int, start: int, width: int, totals: Any, detail: Any) -> None:
    """One block of designs through all rows of one workload."""
    rows = table.shape[1]
    v = w if machines.shape[1] > 1 else 0
    # a copy: fields a power of two of designs apart would evict one another from the cache
    local = machines[:, v, start : start + width].copy()
    queues = np.zeros((6, rows, width))
    lanes = np.zeros((11, width))
    b = Block(
        table, local, policy, totals, detail, w, start, width,
        queues[0], queues[1], queues[2], queues[3], queues[4], queues[5], np.zeros(rows),
        lanes[0], lanes[1], lanes[2], lanes[3], lanes[4], lanes[5], lanes[6], lanes[7], lanes[8], lanes[9], lanes[10],
        np.zeros((3, width)),
    )  # fmt: skip
    outside: Any = np.int64(-1)  # typed: a literal would compile the operator a second time
    opener, end = outside, 0
    for r in range(rows):
        if table[COUNT, r, w] == 0.0:
            continue
        if table[KIND, r, w] < COLLECTIVE:
            _run_operator(b, r, opener if r < end else outside)
        elif table[RANKS, r, w] > 1.0:
            opener, end = r, _window_end(table, r, w)
            if policy.rule >= 0.0:
                _admit_window(b, r, end)
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
