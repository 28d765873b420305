"""The command line: parse, call, print.  No physics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import __version__
from accelmodel.cli import cake as cli_cake
from accelmodel.cli import instances as cli_instances
from accelmodel.cli import operators as cli_kernels
from accelmodel.cli.options import DeviceName, Json, LinkName, ModelName, WeightBits, emit
from accelmodel.errors import Infeasible, SpecError

app = typer.Typer(
    name="accelmodel",
    help="Performance model and design-space explorer for the accelerators that serve large language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_cake.app)
app.add_typer(cli_kernels.app)

Devices = Annotated[int | None, typer.Option("--devices", min=1, help="Devices in the cluster; one node by default.")]
L2 = Annotated[str | None, typer.Option("--l2", help="L2 capacity, such as 104MB.")]
HbmBandwidth = Annotated[str | None, typer.Option("--hbm-bandwidth", help="Such as 3.35TB/s.")]
HbmCapacity = Annotated[str | None, typer.Option("--hbm-capacity", help="Such as 80GB.")]
LinkBandwidth = Annotated[str | None, typer.Option("--link-bandwidth", help="One way, all links of a device.")]
L2Bandwidth = Annotated[str | None, typer.Option("--l2-bandwidth", help="Such as 7TB/s.")]
Cores = Annotated[str | None, typer.Option("--cores", help="Cores; the rates scale with them.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="FIELD=VALUE of the device, link.… or scale_out.…; repeatable.")
]
Hybrid = Annotated[
    str | None,
    typer.Option("--hybrid", help="Correct the laws by installed tables of the device: TensorRT-LLM, vLLM or SGLang."),
]
Library = Annotated[
    str | None, typer.Option("--library", help="A framework's own 8 or 4 bit products, such as vllm-8bit.")
]
ActivationBits = Annotated[float, typer.Option("--activation-bits")]
KvBits = Annotated[float, typer.Option("--kv-bits")]
Threshold = Annotated[float, typer.Option("--threshold", help="Share of usable L2 that prefetches may fill.")]
Rule = Annotated[str, typer.Option("--rule", help="Admission: paper, partial or best-fit.")]


#: fields of the device and its link that have an option of their own
SHORTCUTS = ("l2_capacity", "hbm_bandwidth", "hbm_capacity", "l2_bandwidth", "link_bandwidth", "cores")


def _hardware(device: str, devices: int | None, link: str | None, shortcuts: dict[str, Any], settings: Any) -> Any:
    from accelmodel.cli.hardware import hardware

    return hardware(device, devices, link=link, shortcuts=shortcuts, settings=settings)


@app.command("list")
def list_command(
    kind: Annotated[
        str, typer.Argument(help="devices, links, models, processes, bills, storage or studies; all by default.")
    ] = "",
    as_json: Json = False,
) -> None:
    """What is known."""
    from accelmodel.cli import terminal as tables

    found = tables.known(kind)
    emit(found) if as_json else tables.print_known(found)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="Name of a device, link, model, process, bill or storage tier, or a path.")
    ],
    as_json: Json = False,
) -> None:
    """One specification with the unit, kind and source of every value."""
    from accelmodel.cli import terminal as tables

    found = tables.specification(name)
    emit(found) if as_json else tables.print_specification(found)


@app.command()
def step(
    model: ModelName = "llama-3-70b",
    device: DeviceName = "ascend-910b2",
    devices: Devices = None,
    link: LinkName = None,
    phase: Annotated[str, typer.Option("--phase", help="prefill or decode.")] = "decode",
    batch: Annotated[int, typer.Option("--batch", min=1)] = 1,
    context: Annotated[
        int, typer.Option("--context", min=1, help="Tokens of each sequence when the step ends.")
    ] = 2048,
    prefix: Annotated[int, typer.Option("--prefix", min=0, help="Tokens whose KV is already there.")] = 0,
    tp: Annotated[int, typer.Option("--tp", min=1)] = 1,
    pp: Annotated[int, typer.Option("--pp", min=1)] = 1,
    ep: Annotated[int, typer.Option("--ep", min=1)] = 1,
    dp: Annotated[int, typer.Option("--dp", min=1, help="Data-parallel attention.")] = 1,
    weight_bits: WeightBits = 16,
    activation_bits: ActivationBits = 16,
    kv_bits: KvBits = 16,
    technique: Annotated[str, typer.Option("--technique", help="none, fused or preserve.")] = "none",
    threshold: Threshold = 1.0,
    rule: Rule = "paper",
    hybrid: Hybrid = None,
    library: Library = None,
    l2: L2 = None,
    hbm_bandwidth: HbmBandwidth = None,
    hbm_capacity: HbmCapacity = None,
    l2_bandwidth: L2Bandwidth = None,
    link_bandwidth: LinkBandwidth = None,
    cores: Cores = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """One prefill or decode step, operator by operator."""
    from accelmodel.cli import terminal as tables
    from accelmodel.inference.policies import policy
    from accelmodel.inference.step import answer, pose
    from accelmodel.specs.load import load, workload

    shortcuts = dict(
        zip(SHORTCUTS, (l2, hbm_bandwidth, hbm_capacity, l2_bandwidth, link_bandwidth, cores), strict=True)
    )
    chosen = policy(technique, threshold, rule)
    cluster = _hardware(device, devices, link, shortcuts, settings)
    parallel = {"tp": tp, "pp": pp, "ep": ep, "dp": dp}
    sizes = {"phase": phase, "batch": batch, "context": context, "prefix": prefix, **parallel}
    bits = {"weight_bits": weight_bits, "activation_bits": activation_bits, "kv_bits": kv_bits}
    question = pose(load("model", model), cluster, workload(**sizes, **bits))
    if hybrid:
        from accelmodel.calibration.hybrid import corrected

        question = corrected(question, hybrid)
    if library:
        from accelmodel.inference.kernel_library import on_library

        question = on_library(question, load("library", library))
    result = answer(question, chosen, technique)
    emit(tables.step_data(result)) if as_json else tables.print_step(tables.step_data(result))


@app.command()
def preserve(
    device: DeviceName = "ascend-910b2",
    devices: Devices = None,
    link: LinkName = None,
    models: Annotated[str, typer.Option("--models", "--model", help="Comma-separated.")] = "llama-3-8b,llama-3-70b",
    tp: Annotated[str, typer.Option("--tp", help="Such as 2,4,8.")] = "8",
    batch: Annotated[str, typer.Option("--batch", help="Such as 1,4 or 1:64 (powers of two).")] = "4",
    context: Annotated[str, typer.Option("--context", help="Total length; such as 2048:32768.")] = "16384",
    phase: Annotated[
        str, typer.Option("--phase", help="end-to-end (the paper's mix), decode or prefill.")
    ] = "end-to-end",
    weight_bits: WeightBits = 8,
    activation_bits: ActivationBits = 8,
    kv_bits: KvBits = 8,
    threshold: Threshold = 1.0,
    rule: Rule = "paper",
    l2: L2 = None,
    hbm_bandwidth: HbmBandwidth = None,
    hbm_capacity: HbmCapacity = None,
    l2_bandwidth: L2Bandwidth = None,
    link_bandwidth: LinkBandwidth = None,
    cores: Cores = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Speed-up of prefetching during collectives, over models, tensor-parallel degrees, batches and lengths."""
    from accelmodel.cli import hardware as options
    from accelmodel.cli import terminal as tables
    from accelmodel.inference.policies import policy
    from accelmodel.inference.request import speedups
    from accelmodel.specs.load import load

    shortcuts = dict(
        zip(SHORTCUTS, (l2, hbm_bandwidth, hbm_capacity, l2_bandwidth, link_bandwidth, cores), strict=True)
    )
    cluster = _hardware(device, devices, link, shortcuts, settings)
    result = speedups(
        [load("model", name) for name in options.names(models)],
        cluster,
        options.counts(tp, "tp"),
        options.counts(batch, "batch"),
        options.counts(context, "context"),
        phase=phase,
        prefetch=policy("preserve", threshold, rule),
        precision={"weight_bits": weight_bits, "activation_bits": activation_bits, "kv_bits": kv_bits},
    )
    emit(tables.speedup_data(result)) if as_json else tables.print_speedups(tables.speedup_data(result))


@app.command()
def explore(
    study: Annotated[str, typer.Option("--study", help="Shipped name, or path of a TOML file.")] = "preserve-l2",
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="Optuna trials for each technique.")] = None,
    storage: Annotated[Path | None, typer.Option("--storage", help="Optuna journal; resumed if it is there.")] = None,
    objective: Annotated[
        str | None,
        typer.Option("--objective", help="throughput_per_area or tokens_per_dollar; the study's own by default."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", help="HTML report to write.")] = Path("accelmodel-report.html"),
    as_json: Json = False,
) -> None:
    """The design-space search: which chip gives the most performance per cost, with and without prefetching."""
    from accelmodel.cli import terminal as tables
    from accelmodel.dse.explore import explore as run
    from accelmodel.dse.explore import summary
    from accelmodel.dse.study import load_study
    from accelmodel.report.exploration import write_report

    question = load_study(study, objective)
    journal = storage or Path(f"accelmodel-{question.name}.journal")
    try:
        with tables.watching() as watch:
            result = run(question, journal, trials, watch)
            watch("report", 1, 0)
            written = write_report(result, output)
            watch("report", 1, 1)
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped; {journal} keeps every finished batch, run the same command again to go on\n")
        raise typer.Exit(130) from None
    data = summary(result, str(written))
    emit(data) if as_json else tables.print_exploration(data)


@app.command()
def benchmark(
    peers: Annotated[bool, typer.Option("--peers", help="Install and time the peers that can be.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Enumerate all of 1e8 designs instead of a part.")] = False,
    as_json: Json = False,
) -> None:
    """Speed on this machine, as ratios: fused kernel, its twins, and the peers."""
    from accelmodel.benchmarks.speed import benchmark as run
    from accelmodel.cli import terminal as tables

    with tables.watching() as watch:
        data = run(peers=peers, full=full, progress=lambda stage: watch(stage, 1, 1))
    emit(data) if as_json else tables.print_benchmark(data)


app.add_typer(cli_instances.app)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"accelmodel {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Performance model and design-space explorer for the accelerators that serve large language models."""


def _usage(error: Exception) -> int:
    """Say in one line what is wrong with the options; return the exit code.  Without any command, print the help."""
    if len(sys.argv) < 2:
        error.show()  # type: ignore[attr-defined]
    else:
        told = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        sys.stderr.write(f"accelmodel: {told.rstrip('.')}; see --help\n")
    return 2


def main() -> None:
    """Run the command line: exit code 0 done, 2 wrong input, 1 our fault, 130 interrupted."""
    try:
        code = app(standalone_mode=False)
    except (SpecError, Infeasible) as error:
        sys.stderr.write(f"accelmodel: {' '.join(str(error).split())}\n")
        raise SystemExit(2) from None
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("accelmodel: interrupted\n")
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception as error:
        if hasattr(error, "format_message"):  # wrong usage, however this version of typer calls it
            raise SystemExit(_usage(error)) from None
        sys.stderr.write(
            f"accelmodel: internal error ({type(error).__name__}: {error}); please report it with the command you ran\n"
        )
        raise SystemExit(1) from None
    raise SystemExit(code or 0)
