"""What the model says of a chip as a trial of Optuna: objectives, how far beyond each limit, what else is seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from accelmodel.dse.search.parameters import TECHNIQUE, Space, is_number, labelled, shown, words_of
from accelmodel.dse.studies.objectives import OBJECTIVES, sign
from accelmodel.dse.studies.study import Study

if TYPE_CHECKING:
    import xarray as xr
    from optuna.trial import FrozenTrial

#: user attribute: why a trial has no objective
WHY = "why it failed"
_EXCESS, _PARTS = "excess_", ("area_", "price_", "carbon_", "power_")
#: the limit that every study has: models must fit
_MEMORY = "memory"
#: digits that objectives keep: a hundredth of what a stored number may differ from the model's
_DIGITS = 8
#: attributes of a sampler in memory that say nothing once a trial is stored
_PASSING = ("fixed_params",)


def directions(study: Study) -> list[Literal["maximize", "minimize"]]:
    """Return the directions of the objectives, in their order, as Optuna calls them."""
    return ["maximize" if sign(name) > 0.0 else "minimize" for name in study.objectives]


def metrics(study: Study) -> list[str]:
    """Return the objectives as they are shown, with units."""
    return [labelled(name, OBJECTIVES[name].unit) for name in study.objectives]


def limit_names(study: Study) -> list[str]:
    """Return the limits as they are shown."""
    return [words_of(name) for name in dict.fromkeys([*study.limits(), *study.rules, _MEMORY])]


@dataclass(frozen=True)
class Outcome:
    """What the model says of a chip: objectives in shown units, how far beyond each limit [1], and what else it is.

    ``why`` says why it has no objective, and is empty where it has all.
    """

    values: list[float]
    limits: dict[str, float]
    attributes: dict[str, Any]
    why: str = ""


def outcomes(study: Study, result: xr.Dataset, technique: str) -> list[Outcome]:
    """Return the outcome of each chip of a dataset over ``design`` under a technique."""
    chosen = result.sel(technique=technique)
    count = result.sizes["design"]
    values = [
        [shown(each, OBJECTIVES[name].unit, _DIGITS) for each in _column(chosen[name], count)]
        for name in study.objectives
    ]
    limits = {
        words_of(str(name).removeprefix(_EXCESS)): _column(variable, count)
        for name, variable in chosen.data_vars.items()
        if str(name).startswith(_EXCESS)
    }
    attributes = _attributes(study, chosen, count)
    return [
        Outcome(
            [float(column[i]) for column in values],
            {name: float(column[i]) for name, column in limits.items()},
            {name: column[i] for name, column in attributes.items() if column[i] is not None},
            "" if all(math.isfinite(column[i]) for column in values) else "the chip does not serve every model",
        )
        for i in range(count)
    ]


def _column(variable: Any, count: int) -> Any:
    return np.broadcast_to(variable.values, count)


def _attributes(study: Study, chosen: xr.Dataset, count: int) -> dict[str, list[Any]]:
    """Return what is shown beside parameters and objectives: figures with units, and what software chose by model."""
    found: dict[str, list[Any]] = {}
    for name, variable in chosen.data_vars.items():
        told = str(name)
        if told == "feasible" or told in study.objectives or told in study.axes() or told.startswith(_EXCESS):
            continue
        unit = str(variable.attrs.get("units", "1"))
        if set(variable.dims) <= {"design"}:
            values = _column(variable, count)
            if told.startswith(_PARTS) and not np.any(values):
                continue  # a part that no chip has
            found[labelled(told, unit)] = [_plain(value, unit) for value in values]
        elif set(variable.dims) <= {"design", "model"}:
            rows = {str(row.model.values): _column(row, count) for row in variable.transpose("model", ...)}
            found[labelled(told, unit)] = [
                _by_model({model: _plain(row[i], unit) for model, row in rows.items()}) for i in range(count)
            ]
    return found


def _plain(value: Any, unit: str) -> Any:
    """Return a value as it is read, six digits of a number; None of what is not known."""
    if isinstance(value, str):
        return str(value)
    if not math.isfinite(value):
        return None
    number = shown(float(value), unit)
    return number if unit == "1" and number % 1 == 0.0 else float(f"{number:.6g}")


def _by_model(chosen: dict[str, Any]) -> Any:
    """Return what was chosen, once where it is the same for all models."""
    if len(set(chosen.values())) == 1:
        return next(iter(chosen.values()))
    return ", ".join(f"{model} {value}" for model, value in chosen.items())


def pairs(study: Study, trial: FrozenTrial, said: Outcome) -> list[tuple[str, float, float, float]]:
    """Return name, stored number, the model's number, and what a difference is relative to beside the latter [1]."""
    if WHY in trial.user_attrs:
        return []
    found = [(name, one, now, 0.0) for name, one, now in zip(metrics(study), trial.values, said.values, strict=True)]
    return found + [(name, trial.constraints[name], now, 1.0) for name, now in said.limits.items()]


def stray(space: Space, trial: FrozenTrial) -> str:
    """Return why a trial is none of the study's; empty if it is one."""
    study, expected = space.study, [*space.parameters, TECHNIQUE]
    if set(trial.params) != set(expected):
        return f"its parameters are {', '.join(sorted(trial.params)) or 'none'}, not {', '.join(expected)}"
    if trial.params[TECHNIQUE] not in study.techniques:
        return f"{TECHNIQUE} {trial.params[TECHNIQUE]!r} is not among {', '.join(study.techniques)}"
    for label, each in space.parameters.items():
        if each.back(trial.params[label]) is None:
            return f"{label} {trial.params[label]!r} is not in the space"
    if WHY in trial.user_attrs:
        return ""
    values = trial.values or []
    if not (len(values) == len(study.objectives) and all(map(is_number, values))):
        return f"its objectives {trial.values} are not {len(study.objectives)} finite numbers"
    limits, told = trial.constraints, limit_names(study)
    if set(limits) != set(told) or not all(map(is_number, limits.values())):
        return f"it does not say how it keeps to {', '.join(told)}"
    return ""


def stored(trial: FrozenTrial, study: Study, technique: str, said: Outcome, more: Mapping[str, Any]) -> FrozenTrial:
    """Return a trial of the study in memory as it is stored: with its technique, and with what else it is.

    One without an objective has failed, or was pruned where it was not judged by all models.
    """
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    state = TrialState.COMPLETE if not said.why else TrialState.FAIL if said.values else TrialState.PRUNED
    found = create_trial(
        state=state,
        values=None if said.why else said.values,
        params={**trial.params, TECHNIQUE: technique},
        distributions={**trial.distributions, TECHNIQUE: CategoricalDistribution(study.techniques)},
        user_attrs={**said.attributes, **more, **({WHY: said.why} if said.why else {})},
        system_attrs={name: value for name, value in trial.system_attrs.items() if name not in _PASSING},
        intermediate_values=trial.intermediate_values,
    )
    found.datetime_start, found.datetime_complete = trial.datetime_start, trial.datetime_complete
    return found


def remembered(trial: FrozenTrial, space: Space) -> FrozenTrial:
    """Return a stored trial as a sampler knows it: of one technique, exactly in the space."""
    from optuna.trial import create_trial

    return create_trial(
        state=trial.state,
        values=trial.values,
        params={label: trial.params[label] for label in space.parameters},
        distributions=space.distributions,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def row_of(result: xr.Dataset, technique: str) -> dict[str, Any]:
    """Return the only chip of a dataset under a technique as a row in SI; ``chosen_KNOB.MODEL`` of what is by model."""
    chosen = result.sel(technique=technique)
    found: dict[str, Any] = {}
    for name, variable in chosen.data_vars.items():
        at = variable.isel(design=0) if "design" in variable.dims else variable
        if name == "feasible":
            continue
        if "model" in at.dims:
            found |= {f"{name}.{model}": each for model, each in zip(at.model.values, at.values.tolist(), strict=True)}
        else:
            found[str(name)] = at.item()
    return found
