"""The report of an exploration: one HTML file that opens offline.

The words stand in ``exploration.html``, the numbers of the figures in ``…_points``, the drawings in ``…_figures``;
here they are put together.  A figure that this study has nothing for is left out.  The same exploration gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from accelmodel import __version__, output
from accelmodel.dse import told
from accelmodel.dse.explore import Exploration, gains
from accelmodel.dse.posterior.joint import Posterior
from accelmodel.dse.posterior.likely import published
from accelmodel.dse.posterior.verdict import verdict
from accelmodel.dse.studies.objectives import LIMITED, regret
from accelmodel.dse.studies.terms import technique_words, words
from accelmodel.errors import Infeasible
from accelmodel.inference.request import BASELINE
from accelmodel.report import (
    choices,
    exploration_figures,
    exploration_points,
    front_figures,
    front_points,
    html,
    posterior_figures,
    quantities,
    timeline_figures,
    timeline_points,
)
from accelmodel.report.exploration_figures import ALONE
from accelmodel.specs import facts
from accelmodel.specs.load import load, provenance
from accelmodel.specs.names import flat
from accelmodel.validation import claims

_NOT_NUMBERS = (str, list, bool)
#: technique → sources of the claims on it
_CLAIMED = {"preserve": ("preserve", "vllm-ascend-1509")}
#: phase of a workload → what is timed
_PHASES = {"end-to-end": "a whole request", "decode": "a decode step", "prefill": "a prefill"}
#: prefetched bytes that a figure can show [MB]
_SEEN = 0.05
Points = Callable[[Exploration], Any]


class Drawing(NamedTuple):
    """A figure of the report: its name (and that of its words), title, numbers, and what draws them."""

    name: str
    title: str
    points: Points
    draw: Callable[[Any], Any]


def _curve(exploration: Exploration) -> Any:
    found = exploration_points.curve_points(exploration)
    return found and {**found, "alone": any(line["space"] == "alone" for p in found["panels"] for line in p["lines"])}


def _speedup(exploration: Exploration) -> Any:
    if not exploration_points.prefetches(exploration):
        return None
    found = exploration_points.speedup_points(exploration)
    grid = next(iter(found["grids"].values()))
    cells = zip(found["batch"], grid, strict=True)
    top = max((x or 0.0, batch, n) for batch, row in cells for x, n in zip(row, found["context"], strict=True))
    if top[0] < 1.0 + exploration_points.STILL:
        said = technique_words(exploration.study.candidate)
        raise Infeasible(f"{said} nothing gets faster by half a percent on {found['chip']}, at any batch and length")
    return {**found, "top": top, "what": _PHASES[exploration.study.workload.phase]}


def _timeline(exploration: Exploration) -> Any:
    if not exploration_points.prefetches(exploration):
        return None
    found = timeline_points.timeline_points(exploration)
    return {**found, "size": quantities.worded(found["l2"], "B", 4)}


def _occupancy(exploration: Exploration) -> Any:
    if not exploration_points.prefetches(exploration):
        return None
    found = timeline_points.occupancy_points(exploration)
    if not found["lines"]:
        return None
    most = max(max(line["waiting"]) for line in found["lines"].values())
    return {**found, "most": most} if most > _SEEN else None


def _cost(exploration: Exploration) -> Any:
    found = exploration_points.cost_points(exploration)
    # of each technique the chip of the whole space stands behind that of one axis alone
    place = {technique: at for at, (_, technique, _) in enumerate(found["chips"])}
    return {**found, "order": [place[name] for name in sorted(place, key=lambda name: name != BASELINE)]}


def _front(exploration: Exploration) -> Any:
    found = front_points.front_points(exploration)
    return found and {**found, "limited": any(limit is not None for limit in found["limits"][:2])}


def _tornado(found: dict[str, Any]) -> Any:
    if not found["bars"]:
        return None
    names = {bar["constant"]: words(bar["constant"]) for bar in found["bars"]}
    return exploration_figures.figure_sensitivity(found, names)


def _posterior(exploration: Exploration) -> Any:
    return _verdict(exploration, exploration.likely)


def _likely_space(exploration: Exploration) -> Any:
    return _verdict(exploration, exploration.likely_space)


def _influence(exploration: Exploration) -> Any:
    found = _posterior(exploration)
    return found if found and posterior_figures.decided(found) else None


def _verdict(exploration: Exploration, drawn: Posterior | None) -> dict[str, Any] | None:
    """Return what the draws say of the axis that is decided on; None where none were made."""
    if drawn is None:
        return None
    found = verdict(drawn, published(exploration.study))
    return {**found, "shown": quantities.axis(exploration.study, found["axis"])}


DRAWINGS: tuple[Drawing, ...] = (
    Drawing("curve", "What each axis is worth", _curve, exploration_figures.figure_curve),
    Drawing("front", "What no other chip beats", _front, front_figures.figure_front),
    Drawing("parallel", "What these chips are made of", front_points.parallel_points, front_figures.figure_parallel),
    Drawing(
        "posterior",
        "How sure the optimum is",
        _posterior,
        lambda found: posterior_figures.figure_posterior(found, found["shown"]),
    ),
    Drawing(
        "likely_space",
        "How sure the best chip of the space is",
        _likely_space,
        lambda found: posterior_figures.figure_posterior(found, found["shown"]),
    ),
    Drawing("influence", "What decides it", _influence, posterior_figures.figure_influence),
    Drawing("sensitivity", "One constant at a time", exploration_points.sensitivity_points, _tornado),
    Drawing("speedup", "Speed-up over batch and length", _speedup, exploration_figures.figure_speedup),
    Drawing("timeline", "What overlaps with what", _timeline, timeline_figures.figure_timeline),
    Drawing("occupancy", "What waits in L2", _occupancy, timeline_figures.figure_occupancy),
    Drawing("cost", "What the best chips are made of", _cost, exploration_figures.figure_cost),
    Drawing(
        "region",
        "Where all published claims hold at once",
        exploration_points.region_points,
        exploration_figures.figure_region,
    ),
)


def _template() -> Any:
    made = html.environment()
    made.filters["constant"] = words
    return made.get_template("exploration.html").module


def _section(exploration: Exploration, said: Any, about: dict[str, Any], drawing: Drawing) -> str:
    try:
        found = drawing.points(exploration)
    except Infeasible as error:  # on the reference chip, which need not hold what the best chips do
        return html.undrawn(drawing.title, str(error))
    if found is None:
        return ""
    text = getattr(said, drawing.name)(about, found)
    points = found["words"] if drawing.name in ("posterior", "likely_space") else ()
    return html.section(drawing.name, drawing.title, text, drawing.draw(found), points)


def _missed(share: float) -> str:
    return "the very best" if share < 5e-5 else f"one within {max(share, 0.0005):.1%} of the best"


def about(exploration: Exploration) -> dict[str, Any]:
    """Return what the words of a report are made of."""
    study, every = exploration.study, exploration.every
    shown = quantities.objective(study.headline)
    single = exploration.alone
    alone = [] if single is None or len(study.space) == 1 else [
        f"{exploration_points.value_words(study, single.axis, row[single.axis])} {technique_words(technique)}, "
        f"{shown.words(row[study.headline])}"
        for technique, row in single.best.items()
    ]  # fmt: skip
    missed = {
        name: regret(study.headline, found.best[study.headline], every.best[name][study.headline])
        for name, found in exploration.found.items()
        if name in every.best
    }
    same: dict[str, list[str]] = {}
    for technique, row in every.best.items():
        chip = f"{exploration_points.chip_words(study, row)} ({shown.words(row[study.headline])})"
        same.setdefault(chip, []).append(technique_words(technique))
    answer = told.result(study, every.best, gains(study, every))
    return {
        "study": study.name,
        "answer": answer[0].upper() + answer[1:],
        "title": study.study.title,
        "device": exploration.parts.device.name,
        "objective": shown.title,
        "candidate": study.candidate,
        "best": same,
        "several": len(study.techniques) > 1,
        "technique_words": technique_words,
        "axis": quantities.axis(study, str(study.axis)).title if study.axis else "",
        "edges": told.edge_words(study, told.edges(study, every.best)),
        "limits": _limits(exploration),
        "scope": _scope(exploration),
        "alone": alone,
        "looked": _looked(exploration),
        "searched": [f"{_missed(share)} {technique_words(name)}" for name, share in missed.items()],
        "trials": sum(found.trials for found in exploration.found.values()),
        "missing": exploration.missing,
        "price": told.price_told(study, exploration.parts)["price_words"],
        "mean": f"{mean['mean']}: {mean['mean_words']}" if len((mean := told.mean_told(study))["mix"]) > 1 else "",
        "doubts": told.doubts(study, exploration.parts, every.best),
    }


def _scope(exploration: Exploration) -> str:
    """Return what the other axes are where one is looked at alone; "" where there is no other."""
    if len(exploration.study.axes()) == 1:
        return ""
    if exploration.alone is None:
        return "all else as in the best chip"
    return f"all else as in {exploration.parts.device.name}"


def _limits(exploration: Exploration) -> list[str]:
    """Return each limit and rule with the chips that it excludes, the strictest first."""
    found = []
    every = exploration.every
    for each in sorted(told.limits_told(exploration.study, every.misses), key=lambda each: -each["excluded"]):
        name, count, only = each["limit"], each["excluded"], each["excluded_alone"]
        if each["rule"]:
            said = f"rule {name} ({each['rule']})"
        elif each["value"] is None:
            said = f"{quantities.limit_title(name)} at most 100 %"
        else:
            figure = name.partition(".")[0]
            most = "at most" if LIMITED[figure].direction == "minimise" else "at least"
            said = f"{quantities.limit_title(name)} {most} {quantities.objective(figure).words(each['value'])}"
        alone = f", {only:,} of them no other does" if 0 < only < count else ""
        found.append(f"{said} (excludes {f'{count:,}{alone}' if count else 'none'})")
    return found


def _looked(exploration: Exploration) -> str:
    """Return how many chips were looked at, and what that proves."""
    every = exploration.every
    if every.plan.way == "none":
        return f"The space has {every.chips:,} chips, which were not enumerated: the best are those that Optuna found."
    kept = "all" if every.feasible == every.evaluated else f"{every.feasible:,}"
    if every.certificate is None:
        steps = any(axis.values is None for axis in exploration.study.axes().values())
        where = " at steps along the axes that have none of their own" if steps else ""
        return f"All {every.evaluated:,} chips of the space{where} were evaluated, and {kept} keep to the limits."
    proved = every.certificate.words()
    return (
        f"{every.evaluated:,} of {every.chips:,} chips, drawn at random, were evaluated, {kept} keep to the limits. "
        f"{proved[0].upper()}{proved[1:]}."
    )


def chip_table(exploration: Exploration) -> str:
    """Return the best chips, and those that Optuna found, as an HTML table."""
    study = exploration.study
    axes = list(study.axes())
    figures = list(dict.fromkeys([study.headline, *study.objectives, "throughput", "die_area", "power", "price"]))
    shown = {name: quantities.objective(name) for name in figures}
    columns = ["Chip", *(escape(quantities.axis(study, name).title) for name in axes)]
    columns += [escape(each.label).replace(" per ", "/") for each in shown.values()]
    rows = []
    chips = exploration_points.chip_points(exploration)
    rows += [
        (f"{ALONE if chip['space'] == 'alone' else chip['space']}, {technique_words(chip['technique'])}", chip)
        for chip in chips
    ]  # fmt: skip
    rows += [
        (f"Optuna, {technique_words(name)}", {"technique": name, **found.best})
        for name, found in exploration.found.items()
    ]

    def cells(title: str, chip: dict[str, Any]) -> list[str]:
        shade = exploration_figures.colour(chip["technique"])
        first = f'<span class="technique" style="--shade: {shade}">{escape(title[0].upper() + title[1:])}</span>'
        values = [
            exploration_points.value_words(study, name, chip[name]) if name in chip else "as it is" for name in axes
        ]
        numbers = [f"{chip[name] * each.factor:,.5g}" if name in chip else "" for name, each in shown.items()]
        return [first, *map(escape, values), *numbers]

    return html.table(columns, [cells(title, chip) for title, chip in rows], range(1, len(columns)))


def _parts(exploration: Exploration) -> dict[str, Any]:
    return exploration.parts.specs


def constant_table(exploration: Exploration) -> str:
    """Return the constants that are calibrated or assumed, with range and source, as HTML."""
    rows = []
    for part, spec in _parts(exploration).items():
        for fact in provenance(spec):
            if fact["kind"] not in ("calibrated", "assumed") or isinstance(fact["value"], _NOT_NUMBERS):
                continue
            span = fact["range"]
            said = words(f"{part}.{flat(type(spec), fact['field'])}")
            name = f"{escape(said)}<br><code>{escape(part)}.{escape(fact['field'])}</code>"
            between = quantities.spanned(span[0], span[1], fact["unit"]) if span else ""
            value = quantities.worded(fact["value"], fact["unit"])
            cells = [value, between, fact["kind"], fact["source"], fact["locator"]]
            rows.append([name, *(escape(cell) for cell in cells)])
    rows.sort(key=lambda row: row[3] != "calibrated")
    return html.table(["Constant", "Value", "Range", "Kind", "Source", "Where it comes from"], rows, range(1, 3))


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
    return (
        f"accelmodel {__version__}; study {study.name}, digest {study.digest}. Every answer is as firm as the weakest "
        f"fact behind it: {facts.weakest(fact.standing for spec in specs for fact in spec.facts.values())}. "
        f"Digests of the specifications: {digests}."
    )


def of_sources(techniques: list[str]) -> tuple[str, ...]:
    """Return the sources of the claims on some techniques."""
    return tuple(source for technique in techniques for source in _CLAIMED.get(technique, ()))


def page(exploration: Exploration) -> str:
    """Return the report as HTML."""
    from markupsafe import Markup

    rows = claims.validate(of_sources(exploration.study.techniques))
    models = [load("model", name) for name in exploration.study.models]
    said, words_of = _template(), about(exploration)
    body = said.page(
        words_of,
        chips=Markup(chip_table(exploration)),
        figures=Markup("\n".join(_section(exploration, said, words_of, drawing) for drawing in DRAWINGS)),
        claims={
            "within": sum(row["within"] for row in rows),
            "rows": len(rows),
            "calibrated": sum(row["calibrated_on_it"] for row in rows),
            "table": Markup(html.claim_table(rows)),
        },
        constants=Markup(constant_table(exploration)),
        made=_made(exploration, models),
        sources=Markup(_sources(exploration, models, rows)),
        choices=Markup(choices.table(exploration)),
        designs=Markup(html.packed(front_points.designs(exploration))),
    )
    return html.page(escape(exploration.study.study.title), str(body))


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
