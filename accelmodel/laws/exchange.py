"""Tokens sent to their experts on other devices, and brought back: what kernels send, and how long it takes.

Low-latency kernels send a copy of a token for each expert it goes to, straight to the device that has the expert.
Normal kernels send one copy to each node, which is forwarded inside the node to the devices that need it.
How many nodes and devices that are follows from the routing: each token goes to some experts out of all, or out of
those of a few groups (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).  One more kernel is a law and a line in
``EXCHANGES``.
"""

from __future__ import annotations

from accelmodel.laws.collectives import DIRECT, Exchange, group_time
from accelmodel.laws.jit import law
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import EXCHANGE, Machine, Operator


@law
def missed(share: float, experts: float, used: float) -> float:
    """Probability that none of the ``used`` experts of a token, all different, is in a share of the experts.

    The product of (experts x (1 - share) - i) / (experts - i) over i below ``used``, each factor taken in the middle.
    """
    middle = 0.5 * (used - 1.0)
    return float((max(experts * (1.0 - share) - middle, 0.0) / (experts - middle)) ** used)


@law
def ways(number: float, chosen: float) -> float:
    """Ways to choose so many out of a number: the binomial coefficient, of a broken number too."""
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
    All experts, and all groups, are as likely.  Within 1 % of the exact numbers for eight experts of 64 or more.

    Examples
    --------
    DeepSeek-V3 on two, four and eight nodes:

    >>> [round(reached(nodes, 256.0, 8.0, 8.0, 4.0), 1) for nodes in (2.0, 4.0, 8.0)]
    [1.9, 2.9, 3.6]
    """
    own = groups / parts
    able = experts * chosen / groups
    if own <= 1.0:
        return parts * chosen / groups * (1.0 - missed(own / chosen, able, used))
    hit, total = 0.0, 0.0
    for i in range(int(chosen) + 1):
        chance = ways(own, float(i)) * ways(groups - own, chosen - i)
        hit += chance * (1.0 - missed(i / chosen, able, used))
        total += chance
    return parts * hit / total


@law
def low_latency(op: Operator, machine: Machine) -> Exchange:
    """A copy for each expert, straight to its device; links inside and between nodes work side by side."""
    nodes = whole(op.ranks * machine.node_share)
    inside = op.ranks / nodes
    share = op.message_bytes / op.ranks
    near = (inside - 1.0) * share * group_time(inside, machine)
    out = (op.ranks - inside) * share * machine.out_time
    hops = machine.hop if nodes <= 1.0 else machine.out_hop
    return machine.exchange_start, hops, max(near, out), DIRECT, (op.ranks - 1.0) * share


@law
def normal(op: Operator, machine: Machine) -> Exchange:
    """A copy for each node, forwarded inside it to the devices that need it, both at once.

    Inside a node the engine's kernels reach the share of the link that its all-reduce kernels reach.  What a device
    keeps of its own is not sent inside a node, but passes the buffers of the forwarding where there are several.
    """
    nodes = whole(op.ranks * machine.node_share)
    inside = op.ranks / nodes
    one = op.message_bytes / op.k
    devices = one * reached(op.ranks, op.n, op.k, op.groups, op.m)
    between = one * reached(nodes, op.n, op.k, op.groups, op.m) * (1.0 - 1.0 / nodes)
    near = devices * (1.0 - 1.0 / inside) if nodes <= 1.0 else devices
    hops = machine.hop if nodes <= 1.0 else machine.hop + machine.out_hop
    wire = max(near * group_time(inside, machine) * machine.direct_excess, between * machine.out_time)
    return machine.exchange_start, hops, wire, DIRECT, near if nodes <= 1.0 else near + between


#: kernels of an exchange → their law
EXCHANGES = {"low-latency": low_latency, "normal": normal}
#: law of each kind of exchange by its code
BY_CODE = {EXCHANGE + place: each for place, each in enumerate(EXCHANGES.values())}


def code(kernels: str) -> float:
    """Return the code of an exchange by such kernels: ``Operator.kind``."""
    return EXCHANGE + list(EXCHANGES).index(kernels)


#: code of normal kernels
NORMAL = code("normal")
