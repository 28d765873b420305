"""Collectives as latency and bandwidth: ring, tree, one-shot, two-shot, in-switch, direct, hierarchical.

Each algorithm is a law: transfers that follow one another (each costs a hop) and the share of the
message that a device sends.  The fastest that the software offers is taken and named (Thakur, Rabenseifner and
Gropp, IJHPCA 19(1), 2005; Calculon, SC 2023, uses the same coefficients).  One more algorithm is a law and a line
in a dict here and, to be offered and named, a field of ``Machine``.
What libraries add to that on measured machines: they send chunks through buffers, copy a device's own
share, meet before long messages; small all-reduces run in a kernel of the engine's own.
"""

from __future__ import annotations

from accelmodel.laws.across_nodes import all_reduce_across, fused_across, gather_across
from accelmodel.laws.generated import AlgorithmCost, by_kind, least
from accelmodel.laws.jit import law
from accelmodel.laws.prepared import whole
from accelmodel.laws.transfers import filled, fused_order, gather_inside, group_time, offered_time, rounds
from accelmodel.laws.types import ALGORITHMS, COLLECTIVE, Machine

#: message for one peer at which a sender waits the whole rendezvous for the receiver's buffer [B]
EAGER_BYTES = 4e4
#: code of what goes to its receivers at once
DIRECT = float(ALGORITHMS.index("direct"))

Exchange = tuple[float, float, float, float, float]


@law
def small(message: float, machine: Machine) -> float:
    """1 for messages that the engine's own kernels take, else 0."""
    return 1.0 if message <= machine.direct_limit else 0.0


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


@law
def multimem(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """The switch adds up in a kernel of the engine's own: a share is read from it as a sum, and written to all.

    One barrier follows, as between the halves of a two-shot; a device's port carries 1 + 1/g of the message.
    """
    shares = 1.0 + 1.0 / ranks
    hops = (1.0 + machine.barrier) * machine.hop
    wire = shares * (message * group_time(ranks, machine)) * machine.multimem_excess
    order = offered_time(machine.multimem * small(message, machine), machine.direct_start_up + hops + wire)
    return AlgorithmCost(order, machine.direct_start_up, hops, wire, shares)


ALL_REDUCES = {
    "ring": ring,
    "tree": tree,
    "one-shot": one_shot,
    "two-shot": two_shot,
    "in-switch": in_switch,
    "multimem": multimem,
}


all_reduce_inside = least("all_reduce_inside", ALL_REDUCES)
fused_inside = least("fused_inside", ALL_REDUCES, weigh=fused_order, beside=("matmul",))


# ---- whole collectives: start-up, hop and wire time [s], code of the algorithm, bytes sent by one device [B] --


@law
def all_reduce_in_node(message: float, ranks: float, machine: Machine) -> Exchange:
    """Sum of a message that each device of a node holds, on all of them."""
    cost, name = all_reduce_inside(message, ranks, machine)
    return cost.start, cost.hops, cost.wire, name, cost.shares * message


@law
def all_reduce_over_nodes(message: float, ranks: float, machine: Machine) -> Exchange:
    """The same where they fill several nodes."""
    nodes = whole(ranks * machine.node_share)
    cost, name = all_reduce_across(message, ranks / nodes, machine, nodes)
    return cost.start, cost.hops, cost.wire, name, cost.shares * message


@law
def all_reduce(message: float, ranks: float, machine: Machine) -> Exchange:
    """Sum of a message that each device holds, on all of them."""
    if whole(ranks * machine.node_share) <= 1.0:
        return all_reduce_in_node(message, ranks, machine)
    return all_reduce_over_nodes(message, ranks, machine)


@law
def fused_in_node(message: float, ranks: float, machine: Machine, matmul: float) -> Exchange:
    """The same by the algorithm that is fastest with a matmul of that time [s] fused with it (``fused_time``)."""
    cost, name = fused_inside(message, ranks, machine, matmul)
    return cost.start, cost.hops, cost.wire, name, cost.shares * message


@law
def fused_over_nodes(message: float, ranks: float, machine: Machine, matmul: float) -> Exchange:
    """The same where they fill several nodes."""
    nodes = whole(ranks * machine.node_share)
    cost, name = fused_across(message, ranks / nodes, machine, nodes, matmul)
    return cost.start, cost.hops, cost.wire, name, cost.shares * message


@law
def gather_in_node(message: float, ranks: float, machine: Machine) -> Exchange:
    """All-gather or reduce-scatter of a message of so many bytes in all, in a node."""
    cost, name = gather_inside(message, ranks, machine)
    return cost.start, cost.hops, cost.wire, name, (1.0 - 1.0 / ranks) * message


@law
def gather_over_nodes(message: float, ranks: float, machine: Machine) -> Exchange:
    """The same in several nodes."""
    nodes = whole(ranks * machine.node_share)
    cost, name = gather_across(message, ranks / nodes, machine, nodes)
    return cost.start, cost.hops, cost.wire, name, cost.shares * message


@law
def gather(message: float, ranks: float, machine: Machine) -> Exchange:
    """All-gather or reduce-scatter of a message of so many bytes in all."""
    if whole(ranks * machine.node_share) <= 1.0:
        return gather_in_node(message, ranks, machine)
    return gather_over_nodes(message, ranks, machine)


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
    start = machine.start_up if nodes <= 1.0 else machine.out_start
    return start, hops, wire, DIRECT, (ranks - 1.0) / ranks * message


@law
def point_to_point(message: float, ranks: float, machine: Machine) -> Exchange:
    """A message to one peer, which is on another node where the ranks fill more than one."""
    single = whole(ranks * machine.node_share) <= 1.0
    hops = machine.hop if single else machine.out_hop
    wire = message * (group_time(2.0, machine) if single else machine.out_time)
    start = machine.start_up if single else machine.out_start
    return start, hops, wire, DIRECT, message


COLLECTIVES = {
    "all-reduce": all_reduce,
    "all-gather": gather,
    "reduce-scatter": gather,
    "all-to-all": all_to_all,
    "point-to-point": point_to_point,
}
#: law of each kind of collective by its code
BY_CODE = {COLLECTIVE + place: each for place, each in enumerate(COLLECTIVES.values())}
_PARTS = {all_reduce: (all_reduce_in_node, all_reduce_over_nodes), gather: (gather_in_node, gather_over_nodes)}
#: those that have a law for devices of one node and a law for several nodes, and the rest
IN_NODE = {kind: _PARTS[each][0] for kind, each in BY_CODE.items() if each in _PARTS}
OVER_NODES = {kind: _PARTS[each][1] for kind, each in BY_CODE.items() if each in _PARTS}
ANYWHERE = {kind: each for kind, each in BY_CODE.items() if each not in _PARTS}
LAST_IN_NODE = max(IN_NODE)
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
