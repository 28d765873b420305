"""The pictures of a question to ``accelmodel cake``: one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from accelmodel import __version__, output
from accelmodel.kvcache.evaluate import HEADINGS, WORTH_BOTH, Inputs, bandwidth_words
from accelmodel.report import cake_figures, html
from accelmodel.units import show
from accelmodel.validation import cake

BODY = Template("""<main>
<header>
<p class="study">$question</p>
<h1>$headline</h1>
$lead
</header>
<div class="scroll">$rows</div>
$sections
<h2>How it compares with what the paper published</h2>
<p>“Measured curve” takes the chunk times of the paper’s Figure 4, so that it tests the fronts alone. “Own step model”
takes nothing from the paper. “Calibration” says that a constant was fitted to that very figure or table.</p>
<div class="scroll">$claims</div>
</main>
<footer>
<p>$made</p>
</footer>
""")


def row_table(data: dict[str, Any]) -> str:
    """Return the rows of an answer as HTML."""
    policies = list(data["rows"][0]["ttft_s"])
    columns = ["Tokens", "Bandwidth", "Share", "KV bits", *(HEADINGS[name].capitalize() for name in policies)]
    columns += ["× over computing", "× over loading"]
    rows = [
        [
            f"{row['tokens']:,}",
            bandwidth_words(row["bandwidth_bytes_per_s"]),
            f"{row['utilisation']:.1%}",
            f"{row['kv_bits']:g}",
            *(show(time, "s") for time in row["ttft_s"].values()),
            f"{row['speedup_over_compute']:.2f}",
            f"{row['speedup_over_load']:.2f}",
        ]
        for row in data["rows"]
    ]
    return html.table(columns, rows, range(len(columns)))


def headline(data: dict[str, Any]) -> str:
    """Return the answer in one sentence."""
    best = max(data["rows"], key=lambda row: min(row["speedup_over_compute"], row["speedup_over_load"]))
    gain = min(best["speedup_over_compute"], best["speedup_over_load"])
    place = f"{best['tokens']:,} tokens at {bandwidth_words(best['bandwidth_bytes_per_s'])}"
    if gain <= 1.0:
        return (
            f"Doing both never pays here: it is slower by {1.0 / gain - 1.0:.0%} than the better one at best ({place})."
        )
    return f"Computing and loading at once is {gain:.2f} times as fast as the better of the two ({place})."


def lead(data: dict[str, Any]) -> list[str]:
    """Return the paragraphs below the headline."""
    paragraphs = [
        f"{data['model']} on {data['tp']} × {data['device']}; the KV cache lies in {data['tier']}. Chunk times: "
        f"{data['chunk_times']}. A load is followed by {show(data['tail_s'], 's')} until the first token. The "
        f"weakest fact behind these answers is {data['weakest_fact']}."
    ]
    for row, detail in zip(data["rows"], data["details"], strict=True):
        if detail["why_cake_loses"]:
            place = f"{row['tokens']:,} tokens, {bandwidth_words(row['bandwidth_bytes_per_s'])}"
            place += f", share {row['utilisation']:.0%}"
            paragraphs.append(f"Where Cake loses ({place}): {detail['why_cake_loses']}.")
    return paragraphs[:4]


def _caption_fronts(points: dict[str, Any]) -> str:
    return (
        f"One front computes {points['tokens']:,} tokens from the start, the other loads them from the end; they "
        f"meet after {show(points['meet_time_s'], 's', 3)} at token {points['meet_token']:,.0f}. The load front moves "
        "by I/O chunks, the compute front by the share of the budget that it has in each step."
    )


def _caption_surface(points: dict[str, Any]) -> str:
    return (
        f"Time to first token with Cake for {points['tokens']:,} tokens; lines are labelled in seconds. Green is where "
        f"both resources together are more than {WORTH_BOTH:.0%} faster than the better one. The dashed line is where "
        "loading alone takes as long as computing alone; there the gain is largest. A small share slows each step, so "
        "less bandwidth is enough."
    )


def _caption_rows(points: dict[str, Any]) -> str:
    return (
        "Speed-up over each single resource. A bar below 1 is a loss: the step in flight must finish, and what was "
        f"loaded is followed by the tail. The best possible plan would gain up to {max(points['best']):.2f}× over the "
        "better single resource."
    )


def _caption_paper(points: list[dict[str, Any]]) -> str:
    errors = [p[f"model_over_{way}"] / p[f"over_{way}"] - 1.0 for p in points for way in ("load", "compute")]
    rms = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    return (
        f"The 60 cells of the paper’s Table 3 (LongAlpaca-13B, 16,384 tokens), grey as published, in colour from the "
        f"paper’s measured chunk times: rms error {rms:.1%}, worst {max(map(abs, errors)):.1%}. One compute time for "
        "each hardware and the rate of copies were fitted to this table; bandwidth and share were not."
    )


def page(inputs: Inputs, data: dict[str, Any]) -> str:
    """Return the report as HTML; the same question gives the same bytes."""
    draw = cake_figures
    drawn: list[tuple[str, str, Any, Callable[[Any], Any], Callable[[Any], str]]] = [
        ("fronts", "Where the fronts meet", draw.fronts_points(inputs), draw.figure_fronts, _caption_fronts),
        ("ttft", "Which resource decides", draw.surface_points(inputs), draw.figure_surface, _caption_surface),
        ("rows", "What Cake gains", draw.rows_points(data), draw.figure_rows, _caption_rows),
        ("paper", "Beside the paper’s table", cake.table3_points(), draw.figure_paper, _caption_paper),
    ]
    specs = (inputs.model, inputs.cluster.device, inputs.storage)
    title = escape(f"Cake: {data['model']} on {data['device']}")
    body = BODY.substitute(
        question=title,
        headline=escape(headline(data)),
        lead="\n".join(f'<p class="lead">{escape(text)}</p>' for text in lead(data)),
        rows=row_table(data),
        sections="\n".join(html.section(name, text, say(of), figure(of)) for name, text, of, figure, say in drawn),
        claims=html.claim_table(cake.validate()),
        made=escape(
            f"accelmodel {__version__}. Cake: arXiv 2410.03065. Digests of the specifications: "
            f"{', '.join(f'{spec.name} {spec.digest}' for spec in specs)}."
        ),
    )
    return html.page(title, body)


def write_report(inputs: Inputs, data: dict[str, Any], path: Path) -> Path:
    """Write the report as one HTML file that needs nothing else; SpecError if it cannot be written."""
    return output.write(path, page(inputs, data), "--report")
