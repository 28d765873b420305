"""The commands about renting: ``instances`` ranks cloud instances, ``fleet`` combines them.  No physics."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel import output
from accelmodel.cli.completion import name_of, one_of
from accelmodel.cli.examples import needs
from accelmodel.cli.options import EngineBy, EngineLaunch, Json, KvBits, WeightBits, answer, answered, names
from accelmodel.cli.options import ModelName as Model
from accelmodel.cli.progress import working
from accelmodel.cli.sections import Grouped
from accelmodel.cli.step_options import Acceptance, DraftName, Speculative, speculation
from accelmodel.cli.terminal import print_table, say
from accelmodel.cloud.choice import precisions, ranking
from accelmodel.cloud.fleet import plan_fleet
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market
from accelmodel.cloud.ranking import STATIC, STREAM, Inputs, Slo
from accelmodel.errors import SpecError, brief
from accelmodel.estimates import need_affordable
from accelmodel.inference.calls import calling
from accelmodel.inference.precisions import by_class
from accelmodel.inference.reading import in_words
from accelmodel.specs.formats import FORMATS, bits_of
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity, one
from accelmodel.units import parse, show

Region = Annotated[str, typer.Option("--region", help="One or several, such as us-east-1,eastus.")]
PriceKind = Annotated[
    str,
    typer.Option(
        "--price-kind", help="on-demand, spot or reserved.", autocompletion=one_of("on-demand", "spot", "reserved")
    ),
]
Prices = Annotated[
    Path | None, typer.Option("--prices", help="CSV such as prices.csv that replaces the shipped prices.")
]
Own = Annotated[
    list[str] | None,
    typer.Option(
        "--instance",
        help="Name such as g6.xlarge, or a file of your own; beside the others, as often as needed.",
        autocompletion=name_of("instance"),
    ),
]
Only = Annotated[bool, typer.Option("--only", help="Offer the instances of --instance alone.")]
MaxPrice = Annotated[float, typer.Option("--max-price", help="USD per hour of one instance, such as 3.0.")]
Engine = Annotated[
    str, typer.Option("--engine", help="Name such as in-flight, or a TOML file.", autocompletion=name_of("engine"))
]
Ttft = Annotated[str, typer.Option("--slo-ttft", help="Longest time to first token, such as 500ms.")]
Tpot = Annotated[str, typer.Option("--slo-tpot", help="Longest time per output token, such as 50ms.")]
Latency = Annotated[str, typer.Option("--slo-latency", help="Longest time from arrival to last token, such as 5s.")]
app = typer.Typer(add_completion=False)
#: instances that may share an arrival rate by default
MOST = 100
#: what long times usually are, by which a number without a unit is answered [s]
_USUAL = {"deadline": 3600.0, "slo-latency": 10.0}
#: time of an instance at one precision [s]
_SECONDS = 5e-3
#: no rate, throughput or price is as large
_MOST_LEVEL = 1e9


def _seconds(text: str, what: str) -> float | None:
    if not text:
        return None
    value = parse(text, "s", what=f"--{what}", near=_USUAL.get(what, 0.0))
    if value <= 0.0:
        raise SpecError(f"--{what}: {brief(text)} must be above 0")
    return value


def _above(value: float, what: str) -> float | None:
    if not 0.0 <= value < _MOST_LEVEL and not (what == "max-price" and value == math.inf):
        raise SpecError(f"--{what} {value:g} must be above 0, and below {_MOST_LEVEL:g}")
    return value or None


def _bits(text: str, what: str) -> list[float]:
    """Return the precisions of a list, 1 to 64 bit; of an empty one that of the model's file."""
    if not text:
        return [0.0]
    given = [bits_of(each.lower()) if each.lower() in FORMATS else each for each in names(text)]
    found = [parse(each, "1", what=f"--{what}") if isinstance(each, str) else each for each in given]
    if not all(1.0 <= bits <= 64.0 for bits in found):
        raise SpecError(f"--{what}: {text!r} must be 1 to 64 bit; write for example 16,8,4.25, or fp8")
    return found


@app.command("instances", cls=Grouped)
def instances(
    model: Model = "opt-2.7b",
    input_tokens: Annotated[int, typer.Option("--input", min=1, help="Tokens of a prompt, such as 1024.")] = 128,
    output_tokens: Annotated[int, typer.Option("--output", min=1, help="Tokens of an answer, such as 256.")] = 512,
    batch: Annotated[int, typer.Option("--batch", min=0, help="Requests at once, such as 32.")] = 0,
    rate: Annotated[
        float, typer.Option("--rate", help="Requests per second that arrive, such as 2.0, instead of --batch.")
    ] = 0.0,
    requests: Annotated[int, typer.Option("--requests", min=0, help="Requests of the whole job, such as 1000.")] = 0,
    slo_tps: Annotated[
        float, typer.Option("--slo-tps", help="Least input + output tokens per second, such as 400.")
    ] = 0.0,
    slo_tps_output: Annotated[
        float, typer.Option("--slo-tps-output", help="Least output tokens per second, such as 300.")
    ] = 0.0,
    slo_ttft: Ttft = "",
    slo_tpot: Tpot = "",
    slo_latency: Latency = "",
    deadline: Annotated[str, typer.Option("--deadline", help="For all --requests, such as 2h.")] = "",
    percentile: Annotated[
        float, typer.Option("--percentile", help="At which a rate's users are asked, such as 99.")
    ] = 95.0,
    region: Region = "us-east-1",
    price_kind: PriceKind = "on-demand",
    prices: Prices = None,
    instance: Own = None,
    only: Only = False,
    max_price: MaxPrice = math.inf,
    most_instances: Annotated[
        int,
        typer.Option(
            "--most-instances", min=0, help="Of one kind, such as 4; by default 1 for a batch, 100 for a rate."
        ),
    ] = 0,
    offload: Annotated[
        str,
        typer.Option(
            "--offload",
            help="none, infersave, flexgen or kvpr.",
            autocompletion=one_of("none", "infersave", "flexgen", "kvpr"),
        ),
    ] = "infersave",
    time_model: Annotated[
        str,
        typer.Option(
            "--time-model", help="physical or as-published.", autocompletion=one_of("physical", "as-published")
        ),
    ] = "physical",
    memory_rule: Annotated[
        str,
        typer.Option(
            "--memory-rule",
            help="The paper's: algorithm-1 or released-code.",
            autocompletion=one_of("algorithm-1", "released-code"),
        ),
    ] = "",
    safety_factor: Annotated[
        float | None,
        typer.Option(
            "--safety-factor",
            help="Share of memory that --memory-rule released-code uses, such as 0.8; 0.85 by default.",
        ),
    ] = None,
    engine: Engine = "",
    by: EngineBy = "",
    launch: EngineLaunch = "",
    weight_bits: Annotated[
        str, typer.Option("--weight-bits", help="Such as 16,8,4.25; what the model's file states, or 16, by default.")
    ] = "",
    kv_bits: Annotated[
        str, typer.Option("--kv-bits", help="Such as 16,8; what the model's file states, or 16, by default.")
    ] = "",
    speculative: Speculative = None,
    acceptance: Acceptance = None,
    draft: DraftName = "",
    report: Annotated[
        Path | None, typer.Option("--report", help="HTML report to write, such as instances.html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rank cloud instances by cost for a workload and a service level, KV cache offloaded where it must be."""
    if not batch and not rate:
        raise SpecError(needs("instances", "--batch (requests at once) or --rate (requests per second)"))
    if not 0.0 < percentile < 100.0:
        raise SpecError(f"--percentile {percentile:g} must be between 0 and 100")
    levels = [_above(slo_tps, "slo-tps"), _above(slo_tps_output, "slo-tps-output")]
    times = [(slo_ttft, "slo-ttft"), (slo_tpot, "slo-tpot"), (slo_latency, "slo-latency"), (deadline, "deadline")]
    slo = Slo(*levels, *(_seconds(text, what) for text, what in times))
    _above(rate, "rate")
    _above(max_price, "max-price")
    chosen = calling(load("engine", engine or (STREAM if rate else STATIC)), by, launch)
    drafts = speculation(speculative, acceptance, draft)
    if safety_factor is not None:
        one("--safety-factor", safety_factor, Quantity(gt=0.0, le=1.0))
    setup = Setup(chosen, offload, memory_rule=memory_rule, safety_factor=safety_factor or 0.0, drafts=drafts)
    setups = precisions(setup, _bits(weight_bits, "weight-bits"), _bits(kv_bits, "kv-bits"))
    inputs = Inputs(
        load("model", model), input_tokens, output_tokens, slo, batch, rate, requests, percentile, max_price,
        most_instances or (MOST if rate else 1), time_model,
    )  # fmt: skip
    offered = Market(names(region), price_kind, prices, instance or (), only).offers()
    need_affordable("instances", {"instances": len(offered), "precisions": len(setups)}, seconds=_SECONDS, room=1e4)
    output.writable(report, "--report")
    with working("ranking instances"):
        data = ranking(inputs, offered, setups, date.today())
    with answered(data, as_json, print_instances):
        if report is not None:
            from accelmodel.report.instances import write_report

            data["report"] = None
            data["report"] = str(write_report(inputs, offered, setups, data, report))


@app.command("fleet", cls=Grouped)
def fleet(
    model: Model = "llama-3.1-8b",
    workload: Annotated[
        Path | None, typer.Option("--workload", help="CSV such as mix.csv with the columns input,output,rate.")
    ] = None,
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
    by: EngineBy = "",
    launch: EngineLaunch = "",
    weight_bits: WeightBits = None,
    kv_bits: KvBits = None,
    speculative: Speculative = None,
    acceptance: Acceptance = None,
    draft: DraftName = "",
    as_json: Json = False,
) -> None:
    """The cheapest combination of instance types for a mix of request sizes."""
    if workload is None:
        raise SpecError(needs("fleet", "--workload, a CSV file with a line input,output,rate for each size of request"))
    slo = Slo(
        ttft=_seconds(slo_ttft, "slo-ttft"), tpot=_seconds(slo_tpot, "slo-tpot"),
        latency=_seconds(slo_latency, "slo-latency"),
    )  # fmt: skip
    _above(max_price, "max-price")
    drafts = speculation(speculative, acceptance, draft)
    setup = Setup(
        calling(load("engine", engine), by, launch), "none", weight_bits or 0.0, kv_bits or 0.0, drafts=drafts
    )
    market = Market(names(region), price_kind, prices, instance or (), only)
    with working("planning the fleet"):
        data = plan_fleet(model, workload, slo, setup=setup, offered=market, max_price=max_price)
    answer(data, as_json, print_fleet)


def _or_dash(value: float | None, unit: str = "") -> str:
    if value is None:
        return "–"
    return show(value, unit, 3) if unit else f"{value:.4g}"


def _count(detail: dict[str, Any]) -> str:
    """Return how many instances it takes; more than allowed where all that are miss the service level."""
    return f"> {detail['instances']}" if detail["capped"] else str(detail["instances"])


def _between(time: float | None, detail: dict[str, Any], name: str) -> str:
    """Return a time with its interval, where it has one."""
    low, high = (detail[f"{name}_{end}_s"] for end in ("lower", "upper"))
    told = _or_dash(time, "s")
    return told if time is None or low is None else f"{told} {low / time - 1.0:+.0%}/{high / time - 1.0:+.0%}"


def print_instances(data: dict[str, Any]) -> None:
    """Print the ranking, the choice, and what fewer bits save."""
    rows = [
        [
            row["instance"], f"{row['gpus']} {row['gpu']}", _count(row["detail"]), str(row["detail"]["tp"]),
            _or_dash(row["detail"]["batch"]),
            f"{row['detail']['weight_bits']:g}/{row['detail']['kv_bits']:g}", f"{row['price_usd_per_hour']:.4g}",
            f"{row['offload_ratio']:.0%}", _or_dash(row["tps_total"]),
            _between(row["ttft_s"], row["detail"], "ttft"), _between(row["tpot_s"], row["detail"], "tpot"),
            row["detail"]["bound"] or "–",
            _or_dash(None if row["detail"]["capped"] else row["cost_usd_per_million_tokens"]), row["reason"],
        ]
        for row in data["rows"]
    ]  # fmt: skip
    columns = [
        "instance", "GPUs", "count", "TP", "batch", "bits", "USD/h", "offload", "tokens/s", "TTFT", "TPOT", "bound",
        "USD/Mtoken", "",
    ]  # fmt: skip
    title = f"Instances for {data['model']}, {data['time_model']} time, engine {data['engine']}"
    spare = ["bits", "offload", "GPUs", "tokens/s", "USD/h", "batch", "TP", "bound", "count"]
    print_table(title, columns, rows, 2, spare=spare)
    say("batch: requests decoded at once on one instance; bound: what takes most of a decode step")
    say(f"{data['model']} {in_words(data['read'], by_class(data['notes']))}")
    if data["rows"][0]["detail"]["tpot_lower_s"] is not None:
        say("behind a time: within how much of it nine of ten measured times lie")
    best = data["choice"]
    cost = _or_dash(best["cost_usd_per_million_tokens"])
    say(f"choice: {best['detail']['instances']} x {best['instance']}, {cost} USD per million input and output tokens")
    fewer = data["fewer_bits"]
    if fewer and fewer["saving"]:
        say(
            f"{fewer['weight_bits']:g}-bit weights and {fewer['kv_bits']:g}-bit KV cache save {fewer['saving']:.0%} "
            f"over {fewer['instance_at_most_bits']} at full precision"
        )
    for note in data["notes"]:
        say(note)
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
    say(f"{data['model']} {in_words(data['read'], by_class(data['notes']))}")
    for note in data["notes"]:
        say(note)
