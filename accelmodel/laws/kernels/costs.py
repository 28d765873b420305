"""What operators and collectives ask of a block of designs: one loop for each kind, which then vectorises.

A loop over designs with the kind decided inside it is 1.8 times slower for operators and 4 times for collectives.
"""

from __future__ import annotations

from collections.abc import Mapping

from accelmodel.laws.collectives import BY_CODE
from accelmodel.laws.generated import Law, branches, by_name, written
from accelmodel.laws.jit import inner_kernel, law
from accelmodel.laws.kernels.block import machine_at
from accelmodel.laws.kinds import KINDS, code


def filler(name: str, laws: Mapping[float, Law], arguments: str, outputs: tuple[str, ...]) -> Law:
    """Return ``name(b, op)``, not compiled yet, which fills arrays of a block of designs by the law of its kind.

    All loops stand in one function: a kernel for each would be optimised once more, at its own level.

    Parameters
    ----------
    name : str
        Name of the function that is made.
    laws : mapping of float to law
        Kind → law; the last is taken for the rest.
    arguments : str
        What a law is called with, in terms of ``op``, the operator, and ``machine``, one design.
    outputs : tuple of str
        Arrays of the block, over designs, for the numbers that the law returns.
    """
    filled = ", ".join(f"b.{array}[j]" for array in outputs)
    lines = [f"def {name}(b, op):"]
    for condition, word in branches(laws, "op.kind"):
        lines += [
            f"    {condition}:",
            "        for j in range(b.width):",
            "            machine = machine_at(b.machines, j)",
            f"            {filled} = {word}({arguments})",
        ]
    return written(name, lines, {"machine_at": machine_at, **by_name(laws)})


#: ``(block, operator)``: fill what the operator asks of each machine, by its kind; a law, called in one place: as a
#: kernel of its own the step is 14 % slower
fill_costs = law(
    filler(
        "fill_costs",
        {code(kind): cost for kind, cost in KINDS.items()},
        "op, machine",
        ("start_time", "compute", "l2", "hbm_bytes", "hbm_rate"),
    )
)
#: ``(block, operator)``: fill the times, the algorithm and the bytes sent of a collective, by its kind; a kernel, which
#: its two callers share: as a law it would be optimised in both, 1.5 s more of compiling
fill_exchanges = inner_kernel(
    filler(
        "fill_exchanges",
        BY_CODE,
        "op.message_bytes, op.ranks, machine",
        ("starts", "hops", "wires", "algorithms", "sent"),
    )
)
