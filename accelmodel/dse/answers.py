"""What a study answers in numbers: along one axis of the chip the best design of each technique, and the gain.

A case is a set of constants: one end of a range, or one of many joint draws.  All cases are one question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from accelmodel.dse.chip import Parts
from accelmodel.dse.decision import best_design
from accelmodel.dse.draws import DRAW, Draws
from accelmodel.dse.enumeration import evaluate
from accelmodel.dse.study import Study
from accelmodel.inference.request import BASELINE
from accelmodel.laws.numeric import Array

#: chips times cases that are evaluated at once: bounds the memory
_POINTS = 2**16
#: called with how many cases more are done
Progress = Callable[[int], None]


def no_progress(done: int) -> None:
    """Progress that nobody watches."""


def lead_axis(study: Study) -> str:
    """Return the axis that is decided on: L2 where the study has it, else its first."""
    names = list(study.axes())
    return "l2_capacity" if "l2_capacity" in names else names[0]


def along(study: Study, axis: str, chip: Mapping[str, Any]) -> dict[str, Array]:
    """Return the designs along one axis of the study, with the other axes as in ``chip`` where it gives them."""
    values = np.asarray(study.axes()[axis])
    fixed = {name: np.full(len(values), value) for name, value in chip.items() if name in study.axes()}
    return {**fixed, axis: values}


def scored(
    study: Study, parts: Parts, chips: Mapping[str, Array], cases: Draws, progress: Progress = no_progress
) -> dict[str, Array]:
    """Return technique → (case, design): the study's objective, more of which is better, 0 where a chip is not allowed.

    What does not depend on the case is prepared once; a part of the cases at a time where they are many.
    """
    import xarray as xr

    axes = {name: xr.DataArray(values, dims="design") for name, values in chips.items()}
    designs = len(next(iter(chips.values())))
    step = max(_POINTS // designs, 1)
    found: dict[str, list[Array]] = {technique: [] for technique in study.techniques}
    for begin in range(0, len(cases), step):
        part = cases.part(begin, min(begin + step, len(cases)))
        result = evaluate(study, part.parts(parts), part.errors(), **axes)
        whole = xr.DataArray(np.zeros((len(part), designs)), dims=(DRAW, "design"))
        for technique in study.techniques:
            value = (result[study.study.objective].sel(technique=technique, drop=True) + whole).transpose(*whole.dims)
            allowed = (result.feasible + whole).transpose(*whole.dims).values > 0.5
            found[technique].append(np.where(allowed, value.values, 0.0))
        progress(len(part))
    return {technique: np.concatenate(each) for technique, each in found.items()}


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
