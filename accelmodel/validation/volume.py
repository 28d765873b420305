"""How large a part of what is not known the claims of PRESERVE leave: a volume under priors that are named.

Constants that are not public are drawn from their ranges, kernels of an Ascend 910B among them; the share of sets in
which all five claims hold is the volume.  It says how much agreement with the claims proves: what hardly any
set of constants gives was fitted, what most give was predicted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError, unknown
from accelmodel.specs.given import override
from accelmodel.validation.claims import CLAIMED, KERNELS, claims, closed, held

if TYPE_CHECKING:
    import xarray as xr

#: constants that are drawn: those of the software and the silicon, and those of kernels
DRAWN = {"link": ("start_up",), "process": ("sram_area",), "device": ("l2.usable", "l2.prefetch_time", *KERNELS)}
#: prior → quantile function of a range (low, mode, high); the mode is the value in use
PRIORS = ("uniform", "triangular")
DRAWS = 400


def quantile(share: Any, low: float, mode: float, high: float, prior: str) -> Any:
    """Return the value of a constant below which a share of its prior lies.

    Examples
    --------
    >>> float(quantile(0.5, 0.0, 0.0, 4.0, "uniform"))
    2.0
    >>> float(quantile(0.75, 0.0, 0.0, 4.0, "triangular"))
    2.0
    """
    if prior == "uniform":
        return low + share * (high - low)
    width = high - low
    rising = low + np.sqrt(share * width * (mode - low))
    falling = high - np.sqrt((1.0 - share) * width * (high - mode))
    return np.where(share * width <= mode - low, rising, falling)


def drawn(parts: Parts, draws: int, seed: int, prior: str, kernels: bool) -> Parts:
    """Return the parts with constants that are not public drawn over the axis ``draw``; the uncore closes the die.

    Raises
    ------
    SpecError
        If the prior is unknown, or no set is asked for.
    """
    import xarray as xr

    if prior not in PRIORS:
        raise unknown("prior", prior, PRIORS)
    if draws < 1:
        raise SpecError(f"draws must be at least 1, not {draws}")
    generator = np.random.default_rng(seed)
    found: dict[str, dict[str, Any]] = {part: {} for part in DRAWN}
    for part, names in DRAWN.items():
        for name in names:
            if name in KERNELS and not kernels:
                continue
            fact = getattr(parts, part).facts[name]
            low, high = fact.range
            values = quantile(generator.random(draws), low, float(fact.value), high, prior)
            found[part][name] = xr.DataArray(values, dims="draw")
    moved = closed(parts, found["process"]["sram_area"])
    return replace(moved, device=override(parts.device, found["device"]), link=override(parts.link, found["link"]))


def volume(draws: int = DRAWS, seed: int = 0, prior: str = "uniform", kernels: bool = True) -> dict[str, float]:
    """Return the share of sets of constants, drawn at once, in which claims of PRESERVE hold.

    Parameters
    ----------
    draws : int
        Sets of constants.
    seed : int
        Of the draws.
    prior : {"uniform", "triangular"}
        Over the range that each constant has in its file; triangular ones have their mode at the value in use.
    kernels : bool
        Whether the constants of kernels are drawn too; they stand at the optimistic ends of their ranges.

    Returns
    -------
    dict
        ``all``: share in which all five hold [1]; and of each claim alone.

    Raises
    ------
    SpecError
        If the prior is unknown, or no set is asked for.

    Examples
    --------
    >>> sorted(volume(draws=2))
    ['all', 'best_l2_none', 'best_l2_preserve', 'gain', 'max_speedup', 'min_speedup']
    """
    result = held(drawn(parts_of_study(load_study()), draws, seed, prior, kernels))
    shares = {"all": float(result.holds.mean())}
    for claim in claims():
        if claim.quantity in CLAIMED:
            met: xr.DataArray = abs(result[claim.quantity] / claim.value - 1.0) <= claim.tolerance
            shares[claim.quantity] = float(met.mean())
    return shares
