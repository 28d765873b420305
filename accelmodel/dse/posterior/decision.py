"""What to build where constants are not known: regret, the robust choice, and what knowing a constant would be worth.

Plain numbers over (draw, design), more of which is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelmodel.laws.numeric import Array

#: degree of the polynomial in a constant's rank to which expected regret is fitted
DEGREE = 4
#: shuffles of a constant that tell how much it seems to be worth by chance, and how many of their spreads that seldom
#: passes, with a hundred constants that are tried
SHUFFLES, _SELDOM = 16, 3.0


def best_design(score: Array) -> Array:
    """Return the place of the best design of each draw, -1 where none is allowed (score 0); the first of equals."""
    return np.where(score.max(axis=1) > 0.0, score.argmax(axis=1), -1)


def regret(score: Array) -> Array:
    """Return the share of each draw's best that a design misses [1]; 1 where it is not allowed (score 0).

    Draws in which no design is allowed are left out: there is nothing to choose.

    Examples
    --------
    >>> regret(np.array([[2.0, 1.0], [0.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.0, 0.5], [1.0, 0.0]]
    """
    served = score[score.max(axis=1) > 0.0]
    return np.asarray(1.0 - served / served.max(axis=1, keepdims=True))


def expected(score: Array) -> Array:
    """Return the expected regret of each design over the draws [1]; 1 where no design is allowed in any."""
    missed = regret(score)
    return np.asarray(missed.mean(axis=0)) if len(missed) else np.ones(score.shape[1])


@dataclass(frozen=True)
class Choice:
    """A design, and what choosing it costs over the draws.

    ``expected`` and ``high`` are the mean of its regret and what it does not pass in 19 of 20 draws [1]; ``feasible``
    is in what share of the draws it keeps to all limits [1]; all of the draws in which some design does.
    """

    design: int
    expected: float
    high: float
    feasible: float


def choice(score: Array, design: int) -> Choice:
    """Return what choosing a design costs over the draws."""
    missed = regret(score)[:, design]
    if not len(missed):
        return Choice(design, float("nan"), float("nan"), 0.0)
    share = float(np.mean(score[score.max(axis=1) > 0.0, design] > 0.0))
    return Choice(design, float(missed.mean()), float(np.quantile(missed, 0.95)), share)


def robust(score: Array) -> Choice:
    """Return the design of least expected regret."""
    return choice(score, int(expected(score).argmin()))


def _basis(values: Array) -> Array:
    """Return an orthonormal basis (draw, function) of polynomials in the rank of a constant."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - 0.5 * count
    x = 2.0 * middle[place] / len(values) - 1.0
    left, size, _ = np.linalg.svd(np.polynomial.legendre.legvander(x, DEGREE), full_matrices=False)
    return np.asarray(left[:, size > 1e-9 * size[0]])


def _missed_knowing(missed: Array, basis: Array) -> float:
    """Return the mean regret where each draw's design is the one of least regret by what the basis tells of it."""
    chosen = (basis @ (basis.T @ missed)).argmin(axis=1)
    return float(missed[np.arange(len(missed)), chosen].mean())


def worth(score: Array, values: Array, seed: int = 0) -> Array:
    """Return by how much expected regret falls if one constant is known before the choice, for each constant [1].

    Parameters
    ----------
    score : ndarray (draw, design)
    values : ndarray (draw, constant)
    seed : int
        Of the shuffles.

    Notes
    -----
    The expected value of partial perfect information (Raiffa and Schlaifer 1961) by regression on the draws (Strong,
    Oakley, Brennan 2014): the regret of each design is fitted by a polynomial in the constant's rank, the choice made
    by it at each value, and paid for in full.  What shuffled constants seem to be worth is taken off; one that is not
    worth more than these seldom are is worth 0, and none more than knowing everything, which is the expected regret of
    the robust choice.
    """
    served = score.max(axis=1) > 0.0
    missed, known = regret(score), values[served]
    found = np.zeros(values.shape[1])
    if not len(missed):
        return found
    now = float(missed.mean(axis=0).min())
    generator = np.random.default_rng(seed)
    steady = np.arange(len(missed), dtype=float)
    by_chance = [now - _missed_knowing(missed, _basis(generator.permutation(steady))) for _ in range(SHUFFLES)]
    noise = max(float(np.mean(by_chance)), 0.0)
    told_apart = _SELDOM * float(np.std(by_chance, ddof=1))
    for i, column in enumerate(known.T):
        if column.min() < column.max():
            gained = now - _missed_knowing(missed, _basis(column)) - noise
            found[i] = gained if gained > told_apart else 0.0
    return np.clip(found, 0.0, now)


def interval(values: Array, level: float = 0.9) -> tuple[float, float]:
    """Return the values between which such a share of the draws lies, as many below as above."""
    low, high = _box(np.asarray(values)[:, None], 0.5 * (1.0 - level))
    return float(low[0]), float(high[0])


@dataclass(frozen=True)
class Region:
    """Ends of each number between which ``level`` of all draws lie with all their numbers at once."""

    level: float
    low: Array
    high: Array

    def holds(self, numbers: Array) -> npt.NDArray[np.bool_]:
        """Return which numbers lie inside, one by one; equal to an end is inside."""
        return (self.low <= numbers) & (numbers <= self.high)


def _box(numbers: Array, tail: float) -> tuple[Array, Array]:
    """Return of each number the draw that so many are not above, and that which as many are not below."""
    ordered = np.sort(numbers, axis=0)
    # a design is one of those given: never a value between two; and what a share of draws is does not hang on rounding
    beyond = min(max(int(np.ceil(tail * len(numbers) - 1e-9)) - 1, 0), (len(numbers) - 1) // 2)
    return ordered[beyond], ordered[-1 - beyond]


def _inside(numbers: Array, tail: float) -> tuple[Array, Array, float]:
    """Return the box of the intervals with such tails, and which share of the draws lies in it."""
    low, high = _box(numbers, tail)
    return low, high, float(((low <= numbers) & (numbers <= high)).all(axis=1).mean())


def region(numbers: Array, level: float = 0.9) -> Region:
    """Return the smallest box of equally likely intervals in which such a share of the draws (draw, number) lies."""
    # the share in the box falls as its tails grow, a draw at a time
    least, most = 0, len(numbers) // 2 + 1
    while most - least > 1:
        middle = (least + most) // 2
        if _inside(numbers, middle / len(numbers))[2] >= level:
            least = middle
        else:
            most = middle
    low, high, _ = _inside(numbers, least / len(numbers))
    return Region(level, low, high)


def level_of(numbers: Array, claim: Array) -> float:
    """Return the share of the draws in the smallest box of equally likely intervals that holds a claim [1].

    1 where no box of draws holds it.
    """
    below = (numbers <= claim).mean(axis=0)
    above = (numbers >= claim).mean(axis=0)
    tail = float(np.minimum(below, above).min())
    if tail == 0.0:
        return 1.0
    # an interval whose tails are at most as likely as the claim's own tail holds it
    return _inside(numbers, tail)[2]
