"""A study as the objective of a user's own loop in plain Optuna: trial by trial, or asked and told in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.search.judging import judge
from accelmodel.dse.search.parameters import Space, space_of
from accelmodel.dse.search.trials import Outcome, directions, metrics
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.errors import SpecError, unknown

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class ChipObjective:
    """The objectives of a study, for one technique; ``objective`` makes one.

    Attributes
    ----------
    study : Study
    parts : Parts
    technique : str
    by_model : bool
        Whether a trial reports its objective model by model, so that a pruner may end it.
    """

    study: Study
    parts: Parts
    technique: str
    by_model: bool = False
    space: Space = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", space_of(self.study))

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


def objective(
    study: str | Study = "preserve-l2", technique: str | None = None, by_model: bool = False
) -> ChipObjective:
    """Return a study as the objective of a loop of one's own in plain Optuna.

    Parameters
    ----------
    study : str or Study
        Name of a shipped study, path of a TOML file, or what ``load_study`` returns.
    technique : str, optional
        One of the study's; PRESERVE, or where it is not explored the last one, by default.
    by_model : bool
        Report the objective of the first model, of the first two, and so on, so that a pruner may end a trial; of
        studies with one objective and several models.

    Returns
    -------
    ChipObjective
        To be called with a trial, with ``directions`` and ``metric_names`` for the study, and ``ask`` and ``tell`` that
        evaluate a batch in one call.  Parameters and objectives are in the units that their names say; limits are
        constraints of the trial, figures of the chip its user attributes.

    Raises
    ------
    SpecError
        If the study or the technique is unknown, or there is nothing to report model by model.

    Examples
    --------
    >>> import optuna
    >>> chip = objective("preserve-l2", "preserve")
    >>> own = optuna.create_study(directions=chip.directions, sampler=optuna.samplers.RandomSampler(seed=0))
    >>> own.optimize(chip, n_trials=2)  # doctest: +SKIP
    >>> chip.tell(own, chip.ask(own, 32))  # doctest: +SKIP
    """
    asked = load_study(study) if isinstance(study, str) else study
    chosen = technique or asked.candidate
    if chosen not in asked.techniques:
        raise unknown("technique of this study", chosen, asked.techniques)
    if by_model and (len(asked.objectives) > 1 or len(asked.models) < 2):
        raise SpecError(
            f"by_model: study {asked.name} has {len(asked.objectives)} objectives and {len(asked.models)} models; "
            "Optuna prunes by one objective, and there must be a model to stop after"
        )
    return ChipObjective(asked, parts_of_study(asked), chosen, by_model)
