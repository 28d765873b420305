"""The commands about renting: ``instances`` ranks cloud instances, ``fleet`` combines them.  No physics."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.cli.options import Json, answered, counts, emit, names
from accelmodel.cli.options import ModelName as Model
from accelmodel.cli.terminal import print_table, say
from accelmodel.cloud.choice import precisions, ranking
from accelmodel.cloud.fleet import plan_fleet
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market
from accelmodel.cloud.ranking import STATIC, STREAM, Inputs, Slo
from accelmodel.errors import SpecError
from accelmodel.specs.load import load
from accelmodel.units import parse, show

Region = Annotated[str, typer.Option("--region", help="One or several, such as us-east-1,eastus.")]
PriceKind = Annotated[str, typer.Option("--price-kind", help="on-demand, spot or reserved.")]
Prices = Annotated[Path | None, typer.Option("--prices", help="CSV that replaces the shipped prices.")]
Own = Annotated[
    list[str] | None,
    typer.Option("--instance", help="One of your own, name or path; beside the others, as often as needed."),
]
Only = Annotated[bool, typer.Option("--only", help="Offer the instances of --instance alone.")]
MaxPrice = Annotated[float, typer.Option("--max-price", help="USD per hour of one instance.")]
Engine = Annotated[str, typer.Option("--engine", help="flexgen, tgis, in-flight, or a TOML file.")]
Ttft = Annotated[str, typer.Option("--slo-ttft", help="Longest time to first token, such as 500ms.")]
Tpot = Annotated[str, typer.Option("--slo-tpot", help="Longest time per output token, such as 50ms.")]
Latency = Annotated[str, typer.Option("--slo-latency", help="Longest time from arrival to last token.")]
app = typer.Typer(add_completion=False)
#: instances that may share an arrival rate by default
MOST = 100


def _seconds(text: str, what: str) -> float | None:
    if not text:
        return None
    value = parse(text, "s", what=what)
    if value <= 0.0:
        raise SpecError(f"{what}: {text} must be above 0")
    return value


def _above(value: float, what: str) -> float | None:
    if value < 0.0 or math.isnan(value):
        raise SpecError(f"{what} {value:g} must be above 0")
    return value or None


def _bits(text: str, what: str) -> list[float]:
    return [float(bits) for bits in counts(text, what)]


@app.command("instances")
def instances(
    model: Model = "opt-2.7b",
    input_tokens: Annotated[int, typer.Option("--input", min=1, help="Tokens of a prompt.")] = 128,
    output_tokens: Annotated[int, typer.Option("--output", min=1, help="Tokens of an answer.")] = 512,
    batch: Annotated[int, typer.Option("--batch", min=0, help="Requests at once.")] = 0,
    rate: Annotated[float, typer.Option("--rate", help="Requests per second that arrive, instead of --batch.")] = 0.0,
    requests: Annotated[int, typer.Option("--requests", min=0, help="Requests of the whole job.")] = 0,
    slo_tps: Annotated[float, typer.Option("--slo-tps", help="Least input + output tokens per second.")] = 0.0,
    slo_tps_output: Annotated[float, typer.Option("--slo-tps-output", help="Least output tokens per second.")] = 0.0,
    slo_ttft: Ttft = "",
    slo_tpot: Tpot = "",
    slo_latency: Latency = "",
    deadline: Annotated[str, typer.Option("--deadline", help="For all --requests, such as 2h.")] = "",
    percentile: Annotated[float, typer.Option("--percentile", help="At which a rate's users are asked.")] = 95.0,
    region: Region = "us-east-1",
    price_kind: PriceKind = "on-demand",
    prices: Prices = None,
    instance: Own = None,
    only: Only = False,
    max_price: MaxPrice = math.inf,
    most_instances: Annotated[int, typer.Option("--most-instances", min=0, help="1 for a batch, 100 for a rate.")] = 0,
    offload: Annotated[str, typer.Option("--offload", help="none, infersave, flexgen or kvpr.")] = "infersave",
    time_model: Annotated[str, typer.Option("--time-model", help="physical or as-published.")] = "physical",
    memory_rule: Annotated[str, typer.Option("--memory-rule", help="The paper's algorithm-1 or released-code.")] = "",
    engine: Engine = "",
    weight_bits: Annotated[str, typer.Option("--weight-bits", help="Such as 16,8,4.")] = "16",
    kv_bits: Annotated[str, typer.Option("--kv-bits", help="Such as 16,8.")] = "16",
    report: Annotated[Path | None, typer.Option("--report", help="HTML report to write.")] = None,
    as_json: Json = False,
) -> None:
    """Rank cloud instances by cost for a workload and a service level, KV cache offloaded where it must be."""
    if not 0.0 < percentile < 100.0:
        raise SpecError(f"percentile {percentile:g} must be between 0 and 100")
    levels = [_above(slo_tps, "slo-tps"), _above(slo_tps_output, "slo-tps-output")]
    times = [(slo_ttft, "slo-ttft"), (slo_tpot, "slo-tpot"), (slo_latency, "slo-latency"), (deadline, "deadline")]
    slo = Slo(*levels, *(_seconds(text, what) for text, what in times))
    _above(rate, "rate")
    _above(max_price, "max-price")
    chosen = load("engine", engine or (STREAM if rate else STATIC))
    setups = precisions(
        Setup(chosen, offload, memory_rule=memory_rule), _bits(weight_bits, "weight-bits"), _bits(kv_bits, "kv-bits")
    )
    inputs = Inputs(
        load("model", model), input_tokens, output_tokens, slo, batch, rate, requests, percentile, max_price,
        most_instances or (MOST if rate else 1), time_model,
    )  # fmt: skip
    offered = Market(names(region), price_kind, prices, instance or (), only).offers()
    output.writable(report, "--report")
    data = ranking(inputs, offered, setups, date.today())
    with answered(lambda: emit(data) if as_json else print_instances(data)):
        if report is not None:
            from accelmodel.report.instances import write_report

            data["report"] = None
            data["report"] = str(write_report(inputs, offered, setups, data, report))


@app.command("fleet")
def fleet(
    model: Model = "llama-3.1-8b",
    workload: Annotated[Path, typer.Option("--workload", help="CSV: input,output,rate.")] = Path("mix.csv"),
    slo_ttft: Ttft = "",
    slo_tpot: Tpot = "",
    slo_latency: Latency = "",
    region: Region = "us-east-1",
    price_kind: PriceKind = "on-demand",
    prices: Prices = None,
    instance: Own = None,
    only: Only = False,
    max_price: MaxPrice = math.inf,
    engine: Engine = STREAM,
    weight_bits: Annotated[float, typer.Option("--weight-bits", help="Precision of weights.")] = 16,
    kv_bits: Annotated[float, typer.Option("--kv-bits", help="Precision of the KV cache.")] = 16,
    as_json: Json = False,
) -> None:
    """The cheapest combination of instance types for a mix of request sizes."""
    slo = Slo(
        ttft=_seconds(slo_ttft, "slo-ttft"), tpot=_seconds(slo_tpot, "slo-tpot"),
        latency=_seconds(slo_latency, "slo-latency"),
    )  # fmt: skip
    _above(max_price, "max-price")
    setup = Setup(load("engine", engine), "none", float(weight_bits), float(kv_bits))
    market = Market(names(region), price_kind, prices, instance or (), only)
    data = plan_fleet(model, workload, slo, setup=setup, offered=market, max_price=max_price)
    emit(data) if as_json else print_fleet(data)


def _or_dash(value: float | None, unit: str = "") -> str:
    if value is None:
        return "–"
    return show(value, unit, 3) if unit else f"{value:.4g}"


def print_instances(data: dict[str, Any]) -> None:
    """Print the ranking, the choice, and what fewer bits save."""
    rows = [
        [
            row["instance"], f"{row['gpus']} {row['gpu']}", str(row["detail"]["instances"]),
            f"{row['detail']['weight_bits']:g}/{row['detail']['kv_bits']:g}", f"{row['price_usd_per_hour']:.4g}",
            f"{row['offload_ratio']:.0%}", _or_dash(row["tps_total"]), _or_dash(row["ttft_s"], "s"),
            _or_dash(row["tpot_s"], "s"), _or_dash(row["cost_usd_per_million_tokens"]), row["reason"],
        ]
        for row in data["rows"]
    ]  # fmt: skip
    columns = [
        "instance",
        "GPUs",
        "count",
        "bits",
        "USD/h",
        "offloaded",
        "tokens/s",
        "TTFT",
        "TPOT",
        "USD/M tokens",
        "",
    ]
    print_table(f"Instances for {data['model']}, {data['time_model']} time, engine {data['engine']}", columns, rows, 2)
    best = data["choice"]
    cost = _or_dash(best["cost_usd_per_million_tokens"])
    say(f"choice: {best['detail']['instances']} x {best['instance']}, {cost} USD per million input and output tokens")
    fewer = data["fewer_bits"]
    if fewer and fewer["saving"]:
        say(
            f"{fewer['weight_bits']:g}-bit weights and {fewer['kv_bits']:g}-bit KV cache save {fewer['saving']:.0%} "
            f"over {fewer['instance_at_most_bits']} at full precision"
        )
    if data["prices"]["note"]:
        say(f"{data['prices']['stale']} prices are stale (oldest {data['prices']['oldest']}): {data['prices']['note']}")


def print_fleet(data: dict[str, Any]) -> None:
    """Print the fleet and what it saves."""
    print_table(f"Fleet for {data['model']}", ["instance", "count"], [[n, str(c)] for n, c in data["counts"].items()])
    best = data["best_single"]
    single = (
        f"; best single type: {best['count']} x {best['instance']}, {best['cost_usd_per_hour']:.4g}" if best else ""
    )
    saving = f", saving {data['saving']:.1%}" if best else "; no single type serves every bucket"
    say(f"{data['cost_usd_per_hour']:.4g} USD/h{single}{saving}")
