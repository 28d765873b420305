"""A study where it is kept: finished trials come out checked against the model, new ones go in, none is lost or double.

Whoever searches evaluates on his own and stores in his turn: he sees all that others have stored meanwhile, adds the
chips that are new, and no more than are still missing.  So nothing is claimed before, and a kill leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.rows import CHUNK
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.search.digest import digest, name_of
from accelmodel.dse.search.parameters import TECHNIQUE, Space, space_of
from accelmodel.dse.search.storage import Place, lost, opened, unreadable, worded
from accelmodel.dse.search.trials import WHY, directions, metrics, outcomes, pairs, stray
from accelmodel.dse.search.turns import turn
from accelmodel.dse.studies.study import Study
from accelmodel.output import keep

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

#: how far a stored number may be from what the model says now: laws may be compiled otherwise, not be others [1]
ALIKE = 1e-6
#: user attributes of a study: its whole digest, how many searches have begun on it; of a trial: which search told it
DIGEST, RUNS, BY = "digest", "searches begun", "search"


@dataclass
class Record:
    """A study in its storage.

    Attributes
    ----------
    place : Place
    study : Study
    parts : Parts
    name : str
        Of the study in the storage.
    run : int
        How many searches had begun on it before this one.
    fault : str
        Why trials are no longer stored; empty as long as they are.
    trials : dict of list
        technique → finished trials, those of other processes included.
    resumed : dict of int
        technique → how many of them there were at the beginning.
    keys : dict of set
        technique → what tells their chips apart.
    """

    place: Place
    study: Study
    parts: Parts
    name: str = ""
    run: int = 0
    fault: str = ""
    trials: dict[str, list[FrozenTrial]] = field(default_factory=lambda: defaultdict(list), repr=False)
    resumed: dict[str, int] = field(default_factory=dict, repr=False)
    keys: dict[str, set[Hashable]] = field(default_factory=lambda: defaultdict(set), repr=False)
    space: Space = field(init=False, repr=False)
    _kept: optuna.Study | None = field(default=None, repr=False)
    _seen: set[int] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self.space = space_of(self.study)

    def begin(self, facts: dict[str, Any]) -> None:
        """Open or make the study, with what is to be known of it, and read what it holds."""
        import optuna

        self.name = name_of(self.study, self.parts)
        with self._written(), turn(self.place):
            self._kept = optuna.create_study(
                study_name=self.name,
                storage=opened(self.place),
                directions=directions(self.study),
                load_if_exists=True,
            )
            self._introduce(self._kept, {**facts, DIGEST: digest(self.study, self.parts)})
        self.news()
        self.resumed = {technique: len(held) for technique, held in self.trials.items()}

    def _introduce(self, kept: optuna.Study, facts: dict[str, Any]) -> None:
        """Tell what the study is, where it has just been made, and that a search begins; inside a turn."""
        told = kept.user_attrs
        if told.get(DIGEST, facts[DIGEST]) != facts[DIGEST]:
            raise unreadable(self.place, f"{self.name} is of digest {told[DIGEST]}")
        if DIGEST not in told:
            kept.set_metric_names(metrics(self.study))
        for name, value in facts.items():
            if told.get(name) != value:
                kept.set_user_attr(name, value)
        begun = told.get(RUNS, 0)
        self.run = begun if isinstance(begun, int) else len(self._seen)
        kept.set_user_attr(RUNS, self.run + 1)

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        """Note once why the storage cannot be written, and go on without it."""
        try:
            with worded(self.place), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is experimental
                yield
        except OSError as error:
            count = self._count()
            self._kept = None
            self.fault = f"{lost(self.place, error)}; it keeps {count} trials, and the same command goes on from there"

    def _count(self) -> int:
        """Return how many trials a storage holds that can no longer be written."""
        from optuna.trial import TrialState

        with contextlib.suppress(Exception):
            return len(self._kept.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) if self._kept else 0
        return len(self._seen)

    def news(self) -> list[FrozenTrial]:
        """Return the trials that others have stored since the last call.

        Raises
        ------
        SpecError
            If one is not of this study, or the model gives other numbers for its chip.
        """
        found: list[FrozenTrial] = []
        if self._kept is not None:
            with self._written():
                found = self._unseen(self._kept)
        self._check(found)
        return found

    def _unseen(self, kept: optuna.Study) -> list[FrozenTrial]:
        """A trial of somebody's that is still running, or that failed in his hands, is left out."""
        from optuna.trial import TrialState

        new = [each for each in kept.get_trials(deepcopy=False) if each.number not in self._seen]
        new = [each for each in new if each.state in (TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)]
        self._seen |= {each.number for each in new}
        if self._seen:
            keep(f"{self.place} (the same command goes on from there)")
        new = [each for each in new if each.state is TrialState.COMPLETE or WHY in each.user_attrs]
        new = [each for each in new if each.user_attrs.get(BY) != self.run]
        for trial in new:
            if why := stray(self.space, trial):
                raise unreadable(self.place, f"trial {trial.number} of {self.name}: {why}")
            self._hold(trial)
        return new

    def _hold(self, trial: FrozenTrial) -> None:
        technique = trial.params[TECHNIQUE]
        self.trials[technique].append(trial)
        self.keys[technique].add(self.space.key(trial.params))

    def _check(self, trials: list[FrozenTrial]) -> None:
        """Raise SpecError if the model no longer gives what the trials hold."""
        for start in range(0, len(trials), CHUNK):
            part = trials[start : start + CHUNK]
            result = evaluate(self.study, self.parts, **self.space.chips_of([trial.params for trial in part]))
            said = {name: outcomes(self.study, result, name) for name in self.study.techniques}
            for place, trial in enumerate(part):
                for name, held, now, beside in pairs(self.study, trial, said[trial.params[TECHNIQUE]][place]):
                    if not np.isclose(held, now, rtol=ALIKE, atol=beside * ALIKE):
                        why = f"trial {trial.number} of {self.name} has {name} {held:g}, the model says {now:g}"
                        raise unreadable(self.place, why)

    def add(self, batch: list[FrozenTrial], technique: str, wanted: int) -> list[FrozenTrial]:
        """Store those of a batch that nobody has stored, and no more than are wanted; return what others stored."""
        news: list[FrozenTrial] = []
        fresh: list[FrozenTrial] = []
        if self._kept is not None:
            with self._written(), turn(self.place):
                news = self._unseen(self._kept)
                fresh = self._fresh(batch, technique, wanted)
                self._kept.add_trials(fresh)
        self._check(news)
        for trial in self._fresh(batch, technique, wanted) if self.fault else fresh:
            self._hold(trial)
        if fresh and not self.fault:
            keep(f"{self.place} (the same command goes on from there)")
        return news

    def _fresh(self, batch: list[FrozenTrial], technique: str, wanted: int) -> list[FrozenTrial]:
        """Return the trials of chips that were not tried, or all where every chip was, up to what is missing."""
        known = self.keys[technique]
        found: dict[Hashable, FrozenTrial] = {}
        full = len(known) >= self.space.chips
        for trial in batch:
            key: Hashable = self.space.key(trial.params)
            if full or (key not in known and key not in found):
                found[(key, trial.number) if full else key] = trial
        return list(found.values())[: max(0, wanted - len(self.trials[technique]))]
