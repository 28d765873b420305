"""Tokens sent to their experts on other devices, and brought back: what kernels send, and how long it takes.

Low-latency kernels send a copy of a token for each expert it goes to, straight to the device that has the expert; the
first ones used the network for devices of the same node too.
Normal kernels send one copy to each node, which is forwarded inside the node to the devices that need it.
How many nodes and devices that are follows from the routing: each token goes to some experts out of all, or out of
those of a few groups (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).  One more kernel is a law and a line in
``EXCHANGES``.
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.collectives import DIRECT, Exchange
from accelmodel.laws.jit import law
from accelmodel.laws.prepared import whole
from accelmodel.laws.routes import route_hops
from accelmodel.laws.transfers import group_time
from accelmodel.laws.types import EXCHANGE, ROUTED_EXCHANGE, Machine, Operator


@law
def missed(share: float, experts: float, used: float) -> float:
    """Probability that none of the ``used`` experts of a token, all different, is in a share of the experts."""
    others = experts * (1.0 - share)
    missing, all_ways = 1.0, 1.0
    for i in range(int(used)):
        missing *= max(others - i, 0.0)
        all_ways *= experts - i
    return missing / all_ways


@law
def ways(number: float, chosen: float) -> float:
    """Ways to choose so many out of a number: the binomial coefficient."""
    found = 1.0
    for i in range(int(chosen)):
        found *= max(number - i, 0.0) / (i + 1.0)
    return found


@law
def reached(parts: float, experts: float, used: float, groups: float, chosen: float) -> float:
    """Parts that a token is sent to on average, of equal parts over which the experts are spread in order.

    Parameters
    ----------
    parts : float
        Nodes or devices [1].
    experts, used : float
        Experts, and those that a token goes to [1].
    groups, chosen : float
        Groups of experts, and those out of which its experts are chosen; 1 and 1 for all experts [1].

    Notes
    -----
    A part has some whole groups and a piece of another one.  Exact where all experts, and all groups, are as likely and
    parts are groups, several of them, or an even part of one; else up to 3 % too low, as parts have two pieces.

    Examples
    --------
    DeepSeek-V3 on two, four and eight nodes:

    >>> [round(reached(nodes, 256.0, 8.0, 8.0, 4.0), 2) for nodes in (2.0, 4.0, 8.0)]
    [1.93, 2.93, 3.63]
    """
    if parts <= 1.0:
        return 1.0
    own, able = groups / parts, experts * chosen / groups
    whole_ones = np.floor(own)
    piece = own - whole_ones
    hit = 0.0
    for i in range(int(chosen) + 1):
        # the group of which it has a piece is among the others that are not chosen, or is chosen
        around = ways(groups - whole_ones - 1.0, chosen - i) * (1.0 - missed(i / chosen, able, used))
        if i < chosen:
            beside = 1.0 - missed((i + piece) / chosen, able, used)
            around += ways(groups - whole_ones - 1.0, chosen - i - 1.0) * beside
        hit += ways(whole_ones, float(i)) * around
    return float(parts * hit / ways(groups, chosen))


@law
def destinations(op: Operator, parts: float) -> float:
    """Devices, or nodes, of so many that a token of an exchange is sent to on average (``reached``)."""
    return reached(parts, op.n, op.k, op.groups, op.m)


@law
def low_latency(op: Operator, machine: Machine, devices: float, nodes: float) -> Exchange:
    """A copy for each expert, straight to its device; links inside and between nodes work side by side.

    Inside a node the engine's kernels reach the share of the link that its all-reduce kernels reach.
    """
    inside = op.ranks / whole(op.ranks * machine.node_share)
    share = op.message_bytes / op.ranks
    near = (inside - 1.0) * share * group_time(inside, machine) * machine.direct_excess
    out = (op.ranks - inside) * share * machine.out_time
    hops = machine.hop if inside >= op.ranks else machine.out_hop
    return machine.exchange_start, hops, max(near, out), DIRECT, (op.ranks - 1.0) * share


@law
def normal(op: Operator, machine: Machine, devices: float, nodes: float) -> Exchange:
    """A copy for each node, forwarded inside it to the devices that need it, both at once.

    Links are reached as by ``low_latency``.  What a device keeps of its own is not sent inside a node, but passes the
    buffers of the forwarding where there are several.
    """
    spanned = whole(op.ranks * machine.node_share)
    inside = op.ranks / spanned
    one = op.message_bytes / op.k
    between = one * nodes * (1.0 - 1.0 / spanned)
    near = one * devices * (1.0 - 1.0 / inside if spanned <= 1.0 else 1.0)
    hops = machine.hop if spanned <= 1.0 else machine.hop + machine.out_hop
    wire = max(near * group_time(inside, machine) * machine.direct_excess, between * machine.out_time)
    return machine.exchange_start, hops, wire, DIRECT, near if spanned <= 1.0 else near + between


@law
def network(op: Operator, machine: Machine, devices: float, nodes: float) -> Exchange:
    """A copy for each expert, straight to its device, over the links between nodes alone (DeepEP until May 2025)."""
    share = op.message_bytes / op.ranks
    wire = (op.ranks - 1.0) * share * machine.out_time
    return machine.exchange_start, machine.out_hop, wire, DIRECT, (op.ranks - 1.0) * share


#: kernels of an exchange → their law ``(op, machine, devices, nodes) -> Exchange``, the last two being the destinations
#: of a token
EXCHANGES = {"low-latency": low_latency, "normal": normal, "network": network}
#: code of normal kernels, without and with a route
NORMAL, ROUTED_NORMAL = (first + list(EXCHANGES).index("normal") for first in (EXCHANGE, ROUTED_EXCHANGE))


@law
def along_route(op: Operator, machine: Machine, devices: float, nodes: float) -> Exchange:
    """By any kernels, along the route that the row carries (``laws.routes.ROUTE``): the slowest level sets the wire."""
    near = op.n * machine.link_time * machine.direct_excess
    wire = op.message_bytes * max(max(near, op.groups * machine.out_time), op.output_bytes)
    return machine.exchange_start, route_hops(op, machine), wire, DIRECT, op.weight_bytes * op.message_bytes


#: law of each kind of exchange by its code
BY_CODE = {EXCHANGE + place: each for place, each in enumerate(EXCHANGES.values())} | {ROUTED_EXCHANGE: along_route}


def code(kernels: str) -> float:
    """Return the code of an exchange by such kernels: ``Operator.kind``."""
    return EXCHANGE + list(EXCHANGES).index(kernels)
