"""The report of an exploration: one HTML file that opens offline.

Words and tables are made here, the numbers of the figures in ``points``, the drawings in ``figures``, and
its body stands in ``report.html``.  The same exploration gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from accelmodel import __version__
from accelmodel.dse.enumeration import TECHNIQUES, regret
from accelmodel.dse.explore import Exploration, gain
from accelmodel.report import exploration_figures, exploration_points, html, timeline_points
from accelmodel.specs import facts
from accelmodel.specs.load import load, provenance
from accelmodel.units import show
from accelmodel.validation import claims

TEMPLATE = "report.html"
_NOT_NUMBERS = (str, list, bool)
#: constant → what it is, where its name alone does not say
WORDS = {
    "link.start_up": "start-up of a collective", "link.direct_start": "start-up of an all-reduce kernel of the engine",
    "link.ramp": "latency of a chunk of a collective", "link.own_copy": "copy of the own share in a collective",
    "link.rendezvous": "rendezvous of an all-to-all", "link.barrier": "barrier inside a two-shot all-reduce",
    "link.contention": "slowing of a link with each doubling of the group",
    "link.switch_share": "reachable share of reduction in the switch",
    "link.hop_latency": "latency of a hop between devices",
    "link.share": "reachable share of link bandwidth", "process.sram_area": "area of L2 per MB",
    "process.wafer_price": "price of a wafer", "bill.uncore_area": "area of the rest of the die",
    "bill.uncore_power": "power of the rest of the die", "bill.core_area": "area of a core",
    "bill.core_power": "power of a core", "bill.link_area": "area of a link",
    "bill.hbm_stack_area": "area of an HBM interface", "bill.sram_power": "power of L2 per MB",
    "bill.hbm_price": "HBM price", "bill.hbm_stack_power": "power of an HBM stack",
    "bill.hbm_stack_capacity": "capacity of an HBM stack", "bill.hbm_stack_bandwidth": "bandwidth of an HBM stack",
    "device.die_area": "published die area", "device.power": "published power",
    "device.launch_time": "launch of an operator", "device.hbm_share": "reachable share of HBM bandwidth",
    "device.hbm_bandwidth": "HBM bandwidth", "device.hbm_stacks": "HBM stacks", "device.l2_bandwidth": "L2 bandwidth",
    "device.l2_usable": "usable share of L2", "device.l2_ways": "associativity of L2 (ways)",
    "device.matrix_share": "reachable share of the matrix peak", "device.peak_16bit": "16-bit peak",
    "time.matmul": "time of matmuls", "time.attention": "time of attention",
    "time.memory-bound": "time of memory-bound operators", "time.collective": "time of collectives",
    "device.tile_m": "tile height", "device.tile_n": "tile width", "device.tile_k": "tile depth",
}  # fmt: skip


def words(constant: str) -> str:
    """Return a constant, given as part.field, in words.

    Examples
    --------
    >>> words("link.start_up"), words("bill.test_price")
    ('start-up of a collective', 'test price')
    """
    return WORDS.get(constant, constant.partition(".")[2].replace("_", " "))


def _rate(exploration: Exploration) -> str:
    """The objective as one says it after a factor."""
    _, unit, _ = exploration_points.objective_words(exploration.study)
    return unit.replace("tokens/s per", "tokens per second and").replace("million tokens per", "tokens per")


def headline(exploration: Exploration) -> str:
    """Return the answer in one sentence."""
    best = exploration.every.best
    sizes = {technique: show(best[technique]["l2_capacity"], "B") for technique in TECHNIQUES}
    return (
        f"Without prefetching the best chip has {sizes['none']} of L2, with it {sizes['preserve']}, "
        f"and gives {exploration.gain:.2f}× the {_rate(exploration)}."
    )


def _found(missed: float) -> str:
    return "the very best" if missed < 5e-5 else f"one within {max(missed, 0.0005):.1%} of the best"


def lead(exploration: Exploration) -> list[str]:
    """Return the paragraphs below the headline: L2 alone, and how the space was searched."""
    study, every = exploration.study, exploration.every
    missed = {
        name: regret(found.best[study.study.objective], every.best[name][study.study.objective])
        for name, found in exploration.found.items()
    }
    said = []
    if len(study.space) > 1:
        alone = {name: show(row["l2_capacity"], "B") for name, row in exploration.alone.best.items()}
        said.append(
            f"With L2 as the only thing that may change, all else as in {exploration.parts.device.name}, the best "
            f"sizes are {alone['none']} and {alone['preserve']}, and prefetching gives "
            f"{gain(study, exploration.alone):.2f}×."
        )
    trials = exploration.found["preserve"].trials
    kept = "all" if every.feasible == every.evaluated else f"{every.feasible:,}"
    said.append(
        f"All {every.evaluated:,} chips of the space were evaluated, and {kept} keep to the constraints. "
        f"Optuna, which tried {trials:,} for each, found {_found(missed['preserve'])} with prefetching and "
        f"{_found(missed['none'])} without."
    )
    return said


def _chip_row(exploration: Exploration, name: str, technique: str, chip: dict[str, float]) -> list[str]:
    _, _, factor = exploration_points.objective_words(exploration.study)
    return [
        f'<span class="{technique}">{escape(name)}, {exploration_figures.NAMES[technique]}</span>',
        show(chip["l2_capacity"], "B"),
        f"{chip['cores']:g}",
        f"{chip['hbm_stacks']:g}",
        f"{chip['links']:g} × {show(chip['link_bandwidth'], 'B/s')}",
        f"{chip['die_area'] * 1e6:.0f}",
        f"{chip['power']:.0f}",
        f"{chip['price']:,.0f}",
        f"{chip['throughput']:.1f}",
        f"{chip[exploration.study.study.objective] * factor:.4f}",
    ]


def chip_table(exploration: Exploration) -> str:
    """Return the best chips, and those that Optuna found, as an HTML table."""
    _, unit, _ = exploration_points.objective_words(exploration.study)
    columns = ["Chip", "L2", "Cores", "HBM stacks", "Links", "Die [mm²]", "Power [W]", "Price [USD]"]
    columns += ["Tokens/s per device", escape(f"{unit[0].upper()}{unit[1:]}")]
    chips = exploration_points.chip_points(exploration)
    rows = [_chip_row(exploration, chip["space"].capitalize(), chip["technique"], chip) for chip in chips]
    rows = [[cells[0].replace("L2 alone".capitalize(), "L2 alone"), *cells[1:]] for cells in rows]
    rows += [
        _chip_row(exploration, "Optuna", technique, {**chip, **exploration.found[technique].best})
        for technique, chip in zip(TECHNIQUES, chips[-2:], strict=True)
    ]
    return html.table(columns, rows, range(1, len(columns)))


def _parts(exploration: Exploration) -> dict[str, Any]:
    parts = exploration.parts
    return {"device": parts.device, "link": parts.link, "bill": parts.bill, "process": parts.process}


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


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def _caption_cost(exploration: Exploration, found: dict[str, Any]) -> str:
    areas = found["area"]["L2"][-2:]
    prices = found["total_price"][-2:]
    return (
        f"L2 takes {areas[0]:.0f} mm² of the best chip without prefetching and {areas[1]:.0f} mm² of the best one with "
        f"it. The price of a device goes from {prices[0]:,.0f} to {prices[1]:,.0f} USD, of which the die is "
        f"{found['price']['Die'][-1]:,.0f}."
    )


def _caption_sensitivity(exploration: Exploration, found: dict[str, Any]) -> str:
    still = _listed(sorted({words(name) for name in found["still"]}))
    tail = f" Left out for space: {_listed([words(name) for name in found['left_out']])}." if found["left_out"] else ""
    none = (
        f"{len(found['still'])} more constants move neither the best L2 nor the gain "
        f"(by {exploration_points.STILL:g}× or more) "
        f"anywhere in their ranges: {still}."
    )
    return (
        "Each bar shows where the answer goes when one constant takes the ends of its range and the others stay; "
        f"the line is the answer as given, {found['base']['l2']:.4g} MB and {found['base']['gain']:.2f}×. "
        + (none if found["still"] else "Every uncertain constant moves the answer.")
        + tail
    )


def _caption_speedup(exploration: Exploration, found: dict[str, Any]) -> str:
    grid = next(iter(found["grids"].values()))
    cells = zip(found["batch"], grid, strict=True)
    top = max((x or 0.0, batch, n) for batch, row in cells for x, n in zip(row, found["context"], strict=True))
    blank = (
        f"{found['blank']} combinations do not fit the memory and are blank."
        if found["blank"]
        else "Everything fits the memory, so no cell is blank."
    )
    return (
        f"How much faster a whole request gets on {found['chip']}, {found['tp']} devices; the menu shows each model. "
        f"It is largest, {top[0]:.2f}×, at batch {top[1]} and {top[2]:,} tokens, and fades where the KV cache outgrows "
        f"L2 or the collectives leave too little time. {blank}"
    )


def _caption_timeline(exploration: Exploration, found: dict[str, Any]) -> str:
    total = found["total"]
    return (
        f"One layer of a decode step of {found['model']} (batch {found['batch']}, {found['context']:,} tokens, "
        f"{found['tp']} devices, {show(found['l2'], 'B')} of L2), all-reduces first. While a collective runs, the "
        "prefetch lane fetches what the operators after it will read, and the layer takes "
        f"{total['preserve']:.0f} instead of {total['none']:.0f} µs; point at a narrow bar to read its name."
    )


def _caption_occupancy(exploration: Exploration, found: dict[str, Any]) -> str:
    return (
        "The same stretch: prefetched bytes pile up during a collective and are used up by the operators behind it. "
        f"At most {max(found['waiting']):.0f} MB wait at once, below the {found['usable']:.0f} MB that stay usable."
    )


def _caption_curve(exploration: Exploration, found: dict[str, Any]) -> str:
    return (
        "Without prefetching, more L2 mostly costs area; with it, L2 pays until what is worth prefetching fits, and "
        "dots mark the best sizes. The solid lines are the best of all chips with that L2, the dashed the reference "
        "chip with nothing but its L2 changed."
    )


def _caption_pareto(exploration: Exploration, found: dict[str, Any]) -> str:
    return (
        "Each dot is a chip that no other beats on both area and throughput; point at it to see its parts. Where the "
        "blue line lies above the grey one, prefetching gives more throughput from the same area; stars mark the best "
        "chips by the study's objective."
    )


def _caption_region(exploration: Exploration, found: dict[str, Any]) -> str:
    return (
        f"Three constants are not public; {found['holding']} of {found['points']} combinations of them reproduce the "
        "published speed-up, L2 sizes and gain all at once. The number in a cell says for how many SRAM densities they "
        "do; the square marks the constants in use, so the further it is from empty cells the firmer the answer."
    )


Drawing = tuple[str, str, Callable[..., Any], Callable[..., Any], Callable[..., str]]
#: id, title, exploration_points, figure, caption
DRAWINGS: tuple[Drawing, ...] = (
    (
        "l2-size",
        "Which L2 size pays",
        exploration_points.curve_points,
        exploration_figures.figure_curve,
        _caption_curve,
    ),
    (
        "speed-up",
        "Where prefetching helps",
        exploration_points.speedup_points,
        exploration_figures.figure_speedup,
        _caption_speedup,
    ),
    (
        "timeline",
        "What runs beside what",
        timeline_points.timeline_points,
        exploration_figures.figure_timeline,
        _caption_timeline,
    ),
    (
        "occupancy",
        "What waits in L2",
        timeline_points.occupancy_points,
        exploration_figures.figure_occupancy,
        _caption_occupancy,
    ),
    (
        "cost",
        "What the best chips are made of",
        exploration_points.cost_points,
        exploration_figures.figure_cost,
        _caption_cost,
    ),
    (
        "pareto",
        "Throughput for area",
        exploration_points.pareto_points,
        exploration_figures.figure_pareto,
        _caption_pareto,
    ),
    (
        "sensitivity",
        "How firm the optimum is",
        exploration_points.sensitivity_points,
        lambda found: exploration_figures.figure_sensitivity(
            found, {bar["constant"]: words(bar["constant"]) for bar in found["bars"]}
        ),
        _caption_sensitivity,
    ),
    (
        "region",
        "Where all published claims hold at once",
        lambda exploration: exploration_points.region_points(),
        exploration_figures.figure_region,
        _caption_region,
    ),
)


def _section(exploration: Exploration, drawing: Drawing) -> str:
    name, title, compute, draw, caption = drawing
    found = compute(exploration)
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
    models = [load("model", name) for name in exploration.study.workload.models]
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
        "chooses tensor parallelism and prefetch threshold anew for each.",
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
    return html.write(page(exploration), path, "--output")
