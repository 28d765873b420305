"""How an exploration looks at its space, and how that is told: a choice of the caller."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.certificate import CONFIDENCE, Certificate
from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.enumeration.plan import Plan, planned
from accelmodel.dse.enumeration.rows import Row
from accelmodel.dse.studies.objectives import better
from accelmodel.dse.studies.study import Study

#: called with a stage's name, its total, and how many more are done
Progress = Callable[[str, int, int], None]
_STAGES = {"all": "every chip of the space", "sample": "chips drawn at random"}


@dataclass(frozen=True)
class Looking:
    """What a caller chooses.

    Attributes
    ----------
    way : str
        ``"auto"``, ``"all"``, ``"sample"``, ``"sample=N"`` or ``"none"``; see ``plan.planned``.
    keep : path, optional
        File that every chip, or the front, is kept in; see ``enumeration.enumerate_space``.
    scheduler : str, optional
        Address of a Dask scheduler.
    confidence : float
        Probability with which what a sample proves must hold [1].
    """

    way: str = "auto"
    keep: Path | None = None
    scheduler: str | None = None
    confidence: float = CONFIDENCE

    def plan(self, study: Study, parts: Parts) -> Plan:
        """Return how many chips that is, and what it takes; refuse what takes too much."""
        return planned(study, parts, self.way, kept=self.keep is not None, scheduler=self.scheduler is not None)


#: all chips where that takes minutes, else a sample
USUAL: Looking = Looking()


def look(study: Study, parts: Parts, looking: Looking, progress: Progress) -> Enumeration:
    """Return what is found of the chips that are looked at; the stage that is told says what was estimated."""
    plan = looking.plan(study, parts)
    stage = f"{_STAGES.get(plan.way, '')} ({plan.expected.words()})"
    return enumerate_space(
        study,
        parts,
        lambda done: progress(stage, plan.count, done),
        way=plan,
        keep=looking.keep,
        scheduler=looking.scheduler,
        confidence=looking.confidence,
    )


def with_found(study: Study, every: Enumeration, found: Mapping[str, Row]) -> Enumeration:
    """Return an enumeration that did not see all chips with the better ones that a search found."""
    if every.plan.way == "all":
        return every
    best = dict(every.best)
    for technique, row in found.items():
        if technique not in best or better(study.headline, row[study.headline], best[technique][study.headline]):
            best[technique] = row
    return replace(every, best=best)


def summarised(every: Enumeration, chip: Callable[[Row], dict[str, Any]]) -> dict[str, Any]:
    """Return an enumeration as JSON-ready data; ``chip`` names what is told of one."""
    return {
        "way": every.plan.way,
        "chips": every.chips,
        "evaluated": every.evaluated,
        "feasible": every.feasible,
        "estimate": {"time_s": every.plan.expected.seconds, "bytes": every.plan.expected.bytes},
        "certificate": _proved(every.certificate),
        "front_by": list(every.front_by),
        "front": {name: [chip(row) for row in rows] for name, rows in every.front.items()},
        "curves": {
            axis: {"values": values, "best": {name: list(map(_known, own)) for name, own in best.items()}}
            for axis, (values, best) in every.curves.items()
        },
        "kept": every.kept or None,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _proved(found: Certificate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "confidence": found.confidence,
        "drawn": found.drawn,
        "better_fewer_than": _known(found.fewer_than),
        "better_share_below": found.share,
        "words": found.words(),
    }
