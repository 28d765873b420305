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
from accelmodel.laws.matmul import MIN_ROWS, flop_time
from accelmodel.laws.prepared import whole, whole_below
from accelmodel.laws.roofline import stream_time
from accelmodel.laws.types import Cost, Machine, Operator

#: keys that a core takes at a time (FlashAttention-2, arXiv 2307.08691, section 3.3: 64 to 128)
KEY_CHUNK = 128.0
#: cores that share the keys of one tile at most: the bound under which engines capture their graphs
MAX_PIECES = 32.0
#: rows of queries whose results a core holds where heads are 128 wide: 128 KiB of 32-bit sums, half of the registers of
#: Hopper (FlashAttention-3's tiles and FlashMLA's of 64 rows) and of Blackwell's tensor memory
HELD = 256.0
#: key and value of the widest head of a kernel without groups
WIDEST = 512.0


@law
def query_tile(op: Operator, machine: Machine) -> tuple[float, float]:
    """Rows that a core works on in one tile of queries, and tiles of a group.

    What a core holds of results bounds the rows of wide heads: ``HELD`` of 128 values, half as many of twice that.  A
    tile of a prefill is worked on in two halves, each of them whole; in decode rows are padded to the matrix unit.
    Under a window kernels of decode may take each query head by itself (FlashAttention-2).
    """
    most = 0.25 * HELD if op.k > 700.0 else (0.5 * HELD if op.k > 350.0 else HELD)
    largest = min(machine.attention_rows, most)
    share = max(machine.attention_row, 1.0 / most)
    rows = 0.5 * largest * whole(2.0 * op.m * share) if op.longest > 0.0 else MIN_ROWS * np.ceil(op.m / MIN_ROWS)
    alone = (op.longest <= 0.0) & (op.sliding > 0.0) & (machine.attention_apart > 0.0)
    return (MIN_ROWS if alone else min(largest, rows)), (op.m if alone else whole(op.m * share))


@law
def key_chunks(op: Operator, rows: float, several: bool) -> tuple[float, float]:
    """Chunks of keys that a tile works through on average, and those of the longest tile.

    Part of a chunk costs a whole one.  Where a group has ``several`` tiles whose queries see different keys, a tile
    works on all that any of its rows sees: those of its last row, which are half a tile, or half a chunk, more than of
    a mean one; and of a window that slides on from row to row those of its first row as well.
    """
    corner = op.sliding * min(rows, op.m) if op.longest > 0.0 else 0.0
    longest = np.ceil((max(op.longest, op.n) + corner) / KEY_CHUNK)
    mean = (op.n + 0.5 * max(rows, KEY_CHUNK) + 0.5 * corner) / KEY_CHUNK
    return (min(mean, longest) if several else longest), longest


@law
def narrow_time(op: Operator, machine: Machine) -> float:
    """Time of an operation of one core [s]: where the kernels can, at the precision of the keys and values."""
    narrow = (op.narrow < 1.0) & (machine.attention_narrow > 0.0) & (op.bits > 8.0)
    return machine.flop_time_8bit if narrow else flop_time(op, machine)


@law
def chunk_time(op: Operator, machine: Machine, rows: float) -> float:
    """Time a core takes for one tile and one chunk of keys [s].

    In a prefill matmuls of one half of a tile overlap with exponentials of the other, but not wholly: they add as
    squares.  A tile of decode has no halves: one waits for the other.
    """
    matrix = 2.0 * rows * KEY_CHUNK * op.k * narrow_time(op, machine) * machine.attention_excess
    softmax = rows * KEY_CHUNK * machine.softmax_time
    return math.sqrt(matrix * matrix + softmax * softmax) if op.longest > 0.0 else matrix + softmax


@law
def tile_time(machine: Machine, chunk: float) -> float:
    """Time a core takes to begin and end a tile [s]: latencies, and what fills and drains its pipeline.

    A chunk, of the time ``chunk``, passes from scores over the softmax to values (FlashAttention-3, arXiv 2407.08608,
    section 3.2); where a core holds several tiles one computes while another fills.
    """
    return machine.attention_tile_time + machine.attention_fill * chunk


@law
def key_time(op: Operator, machine: Machine) -> float:
    """Time of a byte of keys and values as cores take it that wait for chunk after chunk [s/B].

    What is narrower than 16 bit is widened, or turned for the products, at so many values a clock.
    """
    drawn = machine.attention_wait * machine.l2_time
    widened = machine.attention_widen_time * (8.0 / (op.bits * op.narrow))
    return max(drawn, widened) if op.narrow < 1.0 else drawn


@law
def readings(op: Operator, machine: Machine) -> float:
    """How often the keys of a group are read from L2 in decode: once, or by kernels without groups for each query head.

    PagedAttention in its first form (arXiv 2309.06180, section 5.1) gives each head of a sequence a block of threads.
    The latent of MLA, wider than any head, has kernels of its own.
    """
    alone = machine.attention_reread if (op.longest <= 0.0) & (op.k <= WIDEST) else 0.0
    return 1.0 + alone * (op.m - 1.0)


@law
def l2_reading(op: Operator, machine: Machine, tiles: float, slower: float) -> float:
    """Time of what is read from L2 [s], each byte once, by cores that wait for it.

    Keys come as fast as the cores at work draw them, ``slower`` than all would; queries and results are few, and
    however the keys are dealt each core has those of its tile.  Where a group has several tiles, each of them reads
    its keys.
    """
    activations = (op.input_bytes + op.output_bytes) * machine.attention_wait * machine.l2_time
    once = op.weight_bytes * readings(op, machine) * slower * key_time(op, machine) + activations
    again = tiles * op.n * op.k * op.bits * op.narrow * 0.125 * slower * machine.l2_time
    return max(again, once) if tiles > op.groups else once


@law
def dealt(
    op: Operator, machine: Machine, rows: float, tiles: float, pieces: float, piece: float
) -> tuple[float, float]:
    """Time to begin and end tiles [s], and to work through chunks [s].

    Each tile's keys are on ``pieces`` cores, of which ``piece`` is the share of one.  Tiles that are alike go in whole
    waves.  Where their keys differ in number under the causal mask, cores that are done take the next: the first end
    with the longest tile, the last as far behind the mean load as that is longer than a mean one.
    """
    several = (tiles > op.groups) & (op.longest > 0.0)
    chunks, longest = key_chunks(op, rows, several)
    load = tiles * machine.core_share
    waves = whole(load * pieces)
    uneven = max(max(load - 1.0, 0.0) * chunks + longest * piece, waves * max(2.0 * chunks - longest, 0.0) * piece)
    steps = uneven if several else waves * whole(chunks * piece)
    chunk = chunk_time(op, machine, rows)
    return waves * tile_time(machine, chunk), steps * chunk


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
    op: Operator, machine: Machine, tile: tuple[float, float], pieces: float, hbm: float, hot: float, least: float
) -> tuple[float, ...]:
    """Time that nothing hides, compute and L2 time [s], of a byte drawn from HBM [s/B], in all [s], for one deal.

    ``tile`` is the rows of one and how many there are.  The stream of keys halts where a tile begins or ends:
    ``exposed`` of the shorter of the two shows.  A core draws its piece of the keys, ``least`` of them at least: a
    whole chunk.
    """
    rows, tiles = tile
    piece = 1.0 / pieces
    begun, computed = dealt(op, machine, rows, tiles, pieces, piece)
    slower = max(machine.cores / tiles * max(piece, least), 1.0)
    l2 = l2_reading(op, machine, tiles, slower)
    drawn = max(keys_time(machine), key_time(op, machine) * slower)
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
    rows, down = query_tile(op, machine)
    tiles = op.groups * down
    idle = machine.cores / tiles
    hbm = attention_traffic(op, machine, tiles, idle)
    chunks = key_chunks(op, rows, False)[1]
    apart = (tiles <= op.groups) | (op.longest <= 0.0) | (machine.attention_split > 0.0)
    pieces = max(whole_below(min(idle, chunks, MAX_PIECES)), 1.0) if apart else 1.0
    least = min(KEY_CHUNK / op.n, 1.0)
    tile = (rows, tiles)
    s1, c1, l1, r1, alone = way(op, machine, tile, 1.0, hbm, hot, least)
    s2, c2, l2, r2, split = way(op, machine, tile, pieces, hbm, hot, least)
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
