"""Searching a design space with Optuna: ask in batches, evaluate a batch in one call, store it in bulk.

The sampler works on a study in memory, since asking a file for every trial costs more than the model by
orders of magnitude; each finished batch goes to a journal file, which ``optuna-dashboard`` opens as it
is and from which an interrupted search resumes.  Processes that search one study take turns, a batch each.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from accelmodel.dse.enumeration import Count, no_progress
from accelmodel.dse.evaluate import evaluate
from accelmodel.dse.journal import FIGURES, Journal, digest, directions, ordered, unreadable
from accelmodel.dse.objectives import sign
from accelmodel.dse.parts import Parts
from accelmodel.dse.study import Study
from accelmodel.errors import Infeasible

if TYPE_CHECKING:
    import optuna

#: chips asked for at once: large enough that the model's call costs less than the sampler
BATCH = 32


@dataclass(frozen=True)
class Found:
    """What a search found: best chip and its objectives, and how many trials stand behind it.

    ``fault`` says why not all of them could be stored, and is empty where they were.
    """

    best: dict[str, float]
    trials: int
    resumed: int
    storage: str
    name: str
    fault: str = ""


def distributions(study: Study) -> dict[str, optuna.distributions.BaseDistribution]:
    """Return Optuna's view of the space: evenly spaced axes as stepped floats, others as categories."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    space: dict[str, BaseDistribution] = {}
    for name, axis in study.axes().items():
        values = axis.values
        if values is None:
            space[name] = FloatDistribution(axis.low, axis.high, log=axis.log)
            continue
        if axis.kind == "word":
            space[name] = CategoricalDistribution(values)
            continue
        steps = np.diff(values)
        if len(values) > 1 and np.allclose(steps, steps[0]):
            space[name] = FloatDistribution(float(values[0]), float(values[-1]), step=float(steps[0]))
        else:
            space[name] = CategoricalDistribution([float(value) for value in values])
    return space


def optimise(
    study: Study, parts: Parts, technique: str, storage: Path, trials: int, progress: Count = no_progress
) -> Found:
    """Search the space for one technique until the study holds ``trials`` trials.

    Parameters
    ----------
    study : Study
    parts : Parts
    technique : str
        One of the study's.
    storage : Path
        Journal file; made if it is not there, resumed if it is.
    trials : int
        Trials wanted in all, those of earlier runs included.
    progress : callable
        Called with the number of trials done since the last call.

    Returns
    -------
    Found
        Where the file can no longer be written the search goes on without it, and ``fault`` says so.

    Raises
    ------
    SpecError
        If the file is held by a process that stands still, is no journal, or holds what the model does not say.
    Infeasible
        If no trial kept to the constraints.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = f"{study.name}/{technique}/{study.study.objective}/{digest(study, parts)}"
    kept = Journal(storage, name, study, parts, technique)
    memory: optuna.Study | None = None
    told = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        while True:
            with kept.turn():
                news = kept.news()
                if memory is None:
                    resumed = len(news)
                    sampler = optuna.samplers.TPESampler(seed=study.study.seed + resumed)
                    memory = optuna.create_study(directions=directions(study), sampler=sampler)
                _join(memory, news, kept)
                done = len(memory.get_trials(deepcopy=False))
                asked = [memory.ask(distributions(study)) for _ in range(min(BATCH, trials - done))]
                if asked:
                    _run_batch(study, parts, technique, memory, asked)
                    kept.add(memory.get_trials(deepcopy=False)[done:])
            reached = min(trials, done + len(asked))
            progress(reached - told)
            told = reached
            if reached >= trials:
                return _best(study, memory, resumed, kept)


def _join(memory: optuna.Study, news: list[optuna.trial.FrozenTrial], kept: Journal) -> None:
    """Add trials of the file to the study in memory; Optuna looks at them as they come in."""
    try:
        memory.add_trials(news)
    except ValueError as error:
        raise unreadable(kept.storage, f"{kept.name}: {' '.join(str(error).split())}") from None


def _run_batch(study: Study, parts: Parts, technique: str, memory: optuna.Study, asked: list[optuna.Trial]) -> None:
    import xarray as xr

    chips = {axis: xr.DataArray([trial.params[axis] for trial in asked], dims="design") for axis in study.axes()}
    result = evaluate(study, parts, **chips).sel(technique=technique)
    for i, trial in enumerate(asked):
        trial.set_constraint("feasible", 0.0 if bool(np.broadcast_to(result.feasible.values, len(asked))[i]) else 1.0)
        for figure in FIGURES:
            trial.set_user_attr(figure, float(np.broadcast_to(result[figure].values, len(asked))[i]))
        memory.tell(
            trial, [float(np.broadcast_to(result[objective].values, len(asked))[i]) for objective in ordered(study)]
        )


def _best(study: Study, memory: optuna.Study, resumed: int, kept: Journal) -> Found:
    complete = [trial for trial in memory.get_trials(deepcopy=False) if trial.values is not None]
    allowed = [trial for trial in complete if all(value <= 0.0 for value in trial.constraints.values())]
    if not allowed:
        raise Infeasible(f"study {study.name}: none of {len(complete)} trials kept to the constraints; raise --trials")
    top = max(allowed, key=lambda trial: sign(study.objective) * trial.values[0])
    best = {**top.params, **dict(zip(ordered(study), top.values, strict=True)), **top.user_attrs}
    return Found(best, len(complete), resumed, str(kept.storage), kept.name, kept.fault)
