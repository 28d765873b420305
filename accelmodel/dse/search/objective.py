"""A study as an objective: the chips of trials judged, for our own search and for a loop in plain Optuna.

All in one call of the model, or model by model so that a pruner may end some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.search.parameters import Space, space_of
from accelmodel.dse.search.trials import Outcome, directions, metrics, outcomes
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError, unknown

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class ChipObjective:
    """The objectives of a study's chips, for one technique, as ``optuna.Study.optimize`` takes them.

    Parameters and objectives are in the units that their names say; limits are constraints of the trial, figures of the
    chip its user attributes.  ``ask`` and ``tell`` evaluate a batch in one call.

    Attributes
    ----------
    study : Study
    technique : str, optional
        One of the study's; PRESERVE, or where it is not explored the last one, by default.
    by_model : bool
        Report the objective of the first model, of the first two, and so on, so that a pruner may end a trial; of
        studies with one objective and several models.

    Raises
    ------
    SpecError
        If the study has no such technique, or there is nothing to report model by model.

    Examples
    --------
    >>> import accelmodel as am, optuna
    >>> chip = am.load_study("preserve-l2").objective("preserve")
    >>> own = optuna.create_study(directions=chip.directions, sampler=optuna.samplers.RandomSampler(seed=0))
    >>> own.optimize(chip, n_trials=2)  # doctest: +SKIP
    >>> chip.tell(own, chip.ask(own, 32))  # doctest: +SKIP
    """

    study: Study
    technique: str = ""
    by_model: bool = False
    parts: Parts = field(init=False, repr=False)
    space: Space = field(init=False, repr=False)

    def __post_init__(self) -> None:
        study = self.study
        object.__setattr__(self, "technique", self.technique or study.candidate)
        if self.technique not in study.techniques:
            raise unknown("technique of this study", self.technique, study.techniques)
        if self.by_model and (len(study.objectives) > 1 or len(study.models) < 2):
            raise SpecError(
                f"by_model: study {study.name} has {len(study.objectives)} objectives and {len(study.models)} models; "
                "Optuna prunes by one objective, and there must be a model to stop after"
            )
        object.__setattr__(self, "parts", parts_of_study(study))
        object.__setattr__(self, "space", space_of(study))

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """``"maximize"`` or ``"minimize"`` of each objective, as ``optuna.create_study`` takes them."""
        return directions(self.study)

    @property
    def metric_names(self) -> list[str]:
        """Names of the objectives with units, as ``set_metric_names`` takes them."""
        return metrics(self.study)

    def __call__(self, trial: optuna.Trial) -> float | list[float]:
        """Return the objectives of the chip that a trial suggests; TrialPruned where it does not serve every model."""
        import optuna

        for label, kind in self.space.distributions.items():
            _suggest(trial, label, kind)
        (outcome,) = self._judged([trial])
        if outcome.why:
            raise optuna.TrialPruned(outcome.why)
        return outcome.values if len(outcome.values) > 1 else outcome.values[0]

    def ask(self, study: optuna.Study, count: int) -> list[optuna.Trial]:
        """Return new trials of a study, with chips suggested."""
        return [study.ask(self.space.distributions) for _ in range(count)]

    def tell(self, study: optuna.Study, trials: Sequence[optuna.Trial]) -> None:
        """Evaluate the chips of trials in one call, and tell the study."""
        from optuna.trial import TrialState

        for trial, outcome in zip(trials, self._judged(trials), strict=True):
            if outcome.why:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, outcome.values)

    def _judged(self, trials: Sequence[optuna.Trial]) -> list[Outcome]:
        said = judge(self.parts, self.space, self.technique, trials, self.by_model)
        for trial, outcome in zip(trials, said, strict=True):
            for name, value in outcome.attributes.items():
                trial.set_user_attr(name, value)
        return said


def _suggest(trial: optuna.Trial, label: str, kind: Any) -> None:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(kind, CategoricalDistribution):
        trial.suggest_categorical(label, kind.choices)
    elif isinstance(kind, IntDistribution):
        trial.suggest_int(label, kind.low, kind.high, step=kind.step)
    else:
        trial.suggest_float(label, kind.low, kind.high, step=kind.step, log=kind.log)


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
