"""The collectives of the NumPy twin: every quantity an array over designs, all algorithms stacked, the best taken."""

from __future__ import annotations

from math import comb, prod
from typing import Any

import numpy as np

from accelmodel.laws.collectives import EAGER_BYTES
from accelmodel.laws.exchange import EXCHANGES
from accelmodel.laws.types import ALL_GATHER, ALL_REDUCE, ALL_TO_ALL, EXCHANGE, REDUCE_SCATTER, Machine, Operator

#: an array over designs, or a float where all designs agree
Array = Any
#: time of an algorithm that the software does not offer, relative to its own
NOT_OFFERED = 1e6


def rounds(ranks: Array) -> Array:
    """Rounds of a binary tree over up to 1024 devices."""
    return np.minimum(np.ceil(np.log2(ranks)), 10.0)


def group_rate(ranks: Array, machine: Machine) -> Array:
    """Bandwidth of one device towards the others of its group [B/s]."""
    share = np.minimum((ranks - 1.0) / np.maximum(machine.node - 1.0, 1.0), 1.0)
    doublings = np.clip(np.ceil(np.log2(ranks)) - 1.0, 0.0, 4.0)
    return machine.link_rate * np.where(machine.mesh > 0.5, share, 1.0) / machine.contention**doublings


def filled(wire: Array, machine: Machine) -> Array:
    """Time on the wire with the filling of a pipeline of chunks [s]."""
    return wire + 2.0 * np.sqrt(machine.ramp * machine.hop * wire)


def fastest_inside(message: float, ranks: Array, machine: Machine, matmul: Array = 0.0) -> tuple[Array, Array, Array]:
    """Start, hop and wire time [s] of the fastest all-reduce inside a node, fused with a matmul of that time [s]."""
    one, shared = np.ones_like(ranks), 2.0 * (ranks - 1.0) / ranks
    around = 2.0 * (ranks - 1.0)
    barrier = one + machine.barrier
    hops = np.stack([around, 2.0 * rounds(ranks), one, barrier, around, barrier]) * machine.hop
    wire = message / group_rate(ranks, machine)
    switched = (1.0 + 1.0 / ranks) / np.where(machine.in_switch > 0.0, machine.in_switch, 1.0)
    summed = (1.0 + 1.0 / ranks) / np.where(machine.multimem > 0.0, machine.multimem, 1.0)
    times = np.stack([
        filled((shared + machine.own_copy / ranks) * wire, machine),
        filled(2.0 * wire, machine),
        (ranks - 1.0) * wire / machine.direct_share,
        shared * wire / machine.direct_share,
        filled(switched * wire, machine),
        summed * wire,
    ])  # fmt: skip
    library, engine = machine.start_up * one, machine.direct_start_up * one
    starts = np.stack([library, library, engine, engine, library, engine])
    small = message <= machine.direct_limit
    offered = np.stack([
        machine.ring > 0.5, machine.tree > 0.5, (machine.one_shot > 0.5) & small, (machine.two_shot > 0.5) & small,
        machine.in_switch > 0.0, (machine.multimem > 0.0) & small,
    ])  # fmt: skip
    penalty = (starts + hops + times) * np.where(offered, 0.0, NOT_OFFERED)
    best = (penalty + fused_with(matmul, starts, hops, times)).argmin(axis=0)[None]
    start, hop, time = (np.take_along_axis(each, best, 0)[0] for each in (starts, hops, times))
    return start, hop, time


def gather_inside(message: Array, ranks: Array, machine: Machine) -> tuple[Array, Array]:
    """Hop and wire time [s] of an all-gather or reduce-scatter of ``message`` bytes in all."""
    hops = np.where(machine.direct > 0.5, 1.0, ranks - 1.0) * machine.hop
    return hops, filled((ranks - 1.0 + machine.own_copy) / ranks * message / group_rate(ranks, machine), machine)


def beside(near: Array, out: Array, inside: Array) -> Array:
    """Time of what runs inside nodes and between them at once."""
    return np.where(inside > 1.0, np.maximum(near, out), out)


def ring_across(message: Array, inside: Array, nodes: Array, machine: Machine, halves: float) -> tuple[Array, Array]:
    """Hop and wire time [s] of one ring through all ranks, by all ports: an all-gather is one of the two halves."""
    ranks = inside * nodes
    hops = halves * ((ranks - nodes) * machine.hop + (nodes - 1.0) * machine.out_hop)
    sent = halves * (ranks - 1.0) / ranks * message
    kept = sent * (inside - 1.0) / inside + machine.own_copy / ranks * message
    near = filled(kept / group_rate(inside, machine), machine)
    return hops, beside(near, sent / machine.out_rate / inside, inside)


def all_reduce(
    message: float, inside: Array, nodes: Array, machine: Machine, matmul: Array = 0.0
) -> tuple[Array, Array, Array]:
    """Start, hop and wire time [s] of an all-reduce, over several nodes as well, fused with a matmul."""
    start, hops, wire = fastest_inside(message, inside, machine, matmul)
    one = np.ones_like(nodes)
    gather_hops, gather_wire = gather_inside(message, inside, machine)
    share = message / inside / machine.out_rate
    between = np.stack([2.0 * (nodes - 1.0), 2.0 * rounds(nodes)]) * machine.out_hop
    across = np.stack([2.0 * (nodes - 1.0) / nodes, 2.0 * one]) * share
    by = (between + across).argmin(axis=0)[None]
    level_hops = 2.0 * gather_hops + np.take_along_axis(between, by, 0)[0]
    level_wire = beside(2.0 * gather_wire, np.take_along_axis(across, by, 0)[0], inside)
    ring_hops, ring_wire = ring_across(message, inside, nodes, machine, 2.0)
    tree_hops = 2.0 * ((inside - 1.0) * machine.hop + rounds(nodes) * machine.out_hop)
    tree_wire = beside(filled(2.0 * message / group_rate(inside, machine), machine), 2.0 * share, inside)
    way_hops, way_wire = (
        np.stack([each * one for each in ways])
        for ways in ((ring_hops, tree_hops, level_hops), (ring_wire, tree_wire, level_wire))
    )
    offered = np.stack([one * (machine.out_ring > 0.5), one * (machine.out_tree > 0.5), one * machine.hierarchical])
    alone = machine.out_start + way_hops + way_wire
    order = fused_with(matmul, machine.out_start, way_hops, way_wire) + np.where(
        offered > 0.0, 0.0, alone * NOT_OFFERED
    )
    best = order.argmin(axis=0)[None]
    far_hops, far_wire = (np.take_along_axis(each, best, 0)[0] for each in (way_hops, way_wire))
    near = nodes <= 1.0
    return np.where(near, start, machine.out_start), np.where(near, hops, far_hops), np.where(near, wire, far_wire)


def gather(message: float, inside: Array, nodes: Array, machine: Machine) -> tuple[Array, Array, Array]:
    """Start, hop and wire time [s] of an all-gather or reduce-scatter."""
    hops, wire = gather_inside(message, inside, machine)
    ring_hops, ring_wire = ring_across(message, inside, nodes, machine, 1.0)
    level_hops = hops + (nodes - 1.0) * machine.out_hop
    level_wire = beside(wire, (nodes - 1.0) / nodes * message / (inside * machine.out_rate), inside)
    ring = (ring_hops + ring_wire + machine.out_start) * np.where(machine.out_ring > 0.5, 1.0, NOT_OFFERED)
    level = (level_hops + level_wire + machine.out_start) * np.where(machine.hierarchical > 0.0, 1.0, NOT_OFFERED)
    near, by_ring = nodes <= 1.0, ring <= level
    far_hops, far_wire = np.where(by_ring, ring_hops, level_hops), np.where(by_ring, ring_wire, level_wire)
    start = np.where(near, machine.start_up, machine.out_start)
    return start, np.where(near, hops, far_hops), np.where(near, wire, far_wire)


def destinations(parts: float, op: Operator) -> float:
    """Parts that a token is sent to on average: all ways to choose groups are counted, then those to choose experts."""
    if parts <= 1.0:
        return 1.0
    experts = op.n
    used = int(op.k)
    groups = int(op.groups)
    chosen = int(op.m)
    able = experts * chosen / groups
    whole = int(groups / parts)
    missed = 0.0
    for mine in range(chosen + 1):
        for piece in range(min(2, chosen - mine + 1)):
            # of its whole groups, of the one of which it has a piece, and of all others
            chance = comb(whole, mine) * comb(max(groups - whole - 1, 0), chosen - mine - piece) / comb(groups, chosen)
            left = able - experts / groups * (mine + piece * (groups / parts - whole))
            missed += chance * prod(max(left - each, 0.0) / (able - each) for each in range(used))
    return parts * (1.0 - missed)


def delivery(op: Operator, inside: Array, nodes: Array, machine: Machine) -> tuple[Array, Array, Array]:
    """Start, hop and wire time [s] of an exchange around experts by low-latency, normal or network kernels."""
    if op.lane:
        raise ValueError("the twin in NumPy has no halves of a batch that take turns; leave out two_batch")
    near, rate, out = nodes <= 1.0, group_rate(inside, machine), machine.out_rate
    share = op.message_bytes / op.ranks
    kernels = list(EXCHANGES)[int(op.kind - EXCHANGE)]
    if kernels == "network":
        return machine.exchange_start, machine.out_hop, (op.ranks - 1.0) * share / out
    if kernels == "low-latency":
        near_time = (inside - 1.0) * share / (rate * machine.direct_share)
        wire = np.maximum(near_time, (op.ranks - inside) * share / out)
        return machine.exchange_start, np.where(near, machine.hop, machine.out_hop), wire
    copy = op.message_bytes / op.k
    devices = copy * destinations(op.ranks, op) * np.where(near, 1.0 - 1.0 / inside, 1.0)
    reached = np.vectorize(lambda parts: destinations(parts, op))(nodes)
    wire = np.maximum(devices / (rate * machine.direct_share), copy * reached * (nodes - 1.0) / nodes / out)
    return machine.exchange_start, machine.hop + np.where(near, 0.0, machine.out_hop), wire


def exchange(op: Operator, machine: Machine, matmul: Array = 0.0) -> tuple[Array, Array, Array]:
    """Start, hop and wire time [s] of any collective; an all-reduce may be fused with a matmul of that time [s]."""
    nodes = np.ceil(op.ranks / machine.node)
    inside = op.ranks / nodes
    near = nodes <= 1.0
    message = op.message_bytes
    if op.kind >= EXCHANGE:
        return delivery(op, inside, nodes, machine)
    if op.kind == ALL_REDUCE:
        return all_reduce(message, inside, nodes, machine, matmul)
    if op.kind in (ALL_GATHER, REDUCE_SCATTER):
        return gather(message, inside, nodes, machine)
    start = np.where(near, machine.start_up, machine.out_start)
    if op.kind == ALL_TO_ALL:
        own = (inside - 1.0 + machine.own_copy) / op.ranks * message / group_rate(inside, machine)
        waiting = machine.rendezvous * np.minimum(message / op.ranks / EAGER_BYTES, 1.0)
        outside = (op.ranks - inside) / op.ranks * message / machine.out_rate
        wire = np.maximum(np.maximum(filled(own, machine), waiting), outside)
        request = np.where(machine.rendezvous > 0.0, 2.0, 1.0)
        return start, np.where(near, request * machine.hop, machine.out_hop), wire
    wire = message / np.where(near, group_rate(2.0, machine), machine.out_rate)
    return start, np.where(near, machine.hop, machine.out_hop), wire


def fused_with(matmul_time: Array, start_up: Array, hops: Array, wire: Array) -> Array:
    """Time of a matmul cut into 1, 2, 4 or 8 pieces, each sent while the next is computed [s]."""
    cuts = [matmul_time + hops + wire]
    for pieces in (2.0, 4.0, 8.0):
        work, send = matmul_time / pieces, hops + wire / pieces
        cuts.append(work + (pieces - 1.0) * np.maximum(work, send) + send)
    return start_up + np.minimum.reduce(cuts)
