"""Searching a design space with Optuna: ask in batches, evaluate a batch in one call, store it in bulk.

The sampler works on a study in memory, since asking a storage for every trial costs more than the model by orders of
magnitude; each finished batch goes to the storage, which ``optuna-dashboard`` opens as it is and from which an
interrupted search resumes.  Any number of processes may search one study, on one machine or many.
"""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.enumerate import Count, no_progress
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.search.objective import judge
from accelmodel.dse.search.parameters import TECHNIQUE, Space
from accelmodel.dse.search.record import BY, Record
from accelmodel.dse.search.samplers import WITHOUT_LIMITS, check_pruner, check_sampler, pruner_of, sampler_of
from accelmodel.dse.search.storage import Place, place_of
from accelmodel.dse.search.trials import Outcome, directions, remembered, row_of, stored
from accelmodel.dse.studies.objectives import sign
from accelmodel.dse.studies.study import Study
from accelmodel.errors import Infeasible, SpecError
from accelmodel.estimates import need_affordable

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

#: chips asked for at once: large enough that the model's call costs less than the sampler
BATCH = 32
#: least time of a trial [s]
_SECONDS = 2e-2
#: how long a worker may still be at a batch that nobody needs any more [s]
_LAST = 20.0
#: seeds of searches that begin on one study are this far apart
_APART = 100_003


@dataclass(frozen=True)
class Search:
    """How to search with Optuna.

    Attributes
    ----------
    sampler, pruner : str
        Names of ``samplers.SAMPLERS`` and ``samplers.PRUNERS``; with a pruner a trial is judged model by model.
    workers : int
        Processes, this one included.
    warm_start : str, optional
        Where chips to try first come from: ``"front"``, the name of an earlier study in the storage, or another
        storage.
    command : str
        What is told of where the study comes from.
    start : sequence of dict
        Chips to try first, by their axes in SI, before those of ``warm_start``; those that are not in the space are
        left out.

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
    start: Sequence[Mapping[str, Any]] = ()

    def check(self, study: Study) -> None:
        """Look at sampler and pruner before the work; SpecError if they are not there, or cannot search the study."""
        check_sampler(self.sampler, study)
        check_pruner(self.pruner, study)


#: TPE, one process
USUAL: Search = Search()


@dataclass(frozen=True)
class Found:
    """What a search found: best chip and its objectives in SI, and how many trials stand behind it.

    ``fault`` says why not all of them could be stored, and is empty where they were.
    """

    best: dict[str, Any]
    trials: int
    resumed: int
    storage: str
    name: str
    fault: str = ""


def optimise(
    study: Study,
    parts: Parts,
    technique: str,
    storage: str | Path,
    trials: int,
    progress: Count = no_progress,
    search: Search = USUAL,
) -> Found:
    """Search the space for one technique until the study holds ``trials`` trials of it.

    Parameters
    ----------
    study : Study
    parts : Parts
    technique : str
        One of the study's.
    storage : str or Path
        Path or URL; made if it is not there, resumed if it is.
    trials : int
        Trials wanted in all, those of earlier runs and of other processes included.
    progress : callable
        Called with the number of trials done since the last call.
    search : Search
        Sampler, workers, and chips to begin with.

    Returns
    -------
    Found
        Where the storage can no longer be written the search goes on without it, and ``fault`` says so.

    Raises
    ------
    SpecError
        If the storage is held by a process that stands still, is none, or holds what the model does not say.
    Infeasible
        If no trial kept to the limits.
    """
    found, why = optimise_each(study, parts, [technique], storage, trials, progress, search)
    if technique not in found:
        raise Infeasible(why[0])
    return found[technique]


def optimise_each(
    study: Study,
    parts: Parts,
    techniques: Sequence[str],
    storage: str | Path | Place,
    trials: int,
    progress: Count = no_progress,
    search: Search = USUAL,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Found], list[str]]:
    """Search the space for each technique; all stand in one study of Optuna's, and workers help with each.

    ``trials`` is how many that study is to hold in all, each technique an equal share; ``facts`` what it tells of
    itself.

    Returns
    -------
    tuple of (dict of Found, list of str)
        What was found for each technique, and why nothing was found for others.
    """
    search.check(study)
    wanted = shares(trials, techniques)
    place = storage if isinstance(storage, Place) else place_of(storage)
    helpers = _helpers(search, (study, parts, place, wanted, replace(search, workers=1)))
    record = Record(place, study, parts)
    try:
        record.begin(dict(facts))
        found, missing = {}, []
        for technique, share in wanted.items():
            _search(record, technique, share, progress, search)
            try:
                found[technique] = _found(record, technique)
            except Infeasible as error:
                missing.append(str(error))
        return found, missing
    finally:
        for helper in helpers:
            helper.join(_LAST if sys.exc_info()[0] is None else 0.0)
            helper.terminate()  # whatever it was at: a trial is stored whole, and what half a line is left is cut off
            helper.join()


def shares(trials: int, techniques: Sequence[str]) -> dict[str, int]:
    """Return how many trials each technique gets of those that are asked in all.

    Raises
    ------
    SpecError
        If there are fewer trials than techniques, or more than a machine can try.

    Examples
    --------
    >>> shares(97, ["none", "preserve"])
    {'none': 49, 'preserve': 48}
    """
    need_affordable("explore", {"trials": trials}, seconds=_SECONDS, room=1e3)
    share, left = divmod(trials, len(techniques))
    if not share:
        raise SpecError(
            f"--trials {trials}: {len(techniques)} techniques are searched, {', '.join(techniques)}; "
            f"ask for {len(techniques)} or more"
        )
    return {technique: share + (place < left) for place, technique in enumerate(techniques)}


def _helpers(search: Search, task: tuple[Any, ...]) -> list[Any]:
    context = multiprocessing.get_context("spawn")
    helpers = [context.Process(target=_help, args=task, daemon=True) for _ in range(search.workers - 1)]
    for helper in helpers:
        helper.start()
    return helpers


def _help(study: Study, parts: Parts, place: Place, wanted: Mapping[str, int], search: Search) -> None:
    """Search beside the process that answers; what goes wrong goes wrong there too, and is told there."""
    record = Record(place, study, parts)
    try:
        record.begin({})
        for technique, share in wanted.items():
            if not record.fault:
                _search(record, technique, share, no_progress, search)
    except Exception:
        return


def _search(record: Record, technique: str, trials: int, progress: Count, search: Search) -> None:
    """Search for one technique until enough trials of it are stored, by whomever."""
    import optuna

    study, space = record.study, record.space
    held = record.trials[technique]
    resumed, told = len(held), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is experimental
        seed = (study.study.seed + resumed + _APART * record.run) % 2**31
        sampler, pruner = sampler_of(search.sampler, seed), pruner_of(search.pruner)
        memory = optuna.create_study(directions=directions(study), sampler=sampler, pruner=pruner)
        memory.add_trials([remembered(trial, space) for trial in held])
        asking = _Asking(space, memory, _first(space, search), np.random.default_rng([seed, len(study.techniques)]))
        while True:
            done = min(trials, len(held))
            progress(done - told)
            told = done
            if done >= trials:
                return
            asked = asking.batch(record.keys[technique], min(BATCH, trials - done))
            news = record.add(_run(record, technique, memory, asked, search), technique, trials)
            memory.add_trials([remembered(trial, space) for trial in news if trial.params[TECHNIQUE] == technique])


def _first(space: Space, search: Search) -> list[dict[str, Any]]:
    """Return the chips to begin with that are in the space, each once."""
    found = [params for row in search.start if (params := space.params_of(row)) is not None]
    return list({space.key(params): params for params in found}.values())


@dataclass
class _Asking:
    """Asks the sampler; a chip that was tried before is replaced by one that was not, as long as there are any."""

    space: Space
    memory: optuna.Study
    first: list[dict[str, Any]]
    random: np.random.Generator

    def batch(self, tried: set[Hashable], count: int) -> list[optuna.Trial]:
        """Return running trials, none of a chip that was tried or stands twice unless the space holds no other."""
        from optuna.trial import TrialState

        seen = set(tried)
        found: list[optuna.Trial] = []
        while len(found) < count:
            trial = self._ask(self.first.pop(0) if self.first else None)
            key = self.space.key(trial.params)
            if key in seen and len(seen) < self.space.chips:
                self.memory.tell(trial, state=TrialState.FAIL)
                trial = self._ask(self.space.untried(seen, self.random))
                key = self.space.key(trial.params)
            seen.add(key)
            found.append(trial)
        return found

    def _ask(self, params: dict[str, Any] | None) -> optuna.Trial:
        if params is not None:
            self.memory.enqueue_trial(params)
        return self.memory.ask(self.space.distributions)


def _run(
    record: Record, technique: str, memory: optuna.Study, asked: list[optuna.Trial], search: Search
) -> list[FrozenTrial]:
    """Evaluate the chips of some trials in one call, tell the study in memory, and return them as they are stored."""
    study, space = record.study, record.space
    said = judge(record.parts, space, technique, asked, search.pruner != "none")
    first = {space.key(params) for params in _first(space, search)}
    found: list[FrozenTrial] = []
    for trial, outcome in zip(asked, said, strict=True):
        told = _tell(memory, trial, outcome, search.sampler in WITHOUT_LIMITS)
        more = {"started from": (search.warm_start or "given")} if space.key(trial.params) in first else {}
        found.append(stored(told, study, technique, outcome, {**more, BY: record.run}))
    return found


def _tell(memory: optuna.Study, trial: optuna.Trial, outcome: Outcome, without_limits: bool) -> FrozenTrial:
    """Tell the study in memory what the model says of a chip."""
    from optuna.trial import TrialState

    if outcome.why and not outcome.values:
        return memory.tell(trial, state=TrialState.PRUNED)
    if outcome.why or (without_limits and max(outcome.limits.values()) > 0.0):
        return memory.tell(trial, state=TrialState.FAIL)
    return memory.tell(trial, outcome.values)


def _found(record: Record, technique: str) -> Found:
    study, trials = record.study, record.trials[technique]
    allowed = [each for each in trials if each.values and all(excess <= 0.0 for excess in each.constraints.values())]
    if not allowed:
        raise Infeasible(
            f"study {study.name}, {technique}: none of {len(trials)} trials kept to the constraints; raise --trials"
        )
    top = max(allowed, key=lambda trial: sign(study.headline) * trial.values[0])
    chips = record.space.chips_of([top.params])
    row = row_of(evaluate(study, record.parts, **chips), technique)
    best = {**{name: values.values[0].item() for name, values in chips.items()}, **row}
    resumed = record.resumed.get(technique, 0)
    return Found(best, len(trials), resumed, str(record.place), record.name, record.fault)
