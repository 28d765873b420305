"""What a chip costs: die area, yield, price per good die, package, power, dollars per token.

Plain arithmetic: one evaluation per chip and not per step needs no kernel.
"""

from __future__ import annotations

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


def die_yield(area: Number, defects: Number, clustering: Number) -> Number:
    """Share of dies without a defect: negative binomial (1 + A D / c)^-c (Cunningham, IEEE TSM 3(2), 1990).

    Pessimistic for chips that are sold with some cores switched off.
    """
    return (1.0 + area * defects / clustering) ** -clustering


def die_price(area: Number, wafer_price: Number, diameter: Number, defects: Number, clustering: Number) -> Number:
    """Price of one good die [USD]; 1e12 where not one fits on the wafer, so that no division by zero travels on."""
    good = dies_per_wafer(area, diameter) * die_yield(area, defects, clustering)
    return wafer_price / most(good, wafer_price * 1e-12)


def cost_rate(price: Number, lifetime: Number, utilisation: Number, power: Number, electricity: Number) -> Number:
    """Dollars per second of useful work: depreciation over the time in use, and electricity [USD/s]."""
    return price / (lifetime * utilisation) + power * electricity


def tokens_per_dollar(tokens_per_s: Number, devices: Number, dollars_per_s: Number) -> Number:
    """Tokens that one dollar buys on ``devices`` devices of ``dollars_per_s`` each [token/USD]."""
    return tokens_per_s / (devices * dollars_per_s)
