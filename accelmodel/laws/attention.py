"""Attention: flash prefill and split-KV decode are one law over tiles of queries and chunks of keys.

A group is one sequence and one KV head; its ``m`` rows are queries x the query heads that share the
KV head (GQA), or all heads for the latent of MLA.  Scores never leave the core.
"""

from __future__ import annotations

import numpy as np

from accelmodel.laws.compiling import law
from accelmodel.laws.l2cache import resident_share
from accelmodel.laws.matmul import core_rate, makespan, tile_rows
from accelmodel.laws.vectors import Cost, Machine, Operator

#: keys that a core takes at a time (FlashAttention-2, arXiv 2307.08691, section 3.3: 64 to 128)
KEY_CHUNK = 128.0


@law
def attention(op: Operator, machine: Machine) -> Cost:
    """What one attention operator asks of the machine.

    Parameters
    ----------
    op : Operator
        ``groups``; ``m`` query rows per group; ``n`` mean keys per query (the causal mask and the
        sliding window are in this mean); ``k`` query-key plus value width; ``weight_bytes`` the KV
        cache that is read; ``vector_ops`` for the softmax.
    machine : Machine

    Returns
    -------
    Cost
        Compute and L2 time [s], HBM traffic [B], rate that its active cores can draw [B/s].

    Notes
    -----
    FlashAttention-2 (arXiv 2307.08691) for prefill; Flash-Decoding, which deals chunks of keys to idle
    cores, when there are fewer tiles than cores.  Each tile of query rows reads the keys and values
    once from L2, and they come again from HBM only if the groups at work exceed it.  Optimistic below
    a few hundred keys, where the combination of partial results shows.
    """
    rows = tile_rows(op.m, machine)
    tiles_per_group = np.ceil(op.m / rows)
    tiles = op.groups * tiles_per_group
    chunks = np.ceil(op.n / KEY_CHUNK)
    steps = makespan(tiles, chunks, machine.cores)
    busy = tiles * chunks / (steps * machine.cores)
    matrix = steps * 2.0 * rows * KEY_CHUNK * op.k / core_rate(op.bits, machine)
    vector = op.vector_ops / (machine.vector_rate * busy)
    activations = op.input_bytes + op.output_bytes
    transfer = (op.weight_bytes * tiles_per_group + activations) / (machine.l2_rate * busy)
    at_work = op.weight_bytes * min(1.0, machine.cores / tiles)
    again = (tiles_per_group - 1.0) * (1.0 - resident_share(at_work, machine.l2_bytes, machine.l2_ways))
    fresh = 1.0 - resident_share(activations, machine.l2_bytes, machine.l2_ways)
    hbm = op.weight_bytes * (1.0 + again) + activations * fresh
    return Cost(max(matrix, vector), transfer, hbm, min(machine.hbm_rate, busy * machine.l2_rate))
