"""Chips that a search tries first: those of an enumeration's front, or the best of an earlier study."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.search.optimise import Search
from accelmodel.dse.search.parameters import TECHNIQUE, space_of
from accelmodel.dse.search.storage import Place, opened, place_of, worded
from accelmodel.dse.studies.objectives import sign
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError, unknown

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

#: what takes the chips of the enumeration's front
FRONT = "front"
#: most chips that are taken over
MOST = 32


def warmed(search: Search, study: Study, place: Place, every: Enumeration) -> Search:
    """Return the search with the chips that its ``warm_start`` means.

    Raises
    ------
    SpecError
        As ``from_study``.
    """
    if not search.warm_start:
        return search
    if search.warm_start == FRONT:
        rows = [*every.best.values(), *(row for front in every.front.values() for row in front)]
        found = sorted(rows, key=lambda row: -sign(study.headline) * row[study.headline])
    else:
        found = from_study(study, place, search.warm_start)
    return replace(search, start=[*search.start, *found])


def from_study(study: Study, place: Place, given: str) -> list[dict[str, Any]]:
    """Return the best chips of an earlier study, by their axes in SI, as far as they are in this study's space.

    Parameters
    ----------
    study : Study
        The one that is to be searched.
    place : Place
        Where its trials are kept.
    given : str
        Name of a study there or the start of one, or another storage, whose newest study is taken.

    Raises
    ------
    SpecError
        If there is no such study, or none of its chips is in the space.
    """
    import optuna

    other = "://" in given or Path(given).is_file()
    place = place_of(given) if other else place
    with worded(place), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = opened(place)
        names = [each.study_name for each in optuna.get_all_study_summaries(storage, include_best_trial=False)]
        wanted = [name for name in names if other or name.startswith(given)]
        if not wanted:
            raise unknown("study to start from", given, names)
        earlier = optuna.load_study(study_name=wanted[-1], storage=storage)
        found = _rows(study, _best(earlier))
    if not found:
        raise SpecError(f"--warm-start {given}: no trial of {wanted[-1]} is a chip of study {study.name}")
    return found


def _best(earlier: optuna.Study) -> list[FrozenTrial]:
    """Return the finished trials, those that kept to their limits first, by the first objective."""
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    way = -1.0 if earlier.directions[0] is StudyDirection.MAXIMIZE else 1.0
    done = earlier.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(done, key=lambda trial: (max([0.0, *trial.constraints.values()]) > 0.0, way * trial.values[0]))


def _rows(study: Study, trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    space = space_of(study)
    found: dict[Any, dict[str, Any]] = {}
    for trial in trials:
        if set(trial.params) - {TECHNIQUE} != set(space.parameters):
            continue
        row = {each.axis: each.back(trial.params[label]) for label, each in space.parameters.items()}
        if None not in row.values():
            found.setdefault(space.key(trial.params), row)
    return list(found.values())[:MOST]
