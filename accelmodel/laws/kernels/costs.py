"""What operators and collectives ask of a block of designs: one loop for each kind, which then vectorises.

A loop over designs with the kind decided inside it is 1.8 times slower for operators and 4 times for collectives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelmodel.laws import exchange
from accelmodel.laws.collectives import BY_CODE
from accelmodel.laws.exchange import NORMAL, destinations
from accelmodel.laws.generated import Law, branches, by_name, written
from accelmodel.laws.jit import glue
from accelmodel.laws.kernels.block import COSTS, Block, machine_at
from accelmodel.laws.kinds import KINDS, code
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import Machine, Operator

NODE_SHARE = Machine._fields.index("node_share")


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
#: ``(block, operator, costs, width)``: fill times, algorithm and bytes sent of a collective, by its kind
fill_exchanges = glue(filler("fill_exchanges", BY_CODE, "op.message_bytes, op.ranks, machine"))
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
        spanned = whole(op.ranks * b.machines[NODE_SHARE, j])
        if spanned != before and op.kind == NORMAL:
            nodes, before = destinations(op, spanned), spanned
        b.served[j] = devices
        b.cold[j] = nodes
    _deliver(b, op, costs, width)
