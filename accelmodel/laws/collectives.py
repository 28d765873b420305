"""Collectives as latency and bandwidth: ring, tree, one-shot, two-shot, in-switch, direct, hierarchical.

Each algorithm is a law: transfers that follow one another (each costs a hop) and the share of the
message that a device sends.  The fastest that the software offers is taken and named (Thakur, Rabenseifner and
Gropp, IJHPCA 19(1), 2005; Calculon, SC 2023, uses the same coefficients).  One more algorithm is a law and a line
in a dict here and, to be offered and named, a field of ``Machine``.
What libraries add to that on measured machines: they send chunks through buffers, copy a device's own
share, meet before long messages; small all-reduces run in a kernel of the engine's own.
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.generated import AlgorithmCost, by_kind, least
from accelmodel.laws.jit import law
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import ALGORITHMS, COLLECTIVE, Machine

#: time of an algorithm that the software does not offer, relative to its own: never the fastest
_NOT_OFFERED = 1e6
#: message for one peer at which a sender waits the whole rendezvous for the receiver's buffer [B]
EAGER_BYTES = 4e4
#: code of what goes to its receivers at once
DIRECT = float(ALGORITHMS.index("direct"))

Exchange = tuple[float, float, float, float, float]


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
def small(message: float, machine: Machine) -> float:
    """1 for messages that the engine's own kernels take, else 0."""
    return 1.0 if message <= machine.direct_limit else 0.0


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
def fused_order(cost: AlgorithmCost, matmul: float, hops: float, wire: float) -> float:
    """What algorithms are chosen by where a matmul is fused with them: the time of both, hops and wire added [s]."""
    alone = cost.start + cost.hops + cost.wire
    return cost.order - alone + fused_time(matmul, cost.start, cost.hops + hops, cost.wire + wire)


# ---- all-reduce inside a node --------------------------------------------------------------------------------


@law
def ring(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """2(g-1) transfers of 1/g of the message by the library, in chunks; a device's own share is copied as well."""
    own = 1.0 / ranks
    shares = 2.0 - 2.0 * own
    hops = 2.0 * (ranks - 1.0) * machine.hop
    wire = filled((shares + machine.own_copy * own) * (message * group_time(ranks, machine)), machine)
    return AlgorithmCost(
        offered_time(machine.ring, machine.start_up + hops + wire), machine.start_up, hops, wire, shares
    )


@law
def tree(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """Up and down a double binary tree, 2 ceil(log2 g) transfers by the library, in chunks; all is sent twice."""
    hops = 2.0 * rounds(ranks) * machine.hop
    wire = filled(2.0 * (message * group_time(ranks, machine)), machine)
    return AlgorithmCost(offered_time(machine.tree, machine.start_up + hops + wire), machine.start_up, hops, wire, 2.0)


@law
def one_shot(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """All to all peers at once, g - 1 times the message, by a kernel of the engine's own."""
    wire = (ranks - 1.0) * (message * group_time(ranks, machine)) * machine.direct_excess
    time = machine.direct_start_up + machine.hop + wire
    order = offered_time(machine.one_shot * small(message, machine), time)
    return AlgorithmCost(order, machine.direct_start_up, machine.hop, wire, ranks - 1.0)


@law
def two_shot(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """A share from all peers, a barrier, the sum of it to all peers, by a kernel of the engine's own."""
    shares = 2.0 - 2.0 / ranks
    hops = (1.0 + machine.barrier) * machine.hop
    wire = shares * (message * group_time(ranks, machine)) * machine.direct_excess
    order = offered_time(machine.two_shot * small(message, machine), machine.direct_start_up + hops + wire)
    return AlgorithmCost(order, machine.direct_start_up, hops, wire, shares)


@law
def in_switch(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """The switch adds up: each device sends 1 + 1/g of the message, by the library, in chunks.

    Reaches ``in_switch`` of the link's bandwidth; its flags take as long as the ring's (measured on H100, H200, B200).
    """
    shares = 1.0 + 1.0 / ranks
    hops = 2.0 * (ranks - 1.0) * machine.hop
    reached = machine.in_switch if machine.in_switch > 0.0 else 1.0
    wire = filled(shares * (message * group_time(ranks, machine)) / reached, machine)
    return AlgorithmCost(
        offered_time(machine.in_switch, machine.start_up + hops + wire), machine.start_up, hops, wire, shares
    )


ALL_REDUCES = {"ring": ring, "tree": tree, "one-shot": one_shot, "two-shot": two_shot, "in-switch": in_switch}


# ---- all-reduce between one device of each node --------------------------------------------------------------


@law
def ring_between(message: float, nodes: float, machine: Machine) -> AlgorithmCost:
    """2(n-1) transfers of 1/n of the message, whole: no chunks are counted between nodes."""
    hops = 2.0 * (nodes - 1.0) * machine.out_hop
    shares = 2.0 - 2.0 / nodes
    wire = shares * (message * machine.out_time)
    return AlgorithmCost(hops + wire, 0.0, hops, wire, shares)


@law
def tree_between(message: float, nodes: float, machine: Machine) -> AlgorithmCost:
    """Up and down a tree of nodes, whole messages."""
    hops = 2.0 * rounds(nodes) * machine.out_hop
    wire = 2.0 * (message * machine.out_time)
    return AlgorithmCost(hops + wire, 0.0, hops, wire, 2.0)


ALL_REDUCES_BETWEEN = {"ring": ring_between, "tree": tree_between}


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


all_reduce_inside = least("all_reduce_inside", ALL_REDUCES)
all_reduce_between = least("all_reduce_between", ALL_REDUCES_BETWEEN)
gather_inside = least("gather_inside", GATHERS)
fused_inside = least("fused_inside", ALL_REDUCES, fused_order, "matmul", "hops", "wire")
fused_between = least("fused_between", ALL_REDUCES_BETWEEN, fused_order, "matmul", "hops", "wire")


# ---- whole collectives: start-up, hop and wire time [s], code of the algorithm, bytes sent by one device [B] --


@law
def hierarchical(
    message: float, inside: float, gather: AlgorithmCost, out: AlgorithmCost, machine: Machine
) -> tuple[float, float, float, float]:
    """Start-up, hops, wire and bytes sent over several nodes.

    A reduce-scatter in the node, an all-reduce of the shares between nodes, an all-gather in the node.
    """
    sent = (2.0 - 2.0 / inside) * message + out.wire * machine.out_rate
    return machine.start_up, 2.0 * gather.hops + out.hops, 2.0 * gather.wire + out.wire, sent


@law
def all_reduce(message: float, ranks: float, machine: Machine) -> Exchange:
    """Sum of a message that each device holds, on all of them."""
    nodes = whole(ranks * machine.node_share)
    inside = ranks / nodes
    near, near_name = all_reduce_inside(message, inside, machine)
    gather, _ = gather_inside(message, inside, machine)
    out, out_name = all_reduce_between(message * (1.0 / inside), nodes, machine)
    start, hops, wire, sent = hierarchical(message, inside, gather, out, machine)
    if nodes <= 1.0:
        return near.start, near.hops, near.wire, near_name, near.shares * message
    return start, hops, wire, out_name, sent


@law
def fused_all_reduce(message: float, ranks: float, machine: Machine, matmul: float) -> Exchange:
    """The same by the algorithms that are fastest with a matmul of that time [s] fused with it (``fused_time``)."""
    nodes = whole(ranks * machine.node_share)
    inside = ranks / nodes
    near, near_name = fused_inside(message, inside, machine, matmul, 0.0, 0.0)
    gather, _ = gather_inside(message, inside, machine)
    around, sending = 2.0 * gather.hops, 2.0 * gather.wire
    out, out_name = fused_between(message * (1.0 / inside), nodes, machine, matmul, around, sending)
    start, hops, wire, sent = hierarchical(message, inside, gather, out, machine)
    if nodes <= 1.0:
        return near.start, near.hops, near.wire, near_name, near.shares * message
    return start, hops, wire, out_name, sent


@law
def gather(message: float, ranks: float, machine: Machine) -> Exchange:
    """All-gather or reduce-scatter of a message of so many bytes in all."""
    nodes = whole(ranks * machine.node_share)
    inside = ranks / nodes
    near, name = gather_inside(message, inside, machine)
    hops = near.hops + (nodes - 1.0) * machine.out_hop
    out = (1.0 - 1.0 / nodes) * message * (1.0 / inside)
    wire = near.wire + out * machine.out_time
    sent = (1.0 - 1.0 / inside) * message + out
    return machine.start_up, hops, wire, name, sent


@law
def send_inside(message: float, inside: float, ranks: float, machine: Machine) -> float:
    """Time of an all-to-all on the links of a node [s]: the wire, or where longer the rendezvous with each peer."""
    wire = filled((inside - 1.0 + machine.own_copy) / ranks * message * group_time(inside, machine), machine)
    return max(wire, machine.rendezvous * min(message / ranks / EAGER_BYTES, 1.0))


@law
def all_to_all(message: float, ranks: float, machine: Machine) -> Exchange:
    """A share of its own for each peer, all at once; links inside and between nodes work side by side."""
    nodes = whole(ranks * machine.node_share)
    inside = ranks / nodes
    request = 2.0 if machine.rendezvous > 0.0 else 1.0
    hops = request * machine.hop if nodes <= 1.0 else machine.out_hop
    out = (ranks - inside) / ranks * message * machine.out_time
    wire = max(send_inside(message, inside, ranks, machine), out)
    return machine.start_up, hops, wire, DIRECT, (ranks - 1.0) / ranks * message


@law
def point_to_point(message: float, ranks: float, machine: Machine) -> Exchange:
    """A message to one peer, which is on another node where the ranks fill more than one."""
    single = whole(ranks * machine.node_share) <= 1.0
    hops = machine.hop if single else machine.out_hop
    wire = message * (group_time(2.0, machine) if single else machine.out_time)
    return machine.start_up, hops, wire, DIRECT, message


COLLECTIVES = {
    "all-reduce": all_reduce,
    "all-gather": gather,
    "reduce-scatter": gather,
    "all-to-all": all_to_all,
    "point-to-point": point_to_point,
}
#: law of each kind of collective by its code
BY_CODE = {COLLECTIVE + place: each for place, each in enumerate(COLLECTIVES.values())}
collective = law(by_kind("collective", BY_CODE, "message", "ranks", "machine"))
collective.__doc__ = """Start-up, hop and wire time, algorithm and bytes sent by one device.

Parameters
----------
kind : float
    ``ALL_REDUCE``, ``ALL_GATHER``, ``REDUCE_SCATTER``, ``ALL_TO_ALL`` or ``POINT_TO_POINT``.
message : float
    All-reduce: bytes that each device holds; all-gather and reduce-scatter: bytes of the whole;
    all-to-all: bytes that each device sends, its own share included; point to point: bytes [B].
ranks : float
    Devices that take part [1]; above a node's size the collective is hierarchical, with the ranks
    spread evenly over the nodes they need.  Point to point: devices that the stages span, so that
    the transfer crosses nodes where they do.
machine : Machine

Returns
-------
tuple of float
    Start-up [s], latency of the transfers [s], time on the wire, filling included [s], index into
    ``ALGORITHMS``, bytes sent [B].

Notes
-----
Optimistic under congestion between jobs and between nodes, where no chunks are counted.  Smooth where
libraries switch protocol (LL, LL128, Simple): up to 45 % off within a factor of two of the switch, 1 to 8 MiB.
"""
