"""The command ``accelmodel cake``: parse, call, print.  No physics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.cli.options import (
    DeviceName,
    Json,
    LinkName,
    ModelName,
    WeightBits,
    answered,
    counts,
    emit,
    hardware,
    names,
)
from accelmodel.cli.terminal import print_table, say
from accelmodel.errors import SpecError
from accelmodel.kvcache.evaluate import HEADINGS, Inputs, bandwidth_words, evaluate
from accelmodel.kvcache.policies import POLICIES
from accelmodel.kvcache.traces import BANDWIDTH, budget, random_trace, read_trace
from accelmodel.specs.load import load
from accelmodel.units import parse, show

app = typer.Typer(add_completion=False)

Tokens = Annotated[str, typer.Option("--tokens", help="Length of the prompt; a list such as 4096,8192 or 4096:32768.")]
Bandwidth = Annotated[
    str | None, typer.Option("--bandwidth", help="A list such as 7Gibps,32Gbps,4GB/s; that of the tier by default.")
]
Utilisation = Annotated[
    str, typer.Option("--utilisation", help="Share of the token budget that the prompt has; a list such as 0.5,1.0.")
]
BandwidthTrace = Annotated[
    str | None,
    typer.Option(
        "--bandwidth-trace", help="CSV with time_s,bandwidth_bytes_per_s, or random:LOW:HIGH:INTERVAL with --seed."
    ),
]
BudgetTrace = Annotated[
    str | None,
    typer.Option(
        "--budget-trace", help="CSV with time_s,utilisation or time_s,budget_tokens, or random:LOW:HIGH:INTERVAL."
    ),
]
Policies = Annotated[str | None, typer.Option("--policies", help="all, or a list such as planned_split,layerwise.")]
KvBits = Annotated[str, typer.Option("--kv-bits", help="Precision of the KV cache; a list such as 16,8.")]
TensorParallel = Annotated[int, typer.Option("--tp", min=1, help="Devices that work on the prompt, tensor parallel.")]
ComputeChunk = Annotated[int, typer.Option("--compute-chunk", min=1, help="Token budget of a step.")]
IoChunk = Annotated[int, typer.Option("--io-chunk", min=1, help="Tokens of one request to the storage.")]
ChunkTimes = Annotated[
    str | None, typer.Option("--chunk-times", help="CSV with chunk_index,time_s: measured, not modelled.")
]
Hold = Annotated[bool, typer.Option("--hold", help="The last value of a trace goes on for ever.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of random traces.")]
Stored = Annotated[
    int | None, typer.Option("--stored", min=0, help="Tokens that lie in storage, from the start; all by default.")
]
Tier = Annotated[str, typer.Option("--tier", help="Storage tier, name or path.")]
Tail = Annotated[str | None, typer.Option("--tail", help="Fixed time behind a load; that of the tier.")]
Latency = Annotated[str | None, typer.Option("--latency", help="Of one request; that of the tier.")]
Compression = Annotated[float | None, typer.Option("--compression", help="Bytes needed / bytes stored, at least 1.")]
DecompressionRate = Annotated[
    str | None, typer.Option("--decompression-rate", help="Bytes out, such as 20GB/s; no limit by default.")
]
Report = Annotated[Path | None, typer.Option("--report", help="Also write pictures, as one HTML file.")]
#: intervals that a generated trace has
INTERVALS = 10_000


def _quantities(text: str, unit: str, what: str) -> list[float]:
    return list(dict.fromkeys(parse(each, unit, what=what) for each in names(text)))


def _trace(text: str | None, what: str, columns: dict[str, float], hold: bool, seed: int) -> Any:
    """Return the trace that an option describes, if it does."""
    if text is None:
        return None
    if not text.startswith("random:"):
        return read_trace(text, columns, hold)
    parts = text.split(":")[1:]
    if len(parts) != 3:
        raise SpecError(f"{what}: {text!r}: write random:LOW:HIGH:INTERVAL, for example random:0Gibps:25Gibps:100ms")
    low, high = (parse(part, "B/s" if columns is BANDWIDTH else "1", what=what) for part in parts[:2])
    interval = parse(parts[2], "s", what=what)
    return random_trace(low, high, interval, INTERVALS * interval, seed)


def _loads(**texts: str | float | None) -> dict[str, float]:
    units = {"tail": "s", "latency": "s", "compression": "1", "decompression_rate": "B/s"}
    return {
        name: parse(text, units[name], what=f"--{name.replace('_', '-')}")
        for name, text in texts.items()
        if text is not None
    }


def _policies(text: str | None) -> list[str]:
    wanted = names(text) if text is not None else []
    return list(POLICIES) if wanted == ["all"] else wanted


@app.command("cake")
def cake_command(
    device: DeviceName = "a100-sxm-80gb",
    tp: TensorParallel = 1,
    link: LinkName = None,
    model: ModelName = "longalpaca-13b",
    tokens: Tokens = "16384",
    bandwidth: Bandwidth = None,
    utilisation: Utilisation = "1.0",
    kv_bits: KvBits = "16",
    weight_bits: WeightBits = 16,
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
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Time to first token of a long prompt whose KV cache is stored: compute it, load it, or both (Cake)."""
    storage = load("storage", tier)
    inputs = Inputs(
        model=load("model", model),
        cluster=hardware(device, tp, link=link),
        storage=storage,
        tokens=counts(tokens, "tokens"),
        bandwidth=_quantities(bandwidth, "B/s", "--bandwidth") if bandwidth else [float(storage.bandwidth)],
        utilisation=_quantities(utilisation, "1", "--utilisation"),
        kv_bits=_quantities(kv_bits, "1", "--kv-bits"),
        tp=tp,
        weight_bits=weight_bits,
        compute_chunk=compute_chunk,
        io_chunk=io_chunk,
        curve=chunk_times,
        bandwidth_trace=_trace(bandwidth_trace, "--bandwidth-trace", BANDWIDTH, hold, seed),
        budget_trace=_trace(budget_trace, "--budget-trace", budget(compute_chunk), hold, seed + 1),
        policies=_policies(policies),
        stored=stored,
        loads=_loads(tail=tail, latency=latency, compression=compression, decompression_rate=decompression_rate),
    )
    output.writable(report, "--report")
    data = evaluate(inputs)
    with answered(lambda: emit(data) if as_json else print_answer(data)):
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
    print_table(f"Time to first token of {data['model']} on {data['tp']} x {data['device']}", columns, rows)
    for row, detail in zip(data["rows"], data["details"], strict=True):
        if detail["why_cake_loses"]:
            place = f"{row['tokens']:,} tokens, {bandwidth_words(row['bandwidth_bytes_per_s'])}"
            say(f"{place}, share {row['utilisation']:.3g}: Cake is {detail['why_cake_loses']}")
    crossings = {detail["crossover_bandwidth_bytes_per_s"] for detail in data["details"]} - {None}
    if crossings:
        ends = dict.fromkeys(bandwidth_words(value) for value in (min(crossings), max(crossings)))
        say(f"loading alone beats computing alone above {' to '.join(ends)}")
    say(f"chunk times: {data['chunk_times']}; tail {show(data['tail_s'], 's')}; weakest fact: {data['weakest_fact']}")
    for note in data["notes"]:
        say(note)
    for fronts in data.get("fronts", []):
        met = f"fronts meet at {show(fronts['meet_time_s'], 's')}, token {fronts['meet_token']:,.0f}"
        say(f"{fronts['tokens']:,} tokens: {met}; positions with --json or --report")
    if "report" in data:
        say(f"report: {data['report']}")
