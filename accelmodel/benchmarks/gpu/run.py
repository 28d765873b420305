"""Measuring the plan on a GPU: every time is that of a replayed graph, taken between events on its stream."""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton

from accelmodel.benchmarks.gpu import kernels, plan
from accelmodel.benchmarks.gpu.plan import Card, Row
from accelmodel.errors import SpecError
from accelmodel.measured.rawtable import operators_of, write_header, write_table
from accelmodel.specs.hardware import Device

#: replays before those that are timed
_WARM_UP = 3
#: time the device is kept busy before its clocks are read [s], and size of the matmuls that do it
_LOAD, _LOAD_SIZE = 2.0, 8192
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp8": torch.float8_e4m3fn}


class Lanes(NamedTuple):
    """The two streams, and where reads leave their sums."""

    main: Any
    side: Any
    sums: Any


def lanes() -> Lanes:
    """Return two streams of their own: a graph cannot be captured on the default one."""
    sums = torch.zeros(kernels.readers(), dtype=torch.int32, device="cuda")
    return Lanes(torch.cuda.Stream(), torch.cuda.Stream(), sums)


def capture(body: Callable[[], None], lane: Lanes) -> Any:
    """Return a graph of what ``body`` launches; it runs twice before, so that nothing is compiled or set up inside."""
    torch.cuda.synchronize()
    with torch.cuda.stream(lane.main):
        body()
        body()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=lane.main):
        body()
    return graph


def replay(graph: Any, repeats: int, lane: Lanes) -> list[float]:
    """Return the time of each of some replays, one queued behind the other [s]."""
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    with torch.cuda.stream(lane.main):
        for _ in range(_WARM_UP):
            graph.replay()
        marks[0].record()
        for mark in marks[1:]:
            graph.replay()
            mark.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) * 1e-3 for start, end in itertools.pairwise(marks)]


def timed(body: Callable[[], None], parts: int, repeats: int, lane: Lanes) -> Row:
    """Return the measured columns of a row whose graph holds ``parts`` like parts; a failure is noted, not hidden."""
    try:
        seconds = [each / parts for each in replay(capture(body, lane), repeats, lane)]
    except RuntimeError as error:
        return {"note": " ".join(str(error).split())[:200]}
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return {"time_s": statistics.median(seconds), "low_s": tenths[0], "high_s": tenths[-1], "note": ""}


def filled(count: int, precision: str) -> Any:
    """Return ``count`` random numbers: zeros would draw less power and so run faster."""
    made = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.randn(count, device="cuda", dtype=made).to(_DTYPES[precision])


def words(size: int) -> Any:
    """Return ``size`` random bytes as 32-bit words."""
    return torch.randint(-(2**31), 2**31 - 1, (size // 4,), dtype=torch.int32, device="cuda")


def operands(m: int, n: int, k: int, precision: str) -> tuple[Any, Any, Any]:
    """Return activations (m, k), room for the output (m, n) and the scale of both operands."""
    out = torch.empty((m, n), device="cuda", dtype=torch.float16 if precision == "fp16" else torch.bfloat16)
    return filled(m * k, precision).view(m, k), out, torch.ones((), device="cuda", dtype=torch.float32)


def multiply(given: tuple[Any, Any, Any], weight: Any) -> None:
    """Launch activations times the transpose of weights (n, k), as a linear layer does."""
    x, out, one = given
    if x.dtype == torch.float8_e4m3fn:
        fast = {"out_dtype": out.dtype, "use_fast_accum": True}
        torch._scaled_mm(x, weight.t(), scale_a=one, scale_b=one, **fast, out=out)
    else:
        torch.mm(x, weight.t(), out=out)


def matmul(rows: list[Row], card: Card, lane: Lanes) -> Iterator[Row]:
    """Yield the rows of ``matmul`` with their times; one precision's weights are in memory at a time."""
    for precision, group in itertools.groupby(rows, key=lambda row: row["precision"]):
        asked = list(group)
        pool = filled(max(row["copies"] * row["n"] * row["k"] for row in asked), precision)
        for row in asked:
            m, n, k, copies, matmuls = (row[name] for name in ("m", "n", "k", "copies", "matmuls"))
            weights = pool[: copies * n * k].view(copies, n, k)
            given = operands(m, n, k, precision)

            def body(given: Any = given, weights: Any = weights, copies: int = copies, matmuls: int = matmuls) -> None:
                for i in range(matmuls):
                    multiply(given, weights[i % copies])

            yield {**row, **timed(body, matmuls, row["repeats"], lane)}
        del pool, weights, body
        torch.cuda.empty_cache()


def bandwidth(rows: list[Row], card: Card, lane: Lanes) -> Iterator[Row]:
    """Yield the rows of ``bandwidth`` with the time of one launch."""
    data = words(max(row["footprint_bytes"] for row in rows))
    for row in rows:

        def body(row: Row = row) -> None:
            for _ in range(row["launches"]):
                kernels.read(data, lane.sums, row["footprint_bytes"], passes=row["passes"])

        yield {**row, **timed(body, row["launches"], row["repeats"], lane)}


def reread(rows: list[Row], card: Card, lane: Lanes) -> Iterator[Row]:
    """Yield the rows of ``reread`` with the time of one round."""
    probe = words(max(row["probe_bytes"] for row in rows))
    region = words(plan.OTHERS_REGION * card.l2_bytes)
    for row in rows:

        def body(row: Row = row, slots: int = plan.slots_for(row["others_bytes"], card)) -> None:
            for turn in range(row["rounds"]):
                if row["probe_bytes"]:
                    kernels.read(probe, lane.sums, row["probe_bytes"])
                if row["others_bytes"]:
                    start = turn % slots * (row["others_bytes"] // 4)
                    kernels.read(region[start:], lane.sums, row["others_bytes"])

        yield {**row, **timed(body, row["rounds"], row["repeats"], lane)}


def preserve(rows: list[Row], card: Card, lane: Lanes) -> Iterator[Row]:
    """Yield the rows of ``preserve`` with the time of one window."""
    source, target = (words(max(plan.BLOCK_BYTES, *(row["message_bytes"] for row in rows))) for _ in range(2))
    for precision, group in itertools.groupby(rows, key=lambda row: row["precision"]):
        asked = list(group)
        sizes = {row["operators"]: operators_of(row["operators"]) for row in asked}
        most = max(row["windows"] * sum(n * k for n, k in sizes[row["operators"]]) for row in asked)
        pool = filled(max(most, plan.BLOCK_BYTES), precision)
        for row in asked:
            given = [operands(row["m"], n, k, precision) for n, k in sizes[row["operators"]]]
            body = window_body(row, pool, given, (source, target), lane)
            yield {**row, **timed(body, row["windows"], row["repeats"], lane)}
        del pool, body
        torch.cuda.empty_cache()


def window_body(row: Row, pool: Any, given: list[Any], message: tuple[Any, Any], lane: Lanes) -> Callable[[], None]:
    """Return what launches the windows of one row, each with weights of its own.

    The prefetch is forked to the side stream where its window begins, beside the stand-in, and joined before the
    matmuls or after them.
    """
    shapes = operators_of(row["operators"])
    each = sum(n * k for n, k in shapes)
    windows = [pool[i * each : (i + 1) * each] for i in range(row["windows"])]
    parts = [window.split([n * k for n, k in shapes]) if shapes else () for window in windows]
    weights = [[part.view(n, k) for part, (n, k) in zip(own, shapes, strict=True)] for own in parts]
    prefetch, before = row["prefetch_bytes"], row["join"] == "before"

    def body() -> None:
        for window, matmuls in zip(windows, weights, strict=True):
            if prefetch:
                lane.side.wait_stream(lane.main)
                with torch.cuda.stream(lane.side):
                    kernels.read(window.view(torch.int32), lane.sums, prefetch, hint=row["hint"])
            if row["stand_in"] != "none":
                kernels.hold(*message, row["message_bytes"], row["duration_s"])
            if prefetch and before:
                lane.main.wait_stream(lane.side)
            for operand, weight in zip(given, matmuls, strict=True):
                multiply(operand, weight)
            if prefetch and not before:
                lane.main.wait_stream(lane.side)

    return body


MEASURES: dict[str, Callable[[list[Row], Card, Lanes], Iterator[Row]]] = {
    "matmul": matmul,
    "bandwidth": bandwidth,
    "reread": reread,
    "preserve": preserve,
}


def check(card: Card, lane: Lanes) -> None:
    """Hold kernels and matmuls against PyTorch before anything is timed; raise RuntimeError where they differ."""
    data = words(64 * plan.BLOCK_BYTES)
    copy = torch.zeros_like(data)
    for hint in card.hints:
        # little with a hint: L2 would keep it over the measurements
        size, passes = (64 if hint == "normal" else 4) * plan.BLOCK_BYTES, 99
        kernels.read(data, lane.sums, size, passes=passes, hint=hint)
        found = int(lane.sums.sum(dtype=torch.int64)) % 2**32
        expected = passes * int(data[: size // 4].sum(dtype=torch.int64)) % 2**32
        if found != expected:
            raise RuntimeError(f"the {hint} read summed up {found}, expected {expected}")
    size, duration = 32 * plan.BLOCK_BYTES, 200e-6
    kernels.hold(data, copy, size, duration)
    if not torch.equal(data[: size // 4], copy[: size // 4]):
        raise RuntimeError("the stand-in did not copy its message")
    taken = timed(lambda: kernels.hold(data, copy, 0, duration), 1, 5, lane)
    # the global timer ticks in steps of a microsecond on some devices
    if not 0.95 * duration < taken.get("time_s", math.nan) < 1.5 * duration:
        raise RuntimeError(f"the stand-in was set to {duration:g} s: {taken}")
    for precision in card.precisions:
        given, weight = operands(16, 512, 1024, precision), filled(512 * 1024, precision).view(512, 1024)
        multiply(given, weight)
        exact = given[0].double() @ weight.double().t()
        error = float((given[1].double() - exact).norm() / exact.norm())
        # 1e-2: rounding of a 16-bit output is 4e-3 at most
        if not error < 1e-2:
            raise RuntimeError(f"a matmul in {precision} is off by {error:g}")


def card_of_device(device: Device) -> Card:
    """Return the visible GPU as the plan sees it.

    Raises
    ------
    SpecError
        If there is none, or its number of multiprocessors is not that of the specification.
    """
    if not torch.cuda.is_available():
        raise SpecError("PyTorch sees no NVIDIA GPU; --dry shows the plan without one")
    found = torch.cuda.get_device_properties(0)
    if found.multi_processor_count != device.compute.cores:
        raise SpecError(
            f"{found.name} has {found.multi_processor_count} multiprocessors and {device.name} "
            f"{device.compute.cores:g}; "
            "name with --device the specification of this card"
        )
    version = (found.major, found.minor)
    return plan.card_with(found.L2_cache_size, found.total_memory, ampere=version >= (8, 0), fp8=version >= (8, 9))


def ask_driver(*names: str) -> list[str]:
    """Return what ``nvidia-smi`` says about the GPU; raise SpecError where it does not answer."""
    uuid = str(torch.cuda.get_device_properties(0).uuid)
    card = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
    program = shutil.which("nvidia-smi")
    if program is None:
        raise SpecError("nvidia-smi is not on the PATH; it comes with the driver and tells the clocks")
    command = [program, "-i", card, f"--query-gpu={','.join(names)}", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60.0)
    values = [value.strip() for value in answer.stdout.strip().split(",")]
    if answer.returncode or len(values) != len(names):
        told = " ".join((answer.stdout + answer.stderr).split())
        raise SpecError(f"nvidia-smi does not tell {', '.join(names)}: {told}")
    return values


def clocks(when: str) -> Row:
    """Return the clocks of the header, read while matmuls keep the device busy [1/s]."""
    given, weight = operands(_LOAD_SIZE, _LOAD_SIZE, _LOAD_SIZE, "fp16"), filled(_LOAD_SIZE**2, "fp16")
    weight = weight.view(_LOAD_SIZE, _LOAD_SIZE)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    multiply(given, weight)
    start.record()
    multiply(given, weight)
    end.record()
    torch.cuda.synchronize()
    count = max(math.ceil(_LOAD / (start.elapsed_time(end) * 1e-3)), 1)
    for _ in range(count):
        multiply(given, weight)
    # the queue is still at work
    sm, memory = ask_driver("clocks.sm", "clocks.mem")
    torch.cuda.synchronize()
    return {f"sm_clock_{when}_hz": float(sm) * 1e6, f"memory_clock_{when}_hz": float(memory) * 1e6}


def run(folder: Path, header: Row, rows: dict[str, list[Row]], card: Card, progress: Callable[[str], None]) -> None:
    """Measure a plan and write the run: its header, each row as soon as it is measured, the header again.

    Parameters
    ----------
    folder : Path
        Of the run; must not hold one already.
    header : dict
        The planned keys.
    rows : dict
        As from ``plan.plan``.
    card : Card
    progress : callable
        Called with a line on each row.
    """
    torch.manual_seed(header["seed"])
    lane = lanes()
    check(card, lane)
    versions = {"cuda": str(torch.version.cuda), "torch": str(torch.__version__), "triton": str(triton.__version__)}
    observed = {
        "device_name": str(torch.cuda.get_device_name(0)),
        "driver": ask_driver("driver_version")[0],
        **versions,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **clocks("before"),
    }
    write_header(folder, {**header, **observed})
    for name, asked in rows.items():
        write_table(folder, name, announced(name, len(asked), MEASURES[name](asked, card, lane), progress))
        torch.cuda.empty_cache()
    write_header(folder, {**header, **observed, **clocks("after")})


def announced(name: str, count: int, measured: Iterator[Row], progress: Callable[[str], None]) -> Iterator[Row]:
    """Yield measured rows, saying how far it is."""
    for number, row in enumerate(measured, start=1):
        progress(f"{name}: {number} of {count}" + (f": {row['note']}" if row["note"] else ""))
        yield row
