"""What each operator asks of many designs, in vectorised NumPy: the laws of ``numpy_twin``'s step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelmodel.laws.attention import HELD, KEY_CHUNK, MAX_PIECES
from accelmodel.laws.elementwise import FAR
from accelmodel.laws.matmul import MIN_ROWS
from accelmodel.laws.types import ATTENTION, GROUPED, MATMUL, ROW, Machine, Operator

#: an array over designs, or a float where all designs agree
Array = Any


class Ask(NamedTuple):
    """What one operator asks of each design."""

    chip: Array  #: time of the matrix and vector units or of L2, whichever is longer [s]
    hbm: Array  #: HBM traffic [B]
    rate: Array  #: rate at which the active cores can draw it [B/s]
    launch: Array  #: time before anything moves [s]
    exposed: Array = 0.0  #: share of the shorter of chip and memory time that shows
    stretch: float = 1.0  #: what its time is multiplied by


def resident(distance: Array, machine: Machine) -> Array:
    """Share of lines still in L2 after ``distance`` bytes [B] of others."""
    lines = machine.l2_ways * distance / np.maximum(machine.l2_bytes, 1e-30)
    z = 2.0 * (np.sqrt(machine.l2_ways - 0.45) - np.sqrt(np.maximum(lines - 0.15, 0.0)))
    # beyond 1000 deviations nothing changes but that the power overflows
    x = np.minimum(np.abs(z), 1000.0) * np.sqrt(0.5)
    half = 0.5 / np.polyval([0.078108, 0.000972, 0.230389, 0.278393, 1.0], x) ** 4
    return np.where(machine.l2_bytes > 0.0, np.where(z >= 0.0, 1.0 - half, half), 0.0)


def matrix_rate(op: Operator, machine: Machine) -> Array:
    """Matrix rate of one core [FLOP/s] at the precision of an operator."""
    if op.integer:
        rates = {4.0: machine.rate_4bit_int, 6.0: machine.rate_6bit, 8.0: machine.rate_8bit_int}
    else:
        rates = {4.0: machine.rate_4bit, 6.0: machine.rate_6bit, 8.0: machine.rate_8bit}
    return next((rate for bits, rate in rates.items() if op.bits <= bits), machine.rate_16bit)


def matmul(op: Operator, machine: Machine) -> Ask:
    """Ask of a matmul: the best of three tile widths, dealt out as whole tiles or as slices."""
    rows = np.minimum(machine.tile_m, machine.min_rows * np.ceil(op.m / machine.min_rows))
    down = np.ceil(op.m / rows)
    floors = np.array([0.0, 1.0, 1.0])[:, None] * machine.tile_least
    columns = np.maximum(np.array([1.0, 0.5, 0.25])[:, None] * machine.tile_n, floors)
    depth = 16.0 / np.maximum(op.bits, 8.0) * machine.tile_k
    across, slices = np.ceil(op.n / columns), np.ceil(op.k / depth)
    tiles = op.groups * down * across
    written = op.output_bytes / (op.groups * op.m * op.n) * (rows * columns) / (machine.store_rate / machine.cores)
    widened = columns * depth / machine.convert_rate if op.narrow < 1.0 else 0.0
    turn = machine.slice_time * op.narrow
    matrix = np.maximum(2.0 * rows * columns * depth / matrix_rate(op, machine) + widened, turn)
    feed = machine.l2_rate * machine.multicast / machine.cores
    operands = (rows + op.narrow * columns) * depth * (op.bits / 8.0) / feed
    waves = np.ceil(tiles / machine.cores)
    steps = np.stack([waves * slices, np.ceil(tiles * slices * machine.split_loss / machine.cores) + 1.0])
    finish = np.stack([waves * written, written + machine.split_time])
    distinct = (op.input_bytes + op.weight_bytes) / machine.l2_rate
    times = (finish + np.maximum(steps * np.maximum(matrix, operands), distinct)).min(axis=(0, 1))
    busy = (tiles * slices / (steps.min(axis=0) * machine.cores)).max(axis=0)
    weights = op.weight_bytes / (op.weight_bytes + op.input_bytes + op.output_bytes)
    excess = machine.expert_excess if op.experts else machine.weight_excess
    drawn = np.minimum(machine.hbm_rate / (1.0 + weights * excess), busy * machine.l2_rate)
    fill = machine.group_fill if op.groups > 1.0 else machine.fill_time
    launch = machine.launch + fill + (machine.scaling_time if op.bits < 16.0 else 0.0)
    traffic = matmul_traffic(op, machine, down)
    return Ask(times, traffic, drawn, launch, machine.exposed)


def grouped(op: Operator, machine: Machine) -> Ask:
    """Ask of the matmuls of experts: ``groups`` tiles of rows, dealt out whole."""
    depth = 16.0 / op.bits * machine.tile_k
    tiles, slices = op.groups * np.ceil(op.n / machine.tile_n), np.ceil(op.k / depth)
    widened = machine.tile_n * depth / machine.convert_rate if op.narrow < 1.0 else 0.0
    worked = 2.0 * op.m * machine.tile_n * depth / matrix_rate(op, machine) + widened
    matrix = np.maximum(worked / machine.expert_share, machine.slice_time)
    operands = (op.m + op.narrow * machine.tile_n) * depth * op.bits / 8.0
    feed = machine.l2_rate * machine.multicast / machine.cores
    waves = np.ceil(tiles / machine.cores)
    activations = op.input_bytes + op.output_bytes
    distinct = (op.weight_bytes + activations) / machine.l2_rate
    written = 2.0 * op.m * machine.tile_n * machine.cores / machine.store_rate
    on_chip = np.maximum(waves * slices * np.maximum(matrix, operands / feed), distinct)
    chip = on_chip + waves * (machine.expert_tile_time + written)
    hbm = op.weight_bytes + activations * (1.0 - resident(activations * machine.l2_copies, machine))
    weights = op.weight_bytes / (op.weight_bytes + activations)
    from_memory = machine.hbm_rate / (1.0 + weights * (machine.expert_excess if op.experts else machine.weight_excess))
    drawn = np.minimum(from_memory, np.minimum(tiles / machine.cores, 1.0) * machine.l2_rate)
    return Ask(chip, hbm, drawn, machine.launch + machine.expert_start, machine.exposed)


def matmul_traffic(op: Operator, machine: Machine, down: Array) -> Array:
    """HBM bytes of a matmul: each operand once, and again for what L2 could not keep."""
    across = np.ceil(op.n / machine.tile_n)
    block_down = np.minimum(down, np.sqrt(machine.cores))
    block_across = np.minimum(across, machine.cores / block_down)
    sweeps, blocks = np.maximum(down / block_down, 1.0), np.maximum(across / block_across, 1.0)
    a, b, c = op.input_bytes / op.groups, op.weight_bytes / op.groups, op.output_bytes / op.groups
    between_sweeps, between_blocks = b + (a + c) / sweeps, a / sweeps + b / blocks
    again_b = (sweeps - 1.0) * (1.0 - resident(between_sweeps, machine))
    again_a = (blocks - 1.0) * (1.0 - resident(between_blocks, machine))
    fresh = 1.0 - resident((op.input_bytes + op.output_bytes) * machine.l2_copies, machine)
    return op.weight_bytes * (1.0 + again_b) + op.input_bytes * again_a + (op.input_bytes + op.output_bytes) * fresh


def attend(op: Operator, machine: Machine, warm: Array) -> Ask:
    """Ask of attention of which a share lies in L2; both ways to deal the keys are stacked."""
    largest = np.minimum(machine.attention_rows, HELD / (1.0 if op.k <= 350.0 else 2.0 if op.k <= 700.0 else 4.0))
    causal = op.longest > 0.0
    padded = largest / 2.0 * np.ceil(2.0 * op.m / largest) if causal else MIN_ROWS * np.ceil(op.m / MIN_ROWS)
    rows, down = np.minimum(largest, padded), np.ceil(op.m / largest)
    several = (down > 1.0) & causal
    if op.sliding and not causal:
        alone = machine.attention_apart > 0.0
        rows, down = np.where(alone, MIN_ROWS, rows), np.where(alone, op.m, down)
    tiles = op.groups * down
    corner = op.sliding * np.minimum(rows, op.m) if causal else 0.0
    longest = np.ceil((max(op.longest, op.n) + corner) / KEY_CHUNK)
    seen = np.minimum((op.n + (np.maximum(rows, KEY_CHUNK) + corner) / 2.0) / KEY_CHUNK, longest)
    chunks = np.where(several, seen, longest)
    most_pieces = np.floor(np.minimum(np.minimum(machine.cores / tiles, longest), MAX_PIECES))
    apart = ~several | (machine.attention_split > 0.0)
    pieces = np.stack([np.ones_like(tiles), np.where(apart, np.maximum(most_pieces, 1.0), 1.0)])
    narrow = (op.narrow < 1.0) & (op.bits > 8.0) & (machine.attention_narrow > 0.0)
    rate = np.where(narrow, machine.rate_8bit, matrix_rate(op, machine)) * machine.attention_share
    matrix, softmax = 2.0 * rows * KEY_CHUNK * op.k / rate, rows * KEY_CHUNK / machine.softmax_rate
    chunk = np.hypot(matrix, softmax) if causal else matrix + softmax
    load = tiles / machine.cores
    waves = np.ceil(load * pieces)
    shortest = np.maximum(2.0 * chunks - longest, 0.0)
    uneven = np.maximum(np.maximum(load - 1.0, 0.0) * chunks + longest / pieces, waves * shortest / pieces)
    steps = np.where(several, uneven, waves * np.ceil(chunks / pieces))
    begun = waves * (machine.attention_tile_time + machine.attention_fill * chunk)
    activations = op.input_bytes + op.output_bytes
    at_work = np.minimum(pieces, np.maximum(op.n / KEY_CHUNK, 1.0))  # a core draws a chunk at least
    share = np.minimum(tiles * at_work / machine.cores, 1.0)
    rate = machine.l2_rate * share
    width = op.narrow * op.bits / 8.0
    widened = machine.attention_widen_rate * width if op.narrow < 1.0 else np.inf
    taken = np.minimum(machine.attention_draw * machine.l2_rate, widened) * share
    # kernels without groups read keys again for each query head
    times = 1.0 if causal or op.k > 512.0 else np.where(machine.attention_reread > 0.0, op.m, 1.0)
    once = times * op.weight_bytes / taken + activations / machine.l2_rate / machine.attention_draw
    reads = np.where(down > 1.0, np.maximum(tiles * op.n * op.k * width / rate, once), once)
    again = (down - 1.0) * (1.0 - resident(op.weight_bytes * np.minimum(1.0, machine.cores / tiles), machine))
    hbm = op.weight_bytes * (1.0 + again) + activations * (1.0 - resident(activations, machine))
    chip = np.maximum(begun + steps * chunk, reads)
    from_memory = machine.hbm_rate / (1.0 + machine.kv_excess)
    drawn = np.minimum(from_memory, taken)
    pace = warm / machine.l2_rate + (1.0 - warm) / drawn
    parts = np.stack([np.zeros_like(tiles), np.ones_like(tiles)]) * machine.combine_time
    extra = machine.exposed * np.minimum(begun, op.weight_bytes * pace) + parts
    whole = np.maximum(chip, hbm * pace) + extra
    best = whole.argmin(axis=0)[None]
    on_chip, own_rate, shown = (np.take_along_axis(choice, best, 0)[0] for choice in (chip, drawn, extra))
    # beside the memory of keys and values, where something computes there
    computed = 2.0 * op.groups * op.m * op.n * op.k * machine.near_flop_time
    near = np.maximum(computed, activations / machine.l2_rate)
    faster = np.maximum(near, op.weight_bytes / from_memory) < whole.min(axis=0)
    there = (machine.near_flop_time > 0.0) & faster
    start = machine.launch + machine.attention_time
    return Ask(
        np.where(there, near, on_chip),
        np.where(there, op.weight_bytes, hbm),
        np.where(there, from_memory, own_rate),
        start + np.where(there, 0.0, shown),
    )


def stream(op: Operator, machine: Machine) -> Ask:
    """Ask of an operator that reads and writes each byte once."""
    activations = op.input_bytes + op.output_bytes
    chip = np.maximum(op.vector_ops / machine.vector_rate, (activations + op.weight_bytes) / machine.l2_rate)
    hbm = activations * (1.0 - resident(activations, machine)) + op.weight_bytes
    return Ask(chip, hbm, machine.hbm_rate, machine.launch)


def rowwise(op: Operator, machine: Machine) -> Ask:
    """Ask of an operator whose rows are each worked on by one core, in waves."""
    once, again = op.input_bytes + op.output_bytes, op.message_bytes
    most_at_work = np.maximum(machine.rows_held / op.m, machine.cores)
    waves = np.ceil(op.groups / most_at_work)
    fresh = 1.0 - resident(once, machine)
    held = np.minimum(op.groups, most_at_work) * once / op.groups
    missed = fresh * np.minimum(held / np.maximum(machine.l2_bytes, 1e-30), 1.0)
    drawn = (once * (1.0 + (FAR - 1.0) * fresh) + again * (1.0 + (FAR - 1.0) * missed)) / op.groups
    chain = waves * (op.n * machine.sweep_time + drawn * op.m * machine.row_time)
    moved = once + again + op.weight_bytes
    chip = np.maximum(np.maximum(op.vector_ops / machine.vector_rate, chain), moved / machine.l2_rate)
    return Ask(chip, once * fresh + again * missed + op.weight_bytes, machine.hbm_rate, machine.launch)


def ask_for(op: Operator, machine: Machine) -> Ask:
    """Ask of an operator that finds nothing of what was prefetched."""
    if op.kind == ATTENTION:
        ask = attend(op, machine, op.warm)
    else:
        ask = {MATMUL: matmul, ROW: rowwise, GROUPED: grouped}.get(op.kind, stream)(op, machine)
    return ask._replace(stretch=op.stretch)
