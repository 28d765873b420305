"""What transfers cost on the links of a node: latency, wire, the filling of a pipeline; gathers inside a node.

All-gather and reduce-scatter are halves of larger collectives; they stand here, below ``laws.collectives`` and
``laws.across_nodes``, which are made of them.
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.generated import AlgorithmCost, least
from accelmodel.laws.jit import law
from accelmodel.laws.types import Machine

#: time of an algorithm that the software does not offer, relative to its own: never the fastest
_NOT_OFFERED = 1e6


@law
def rounds(ranks: float) -> float:
    """Rounds of a binary tree over ``ranks`` devices: ceil(log2), for up to 1024."""
    total = 0.0
    reach = 1.0
    for _ in range(10):
        total += 1.0 if ranks > reach else 0.0
        reach *= 2.0
    return total


@law
def contention(ranks: float, machine: Machine) -> float:
    """How much slower a device's link is in a group than between two devices, for up to 32 on a bus.

    Two cards talk through the bridge they share.  Each doubling beyond passes one more level, bridge, socket, host
    memory: ``contention`` is 1 where nobody gets in another's way, 2 where all share one channel, and more where
    what they share has to be written to host memory and read again.
    """
    load, reach = 1.0, 2.0
    for _ in range(4):
        load *= machine.contention if ranks > reach else 1.0
        reach *= 2.0
    return load


@law
def group_time(ranks: float, machine: Machine) -> float:
    """Time of a byte that a device sends to the others of its group [s/B].

    In a full mesh a group of g uses g - 1 of a device's node - 1 links; behind a switch it uses all.  On a
    bus, groups of more than two share bridges and host memory.  A device alone sends nothing.
    """
    others = max(machine.node - 1.0, 1.0)
    fewer = max(others / (ranks - 1.0), 1.0) if machine.mesh > 0.5 and ranks > 1.0 else 1.0
    return machine.link_time * fewer * contention(ranks, machine)


@law
def filled(wire: float, machine: Machine) -> float:
    """Time on the wire with the filling of a pipeline of chunks [s].

    Cutting a message into c chunks costs c latencies of ``ramp`` hops and lets the wire idle for one
    chunk: wire + c x ramp x hop + wire / c, least at c = sqrt(wire / (ramp x hop)).
    """
    return wire + 2.0 * np.sqrt(machine.ramp * machine.hop * wire)


@law
def offered_time(offered: float, time: float) -> float:
    """What algorithms are chosen by: their time, so long that they are never the fastest where not offered [s]."""
    return time * (1.0 if offered > 0.0 else _NOT_OFFERED)


@law
def fused_time(matmul: float, start_up: float, hops: float, wire: float) -> float:
    """Time of a matmul fused with the collective that reduces it, from the start of the matmul [s].

    The matmul is cut into 1, 2, 4 or 8 pieces; a piece is sent while the next is computed (as in
    Flux, arXiv 2406.06858).  Synchronisation is paid once, each piece pays its hops.  Optimistic: the
    pieces of the matmul are taken to be as efficient as the whole.
    """
    best = matmul + hops + wire
    pieces, piece = 2.0, 0.5
    for _ in range(3):
        work, send = matmul * piece, hops + wire * piece
        best = min(best, work + (pieces - 1.0) * max(work, send) + send)
        pieces *= 2.0
        piece *= 0.5
    return start_up + best


@law
def fused_order(cost: AlgorithmCost, matmul: float) -> float:
    """What algorithms are chosen by where a matmul is fused with them: the time of both [s]."""
    alone = cost.start + cost.hops + cost.wire
    return cost.order - alone + fused_time(matmul, cost.start, cost.hops, cost.wire)


# ---- all-gather and reduce-scatter inside a node; the message is the whole -----------------------------------


@law
def gather_wire(message: float, ranks: float, machine: Machine) -> float:
    """Time on the wire of all shares but a device's own, which is copied [s]."""
    return filled((1.0 - (1.0 - machine.own_copy) / ranks) * message * group_time(ranks, machine), machine)


@law
def direct_gather(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """To all peers at once, where the software does so: it does not weigh the two."""
    order = 0.0 if machine.direct > 0.0 else 2.0
    wire = gather_wire(message, ranks, machine)
    return AlgorithmCost(order, machine.start_up, machine.hop, wire, 1.0 - 1.0 / ranks)


@law
def ring_gather(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """g - 1 transfers of a share, where nothing else is offered."""
    hops = (ranks - 1.0) * machine.hop
    return AlgorithmCost(1.0, machine.start_up, hops, gather_wire(message, ranks, machine), 1.0 - 1.0 / ranks)


GATHERS = {"direct": direct_gather, "ring": ring_gather}
gather_inside = least("gather_inside", GATHERS)
