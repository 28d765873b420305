"""The pictures of a question to ``accelmodel cake``: one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from accelmodel import __version__, figures_cake, validation_cake
from accelmodel.cake_answer import WORTH_BOTH, Question
from accelmodel.errors import SpecError
from accelmodel.tables_cake import HEADINGS, bandwidth_words
from accelmodel.units import show

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="accelmodel $version">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #222;
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main, footer { max-width: 1080px; margin: 0 auto; padding: 0 24px; }
h1 { font-size: 32px; line-height: 1.25; margin: 40px 0 20px; max-width: 30em; }
h2 { font-size: 23px; line-height: 1.3; margin: 52px 0 8px; }
p { max-width: 46em; margin: 0 0 14px; }
figure { margin: 16px 0 0; overflow-x: auto; }
figure > div { min-width: 760px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; line-height: 1.4; margin: 12px 0; }
th { text-align: right; border-bottom: 2px solid #222; vertical-align: bottom; }
td { text-align: right; border-bottom: 1px solid #d9d9d9; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: 6px 12px 6px 0; }
.words th, .words td { text-align: left; white-space: normal; vertical-align: top; }
.missed { color: #b03a00; font-weight: 600; }
footer { margin-top: 56px; padding: 16px 24px 48px; border-top: 1px solid #d9d9d9; color: #595959; font-size: 14px; }
</style>
<script>$plotly</script>
</head>
<body>
<main>
<h1>$headline</h1>
$lead
<div class="scroll">$rows</div>
$sections
<h2>How it compares with what the paper published</h2>
<p>“Measured curve” takes the chunk times of the paper’s Figure 4, so that it tests the fronts alone. “Own step model”
takes nothing from the paper. “Fitted” says that a constant was fitted to that very figure or table.</p>
<div class="scroll words">$claims</div>
</main>
<footer>$made</footer>
</body>
</html>
""")


def _table(columns: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def row_table(data: dict[str, Any]) -> str:
    """Return the rows of an answer as HTML."""
    policies = list(data["rows"][0]["ttft_s"])
    columns = ["Tokens", "Bandwidth", "Share", "KV bits", *(HEADINGS[name].capitalize() for name in policies)]
    made = [
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
    return _table([*columns, "× over computing", "× over loading"], made)


def claim_table() -> str:
    """Return the accuracy table of Cake as HTML."""
    made = []
    for row in validation_cake.validate():
        verdict = "within" if row["within"] else '<span class="missed">missed</span>'
        error = f"{row['relative_error']:+.1%}".replace("-", "−")
        values = [f"{row['published']:.4g}", f"{row['model']:.4g}", error, f"± {row['tolerance']:.1%}", verdict]
        made.append([escape(row["claim"]), *values, "fitted" if row["calibrated_on_it"] else "not fitted"])
    return _table(["Claim", "Published", "Model", "Error", "Tolerance", "Verdict", "Kind of check"], made)


def headline(data: dict[str, Any]) -> str:
    """Return the answer in one sentence."""
    best = max(data["rows"], key=lambda row: min(row["speedup_over_compute"], row["speedup_over_load"]))
    gain = min(best["speedup_over_compute"], best["speedup_over_load"])
    place = f"{best['tokens']:,} tokens at {bandwidth_words(best['bandwidth_bytes_per_s'])}"
    if gain <= 1.0:
        return f"Doing both never pays here: at best ({place}) Cake takes {1.0 / gain:.2f} times the better one."
    return f"Computing and loading at once is {gain:.2f} times as fast as the better of the two ({place})."


def lead(data: dict[str, Any]) -> list[str]:
    """Return the paragraphs below the headline."""
    said = [
        f"{data['model']} on {data['tp']} × {data['device']}; the KV cache lies in {data['tier']}. Chunk times: "
        f"{data['chunk_times']}. A load is followed by a fixed tail of {show(data['tail_s'], 's')}. The weakest fact "
        f"behind these answers is {data['weakest_fact']}."
    ]
    for row, detail in zip(data["rows"], data["details"], strict=True):
        if detail["why_cake_loses"]:
            place = f"{row['tokens']:,} tokens, {bandwidth_words(row['bandwidth_bytes_per_s'])}"
            place += f", share {row['utilisation']:.0%}"
            said.append(f"Where Cake loses ({place}): {detail['why_cake_loses']}.")
    return said[:4]


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
        "each hardware and the tail were fitted to this table; bandwidth and share were not."
    )


def _section(name: str, title: str, points: Any, draw: Callable[[Any], Any], caption: Callable[[Any], str]) -> str:
    drawn = draw(points).to_html(
        full_html=False,
        include_plotlyjs=False,
        include_mathjax=False,
        div_id=f"figure-{name}",
        config={"displayModeBar": False, "responsive": True},
    )
    return (
        f"<section>\n<h2>{escape(title)}</h2>\n<p>{escape(caption(points))}</p>\n<figure>{drawn}</figure>\n</section>"
    )


def page(question: Question, data: dict[str, Any]) -> str:
    """Return the report as HTML; the same question gives the same bytes."""
    from plotly.offline import get_plotlyjs

    draw = figures_cake
    sections = [
        _section("fronts", "Where the fronts meet", draw.fronts_points(question), draw.figure_fronts, _caption_fronts),
        _section(
            "ttft", "Which resource decides", draw.surface_points(question), draw.figure_surface, _caption_surface
        ),
        _section("rows", "What Cake gains", draw.rows_points(data), draw.figure_rows, _caption_rows),
        _section("paper", "Beside the paper’s table", draw.paper_points(), draw.figure_paper, _caption_paper),
    ]
    return PAGE.substitute(
        version=__version__,
        title=escape(f"Cake: {data['model']} on {data['device']}"),
        headline=escape(headline(data)),
        lead="\n".join(f"<p>{escape(text)}</p>" for text in lead(data)),
        plotly=get_plotlyjs(),
        rows=row_table(data),
        sections="\n".join(sections),
        claims=claim_table(),
        made=escape(
            f"accelmodel {__version__}. Cake: arXiv 2410.03065. Digests: "
            f"{question.model.name} {question.model.digest}, "
            f"{question.cluster.device.name} {question.cluster.device.digest}, "
            f"{question.storage.name} {question.storage.digest}."
        ),
    )


def write_report(question: Question, data: dict[str, Any], path: Path) -> Path:
    """Write the report as one HTML file that needs nothing else; SpecError if it cannot be written."""
    text = page(question, data)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path}: cannot be written ({error.strerror}); choose another place with --report") from None
    return path
