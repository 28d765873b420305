"""Collectives as latency and bandwidth: ring, tree, one-shot, two-shot, in-switch, hierarchical.

Each algorithm is a pair: transfers that follow one another (each costs a hop) and the share of the
message that a device sends.  The fastest that the software offers is taken and named
(Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005; Calculon, SC 2023, uses the same coefficients).
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.compiling import law
from accelmodel.laws.vectors import ALL_GATHER, ALL_REDUCE, ALL_TO_ALL, REDUCE_SCATTER, Machine

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
def group_rate(ranks: float, machine: Machine) -> float:
    """Bandwidth of one device towards the others of its group [B/s].

    In a full mesh a group of g uses g - 1 of a device's node - 1 links; behind a switch it uses all.
    """
    share = (ranks - 1.0) / max(machine.node - 1.0, 1.0)
    return machine.link_rate * (min(share, 1.0) if machine.mesh > 0.5 else 1.0)


@law
def all_reduce_inside(message: float, ranks: float, machine: Machine) -> tuple[float, float, float]:
    """Hop time [s], wire time [s] and algorithm of the fastest all-reduce inside a node.

    ======== =================== ========================
    index    transfers           message shares sent
    ======== =================== ========================
    ring     2(g-1)              2(g-1)/g
    tree     2 ceil(log2 g)      2
    one-shot 1                   g-1
    two-shot 2                   2(g-1)/g
    switch   2                   1 + 1/g
    ======== =================== ========================
    """
    wire = message / group_rate(ranks, machine)
    shared = 2.0 * (ranks - 1.0) / ranks
    depth = 2.0 * rounds(ranks)
    best_hops, best_share, name = 2.0 * (ranks - 1.0), shared, 0.0
    ring = (2.0 * (ranks - 1.0) * machine.hop + shared * wire) * (1.0 if machine.ring > 0.5 else _NOT_OFFERED)
    best = ring
    tree = (depth * machine.hop + 2.0 * wire) * (1.0 if machine.tree > 0.5 else _NOT_OFFERED)
    better = tree < best
    best, name = (tree if better else best), (1.0 if better else name)
    best_hops, best_share = (depth if better else best_hops), (2.0 if better else best_share)
    one = (machine.hop + (ranks - 1.0) * wire) * (1.0 if machine.one_shot > 0.5 else _NOT_OFFERED)
    better = one < best
    best, name = (one if better else best), (2.0 if better else name)
    best_hops, best_share = (1.0 if better else best_hops), (ranks - 1.0 if better else best_share)
    two = (2.0 * machine.hop + shared * wire) * (1.0 if machine.two_shot > 0.5 else _NOT_OFFERED)
    better = two < best
    best, name = (two if better else best), (3.0 if better else name)
    best_hops, best_share = (2.0 if better else best_hops), (shared if better else best_share)
    switch = (2.0 * machine.hop + (1.0 + 1.0 / ranks) * wire) * (1.0 if machine.in_switch > 0.5 else _NOT_OFFERED)
    better = switch < best
    name = 4.0 if better else name
    best_hops, best_share = (2.0 if better else best_hops), (1.0 + 1.0 / ranks if better else best_share)
    return best_hops * machine.hop, best_share * wire, name


@law
def gather_inside(message: float, ranks: float, machine: Machine) -> tuple[float, float, float]:
    """All-gather or reduce-scatter of ``message`` bytes in all: direct where offered, else ring."""
    direct = machine.one_shot > 0.5 or machine.two_shot > 0.5
    hops = 1.0 if direct else ranks - 1.0
    wire = (ranks - 1.0) / ranks * message / group_rate(ranks, machine)
    return hops * machine.hop, wire, 2.0 if direct else 0.0


@law
def collective(kind: float, message: float, ranks: float, machine: Machine) -> tuple[float, float, float, float]:
    """Hop time, wire time, algorithm and bytes sent by one device, without the start-up time.

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
        Latency of the transfers [s], time on the wire [s], index into ``COLLECTIVES``, bytes sent [B].

    Notes
    -----
    Hierarchical all-reduce: reduce-scatter in the node, all-reduce of the shares between nodes by ring
    or tree, all-gather in the node.  Optimistic under congestion between jobs and where protocol
    switches (LL, LL128, Simple) cost bandwidth at middle sizes.
    """
    nodes = np.ceil(ranks / machine.node)
    inside = ranks / nodes
    rate = group_rate(inside, machine)
    single = nodes <= 1.0
    if kind == ALL_REDUCE:
        hops, wire, name = all_reduce_inside(message, inside, machine)
        gather_hops, gather_wire, _ = gather_inside(message, inside, machine)
        share = message / inside / machine.out_rate
        ring_hops, ring_wire = 2.0 * (nodes - 1.0) * machine.out_hop, 2.0 * (nodes - 1.0) / nodes * share
        tree_hops, tree_wire = 2.0 * rounds(nodes) * machine.out_hop, 2.0 * share
        by_ring = ring_hops + ring_wire <= tree_hops + tree_wire
        hops = hops if single else 2.0 * gather_hops + (ring_hops if by_ring else tree_hops)
        wire_in = wire if single else 2.0 * gather_wire
        wire_out = 0.0 if single else (ring_wire if by_ring else tree_wire)
        name = name if single else (0.0 if by_ring else 1.0)
        wire = wire_in + wire_out
    elif kind in (ALL_GATHER, REDUCE_SCATTER):
        hops, wire_in, name = gather_inside(message, inside, machine)
        hops += (nodes - 1.0) * machine.out_hop
        wire_out = (nodes - 1.0) / nodes * message / (inside * machine.out_rate)
        wire = wire_in + wire_out
    elif kind == ALL_TO_ALL:
        hops, name = (machine.hop if single else machine.out_hop), 2.0
        wire_in = (inside - 1.0) / ranks * message / rate
        wire_out = (ranks - inside) / ranks * message / machine.out_rate
        wire = max(wire_in, wire_out)
    else:
        hops, name = (machine.hop if single else machine.out_hop), 2.0
        rate = group_rate(2.0, machine)
        wire_in = message / rate if single else 0.0
        wire_out = 0.0 if single else message / machine.out_rate
        wire = wire_in + wire_out
    return hops, wire, name, wire_in * rate + wire_out * machine.out_rate


@law
def fused_time(product: float, start_up: float, hops: float, wire: float) -> float:
    """Time of a product fused with the collective that reduces it, from the start of the product [s].

    The product is cut into 1, 2, 4 or 8 pieces; a piece is sent while the next is computed (as in
    Flux, arXiv 2406.06858).  Synchronisation is paid once, each piece pays its hops.  Optimistic: the
    pieces of the product are taken to be as efficient as the whole.
    """
    best = product + hops + wire
    pieces = 2.0
    for _ in range(3):
        work, send = product / pieces, hops + wire / pieces
        best = min(best, work + (pieces - 1.0) * max(work, send) + send)
        pieces *= 2.0
    return start_up + best
