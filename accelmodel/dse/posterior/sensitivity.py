"""How the optimum moves over the range of every uncertain constant, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.posterior.answers import along, lead_axis, numbers_of, scored
from accelmodel.dse.posterior.draws import Draws
from accelmodel.dse.posterior.priors import named, residuals, uncertain
from accelmodel.dse.posterior.priors import priors as known_of
from accelmodel.dse.studies.study import Study

#: axis → what keys of the best value along it begin with, where that is not its name
_SHORT = {"l2_capacity": "l2"}


def column(study: Study) -> str:
    """Return how rows call the best value of the axis that varies, before the name of a technique."""
    axis = lead_axis(study)
    return _SHORT.get(axis, axis)


def _or_none(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def sensitivity(study: Study, parts: Parts, chip: dict[str, float]) -> list[dict[str, Any]]:
    """Return how the best design and the gain move when each uncertain constant goes to an end of its range.

    Only the axis that is decided on varies, L2 where the study has it; the other axes stay as in ``chip``.  All cases
    are one call.  Behind the constants stand the kinds of operators (``time.…``), all times of which go to an end of
    their interval: errors of one kind go together.

    Returns
    -------
    list of dict
        ``constant``, ``kind``, ``end`` ("as given", "low", "high"), ``value``, ``unit``; ``l2_none``, ``l2_preserve``
        and so on for each technique [B], or the name of the axis before them; ``gain`` of the study's candidate [1].
        None where no chip keeps to the limits.
    """
    priors = known_of(study, parts)
    kinds = [fact.kind for _, _, fact in uncertain(parts)]
    ends = [(prior.low, prior.high) for prior in priors[: len(kinds)]] + list(residuals(study, parts).values())
    nominal = np.array([prior.nominal for prior in priors])
    cases = np.tile(nominal, (1 + 2 * len(priors), 1))
    for place, (low, high) in enumerate(ends):
        cases[1 + 2 * place, place] = low
        cases[2 + 2 * place, place] = high
    axis = lead_axis(study)
    chips = along(study, axis, chip)
    numbers = numbers_of(study, scored(study, parts, chips, Draws(tuple(priors), cases)), chips[axis])
    told: list[tuple[str, str, str, float, str]] = [("all", "", "as given", 0.0, "1")]
    for prior, kind, pair in zip(priors, [*kinds, *["residual"] * len(priors)], ends, strict=False):
        name = named(prior, parts)
        told += [(name, kind, end, value, prior.unit) for end, value in zip(("low", "high"), pair, strict=True)]
    rows = []
    for case, about in enumerate(told):
        row: dict[str, Any] = dict(zip(("constant", "kind", "end", "value", "unit"), about, strict=True))
        for technique in study.techniques:
            row[f"{column(study)}_{technique}"] = _or_none(numbers[technique][case])
        row["gain"] = _or_none(numbers["gain"][case]) if "gain" in numbers else 1.0
        rows.append(row)
    return rows
