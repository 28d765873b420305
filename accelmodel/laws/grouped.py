"""Matmuls of routed experts in one kernel: tiles of all of them, dealt out whole to the cores.

Each expert multiplies the tokens that came to it by weights of its own.  Rows of an expert fill whole tiles; which tile
an expert's rows take is decided before (``inference.padding``), and kernels do not split the depth of any.
"""

from __future__ import annotations

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import kept
from accelmodel.laws.matmul import operand_time, slice_depth, slices_deep, weight_time
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import Cost, Machine, Operator

#: bytes of a result as it leaves a core: 16 bit
RESULT = 2.0


@law
def grouped(op: Operator, machine: Machine) -> Cost:
    """What the matmuls of experts ask of the machine.

    Parameters
    ----------
    op : Operator
        ``groups`` tiles of rows, of all experts that got a token; ``m`` rows of one; ``n``, ``k`` [1]; bytes [B] of the
        weights of these experts and of the tokens that there are, and ``bits``.
    machine : Machine

    Returns
    -------
    Cost
        Time before it starts, compute and L2 time [s], HBM traffic [B] and the time of a byte at the rate that its
        active cores can draw [s/B].

    Notes
    -----
    A core finds the expert of a tile, the place of its rows and of its weights, and fills its pipeline, all of which
    takes ``expert_tile_time``.  Weights are read once: tiles of one expert are worked on at about the same time.
    """
    tiles = op.groups * whole(op.n * machine.tile_column)
    waves = whole(tiles * machine.core_share)
    depth, slices = slice_depth(op, machine), slices_deep(op, machine)
    columns = machine.tile_n
    worked = weight_time(op, machine, op.m) * columns * depth
    matrix = max(worked / machine.expert_share, machine.slice_time)
    operand = op.bits * 0.125 * machine.cores * machine.l2_time * machine.fetch_share
    operands = (op.m + columns * op.narrow) * depth * operand
    written = RESULT * op.m * columns * machine.cores * machine.store_time
    beside = waves * (machine.expert_tile_time + written)
    activations = op.input_bytes + op.output_bytes
    distinct = (activations + op.weight_bytes) * machine.l2_time
    moved = op.weight_bytes + activations * (1.0 - kept(activations * machine.l2_copies, machine))
    drawn = max(operand_time(op, machine), machine.cores * machine.l2_time / min(tiles, machine.cores))
    start = machine.launch + machine.expert_start
    transfer = max(waves * slices * operands, distinct) + beside
    return Cost(start, waves * slices * matrix + beside, transfer, moved, drawn)
