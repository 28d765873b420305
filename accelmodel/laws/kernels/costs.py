"""What operators and collectives ask of a block of designs: one loop for each kind, which then vectorises.

A loop over designs with the kind decided inside it is 1.8 times slower for operators and 4 times for collectives.
What a collective costs inside a node, and over several, is worked out only where a design of the block needs it.
What few steps have is compiled apart: the loop of all others is optimised in less time, and uses its registers better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelmodel.laws import exchange
from accelmodel.laws.collectives import ANYWHERE, IN_NODE, LAST_IN_NODE, OVER_NODES
from accelmodel.laws.exchange import NORMAL, destinations
from accelmodel.laws.generated import Law, branches, by_name, written
from accelmodel.laws.jit import glue, inner_kernel
from accelmodel.laws.kernels.block import COSTS, Block, machine_for
from accelmodel.laws.kinds import KINDS, code
from accelmodel.laws.prepared import whole
from accelmodel.laws.routes import routed
from accelmodel.laws.types import EXCHANGE, ROUTED, Machine, Operator

_NODE, _NODE_SHARE = Machine._fields.index("node"), Machine._fields.index("node_share")


@glue
def fewest_and_most_nodes(b: Any, op: Operator, width: int) -> tuple[float, float]:
    """Nodes that the devices of a collective fill, over the designs of a block."""
    fewest = most = whole(op.ranks * b.machines[_NODE_SHARE, 0])
    for j in range(1, width if b.varies[_NODE] else 1):
        nodes = whole(op.ranks * b.machines[_NODE_SHARE, j])
        fewest, most = min(fewest, nodes), max(most, nodes)
    return fewest, most


@glue
def take_over_nodes(b: Any, op: Operator, costs: Any, over_nodes: Any, width: int) -> None:
    """Take the costs over several nodes where the devices of a collective fill more than one."""
    for place in range(COSTS):
        for j in range(width):
            several = whole(op.ranks * b.machines[_NODE_SHARE, j]) > 1.0
            costs[place, j] = over_nodes[place, j] if several else costs[place, j]


def filler(name: str, laws: Mapping[float, Law], arguments: str) -> Law:
    """Return ``name(b, op, costs, width)``, not compiled yet, which fills the costs of a row by the law of its kind.

    All loops stand in one function: a kernel for each would be optimised once more, at its own level.

    Parameters
    ----------
    name : str
        Name of the function that is made.
    laws : mapping of float to law
        Kind → law; the last is taken for the rest.
    arguments : str
        What a law is called with, in terms of ``op``, the operator, and ``machine``, one design.
    """
    filled = ", ".join(f"costs[{place}, j]" for place in range(COSTS))
    lines = [f"def {name}(b, op, costs, width):"]
    scope = by_name(laws)
    for condition, word in branches(laws, "op.kind"):
        scope[f"read_{word}"] = machine_for(scope[word])
        lines += [
            f"    {condition}:",
            "        for j in range(width):",
            f"            machine = read_{word}(b.machines, j)",
            f"            {filled} = {word}({arguments})",
        ]
    return written(name, lines, scope)


_OPERATORS = {code(kind): cost for kind, cost in KINDS.items()}
#: ``(block, operator, costs, width)``: fill what an operator asks of each machine, by its kind
fill_costs = glue(filler("fill_costs", _OPERATORS, "op, machine"))
_deliver = glue(filler("_deliver", exchange.BY_CODE, "op, machine, b.served[j], b.cold[j]"))


@inner_kernel
def fill_deliveries(b: Block, op: Operator, costs: Any, width: int) -> None:
    """Fill times, algorithm and bytes sent of an exchange around experts.

    Destinations of a token are found once for all designs whose nodes are as many: that takes ten times as long.
    """
    devices, before, nodes = 0.0, -1.0, 0.0
    if op.kind == NORMAL:
        devices = destinations(op, op.ranks)
    for j in range(width):
        spanned = whole(op.ranks * b.machines[_NODE_SHARE, j])
        if spanned != before and op.kind == NORMAL:
            nodes, before = destinations(op, spanned), spanned
        b.served[j] = devices
        b.cold[j] = nodes
    _deliver(b, op, costs, width)


_EXCHANGE = "op.message_bytes, op.ranks, machine"
_fill_in_node = glue(filler("_fill_in_node", IN_NODE, _EXCHANGE))
_fill_over_nodes = glue(filler("_fill_over_nodes", OVER_NODES, _EXCHANGE))
_fill_anywhere = glue(filler("_fill_anywhere", ANYWHERE, _EXCHANGE))
_fill_routed = inner_kernel(filler("_fill_routed", {ROUTED: routed}, "op, machine"))


@glue
def fill_exchanges(b: Any, op: Operator, costs: Any, width: int) -> None:
    """Fill times, algorithm and bytes sent of a collective, by its kind."""
    if op.kind >= EXCHANGE:
        fill_deliveries(b, op, costs, width)
    elif op.kind == ROUTED:
        _fill_routed(b, op, costs, width)
    elif op.kind <= LAST_IN_NODE:
        fewest, most = fewest_and_most_nodes(b, op, width)
        if fewest <= 1.0:
            _fill_in_node(b, op, costs, width)
        if most > 1.0:
            far = costs if fewest > 1.0 else b.costs[-1]
            _fill_over_nodes(b, op, far, width)
            if fewest <= 1.0:
                take_over_nodes(b, op, costs, far, width)
    else:
        _fill_anywhere(b, op, costs, width)
