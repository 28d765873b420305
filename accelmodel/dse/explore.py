"""The main job: enumerate a study's space, search it with Optuna, and see how firm the optimum is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelmodel import __version__
from accelmodel.dse.chip import Parts
from accelmodel.dse.enumeration import TECHNIQUES, Enumeration, enumerate_space, parts_of_study, regret, size
from accelmodel.dse.optuna_search import Found, optimise
from accelmodel.dse.sensitivity import sensitivity
from accelmodel.dse.study import Study
from accelmodel.specs.facts import weakest

#: called with a stage's name, its total, and how many more are done
Progress = Callable[[str, int, int], None]


def no_progress(stage: str, total: int, done: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Exploration:
    """Everything an exploration found.

    Attributes
    ----------
    study : Study
    parts : Parts
    every : Enumeration
        The whole space.
    alone : Enumeration
        L2 as the only axis, all else as in the reference chip: the exploration that the paper describes.
    found : dict of Found
        technique → what Optuna found in the whole space.
    moves : list of dict
        How the best L2 of the reference chip moves over the range of each uncertain constant.
    """

    study: Study
    parts: Parts
    every: Enumeration
    alone: Enumeration
    found: dict[str, Found]
    moves: list[dict[str, Any]]

    @property
    def gain(self) -> float:
        """Best objective with prefetch over best without [1]."""
        return gain(self.study, self.every)


def gain(study: Study, enumeration: Enumeration) -> float:
    """Return the best objective with prefetch over the best without [1]."""
    best = enumeration.best
    return best["preserve"][study.study.objective] / best["none"][study.study.objective]


def explore(study: Study, storage: Path, trials: int | None = None, progress: Progress = no_progress) -> Exploration:
    """Answer a study.

    Parameters
    ----------
    study : Study
    storage : Path
        Optuna journal; an interrupted exploration resumes from it.
    trials : int, optional
        Chips that Optuna may try for each technique; the study's own number by default.
    progress : callable
        Told of progress.

    Raises
    ------
    SpecError, Infeasible
        As ``search`` and ``optimise``.
    """
    parts = parts_of_study(study)
    total, wanted = size(study), trials or study.study.trials
    every = enumerate_space(study, parts, lambda done: progress("every chip of the space", total, done))
    found = {
        technique: optimise(
            study, parts, technique, storage, wanted, lambda done: progress("Optuna", wanted * len(TECHNIQUES), done)
        )
        for technique in TECHNIQUES
    }
    single = study.model_copy(update={"space": {"l2_capacity": study.space["l2_capacity"]}})
    alone = enumerate_space(single, parts)
    moves = sensitivity(single, parts, alone.best["preserve"])
    return Exploration(study, parts, every, alone, found, moves)


def _chip(row: dict[str, float]) -> dict[str, float]:
    names = {
        "l2_capacity": "l2_bytes",
        "link_bandwidth": "link_bandwidth_bytes_per_s",
        "die_area": "die_area_m2",
        "power": "power_w",
        "price": "price_usd",
        "throughput": "tokens_per_s_per_device",
        "throughput_per_area": "tokens_per_s_per_m2",
    }
    parts = ("area_", "price_")
    return {names.get(key, key): value for key, value in row.items() if not key.startswith(parts)}


def summary(result: Exploration, report: str) -> dict[str, Any]:
    """Return the exploration as JSON-ready data; SI units, sizes in bytes."""
    study, objective = result.study, result.study.study.objective
    specs = (result.parts.device, result.parts.link, result.parts.bill, result.parts.process)
    missed = {
        name: regret(found.best[objective], result.every.best[name][objective]) for name, found in result.found.items()
    }
    return {
        "study": study.name,
        "objective": objective,
        "best": {name: _chip(row) for name, row in result.every.best.items()},
        "gain": result.gain,
        "evaluations": result.every.evaluated + sum(found.trials for found in result.found.values()),
        "exhaustive": {
            "l2_bytes": result.every.best["preserve"]["l2_capacity"],
            "chips": result.every.evaluated,
            "feasible": result.every.feasible,
        },
        "optuna": {name: {**_chip(found.best), "trials": found.trials} for name, found in result.found.items()},
        "regret": missed["preserve"],
        "regret_none": missed["none"],
        "l2_alone": {
            "none": {"l2_bytes": result.alone.best["none"]["l2_capacity"]},
            "preserve": {"l2_bytes": result.alone.best["preserve"]["l2_capacity"]},
            "gain": gain(study, result.alone),
        },
        "curve": {
            name: [{"l2_bytes": size, objective: value} for size, value in zip(*curve, strict=True)]
            for name, curve in result.every.curve.items()
        },
        "sensitivity": result.moves,
        "report": report,
        "storage": next(iter(result.found.values())).storage,
        "accelmodel_version": __version__,
        "weakest_fact": weakest(fact.standing for spec in specs for fact in spec.facts.values()),
    }
