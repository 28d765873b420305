"""One matmul on many cores: tiles, waves, split-K, L2 reuse, HBM traffic.

``C[m, n] = A[m, k] B[k, n]``, ``groups`` times.  Each core works on an output tile of at most
``tile_m x tile_n``; narrow matmuls may use tiles of half or a quarter of the columns, not below ``tile_least``.
"""

from __future__ import annotations

import math

import numpy as np

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import resident_share
from accelmodel.laws.types import MATMUL, Cost, Machine, Operator

#: rows that the matrix unit works on at least, padding narrower matmuls (16 x 16 fractal of
#: Ascend's cube, m16n8k16 of NVIDIA's tensor cores)
MIN_ROWS = 16.0


@law
def core_rate(bits: float, machine: Machine) -> float:
    """Matrix rate of one core at a precision [FLOP/s]; above 8 bit is 16 bit, above 4 bit is 8 bit."""
    narrow = machine.rate_8bit if bits > 4.0 else machine.rate_4bit
    return machine.rate_16bit if bits > 8.0 else narrow


@law
def tile_rows(m: float, machine: Machine) -> float:
    """Rows of a tile: all of m, padded to the matrix unit, or the largest tile."""
    return min(machine.tile_m, MIN_ROWS * np.ceil(m / MIN_ROWS))


@law
def slice_depth(op: Operator, machine: Machine) -> float:
    """Depth of one slice of a tile: ``tile_k`` values of 16 bit, and more where they are narrower."""
    return machine.tile_k * 16.0 / op.bits


@law
def tiled_cost(op: Operator, machine: Machine, columns: float) -> tuple[float, float, float]:
    """Time of the matrix unit [s], of the operands' way from L2 [s] and share of cores at work, for one width of tile.

    A core takes a slice of k no faster than its matrix unit works, than L2 delivers the operands of the
    tile, and than its pipeline turns over; when a tile is done it is written out.  Tiles are dealt out whole
    (waves), or their slices are dealt out evenly (split-K in its balanced form, Osama et al., arXiv
    2301.03598), which pays one slice and ``split_time`` to add the partial sums.
    """
    rows = tile_rows(op.m, machine)
    down = np.ceil(op.m / rows)
    across = np.ceil(op.n / columns)
    depth = slice_depth(op, machine)
    slices = np.ceil(op.k / depth)
    tiles = op.groups * down * across
    matrix = max(2.0 * rows * columns * depth / core_rate(op.bits, machine), machine.slice_time)
    operands = (rows + columns) * depth * op.bits * 0.125 * machine.cores / (machine.l2_rate * machine.multicast)
    written = op.output_bytes / (op.groups * op.m * op.n) * rows * columns * machine.cores / machine.store_rate
    waves = np.ceil(tiles / machine.cores)
    whole, split = waves * slices, np.ceil(tiles * slices / machine.cores) + 1.0
    pace = max(matrix, operands)
    distinct = (op.input_bytes + op.weight_bytes) / machine.l2_rate
    apart = max(split * pace, distinct) + written + machine.split_time
    in_waves = max(whole * pace, distinct) + waves * written <= apart
    steps = whole if in_waves else split
    finish = waves * written if in_waves else written + machine.split_time
    busy = tiles * slices / (min(whole, split) * machine.cores)
    return steps * matrix + finish, max(steps * operands, distinct) + finish, busy


@law
def hbm_traffic(op: Operator, machine: Machine) -> float:
    """HBM bytes of a matmul: each operand once, and again for what L2 could not keep.

    A wave of cores covers a block of about sqrt(cores) x sqrt(cores) tiles and sweeps along n; B is
    needed again in the next sweep, A's panel again in the next block.  Whether they are still there
    is the occupancy law on the bytes touched in between.  Activations that fit are never in HBM; where L2
    has partitions that each keep what their cores read, they take their place in each.
    """
    rows = tile_rows(op.m, machine)
    down = np.ceil(op.m / rows)
    across = np.ceil(op.n / machine.tile_n)
    block_down = min(down, math.sqrt(machine.cores))
    block_across = min(across, machine.cores / block_down)
    sweeps = max(down / block_down, 1.0)
    blocks = max(across / block_across, 1.0)
    a, b, c = op.input_bytes / op.groups, op.weight_bytes / op.groups, op.output_bytes / op.groups
    panel = a / sweeps
    again_b = (sweeps - 1.0) * (1.0 - resident_share(b + panel + c / sweeps, machine.l2_bytes, machine.l2_ways))
    again_a = (blocks - 1.0) * (1.0 - resident_share(panel + b / blocks, machine.l2_bytes, machine.l2_ways))
    activations = (op.input_bytes + op.output_bytes) * machine.l2_copies
    fresh = 1.0 - resident_share(activations, machine.l2_bytes, machine.l2_ways)
    return op.weight_bytes * (1.0 + again_b) + op.input_bytes * (fresh + again_a) + op.output_bytes * fresh


@law
def matmul_start(op: Operator, machine: Machine) -> float:
    """Time a matmul takes whatever its size [s]; those of 8 bit and less also fetch scales."""
    return machine.launch + machine.fill_time + (machine.scaling_time if op.bits < 16.0 else 0.0)


@law
def exposed_share(op: Operator, machine: Machine) -> float:
    """Share of the shorter of computing and fetching that matmuls do not hide."""
    return machine.exposed if op.kind == MATMUL else 0.0


@law
def matmul(op: Operator, machine: Machine) -> Cost:
    """What one matmul asks of the machine, with the best of three tile widths.

    Parameters
    ----------
    op : Operator
        ``groups``, ``m``, ``n``, ``k`` [1], its bytes [B] and ``bits``.
    machine : Machine

    Returns
    -------
    Cost
        Time before it starts, compute and L2 time [s], HBM traffic [B] and the rate its active cores can draw [B/s].

    Notes
    -----
    The tile model follows LLMCompass (Zhang et al., ISCA 2024, section 4) with the search over
    mappings replaced by closed forms.  Optimistic where a library has no kernel for the best tile,
    and where dequantisation does not hide behind the matmul.
    """
    wide = machine.tile_n
    c1, l1, u1 = tiled_cost(op, machine, wide)
    c2, l2, u2 = tiled_cost(op, machine, max(wide * 0.5, machine.tile_least))
    c4, l4, u4 = tiled_cost(op, machine, max(wide * 0.25, machine.tile_least))
    t1, t2, t4 = max(c1, l1), max(c2, l2), max(c4, l4)
    first = t1 <= min(t2, t4)
    second = t2 <= t4
    compute = c1 if first else (c2 if second else c4)
    transfer = l1 if first else (l2 if second else l4)
    drawn = min(machine.hbm_rate, max(u1, u2, u4) * machine.l2_rate)
    return Cost(matmul_start(op, machine), compute, transfer, hbm_traffic(op, machine), drawn)
