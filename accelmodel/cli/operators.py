"""The commands about single operators and accuracy: ``matmul`` … ``calibrate``, ``validate``.  No physics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from accelmodel.cli.options import DeviceName, Json, LinkName, emit

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
        str | None, typer.Option("--library", help="A framework's own 8 or 4 bit products, such as vllm-8bit.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Matrix products, weights in HBM: time, interval, and what bounds them."""
    from accelmodel.cli import operator_rows as kernel_answer
    from accelmodel.cli import tables_kernels

    rows = kernel_answer.matmul_rows(device, m, n, k, bits, library)
    title = f"Products on {device}, {library or f'{bits:g} bit'}"
    emit({"rows": rows}) if as_json else tables_kernels.print_kernels(rows, title)


@app.command()
def attention(
    batch: Annotated[str, typer.Option("--batch", help=f"Sequences; {List}")] = "1",
    heads: Annotated[int, typer.Option("--heads", min=1, help="Query heads on the device.")] = 32,
    kv_heads: Annotated[int, typer.Option("--kv-heads", min=1, help="Key-value heads on the device.")] = 8,
    head_dim: Annotated[int, typer.Option("--head-dim", min=1)] = 128,
    context: Annotated[str, typer.Option("--context", help=f"Tokens of each sequence; {List}")] = "4096",
    window: Annotated[int, typer.Option("--window", min=0, help="Reach of a sliding window; 0 is none.")] = 0,
    phase: Annotated[str, typer.Option("--phase", help="prefill or decode.")] = "decode",
    kv_bits: Annotated[float, typer.Option("--kv-bits")] = 16,
    device: DeviceName = "h100-sxm",
    as_json: Json = False,
) -> None:
    """Attention of one layer: time, interval, and what bounds it."""
    from accelmodel.cli import operator_rows as kernel_answer
    from accelmodel.cli import tables_kernels

    shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim, "window": window, "kv_bits": kv_bits}
    rows = kernel_answer.attention_rows(device, phase, batch, context, shape)
    emit({"rows": rows}) if as_json else tables_kernels.print_kernels(rows, f"Attention in {phase} on {device}")


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
    from accelmodel.cli import operator_rows as kernel_answer
    from accelmodel.cli import tables_kernels

    rows = kernel_answer.collective_rows(device, link, kind, size, devices)
    emit({"rows": rows}) if as_json else tables_kernels.print_kernels(rows, f"{kind} over {devices} {device}")


@app.command()
def calibrate(
    device: Annotated[str | None, typer.Argument(help="Name, or path of a TOML file.")] = None,
    measurements: Annotated[
        Path | None, typer.Option("--measurements", help="CSV of your own: kind, shape, bits, time_s.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="TOML file; beside the device's by default.")] = None,
    library: Annotated[
        str | None, typer.Option("--library", help="Fit a framework's own products over all devices instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit the constants that no data sheet gives to measured kernels, and write them beside the device."""
    from accelmodel.cli import operator_rows as kernel_answer
    from accelmodel.cli import tables_kernels
    from accelmodel.cli import terminal as tables
    from accelmodel.errors import SpecError

    if (device is None) == (library is None):
        raise SpecError("accelmodel calibrate fits a DEVICE or a --library; give one of them")
    with tables.watching() as watch:

        def told(stage: str) -> None:
            watch(stage, 1, 1)

        if library:
            data = kernel_answer.calibrate_library(library, output, told)
        else:
            data = kernel_answer.calibrate(str(device), measurements, output, told)
    emit(data) if as_json else tables_kernels.print_calibration(data)


@app.command()
def validate(
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Constants from other devices of the nearest architecture.")
    ] = False,
    end_to_end: Annotated[
        bool, typer.Option("--end-to-end", help="Whole servers: time per token and to the first token.")
    ] = False,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Law times interpolated residual, leave one out.")] = False,
    claims: Annotated[bool, typer.Option("--claims", help="Published claims alone, no measured kernels.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Also write the tables as Markdown.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Also write pictures, as one HTML file.")] = None,
    as_json: Json = False,
) -> None:
    """The accuracy table: what others published and measured, beside the model."""
    from accelmodel.cli import tables_kernels
    from accelmodel.cli import terminal as tables
    from accelmodel.validation import table as validation_answer

    wanted = {"transfer": transfer, "end_to_end": end_to_end, "hybrid": hybrid, "claims": claims}
    chosen = [name for name, asked in wanted.items() if asked]
    if chosen == ["claims"]:
        data = validation_answer.answer(*chosen)
    else:
        with tables.watching() as watch:
            data = validation_answer.answer(*chosen, progress=lambda stage: watch(stage, 1, 1))
    if output:
        from accelmodel.validation.cells import validation_markdown

        tables.write_text(output, validation_markdown(data))
    if report:
        from accelmodel.report.accuracy import write_report

        write_report(data, report)
    emit(data) if as_json else tables_kernels.print_validation(data)
