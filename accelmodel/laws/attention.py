"""Attention: flash prefill and split-KV decode are one law over tiles of queries and chunks of keys.

A group shares its keys and values: in decode one sequence and one KV head, whose ``m`` rows are the
query heads that share it (GQA) or all heads for the latent of MLA; in prefill one sequence and one
query head, whose rows are queries.  Scores never leave the core.
"""

from __future__ import annotations

import math

import numpy as np

from accelmodel.laws.compiling import law
from accelmodel.laws.l2cache import resident_share
from accelmodel.laws.matmul import core_rate, tile_rows, unhidden_share
from accelmodel.laws.timeline import body_time
from accelmodel.laws.vectors import Cost, Machine, Operator

#: keys that a core takes at a time (FlashAttention-2, arXiv 2307.08691, section 3.3: 64 to 128)
KEY_CHUNK = 128.0
#: cores that share the keys of one tile at most: the bound under which engines capture their graphs
MAX_PIECES = 32.0


@law
def key_chunks(op: Operator, tiles: float) -> float:
    """Chunks of keys a tile works through on average.

    Part of a chunk costs a whole one.  Where a group has several tiles its queries see different keys: on
    average half a chunk is masked.
    """
    fill = op.n / KEY_CHUNK
    return fill + 0.5 if tiles > op.groups else np.ceil(fill)


@law
def chunk_time(op: Operator, machine: Machine) -> float:
    """Time a core takes for one tile and one chunk of keys [s].

    Matrix products and exponentials overlap, but not wholly: they add as squares.
    """
    rows = tile_rows(op.m, machine)
    matrix = 2.0 * rows * KEY_CHUNK * op.k / core_rate(op.bits, machine)
    softmax = rows * KEY_CHUNK / machine.softmax_rate
    return math.sqrt(matrix * matrix + softmax * softmax)


@law
def l2_bytes(op: Operator, machine: Machine, tiles: float) -> float:
    """Bytes read from L2, weighed by how slowly cores draw them [B].

    Each byte once, by cores that wait for it; where a group has several tiles, each of them reads its keys.
    """
    once = (op.weight_bytes + op.input_bytes + op.output_bytes) / machine.attention_draw
    again = tiles * op.n * op.k * op.bits * 0.125
    return max(again, once) if tiles > op.groups else once


@law
def dealt(op: Operator, machine: Machine, tiles: float, pieces: float) -> tuple[float, float]:
    """Compute time [s] and share of cores at work, with each tile's keys on ``pieces`` cores.

    Tiles are begun and ended one after the other on each core.  Where a group has several tiles their keys
    differ in number under the causal mask, and the last to end is one mean tile behind.
    """
    chunks, load = key_chunks(op, tiles), tiles / machine.cores
    steps = max(load * chunks, chunks / pieces) if tiles <= op.groups else load * chunks + chunks
    compute = max(load, 1.0) * machine.attention_tile_time + steps * chunk_time(op, machine)
    return compute, min(load * pieces, 1.0)


@law
def attention_traffic(op: Operator, machine: Machine, tiles: float) -> float:
    """HBM bytes: keys and values once, and again for later tiles of a group if the groups at work exceed L2."""
    activations = op.input_bytes + op.output_bytes
    at_work = op.weight_bytes * min(1.0, machine.cores / tiles)
    again = (tiles / op.groups - 1.0) * (1.0 - resident_share(at_work, machine.l2_bytes, machine.l2_ways))
    fresh = 1.0 - resident_share(activations, machine.l2_bytes, machine.l2_ways)
    return op.weight_bytes * (1.0 + again) + activations * fresh


@law
def attention(op: Operator, machine: Machine) -> Cost:
    """What one attention operator asks of the machine.

    Parameters
    ----------
    op : Operator
        ``groups``; ``m`` query rows per group; ``n`` mean keys per query (the causal mask and the
        sliding window are in this mean); ``k`` query-key plus value width; ``weight_bytes`` the KV
        cache that is read.
    machine : Machine

    Returns
    -------
    Cost
        Time before it starts, compute and L2 time [s], HBM traffic [B], rate that its active cores can
        draw [B/s].

    Notes
    -----
    FlashAttention-2 (arXiv 2307.08691) for prefill; Flash-Decoding, which deals chunks of keys to idle
    cores and pays ``combine_time``, where one tile holds the queries of a group and it is faster so.
    Held against aiconfigurator-core 0.12.0 for widths of 64 to 256 a head; wider ones lack fast kernels.
    """
    tiles = op.groups * np.ceil(op.m / tile_rows(op.m, machine))
    hbm = attention_traffic(op, machine, tiles)
    unhidden = unhidden_share(op, machine)
    pieces = min(machine.cores / tiles, key_chunks(op, tiles), MAX_PIECES) if tiles <= op.groups else 1.0
    pieces = max(pieces, 1.0)
    read, drawn = l2_bytes(op, machine, tiles) / machine.l2_rate, machine.attention_draw * machine.l2_rate
    c1, u1 = dealt(op, machine, tiles, 1.0)
    c2, u2 = dealt(op, machine, tiles, pieces)
    l1, l2 = read / u1, read / u2
    r1, r2 = min(machine.hbm_rate, drawn * u1), min(machine.hbm_rate, drawn * u2)
    whole = body_time(max(c1, l1), hbm / r1, unhidden)
    split = body_time(max(c2, l2), hbm / r2, unhidden) + machine.combine_time
    alone = whole <= split
    start = machine.launch + machine.attention_time + (0.0 if alone else machine.combine_time)
    return Cost(start, c1 if alone else c2, l1 if alone else l2, hbm, r1 if alone else r2)
