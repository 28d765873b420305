"""Memory-bound operators: norms, activations, rotary embedding, residuals, embedding, sampling."""

from __future__ import annotations

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import kept
from accelmodel.laws.types import Cost, Machine, Operator


@law
def elementwise(op: Operator, machine: Machine) -> Cost:
    """What an operator asks that reads and writes each byte once.

    Activations come from and go to L2 as far as input and output fit; table rows
    (``weight_bytes``) come from HBM.

    Notes
    -----
    Roofline (Williams et al., CACM 52(4), 2009) with two levels of memory.  Optimistic for kernels
    too small to occupy the whole device.
    """
    activations = op.input_bytes + op.output_bytes
    fresh = 1.0 - kept(activations, machine)
    compute = op.vector_ops * machine.vector_time
    transfer = (activations + op.weight_bytes) * machine.l2_time
    return Cost(machine.launch, compute, transfer, activations * fresh + op.weight_bytes, machine.hbm_time)


@law
def epilogue(op: Operator, machine: Machine) -> Cost:
    """Cost of an elementwise operator that a kernel before it ends in: the same work, without a launch of its own."""
    alone = elementwise(op, machine)
    return Cost(alone.start - machine.launch, alone.compute, alone.l2, alone.hbm_bytes, alone.hbm_time)
