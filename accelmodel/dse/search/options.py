"""How an exploration searches with Optuna, and what it leaves with the trials: question, and answer in words."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.search.dashboard import facts_of, note_of, publish
from accelmodel.dse.search.optimise import Found, How
from accelmodel.dse.search.samplers import check_pruner, check_sampler
from accelmodel.dse.search.storage import Place
from accelmodel.dse.search.warm_start import FRONT, from_study
from accelmodel.dse.studies.objectives import sign
from accelmodel.dse.studies.study import Study


@dataclass(frozen=True)
class Search:
    """How an exploration searches with Optuna.

    Attributes
    ----------
    sampler, pruner : str
        Names of ``samplers.SAMPLERS`` and ``samplers.PRUNERS``.
    workers : int
        Processes, this one included.
    warm_start : str, optional
        ``"front"``, the name of an earlier study in the storage, or another storage.
    command : str
        What is told of where the study comes from.

    Examples
    --------
    >>> Search(sampler="nsga2", workers=2).pruner
    'none'
    """

    sampler: str = "tpe"
    pruner: str = "none"
    workers: int = 1
    warm_start: str | None = None
    command: str = ""

    def check(self, study: Study) -> None:
        """Look at sampler and pruner before the work; SpecError if they are not there, or cannot search the study."""
        check_sampler(self.sampler, study)
        check_pruner(self.pruner, study)


def how_of(asked: Search, study: Study, parts: Parts, place: Place, every: Enumeration) -> How:
    """Return how to search, with the chips to begin with."""
    start: list[dict[str, Any]] = []
    if asked.warm_start == FRONT:
        rows = [*every.best.values(), *(row for front in every.front.values() for row in front)]
        start = sorted(rows, key=lambda row: -sign(study.objective) * row[study.objective])
    elif asked.warm_start:
        start = from_study(study, place, asked.warm_start)
    facts = facts_of(study, parts, asked.command)
    return How(asked.sampler, asked.pruner, asked.workers, start, asked.warm_start or "", facts)


def publish_answer(place: Place, study: Study, every: Enumeration, found: dict[str, Found]) -> str:
    """Store the answer in words as the note of the study; return it."""
    seen = f"all {every.evaluated:,} chips of the space"
    note = note_of(study, every.best, seen, {name: each.trials for name, each in found.items()})
    names = {each.name for each in found.values() if not each.fault}
    for name in names:
        with contextlib.suppress(OSError):
            publish(place, name, note, {})
    return note
