"""What an enumeration found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from accelmodel.dse.enumeration.certificate import Certificate
from accelmodel.dse.enumeration.plan import Plan
from accelmodel.dse.enumeration.rows import Row
from accelmodel.dse.evaluation.misses import Misses


@dataclass(frozen=True)
class Enumeration:
    """What is kept of the chips that were looked at, however many.

    Attributes
    ----------
    plan : Plan
        How much was looked at, and what was estimated before.
    chips : int
        Chips of the space; of axes without steps as many as would be looked at.
    evaluated, feasible : int
        Chips looked at, and those that keep to all limits with any technique.
    best : dict
        Technique → the best chip by the headline objective: its axes, figures and objectives, in SI.
    curves : dict
        Axis → its values, and technique → best headline at each; NaN where no chip keeps to the limits.  Where links
        and their bandwidth both are axes, ``link_budget`` is what they give together [B/s].
    front : dict
        Technique → rows of the chips that no other beats on all of ``front_by``.
    front_by : tuple of str
        The objectives of the study; of one objective it and the die area.
    misses : Misses
        What the limits exclude.
    axis : str
        The axis that answers of one axis speak of.
    certificate : Certificate or None
        What a sample proves.
    kept : str
        File that holds every chip; "" without.
    """

    plan: Plan
    chips: int
    evaluated: int
    feasible: int
    best: dict[str, Row]
    curves: dict[str, tuple[list[Any], dict[str, list[float]]]]
    front: dict[str, list[Row]]
    front_by: tuple[str, ...]
    misses: Misses
    axis: str
    certificate: Certificate | None = None
    kept: str = ""

    @property
    def curve(self) -> dict[str, tuple[list[Any], list[float]]]:
        """Technique → values of ``axis``, and the best headline at each; 0 where no chip keeps to the limits."""
        values, best = self.curves.get(self.axis, ([], {}))
        return {name: (values, [0.0 if math.isnan(each) else each for each in own]) for name, own in best.items()}
