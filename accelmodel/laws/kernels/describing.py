"""What an answer tells of each row of a step: time, bound, bytes, hits, and what the prefetch lane did beside it."""

from __future__ import annotations

from typing import Any

from accelmodel.laws.jit import glue
from accelmodel.laws.kernels.block import ADMITTED, BEFORE, Block, cost_at, lanes_at
from accelmodel.laws.matmul import exposed_share
from accelmodel.laws.roofline import body_time, stream_time
from accelmodel.laws.types import (
    BY_COMPUTE,
    BY_HBM,
    BY_L2,
    BY_LATENCY,
    BY_LINK,
    COLLECTIVE,
    DETAIL,
    ROW,
    Operator,
)

TIME, BOUND, HBM_BYTES, L2_HIT_BYTES, LINK_BYTES, GRANTED, FETCHED, RESIDENT, ALGORITHM = range(len(DETAIL))


@glue
def _of_collective(b: Block, costs: Any, times: Any, width: int) -> None:
    """Fill ``figures`` with one collective's bound, bytes and algorithm, and what the lane did beside it."""
    figures = b.figures
    for j in range(width):
        figures[TIME, j] = times[j]
        figures[BOUND, j] = BY_LINK if costs[2, j] > costs[0, j] + costs[1, j] else BY_LATENCY
        figures[HBM_BYTES, j] = b.cold[j]
        figures[LINK_BYTES, j] = costs[4, j]
        figures[FETCHED, j] = b.served[j]
        figures[RESIDENT, j] = b.served[j]
        figures[ALGORITHM, j] = costs[3, j]


@glue
def _of_operator(b: Block, op: Operator, costs: Any, times: Any, place: int, width: int) -> None:
    """Fill ``figures`` with one operator's bound, bytes, hits and what the lane did beside it."""
    own, figures = b.queue[place], b.figures
    figures[ALGORITHM, :width] = -1.0
    for j in range(width):
        machine = lanes_at(b.machines, j)
        cost = cost_at(costs, j)
        cold = b.cold[j]
        hot = cost.hbm_bytes - cold
        by_memory = BY_HBM if cold * cost.hbm_time >= hot * machine.l2_time else BY_L2
        by_chip = BY_COMPUTE if cost.compute >= cost.l2 else BY_L2
        waits = op.kind == ROW and cost.compute > max(cost.l2, op.vector_ops * machine.vector_time)
        by_chip = BY_LATENCY if waits else by_chip
        memory = stream_time(hot, cold, machine.l2_time, cost.hbm_time)
        bound = by_memory if memory >= max(cost.compute, cost.l2) else by_chip
        body = body_time(max(cost.compute, cost.l2), memory, exposed_share(op, machine))
        figures[TIME, j] = times[j]
        figures[BOUND, j] = BY_LATENCY if cost.start > body else bound
        figures[HBM_BYTES, j] = cold
        figures[L2_HIT_BYTES, j] = hot
        figures[GRANTED, j] = own[ADMITTED, j]
        figures[FETCHED, j] = b.served[j]
        figures[RESIDENT, j] = max(b.progress[j] - own[BEFORE, j] - own[ADMITTED, j], 0.0)


@glue
def describe(b: Block, op: Operator, slot: int, detail: Any, at: tuple[int, int, int], place: int, width: int) -> None:
    """Copy the figures of a row to the detail, but for those that it has not: they stay 0.

    ``slot`` is where its costs are, ``place`` where the row stands in its window.
    """
    r, w, start = at
    if op.kind >= COLLECTIVE:
        _of_collective(b, b.costs[slot], b.times[r], width)
    else:
        _of_operator(b, op, b.costs[slot], b.times[r], place, width)
    for field in range(len(DETAIL)):
        absent = field in (L2_HIT_BYTES, GRANTED) if op.kind >= COLLECTIVE else field == LINK_BYTES
        if not absent:
            for j in range(width):
                detail[field, r, w, start + j] = b.figures[field, j]
