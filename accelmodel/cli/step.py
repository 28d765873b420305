"""The commands ``step`` and ``preserve``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from accelmodel.cli.completion import name_of, one_of, several
from accelmodel.cli.memory import memory_data, memory_in_words, with_share
from accelmodel.cli.options import counts, hardware, names, of_cluster
from accelmodel.cli.step_options import (
    L2,
    Acceptance,
    AnyModelName,
    Cores,
    Devices,
    DraftName,
    ExchangeKernels,
    HbmBandwidth,
    HbmCapacity,
    Hybrid,
    Imbalance,
    L2Bandwidth,
    Library,
    LinkBandwidth,
    MemoryShare,
    PrefillTokens,
    RedundantExperts,
    Routing,
    Rule,
    Settings,
    Speculative,
    Threshold,
    TwoBatch,
    load_of_experts,
    of_experts,
    speculation,
)
from accelmodel.cli.tower_options import AudioSeconds, Images, ImageSize, towers_asked
from accelmodel.estimates import need_affordable
from accelmodel.inference.attributes import BITS, DEGREES
from accelmodel.inference.degree import holds, largest_degree, smallest_degree
from accelmodel.inference.figures import Figures
from accelmodel.inference.intervals import by_kind
from accelmodel.inference.policies import Technique, policy
from accelmodel.inference.precisions import rows_in_words
from accelmodel.inference.reading import all_in_words, in_words, reading, readings
from accelmodel.inference.request import RequestPhase, speedups
from accelmodel.inference.step import figures, prepare
from accelmodel.specs.base import Spec
from accelmodel.specs.bits import plain
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr
from typing import Annotated

import typer

from accelmodel.cli.options import (
    ActivationBits,
    ClusterName,
    DeviceName,
    Json,
    KvBits,
    LinkName,
    PaperActivationBits,
    PaperKvBits,
    PaperWeightBits,
    ScaleOutName,
    WeightBits,
    answer,
    asked_bits,
)
from accelmodel.cli.progress import working
from accelmodel.cli.terminal import print_table, say, say_intervals, say_notes

app = typer.Typer(add_completion=False)


#: variable of a step over operators → its key in JSON
OPERATOR_KEYS = {
    "count": "count",
    "time": "time_s",
    "lower": "lower_s",
    "upper": "upper_s",
    "bound": "bound",
    "algorithm": "algorithm",
    "flops": "flops",
    "hbm_bytes": "hbm_bytes",
    "l2_hit_bytes": "l2_hit_bytes",
    "link_bytes": "link_bytes",
    "fetched_bytes": "fetched_bytes",
}


#: variables that only some steps have: with a draft, or beside part of a prompt
SOMETIMES = ("tokens_per_step", "prefill_tokens_per_s")


def step_data(found: Figures) -> dict[str, Any]:
    """Return a step without axes as JSON-ready data."""
    operators = []
    for row, name in enumerate(found.labels["operator"]):
        if found["count"][row]:
            operators.append({"name": name, **{key: found[each][row].item() for each, key in OPERATOR_KEYS.items()}})
    totals = {f"{name}_s": found[name].item() for name in ("tpot", "ttft") if name in found.variables}
    about = found.attributes
    asked = {**json.loads(about["sizes"]), **json.loads(about["degrees"])}
    return {
        **{key: about[key] for key in ("model", "device", "link", "technique", "phase")},
        "devices": int(float(about["devices"])),
        **{key: int(value) for key, value in asked.items()},
        **json.loads(about["bits"]),
        "precision": json.loads(about["precision"]),
        **json.loads(about.get("speculation", "{}")),
        **({"experts": json.loads(about["experts"])} if "experts" in about else {}),
        "time_s": found["step_time"].item(),
        "lower_s": found["step_time_lower"].item(),
        "upper_s": found["step_time_upper"].item(),
        **totals,
        **{name: found[name].item() for name in ("tokens_per_s", "prefetched_bytes", "memory_bytes")},
        **{name: found[name].item() for name in SOMETIMES if name in found.variables},
        "operators": operators,
        "overrides": json.loads(about["overrides"]),
        **{key: about[key] for key in ("notes", "weakest_fact", "sources", "digests", "accelmodel_version")},
    }


def print_step(data: dict[str, Any]) -> None:
    """Print a step, operator by operator."""
    rows = [
        [
            row["name"],
            f"{row['count']:g}",
            *(show(row[key], "s", 3) for key in ("time_s", "lower_s", "upper_s")),
            f"{row['time_s'] / data['time_s']:.1%}",
            row["bound"] + (f" ({row['algorithm']})" if row["algorithm"] != "none" else ""),
            show(row["flops"], "FLOP", 3),
            show(row["hbm_bytes"], "B", 3),
            show(row["l2_hit_bytes"], "B", 3),
            show(row["link_bytes"], "B", 3),
        ]
        for row in data["operators"]
    ]
    columns = ["operator", "count", "time", "lower", "upper", "share", "bound", "FLOPs", "HBM", "L2 hits", "link"]
    where = f"{data['devices']} x {data['device']}"
    title = f"{data['phase']} step of {data['model']} on {where}, technique {data['technique']}"
    print_table(title, columns, rows, spare=["link", "L2 hits", "FLOPs", "HBM", "count", "share"])
    say(
        ", ".join(
            f"{name.replace('_', ' ')} {data[name]:g}" for name in ("batch", "context", "prefix", *DEGREES, *BITS)
        )
    )
    if "draft" in data:
        say(
            f"{data['speculative']:g} tokens drafted by {data['draft']}, {data['tokens_per_step']:.3g} a step and "
            f"sequence in the end: {show(data['tpot_s'], 's')} a token"
        )
    if "prefill_tokens" in data:
        say(f"{data['prefill_tokens']:g} tokens of prompts beside: {data['prefill_tokens_per_s']:.4g} tokens/s")
    say(
        f"step {show(data['time_s'], 's')}, nine of ten measured between {show(data['lower_s'], 's')} and "
        f"{show(data['upper_s'], 's')}; {data['tokens_per_s']:.4g} tokens/s"
    )
    say(
        f"memory per device {show(data['memory_bytes'], 'B')}, prefetched {show(data['prefetched_bytes'], 'B')}; "
        f"weakest fact behind it: {data['weakest_fact']}"
    )
    say(memory_in_words(data["memory"]))


def speedup_data(result: xr.Dataset) -> dict[str, Any]:
    """Return the comparison of techniques as JSON-ready rows."""
    rows = []
    for index in np.ndindex(*(result.sizes[dim] for dim in ("model", "tp", "batch", "context"))):
        at = result.isel(dict(zip(("model", "tp", "batch", "context"), index, strict=True)))
        rows.append(
            {
                "model": str(at.model.item()),
                **{dim: int(at[dim]) for dim in ("tp", "batch", "context")},
                **{f"{name}_s": float(at[name]) for name in ("baseline", "preserve", "fused")},
                "speedup": float(at.speedup),
                "prefetched_bytes": float(at.prefetched_bytes),
                "feasible": bool(at.feasible),
            }
        )
    fitting = result.speedup.where(result.feasible)
    return {
        "device": result.attrs["device"],
        "phase": result.attrs["phase"],
        "max_speedup": float(fitting.max()),
        "min_speedup": float(fitting.min()),
        "skipped": result.attrs["skipped"],
        **{key: json.loads(result.attrs[key]) for key in ("bits", "precision")},
        **{key: result.attrs[key] for key in ("notes", "weakest_fact")},
        "rows": rows,
    }


def print_speedups(data: dict[str, Any]) -> None:
    """Print the comparison of techniques."""
    rows = [
        [
            row["model"],
            *(str(row[key]) for key in ("tp", "batch", "context")),
            *(show(row[f"{name}_s"], "s") for name in ("baseline", "fused", "preserve")),
            f"{row['speedup']:.3f}" if row["feasible"] else "does not fit",
            show(row["prefetched_bytes"], "B"),
        ]
        for row in data["rows"]
    ]
    columns = ["model", "tp", "batch", "context", "baseline", "fused", "PRESERVE", "speed-up", "prefetched"]
    print_table(f"PRESERVE on {data['device']}, {data['phase']}", columns, rows, spare=["prefetched", "fused"])
    say(f"speed-up from {data['min_speedup']:.3f} to {data['max_speedup']:.3f} where it fits")
    say_intervals(data["operator_intervals"])


#: device of a step where none is named
USUAL = "ascend-910b2"
#: models of a step where none is named, the first that fits
MODELS = ("llama-3-70b", "llama-3-8b")
#: precisions of the paper on PRESERVE, of models whose files state none [bit]
PAPER_BITS = dict.fromkeys(BITS, 8.0)
#: tensor-parallel degree of the paper on PRESERVE
PAPER_DEGREE = 8
#: time [s] and memory [B] of a printed comparison
_SECONDS, _ROOM = 3e-3, 2e4
#: fields of the device and its link that have an option of their own
SHORTCUTS = ("l2_capacity", "hbm_bandwidth", "hbm_capacity", "l2_bandwidth", "link_bandwidth", "cores")


def _technique(name: str, threshold: float | None, rule: str | None) -> Technique:
    """Return a technique with the parameters that were given; SpecError where it takes none of that name."""
    given: dict[str, float | str | None] = {"threshold": threshold, "rule": rule}
    return policy(name, **{key: value for key, value in given.items() if value is not None})


def _hardware(
    device: str, devices: int | None, link: str | None, shortcuts: dict[str, Any], settings: Any, scale_out: Any = None
) -> Any:
    return hardware(device, devices, link=link, scale_out=scale_out, shortcuts=shortcuts, settings=settings)


def _default_model(cluster: Cluster, work: dict[str, Any], tp: int | None) -> str:
    """Return the model of a step where none is named: the first that the devices hold, or else the first of all."""
    known = {name: load("model", name) for name in MODELS}
    fits = (
        name
        for name, spec in known.items()
        if holds(spec, cluster, tp=tp or smallest_degree(spec, cluster, **work), **work)
    )
    return next(fits, MODELS[0])


def _shown(device: str, cluster: Cluster) -> dict[str, Spec]:
    """Return the specifications of a cluster by the names under which ``show`` tells of them."""
    links = {spec.name: spec for spec in cluster.levels}
    return {device: cluster.device, **links}


@app.command()
def step(
    model: AnyModelName = None,
    device: DeviceName = USUAL,
    devices: Devices = None,
    link: LinkName = None,
    scale_out: ScaleOutName = None,
    within: ClusterName = None,
    phase: Annotated[
        str,
        typer.Option(
            "--phase",
            help="prefill, decode or mixed; mixed is decode beside part of a prompt.",
            autocompletion=one_of("prefill", "decode", "mixed"),
        ),
    ] = "decode",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences, such as 16.")] = 1,
    context: Annotated[
        int, typer.Option("--context", min=1, help="Tokens of each sequence when the step ends, such as 8192.")
    ] = 2048,
    prefix: Annotated[int, typer.Option("--prefix", min=0, help="Tokens whose KV is already there, such as 1024.")] = 0,
    prefill_tokens: PrefillTokens = 0,
    speculative: Speculative = None,
    acceptance: Acceptance = None,
    draft: DraftName = "",
    tp: Annotated[
        int | None,
        typer.Option("--tp", min=1, help="Tensor parallelism, such as 8; the smallest of a node that fits by default."),
    ] = None,
    pp: Annotated[int, typer.Option("--pp", min=1, help="Pipeline parallelism, such as 2.")] = 1,
    ep: Annotated[int, typer.Option("--ep", min=1, help="Expert parallelism, such as 8.")] = 1,
    dp: Annotated[int, typer.Option("--dp", min=1, help="Data-parallel attention, such as 8.")] = 1,
    redundant_experts: RedundantExperts = 0,
    routing: Routing = "uniform",
    imbalance: Imbalance = None,
    exchange: ExchangeKernels = None,
    two_batch_overlap: TwoBatch = False,
    weight_bits: WeightBits = None,
    activation_bits: ActivationBits = None,
    kv_bits: KvBits = None,
    images: Images = 0,
    image_size: ImageSize = None,
    audio_seconds: AudioSeconds = 0.0,
    technique: Annotated[
        str,
        typer.Option(
            "--technique", help="none, fused or preserve.", autocompletion=one_of("none", "fused", "preserve")
        ),
    ] = "none",
    threshold: Threshold = None,
    rule: Rule = None,
    hybrid: Hybrid = None,
    library: Library = None,
    l2: L2 = None,
    hbm_bandwidth: HbmBandwidth = None,
    hbm_capacity: HbmCapacity = None,
    memory_share: MemoryShare = None,
    l2_bandwidth: L2Bandwidth = None,
    link_bandwidth: LinkBandwidth = None,
    cores: Cores = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """One prefill, decode or mixed step, operator by operator."""
    shortcuts = dict(
        zip(SHORTCUTS, (l2, hbm_bandwidth, hbm_capacity, l2_bandwidth, link_bandwidth, cores), strict=True)
    )
    chosen = _technique(technique, threshold, rule)
    device, link = of_cluster(within, device, USUAL, link)
    cluster = with_share(_hardware(device, devices, link, shortcuts, settings, scale_out), memory_share)
    work: dict[str, Any] = {"phase": phase, "batch": batch, "context": context, "prefix": prefix}
    work |= {"pp": pp, "ep": ep, "dp": dp, "prefill_tokens": prefill_tokens}
    work |= speculation(speculative, acceptance, draft)
    work |= of_experts(redundant_experts, exchange, two_batch_overlap)
    work |= asked_bits(weight_bits=weight_bits, activation_bits=activation_bits, kv_bits=kv_bits)
    named = model
    model = named or _default_model(cluster, work, tp)
    asked = load("model", model)
    work |= load_of_experts(routing, imbalance, asked, work)
    towers, heard = towers_asked(asked, context, images, image_size, audio_seconds)
    taken = tp or smallest_degree(asked, cluster, **work)
    question = workload(**work, **towers, tp=taken)
    inputs = prepare(asked, cluster, question)
    if hybrid:
        from accelmodel.calibration.hybrid import corrected

        inputs = corrected(inputs, hybrid)
    if library:
        from accelmodel.inference.kernel_library import on_library

        inputs = on_library(inputs, load("library", library))
    data = step_data(figures(inputs, chosen))
    said = [] if tp or taken == 1 else [f"tp {taken} is the smallest of a node that fits; --tp takes another"]
    said = [*heard, *said]
    if named != model and model != MODELS[0]:
        said.append(f"{model}, since {MODELS[0]} does not fit; --model takes another")
    data["notes"] = "; ".join(filter(None, [*said, data["notes"]]))
    data["read"] = reading(inputs.model, question)
    data["memory"] = memory_data(inputs.model, question, cluster.device)

    def printed(data: dict[str, Any]) -> None:
        print_step(data)
        say(f"{data['model']} {in_words(data['read'])}")
        for note in [*said, *inputs.table.notes]:
            say(note)
        say_notes({model: inputs.model, **_shown(device, cluster)})

    answer(data, as_json, printed)


@app.command()
def preserve(
    device: DeviceName = "ascend-910b2",
    devices: Devices = None,
    link: LinkName = None,
    models: Annotated[
        str,
        typer.Option(
            "--models", "--model", help="Such as llama-3-8b,llama-3-70b.", autocompletion=several(name_of("model"))
        ),
    ] = "llama-3-8b,llama-3-70b",
    tp: Annotated[
        str | None, typer.Option("--tp", help="Such as 2,4,8; 8, or all of a smaller cluster, by default.")
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Such as 1,4 or 1:64 (powers of two).")] = "4",
    context: Annotated[str, typer.Option("--context", help="Total length; such as 2048:32768.")] = "16384",
    phase: Annotated[
        str,
        typer.Option(
            "--phase",
            help="end-to-end (the paper's mix), decode or prefill.",
            autocompletion=one_of("end-to-end", "decode", "prefill"),
        ),
    ] = "end-to-end",
    weight_bits: PaperWeightBits = None,
    activation_bits: PaperActivationBits = None,
    kv_bits: PaperKvBits = None,
    threshold: Threshold = None,
    rule: Rule = None,
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
    shortcuts = dict(
        zip(SHORTCUTS, (l2, hbm_bandwidth, hbm_capacity, l2_bandwidth, link_bandwidth, cores), strict=True)
    )
    cluster = _hardware(device, devices, link, shortcuts, settings)
    compared = {name: load("model", name) for name in names(models)}
    degrees = counts(tp, "--tp") if tp else [min(PAPER_DEGREE, largest_degree(cluster))]
    axes = {"tp": degrees, "batch": counts(batch, "--batch"), "context": counts(context, "--context")}
    bits = asked_bits(weight_bits=weight_bits, activation_bits=activation_bits, kv_bits=kv_bits)
    sizes = {"models": len(compared), **{name: len(values) for name, values in axes.items()}}
    need_affordable("preserve", sizes, seconds=_SECONDS, room=_ROOM)
    precision = [{**(PAPER_BITS if plain(each) else {}), **bits} for each in compared.values()]
    with working("speed-ups"):
        result = speedups(
            list(compared.values()),
            cluster,
            *axes.values(),
            phase=cast("RequestPhase", phase),
            prefetch=_technique("preserve", threshold, rule),
            precision=precision,
        )
    data = speedup_data(result)
    taken = {name: float(np.max(each)) for name, each in data["bits"].items()}
    widest = max(taken["weight_bits"], taken["activation_bits"])
    data["operator_intervals"] = by_kind(cluster, "", widest, taken["kv_bits"])
    data["read"] = readings(compared.values(), precision)

    def printed(data: dict[str, Any]) -> None:
        print_speedups(data)
        for line in all_in_words(data["read"]):
            say(line)
        for name, model in compared.items():
            told = rows_in_words([row for row in data["precision"] if row["model"] == model.name])
            if told:
                say(f"{name}: {told}")
        say_notes({**compared, **_shown(device, cluster)})

    answer(data, as_json, printed)
