"""The commands about single operators and accuracy: ``matmul`` … ``calibrate``, ``validate``.  No physics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import typer

from accelmodel.cli.options import DeviceName, Json, LinkName, counts, emit
from accelmodel.cli.terminal import print_table
from accelmodel.errors import SpecError, unknown
from accelmodel.inference import operator_time
from accelmodel.inference.intervals import factors, kind_of
from accelmodel.inference.kernel_library import library_times
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import cluster, load
from accelmodel.units import parse, show

app = typer.Typer(add_completion=False)

Bits = Annotated[float, typer.Option("--bits", help="Precision of both operands: 16, 8 or 4.")]
List = "a list such as 1,16,4096, or 1:4096 for powers of two."


@app.command()
def matmul(
    m: Annotated[str, typer.Option("--m", help=f"Rows; {List}")],
    n: Annotated[str, typer.Option("--n", help=f"Columns; {List}")],
    k: Annotated[str, typer.Option("--k", help=f"Depth; {List}")],
    device: DeviceName = "h100-sxm",
    bits: Bits = 16,
    library: Annotated[
        str | None, typer.Option("--library", help="A framework's own 8 or 4 bit matmuls, such as vllm-8bit.")
    ] = None,
    as_json: Json = False,
) -> None:
    """matmuls, weights in HBM: time, interval, and what bounds them."""

    rows = matmul_rows(device, m, n, k, bits, library)
    title = f"Matmuls on {device}, {library or f'{bits:g} bit'}"
    emit({"rows": rows}) if as_json else print_kernels(rows, title)


@app.command()
def attention(
    batch: Annotated[str, typer.Option("--batch", help=f"Sequences; {List}")] = "1",
    heads: Annotated[int, typer.Option("--heads", min=1, help="Query heads on the device.")] = 32,
    kv_heads: Annotated[int, typer.Option("--kv-heads", min=1, help="Key-value heads on the device.")] = 8,
    head_dim: Annotated[int, typer.Option("--head-dim", min=1, help="Width of a head.")] = 128,
    context: Annotated[str, typer.Option("--context", help=f"Tokens of each sequence; {List}")] = "4096",
    window: Annotated[int, typer.Option("--window", min=0, help="Reach of a sliding window; 0 is none.")] = 0,
    phase: Annotated[str, typer.Option("--phase", help="prefill or decode.")] = "decode",
    kv_bits: Annotated[float, typer.Option("--kv-bits", help="Precision of the KV cache.")] = 16,
    device: DeviceName = "h100-sxm",
    as_json: Json = False,
) -> None:
    """Attention of one layer: time, interval, and what bounds it."""

    shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim, "window": window, "kv_bits": kv_bits}
    rows = attention_rows(device, phase, batch, context, shape)
    emit({"rows": rows}) if as_json else print_kernels(rows, f"Attention in {phase} on {device}")


@app.command()
def collective(
    size: Annotated[str, typer.Option("--bytes", help="Of the whole message; 64KB,1MB or 1KB:1GB, doubling.")],
    devices: Annotated[int, typer.Option("--devices", min=2, help="Devices that take part.")] = 8,
    kind: Annotated[
        str, typer.Option("--kind", help="all-reduce, all-gather, reduce-scatter or all-to-all.")
    ] = "all-reduce",
    device: DeviceName = "h100-sxm",
    link: LinkName = None,
    as_json: Json = False,
) -> None:
    """Collectives: time, interval, bus bandwidth and algorithm."""

    rows = collective_rows(device, link, kind, size, devices)
    emit({"rows": rows}) if as_json else print_kernels(rows, f"{kind} over {devices} {device}")


PRECISIONS = (16.0, 8.0, 4.0)


def _timed(
    columns: operator_time.Columns, chip: Cluster, shapes: list[dict[str, Any]], **asked: Any
) -> list[dict[str, Any]]:
    """Return rows: the shape, then ``time_s``, ``lower_s``, ``upper_s`` and ``bound``."""
    times, bounds = operator_time.time_columns(columns, chip)
    low, high = factors(chip, **asked)[int(kind_of(columns["kind"]))]
    words = operator_time.bound_names(bounds)
    return [
        {**shape, "time_s": float(t), "lower_s": float(t * low), "upper_s": float(t * high), "bound": str(word)}
        for shape, t, word in zip(shapes, times, words, strict=True)
    ]


def _grid(**axes: list[int]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return all combinations as rows and as arrays."""
    shapes = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    return shapes, [np.array([shape[name] for shape in shapes], dtype=float) for name in axes]


def matmul_rows(device: str, m: str, n: str, k: str, bits: float, library: str | None = None) -> list[dict[str, Any]]:
    """Return rows ``{m, n, k, time_s, lower_s, upper_s, bound}``; SpecError where an input is not allowed.

    Matmuls of a ``library`` are at its precision and hold the quantisation of their activations; what bounds them is
    told of the matmul by the law.
    """
    own = load("library", library) if library else None
    bits = float(own.bits) if own else bits
    if bits not in PRECISIONS:
        raise SpecError(f"--bits {bits:g}: matmuls are modelled at 16, 8 and 4 bit; give one of them")
    chip = cluster(load("device", device))
    shapes, (rows, across, depth) = _grid(m=counts(m, "--m"), n=counts(n, "--n"), k=counts(k, "--k"))
    found = _timed(operator_time.matmul(rows, across, depth, bits), chip, shapes, bits=bits)
    if own:
        times = library_times(rows, across, depth, own, chip)
        for row, time in zip(found, times, strict=True):
            longer = float(time) / row["time_s"]
            row.update({name: row[name] * longer for name in ("time_s", "lower_s", "upper_s")})
    return found


def attention_rows(device: str, phase: str, batch: str, context: str, shape: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows ``{batch, context, time_s, lower_s, upper_s, bound}``; SpecError where an input is not allowed."""
    if phase not in ("prefill", "decode"):
        raise unknown("phase", phase, ("prefill", "decode"))
    heads, kv_heads = float(shape["heads"]), float(shape["kv_heads"])
    if heads % kv_heads:
        raise SpecError(f"--heads {heads:g} must be a multiple of --kv-heads {kv_heads:g}; change one of them")
    if not 1.0 <= shape["kv_bits"] <= 64.0:
        raise SpecError(f"--kv-bits {shape['kv_bits']:g} must be from 1 to 64 bit")
    chip = cluster(load("device", device))
    shapes, (sequences, tokens) = _grid(batch=counts(batch, "--batch"), context=counts(context, "--context"))
    asked = operator_time.attention(
        phase, sequences, heads, kv_heads, float(shape["head_dim"]), tokens,
        window=float(shape["window"]), kv_bits=float(shape["kv_bits"]),
    )  # fmt: skip
    return _timed(asked, chip, shapes, phase=phase, kv_bits=float(shape["kv_bits"]))


def sizes(text: str) -> list[float]:
    """Return byte counts: ``"64KB,1MB"``, or ``"1KB:1GB"`` doubling from one to the other.

    Examples
    --------
    >>> sizes("1KB:4KB")
    [1000.0, 2000.0, 4000.0]
    """
    if ":" not in text:
        found = [parse(part, "B", what="--bytes") for part in text.split(",")]
    else:
        low, high = (parse(end, "B", what="--bytes") for end in text.split(":", 1))
        found = [low * 2.0**i for i in range(64) if low * 2.0**i <= high]
    if not found or not min(found) > 0.0:
        raise SpecError(f"--bytes {text!r} must be above 0 B, and a range must rise; write 64KB,1MB or 1KB:1GB")
    return found


def collective_rows(device: str, link: str | None, kind: str, size: str, devices: int) -> list[dict[str, Any]]:
    """Return rows ``{bytes, devices, time_s, lower_s, upper_s, bound, busbw_bytes_per_s}``.

    ``busbw_bytes_per_s`` is the bus bandwidth of nccl-tests: bytes that each device must send over the time.
    """
    if kind not in operator_time.COLLECTIVES:
        raise unknown("collective", kind, operator_time.COLLECTIVES)
    chip = load("device", device)
    whole = cluster(chip, float(devices), link=load("link", link) if link else None)
    shapes = [{"bytes": each, "devices": devices} for each in sizes(size)]
    asked = operator_time.collective(kind, np.array([shape["bytes"] for shape in shapes]), float(devices))
    share = (2.0 if kind == "all-reduce" else 1.0) * (devices - 1.0) / devices
    rows = _timed(asked, whole, shapes)
    return [{**row, "busbw_bytes_per_s": share * row["bytes"] / row["time_s"]} for row in rows]


def print_kernels(rows: list[dict[str, Any]], title: str) -> None:
    """Print operators, one line each."""
    units = {"time_s": "s", "lower_s": "s", "upper_s": "s", "bytes": "B", "busbw_bytes_per_s": "B/s"}
    names = list(rows[0])
    print_table(
        title,
        [name.removesuffix("_s").removesuffix("_bytes_per") for name in names],
        [[show(row[n], units[n], 3) if n in units else str(row[n]) for n in names] for row in rows],
    )
