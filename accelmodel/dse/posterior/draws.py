"""Everything uncertain behind a study drawn at once, what is of one kind together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelmodel.costs.bill import bill
from accelmodel.costs.parts import Parts, closed_anew
from accelmodel.dse.posterior.priors import TIME, TOGETHER, Prior
from accelmodel.errors import SpecError
from accelmodel.inference.intervals import KINDS
from accelmodel.laws.numeric import Array, Number, most
from accelmodel.specs.base import Spec, with_values

if TYPE_CHECKING:
    import xarray as xr

#: axis of a result along which all constants differ
DRAW = "draw"
#: probabilities nearer to 0 or 1 than this are none that a finite sample tells of
_LEAST_SHARE = 2.0**-40
#: how many times as many draws as are asked for are made at most, to find as many that are possible
_MOST_MORE = 50


@dataclass(frozen=True)
class Draws:
    """Constants drawn together.

    Attributes
    ----------
    priors : tuple of Prior
    values : ndarray (draw, constant)
        In SI; of residuals what times are multiplied by.
    """

    priors: tuple[Prior, ...]
    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def part(self, begin: int, end: int) -> Draws:
        """Return some of the draws."""
        return replace(self, values=self.values[begin:end])

    def parts(self, nominal: Parts) -> Parts:
        """Return the parts of the study's chip with the drawn constants along ``draw``.

        What the bill leaves out closes die and power in each draw, so that the chip that is known keeps its size.
        """
        changed: dict[str, dict[str, Any]] = {}
        for prior, values in zip(self.priors, self.values.T, strict=True):
            if prior.part != TIME:
                changed.setdefault(prior.part, {})[prior.field] = _over_draws(values)
        specs = {part: with_values(getattr(nominal, part), values) for part, values in changed.items()}
        return closed_anew(replace(nominal, **{**_alike(nominal, specs), **specs}))

    def possible(self, nominal: Parts) -> npt.NDArray[np.bool_]:
        """Return in which draws the study's chip, which exists, can be: its PHYs need no more edge than it has.

        One that needs more as it is given may need as much.
        """
        most_edge = most(_crowded(nominal), 1.0)
        return np.broadcast_to(np.asarray(_crowded(self.parts(nominal)) <= most_edge), len(self))

    def errors(self) -> dict[str, xr.DataArray]:
        """Return kind of operator → what its times are multiplied by, along ``draw``."""
        return {
            prior.field: _over_draws(values)
            for prior, values in zip(self.priors, self.values.T, strict=True)
            if prior.part == TIME
        }


def _alike(nominal: Parts, specs: Mapping[str, Spec]) -> dict[str, Spec]:
    """Return the parts that are made of the same as one that changed, as it is then."""
    return {
        each.name: changed
        for each in fields(nominal)
        for part, changed in specs.items()
        if isinstance(spec := getattr(nominal, each.name), type(changed)) and spec.name == getattr(nominal, part).name
    }


def _crowded(parts: Parts) -> Number:
    """Return the edge that the PHYs of the study's chip need / that it has [1]."""
    device = parts.device
    return bill(parts, device.compute.cores, device.l2.capacity, device.hbm.stacks, parts.link.links)["shoreline"]


def _over_draws(values: Array) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(values, dims=DRAW)


def groups(priors: Sequence[Prior]) -> dict[str, list[int]]:
    """Return the places of constants that go together, by the name of their group or of the one that goes alone."""
    found: dict[str, list[int]] = {}
    for place, prior in enumerate(priors):
        found.setdefault(prior.group or prior.name, []).append(place)
    return found


def correlated(shares: Array, priors: Sequence[Prior], together: float = TOGETHER) -> Array:
    """Return independent probabilities (draw, constant) as those of constants that go together within their group.

    Notes
    -----
    A Gaussian copula: normal quantiles of the shares are mixed so that each pair of a group has the rank correlation
    ``together``; of normals with correlation r that of ranks is 6 / pi asin(r / 2) (Kruskal 1958).  Groups stay
    independent of each other.
    """
    from scipy.special import ndtr, ndtri

    found: Array = np.clip(np.asarray(shares, dtype=float), _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    pearson = 2.0 * np.sin(np.pi * together / 6.0)
    for places in groups(priors).values():
        if len(places) > 1:
            matrix = np.full((len(places), len(places)), pearson)
            np.fill_diagonal(matrix, 1.0)
            found[:, places] = ndtr(ndtri(found[:, places]) @ np.linalg.cholesky(matrix).T)
    return found


def at(shares: Array, priors: Sequence[Prior]) -> Draws:
    """Return the draws at some independent probabilities (draw, constant)."""
    mixed = correlated(shares, priors)
    values = np.array([prior.quantile(mixed[:, i]) for i, prior in enumerate(priors)], dtype=float)
    return Draws(tuple(priors), values.T.reshape(len(mixed), len(priors)))


def shares(draws: int, constants: int, seed: int) -> Array:
    """Return points (draw, constant) of a cube: a Latin hypercube (McKay, Beckman, Conover 1979).

    Each constant is spread evenly over its range, pairs meet at random.  Points of a Sobol sequence are spread more
    evenly still, but in so many dimensions some pairs of them move together, and a constant that does nothing is taken
    for one that decides: an index of 0.67 was seen where 0 is true.
    """
    from scipy.stats import qmc

    if constants == 0:
        return np.empty((draws, 0))
    return np.asarray(qmc.LatinHypercube(constants, scramble=True, seed=seed).random(draws))


def draw(priors: Sequence[Prior], draws: int, seed: int = 0) -> Draws:
    """Draw all constants at once, so often.

    Parameters
    ----------
    priors : sequence of Prior
        Each constant once.
    draws : int
    seed : int
        The same seed gives the same draws.

    Raises
    ------
    SpecError
        If a constant stands twice, or is none that can be drawn.

    Examples
    --------
    >>> from accelmodel.dse.posterior.priors import Prior
    >>> share = Prior("device", "hbm.share", "assumed", "1", "uniform", "linear", 0.6, 0.8, 1.0)
    >>> found = draw([share], 4).values[:, 0]
    >>> [int(each) for each in sorted((found - 0.6) // 0.1)]
    [0, 1, 2, 3]
    """
    names = [each.name for each in priors]
    for prior in priors:
        if names.count(prior.name) > 1:
            raise SpecError(f"prior: {prior.name} is given twice; leave one out")
        if prior.part == TIME and prior.field not in KINDS:
            raise SpecError(f"prior: {prior.name} is no kind of operator; one of {', '.join(KINDS)}")
        prior.check()
    return at(shares(draws, len(priors), seed), priors)


def draw_possible(priors: Sequence[Prior], nominal: Parts, draws: int, seed: int = 0) -> tuple[Draws, float]:
    """Draw all constants at once, so often that the study's chip can be, and return which share of all draws it cannot.

    Raises
    ------
    SpecError
        As ``draw``, and if it hardly ever can be.
    """
    wanted = draws
    while True:
        found = draw(priors, wanted, seed)
        possible = found.possible(nominal)
        if possible.sum() >= draws:
            return replace(found, values=found.values[possible][:draws]), float(1.0 - possible.mean())
        if wanted >= _MOST_MORE * draws + _MOST_MORE:
            raise SpecError(
                f"prior: {nominal.device.name} itself can be in {possible.mean():.1%} of the draws: its PHYs need more "
                "edge than it has; narrow the ranges of edges and stacks"
            )
        wanted = min(int(1.1 * wanted * draws / max(possible.sum(), 0.1 * draws, 1)) + 1, _MOST_MORE * (draws + 1))


def correlations(priors: Sequence[Prior]) -> Mapping[str, list[str]]:
    """Return the groups of more than one constant: their names → those of their constants."""
    return {name: [priors[i].name for i in places] for name, places in groups(priors).items() if len(places) > 1}
