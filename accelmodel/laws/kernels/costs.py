"""What operators and collectives ask of a block of designs: one loop for each kind, which then vectorises.

A loop over designs with the kind decided inside it is 1.8 times slower for operators and 4 times for collectives.
Where all of a block have a collective inside a node, what it would cost over several is not worked out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelmodel.laws import exchange
from accelmodel.laws.collectives import BY_CODE, IN_NODE, LAST_IN_NODE
from accelmodel.laws.exchange import NORMAL, destinations
from accelmodel.laws.generated import Law, branches, by_name, written
from accelmodel.laws.jit import glue
from accelmodel.laws.kernels.block import COSTS, Block, machine_at
from accelmodel.laws.kinds import KINDS, code
from accelmodel.laws.prepared import whole
from accelmodel.laws.routes import routed
from accelmodel.laws.types import ROUTED, Machine, Operator

_NODE, _NODE_SHARE = Machine._fields.index("node"), Machine._fields.index("node_share")


@glue
def spans_nodes(b: Any, op: Operator, width: int) -> bool:
    """Tell whether the devices of a collective fill more than a node in any design of a block."""
    nodes = 1.0
    for j in range(width if b.varies[_NODE] else 1):
        nodes = max(nodes, whole(op.ranks * b.machines[_NODE_SHARE, j]))
    return nodes > 1.0


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
    for condition, word in branches(laws, "op.kind"):
        lines += [
            f"    {condition}:",
            "        for j in range(width):",
            "            machine = machine_at(b.machines, j)",
            f"            {filled} = {word}({arguments})",
        ]
    return written(name, lines, {"machine_at": machine_at, **by_name(laws)})


_OPERATORS = {code(kind): cost for kind, cost in KINDS.items()}
#: ``(block, operator, costs, width)``: fill what an operator asks of each machine, by its kind
fill_costs = glue(filler("fill_costs", _OPERATORS, "op, machine"))
_deliver = glue(filler("_deliver", exchange.BY_CODE, "op, machine, b.served[j], b.cold[j]"))


@glue
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
_fill_exchanges = glue(filler("_fill_exchanges", BY_CODE, _EXCHANGE))
_fill_in_node = glue(filler("_fill_in_node", IN_NODE, _EXCHANGE))
_fill_routed = glue(filler("_fill_routed", {ROUTED: routed}, "op, machine"))


@glue
def fill_exchanges(b: Any, op: Operator, costs: Any, width: int) -> None:
    """Fill times, algorithm and bytes sent of a collective, by its kind."""
    if op.kind == ROUTED:
        _fill_routed(b, op, costs, width)
    elif op.kind <= LAST_IN_NODE and not spans_nodes(b, op, width):
        _fill_in_node(b, op, costs, width)
    else:
        _fill_exchanges(b, op, costs, width)
