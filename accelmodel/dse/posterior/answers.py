"""What a study answers in numbers: along one axis of the chip the best design of each technique, and the gain.

A case is a set of constants: one end of a range, or one of many joint draws.  All cases are one question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.posterior.decision import best_design
from accelmodel.dse.posterior.draws import DRAW, Draws
from accelmodel.dse.studies.objectives import sign
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError, brief
from accelmodel.estimates import need_affordable
from accelmodel.inference.request import BASELINE, NODES
from accelmodel.laws.numeric import Array

if TYPE_CHECKING:
    import xarray as xr

#: chips times cases, and tables of operators, that are evaluated at once: bounds the memory
_POINTS, _TABLES = 2**16, 2**14
#: time of a design with one table of operators in one draw [s], and what is kept of it, constants included [B]
_SECONDS, _ROOM = 2e-5, 100.0
#: numbers or words of an axis, one for each design
Chips: TypeAlias = npt.NDArray[Any]
#: degrees of tensor parallelism of a node, where software chooses among all
_USUAL_TP = (1, 2, 4, 8)
#: called with how many cases more are done
Progress = Callable[[int], None]


def no_progress(done: int) -> None:
    """Progress that nobody watches."""


def lead_axis(study: Study) -> str:
    """Return the axis that is decided on: that of the study, or its first where all are words."""
    return study.axis or next(iter(study.axes()))


def along(study: Study, axis: str, chip: Mapping[str, Any]) -> dict[str, Chips]:
    """Return the designs along one axis of the study, with the other axes as in ``chip`` where it gives them."""
    values = np.asarray(study.axes()[axis].grid)
    fixed = {name: np.full(len(values), value) for name, value in chip.items() if name in study.axes()}
    return {**fixed, axis: values}


def tables(study: Study) -> int:
    """Return how many tables of operators a case has at most, where times of operators vary with it."""
    software = study.software
    ways = math.prod(len(each or _USUAL_TP) for each in (software.tp, software.pp, software.ep, software.dp))
    return ways * NODES * max(len(kind.batch) * len(kind.context) for kind in study.kinds())


def need_whole(what: str, given: Any, least: int) -> None:
    """Raise SpecError if something is no whole number, or less than it may be."""
    whole = hasattr(given, "__index__") and not isinstance(given, bool)
    if not whole or given < least:
        raise SpecError(f"{what}: {brief(given)} is no whole number of at least {least}")


def need_draws(study: Study, draws: Any, least: int = 0) -> None:
    """Raise SpecError if a number of joint draws is not allowed, or more than this machine can answer at once."""
    need_whole("draws", draws, least)
    designs = len(study.axes()[lead_axis(study)].grid)
    asked = {"draws": int(draws), "designs": designs, "techniques": len(study.techniques)}
    need_affordable("joint draws", asked, seconds=tables(study) * _SECONDS, room=_ROOM)


def scored(
    study: Study, parts: Parts, chips: Mapping[str, Chips], cases: Draws, progress: Progress = no_progress
) -> dict[str, Array]:
    """Return technique → (case, design): the objective, more of which is better, 0 where a chip is not allowed.

    Of an objective that is better the less there is of it, what it is the reciprocal of: dollars per token become
    tokens per dollar.

    What does not depend on the case is prepared once; a part of the cases at a time where they are many.
    """
    import xarray as xr

    axes = {name: xr.DataArray(values, dims="design") for name, values in chips.items()}
    designs = len(next(iter(chips.values())))
    step = max(min(_POINTS // designs, _TABLES // tables(study)), 1)
    found: dict[str, list[Array]] = {technique: [] for technique in study.techniques}
    for begin in range(0, len(cases), step):
        part = cases.part(begin, min(begin + step, len(cases)))
        result = evaluate(study, part.parts(parts), part.errors(), **axes)
        whole = xr.DataArray(np.zeros((len(part), designs)), dims=(DRAW, "design"))
        for technique in study.techniques:
            value, allowed = (
                _of(result[name], technique).broadcast_like(whole).transpose(*whole.dims).values
                for name in (study.headline, "feasible")
            )
            with np.errstate(divide="ignore"):
                found[technique].append(np.where(allowed, value ** sign(study.headline), 0.0))
        progress(len(part))
    return {technique: np.concatenate(each) for technique, each in found.items()}


def _of(variable: xr.DataArray, technique: str) -> xr.DataArray:
    """Return a variable for one technique; what does not depend on it is the same for all."""
    return variable.sel(technique=technique, drop=True) if "technique" in variable.dims else variable


def numbers_of(study: Study, score: Mapping[str, Array], values: Array) -> dict[str, Array]:
    """Return the numbers of a study's answer in each case.

    By technique the axis's value of its best design, and as ``gain`` the best of the candidate over the best of the
    baseline [1], where there is a candidate; NaN where no design is allowed.
    """
    found = {}
    for technique, each in score.items():
        place = best_design(each)
        found[technique] = np.where(place >= 0, values[place], np.nan)
    if study.candidate != BASELINE:
        ours, base = score[study.candidate].max(axis=1), score[BASELINE].max(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found["gain"] = np.where((ours > 0.0) & (base > 0.0), ours / base, np.nan)
    return found
