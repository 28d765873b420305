"""What is measured on a GPU, in which order and how often: rows of the raw tables without their times.

Nothing here needs a GPU or PyTorch.  Sizes follow from the L2 capacity, so that the same plan fits every device.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from accelmodel.errors import Infeasible
from accelmodel.inference.operators import operator_table
from accelmodel.laws.types import MATMUL
from accelmodel.measured.rawtable import BITS, operators_of, operators_text
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Device
from accelmodel.specs.load import load
from accelmodel.units import show

Row = dict[str, Any]

#: bytes that one program reads in one go; prefetches and footprints are whole blocks
BLOCK_BYTES = 16384
#: programs that stand for a collective, whose kernels leave most multiprocessors free
COLLECTIVE_PROGRAMS = 16
#: programs of a read on each multiprocessor: 64 KiB in flight, and half of its warps left to others
READERS_PER_SM = 4

#: precision → bytes that an element takes while it is made: fp8 is rounded from 16 bit
FILLING = {"bf16": 2, "fp16": 2, "fp8": 3}
#: share of device memory that a run may take
MEMORY_SHARE = 0.8
REPEATS = 20
#: weights are cold if at least this many L2 capacities of other weights are read in between
COLD = 4
#: rows of activations, from decode to prefill
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
#: from here on a matmul lasts so long that a few fill a graph
LONG_ROWS, FEW, MANY = 1024, 10, 100
#: model and degree of tensor parallelism whose weights are used
MODELS = (("llama-3-70b", 8), ("llama-3-8b", 1))
#: (n, k) beside them: narrow outputs, outputs and depths that are no multiple of a tile, squares
SHAPES = (
    (128, 4096), (256, 4096), (512, 4096), (1024, 4096), (1000, 4096), (2000, 4096), (2880, 2880),
    (4096, 512), (8192, 256), (8192, 8192),
)  # fmt: skip
#: fp8 matmuls want sizes that are multiples of this
FP8_MULTIPLE = 16

#: footprints: powers of two in quarters, and sixteenths of L2 around the edge between the plateaus
QUARTERS, SIXTEENTHS = 4, range(4, 33)
FOOTPRINT_LEAST, FOOTPRINT_MOST = 2**20, 8
#: L2 capacities that one launch reads at least, so that its launch is a small part
PER_LAUNCH, LAUNCHES = 16, 10

#: share of L2 that is probed, others between in eighths of L2, and the most, after which nothing is left
PROBE_SHARE, EIGHTHS, GONE = 0.25, range(17), 4
#: L2 capacities of the region that the others rotate in
OTHERS_REGION = 12

#: rows of activations of the decode-sized matmuls after the prefetch; the variants are measured with one
DECODE_ROWS, VARIANT_ROWS = (1, 16, 64), 16
DURATIONS = (20e-6, 60e-6, 180e-6)
#: windows in a graph at least, so that the start of the graph is a small part
WINDOWS = 12
#: stand-in → share of L2 that it copies from and to
STAND_INS = {"spin": 0.0, "traffic": 0.125}
#: prefetch sizes in eighths of L2
PREFETCHES = range(17)
#: (join, hint): what is compared with the laws, then the variants
MAIN, VARIANTS = ("after", "normal"), (("before", "normal"), ("after", "evict-last"))


class Card(NamedTuple):
    """A device as far as the plan goes."""

    l2_bytes: int
    memory_bytes: int
    precisions: tuple[str, ...]
    hints: tuple[str, ...]


def card_of(device: Device) -> Card:
    """Return the card that a specification describes, for a dry run."""
    ampere, fp8 = device.architecture != "Turing", float(device.compute.peak_8bit_float) > 0.0
    return card_with(int(device.l2.capacity), int(device.hbm.capacity), ampere=ampere, fp8=fp8)


def card_with(l2_bytes: int, memory_bytes: int, *, ampere: bool, fp8: bool) -> Card:
    """Return a card; from Ampere on there is bf16, and loads may say what L2 should keep."""
    precisions = (*(("bf16",) if ampere else ()), "fp16", *(("fp8",) if fp8 else ()))
    return Card(l2_bytes, memory_bytes, precisions, ("normal", "evict-last") if ampere else ("normal",))


def blocks(size: float) -> int:
    """Return the size cut down to whole blocks, one at least [B]."""
    return max(int(size) // BLOCK_BYTES, 1) * BLOCK_BYTES


def weights_of(model: str, tp: int) -> list[tuple[int, int]]:
    """Return (n, k) of the matmuls of one layer on one device, in graph order."""
    table = operator_table(load("model", model), workload(phase="decode", batch=1, context=1024, tp=tp))
    sizes = zip(table.columns["kind"], table.columns["n"], table.columns["k"], table.names, strict=True)
    return [(int(n), int(k)) for kind, n, k, name in sizes if kind == MATMUL and name != "head"]


def weight_bytes(operators: list[tuple[int, int]], precision: str) -> int:
    """Return the bytes of the weights of some matmuls [B]."""
    return sum(n * k for n, k in operators) * BITS[precision] // 8


def copies_for(size: int, card: Card) -> int:
    """Return how many copies used in turn leave COLD capacities of L2 between two uses of one, two at least."""
    return max(math.ceil(COLD * card.l2_bytes / size) + 1, 2)


def matmul_rows(card: Card, rng: random.Random) -> Iterator[Row]:
    """Yield matmuls of all shapes and precisions, cold, and hot where the weights fit into L2; shuffled."""
    shapes = dict.fromkeys([pair for model, tp in MODELS for pair in weights_of(model, tp)] + list(SHAPES))
    for precision in card.precisions:
        rows = []
        for n, k in shapes:
            if precision == "fp8" and (n % FP8_MULTIPLE or k % FP8_MULTIPLE):
                continue
            size = weight_bytes([(n, k)], precision)
            for cache, copies in (("cold", copies_for(size, card)), ("hot", 1)):
                if cache == "hot" and size > card.l2_bytes:
                    continue
                for m in ROWS:
                    matmuls = copies * math.ceil((FEW if m >= LONG_ROWS else MANY) / copies)
                    shape = {"precision": precision, "cache": cache, "m": m, "n": n, "k": k}
                    rows.append({**shape, "copies": copies, "matmuls": matmuls, "repeats": REPEATS})
        # in random order, so that a drift of clocks and temperature does not look like an effect of the shape
        rng.shuffle(rows)
        yield from rows


def bandwidth_rows(card: Card, rng: random.Random) -> Iterator[Row]:
    """Yield reads of footprints from 1 MiB to 8 L2; shuffled."""
    most = FOOTPRINT_MOST * card.l2_bytes
    steps = range(math.floor(QUARTERS * math.log2(most / FOOTPRINT_LEAST)) + 1)
    sizes = {blocks(FOOTPRINT_LEAST * 2.0 ** (step / QUARTERS)) for step in steps}
    sizes |= {blocks(card.l2_bytes * part / 16) for part in SIXTEENTHS} | {blocks(most)}
    rows = []
    for size in sorted(each for each in sizes if each >= FOOTPRINT_LEAST):
        passes = math.ceil(PER_LAUNCH * card.l2_bytes / size)
        rows.append({"footprint_bytes": size, "passes": passes, "launches": LAUNCHES, "repeats": REPEATS})
    rng.shuffle(rows)
    yield from rows


def reread_rows(card: Card, rng: random.Random) -> Iterator[Row]:
    """Yield rounds of a probe and others, and of the others alone; shuffled."""
    probe = blocks(PROBE_SHARE * card.l2_bytes)
    sizes = [blocks(part * card.l2_bytes / 8) for part in EIGHTHS if part] + [blocks(GONE * card.l2_bytes)]
    pairs = [(probe, 0)] + [pair for size in sizes for pair in ((probe, size), (0, size))]
    rows = []
    for first, others in pairs:
        slots = slots_for(others, card)
        rounds = slots * math.ceil(MANY / slots)
        rows.append({"probe_bytes": first, "others_bytes": others, "rounds": rounds, "repeats": REPEATS})
    rng.shuffle(rows)
    yield from rows


def slots_for(others: int, card: Card) -> int:
    """Return how many regions of ``others`` bytes the reads between two probes rotate over."""
    return max(OTHERS_REGION * card.l2_bytes // others, 1) if others else 1


def preserve_rows(card: Card, rng: random.Random) -> Iterator[Row]:
    """Yield windows: what stands for the collective alone, matmuls alone, then both with prefetches; shuffled."""
    layer = weights_of(*MODELS[0])
    windows = [layer[:2], layer]
    message = {name: blocks(share * card.l2_bytes) if share else 0 for name, share in STAND_INS.items()}
    collectives = [(name, duration, message[name]) for name in STAND_INS for duration in DURATIONS]
    alone = window_row(card, card.precisions[0], 1, [], ("none", 0.0, 0), 0, MAIN)
    rows = [{**alone, "stand_in": s, "duration_s": d, "message_bytes": b} for s, d, b in collectives]
    for precision in (name for name in card.precisions if name != "fp16" or "bf16" not in card.precisions):
        for operators in windows:
            whole = blocks(weight_bytes(operators, precision))
            sizes = sorted({min(blocks(part * card.l2_bytes / 8), whole) for part in PREFETCHES if part})
            for m in DECODE_ROWS:
                rows.append(window_row(card, precision, m, operators, ("none", 0.0, 0), 0, MAIN))
                for collective in collectives:
                    rows.append(window_row(card, precision, m, operators, collective, 0, MAIN))
                    offered = [each for each in VARIANTS if each[1] in card.hints]
                    variants = (MAIN, *offered) if m == VARIANT_ROWS else (MAIN,)
                    for variant in variants:
                        rows += [window_row(card, precision, m, operators, collective, p, variant) for p in sizes]
    rng.shuffle(rows)

    def turn(row: Row) -> tuple[bool, int]:
        # what L2 was told to keep must disturb nothing that follows; weights of one precision are in memory at a time
        return row["hint"] != MAIN[1], card.precisions.index(row["precision"])

    yield from sorted(rows, key=turn)


def window_row(
    card: Card,
    precision: str,
    m: int,
    operators: list[tuple[int, int]],
    collective: tuple[str, float, int],
    prefetch: int,
    variant: tuple[str, str],
) -> Row:
    """Return one row of the table ``preserve``."""
    windows = max(copies_for(weight_bytes(operators, precision), card), WINDOWS) if operators else MANY
    named = {"precision": precision, "m": m, "operators": operators_text(operators) or "none"}
    stands = dict(zip(("stand_in", "duration_s", "message_bytes"), collective, strict=True))
    how = {"join": variant[0], "hint": variant[1], "windows": windows, "repeats": REPEATS}
    return {**named, **stands, "prefetch_bytes": prefetch, **how}


PLANS: dict[str, Callable[[Card, random.Random], Iterator[Row]]] = {
    "matmul": matmul_rows,
    "bandwidth": bandwidth_rows,
    "reread": reread_rows,
    "preserve": preserve_rows,
}


def matmul_memory(row: Row, card: Card) -> int:
    """Return the device memory of one row of ``matmul``: copies of the weights, activations in and out [B]."""
    element = FILLING[row["precision"]]
    m, n, k, copies = (int(row[name]) for name in ("m", "n", "k", "copies"))
    return copies * n * k * element + m * (k * element + 2 * n)


def preserve_memory(row: Row, card: Card) -> int:
    """Return the device memory of one row of ``preserve``: weights of each window, activations, messages [B]."""
    element = FILLING[row["precision"]]
    m, windows, message = (int(row[name]) for name in ("m", "windows", "message_bytes"))
    matmuls = operators_of(row["operators"])
    return sum(windows * n * k * element + m * (k * element + 2 * n) for n, k in matmuls) + 2 * message


MEMORY: dict[str, Callable[[Row, Card], int]] = {
    "matmul": matmul_memory,
    "bandwidth": lambda row, card: int(row["footprint_bytes"]),
    "reread": lambda row, card: int(row["probe_bytes"]) + OTHERS_REGION * card.l2_bytes,
    "preserve": preserve_memory,
}


def plan(card: Card, seed: int, only: tuple[str, ...] = ()) -> dict[str, list[Row]]:
    """Return all rows to measure, in order.

    Parameters
    ----------
    card : Card
    seed : int
        Of the order; the same seed gives the same plan.
    only : tuple of str
        Tables to measure, all if empty.

    Raises
    ------
    Infeasible
        If a row needs more than 80 % of the device's memory.
    """
    rows = {name: list(PLANS[name](card, random.Random(seed))) for name in only or PLANS}
    needed = memory(rows, card)
    for name, size in needed.items():
        if size > MEMORY_SHARE * card.memory_bytes:
            raise Infeasible(
                f"{name} needs {show(size, 'B')} of device memory and at most {MEMORY_SHARE:.0%} of "
                f"{show(card.memory_bytes, 'B')} may be used; leave it out with --only"
            )
    return rows


def memory(rows: dict[str, list[Row]], card: Card) -> dict[str, int]:
    """Return the most device memory that a row of each table takes [B]."""
    return {name: max(MEMORY[name](row, card) for row in each) for name, each in rows.items()}
