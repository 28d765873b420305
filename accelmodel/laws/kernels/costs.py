"""What operators and collectives ask of a block of designs: one loop for each kind, which then vectorises.

A loop over designs with the kind decided inside it is 1.8 times slower for operators and 4 times for collectives.
"""

from __future__ import annotations

from accelmodel.laws.collectives import BY_CODE
from accelmodel.laws.generated import Law, by_kind, named
from accelmodel.laws.jit import law, made_kernel
from accelmodel.laws.kernels.block import Block, machine_at
from accelmodel.laws.kinds import KINDS, code
from accelmodel.laws.types import Operator


def costs_of(cost: Law) -> Law:
    """Return the loop that fills the five costs of one kind of operator."""

    def costs(b: Block, op: Operator) -> None:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            b.start_time[j], b.compute[j], b.l2[j], b.hbm_bytes[j], b.hbm_rate[j] = cost(op, machine)

    return made_kernel(named(costs, "costs_of", cost.__name__))


def exchanges_of(exchange: Law) -> Law:
    """Return the loop that fills the times [s], the algorithm and the bytes sent [B] of one kind of collective."""

    def exchanges(b: Block, op: Operator) -> None:
        for j in range(b.width):
            machine = machine_at(b.machines, j)
            b.starts[j], b.hops[j], b.wires[j], b.algorithms[j], b.sent[j] = exchange(
                op.message_bytes, op.ranks, machine
            )

    return made_kernel(named(exchanges, "exchanges_of", exchange.__name__))


#: filled by kind, the loops themselves being calls: inlined, they would be optimised anew at every caller
fill_costs = law(by_kind("fill_costs", {code(kind): costs_of(cost) for kind, cost in KINDS.items()}, "b", "op"))
fill_exchanges = law(
    by_kind("fill_exchanges", {kind: exchanges_of(exchange) for kind, exchange in BY_CODE.items()}, "b", "op")
)
