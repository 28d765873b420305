"""Chips as rows: axes, figures, objectives, distances to limits and what software chose, one for each technique."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.chips import Values, along_design, plain, runs
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.studies.study import Study
from accelmodel.laws.jit import running

if TYPE_CHECKING:
    import xarray as xr

#: chips of which rows are made at once
CHUNK = 2**13
Row: TypeAlias = dict[str, Any]


def rows_of(study: Study, parts: Parts, columns: Mapping[str, Values]) -> list[dict[str, Row]]:
    """Return of each chip technique → everything about it.

    Parameters
    ----------
    study : Study
    parts : Parts
    columns : mapping
        Axis → its value of each chip; words as objects.
    """
    order, pieces = runs(columns, CHUNK)
    found: list[dict[str, Row]] = [{} for _ in order]
    for piece in pieces:
        places = order[piece]
        own = {name: values[places] for name, values in columns.items()}
        with running("compiled"):
            result = evaluate(study, parts, **along_design(own))
        for technique in study.techniques:
            figures = _figures(result.sel(technique=technique), len(places))
            for i, place in enumerate(places.tolist()):
                row = {name: plain(values[i]) for name, values in own.items()}
                found[place][technique] = row | {name: values[i] for name, values in figures.items()}
    return found


def _figures(result: xr.Dataset, count: int) -> dict[str, list[Any]]:
    """Return each variable as a list over chips; of one over models one for each, as ``chosen_tp.MODEL``."""
    found: dict[str, list[Any]] = {}
    for name, variable in result.data_vars.items():
        if name == "feasible":
            continue
        if "model" in variable.dims:
            each = {f"{name}.{model}": variable.sel(model=model) for model in variable["model"].values.tolist()}
        else:
            each = {str(name): variable}
        for label, values in each.items():
            found[label] = np.broadcast_to(values.values, (count,)).tolist()
    return found
