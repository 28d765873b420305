"""The commands about single operators and accuracy: ``matmul`` … ``calibrate``, ``validate``.  No physics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from accelmodel.cli.completion import name_of, one_of
from accelmodel.cli.options import (
    ClusterName,
    CollectiveBy,
    DeviceName,
    Json,
    Launch,
    LinkName,
    ScaleOutName,
    answer,
    counts,
    hardware,
    is_given,
    of_cluster,
    read_bits,
)
from accelmodel.cli.step_options import Settings
from accelmodel.cli.terminal import print_table, say, say_notes
from accelmodel.errors import SpecError, brief
from accelmodel.estimates import need_affordable
from accelmodel.inference import single
from accelmodel.inference.calls import called
from accelmodel.inference.figures import Figures
from accelmodel.inference.operator_time import COLLECTIVES
from accelmodel.inference.routes import phases
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Cluster
from accelmodel.units import parse, show

app = typer.Typer(add_completion=False)

#: device of a single operator where none is named
USUAL = "h100-sxm"
#: time [s] and memory [B] of a printed row
_SECONDS, _ROOM = 2e-5, 2e3
Bits = Annotated[
    float,
    typer.Option(
        "--bits", parser=read_bits, metavar="BITS", help="Precision of both operands: 16, 8, 6 or 4, or such as fp8."
    ),
]
List = "such as 1,16,4096, or 1:4096 for powers of two."


@app.command()
def matmul(
    m: Annotated[str, typer.Option("--m", help=f"Rows; {List}")],
    n: Annotated[str, typer.Option("--n", help=f"Columns; {List}")],
    k: Annotated[str, typer.Option("--k", help=f"Depth; {List}")],
    device: DeviceName = USUAL,
    bits: Bits = 16,
    library: Annotated[
        str | None,
        typer.Option(
            "--library",
            help="A framework's own 8 or 4 bit matmuls, such as vllm-8bit.",
            autocompletion=name_of("library"),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Matmuls, weights in HBM: time, interval, and what bounds them."""
    found, axes = _matmuls(device, m, n, k, bits, library)
    title = f"Matmuls on {device}, {library or f'{bits:g} bit'}"
    _answer(found, _rows(found, axes), device, title, as_json)


@app.command()
def attention(
    batch: Annotated[str, typer.Option("--batch", help=f"Sequences; {List}")] = "1",
    heads: Annotated[int, typer.Option("--heads", min=1, help="Query heads on the device, such as 64.")] = 32,
    kv_heads: Annotated[int, typer.Option("--kv-heads", min=1, help="Key-value heads on the device, such as 8.")] = 8,
    head_dim: Annotated[int, typer.Option("--head-dim", min=1, help="Width of a head, such as 128.")] = 128,
    context: Annotated[str, typer.Option("--context", help=f"Tokens of each sequence; {List}")] = "4096",
    window: Annotated[
        int, typer.Option("--window", min=0, help="Reach of a sliding window, such as 1024; 0 is none.")
    ] = 0,
    phase: Annotated[
        str, typer.Option("--phase", help="prefill or decode.", autocompletion=one_of("prefill", "decode"))
    ] = "decode",
    kv_bits: Annotated[float, typer.Option("--kv-bits", help="Precision of the KV cache, such as 8.")] = 16,
    device: DeviceName = USUAL,
    as_json: Json = False,
) -> None:
    """Attention of one layer: time, interval, and what bounds it."""
    shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim, "window": window, "kv_bits": kv_bits}
    found, axes = _attentions(device, phase, batch, context, shape)
    _answer(found, _rows(found, axes), device, f"Attention in {phase} on {device}", as_json)


@app.command()
def collective(
    asked_for: typer.Context,
    size: Annotated[str, typer.Option("--bytes", help="Of the whole message, such as 64KB,1MB, or 1KB:1GB doubling.")],
    devices: Annotated[int, typer.Option("--devices", min=2, help="Devices that take part, such as 8.")] = 8,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="all-reduce, all-gather, reduce-scatter or all-to-all.",
            autocompletion=one_of("all-reduce", "all-gather", "reduce-scatter", "all-to-all"),
        ),
    ] = "all-reduce",
    device: DeviceName = USUAL,
    link: LinkName = None,
    scale_out: ScaleOutName = None,
    within: ClusterName = None,
    by: CollectiveBy = "",
    launch: Launch = "",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Collectives: time, interval, bus bandwidth and algorithm, and what each level of links takes."""
    device, link = of_cluster(within, device, is_given(asked_for, "device"), link)
    chip = hardware(device, devices, link=link, scale_out=scale_out, settings=settings)
    found, rows = _collectives(called(chip, by, launch), sizes(size), kind, devices)
    calls = {name: found.attributes[name] for name in ("by", "launch")}
    title = f"{kind} over {devices} {device}, by {calls['by']}, {calls['launch']}"
    said = single.collective_notes(called(chip, by, launch), float(devices), kind)
    if not by and not launch:
        said.append("the interval holds who else may call it and how; say it with --by and --launch")
    _answer(found, rows, device, title, as_json, calls, said)


def _answer(
    found: Figures,
    rows: list[dict[str, Any]],
    device: str,
    title: str,
    as_json: bool,
    about: Mapping[str, str] | None = None,
    said: Sequence[str] = (),
) -> None:
    """Print operators as JSON, or as a table and where the notes on their device are told."""

    def printed(data: dict[str, Any]) -> None:
        print_kernels(data["rows"], title)
        for note in said:
            say(note)
        say_notes({device: cluster(device).device})

    told = {key: found.attributes[key] for key in ("notes", "weakest_fact")}
    answer({**(about or {}), "rows": rows, **told}, as_json, printed)


def _rows(found: Figures, axes: dict[str, list[Any]], **more: str) -> list[dict[str, Any]]:
    """Return rows: the shape, then ``time_s``, ``lower_s``, ``upper_s``, ``bound`` and what else is asked."""
    shown = {"time": "time_s", "lower": "lower_s", "upper": "upper_s", "bound": "bound", **more}
    columns = {key: found.over(name, *axes).ravel().tolist() for name, key in shown.items()}
    shapes = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    return [{**shape, **{key: column[i] for key, column in columns.items()}} for i, shape in enumerate(shapes)]


def _matmuls(device: str, m: str, n: str, k: str, bits: float, library: str | None) -> tuple[Figures, dict[str, Any]]:
    """Return matmuls and the axes of their sizes."""
    axes: dict[str, Any] = {"m": counts(m, "--m"), "n": counts(n, "--n"), "k": counts(k, "--k")}
    need_affordable("matmul", {name: len(each) for name, each in axes.items()}, seconds=_SECONDS, room=_ROOM)
    return single.matmul_figures(cluster(device), **axes, bits=bits, library=library), axes


def _attentions(
    device: str, phase: str, batch: str, context: str, shape: Mapping[str, Any]
) -> tuple[Figures, dict[str, Any]]:
    """Return attention of one layer and the axes of its sizes."""
    axes: dict[str, Any] = {"batch": counts(batch, "--batch"), "context": counts(context, "--context")}
    need_affordable("attention", {name: len(each) for name, each in axes.items()}, seconds=_SECONDS, room=_ROOM)
    return single.attention_figures(cluster(device), phase, {**axes, **shape}), axes


def matmul_rows(device: str, m: str, n: str, k: str, bits: float, library: str | None = None) -> list[dict[str, Any]]:
    """Return rows ``{m, n, k, time_s, lower_s, upper_s, bound}``; SpecError where an input is not allowed."""
    return _rows(*_matmuls(device, m, n, k, bits, library))


def attention_rows(device: str, phase: str, batch: str, context: str, shape: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows ``{batch, context, time_s, lower_s, upper_s, bound}``; SpecError where an input is not allowed."""
    return _rows(*_attentions(device, phase, batch, context, shape))


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
        raise SpecError(f"--bytes {brief(text)} must be above 0 B, and a range must rise; write 64KB,1MB or 1KB:1GB")
    return found


def collective_rows(device: str, link: str | None, kind: str, size: str, devices: int) -> list[dict[str, Any]]:
    """Return rows ``{bytes, devices, time_s, lower_s, upper_s, bound, busbw_bytes_per_s, algorithm, levels}``."""
    return _collectives(cluster(device, devices, link), sizes(size), kind, devices)[1]


def _collectives(chip: Cluster, size: list[float], kind: str, devices: int) -> tuple[Figures, list[dict[str, Any]]]:
    """Return collectives, and a row of each message with what each level of links takes of it."""
    found = single.collective_figures(chip, size, kind, devices)
    rows = _rows(found, {"size": found.labels["size"].tolist()}, busbw="busbw_bytes_per_s", algorithm="algorithm")
    code = COLLECTIVES[kind]
    return found, [
        {"bytes": row.pop("size"), "devices": devices, **row, "levels": phases(code, devices, message, name, chip)}
        for row in rows
        for message, name in [(row["size"], row["algorithm"])]
    ]


def print_kernels(rows: list[dict[str, Any]], title: str) -> None:
    """Print operators, one line each."""
    units = {"time_s": "s", "lower_s": "s", "upper_s": "s", "bytes": "B", "busbw_bytes_per_s": "B/s"}
    names = [name for name in rows[0] if name != "levels"]
    print_table(
        title,
        [name.removesuffix("_s").removesuffix("_bytes_per") for name in names],
        [[show(row[n], units[n], 3) if n in units else str(row[n]) for n in names] for row in rows],
    )
    if len(rows[-1].get("levels", [])) > 1:
        say(f"{show(rows[-1]['bytes'], 'B', 3)} by levels, which run side by side: {_by_levels(rows[-1]['levels'])}")


def _by_levels(levels: list[dict[str, Any]]) -> str:
    """Return what each level takes, in words."""
    return "; ".join(
        f"{each['level']} over {each['units']:g}: {show(each['hops_s'], 's', 3)} of hops, "
        f"{show(each['wire_s'], 's', 3)} on the wire"
        for each in levels
    )
