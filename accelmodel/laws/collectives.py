"""Collectives as latency and bandwidth: ring, tree, one-shot, two-shot, in-switch, direct, hierarchical.

Each algorithm is a pair: transfers that follow one another (each costs a hop) and the share of the
message that a device sends.  The fastest that the software offers is taken and named
(Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005; Calculon, SC 2023, uses the same coefficients).
What libraries add to that on measured machines: they send chunks through buffers, copy a device's own
share, meet before long messages; small all-reduces run in a kernel of the engine's own.
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.jit import law
from accelmodel.laws.types import ALL_GATHER, ALL_REDUCE, ALL_TO_ALL, REDUCE_SCATTER, Machine

#: time of an algorithm that the software does not offer, relative to its own: never the fastest
_NOT_OFFERED = 1e6
#: message for one peer at which a sender waits the whole rendezvous for the receiver's buffer [B]
EAGER_BYTES = 4e4


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
def group_rate(ranks: float, machine: Machine) -> float:
    """Bandwidth of one device towards the others of its group [B/s].

    In a full mesh a group of g uses g - 1 of a device's node - 1 links; behind a switch it uses all.  On a
    bus, groups of more than two share bridges and host memory.
    """
    share = (ranks - 1.0) / max(machine.node - 1.0, 1.0)
    return machine.link_rate * (min(share, 1.0) if machine.mesh > 0.5 else 1.0) / contention(ranks, machine)


@law
def filled(wire: float, machine: Machine) -> float:
    """Time on the wire with the filling of a pipeline of chunks [s].

    Cutting a message into c chunks costs c latencies of ``ramp`` hops and lets the wire idle for one
    chunk: wire + c x ramp x hop + wire / c, least at c = sqrt(wire / (ramp x hop)).
    """
    return wire + 2.0 * np.sqrt(machine.ramp * machine.hop * wire)


@law
def all_reduce_inside(message: float, ranks: float, machine: Machine) -> tuple[float, float, float, float, float]:
    """Start, hop and wire time [s], algorithm and message shares sent of the fastest all-reduce in a node.

    ======== =================== ==================== ============ =======
    index    transfers           message shares sent  start        chunks
    ======== =================== ==================== ============ =======
    ring     2(g-1)              2(g-1)/g             library      yes
    tree     2 ceil(log2 g)      2                    library      yes
    one-shot 1                   g-1                  own kernel   no
    two-shot 1 + barrier         2(g-1)/g             own kernel   no
    switch   2(g-1)              1 + 1/g              library      yes
    ======== =================== ==================== ============ =======

    A ring also copies the device's own share.  Reduction in the switch reaches ``in_switch`` of the
    link's bandwidth; its flags take as long as the ring's (measured on H100, H200, B200).
    """
    wire = message / group_rate(ranks, machine)
    shared = 2.0 * (ranks - 1.0) / ranks
    around = 2.0 * (ranks - 1.0) * machine.hop
    hops, time, name, sent = around, filled((shared + machine.own_copy / ranks) * wire, machine), 0.0, shared
    best = (machine.start_up + hops + time) * (1.0 if machine.ring > 0.5 else _NOT_OFFERED)
    depth, doubled = 2.0 * rounds(ranks) * machine.hop, filled(2.0 * wire, machine)
    tree = (machine.start_up + depth + doubled) * (1.0 if machine.tree > 0.5 else _NOT_OFFERED)
    better = tree < best
    best, name, sent = (tree if better else best), (1.0 if better else name), (2.0 if better else sent)
    hops, time = (depth if better else hops), (doubled if better else time)
    small = message <= machine.direct_limit
    all_at_once = (ranks - 1.0) * wire / machine.direct_share
    one = machine.direct_start_up + machine.hop + all_at_once
    one *= 1.0 if machine.one_shot > 0.5 and small else _NOT_OFFERED
    better = one < best
    best, name, sent = (one if better else best), (2.0 if better else name), (ranks - 1.0 if better else sent)
    hops, time = (machine.hop if better else hops), (all_at_once if better else time)
    twice, halves = (1.0 + machine.barrier) * machine.hop, shared * wire / machine.direct_share
    two = machine.direct_start_up + twice + halves
    two *= 1.0 if machine.two_shot > 0.5 and small else _NOT_OFFERED
    better = two < best
    best, name, sent = (two if better else best), (3.0 if better else name), (shared if better else sent)
    hops, time = (twice if better else hops), (halves if better else time)
    offered = machine.in_switch > 0.0
    pulled = filled((1.0 + 1.0 / ranks) * wire / (machine.in_switch if offered else 1.0), machine)
    better = (machine.start_up + around + pulled) * (1.0 if offered else _NOT_OFFERED) < best
    name, sent = (4.0 if better else name), (1.0 + 1.0 / ranks if better else sent)
    hops, time = (around if better else hops), (pulled if better else time)
    start = machine.direct_start_up if name == 2.0 or name == 3.0 else machine.start_up
    return start, hops, time, name, sent


@law
def gather_inside(message: float, ranks: float, machine: Machine) -> tuple[float, float, float]:
    """Hop and wire time [s] and algorithm of an all-gather or reduce-scatter of ``message`` bytes in all."""
    direct = machine.direct > 0.5
    hops = 1.0 if direct else ranks - 1.0
    wire = (ranks - 1.0 + machine.own_copy) / ranks * message / group_rate(ranks, machine)
    return hops * machine.hop, filled(wire, machine), 5.0 if direct else 0.0


@law
def all_reduce_between(message: float, nodes: float, machine: Machine) -> tuple[float, float, float]:
    """Hop and wire time [s] and algorithm of an all-reduce of one device of each node: ring or tree."""
    wire = message / machine.out_rate
    ring_hops, ring_wire = 2.0 * (nodes - 1.0) * machine.out_hop, 2.0 * (nodes - 1.0) / nodes * wire
    tree_hops, tree_wire = 2.0 * rounds(nodes) * machine.out_hop, 2.0 * wire
    by_ring = ring_hops + ring_wire <= tree_hops + tree_wire
    return ring_hops if by_ring else tree_hops, ring_wire if by_ring else tree_wire, 0.0 if by_ring else 1.0


@law
def send_inside(message: float, inside: float, ranks: float, machine: Machine) -> float:
    """Time of an all-to-all on the links of a node [s]: the wire, or where longer the rendezvous with each peer."""
    wire = filled((inside - 1.0 + machine.own_copy) / ranks * message / group_rate(inside, machine), machine)
    return max(wire, machine.rendezvous * min(message / ranks / EAGER_BYTES, 1.0))


@law
def collective(kind: float, message: float, ranks: float, machine: Machine) -> tuple[float, float, float, float, float]:
    """Start-up, hop and wire time, algorithm and bytes sent by one device.

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
        ``COLLECTIVES``, bytes sent [B].

    Notes
    -----
    Hierarchical all-reduce: reduce-scatter in the node, all-reduce of the shares between nodes by ring
    or tree, all-gather in the node.  Optimistic under congestion between jobs and between nodes, where
    no chunks are counted.  Smooth where libraries switch protocol (LL, LL128, Simple): up to 45 % off
    within a factor of two of the switch, 1 to 8 MiB.
    """
    nodes = np.ceil(ranks / machine.node)
    inside = ranks / nodes
    single = nodes <= 1.0
    start = machine.start_up
    if kind == ALL_REDUCE:
        start, hops, wire, name, shares = all_reduce_inside(message, inside, machine)
        gather_hops, gather_wire, _ = gather_inside(message, inside, machine)
        hops_out, wire_out, name_out = all_reduce_between(message / inside, nodes, machine)
        start = start if single else machine.start_up
        hops = hops if single else 2.0 * gather_hops + hops_out
        wire = wire if single else 2.0 * gather_wire + wire_out
        name = name if single else name_out
        wide = 2.0 * (inside - 1.0) / inside * message + wire_out * machine.out_rate
        sent = shares * message if single else wide
    elif kind in (ALL_GATHER, REDUCE_SCATTER):
        hops, wire, name = gather_inside(message, inside, machine)
        hops += (nodes - 1.0) * machine.out_hop
        out = (nodes - 1.0) / nodes * message / inside
        wire += out / machine.out_rate
        sent = (inside - 1.0) / inside * message + out
    elif kind == ALL_TO_ALL:
        request = 2.0 if machine.rendezvous > 0.0 else 1.0
        hops, name = (request * machine.hop if single else machine.out_hop), 5.0
        wire = max(send_inside(message, inside, ranks, machine), (ranks - inside) / ranks * message / machine.out_rate)
        sent = (ranks - 1.0) / ranks * message
    else:
        hops, name = (machine.hop if single else machine.out_hop), 5.0
        wire = message / (group_rate(2.0, machine) if single else machine.out_rate)
        sent = message
    return start, hops, wire, name, sent


@law
def fused_time(matmul: float, start_up: float, hops: float, wire: float) -> float:
    """Time of a matmul fused with the collective that reduces it, from the start of the matmul [s].

    The matmul is cut into 1, 2, 4 or 8 pieces; a piece is sent while the next is computed (as in
    Flux, arXiv 2406.06858).  Synchronisation is paid once, each piece pays its hops.  Optimistic: the
    pieces of the matmul are taken to be as efficient as the whole.
    """
    best = matmul + hops + wire
    pieces = 2.0
    for _ in range(3):
        work, send = matmul / pieces, hops + wire / pieces
        best = min(best, work + (pieces - 1.0) * max(work, send) + send)
        pieces *= 2.0
    return start_up + best
