"""The main job: enumerate a study's space, search it with Optuna, and see how firm the optimum is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelmodel import __version__
from accelmodel.costs.parts import Parts
from accelmodel.dse import told
from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.enumeration.looking import USUAL, Looking, look, summarised, with_found
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.idle import idle
from accelmodel.dse.posterior.answers import need_draws
from accelmodel.dse.posterior.joint import Posterior
from accelmodel.dse.posterior.likely import likely, published
from accelmodel.dse.posterior.priors import need_prior
from accelmodel.dse.posterior.sensitivity import sensitivity
from accelmodel.dse.posterior.verdict import verdict
from accelmodel.dse.search.dashboard import facts_of, looked_at, note_of, publish
from accelmodel.dse.search.optimise import USUAL as USUAL_SEARCH
from accelmodel.dse.search.optimise import Found, Search, optimise_each, shares
from accelmodel.dse.search.record import ALIKE
from accelmodel.dse.search.storage import Place, place_of
from accelmodel.dse.search.turns import check
from accelmodel.dse.search.warm_start import warmed
from accelmodel.dse.studies.axes import axis_name
from accelmodel.dse.studies.objectives import better, gain, regret
from accelmodel.dse.studies.study import DEFAULT, Study, load_study
from accelmodel.dse.told import winner
from accelmodel.errors import Infeasible, SpecError
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

#: joint draws of all uncertain constants, unless a caller says otherwise
DRAWS = 1500
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
    alone : Enumeration or None
        ``study.axis`` as the only axis, all else as in the reference chip: with L2 the exploration that the paper
        describes.  None where no such chip keeps to the limits, or no axis is a number.
    found : dict of Found
        technique → what Optuna found in the whole space.
    moves : list of dict
        How the best value of that axis moves over the range of each uncertain constant; around the best chip where
        there is none ``alone``.
    missing : list of str
        What could not be answered, and why.
    likely, likely_space : Posterior or None
        How likely the optimum is along that axis, and among the best chips of the space; None where nothing was drawn,
        or the space has no other axis.
    place : Place
        Where trials are kept.
    note : str
        The answer in words, as it is stored with them.
    """

    study: Study
    parts: Parts
    every: Enumeration
    alone: Enumeration | None
    found: dict[str, Found]
    moves: list[dict[str, Any]]
    missing: tuple[str, ...] = ()
    likely: Posterior | None = None
    likely_space: Posterior | None = None
    place: Place | None = None
    note: str = ""

    @property
    def faults(self) -> list[str]:
        """Why trials could not be stored; none where all were."""
        return list(dict.fromkeys(found.fault for found in self.found.values() if found.fault))

    @property
    def gain(self) -> float:
        """Best objective with the study's candidate over the best of the baseline [1]; NaN where one has no chip."""
        return gains(self.study, self.every).get(self.study.candidate, math.nan)


def _check_best(study: Study, found: Found, best: dict[str, Any] | None) -> None:
    """Raise SpecError if the search found better than the best of all chips: one of the two is of another model."""
    if best is None or any(axis.values is None for axis in study.axes().values()):
        return
    value, top = found.best[study.headline], best[study.headline]
    if better(study.headline, value, top) and gain(study.headline, value, top) > 1.0 + ALIKE:
        raise SpecError(
            f"{found.storage}: {found.name} holds a chip of {value:g}, better than the best of all, {top:g}; move the "
            "file away or choose another place with --storage"
        )


def gains(study: Study, enumeration: Enumeration) -> dict[str, float]:
    """Return technique → how many times better its best objective is than that of the baseline [1].

    Empty where no chip keeps to the limits without a technique.
    """
    best = {technique: row[study.headline] for technique, row in enumeration.best.items()}
    if BASELINE not in best:
        return {}
    return {technique: gain(study.headline, value, best[BASELINE]) for technique, value in best.items()}


def alone(study: Study) -> Study | None:
    """Return the study with ``study.axis`` as its only axis; None where no axis is a number."""
    axis = study.axis
    space = {given: each for given, each in study.space.items() if axis_name(given) == axis}
    return study.model_copy(update={"space": space}) if space else None


def _alone(
    study: Study, parts: Parts, every: Enumeration
) -> tuple[Enumeration | None, list[dict[str, Any]], list[str]]:
    """Return the exploration of one axis, how its optimum moves, and what of both could not be answered."""
    single = alone(study)
    if single is None:
        return None, [], ["no axis is a number: none is explored alone"]
    missing: list[str] = []
    found: Enumeration | None = None
    asked, around = study, every.best.get(study.candidate) or next(iter(every.best.values()))
    try:
        found = enumerate_space(single, parts)
        asked, around = single, next(iter(found.best.values()))
    except Infeasible as error:
        missing.append(f"{study.axis} alone on {parts.device.name}: {error}")
    try:
        return found, sensitivity(asked, parts, around), missing
    except (Infeasible, SpecError) as error:
        return found, [], [*missing, f"sensitivities: {error}"]


def _answered(place: Place, study: Study, every: Enumeration, found: dict[str, Found]) -> str:
    """Return the answer in words, and store it with the trials where they are stored."""
    note = note_of(study, every.best, looked_at(every), {name: each.trials for name, each in found.items()})
    answer = told.headline(study, every.best, gains(study, every))
    for name in {each.name for each in found.values() if not each.fault}:
        with contextlib.suppress(OSError):
            publish(place, name, note, answer=answer)
    return note


def explore(
    study: str | Study = DEFAULT,
    storage: str | Path | Place | None = None,
    trials: int | None = None,
    progress: Progress = no_progress,
    looking: Looking = USUAL,
    search: Search = USUAL_SEARCH,
    draws: int = DRAWS,
    prior: str = "uniform",
) -> Exploration:
    """Answer a study: enumerate its space, search it with Optuna, and tell how firm the optimum is.

    Parameters
    ----------
    study : str or Study
        Name of a shipped study, path of a TOML file, or what ``load_study`` returns.
    storage : str or Path, optional
        Where trials are kept, a path or a URL of Optuna's, ``accelmodel-STUDY.db`` by default; an interrupted
        exploration resumes from it, and several may work on it at once.
    trials : int, optional
        Chips that Optuna may try in all, each technique an equal share; the study's own number by default.
    progress : callable
        Called with a stage's name, its total, and how many more are done.
    looking : Looking
        How many chips are looked at beside what Optuna tries: by default all where that takes minutes, else a sample.
    search : Search
        Sampler, pruner, processes, and chips to begin with.
    draws : int
        Joint draws of all uncertain constants; 0 for none.
    prior : {"uniform", "triangular"}
        How a constant lies in its range.

    Returns
    -------
    Exploration
        ``every`` chip of the space and the ``best`` of each technique, the same with L2 ``alone`` as axis, what Optuna
        ``found``, how the optimum ``moves`` over the range of each uncertain constant, and how ``likely`` it is where
        all are drawn at once; in SI.

    Raises
    ------
    SpecError
        If the study is unknown or wrong, or the storage cannot be read.
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
    place = storage if isinstance(storage, Place) else place_of(storage or f"accelmodel-{study.name}.db")
    need_prior(prior)
    need_draws(study, draws)
    check(place)
    search.check(study)
    parts = parts_of_study(study)
    wanted = trials or study.study.trials
    shares(wanted, study.techniques)
    every = look(study, parts, looking, progress)
    search = warmed(search, study, place, every)
    facts = facts_of(study, parts, search.command)
    found, missing = optimise_each(
        study, parts, study.techniques, place, wanted, lambda done: progress("Optuna", wanted, done), search, facts
    )
    if every.plan.way == "all":
        for technique, each in found.items():
            _check_best(study, each, every.best.get(technique))
    every = with_found(study, every, {technique: each.best for technique, each in found.items()})
    note = _answered(place, study, every, found)
    progress("sensitivities", 1, 0)
    single, moves, unanswered = _alone(study, parts, every)
    still = idle(study, parts, every.best[winner(study, every.best)])
    unanswered += [
        f"space.{study.axes()[name].full}: moves no objective and no limit of the best chip" for name in still
    ]
    progress("sensitivities", 1, 1)
    told: tuple[Posterior | None, Posterior | None] = (None, None)
    if draws:
        around = {} if single else every.best.get(study.candidate) or next(iter(every.best.values()))
        progress("joint draws", 1, 0)
        try:
            told = likely(study, parts, every, around, draws, prior)
        except (SpecError, Infeasible) as error:
            # what was found stands; a drawn chip that cannot be built is no reason to lose it
            missing.append(f"joint draws: {error}")
        progress("joint draws", 1, 1)
    return Exploration(study, parts, every, single, found, moves, (*missing, *unanswered), *told, place, note)


#: axis or figure → what JSON calls it, where it is not its name
_KEYS = {
    "l2_capacity": "l2_bytes",
    "link_bandwidth": "link_bandwidth_bytes_per_s",
    "die_area": "die_area_m2",
    "power": "power_w",
    "price": "price_usd",
    "throughput": "tokens_per_s_per_device",
    "throughput_per_area": "tokens_per_s_per_m2",
    "ttft": "ttft_s",
    "tpot": "tpot_s",
}


def key_of(name: str) -> str:
    """Return what JSON calls an axis or a figure of a chip.

    Examples
    --------
    >>> key_of("l2_capacity"), key_of("cores")
    ('l2_bytes', 'cores')
    """
    return _KEYS.get(name, name)


def _chip(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        word, _, rest = key.partition("_")
        if word == "chosen":
            knob, _, model = rest.partition(".")
            found.setdefault("chosen", {}).setdefault(model, {})[knob] = value
        elif word == "excess":
            found.setdefault("excess", {})[rest] = value
        elif not key.startswith(("area_", "price_")):
            found[key_of(key)] = value
    return found


def _posterior(result: Exploration) -> dict[str, Any] | None:
    """Return what joint draws say, along the axis alone and over the space where it has more axes."""
    scopes = {"alone": result.likely, "space": result.likely_space}
    claim = published(result.study)
    return {scope: verdict(found, claim) for scope, found in scopes.items() if found is not None} or None


def _worked_at(model: LanguageModel, work: Workload, device: Device) -> list[str]:
    return in_words(precisions(model, work, device), model, work, device)


def _axis_key(study: Study) -> str:
    """Return how JSON calls the axis that is also looked at alone."""
    return key_of(study.axis or next(iter(study.axes())))


def _alone_summary(result: Exploration) -> dict[str, Any] | None:
    if result.alone is None or result.study.axis is None:
        return None
    found = gains(result.study, result.alone)
    return {
        **{name: {_axis_key(result.study): row[result.study.axis]} for name, row in result.alone.best.items()},
        "gain": found.get(result.study.candidate),
        "gains": found,
    }


def summary(result: Exploration, report: str | None) -> dict[str, Any]:
    """Return the exploration as JSON-ready data; SI units, sizes in bytes.

    ``gain``, ``regret`` and ``exhaustive`` speak of the technique that ``gain_of`` names; ``gains`` and ``regrets``
    of each.
    """
    study, objective = result.study, result.study.headline
    candidate, best = study.candidate, result.every.best
    models = [load("model", name) for name in study.models]
    specs = tuple(result.parts.specs.values())
    asked = workload(phase="decode", batch=1.0, context=1.0, **{each: getattr(study.workload, each) for each in BITS})
    missed = {
        name: regret(objective, found.best[objective], best[name][objective])
        for name, found in result.found.items()
        if name in best and result.every.plan.way == "all"
    }
    of_axis, axis = _axis_key(study), study.axis
    return {
        "study": study.name,
        "objective": objective,
        "best": {name: _chip(row) for name, row in best.items()},
        "gain": result.gain if math.isfinite(result.gain) else None,
        "gain_of": candidate,
        "gains": gains(study, result.every),
        "evaluations": result.every.evaluated + sum(found.trials for found in result.found.values()),
        "exhaustive": {
            **({of_axis: best[candidate][axis]} if axis and candidate in best else {}),
            "chips": result.every.evaluated,
            "feasible": result.every.feasible,
        },
        "enumeration": summarised(result.every, _chip),
        "optuna": {name: {**_chip(found.best), "trials": found.trials} for name, found in result.found.items()},
        "regret": missed.get(candidate),
        "regret_none": missed.get(BASELINE),
        "regrets": missed,
        "axis": axis,
        "l2_alone": _alone_summary(result) if axis == "l2_capacity" else None,
        "alone": _alone_summary(result),
        "curve": {
            name: [{of_axis: size, objective: value} for size, value in zip(*curve, strict=True)]
            for name, curve in result.every.curve.items()
        },
        "sensitivity": result.moves,
        "posterior": _posterior(result),
        "missing": list(result.missing),
        "answer": told.headline(study, best, gains(study, result.every)),
        **told.held_back(study, result.parts, best),
        "edges": (edges := told.edges(study, best)),
        "edge_words": told.edge_words(study, edges),
        "objectives": told.objectives_told(study),
        "space": told.space_told(study),
        "limits": told.limits_told(study, result.every.misses),
        **told.price_told(study, result.parts),
        **told.mean_told(study),
        "read": readings(models, [{name: getattr(study.workload, name) for name in OWN}] * len(models)),
        "report": report,
        "storage": next((found.storage for found in result.found.values()), None),
        "accelmodel_version": __version__,
        "precision": [
            {"model": model.name, **row} for model in models for row in precisions(model, asked, result.parts.device)
        ],
        "notes": [
            *told.doubts(study, result.parts, best),
            *(f"{model.name}: {note}" for model in models for note in _worked_at(model, asked, result.parts.device)),
            *(f"{spec.name}: {note}" for spec in (*specs, *models) for note in spec.notes),
        ],
        "weakest_fact": weakest(fact.standing for spec in specs for fact in spec.facts.values()),
    }
