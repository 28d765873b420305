"""One matmul on many cores: tiles, waves, split-K, L2 reuse, HBM traffic.

``C[m, n] = A[m, k] B[k, n]``, ``groups`` times.  Each core works on an output tile of at most
``tile_m x tile_n``; narrow matmuls may use tiles of half or a quarter of the columns, not below ``tile_least``.
"""

from __future__ import annotations

from accelmodel.laws.jit import law
from accelmodel.laws.l2cache import kept_of_three
from accelmodel.laws.prepared import whole
from accelmodel.laws.types import GROUPED, Cost, Machine, Operator

#: rows to which attention pads the queries of a tile (16 x 16 fractal of Ascend's cube, m16n8k16 of NVIDIA's tensor
#: cores); matmuls pad to ``min_rows`` of the machine
MIN_ROWS = 16.0
#: bits below which a slice holds no more values: measured matmuls of 4 bit on B200 take as long for each as at 8 bit
SLICED = 8.0


@law
def flop_time(op: Operator, machine: Machine) -> float:
    """Time of an operation of one core's matrix unit [s]; above 8 bit is 16 bit, above 6 bit is 8 bit, and so on."""
    eight = machine.flop_time_8bit_int if op.integer > 0.0 else machine.flop_time_8bit
    four = machine.flop_time_4bit_int if op.integer > 0.0 else machine.flop_time_4bit
    below = machine.flop_time_6bit if op.bits > 4.0 else four
    narrow = eight if op.bits > 6.0 else below
    return machine.flop_time_16bit if op.bits > 8.0 else narrow


@law
def padded(m: float, machine: Machine) -> float:
    """Rows of a matmul, padded to whole instructions of the matrix unit."""
    return machine.min_rows * whole(m * machine.row_least)


@law
def weight_time(op: Operator, machine: Machine, rows: float) -> float:
    """Time in which one core multiplies so many rows by one weight [s], widening it included.

    What issues the instructions of the matrix unit also widens weights that are narrower than what it works at, once
    for each tile of rows, so that the two add up.
    """
    return 2.0 * rows * flop_time(op, machine) + (machine.convert_time if op.narrow < 1.0 else 0.0)


@law
def slice_depth(op: Operator, machine: Machine) -> float:
    """Depth of one slice of a tile: ``tile_k`` values of 16 bit, twice as many of 8 and of less.

    Values below 8 bit have a scale for each few of them, which is set before the slice is multiplied.
    """
    return machine.tile_k * (16.0 / max(op.bits, SLICED))


@law
def slices_deep(op: Operator, machine: Machine) -> float:
    """Slices of a tile."""
    return whole(op.k * machine.tile_layer * (max(op.bits, SLICED) / 16.0))


@law
def slice_turn(op: Operator, machine: Machine) -> float:
    """Shortest time of a slice [s], in proportion to the bytes of its weights that are under way.

    A kernel for narrow weights keeps as many bytes under way, in deeper slices.  Of many rows, whose own bytes are not
    fewer, a slice is bound by what it computes.
    """
    return machine.slice_time * op.narrow


@law
def tiled_cost(op: Operator, machine: Machine, columns: float, column: float) -> tuple[float, float, float, float]:
    """Time of the matrix unit and of the operands' way from L2 [s], fewest slices one after the other, and tiles.

    A core takes a slice of k no faster than its matrix unit works, than L2 delivers the operands of the
    tile, and than its pipeline turns over; when a tile is done it is written out.  Tiles are dealt out whole
    (waves), or their slices are dealt out (split-K; over all cores in its balanced form, Osama et al., arXiv
    2301.03598), which pays one slice and ``split_time`` to add the partial sums.  ``column`` is 1 / ``columns``.
    """
    rows = min(machine.tile_m, padded(op.m, machine))
    down = whole(op.m * machine.tile_row)
    across = whole(op.n * column)
    depth = slice_depth(op, machine)
    slices = slices_deep(op, machine)
    tiles = op.groups * down * across
    matrix = max(columns * depth * weight_time(op, machine, rows), slice_turn(op, machine))
    operand = op.bits * 0.125 * machine.cores * machine.l2_time * machine.fetch_share
    operands = (rows + columns * op.narrow) * depth * operand
    written = op.output_bytes / (op.groups * op.m * op.n) * rows * columns * machine.cores * machine.store_time
    waves = whole(tiles * machine.core_share)
    together, split = waves * slices, whole(tiles * slices * (machine.core_share * machine.split_loss)) + 1.0
    pace = max(matrix, operands)
    distinct = (op.input_bytes + op.weight_bytes) * machine.l2_time
    apart = max(split * pace, distinct) + written + machine.split_time
    in_waves = max(together * pace, distinct) + waves * written <= apart
    steps = together if in_waves else split
    finish = waves * written if in_waves else written + machine.split_time
    return steps * matrix + finish, max(steps * operands, distinct) + finish, min(together, split), tiles


@law
def hbm_traffic(op: Operator, machine: Machine) -> float:
    """HBM bytes of a matmul: each operand once, and again for what L2 could not keep.

    A wave of cores covers a block of about sqrt(cores) x sqrt(cores) tiles and sweeps along n; B is
    needed again in the next sweep, A's panel again in the next block.  Whether they are still there
    is the occupancy law on the bytes touched in between.  Activations that fit are never in HBM; where L2
    has partitions that each keep what their cores read, they take their place in each.
    """
    down = whole(op.m * machine.tile_row)
    block_down = min(down, machine.core_root)
    # blocks of a sweep, before there is at least one: across over min(across, cores / block_down)
    across = whole(op.n * machine.tile_column) * block_down * machine.core_share
    sweeps = max(down * machine.core_root * machine.core_share, 1.0)
    blocks = max(across, 1.0)
    # one division for both
    both = 1.0 / (sweeps * blocks)
    a, b, c = op.input_bytes / op.groups, op.weight_bytes / op.groups, op.output_bytes / op.groups
    panel = a * (blocks * both)
    activations = (op.input_bytes + op.output_bytes) * machine.l2_copies
    beside_b, beside_a = b + panel + c * (blocks * both), panel + b * (sweeps * both)
    of_b, of_a, of_activations = kept_of_three(beside_b, beside_a, activations, machine)
    again_b = (sweeps - 1.0) * (1.0 - of_b)
    again_a = (blocks - 1.0) * (1.0 - of_a)
    fresh = 1.0 - of_activations
    return op.weight_bytes * (1.0 + again_b) + op.input_bytes * (fresh + again_a) + op.output_bytes * fresh


@law
def operand_time(op: Operator, machine: Machine) -> float:
    """Time of a byte of operands from where they lie [s/B]: activations in HBM, weights there or in a second memory."""
    excess = machine.expert_excess if op.experts > 0.0 else machine.weight_excess
    weights = op.weight_bytes / (op.weight_bytes + op.input_bytes + op.output_bytes)
    return machine.hbm_time * (1.0 + weights * excess)


@law
def matmul_start(op: Operator, machine: Machine) -> float:
    """Time a matmul takes whatever its size [s]; one whose operands are both narrow also fetches scales."""
    fill = machine.group_fill if op.groups > 1.0 else machine.fill_time
    return machine.launch + fill + (machine.scaling_time if op.bits < 16.0 else 0.0)


@law
def exposed_share(op: Operator, machine: Machine) -> float:
    """Share of the shorter of computing and fetching that matmuls do not hide."""
    return machine.exposed if op.kind <= GROUPED else 0.0


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
        Time before it starts, compute and L2 time [s], HBM traffic [B] and the time of a byte at
        the rate that its active cores can draw [s/B].

    Notes
    -----
    The tile model follows LLMCompass (Zhang et al., ISCA 2024, section 4) with the search over
    mappings replaced by closed forms.  Optimistic where a library has no kernel for the best tile.
    """
    wide, column = machine.tile_n, machine.tile_column
    least, least_column = machine.tile_least, machine.tile_least_column
    c1, l1, s1, n1 = tiled_cost(op, machine, wide, column)
    c2, l2, s2, n2 = tiled_cost(op, machine, max(wide * 0.5, least), min(column * 2.0, least_column))
    c4, l4, s4, n4 = tiled_cost(op, machine, max(wide * 0.25, least), min(column * 4.0, least_column))
    t1, t2, t4 = max(c1, l1), max(c2, l2), max(c4, l4)
    first = t1 <= min(t2, t4)
    second = t2 <= t4
    compute = c1 if first else (c2 if second else c4)
    transfer = l1 if first else (l2 if second else l4)
    # 1 over the largest share of cores at work, by one division for three
    least_slices = min(s1 * n2 * n4, s2 * n1 * n4, s4 * n1 * n2) / (n1 * n2 * n4 * slices_deep(op, machine))
    drawn = max(operand_time(op, machine), least_slices * machine.cores * machine.l2_time)
    return Cost(matmul_start(op, machine), compute, transfer, hbm_traffic(op, machine), drawn)
