"""The main job: enumerate a study's space, search it with Optuna, and see how firm the optimum is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelmodel import __version__
from accelmodel.dse.enumeration import Enumeration, enumerate_space, parts_of_study, regret, size
from accelmodel.dse.journal import ALIKE, check
from accelmodel.dse.optuna_search import Found, optimise
from accelmodel.dse.parts import Parts
from accelmodel.dse.sensitivity import sensitivity
from accelmodel.dse.study import Study, load_study
from accelmodel.errors import SpecError
from accelmodel.estimates import need_affordable
from accelmodel.inference.attributes import BITS
from accelmodel.inference.precisions import in_words, precisions
from accelmodel.inference.reading import readings
from accelmodel.inference.request import BASELINE
from accelmodel.specs.bits import OWN
from accelmodel.specs.facts import weakest
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Device
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload

#: least time of a step, and of a trial of Optuna [s]
_STEP_SECONDS, _TRIAL_SECONDS = 5e-7, 2e-2
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
    def faults(self) -> list[str]:
        """Why trials of a technique could not be stored; none where all were."""
        return [found.fault for found in self.found.values() if found.fault]

    @property
    def gain(self) -> float:
        """Best objective with the study's candidate over the best of the baseline [1]."""
        return gains(self.study, self.every)[self.study.candidate]


def _check_best(study: Study, found: Found, best: float) -> None:
    """Raise SpecError if the search found better than the best of all chips: one of the two is of another model."""
    value = found.best[study.study.objective]
    if value > best * (1.0 + ALIKE):
        raise SpecError(
            f"{found.storage}: {found.name} holds a chip of {value:g}, better than the best of all, {best:g}; move the "
            "file away or choose another place with --storage"
        )


def gains(study: Study, enumeration: Enumeration) -> dict[str, float]:
    """Return technique → its best objective over the best of the baseline [1]."""
    best = {technique: row[study.study.objective] for technique, row in enumeration.best.items()}
    return {technique: value / best[BASELINE] for technique, value in best.items()}


def _check_size(study: Study, trials: int) -> None:
    """Raise SpecError if the space lacks the axis that is also explored alone, or is more than a machine can try."""
    if "l2_capacity" not in study.space:
        raise SpecError(f"study {study.name}: space: add the axis l2_capacity, which is also explored alone")
    serving, software = study.workload, study.software
    steps = {name: len(values) for name, values in study.axes().items()}
    steps |= {"models": len(serving.models), "batch": len(serving.batch), "context": len(serving.context)}
    steps |= {"tp": len(software.tp), "techniques": len(study.techniques)}
    need_affordable("explore", steps, seconds=_STEP_SECONDS, room=0.0)
    need_affordable(
        "explore", {"trials": trials, "techniques": len(study.techniques)}, seconds=_TRIAL_SECONDS, room=1e3
    )


def explore(
    study: str | Study = "preserve-l2",
    storage: str | Path = "accelmodel.journal",
    trials: int | None = None,
    progress: Progress = no_progress,
) -> Exploration:
    """Answer a study: enumerate its space, search it with Optuna, and tell how firm the optimum is.

    Parameters
    ----------
    study : str or Study
        Name of a shipped study, path of a TOML file, or what ``load_study`` returns.
    storage : str or Path
        Optuna journal; an interrupted exploration resumes from it.
    trials : int, optional
        Chips that Optuna may try for each technique; the study's own number by default.
    progress : callable
        Called with a stage's name, its total, and how many more are done.

    Returns
    -------
    Exploration
        ``every`` chip of the space and the ``best`` of each technique, the same with L2 ``alone`` as axis, what Optuna
        ``found``, and how the optimum ``moves`` over the range of each uncertain constant; in SI.

    Raises
    ------
    SpecError
        If the study is unknown or wrong, or the journal cannot be read.
    Infeasible
        If no chip serves every model within the constraints.

    Notes
    -----
    The shipped study takes some minutes; ``evaluate_study`` answers for single chips.

    Examples
    --------
    >>> explore("preserve-l2", trials=64).gain  # doctest: +SKIP
    """
    study = load_study(study) if isinstance(study, str) else study
    storage = Path(storage)
    check(storage)
    parts = parts_of_study(study)
    total, wanted = size(study), trials or study.study.trials
    _check_size(study, wanted)
    every = enumerate_space(study, parts, lambda done: progress("every chip of the space", total, done))
    found = {
        technique: optimise(
            study,
            parts,
            technique,
            storage,
            wanted,
            lambda done: progress("Optuna", wanted * len(study.techniques), done),
        )
        for technique in study.techniques
    }
    for technique, each in found.items():
        _check_best(study, each, every.best[technique][study.study.objective])
    single = study.model_copy(update={"space": {"l2_capacity": study.space["l2_capacity"]}})
    progress("sensitivities", 1, 0)
    alone = enumerate_space(single, parts)
    moves = sensitivity(single, parts, alone.best[study.candidate])
    progress("sensitivities", 1, 1)
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


def _worked_at(model: LanguageModel, work: Workload, device: Device) -> list[str]:
    return in_words(precisions(model, work, device), model, work, device)


def summary(result: Exploration, report: str | None) -> dict[str, Any]:
    """Return the exploration as JSON-ready data; SI units, sizes in bytes.

    ``gain``, ``regret`` and ``exhaustive`` speak of the technique that ``gain_of`` names; ``gains`` and ``regrets``
    of each.
    """
    study, objective = result.study, result.study.study.objective
    candidate = study.candidate
    models = [load("model", name) for name in study.workload.models]
    specs = tuple(result.parts.specs.values())
    asked = workload(phase="decode", batch=1.0, context=1.0, **{each: getattr(study.workload, each) for each in BITS})
    missed = {
        name: regret(found.best[objective], result.every.best[name][objective]) for name, found in result.found.items()
    }
    return {
        "study": study.name,
        "objective": objective,
        "best": {name: _chip(row) for name, row in result.every.best.items()},
        "gain": result.gain,
        "gain_of": candidate,
        "gains": gains(study, result.every),
        "evaluations": result.every.evaluated + sum(found.trials for found in result.found.values()),
        "exhaustive": {
            "l2_bytes": result.every.best[candidate]["l2_capacity"],
            "chips": result.every.evaluated,
            "feasible": result.every.feasible,
        },
        "optuna": {name: {**_chip(found.best), "trials": found.trials} for name, found in result.found.items()},
        "regret": missed[candidate],
        "regret_none": missed[BASELINE],
        "regrets": missed,
        "l2_alone": {
            **{name: {"l2_bytes": row["l2_capacity"]} for name, row in result.alone.best.items()},
            "gain": gains(study, result.alone)[candidate],
            "gains": gains(study, result.alone),
        },
        "curve": {
            name: [{"l2_bytes": size, objective: value} for size, value in zip(*curve, strict=True)]
            for name, curve in result.every.curve.items()
        },
        "sensitivity": result.moves,
        "read": readings(models, [{name: getattr(study.workload, name) for name in OWN}] * len(models)),
        "report": report,
        "storage": next(iter(result.found.values())).storage,
        "accelmodel_version": __version__,
        "precision": [
            {"model": model.name, **row} for model in models for row in precisions(model, asked, result.parts.device)
        ],
        "notes": [
            *(f"{model.name}: {note}" for model in models for note in _worked_at(model, asked, result.parts.device)),
            *(f"{spec.name}: {note}" for spec in (*specs, *models) for note in spec.notes),
        ],
        "weakest_fact": weakest(fact.standing for spec in specs for fact in spec.facts.values()),
    }
