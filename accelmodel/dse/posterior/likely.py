"""How likely the optimum of an exploration is: along its axis alone, and among the best chips of the whole space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.posterior.answers import Chips, along, lead_axis, tables
from accelmodel.dse.posterior.joint import Posterior, posterior
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts

#: chips of the front that are compared at most, beside those along the axis
_MOST = 32
#: draws times chips times tables of operators of each at most, and the fewest draws, of the chips of a space
_STEPS, _LEAST = 2**22, 256
#: axis → what published claims call the best value along it
_CLAIMED = {"l2_capacity": "best_l2"}


def published(study: Study) -> dict[str, float] | None:
    """Return the published answer that a study names: technique → best value of its axis, and ``gain``.

    None where it names none, or its axis is another than that of the claims.

    Raises
    ------
    SpecError
        If there is no such file of claims.

    Examples
    --------
    >>> from accelmodel.dse.studies.study import load_study
    >>> published(load_study("preserve-l2"))
    {'none': 8000000.0, 'preserve': 104000000.0, 'gain': 1.25}
    """
    name = study.study.claims
    if not name:
        return None
    known = {path.stem: path for path in (facts.root() / "published").glob("*.toml")}
    if name not in known:
        raise SpecError(f"study.claims: {unknown('file of published claims', name, known)}")
    content, _ = facts.read_toml(known[name])
    values = {each["quantity"]: float(each["value"]) for each in content.get("claim", [])}
    start = _CLAIMED.get(lead_axis(study), lead_axis(study))
    found = {each: values[f"{start}_{each}"] for each in study.techniques if f"{start}_{each}" in values}
    return {**found, "gain": values["gain"]} if found and "gain" in values else found or None


def candidates(study: Study, every: Enumeration) -> dict[str, Chips]:
    """Return the chips of a space that may be best under other constants: axis → value of each, no chip twice.

    The best of each technique, all others along the axis that is decided on with the rest as in these, and the front.
    """
    axis, names = lead_axis(study), list(study.axes())
    front = [row for rows in every.front.values() for row in rows]
    kept = front[:: max(-(-len(front) // _MOST), 1)]
    grids = [along(study, axis, row) for row in every.best.values()]
    columns: dict[str, list[Any]] = {
        name: [*(value for grid in grids for value in grid[name]), *(row[name] for row in kept)] for name in names
    }
    different = list(dict.fromkeys(zip(*columns.values(), strict=True)))
    return {name: np.array(values) for name, values in zip(names, zip(*different, strict=True), strict=True)}


def likely(
    study: Study,
    parts: Parts,
    every: Enumeration,
    around: Mapping[str, Any],
    draws: int,
    prior: str = "uniform",
) -> tuple[Posterior, Posterior | None]:
    """Return how likely the optimum is along the study's axis, and among the best chips of its space.

    Parameters
    ----------
    every : Enumeration
        The whole space.
    around : mapping
        Values of the other axes where the axis is looked at alone; what is left out is as in the reference chip.
    draws, prior
        As ``posterior`` takes them.

    Returns
    -------
    tuple of (Posterior, Posterior or None)
        None where the axis is the only one of the space.
    """
    axis = lead_axis(study)
    alone = posterior(study, parts, draws, study.study.seed, prior, chips=along(study, axis, around))
    if len(study.axes()) == 1:
        return alone, None
    chips = candidates(study, every)
    designs = len(next(iter(chips.values())))
    fewer = min(draws, max(_STEPS // (designs * tables(study)), _LEAST))
    return alone, posterior(study, parts, fewer, study.study.seed, prior, chips=chips)
