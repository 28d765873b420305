"""The numbers behind the fronts and the parallel coordinates, and the table of designs as CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np

from accelmodel.dse.explore import Exploration
from accelmodel.dse.studies.study import Study
from accelmodel.report.exploration_points import chip_words, value_words
from accelmodel.report.quantities import axis, objective

#: designs of a technique that are drawn at most: more lines than that hide each other
DRAWN = 150
#: the same of marks
SPOTS = 1000


def front_points(exploration: Exploration) -> dict[str, Any] | None:
    """Return the chips that no other beats on the objectives, of each technique, and the best; None without two.

    Of more than three objectives the first three: two along axes, the third in the colour.
    """
    found = exploration.every
    names = found.front_by[:3]
    if len(names) < 2 or not any(found.front.values()):
        return None
    shown = [objective(name) for name in names]
    study = exploration.study

    def spot(row: dict[str, Any]) -> dict[str, Any]:
        return {"at": [row[name] * each.factor for name, each in zip(names, shown, strict=True)],
                "chip": chip_words(study, row)}  # fmt: skip

    limits = study.limits()
    rows = [row for own in found.front.values() for row in own]
    if len({tuple(row[name] for name in names) for row in rows}) < 2:
        return None
    return {
        "labels": [each.label for each in shown],
        "objectives": [each.title.lower() for each in shown],
        "fronts": {technique: [spot(row) for row in _few(own, SPOTS)]
                   for technique, own in found.front.items() if own},
        "best": {technique: spot(row) for technique, row in found.best.items()},
        "limits": [_near(limits[name], [row[name] for row in rows], each.factor) if name in limits else None
                   for name, each in zip(names, shown, strict=True)],
    }  # fmt: skip


def _near(limit: float, values: list[float], factor: float) -> float | None:
    """Return where a limit is drawn; None where it lies so far off that nothing else could be told apart."""
    low, high = min(values), max(values)
    return limit * factor if low - (high - low) <= limit <= high + (high - low) else None


def _few(rows: list[dict[str, Any]], most: int = DRAWN) -> list[dict[str, Any]]:
    """Return at most as many rows as can be drawn, evenly along the front."""
    if len(rows) <= most:
        return rows
    return [rows[place] for place in np.linspace(0, len(rows) - 1, most).round().astype(int)]


def parallel_points(exploration: Exploration) -> dict[str, Any] | None:
    """Return the chips of the fronts as lines over axes and objectives, each scaled to 0 … 1; None of one column."""
    study, found = exploration.study, exploration.every
    rows = [(technique, row, False) for technique, front in found.front.items() for row in _few(front)]
    rows += [(technique, row, True) for technique, row in found.best.items()]
    columns = []
    for name in (*study.axes(), *found.front_by):
        values = [row[name] for _, row, _ in rows]
        if len(set(values)) > 1:
            columns.append(_column(study, name, values))
    if len(columns) < 2:
        return None
    return {
        "columns": [{key: column[key] for key in ("label", "low", "high")} for column in columns],
        "lines": [
            {"technique": technique, "best": best, "y": [column["places"][i] for column in columns],
             "chip": chip_words(study, row)}
            for i, (technique, row, best) in enumerate(rows)
        ],
    }  # fmt: skip


def short(value: float) -> str:
    """Return a number in four digits, never as a power of ten where people write it out.

    Examples
    --------
    >>> short(10947.2), short(0.028534)
    ('10,947', '0.02853')
    """
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"


def _column(study: Study, name: str, values: list[Any]) -> dict[str, Any]:
    """Return how one axis or objective is drawn: its name, what its ends are, and where each value lies."""
    if isinstance(values[0], str):
        words = list(dict.fromkeys(study.axes()[name].grid))
        step = max(len(words) - 1, 1)
        places = [words.index(value) / step for value in values]
        return {"label": axis(study, name).title, "low": words[0], "high": words[-1], "places": places}
    low, high = min(values), max(values)
    places = [(value - low) / (high - low) for value in values]
    if name in study.axes():
        ends = [value_words(study, name, value) for value in (low, high)]
        return {"label": axis(study, name).title, "low": ends[0], "high": ends[1], "places": places}
    shown = objective(name)
    ends = [short(value * shown.factor) for value in (low, high)]
    return {"label": f"{shown.title}<br>[{shown.unit}]", "low": ends[0], "high": ends[1], "places": places}


def designs(exploration: Exploration) -> str:
    """Return the best chips and those of the fronts as CSV: axes, figures and what software chose, in SI.

    What a column is in stands in its head.
    """
    study, found = exploration.study, exploration.every
    units = {name: each.unit for name, each in study.axes().items()}
    rows = [("best", technique, row) for technique, row in found.best.items()]
    rows += [("front", technique, row) for technique, front in found.front.items() for row in front]
    names = list(dict.fromkeys(name for _, _, row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["design", "technique", *(_head(name, units) for name in names)])
    for kind, technique, row in rows:
        writer.writerow([kind, technique, *(_cell(row.get(name, "")) for name in names)])
    return file.getvalue()


def _head(name: str, units: dict[str, str]) -> str:
    from accelmodel.nomenclature import NOMENCLATURE, described

    unit = units.get(name) or (described(name)["units"] if name in NOMENCLATURE else "")
    return f"{name} [{unit}]" if unit and unit != "1" else name


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and not math.isfinite(value) else value
