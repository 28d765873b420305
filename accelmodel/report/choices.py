"""What software chose for the best chips, of each kind of request, and what bounds its steps there."""

from __future__ import annotations

import itertools
from html import escape
from typing import Any

from accelmodel.dse.evaluation.bound import bounds
from accelmodel.dse.explore import Exploration
from accelmodel.dse.studies.mix import Kind
from accelmodel.dse.studies.study import Study
from accelmodel.dse.studies.terms import technique_words
from accelmodel.errors import Infeasible, SpecError
from accelmodel.report import html
from accelmodel.report.exploration_figures import colour

#: degree of parallelism → what a column of it is called
_DEGREES = {"tp": "Tensor parallel", "pp": "Pipeline parallel", "ep": "Expert parallel", "dp": "Data parallel"}
#: what bounds an operator → how that is said
_BOUNDS = {"compute": "compute", "hbm": "HBM", "l2": "L2", "link": "links", "latency": "fixed times"}
#: share of a step below which a bound is not told [1]
_LITTLE = 0.005


def chosen_points(exploration: Exploration) -> list[dict[str, Any]]:
    """Return of each technique's best chip and each kind of request the choices, and shares of a step by its bound."""
    study = exploration.study
    rows = []
    for technique, row in exploration.every.best.items():
        shares = _bounds(exploration, technique)
        for label, kind, batch, context in _asked(study):
            knobs = {name: row[f"chosen_{name}.{label}"] for name in (*_DEGREES, "batch", "threshold", "rule")
                     if f"chosen_{name}.{label}" in row}  # fmt: skip
            if not knobs:
                continue
            own = {"batch": batch, **knobs, "context": context}
            told = {"technique": technique, "of": label, "phase": kind.phase}
            rows.append({**told, **own, "bounds": shares.get(label, {})})
    return rows


def _asked(study: Study) -> list[tuple[str, Kind, float, float]]:
    """Return each point of each kind of request, as its choices are labelled: label, kind, batch, context."""
    found = []
    for kind in study.kinds():
        batches = [kind.batch[0]] if study.software.batch is not None else kind.batch
        points = list(itertools.product(batches, kind.context))
        for place, (batch, context) in enumerate(points):
            label = kind.label if len(points) == 1 else f"{kind.label} [{place}]"
            found.append((label, kind, float(batch), float(context)))
    return found


def _bounds(exploration: Exploration, technique: str) -> dict[str, dict[str, float]]:
    """Return kind of request → what bounds how much of its steps on the best chip, the largest first; none unknown."""
    row = exploration.every.best[technique]
    try:
        found = bounds(exploration.study, exploration.parts, technique, row)
    except (Infeasible, SpecError):
        return {}
    return {
        each["request"]: dict(
            sorted(
                ((name, share) for name, share in each["shares"].items() if name in _BOUNDS and share > _LITTLE),
                key=lambda one: -one[1],
            )
        )
        for each in found
    }


def table(exploration: Exploration) -> str:
    """Return the choices as an HTML table; degrees that are 1 everywhere are left out.  Empty where there are none."""
    rows = _alike(chosen_points(exploration))
    if not rows:
        return ""
    degrees = [name for name in _DEGREES if any(row.get(name, 1.0) != 1.0 for row in rows)]
    prefetching = any(row.get("threshold") for row in rows)
    columns = ["Best chip", "Serves", *(_DEGREES[name] for name in degrees), "Batch"]
    columns += [*(["Prefetch"] if prefetching else []), "Bound by"]

    def cells(row: dict[str, Any]) -> list[str]:
        said = technique_words(row["technique"])
        first = (
            f'<span class="technique" style="--shade: {colour(row["technique"])}">{escape(said.capitalize())}</span>'
        )
        serves = f"{', '.join(row['models'])}: {row['context']:,.0f} tokens, {row['phase']}"
        bound = ", ".join(f"{_BOUNDS[name]} {_span(*share)}" for name, share in row["bounds"].items())
        policy = [_prefetch(row)] if prefetching else []
        return [first, escape(serves), *(f"{row[name]:g}" for name in degrees), f"{row['batch']:g}", *policy, bound]

    numeric = range(2, 3 + len(degrees))
    return html.table(columns, [cells(row) for row in rows], numeric)


def _alike(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with the models that are served alike in one; of shares the least and the most."""
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        alike.setdefault(tuple(value for key, value in row.items() if key not in ("of", "bounds")), []).append(row)
    found = []
    for own in alike.values():
        shares = {name: [row["bounds"].get(name, 0.0) for row in own] for row in own for name in row["bounds"]}
        bounds = {name: (min(each), max(each)) for name, each in sorted(shares.items(), key=lambda one: -sum(one[1]))}
        models = list(dict.fromkeys(row["of"].partition(" [")[0] for row in own))
        found.append({**own[0], "models": models, "bounds": bounds})
    return found


def _span(low: float, high: float) -> str:
    return f"{high:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{100.0 * low:.0f} – {high:.0%}"


def _prefetch(row: dict[str, Any]) -> str:
    if not row.get("threshold"):
        return "off"
    rule = f", rule {escape(row['rule'])}" if row.get("rule") else ""
    return f"up to {100.0 * row['threshold']:.3g}% of usable L2{rule}"
