"""Which constants decide: Sobol indices of what is chosen, by SALib.

First order: the share of the variance that would go if a constant were known.  Total: the share that would be left if
all but it were known.  Constants that go together are one to the total, since Saltelli's design needs independent ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.dse.posterior.draws import Draws, at, groups
from accelmodel.dse.posterior.priors import Prior
from accelmodel.laws.numeric import Array

#: group of all that is not told apart
REST = "all others"
#: groups that Saltelli's design tells apart
TOLD_APART = 5
#: fewer points of Saltelli's base sample tell nothing
LEAST_BASE = 32
#: resamples behind the interval of an index
_RESAMPLES = 100
#: harmonics of an outcome by which a constant is told, and the draws below which they tell nothing
_HARMONICS = 10
_LEAST_DRAWS = 10 * _HARMONICS


@dataclass(frozen=True)
class Index:
    """Sobol indices of a group of constants on one number of the answer, each with the half of its 95 % interval."""

    group: str
    constants: tuple[str, ...]
    first: float
    first_error: float
    total: float
    total_error: float


def first_order(draws: Draws, outcome: Array) -> Array:
    """Return the first-order index of each constant on an outcome (draw,) of which NaN are left out [1].

    Notes
    -----
    RBD-FAST with its bias taken off (Tarantola, Gatelli, Mara 2006; Tissot, Prieur 2012), which works on any draws:
    what goes along with a constant counts as its own.
    """
    found = np.zeros(draws.values.shape[1])
    known = np.isfinite(outcome)
    numbers, values = outcome[known], draws.values[known]
    if len(numbers) < _LEAST_DRAWS or np.ptp(numbers) == 0.0:
        return found
    from SALib.analyze import rbd_fast

    # equals are ranked by chance, not by when they were drawn
    order = np.random.default_rng(0).permutation(len(numbers))
    for i, column in enumerate(values.T):
        if np.ptp(column) > 0.0:
            told = rbd_fast.compute_first_order(rbd_fast.permute_outputs(column[order], numbers[order]), _HARMONICS)
            found[i] = np.clip(rbd_fast.unskew_S1(told, _HARMONICS, len(numbers)), 0.0, 1.0)
    return found


def by_chance(draws: int) -> float:
    """Return the first-order index that a constant which does nothing seldom passes in so many draws [1].

    Each harmonic of noise holds 2 / draws of the variance on average and spreads as much; told are four such spreads.
    """
    if draws < _LEAST_DRAWS:
        return 1.0
    return 4.0 * 2.0 * float(np.sqrt(_HARMONICS)) / (draws - 2.0 * _HARMONICS)


def leading(draws: Draws, first: Array, most: int = TOLD_APART) -> list[str]:
    """Return the names of the groups whose constants have the largest first-order indices (outcome, constant)."""
    members = groups(draws.priors)
    weight = {name: float(first[:, places].max()) for name, places in members.items()}
    return [name for name in sorted(members, key=lambda each: -weight[each]) if weight[name] > 0.0][:most]


def saltelli(
    priors: Sequence[Prior],
    lead: Sequence[str],
    outcomes: Callable[[Draws], Array],
    base: int,
    seed: int = 0,
) -> list[list[Index]]:
    """Return the Sobol indices of some groups of constants, and of all others as one, on each outcome.

    Parameters
    ----------
    priors : sequence of Prior
        All that is drawn.
    lead : sequence of str
        Groups that are told apart; see ``draws.groups``.
    outcomes : callable
        Of draws: the numbers (outcome, draw) that are asked about.
    base : int
        Points of the base sample, a power of two; drawn are as many for each group and two more.
    seed : int

    Notes
    -----
    Saltelli's design (Saltelli et al. 2010, doi 10.1016/j.cpc.2009.09.018) over groups, from a scrambled Sobol
    sequence.
    """
    members = groups(priors)
    of = {i: name if name in lead else REST for name, places in members.items() for i in places}
    told = [of[i] for i in range(len(priors))]
    names = list(dict.fromkeys(told))
    if len(names) < 2:
        return []
    from SALib.sample import sobol as sample

    problem = {
        "num_vars": len(priors),
        "names": [each.name for each in priors],
        "bounds": [[0.0, 1.0]] * len(priors),
        "groups": told,
    }
    points = sample.sample(problem, base, calc_second_order=False, scramble=True, seed=seed)
    found = outcomes(at(points, priors))
    constants = {
        name: tuple(prior.name for prior, group in zip(priors, told, strict=True) if group == name) for name in names
    }
    return [[Index(name, constants[name], *row) for name, row in _analysed(problem, each, seed)] for each in found]


def _analysed(problem: dict[str, Any], numbers: Array, seed: int) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield each group and its indices on one outcome: first order and total, each with its error; none of too few."""
    names = list(dict.fromkeys(problem["groups"]))
    # points stand together, one of which differs from another in one group: without one of them the others tell nothing
    together = numbers.reshape(-1, len(names) + 2)
    together = together[np.isfinite(together).all(axis=1)]
    if len(together) < LEAST_BASE:
        return
    if np.ptp(together) == 0.0:
        yield from ((name, (0.0, 0.0, 0.0, 0.0)) for name in names)
        return
    from SALib.analyze import sobol as analysis

    with warnings.catch_warnings():
        # a resample of an outcome that seldom changes may be constant
        warnings.simplefilter("ignore")
        found = analysis.analyze(
            problem, together.ravel(), calc_second_order=False, num_resamples=_RESAMPLES, seed=seed + 1
        )
    for i, name in enumerate(names):
        yield name, tuple(float(np.nan_to_num(found[key][i])) for key in ("S1", "S1_conf", "ST", "ST_conf"))
