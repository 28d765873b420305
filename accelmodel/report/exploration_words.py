"""What the words of an exploration's report are made of: the answer, limits, edges, and what was looked at."""

from __future__ import annotations

from typing import Any

from accelmodel.dse import told
from accelmodel.dse.explore import Exploration, gains
from accelmodel.dse.studies.objectives import LIMITED, regret
from accelmodel.dse.studies.terms import technique_words
from accelmodel.report import exploration_points, quantities


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
