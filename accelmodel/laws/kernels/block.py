"""A block of designs side by side: what the loops of a step read, write and remember."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelmodel.laws.generated import reader
from accelmodel.laws.jit import glue
from accelmodel.laws.types import Machine, Operator, Policy

KIND, COUNT, PREFETCH, RANKS, FEEDS = (
    Operator._fields.index(name) for name in ("kind", "count", "prefetch_bytes", "ranks", "feeds")
)
L2_BYTES = Machine._fields.index("l2_bytes")
#: designs that are evaluated side by side: their state stays in the first-level cache
BLOCK = 128

machine_at = reader(Machine, "design")
operator_at = reader(Operator, "row", "workload")


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
    body: Any  #: time without launch [s]
    starts: Any  #: fixed time of a collective [s]
    hops: Any  #: latency of its transfers [s]
    wires: Any  #: its time on the wire [s]
    algorithms: Any  #: code of its algorithm
    sent: Any  #: bytes that it sends [B]
    clock: Any  #: (3, design) bytes the main lane had touched when a first, middle or last byte was fetched [B]


@glue
def new_block(table: Any, machines: Any, policy: Policy, totals: Any, detail: Any, w: int, start: int) -> Block:
    """Return the block of designs from ``start`` on, with nothing known yet."""
    rows = table.shape[1]
    width = min(BLOCK, machines.shape[2] - start)
    v = w if machines.shape[1] > 1 else 0
    # two allocations: one for each array would take as long as a twentieth of the step
    queues = np.zeros((6, rows, width))
    lanes = np.zeros((16, width))
    return Block(
        table=table,
        # a copy: fields a power of two of designs apart would evict one another from the cache
        machines=machines[:, v, start : start + width].copy(),
        policy=policy,
        totals=totals,
        detail=detail,
        w=w,
        start=start,
        width=width,
        times=queues[0],
        admitted=queues[1],
        before=queues[2],
        first=queues[3],
        last=queues[4],
        pace=queues[5],
        touched=np.zeros(rows),
        total=lanes[0],
        closed=lanes[1],
        progress=lanes[2],
        start_time=lanes[3],
        compute=lanes[4],
        l2=lanes[5],
        hbm_bytes=lanes[6],
        hbm_rate=lanes[7],
        survival=lanes[8],
        hot=lanes[9],
        body=lanes[10],
        starts=lanes[11],
        hops=lanes[12],
        wires=lanes[13],
        algorithms=lanes[14],
        sent=lanes[15],
        clock=np.zeros((3, width)),
    )
