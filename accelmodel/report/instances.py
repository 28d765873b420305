"""The report of an instance ranking: one HTML file that opens offline, in the style of the exploration's."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from accelmodel import __version__, output
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Offers
from accelmodel.cloud.ranking import Inputs
from accelmodel.report import html, instance_figures
from accelmodel.report.instance_figures import cost_points, measures, step_points, winner_points

BODY = Template("""<main>
<header>
<p class="study">$title</p>
<h1>$headline</h1>
$lead
</header>
$figures
<section>
<h2>All instances</h2>
<p>${small}Batch: decoded at once on one instance. Bound: what takes most of a decode step.</p>
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
    regions = sorted({row["detail"]["price_region"] for row in data["rows"]} - {""})
    where = f" in {', '.join(regions)}" if regions else ""
    paragraphs = [
        f"{sum(row['feasible'] for row in data['rows'])} of {len(data['rows'])} offers at "
        f"{best['detail']['price_kind']} prices{where} meet the service level."
    ]
    capped = [row["instance"] for row in data["rows"] if row["detail"]["capped"]]
    if capped:
        most = max(row["detail"]["instances"] for row in data["rows"] if row["detail"]["capped"])
        paragraphs[0] += f" Left out, since even {most} of each miss it: {', '.join(dict.fromkeys(capped))}."
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


def _digits(value: float) -> str:
    """Return a number with three digits, and never with an exponent where it is large."""
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def row_table(data: dict[str, Any]) -> str:
    """Return the ranking as an HTML table."""

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    def between(row: dict[str, Any], name: str, scale: float) -> str:
        low, high = (row["detail"][f"{name}_{end}_s"] for end in ("lower", "upper"))
        time = row[f"{name}_s"]
        told = "–" if time is None else _digits(time * scale)
        return told if low is None else f"{told}<br><small>{_digits(low * scale)} to {_digits(high * scale)}</small>"

    columns = ["Instance", "GPUs", "Bits", "USD/h", "Count", "TP", "Batch", "Offloaded", "Tokens/s", "TTFT [s]",
               "TPOT [ms]", "USD per M tokens", "Bound", "Why"]  # fmt: skip
    rows = []
    for row in data["rows"]:
        detail = row["detail"]
        if detail["capped"]:
            continue
        rows.append([
            escape(row["instance"]), f"{row['gpus']} {escape(row['gpu'])}",
            f"{detail['weight_bits']:g}/{detail['kv_bits']:g}", f"{row['price_usd_per_hour']:.4g}",
            str(detail["instances"]), str(detail["tp"]), number(detail["batch"], ".3g"), f"{row['offload_ratio']:.0%}",
            number(row["tps_total"], ",.0f"), between(row, "ttft", 1.0), between(row, "tpot", 1e3),
            number(row["cost_usd_per_million_tokens"], ".3g"), detail["bound"] or "–",
            f'<span class="{"" if row["feasible"] else "missed"}">{escape(row["reason"])}</span>',
        ])  # fmt: skip
    return html.table(columns, rows, range(3, 12))


def _cost_sections(inputs: Inputs, data: dict[str, Any]) -> list[str]:
    """Return cost against each measure of performance."""
    titles = {
        "tps_total": "Cost against throughput", "tpot": "Cost against time per output token",
        "ttft": "Cost against time to first token",
    }  # fmt: skip
    text = (
        "Every offer that fits, at its best tensor-parallel degree; the large dot is the choice. Nothing below the "
        "dotted line is on offer."
    )
    return [
        html.section(f"cost-{name}", titles[name], text, instance_figures.figure_cost(cost_points(inputs, data, name)))
        for name in measures(inputs)
    ]


def _step_sections(inputs: Inputs, offered: Offers, data: dict[str, Any], setup: Setup) -> list[str]:
    """Return what the times to first token and per output token are made of."""
    points = step_points(inputs, offered, data, setup)
    later = (
        f"A decode step of batch {inputs.batch}, in the middle of the answer. Operators count to what bounds them."
        + (
            " The engine's launches overlap with the device's work, so that the bar is longer than the step."
            if points["overlapped"]
            else ""
        )
    )
    first = f"The prefill of batch {inputs.batch}. Operators count to what bounds them."
    if inputs.rate:
        seen = f"at percentile {inputs.percentile:g}. Operators count to what bounds them."
        later = f"A decode step of the mean number of requests at once, and what users wait beside it {seen}"
        first = f"The prefill of one prompt, and what users wait beside it {seen}"
    return [
        html.section("tpot", "Where the time per output token goes", later,
                     instance_figures.figure_step(points, "tpot")),
        html.section("ttft", "Where the time to first token goes", first,
                     instance_figures.figure_step(points, "ttft")),
    ]  # fmt: skip


def page(inputs: Inputs, offered: Offers, setups: list[Setup], data: dict[str, Any]) -> str:
    """Return the report as HTML."""
    best = data["choice"]["detail"]
    setup = next(each for each in setups if all(best[name] == bits for name, bits in each.told(inputs.model).items()))
    sections = [*_cost_sections(inputs, data), *_step_sections(inputs, offered, data, setup)]
    if not inputs.rate:  # static batches answer another question than a rate
        winner = instance_figures.figure_winner(winner_points(inputs, offered, setup))
        text = (
            f"USD per million input and output tokens with static batches and answers of {inputs.output} tokens; no "
            "service level. Blank: fits nowhere."
        )
        sections.append(html.section("winner", "Where each instance is the cheapest", text, winner))
    load = f"{inputs.rate:g} requests/s" if inputs.rate else f"batch {inputs.batch}"
    shape = f"{inputs.input} tokens in, {inputs.output} out"
    title = escape(f"Instances for {data['model']}: {shape}, {load}")
    has_intervals = any(row["detail"]["tpot_lower_s"] is not None for row in data["rows"])
    body = BODY.substitute(
        title=title,
        small="Small: between these lie nine of ten measured times. " if has_intervals else "",
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
    return output.write(path, page(inputs, offered, setups, data), "--report")
