"""The command ``step``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from accelmodel.cli.completion import name_of, one_of
from accelmodel.cli.memory import memory_data, memory_in_words, with_share
from accelmodel.cli.options import hardware, is_given, of_cluster
from accelmodel.cli.step_options import (
    L2,
    SHORTCUTS,
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
    shown,
    speculation,
    technique_of,
)
from accelmodel.cli.tower_options import AudioSeconds, Images, ImageSize, towers_asked
from accelmodel.errors import SpecError
from accelmodel.inference.calls import as_engine, called, calling, taken_calls
from accelmodel.inference.degree import holds, smallest_degree
from accelmodel.inference.figures import Figures
from accelmodel.inference.hosted import with_host, without_host
from accelmodel.inference.precisions import need_fused, rows_in_words
from accelmodel.inference.reading import in_words, reading
from accelmodel.inference.step import figures, prepare
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.units import show

if TYPE_CHECKING:
    pass
from typing import Annotated

import typer

from accelmodel.cli.options import (
    ActivationBits,
    By,
    ClusterName,
    DeviceName,
    Json,
    KvBits,
    Launch,
    LinkName,
    ScaleOutName,
    WeightBits,
    answer,
    asked_bits,
)
from accelmodel.cli.sections import Grouped
from accelmodel.cli.terminal import print_table, say, say_notes

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
    "energy": "energy_j",
}

#: variable of a whole step that says what it takes → its key in JSON
ENERGY_KEYS = {
    "step_energy": "energy_j",
    "step_energy_lower": "energy_lower_j",
    "step_energy_upper": "energy_upper_j",
    "power": "power_w",
    "power_stretch": "power_stretch",
    "joules_per_token": "joules_per_token",
}


#: variables that only some steps have: with a draft, or beside part of a prompt
SOMETIMES = {
    "tokens_per_step": "tokens_per_step",
    "prefill_tokens_per_s": "prefill_tokens_per_s",
    "host_time": "host_s",
    **{f"{name}_{end}": f"{name}_{end}_s" for name in ("ttft", "tpot") for end in ("lower", "upper")},
}


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
        **({"engine": about["engine"]} if "engine" in about else {}),
        **({"experts": json.loads(about["experts"])} if "experts" in about else {}),
        "time_s": found["step_time"].item(),
        "lower_s": found["step_time_lower"].item(),
        "upper_s": found["step_time_upper"].item(),
        **totals,
        **{name: found[name].item() for name in ("tokens_per_s", "prefetched_bytes", "memory_bytes")},
        **{key: found[name].item() for name, key in SOMETIMES.items() if name in found.variables},
        **{key: found[each].item() for each, key in ENERGY_KEYS.items()},
        "operators": operators,
        "overrides": json.loads(about["overrides"]),
        **{key: about[key] for key in ("notes", "weakest_fact", "sources", "digests", "accelmodel_version")},
    }


def _no_engine(data: dict[str, Any]) -> str:
    """Return what is said where nobody says which engine serves."""
    name = "ttft" if "ttft_s" in data else "tpot"
    low, high = (show(data[f"{name}_{end}_s"], "s") for end in ("lower", "upper"))
    return f"no engine is said: times are those of the kernels; with one {name} is {low} to {high}, see --engine"


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
            show(row["energy_j"], "J", 3),
        ]
        for row in data["operators"]
    ]
    columns = ["operator", "count", "time", "lower", "upper", "share", "bound", "FLOPs", "HBM", "L2 hits", "link"]
    columns.append("energy")
    where = f"{data['devices']} x {data['device']}"
    title = f"{data['phase']} step of {data['model']} on {where}, technique {data['technique']}"
    print_table(title, columns, rows, spare=["link", "L2 hits", "energy", "FLOPs", "HBM", "count", "share"])
    for line in said_of_step(data):
        say(line)


def said_of_step(data: dict[str, Any]) -> list[str]:
    """Return what a step takes, holds and was asked, a line each, the answer first."""
    per_token = f"{show(data['tpot_s'], 's')} a token, " if "draft" in data else ""
    said = [
        f"step {show(data['time_s'], 's')}, nine of ten measured between {show(data['lower_s'], 's')} and "
        f"{show(data['upper_s'], 's')}; {per_token}{data['tokens_per_s']:.4g} tokens/s"
    ]
    if "prefill_tokens" in data:
        said.append(f"{data['prefill_tokens']:g} tokens of prompts beside: {data['prefill_tokens_per_s']:.4g} tokens/s")
    if "draft" in data:
        many = f"{data['speculative']:g} token{'' if data['speculative'] == 1 else 's'}"
        said.append(
            f"{data['draft']} drafts {many} a step and sequence, of which {data['tokens_per_step'] - 1.0:.3g} are "
            f"taken: {data['tokens_per_step']:.3g} a step"
        )
    if data["prefetched_bytes"]:
        said.append(f"prefetched {show(data['prefetched_bytes'], 'B')}")
    if "engine" in data:
        said.append(_hosted(data))
    said.append(_energy_in_words(data))
    said.append(memory_in_words(data["memory"]))
    asked = ", ".join(f"{name} {data[name]:g}" for name in ("batch", "context", "tp", *_shown(data)))
    if any(row["link_bytes"] for row in data["operators"]):
        asked += f", collectives by {data['by']}, {data['launch']}"
    return [*said, f"{asked}; weakest fact behind it: {data['weakest_fact']}"]


def _hosted(data: dict[str, Any]) -> str:
    """Return what a step takes with the engine's host, which is what its users see."""
    name = "ttft" if "ttft_s" in data else "tpot"
    time, low, high = (show(data[f"{name}{end}_s"], "s") for end in ("", "_lower", "_upper"))
    host = f"the host of {data['engine']} adds {show(data['host_s'], 's')}"
    return f"{host}: {name} {time}, nine of ten measured between {low} and {high}"


def _energy_in_words(data: dict[str, Any]) -> str:
    """Return what a token and a device take."""
    used = data["tp"] * data["pp"] * data["dp"]
    of = f" of {used} devices" if used > 1 else ""
    power = f"{show(data['power_w'], 'W')} each" if used > 1 else show(data["power_w"], "W")
    held = f", which holds down the clock: {data['power_stretch']:.3g} times as long" * (data["power_stretch"] > 1.0)
    return f"{show(data['joules_per_token'], 'J')} a token{of}, {power}{held}"


def _shown(data: dict[str, Any]) -> list[str]:
    """Return the sizes and degrees that are worth a word: those that are not as they are by default."""
    return [name for name, usual in _QUIET.items() if data[name] != usual]


#: what an answer keeps quiet about, at these values
_QUIET = {"prefix": 0, "pp": 1, "ep": 1, "dp": 1}


#: device of a step where none is named
USUAL = "ascend-910b2"
#: models of a step where none is named, the first that fits
MODELS = ("llama-3-70b", "llama-3-8b")


def _default_model(cluster: Cluster, work: dict[str, Any], tp: int | None) -> str:
    """Return the model of a step where none is named: the first that the devices hold, or else the first of all."""
    known = {name: load("model", name) for name in MODELS}
    fits = (
        name
        for name, spec in known.items()
        if holds(spec, cluster, tp=tp or smallest_degree(spec, cluster, **work), **work)
    )
    return next(fits, MODELS[0])


@app.command(cls=Grouped)
def step(
    asked_for: typer.Context,
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
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="Engine whose host adds its work to the step, such as in-flight, or a TOML file; none by default.",
            autocompletion=name_of("engine"),
        ),
    ] = "",
    cpu: Annotated[
        str,
        typer.Option(
            "--cpu",
            help="Processor that the engine's host runs on, such as epyc-7r13, or a TOML file; its own by default.",
            autocompletion=name_of("cpu"),
        ),
    ] = "",
    by: By = "",
    launch: Launch = "",
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
    if phase == "mixed" and not prefill_tokens:
        raise SpecError("--phase mixed needs --prefill-tokens, such as 512: how much of a prompt is beside")
    chosen = technique_of(technique, threshold, rule)
    device, link = of_cluster(within, device, is_given(asked_for, "device"), link)
    whole = hardware(device, devices, link=link, scale_out=scale_out, shortcuts=shortcuts, settings=settings)
    host = calling(load("engine", engine), by, launch) if engine else None
    whole = as_engine(whole, host) if host else called(whole, by, launch)
    cluster = with_share(whole, memory_share)
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
    step = figures(inputs, chosen)
    if cpu and not engine:
        raise SpecError("--cpu is what an engine's host runs on; give --engine too, such as in-flight")
    if host:
        need_fused(host, asked, work)
    hosted = with_host(step, inputs, host, cpu) if host else without_host(step, inputs)
    data = step_data(hosted) | taken_calls(cluster, host)
    unsaid = [] if engine else [_no_engine(data)]
    said = [] if tp or taken == 1 else [f"tp {taken} is the smallest of a node that fits; --tp takes another"]
    said = [*heard, *said, *unsaid]
    if named != model and model != MODELS[0]:
        said.append(f"{model}, since {MODELS[0]} does not fit; --model takes another")
    data["notes"] = "; ".join(filter(None, [*said, data["notes"]]))
    data["read"] = reading(inputs.model, question)
    data["memory"] = memory_data(inputs.model, question, cluster.device)

    def printed(data: dict[str, Any]) -> None:
        seen: set[str] = set()
        print_step(data)
        told = rows_in_words(data["precision"])
        say(f"{data['model']} {in_words(data['read'], by_class=bool(told))}")
        for note in [*filter(None, [told]), *said, *inputs.table.notes]:
            if note not in seen and not note.startswith(f"{data.get('draft')} drafts"):
                say(note)
                seen.add(note)
        say_notes({model: inputs.model, **shown(device, cluster)})

    answer(data, as_json, printed)
