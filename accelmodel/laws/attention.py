"""Attention: flash prefill and split-KV decode are one law over tiles of queries and chunks of keys.

A group shares its keys and values: in decode one sequence and one KV head, whose ``m`` rows are the
query heads that share it (GQA) or all heads for the latent of MLA; in prefill one sequence and one
query head, whose rows are queries.  Scores never leave the core.
"""

from __future__ import annotations

import math

import numpy as np

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import kept_of_two
from accelmodel.laws.matmul import flop_time, tile_rows, tiles_down
from accelmodel.laws.prepared import whole, whole_below
from accelmodel.laws.roofline import stream_time
from accelmodel.laws.types import Cost, Machine, Operator

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

    Matmuls and exponentials overlap, but not wholly: they add as squares.
    """
    rows = tile_rows(op.m, machine)
    matrix = 2.0 * rows * KEY_CHUNK * op.k * flop_time(op, machine)
    softmax = rows * KEY_CHUNK * machine.softmax_time
    return math.sqrt(matrix * matrix + softmax * softmax)


@law
def tile_time(op: Operator, machine: Machine) -> float:
    """Time a core takes to begin and end a tile [s]: latencies, and what fills and drains its pipeline.

    A chunk passes from scores over the softmax to values (FlashAttention-3, arXiv 2407.08608, section 3.2); where a
    core holds several tiles one computes while another fills.
    """
    return machine.attention_tile_time + machine.attention_fill * chunk_time(op, machine)


@law
def l2_reading(op: Operator, machine: Machine, tiles: float, slower: float) -> float:
    """Time of what is read from L2 [s], each byte once, by cores that wait for it.

    Keys come as fast as the cores at work draw them, ``slower`` than all would; queries and results are few, and
    however the keys are dealt each core has those of its tile.  Where a group has several tiles, each of them reads
    its keys.
    """
    once = (op.weight_bytes * slower + op.input_bytes + op.output_bytes) * machine.attention_wait
    again = tiles * op.n * op.k * op.bits * 0.125 * slower
    return (max(again, once) if tiles > op.groups else once) * machine.l2_time


@law
def dealt(op: Operator, machine: Machine, tiles: float, pieces: float, piece: float) -> tuple[float, float]:
    """Time to begin and end tiles [s], and to work through chunks [s].

    Each tile's keys are on ``pieces`` cores, of which ``piece`` is the share of one.  Where a group has one tile all
    tiles are alike and go in whole waves.  Where it has several their keys differ in number under the causal mask:
    cores that are done take the next, and the last to end is one mean tile behind.
    """
    chunks, load = key_chunks(op, tiles), tiles * machine.core_share
    waves = whole(load * pieces)
    several = tiles > op.groups
    begun = max(load, 1.0) if several else waves
    steps = load * chunks + chunks if several else waves * whole(chunks * piece)
    return begun * tile_time(op, machine), steps * chunk_time(op, machine)


@law
def attention_traffic(op: Operator, machine: Machine, tiles: float, idle: float) -> float:
    """HBM bytes: keys and values once, and again for later tiles of a group if the groups at work exceed L2.

    More cores have more groups at work, so that this grows with them where L2 does not.  ``idle`` is cores over tiles.
    """
    activations = op.input_bytes + op.output_bytes
    of_keys, of_activations = kept_of_two(op.weight_bytes * min(1.0, idle), activations, machine)
    again = (tiles / op.groups - 1.0) * (1.0 - of_keys)
    return op.weight_bytes * (1.0 + again) + activations * (1.0 - of_activations)


@law
def keys_time(machine: Machine) -> float:
    """Time of a byte of keys and values from where they lie [s/B]: HBM, or a second memory."""
    return machine.hbm_time * (1.0 + machine.kv_excess)


@law
def beside_memory(op: Operator, machine: Machine) -> Cost:
    """What attention asks that is computed beside the memory of its keys and values: only queries and results travel.

    The roofline of that memory: its own bandwidth and its own operations.
    """
    computed = 2.0 * op.groups * op.m * op.n * op.k * machine.near_flop_time
    travelled = (op.input_bytes + op.output_bytes) * machine.l2_time
    return Cost(machine.launch + machine.attention_time, computed, travelled, op.weight_bytes, keys_time(machine))


@law
def way(
    op: Operator, machine: Machine, tiles: float, pieces: float, idle: float, hbm: float, hot: float, least: float
) -> tuple[float, ...]:
    """Time that nothing hides, compute and L2 time [s], of a byte drawn from HBM [s/B], in all [s], for one deal.

    The stream of keys halts where a tile begins or ends: ``exposed`` of the shorter of the two shows.  ``idle`` is
    cores over tiles.  A core draws its piece of the keys, ``least`` of them at least: a whole chunk.
    """
    piece = 1.0 / pieces
    begun, computed = dealt(op, machine, tiles, pieces, piece)
    slower = max(idle * max(piece, least), 1.0)
    l2 = l2_reading(op, machine, tiles, slower)
    drawn = max(keys_time(machine), machine.attention_wait * machine.l2_time * slower)
    cold = 1.0 - hot
    keys = stream_time(hot * op.weight_bytes, cold * op.weight_bytes, machine.l2_time, drawn)
    shown = machine.exposed * min(begun, keys)
    memory = stream_time(hot * hbm, cold * hbm, machine.l2_time, drawn)
    compute = begun + computed
    return shown, compute, l2, drawn, shown + max(compute, l2, memory)


@law
def attention_from(op: Operator, machine: Machine, hot: float) -> Cost:
    """What attention asks where this share of its HBM traffic is found in L2, by the faster of its two deals.

    Where something computes beside the memory of keys and values, what is faster so is computed there.
    """
    tiles = op.groups * tiles_down(op.m, machine)
    idle = machine.cores / tiles
    hbm = attention_traffic(op, machine, tiles, idle)
    most = min(idle, key_chunks(op, tiles), MAX_PIECES) if tiles <= op.groups else 1.0
    pieces = max(whole_below(most), 1.0)
    least = min(KEY_CHUNK / op.n, 1.0)
    s1, c1, l1, r1, alone = way(op, machine, tiles, 1.0, idle, hbm, hot, least)
    s2, c2, l2, r2, split = way(op, machine, tiles, pieces, idle, hbm, hot, least)
    one = alone <= split + machine.combine_time
    start = machine.launch + machine.attention_time + (s1 if one else s2 + machine.combine_time)
    near = beside_memory(op, machine)
    faster = max(near.compute, near.l2, near.hbm_bytes * near.hbm_time) < min(alone, split + machine.combine_time)
    there = (machine.near_flop_time > 0.0) & faster
    return Cost(
        near.start if there else start,
        near.compute if there else (c1 if one else c2),
        near.l2 if there else (l1 if one else l2),
        near.hbm_bytes if there else hbm,
        near.hbm_time if there else (r1 if one else r2),
    )


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
        Time before it starts, compute and L2 time [s], HBM traffic [B], time of a byte at the rate
        that its active cores can draw [s/B].

    Notes
    -----
    FlashAttention-2 (arXiv 2307.08691) for prefill; Flash-Decoding, which deals chunks of keys to idle
    cores and pays ``combine_time``, where one tile holds the queries of a group and it is faster so.
    Held against aiconfigurator-core 0.12.0 for widths of 64 to 256 a head; wider ones lack fast kernels.
    Several times too fast under a sliding window where a kernel then reads the keys once a query head.
    """
    return attention_from(op, machine, op.warm)
