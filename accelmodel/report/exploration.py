"""The report of an exploration: one HTML file that opens offline.

Sentences and tables are made here, what stands below the figures in ``exploration_captions``, the numbers of
the figures in ``exploration_points``, the drawings in ``exploration_figures``; the body stands in ``report.html``.
The same exploration gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from accelmodel import __version__, output
from accelmodel.dse.explore import Exploration, gains
from accelmodel.dse.objectives import regret
from accelmodel.errors import Infeasible
from accelmodel.inference.request import BASELINE
from accelmodel.report import (
    exploration_captions,
    exploration_figures,
    exploration_points,
    html,
    timeline_figures,
    timeline_points,
)
from accelmodel.report.exploration_captions import listed, words
from accelmodel.report.exploration_figures import spoken
from accelmodel.specs import facts
from accelmodel.specs.load import load, provenance
from accelmodel.units import show
from accelmodel.validation import claims

TEMPLATE = "report.html"
_NOT_NUMBERS = (str, list, bool)


def _rate(exploration: Exploration) -> str:
    """The objective in words, after a factor."""
    _, unit, _ = exploration_points.objective_words(exploration.study)
    return unit.replace("tokens/s per", "tokens per second and").replace("million tokens per", "tokens per")


def headline(exploration: Exploration) -> str:
    """Return the answer in one sentence."""
    sizes = {
        name: show(exploration_points.size_of(exploration, row), "B") for name, row in exploration.every.best.items()
    }
    others = [
        f"{spoken(name)} it has {sizes[name]}, and gives {gain:.2f}× the {_rate(exploration)}"
        for name, gain in gains(exploration.study, exploration.every).items()
        if name != BASELINE
    ]
    first = f"{spoken(BASELINE).capitalize()} the best chip has {sizes[BASELINE]} of L2"
    return "; ".join([first, *others]) + "."


def _found(missed: float) -> str:
    return "the very best" if missed < 5e-5 else f"one within {max(missed, 0.0005):.1%} of the best"


def lead(exploration: Exploration) -> list[str]:
    """Return the paragraphs below the headline: L2 alone, and how the space was searched."""
    study, every = exploration.study, exploration.every
    missed = {
        name: regret(study.objective, found.best[study.objective], every.best[name][study.objective])
        for name, found in exploration.found.items()
    }
    paragraphs = []
    if len(study.space) > 1 and exploration.alone is not None and study.axis == "l2_capacity":
        sizes = [f"{show(row['l2_capacity'], 'B')} {spoken(name)}" for name, row in exploration.alone.best.items()]
        alone = gains(study, exploration.alone)
        gained = [f"{gain:.2f}× {spoken(name)}" for name, gain in alone.items() if name != BASELINE]
        paragraphs.append(
            f"With L2 as the only thing that may change, all else as in {exploration.parts.device.name}, the best "
            f"sizes are {listed(sizes)}, and the gain is {listed(gained)}."
        )
    trials = exploration.found[study.candidate].trials
    kept = "all" if every.feasible == every.evaluated else f"{every.feasible:,}"
    paragraphs.append(
        f"All {every.evaluated:,} chips of the space were evaluated, and {kept} keep to the constraints. "
        f"Optuna, which tried {trials:,} for each technique, found "
        f"{listed([f'{_found(share)} {spoken(name)}' for name, share in missed.items()])}."
    )
    return paragraphs


def _chip_row(exploration: Exploration, name: str, technique: str, chip: dict[str, float]) -> list[str]:
    _, _, factor = exploration_points.objective_words(exploration.study)
    shade = exploration_figures.colour(technique)
    return [
        f'<span class="technique" style="color: {shade}">{escape(name)}, {escape(spoken(technique))}</span>',
        show(chip["l2_capacity"], "B"),
        f"{chip['cores']:g}",
        f"{chip['hbm_stacks']:g}",
        f"{chip['links']:g} × {show(chip['link_bandwidth'], 'B/s')}",
        f"{chip['die_area'] * 1e6:.0f}",
        f"{chip['power']:.0f}",
        f"{chip['price']:,.0f}",
        f"{chip['throughput']:.1f}",
        f"{chip[exploration.study.objective] * factor:.4f}",
    ]


def chip_table(exploration: Exploration) -> str:
    """Return the best chips, and those that Optuna found, as an HTML table."""
    _, unit, _ = exploration_points.objective_words(exploration.study)
    columns = ["Chip", "L2", "Cores", "HBM stacks", "Links", "Die [mm²]", "Power [W]", "Price [USD]"]
    columns += ["Tokens/s per device", escape(f"{unit[0].upper()}{unit[1:]}")]
    chips = exploration_points.chip_points(exploration)
    rows = [_chip_row(exploration, chip["space"].capitalize(), chip["technique"], chip) for chip in chips]
    rows = [[cells[0].replace("L2 alone".capitalize(), "L2 alone"), *cells[1:]] for cells in rows]
    # of each technique the chip of the whole space stands behind that of L2 alone, and has every axis
    widest = {chip["technique"]: chip for chip in chips}
    rows += [
        _chip_row(exploration, "Optuna", technique, {**widest[technique], **found.best})
        for technique, found in exploration.found.items()
    ]
    return html.table(columns, rows, range(1, len(columns)))


def _parts(exploration: Exploration) -> dict[str, Any]:
    parts = exploration.parts
    return parts.specs


def constant_table(exploration: Exploration) -> str:
    """Return the constants that are calibrated or assumed, with range and source, as HTML."""
    rows = []
    for part, spec in _parts(exploration).items():
        for fact in provenance(spec):
            if fact["kind"] not in ("calibrated", "assumed") or isinstance(fact["value"], _NOT_NUMBERS):
                continue
            span = fact["range"]
            name = f"{escape(words(part + '.' + fact['field']))}<br><code>{escape(part)}.{escape(fact['field'])}</code>"
            between = exploration_points.spanned(span[0], span[1], fact["unit"]) if span else ""
            value = exploration_points.worded(fact["value"], fact["unit"])
            cells = [value, between, fact["kind"], fact["source"], fact["locator"]]
            rows.append([name, *(escape(cell) for cell in cells)])
    rows.sort(key=lambda row: row[3] != "calibrated")
    return html.table(["Constant", "Value", "Range", "Kind", "Source", "Where it comes from"], rows, range(1, 3))


Drawing = tuple[str, str, Callable[..., Any], Callable[..., Any], Callable[..., str]]
#: id, title, exploration_points, figure, caption
DRAWINGS: tuple[Drawing, ...] = (
    (
        "l2-size",
        "Which L2 size pays",
        exploration_points.curve_points,
        exploration_figures.figure_curve,
        exploration_captions.caption_curve,
    ),
    (
        "speed-up",
        "Speed-up over batch and length",
        exploration_points.speedup_points,
        exploration_figures.figure_speedup,
        exploration_captions.caption_speedup,
    ),
    (
        "timeline",
        "What overlaps with what",
        timeline_points.timeline_points,
        timeline_figures.figure_timeline,
        exploration_captions.caption_timeline,
    ),
    (
        "occupancy",
        "What waits in L2",
        timeline_points.occupancy_points,
        timeline_figures.figure_occupancy,
        exploration_captions.caption_occupancy,
    ),
    (
        "cost",
        "What the best chips are made of",
        exploration_points.cost_points,
        exploration_figures.figure_cost,
        exploration_captions.caption_cost,
    ),
    (
        "pareto",
        "Throughput for area",
        exploration_points.pareto_points,
        exploration_figures.figure_pareto,
        exploration_captions.caption_pareto,
    ),
    (
        "sensitivity",
        "How firm the optimum is",
        exploration_points.sensitivity_points,
        lambda found: exploration_figures.figure_sensitivity(
            found, {bar["constant"]: words(bar["constant"]) for bar in found["bars"]}
        ),
        exploration_captions.caption_sensitivity,
    ),
    (
        "region",
        "Where all published claims hold at once",
        lambda exploration: exploration_points.region_points(),
        exploration_figures.figure_region,
        exploration_captions.caption_region,
    ),
)


def _section(exploration: Exploration, drawing: Drawing) -> str:
    name, title, compute, draw, caption = drawing
    try:
        found = compute(exploration)
    except Infeasible as error:  # on the reference chip, which need not hold what the best chips do
        return html.undrawn(title, str(error))
    return html.section(name, title, caption(exploration, found), draw(found))


def _sources(exploration: Exploration, models: list[Any], rows: list[dict[str, Any]]) -> str:
    specs = [*_parts(exploration).values(), *models]
    used = {fact.source for spec in specs for fact in spec.facts.values()} | {row["source"] for row in rows}
    items = []
    for key in sorted(used):
        about = facts.sources().get(key, {})
        url = about.get("url", "")
        link = f' <a href="{escape(url)}">{escape(url)}</a>' if url.startswith(("https://", "http://")) else ""
        items.append(f"<li><code>{escape(key)}</code>: {escape(about.get('title', 'given by the caller'))}.{link}</li>")
    return "\n".join(items)


def _made(exploration: Exploration, models: list[Any]) -> str:
    specs = [*_parts(exploration).values(), *models]
    digests = ", ".join(f"{spec.name} {spec.digest}" for spec in specs)
    study = exploration.study
    return escape(
        f"accelmodel {__version__}; study {study.name}, digest {study.digest}. Every answer is as firm as the weakest "
        f"fact behind it: {facts.weakest(fact.standing for spec in specs for fact in spec.facts.values())}. "
        f"Digests of the specifications: {digests}."
    )


def page(exploration: Exploration) -> str:
    """Return the report as HTML."""
    rows = claims.validate()
    models = [load("model", name) for name in exploration.study.models]
    calibrated = sum(row["calibrated_on_it"] for row in rows)
    within = sum(row["within"] for row in rows)
    template = Template((Path(__file__).parent / TEMPLATE).read_text(encoding="utf-8"))
    title = escape(exploration.study.study.title)
    body = template.substitute(
        title=title,
        headline=escape(headline(exploration)),
        lead="\n".join(f'<p class="lead">{escape(text)}</p>' for text in lead(exploration)),
        chips=chip_table(exploration),
        chips_note="Best by the study’s objective, the last column. Each chip is judged by its best use: software "
        "chooses tensor parallelism and the parameters of the technique anew for each.",
        figures="\n".join(_section(exploration, drawing) for drawing in DRAWINGS),
        claims=html.claim_table(rows),
        claims_note=f"{within} of {len(rows)} claims are met within their tolerance. “Calibration” says that a "
        f"constant was fitted to that very figure ({calibrated} of them): it checks the fit and validates nothing.",
        constants=constant_table(exploration),
        constants_note="No public source states these for this chip. The sensitivity above goes through the ranges; "
        "those that are calibrated were fitted to the claims so marked.",
        made=_made(exploration, models),
        sources=_sources(exploration, models, rows),
    )
    return html.page(title, body)


def write_report(exploration: Exploration, path: Path) -> Path:
    """Write the report of an exploration as one HTML file that needs nothing else.

    Parameters
    ----------
    exploration : Exploration
    path : Path
        File to write; what stood there before is replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    SpecError
        If the file cannot be written.
    """
    return output.write(path, page(exploration), "--output")
