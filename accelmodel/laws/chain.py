"""Tasks that a core works through one after another: nothing is gained by more cores than there are tasks."""

from __future__ import annotations

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import kept
from accelmodel.laws.matmul import flop_time
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import Cost, Machine, Operator


@law
def chain(op: Operator, machine: Machine) -> Cost:
    """What tasks ask that are dealt out whole to cores: scores of an indexer, its choice of keys, gathered keys.

    Parameters
    ----------
    op : Operator
        ``groups`` tasks; in each ``n`` operations of the matrix unit [FLOP], ``m`` keys that are gathered from all over
        a cache, and a time ``k`` that passes at any rate, as in a pass over scores [s]; bytes [B] and ``bits``.
    machine : Machine

    Returns
    -------
    Cost
        Time before it starts, compute and L2 time [s], HBM traffic [B] and the time of a byte [s/B].

    Notes
    -----
    A core holds one task at a time, so that they go in whole waves.  What a task waits for and what it computes
    overlap.  Activations that fit are found in L2, as in ``elementwise``.
    """
    waves = whole(op.groups * machine.core_share)
    waited = op.k + op.m * machine.gather_time
    compute = waves * max(op.n * flop_time(op, machine), waited)
    activations = op.input_bytes + op.output_bytes
    fresh = 1.0 - kept(activations, machine)
    transfer = (activations + op.weight_bytes) * machine.l2_time
    return Cost(machine.launch, compute, transfer, activations * fresh + op.weight_bytes, machine.hbm_time)
