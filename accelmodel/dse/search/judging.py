"""Judging the chips of some trials: all in one call of the model, or model by model so that a pruner may end some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.search.parameters import Space
from accelmodel.dse.search.trials import Outcome, outcomes
from accelmodel.dse.studies.study import Study

if TYPE_CHECKING:
    import optuna


def judge(
    parts: Parts, space: Space, technique: str, trials: Sequence[optuna.Trial], by_model: bool = False
) -> list[Outcome]:
    """Return the outcome of each trial's chip; limits become its constraints.

    Model by model, a trial reports the objective over the first model, over the first two, and so on; one that the
    study's pruner ends has no objective and says after which model.
    """
    study = space.study
    left = list(trials)
    ended: dict[int, Outcome] = {}
    if by_model:
        for count in range(1, len(study.models)):
            found = _outcomes(first_models(study, count), parts, space, technique, left)
            for trial, outcome in zip(left, found, strict=True):
                if not outcome.why:
                    trial.report(outcome.values[0], count)
                if trial.should_prune():
                    ended[trial.number] = Outcome([], {}, outcome.attributes, f"pruned after {study.models[count - 1]}")
            left = [trial for trial in left if trial.number not in ended]
    whole = dict(zip([trial.number for trial in left], _outcomes(study, parts, space, technique, left), strict=True))
    for trial in left:
        outcome = whole[trial.number]
        if by_model and not outcome.why:
            trial.report(outcome.values[0], len(study.models))
        for name, excess in outcome.limits.items():
            trial.set_constraint(name, excess)
    return [{**whole, **ended}[trial.number] for trial in trials]


def _outcomes(
    study: Study, parts: Parts, space: Space, technique: str, trials: Sequence[optuna.Trial]
) -> list[Outcome]:
    if not trials:
        return []
    return outcomes(study, evaluate(study, parts, **space.chips_of([trial.params for trial in trials])), technique)


def first_models(study: Study, count: int) -> Study:
    """Return the study of the first models alone, with the limits that are of none of the others."""
    kept = set(study.models[:count])
    serving = study.workload
    places = [place for place, name in enumerate(serving.models) if name in kept]
    weights = [serving.weights[place] for place in places] if serving.weights else None
    fewer = serving.model_copy(update={"models": [serving.models[place] for place in places], "weights": weights})
    mix = [part for part in study.mix if part.model in kept]
    limits = {
        name: {of: limit for of, limit in given.items() if of in kept}
        for name in ("ttft", "tpot")
        if isinstance(given := getattr(study.constraints, name), dict)
    }
    constraints = study.constraints.model_copy(update=limits)
    return study.model_copy(update={"workload": fewer, "mix": mix, "constraints": constraints})
