"""Samplers by name: what each needs, and which studies it cannot search."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from accelmodel.dse.search.parameters import space_of
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError, unknown

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


def _auto(**given: Any) -> BaseSampler:
    """Return the sampler of OptunaHub that chooses one by the study; it is fetched once."""
    import optunahub

    try:
        chosen: BaseSampler = optunahub.load_module("samplers/auto_sampler").AutoSampler(**given)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise SpecError(f"--sampler auto: OptunaHub cannot be reached ({why}); take tpe") from None
    return chosen


def _of_optuna(name: str, **own: Any) -> Callable[..., BaseSampler]:
    def made(**given: Any) -> BaseSampler:
        import optuna

        found: BaseSampler = getattr(optuna.samplers, name)(**given, **own)
        return found

    return made


#: name → what makes it
SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": _of_optuna("TPESampler"),
    "gp": _of_optuna("GPSampler"),
    "nsga2": _of_optuna("NSGAIISampler"),
    "nsga3": _of_optuna("NSGAIIISampler"),
    "cma": _of_optuna("CmaEsSampler", warn_independent_sampling=False),
    "qmc": _of_optuna("QMCSampler", scramble=True, warn_independent_sampling=False),
    "random": _of_optuna("RandomSampler"),
    "auto": _auto,
}
#: sampler → modules that it needs beside Optuna
NEEDS = {"gp": ("torch", "scipy"), "cma": ("cmaes",), "qmc": ("scipy",), "auto": ("optunahub",)}
#: samplers that know no limits: a chip beyond one is told to them as a trial that failed
WITHOUT_LIMITS = ("cma",)
#: pruner → class of Optuna's
PRUNERS = {"none": "NopPruner", "median": "MedianPruner", "hyperband": "HyperbandPruner", "wilcoxon": "WilcoxonPruner"}


def check_sampler(name: str, study: Study) -> None:
    """Look at a sampler before the work.

    Raises
    ------
    SpecError
        If there is none of that name, what it needs is not installed, or it cannot search the study.
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    missing = [module for module in NEEDS.get(name, ()) if importlib.util.find_spec(module) is None]
    if missing:
        raise SpecError(f"--sampler {name}: needs {', '.join(missing)}; pip install {' '.join(missing)}, or take tpe")
    if name == "cma" and (why := _not_by_cma(study)):
        raise SpecError(f"--sampler cma: CMA-ES cannot search study {study.name}: {why}; take tpe or nsga2")


def _not_by_cma(study: Study) -> str:
    """Say why CMA-ES cannot search a study; empty where it can."""
    from optuna.distributions import CategoricalDistribution

    if len(study.objectives) > 1:
        return f"it has {len(study.objectives)} objectives, {', '.join(study.objectives)}"
    for label, kind in space_of(study).distributions.items():
        if isinstance(kind, CategoricalDistribution) and not kind.single():
            return f"{label} is a choice, no range of even steps"
    return ""


def sampler_of(name: str, seed: int) -> BaseSampler:
    """Return a sampler by name, seeded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is experimental
        return SAMPLERS[name](seed=seed)


def check_pruner(name: str, study: Study) -> None:
    """Look at a pruner before the work.

    Raises
    ------
    SpecError
        If there is none of that name, or the study has nothing to be pruned by.
    """
    if name not in PRUNERS:
        raise unknown("pruner", name, PRUNERS)
    if name == "none":
        return
    if len(study.objectives) > 1:
        raise SpecError(
            f"--pruner {name}: Optuna prunes by one objective, and study {study.name} has {len(study.objectives)}, "
            f"{', '.join(study.objectives)}; leave one, or --pruner out"
        )
    if len(study.models) < 2:
        raise SpecError(
            f"--pruner {name}: a chip is judged model by model, and study {study.name} has one, {study.models[0]}; "
            "leave --pruner out"
        )


def pruner_of(name: str) -> BasePruner:
    """Return a pruner by name."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: BasePruner = getattr(optuna.pruners, PRUNERS[name])()
    return found
