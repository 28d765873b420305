"""The report of an instance ranking: one HTML file that opens offline, in the style of the exploration's."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from accelmodel import __version__
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Offers
from accelmodel.cloud.ranking import Inputs
from accelmodel.report import html, instance_figures
from accelmodel.report.instance_figures import cost_points, step_points, winner_points

BODY = Template("""<main>
<header>
<p class="study">$title</p>
<h1>$headline</h1>
$lead
</header>
$figures
<section>
<h2>All instances</h2>
<div class="scroll">$rows</div>
</section>
</main>
<footer>
<p>$made</p>
</footer>
""")


def headline(data: dict[str, Any]) -> str:
    """Return the answer in one sentence."""
    best = data["choice"]
    count = best["detail"]["instances"]
    many = f"{count} × {best['instance']}" if count > 1 else best["instance"]
    hourly = count * best["price_usd_per_hour"]
    return (
        f"{many} ({best['gpus']} {best['gpu'].upper()}) is the cheapest way to serve {data['model']} as asked: "
        f"{hourly:.4g} USD/h."
    )


def lead(data: dict[str, Any]) -> list[str]:
    """Return the paragraphs below the headline: what is offloaded, what else would do, how old the prices are."""
    best = data["choice"]
    others = [row for row in data["rows"] if row["feasible"] and row["instance"] != best["instance"]]
    paragraphs = [
        f"{sum(row['feasible'] for row in data['rows'])} of {len(data['rows'])} offers meet the service level."
    ]
    if best["offload_ratio"]:
        paragraphs[0] += f" {best['offload_ratio']:.0%} of the KV cache lies in host memory."
    if others:
        dear = others[0]["price_usd_per_hour"] * others[0]["detail"]["instances"]
        paragraphs[0] += f" The next is {others[0]['instance']} at {dear:.4g} USD/h."
    least = data["cheapest_tokens"]
    paragraphs.append(
        f"At this load a million input and output tokens cost {best['cost_usd_per_million_tokens']:.3g} USD on it"
        + (f", and least on {least['instance']}: {least['cost_usd_per_million_tokens']:.3g} USD." if least else ".")
    )
    fewer = data["fewer_bits"]
    if fewer and fewer["saving"]:
        paragraphs.append(
            f"{fewer['weight_bits']:g}-bit weights and {fewer['kv_bits']:g}-bit KV cache save {fewer['saving']:.0%} "
            f"over {fewer['instance_at_most_bits']} at full precision."
        )
    if data["prices"]["note"]:
        paragraphs.append(
            f"Prices are as old as {data['prices']['oldest']}: give current ones with --prices before renting."
        )
    return paragraphs


def row_table(data: dict[str, Any]) -> str:
    """Return the ranking as an HTML table."""

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    columns = ["Instance", "GPUs", "Bits", "USD/h", "Count", "Offloaded", "Tokens/s", "TTFT [s]", "TPOT [ms]",
               "USD per M tokens", "Why"]  # fmt: skip
    rows = []
    for row in data["rows"]:
        tpot = None if row["tpot_s"] is None else row["tpot_s"] * 1e3
        rows.append([
            escape(row["instance"]), f"{row['gpus']} {escape(row['gpu'])}",
            f"{row['detail']['weight_bits']:g}/{row['detail']['kv_bits']:g}", f"{row['price_usd_per_hour']:.4g}",
            str(row["detail"]["instances"]), f"{row['offload_ratio']:.0%}", number(row["tps_total"], ",.0f"),
            number(row["ttft_s"], ".3g"), number(tpot, ",.4g"), number(row["cost_usd_per_million_tokens"], ".3g"),
            f'<span class="{"" if row["feasible"] else "missed"}">{escape(row["reason"])}</span>',
        ])  # fmt: skip
    return html.table(columns, rows, range(3, 10))


def page(inputs: Inputs, offered: Offers, setups: list[Setup], data: dict[str, Any]) -> str:
    """Return the report as HTML."""
    best = data["choice"]["detail"]
    setup = next(each for each in setups if all(best[name] == bits for name, bits in each.told(inputs.model).items()))
    cost = instance_figures.figure_cost(cost_points(inputs, data))
    step = step_points(inputs, offered, data, setup)
    winner = instance_figures.figure_winner(winner_points(inputs, offered, setup))
    overlapped = (
        " The engine's launches overlap with the device's work, so that the bar is longer than the step."
        if step["overlapped"]
        else ""
    )
    sections = [
        html.section("cost", "Cost against performance", "Every offer that fits, at its best tensor-parallel "
                 "degree; the large dot is the choice. Nothing below the dotted line is on offer.", cost),
        html.section("step", "Where a decode step goes", f"Batch {step['batch']}, in the middle of the answer. "
                 f"Operators count to what bounds them.{overlapped}", instance_figures.figure_step(step)),
        html.section("winner", "Where each instance is the cheapest", "USD per million input and output tokens with "
                 f"static batches and answers of {inputs.output} tokens; no service level. Blank: fits nowhere.",
                 winner),
    ]  # fmt: skip
    load = f"{inputs.rate:g} requests/s" if inputs.rate else f"batch {inputs.batch}"
    shape = f"{inputs.input} tokens in, {inputs.output} out"
    title = escape(f"Instances for {data['model']}: {shape}, {load}")
    body = BODY.substitute(
        title=title,
        headline=escape(headline(data)),
        lead="\n".join(f'<p class="lead">{escape(text)}</p>' for text in lead(data)),
        figures="\n".join(sections),
        rows=row_table(data),
        made=escape(
            f"accelmodel {__version__}; {data['time_model']} time, engine {data['engine']}; prices from "
            f"{data['prices']['oldest']} on."
        ),
    )
    return html.page(title, body)


def write_report(
    inputs: Inputs, offered: Offers, setups: list[Setup], data: dict[str, Any], path: Path
) -> Path:  # fmt: skip
    """Write the report as one HTML file; SpecError if it cannot be written."""
    return html.write(page(inputs, offered, setups, data), path, "--report")
