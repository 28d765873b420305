"""What is kept of a block of chips, and how blocks are put together: the same whatever order they come in.

Best, curves and front are maxima, and of equals the chip with the lowest number is taken, so that one worker and many
give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accelmodel.dse.enumeration.chips import Source
from accelmodel.dse.enumeration.front import Points, front, front_of_many
from accelmodel.dse.studies.objectives import sign
from accelmodel.dse.studies.study import Study
from accelmodel.sweeps.grid import Arrays

#: points of a front that wait until they are put together
_WAITING = 200_000


@dataclass(frozen=True)
class Wanted:
    """What an enumeration is after.

    Attributes
    ----------
    techniques : tuple of str
    headline : str
        Objective that the best chip is best by.
    signs : mapping
        Objective → 1 where more is better, -1 where less is; the headline and those of the front.
    front : tuple of str
        Objectives of the front.
    limits : tuple of str
        Names of the limits.
    """

    techniques: tuple[str, ...]
    headline: str
    signs: Mapping[str, float]
    front: tuple[str, ...]
    limits: tuple[str, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables of an evaluation that are looked at."""
        excess = [f"excess_{name}" for name in self.limits]
        return tuple(dict.fromkeys([self.headline, *self.front, *excess, "feasible"]))


def wanted(study: Study) -> Wanted:
    """Return what an enumeration of a study is after."""
    front = front_of(study)
    signs = {name: sign(name) for name in (study.headline, *front)}
    limits = (*study.limits(), *(rule.name for rule in study.rules_read()), "memory")
    return Wanted(tuple(study.techniques), study.headline, signs, front, limits)


def front_of(study: Study) -> tuple[str, ...]:
    """Return the objectives of a study's front; of a single one it and the die area, of a rate by area its parts."""
    if len(study.objectives) > 1:
        return tuple(study.objectives)
    if study.headline == "die_area":
        return ("die_area", "throughput")
    return ("die_area", "throughput" if study.headline == "throughput_per_area" else study.headline)


def _each(values: npt.NDArray[Any], techniques: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return values over technique and chips."""
    return np.broadcast_to(values if values.ndim > len(shape) else values[None], (techniques, *shape))


def reap(wanted: Wanted, source: Source, number: int, arrays: Arrays) -> Arrays:
    """Return what is kept of a block.

    Parameters
    ----------
    wanted : Wanted
    source : Whole or Sample
    number : int
        Which block.
    arrays : dict
        ``wanted.variables`` over (technique, chips of the block), or over the chips alone.

    Returns
    -------
    dict of arrays
        ``feasible`` of any technique and of each, ``best`` scores and ``best_chip`` of each technique, ``along AXIS``,
        ``front`` costs with ``front_chip`` and ``front_technique``; of limits ``excluded``, ``alone``, ``least``; of
        the chip ``nearest`` to all of them how far it is beyond, and ``nearest_chip``.
    """
    count, shape = len(wanted.techniques), source.within(number)
    allowed = _each(arrays["feasible"], count, shape)
    value = _each(arrays[wanted.headline], count, shape)
    scores = np.where(allowed, wanted.signs[wanted.headline] * value, -np.inf)
    flat = scores.reshape(count, -1)
    tops = flat.argmax(axis=1)
    found: Arrays = {
        "feasible": np.array([allowed.any(axis=0).sum(), *allowed.reshape(count, -1).sum(axis=1)], dtype=np.int64),
        "best": flat[np.arange(count), tops],
        "best_chip": source.chips(number, tops),
        **{f"along {name}": values for name, values in source.along(number, scores).items()},
    }
    return found | _fronts(wanted, source, number, arrays, allowed) | _limits(wanted, source, number, arrays)


def _fronts(wanted: Wanted, source: Source, number: int, arrays: Arrays, allowed: npt.NDArray[np.bool_]) -> Arrays:
    """Return the front of each technique in a block: costs, chips, and which technique."""
    shape = source.within(number)
    costs, chips, techniques = [], [], []
    for i in range(len(wanted.techniques)):
        places = np.flatnonzero(allowed[i])
        points = np.empty((len(wanted.front), len(places)))
        for row, name in zip(points, wanted.front, strict=True):
            values = _each(arrays[name], len(wanted.techniques), shape)[i].reshape(-1)
            np.multiply(values if len(places) == len(values) else values[places], -wanted.signs[name], out=row)
        best = front_of_many(points)
        costs.append(points[:, best])
        chips.append(source.chips(number, places[best]))
        techniques.append(np.full(len(best), i, dtype=np.int64))
    return {
        "front": np.concatenate(costs, axis=1),
        "front_chip": np.concatenate(chips),
        "front_technique": np.concatenate(techniques),
    }


def _limits(wanted: Wanted, source: Source, number: int, arrays: Arrays) -> Arrays:
    """Return how many chips of a block miss each limit whatever their technique, and which comes nearest to all."""
    shape = source.within(number)
    over = np.empty((len(wanted.limits), int(np.prod(shape))))
    for row, name in zip(over, wanted.limits, strict=True):
        excess = arrays[f"excess_{name}"]
        row[:] = (excess.min(axis=0) if excess.ndim > len(shape) else excess).reshape(-1)
    broken = over > 0.0
    once = broken.sum(axis=0, dtype=np.int64) == 1
    furthest = over.max(axis=0)
    nearest = furthest.argmin()
    return {
        "excluded": broken.sum(axis=1, dtype=np.int64),
        "alone": (broken & once).sum(axis=1, dtype=np.int64),
        "least": over.min(axis=1),
        "nearest": furthest[[nearest]],
        "nearest_chip": source.chips(number, np.array([nearest])),
    }


@dataclass
class Harvest:
    """What blocks give together.

    Attributes
    ----------
    feasible : ndarray
        Chips that keep to the limits with any technique, then with each.
    best, best_chip : ndarray
        Score of the best chip of each technique, -inf where there is none, and its number.
    along : dict
        Axis → best score (technique, value).
    fronts : list of tuple
        Fronts of blocks: costs, chips, and which technique.
    excluded, alone, least, nearest, nearest_chip : ndarray
        Of limits, see ``reap``.
    """

    wanted: Wanted
    source: Source
    feasible: npt.NDArray[np.int64] = field(init=False)
    best: npt.NDArray[np.float64] = field(init=False)
    best_chip: npt.NDArray[np.int64] = field(init=False)
    along: dict[str, npt.NDArray[np.float64]] = field(init=False)
    excluded: npt.NDArray[np.int64] = field(init=False)
    alone: npt.NDArray[np.int64] = field(init=False)
    least: npt.NDArray[np.float64] = field(init=False)
    nearest: npt.NDArray[np.float64] = field(init=False)
    nearest_chip: npt.NDArray[np.int64] = field(init=False)
    fronts: list[tuple[Points, npt.NDArray[np.int64], npt.NDArray[np.int64]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        count, limits = len(self.wanted.techniques), len(self.wanted.limits)
        self.feasible = np.zeros(count + 1, dtype=np.int64)
        self.best = np.full(count, -np.inf)
        self.best_chip = np.zeros(count, dtype=np.int64)
        self.along = {name: np.full((count, len(each)), -np.inf) for name, each in self.source.curves.items()}
        self.excluded = np.zeros(limits, dtype=np.int64)
        self.alone = np.zeros(limits, dtype=np.int64)
        self.least = np.full(limits, np.inf)
        self.nearest = np.array([np.inf])
        self.nearest_chip = np.zeros(1, dtype=np.int64)

    def add(self, number: int, found: Arrays) -> None:
        """Put in what was kept of a block."""
        self.feasible += found["feasible"]
        _take(self.best, self.best_chip, found["best"], found["best_chip"], 1.0)
        for name, best in self.along.items():
            np.maximum(best, found[f"along {name}"], out=best)
        self.excluded += found["excluded"]
        self.alone += found["alone"]
        np.minimum(self.least, found["least"], out=self.least)
        _take(self.nearest, self.nearest_chip, found["nearest"], found["nearest_chip"], -1.0)
        self.fronts.append((found["front"], found["front_chip"], found["front_technique"]))
        if sum(len(chips) for _, chips, _ in self.fronts) > _WAITING:
            self.fronts = [self._together()]

    def _together(self) -> tuple[Points, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        costs = np.concatenate([each[0] for each in self.fronts], axis=1)
        chips = np.concatenate([each[1] for each in self.fronts])
        techniques = np.concatenate([each[2] for each in self.fronts])
        # of equals the first chip stays: they stand in the order of their numbers
        order = np.argsort(chips, kind="stable")
        kept = []
        for i in range(len(self.wanted.techniques)):
            own = order[techniques[order] == i]
            kept.append(own[front(costs[:, own])])
        places = np.concatenate(kept)
        return costs[:, places], chips[places], techniques[places]

    def front(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return technique → numbers of the chips of its front, in order of the first objective, best first."""
        _, chips, techniques = self._together()
        return {name: chips[techniques == i] for i, name in enumerate(self.wanted.techniques)}


def _take(best: Any, chip: Any, other: Any, other_chip: Any, sign: float) -> None:
    """Take the other's where it is better, or as good with a lower number."""
    better = (sign * other > sign * best) | ((other == best) & (other_chip < chip))
    best[better] = other[better]
    chip[better] = other_chip[better]
