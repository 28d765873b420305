"""Which limits exclude chips, how many, and how near the nearest comes: what an empty space is told by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.dse.studies.objectives import LIMITED, sign
from accelmodel.dse.studies.study import Study
from accelmodel.errors import Infeasible
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

_PREFIX = "excess_"
_REMEDIES = {
    "memory": "add devices, tp, pp or hbm_stacks, narrower bits, or drop a model",
    "tpot": "loosen constraints.{}, lower the batch, or raise tp",
    "ttft": "loosen constraints.{}, shorten context, or raise tp",
}


@dataclass
class Misses:
    """What was seen of the limits over the chips looked at so far.

    Attributes
    ----------
    chips : int
    excluded : dict
        Limit → how many chips break it, whatever technique they use.
    alone : dict
        Limit → how many chips break it and no other.
    least : dict
        Limit → the least by which a chip breaks it; below 0 where one keeps to it [1].
    nearest : dict
        The chip that comes nearest to keeping all: its axes, and ``excess_…``; empty before the first.
    """

    chips: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)
    nearest: dict[str, Any] = field(default_factory=dict)
    distance: float = np.inf

    def add(self, result: xr.Dataset, chips: Mapping[str, xr.DataArray]) -> None:
        """Count the chips of one evaluation over ``design``."""
        count = len(next(iter(chips.values())))
        over = {
            str(name)[len(_PREFIX) :]: _least(value, count) for name, value in result.items() if _PREFIX in str(name)
        }
        broken = {name: values > 0.0 for name, values in over.items()}
        total = sum(values.astype(int) for values in broken.values())
        self.chips += count
        for name, values in over.items():
            self.excluded[name] = self.excluded.get(name, 0) + int(broken[name].sum())
            self.alone[name] = self.alone.get(name, 0) + int((broken[name] & (total == 1)).sum())
            self.least[name] = min(self.least.get(name, np.inf), float(values.min()))
        furthest = np.max(list(over.values()), axis=0)
        place = int(furthest.argmin())
        if furthest[place] < self.distance:
            self.distance = float(furthest[place])
            self.nearest = {name: values.values[place].item() for name, values in chips.items()}
            self.nearest |= {f"{_PREFIX}{name}": float(values[place]) for name, values in over.items()}

    def error(self, study: Study) -> Infeasible:
        """Return what is told where no chip keeps to all limits."""
        limits = study.limits()
        said = [
            f"{_named(name, study)} excludes {'all' if count == self.chips else f'{count:,}'}"
            f" (the nearest {_distance(name, self.least[name], limits)})"
            for name, count in sorted(self.excluded.items(), key=lambda each: -each[1])
            if count
        ]
        worst = max(self.excluded, key=lambda name: (self.excluded[name], self.least[name]))
        usual = (
            "loosen rules.{}, or widen [space]" if worst in study.rules else "loosen constraints.{}, or widen [space]"
        )
        remedy = _REMEDIES.get(worst.partition(".")[0], usual).format(worst)
        return Infeasible(
            f"study {study.name}: none of its {self.chips} chips serves every model within the constraints: "
            f"{'; '.join(said)}; the chip nearest to all, {_chip(study, self.nearest)}, "
            f"is {_share(self.distance)} beyond; {remedy}"
        )


def _least(value: Any, count: int) -> np.ndarray:
    """Return an excess of each chip, by the technique that misses it least."""
    found = value.min("technique") if "technique" in value.dims else value
    return np.broadcast_to(found.values, count)


def _named(name: str, study: Study) -> str:
    """Return a limit as its file says it."""
    limits = study.limits()
    if name in study.rules:
        return f"rules.{name} ({study.rules[name]})"
    return f"constraints.{name} {_shown(name, limits[name])}" if name in limits else name


def _shown(name: str, value: float) -> str:
    return show(value, LIMITED[name.partition(".")[0]].unit)


def _share(excess: float) -> str:
    """Return an excess as people say it.

    Examples
    --------
    >>> _share(0.246), _share(4700.6)
    ('24.60%', '4,701 times')
    """
    return f"{excess:.2%}" if excess < 10.0 else f"{excess:,.0f} times"


def _distance(name: str, excess: float, limits: Mapping[str, float]) -> str:
    """Return how near the nearest chip comes, as a value where its limit has one."""
    figure = name.partition(".")[0]
    if excess <= 0.0:
        return "keeps to it"
    if name in limits and figure in LIMITED:
        return f"has {_shown(name, limits[name] * (1.0 + sign(figure) * -1.0 * excess))}, {_share(excess)} beyond"
    return f"is {_share(excess)} beyond"


def _chip(study: Study, chip: Mapping[str, Any]) -> str:
    axes = study.axes()
    return ", ".join(
        f"{name.replace('_', ' ')} {chip[name] if axis.kind == 'word' else show(chip[name], axis.unit)}"
        for name, axis in axes.items()
    )
