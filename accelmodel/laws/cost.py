"""What a good die costs: its area, how many fit on a wafer, and how many of them work.

Plain arithmetic, over numbers and labelled axes alike: one evaluation per chip and not per step needs no kernel.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from accelmodel.laws.numeric import Number, most, sqrt


def part_sum(*parts: tuple[Number, Number]) -> Number:
    """Sum of number x size over the parts of a chip: its area [m²] or its power [W].

    LLMCompass (Zhang et al., ISCA 2024), section 5, with block areas in place of transistor counts.
    Linear: leaves out that long wires of a large L2 cost area, power and time.

    Examples
    --------
    Two parts of 3 and one of 4:

    >>> part_sum((2.0, 3.0), (1.0, 4.0))
    10.0
    """
    return sum(number * size for number, size in parts)


def dies_per_wafer(area: Number, diameter: Number) -> Number:
    """Whole dies on a round wafer: pi d²/4A - pi d / sqrt(2A) (De Vries, IEEE TSM 18(1), 2005, eq. 3)."""
    whole = np.pi * diameter * diameter / (4.0 * area) - np.pi * diameter / sqrt(2.0 * area)
    return most(whole, 0.0)


def fatal_area(area: Number, sram: Number, share: Number) -> Number:
    """Area of a die in which a defect kills it [m²]: of its SRAM, which spare rows repair, only a share.

    Parameters
    ----------
    area, sram : float or DataArray
        Of the die, and of the SRAM in it [m²].
    share : float or DataArray
        Of the defects in SRAM, those that are not repaired [1].

    Notes
    -----
    Koren and Koren, Proc. IEEE 86(9), 1998: redundancy takes the memory arrays out of the critical area.

    Examples
    --------
    >>> fatal_area(10.0, 4.0, 0.25)
    7.0
    """
    return area - sram * (1.0 - share)


def die_yield(area: Number, defects: Number, clustering: Number) -> Number:
    """Share of dies without a defect: negative binomial (1 + A D / c)^-c (Cunningham, IEEE TSM 3(2), 1990).

    Pessimistic for chips that are sold with some cores switched off: ``harvested_yield``.
    """
    return (1.0 + area * defects / clustering) ** -clustering


def harvested_yield(rest: Number, cores: Number, spares: Number, defects: Number, clustering: Number) -> Number:
    """Share of dies that can be sold with some cores switched off [1].

    A die is good if no defect falls outside its cores and at most ``spares`` of its cores have one.  Defects are
    as in ``die_yield``: Poisson at a density that is gamma-distributed over dies.  Given both, the chance is
    (c / (c + D r))^c I_q(c, s + 1) with q = (c + D r) / (c + D r + D a), I the regularised incomplete beta function.

    Parameters
    ----------
    rest, cores : float or DataArray
        Area outside the cores, r, and of all cores that are made, a, in which a defect kills [m²].
    spares : float or DataArray
        Cores that are made and not sold, s [1].
    defects, clustering : float or DataArray
        D [1/m²] and c [1].

    Notes
    -----
    Koren and Koren, Proc. IEEE 86(9), 1998: yield with spare modules, whose sum over faulty ones this is in closed
    form.  Each defect is taken to hit a core of its own, so the yield comes out too low, by the dies where two fall in
    one: by 0.4 % at most of 25 cores with one spare, by a ten-thousandth of 80 and more.  Dies with fewer cores good
    are scrapped, not sold as another product.

    Examples
    --------
    Without spares it is the yield of the whole die:

    >>> bool(abs(harvested_yield(4e-4, 4e-4, 0.0, 1e3, 3.0) - die_yield(8e-4, 1e3, 3.0)) < 1e-12)
    True
    """
    from scipy.special import betainc

    outside = clustering + defects * rest
    shown = betainc(clustering, spares + 1.0, outside / (outside + defects * cores))
    return cast(Number, (clustering / outside) ** clustering * shown)


def die_price(area: Number, wafer_price: Number, diameter: Number, good: Number) -> Number:
    """Price of one good die [USD]; 1e12 where not one fits on the wafer, so that no division by zero travels on.

    Parameters
    ----------
    area, wafer_price, diameter : float or DataArray
        Of the die [m²] and of the wafer [USD, m].
    good : float or DataArray
        Share of dies that can be sold [1].
    """
    return wafer_price / most(dies_per_wafer(area, diameter) * good, wafer_price * 1e-12)


def known_good_die(price: Number, test: Number, good: Number) -> Number:
    """Price of a die that is known to be good [USD]: of those tested only a share is.

    Feng and Ma, DAC 2022 (Chiplet Actuary): dies are tested before they are bonded.

    Examples
    --------
    >>> float(known_good_die(100.0, 5.0, 0.5))
    110.0
    """
    return price + test / most(good, 1e-12)


def die_carbon(area: Number, diameter: Number, good: Number, per_area: Number) -> Number:
    """Carbon embodied in one good die [kg]: that of its part of the wafer, edge and bad dies included.

    Gupta et al., ISCA 2022 (ACT): carbon of a wafer's area / yield.
    """
    whole = np.pi * diameter * diameter / 4.0
    return whole * per_area / most(dies_per_wafer(area, diameter) * good, 1e-12)


def design_price(area: Number, unique: Number, node: Number, masks: Number) -> Number:
    """Price of a design before the first chip is sold [USD]: modules, chip, fixed part, and its masks.

    Parameters
    ----------
    area, unique : float or DataArray
        Of the die, and of what is designed in it, each repeated block counted once [m²].
    node, masks : float or DataArray
        Price of a design of 300 mm² in this process, and of one set of masks [USD].

    Notes
    -----
    Feng and Ma, DAC 2022 (Chiplet Actuary), as its parameters have it: half of ``node`` goes with the area of modules,
    three tenths with that of the chip, a fifth is fixed.  The price of a design there holds one tape-out; masks are
    added for the next one, which every large chip has had.

    Examples
    --------
    >>> design_price(300e-6, 300e-6, 100.0, 5.0)
    105.0
    """
    reference = 300e-6
    return node * (0.5 * unique / reference + 0.3 * area / reference + 0.2) + masks


def tokens_per_dollar(tokens_per_s: Number, devices: Number, dollars_per_s: Number) -> Number:
    """Tokens that one dollar buys on ``devices`` devices of ``dollars_per_s`` each [token/USD]."""
    return tokens_per_s / (devices * dollars_per_s)
