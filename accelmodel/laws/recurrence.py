"""A state that tokens read and change one after another: linear attention and state spaces, in chunks of tokens.

Products inside chunks are matmuls and independent of each other; the state passes from chunk to chunk, a chain that
only sequences and heads run beside each other (Mamba-2, arXiv 2405.21060, section 6; gated DeltaNet, arXiv 2412.06464,
section 3.3).
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import kept
from accelmodel.laws.matmul import flop_time
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import Cost, Machine, Operator

#: tokens of a chunk (flash-linear-attention, FlashInfer and FlashKDA)
CHUNK = 64.0
#: a chunk waits for the state of the chunk before [s]; this and the next four fitted to the training rows of gated
#: delta and Kimi delta attention of aiconfigurator-core 0.12.0, all fitted devices together
PASSING = 1.45e-6
#: a core works through the products within a chunk where kernels of their own do them [s], at any rate
APART = 16e-6
#: a core prepares a chunk whose keys have decays of their own, in a kernel before the one that passes states [s]
GATED = 4.3e-6
#: a core begins a recurrence whose keys have decays of their own, by one kernel for all cards [s]
BEGUN = 6e-6
#: a kernel that changes a state by one token loads, computes and stores it [s], beside its traffic
STEP = 2.5e-6
#: where keys have decays of their own it takes so much longer [s], and a byte so many times as long; fitted to the
#: training rows of Kimi delta attention in decode, all fitted devices together
DECAYED_STEP, DECAYED_BYTE = 1.3e-6, 1.15
#: kernels where products and states have kernels of their own; where one core does all of it; and what decays add
KERNELS, TOGETHER, DECAYED = 10.0, 2.0, 3.0
#: share of what kernels hand on that lies between one and the next
STAGE = 0.25


@law
def stepwise(op: Operator, machine: Machine, gated: float) -> Cost:
    """Token by token: the state is read, changed and written back, wherever it lies."""
    moved = op.weight_bytes + op.input_bytes + op.output_bytes
    longer = 1.0 + gated * (DECAYED_BYTE - 1.0)
    start = machine.launch + STEP + gated * DECAYED_STEP
    return Cost(start, 0.0, moved * machine.l2_time * longer, moved, machine.hbm_time * longer)


@law
def on_one_core(op: Operator, machine: Machine, chunks: float, gated: float) -> Cost:
    """Chunk by chunk on the core that holds the state: heads and sequences in waves."""
    products = op.flops / (op.groups * chunks) * flop_time(op, machine)
    waves = whole(op.groups * machine.core_share)
    begun = machine.scan_time + gated * (BEGUN - machine.scan_time)
    chain = waves * (begun + chunks * (PASSING + products))
    prepared = gated * op.groups * chunks * machine.core_share * GATED
    moved = op.weight_bytes + op.input_bytes + op.output_bytes
    start = machine.launch * (TOGETHER + gated * DECAYED)
    return Cost(start, chain + prepared, moved * machine.l2_time, moved, machine.hbm_time)


@law
def by_kernels(op: Operator, machine: Machine, chunks: float, gated: float) -> Cost:
    """Products of all chunks by kernels of their own, which hand on what they find through memory."""
    products = op.flops / (op.groups * chunks) * flop_time(op, machine)
    half_full = 0.5 * (1.0 + op.m / (CHUNK * chunks))
    compute = op.groups * chunks * machine.core_share * (APART * half_full + products) * (1.0 + gated)
    handed = op.message_bytes * (1.0 + gated)
    moved = handed + op.weight_bytes
    found = kept(STAGE * moved, machine)
    start = machine.launch * KERNELS + chunks * PASSING
    return Cost(start, compute, moved * machine.l2_time, moved - found * handed, machine.hbm_time)


@law
def recurrence(op: Operator, machine: Machine) -> Cost:
    """What the state of a layer asks of the machine.

    Parameters
    ----------
    op : Operator
        ``groups`` sequences times heads; ``m`` tokens of a sequence; ``k`` by ``n`` numbers of a state; ``flops`` of
        all chunks, the last one filled up; ``weight_bytes`` the states, read and written; ``input_bytes`` and
        ``output_bytes`` queries, keys, values and results; ``message_bytes`` what kernels hand on where each product
        has its own, 0 in decode; ``vector_ops`` 0 unless keys have decays of their own.
    machine : Machine
        ``scan_time`` above 0 says that one core can do all of it.

    Returns
    -------
    Cost
        Time before it starts, compute and L2 time [s], HBM traffic [B] and the time of a byte [s/B].

    Notes
    -----
    Kernels of two kinds: those that keep a state on its core need the shared memory and the matrix unit of Hopper and
    Blackwell (FlashInfer, FlashKDA); elsewhere those of flash-linear-attention.
    """
    chunks = max(np.ceil(op.m / CHUNK), 1.0)
    gated = 1.0 if op.vector_ops > 0.0 else 0.0
    one = stepwise(op, machine, gated)
    fused = on_one_core(op, machine, chunks, gated)
    apart = by_kernels(op, machine, chunks, gated)
    # in decode nothing is handed on
    few, whole_core = op.message_bytes <= 0.0, machine.scan_time > 0.0
    start = one.start if few else (fused.start if whole_core else apart.start)
    compute = one.compute if few else (fused.compute if whole_core else apart.compute)
    transfer = one.l2 if few else (fused.l2 if whole_core else apart.l2)
    hbm = one.hbm_bytes if few else (fused.hbm_bytes if whole_core else apart.hbm_bytes)
    return Cost(start, compute, transfer, hbm, one.hbm_time if few else machine.hbm_time)
