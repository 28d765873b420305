"""The command ``accelmodel cake``: parse, call, print.  No physics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.cli.completion import name_of, one_of, several
from accelmodel.cli.options import (
    ClusterName,
    DeviceName,
    Json,
    LinkName,
    ModelName,
    WeightBits,
    answered,
    counts,
    hardware,
    is_given,
    names,
    of_cluster,
)
from accelmodel.cli.progress import working
from accelmodel.cli.spelling import spelling
from accelmodel.cli.terminal import print_table, say, say_intervals
from accelmodel.errors import SpecError, brief
from accelmodel.estimates import need_affordable
from accelmodel.inference.precisions import by_class
from accelmodel.inference.reading import in_words
from accelmodel.kvcache.evaluate import HEADINGS, Inputs, bandwidth_words, evaluate
from accelmodel.kvcache.policies import POLICIES
from accelmodel.kvcache.traces import BANDWIDTH, budget, random_trace, read_trace
from accelmodel.specs.formats import FORMATS, bits_of
from accelmodel.specs.load import load
from accelmodel.units import parse, show

app = typer.Typer(add_completion=False)

Tokens = Annotated[str, typer.Option("--tokens", help="Length of the prompt, such as 16384, 4096,8192 or 4096:32768.")]
Bandwidth = Annotated[
    str | None, typer.Option("--bandwidth", help="A list such as 7Gibps,32Gbps,4GB/s; that of the tier by default.")
]
Utilisation = Annotated[
    str, typer.Option("--utilisation", help="Share of the token budget that the prompt has; a list such as 0.5,1.0.")
]
BandwidthTrace = Annotated[
    str | None,
    typer.Option(
        "--bandwidth-trace",
        help="CSV with time_s,bandwidth_bytes_per_s, or LOW:HIGH:INTERVAL such as random:0Gibps:25Gibps:100ms.",
    ),
]
BudgetTrace = Annotated[
    str | None,
    typer.Option(
        "--budget-trace",
        help="CSV with time_s,utilisation or time_s,budget_tokens, or LOW:HIGH:INTERVAL such as random:0.2:1:50ms.",
    ),
]
Policies = Annotated[
    str | None,
    typer.Option(
        "--policies",
        help="all, or a list such as planned_split,layerwise.",
        autocompletion=several(one_of("all", *POLICIES)),
    ),
]
KvBits = Annotated[
    str | None,
    typer.Option(
        "--kv-bits",
        help="Precision of the KV cache, a list such as 16,8; what the model's file states, or 16, by default.",
    ),
]
TensorParallel = Annotated[
    int, typer.Option("--tp", min=1, help="Devices that work on the prompt, tensor parallel, such as 2.")
]
ComputeChunk = Annotated[int, typer.Option("--compute-chunk", min=1, help="Token budget of a step, such as 512.")]
IoChunk = Annotated[int, typer.Option("--io-chunk", min=1, help="Tokens of one request to the storage, such as 128.")]
ChunkTimes = Annotated[
    str | None,
    typer.Option("--chunk-times", help="CSV such as chunks.csv with chunk_index,time_s: measured, not modelled."),
]
Hold = Annotated[bool, typer.Option("--hold", help="The last value of a trace goes on for ever.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of random traces, such as 3.")]
Stored = Annotated[
    int | None,
    typer.Option("--stored", min=0, help="Tokens that lie in storage, from the start, such as 8192; all by default."),
]
Tier = Annotated[
    str,
    typer.Option("--tier", help="Storage tier, name such as nvme, or a TOML file.", autocompletion=name_of("storage")),
]
Tail = Annotated[
    str | None,
    typer.Option("--tail", help="From a load to the first token, such as 50ms; one step of the engine by default."),
]
CopyRate = Annotated[
    str | None,
    typer.Option(
        "--copy-rate", help="Of the engine's copies of what is loaded, such as 25GB/s; of the tier by default."
    ),
]
Slowdown = Annotated[
    float | None,
    typer.Option(
        "--slowdown", help="Time of steps beside a load over that alone, such as 1.05; that of the tier by default."
    ),
]
Latency = Annotated[
    str | None, typer.Option("--latency", help="Of one request, such as 2ms; that of the tier by default.")
]
Compression = Annotated[
    float | None, typer.Option("--compression", help="Bytes needed / bytes stored, such as 2; at least 1.")
]
DecompressionRate = Annotated[
    str | None, typer.Option("--decompression-rate", help="Bytes out, such as 20GB/s; no limit by default.")
]
Report = Annotated[
    Path | None, typer.Option("--report", help="Also write pictures, as one HTML file such as cake.html.")
]
#: intervals that a generated trace has
INTERVALS = 10_000
#: device of who asks for none
USUAL = "a100-sxm-80gb"
#: time [s] and memory [B] of a printed row
_SECONDS, _ROOM = 2e-3, 2e4
_NUMBER = re.compile(r"[-+\d.eE%]+")


def _quantities(text: str, unit: str, what: str, near: float = 0.0) -> list[float]:
    """Return the numbers of a list; a precision may be written int8, and is answered with what to write."""
    found = []
    for each in names(text):
        if what == "--kv-bits" and each.lower() in FORMATS:
            found.append(float(bits_of(each)))
            continue
        write = spelling(each) if unit == "1" else ""
        if write and not _NUMBER.fullmatch(each):
            raise SpecError(f"{what}: {brief(each)} is not a number; {write}")
        found.append(parse(each, unit, what=what, near=near))
    return list(dict.fromkeys(found))


def _trace(text: str | None, what: str, columns: dict[str, float], hold: bool, seed: int) -> Any:
    """Return the trace that an option describes, if it does."""
    if text is None:
        return None
    if not text.startswith("random:"):
        return read_trace(text, columns, hold)
    parts = text.split(":")[1:]
    if len(parts) != 3:
        raise SpecError(
            f"{what}: {brief(text)}: write random:LOW:HIGH:INTERVAL, for example random:0Gibps:25Gibps:100ms"
        )
    low, high = (parse(part, "B/s" if columns is BANDWIDTH else "1", what=what) for part in parts[:2])
    interval = parse(parts[2], "s", what=what)
    return random_trace(low, high, interval, INTERVALS * interval, seed)


def _need_traces(traces: dict[str, str | None], replaced: dict[str, bool], hold: bool, seed: int) -> None:
    """Raise SpecError where an option would change nothing: it is of traces that are not given, or one replaces it."""
    given = {name: text for name, text in traces.items() if text is not None}
    for name in given:
        if replaced[name]:
            option = name.replace("-trace", "").replace("budget", "utilisation")
            raise SpecError(f"{option} and {name} are two rates of one thing; leave one of them out")
    random = [text for text in given.values() if text.startswith("random:")]
    if hold and len(random) == len(given):
        raise SpecError("--hold is for a trace from a file; give --bandwidth-trace or --budget-trace, or leave it out")
    if seed and not random:
        raise SpecError("--seed is for random traces; give --bandwidth-trace random:LOW:HIGH:INTERVAL, or leave it out")


def _loads(**texts: str | float | None) -> dict[str, float]:
    units = {"tail": "s", "latency": "s", "decompression_rate": "B/s", "copy_rate": "B/s"}
    return {
        name: parse(text, units.get(name, "1"), what=f"--{name.replace('_', '-')}")
        for name, text in texts.items()
        if text is not None
    }


def _policies(text: str | None) -> list[str]:
    wanted = names(text) if text is not None else []
    return list(POLICIES) if wanted == ["all"] else wanted


@app.command("cake")
def cake_command(
    asked_for: typer.Context,
    device: DeviceName = USUAL,
    tp: TensorParallel = 1,
    link: LinkName = None,
    within: ClusterName = None,
    model: ModelName = "longalpaca-13b",
    tokens: Tokens = "16384",
    bandwidth: Bandwidth = None,
    utilisation: Utilisation = "1.0",
    kv_bits: KvBits = None,
    weight_bits: WeightBits = None,
    compute_chunk: ComputeChunk = 512,
    io_chunk: IoChunk = 128,
    chunk_times: ChunkTimes = None,
    bandwidth_trace: BandwidthTrace = None,
    budget_trace: BudgetTrace = None,
    hold: Hold = False,
    seed: Seed = 0,
    policies: Policies = None,
    stored: Stored = None,
    tier: Tier = "cloud-ssd",
    tail: Tail = None,
    latency: Latency = None,
    compression: Compression = None,
    decompression_rate: DecompressionRate = None,
    copy_rate: CopyRate = None,
    slowdown: Slowdown = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Time to first token of a long prompt whose KV cache is stored: compute it, load it, or both (Cake)."""
    traces = {"--bandwidth-trace": bandwidth_trace, "--budget-trace": budget_trace}
    _need_traces(traces, dict(zip(traces, (bandwidth is not None, utilisation != "1.0"), strict=True)), hold, seed)
    device, link = of_cluster(within, device, is_given(asked_for, "device"), link)
    storage = load("storage", tier)
    rate = float(storage.bandwidth)
    inputs = Inputs(
        model=load("model", model),
        cluster=hardware(device, tp, link=link),
        storage=storage,
        tokens=counts(tokens, "--tokens"),
        bandwidth=_quantities(bandwidth, "B/s", "--bandwidth", rate) if bandwidth else [rate],
        utilisation=_quantities(utilisation, "1", "--utilisation"),
        kv_bits=_quantities(kv_bits, "1", "--kv-bits") if kv_bits else [0.0],
        tp=tp,
        weight_bits=weight_bits or 0.0,
        compute_chunk=compute_chunk,
        io_chunk=io_chunk,
        curve=chunk_times,
        bandwidth_trace=_trace(bandwidth_trace, "--bandwidth-trace", BANDWIDTH, hold, seed),
        budget_trace=_trace(budget_trace, "--budget-trace", budget(compute_chunk), hold, seed + 1),
        policies=_policies(policies),
        stored=stored,
        loads=_loads(
            tail=tail,
            latency=latency,
            compression=compression,
            decompression_rate=decompression_rate,
            copy_rate=copy_rate,
            slowdown=slowdown,
        ),
    )
    axes = {name: getattr(inputs, name) for name in ("tokens", "bandwidth", "utilisation", "kv_bits")}
    need_affordable("cake", {name: len(values) for name, values in axes.items()}, seconds=_SECONDS, room=_ROOM)
    output.writable(report, "--report")
    with working("times to first token"):
        data = evaluate(inputs)
    with answered(data, as_json, print_answer):
        if report is not None:
            from accelmodel.report.cake import write_report

            data["report"] = None
            data["report"] = str(write_report(inputs, data, report))


def print_answer(data: dict[str, Any]) -> None:
    """Print the rows, and what a reader must know about them."""
    rows = []
    for row, detail in zip(data["rows"], data["details"], strict=True):
        rows.append(
            [
                f"{row['tokens']:,}",
                bandwidth_words(row["bandwidth_bytes_per_s"]),
                f"{row['utilisation']:.3g}",
                f"{row['kv_bits']:g}",
                *(show(time, "s") for time in row["ttft_s"].values()),
                f"{row['meet_token']:,.0f}",
                f"{row['speedup_over_compute']:.2f}",
                f"{row['speedup_over_load']:.2f}",
                detail["regime"],
            ]
        )
    columns = ["tokens", "bandwidth", "share", "KV bits", *(HEADINGS[name] for name in data["rows"][0]["ttft_s"])]
    columns += ["meet at", "x compute", "x load", "regime"]
    others = [HEADINGS[name] for name in data["rows"][0]["ttft_s"] if name != "cake"]
    spare = ["KV bits", "meet at", "x load", "x compute", *reversed(others), "share", "regime"]
    title = f"Time to first token of {data['model']} on {data['tp']} x {data['device']}"
    print_table(title, columns, rows, spare=spare)
    for row, detail in zip(data["rows"], data["details"], strict=True):
        if detail["why_cake_loses"]:
            place = f"{row['tokens']:,} tokens, {bandwidth_words(row['bandwidth_bytes_per_s'])}"
            say(f"{place}, share {row['utilisation']:.3g}: Cake is {detail['why_cake_loses']}")
    crossings = {detail["crossover_bandwidth_bytes_per_s"] for detail in data["details"]} - {None}
    if crossings:
        ends = dict.fromkeys(bandwidth_words(value) for value in (min(crossings), max(crossings)))
        say(f"loading alone beats computing alone above {' to '.join(ends)}")
    say(f"chunk times: {data['chunk_times']}; tail {show(data['tail_s'], 's')}; weakest fact: {data['weakest_fact']}")
    say(f"{data['model']} {in_words(data['read'], by_class(data['notes']))}")
    if data["operator_intervals"]:
        say_intervals(data["operator_intervals"])
    for note in data["notes"]:
        say(note)
    for fronts in data.get("fronts", []):
        met = f"fronts meet at {show(fronts['meet_time_s'], 's')}, token {fronts['meet_token']:,.0f}"
        say(f"{fronts['tokens']:,} tokens: {met}; positions with --json or --report")
    if "report" in data:
        say(f"report: {data['report']}")
