"""Memory-bound operators: norms, activations, rotary embedding, residuals, embedding, sampling."""

from __future__ import annotations

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import kept
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import Cost, Machine, Operator

#: clocks in which a core begins a sweep over a row: its first bytes come, and what was found is reduced; this and the
#: next two fitted to training rows of A100 and H100, both together (``docs/laws/elementwise.md``)
SWEEP = 480.0
#: bytes that one row draws in a clock, by loads as wide as they get
ROW_WIDTH = 13.0
#: how much longer a byte from HBM takes than one from L2, as loads that wait for one another see it; pointer chases
#: of A100, H100, L40 and MI210 measure 1.4 to 2.3
FAR = 1.65
#: how much less at a time kernels draw whose loads are as narrow as a value, and how many fewer rows a core holds
PLAIN = 2.0
#: part of a wide core that one row draws with
PARTS = 4.0


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


@law
def rowwise(op: Operator, machine: Machine) -> Cost:
    """What an operator asks whose rows are each worked on by one core: norms, softmax, activations, rotary embedding.

    Parameters
    ----------
    op : Operator
        ``groups`` rows; ``n`` sweeps over each, one after another; ``input_bytes`` and ``output_bytes``, and
        ``message_bytes`` that later sweeps read again [B], of all rows; ``m`` how much less at a time its kernel draws
        than one with wide loads: 1, or ``PLAIN``.
    machine : Machine

    Returns
    -------
    Cost
        Time before it starts, compute and L2 time [s], HBM traffic [B] and the time of a byte [s/B].

    Notes
    -----
    A row is a latency chain: each sweep begins anew, and its bytes come as they are asked for, a few at a time, from
    HBM ``FAR`` times as slowly.  Rows go in waves over what cores hold.  Later sweeps find in L2 what the rows at work
    leave there.
    """
    once = op.input_bytes + op.output_bytes
    fresh = 1.0 - kept(once, machine)
    share = min(op.m * machine.row_share, machine.core_share)
    waves = whole(op.groups * share)
    # quotients of what no design changes are found once for all of them
    row = 1.0 / op.groups
    turns = waves * row
    at_work = once * min(row * max(1.0 / op.m * machine.rows_held, machine.cores), 1.0)
    missed = fresh * min(at_work * machine.l2_byte, 1.0)
    far = once + op.message_bytes + (FAR - 1.0) * (once * fresh + op.message_bytes * missed)
    chain = waves * op.n * machine.sweep_time + turns * far * op.m * machine.row_time
    compute = max(op.vector_ops * machine.vector_time, chain)
    transfer = (once + op.message_bytes + op.weight_bytes) * machine.l2_time
    moved = once * fresh + op.message_bytes * missed + op.weight_bytes
    return Cost(machine.launch, compute, transfer, moved, machine.hbm_time)
