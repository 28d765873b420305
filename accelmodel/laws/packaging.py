"""What joins dies costs: package, bonds that fail, dies on dies, and the edge that PHYs stand at."""

from __future__ import annotations

import numpy as np

from accelmodel.laws.cost import die_yield, dies_per_wafer
from accelmodel.laws.numeric import Number, most, sqrt

#: wafers that interposers are made of [m]
_WAFER = 0.3


def substrate_price(standing: Number, scale: Number, price: Number) -> Number:
    """Price of the organic substrate below what stands on it [USD]: ``scale`` times that area at a price per area.

    Feng and Ma, DAC 2022 (Chiplet Actuary).
    """
    return standing * scale * price


def interposer_price(standing: Number, scale: Number, price: Number, defects: Number, clustering: Number) -> Number:
    """Price of a good interposer below what stands on it [USD]; it fails as a die does.

    Parameters
    ----------
    standing : float or DataArray
        Area of the dies and stacks on it [m²].
    scale : float or DataArray
        Its area / that [1].
    price : float or DataArray
        Of a wafer of them, bonding included, over its area [USD/m²].
    defects, clustering : float or DataArray
        As of a die [1/m², 1].

    Notes
    -----
    Feng and Ma, DAC 2022 (Chiplet Actuary).  The larger it is, the more of a wafer of 300 mm its edge takes.

    Examples
    --------
    Of 1500 mm² 29.9 fit on a wafer, whose area is that of 47.1:

    >>> round(float(interposer_price(1e-3, 1.5, 1e5, 0.0, 3.0)), 1)
    236.3
    """
    area = standing * scale
    wafer = np.pi * _WAFER * _WAFER / 4.0
    fit = most(dies_per_wafer(area, _WAFER), wafer * 1e-9)
    return wafer * price / fit / die_yield(area, defects, clustering)


def assembly_yield(die_bond: Number, dies: Number, stack_bond: Number, stacks: Number) -> Number:
    """Share of packages whose bonds all hold [1]: a yield for each die and each stack.

    Feng and Ma, DAC 2022 (Chiplet Actuary), dies bonded last.

    Examples
    --------
    >>> assembly_yield(0.9, 2.0, 0.5, 1.0)
    0.405
    """
    return die_bond**dies * stack_bond**stacks


def bonding_loss(bonded: Number, good: Number) -> Number:
    """Price of what is lost with packages that fail, for each that is good [USD]: known good dies go with them."""
    return bonded * (1.0 / good - 1.0)


def stacked_area(size: Number, density: Number, through: Number) -> Number:
    """Area of a die of SRAM that stands on another [m²]: its cells, and the vias that pass through it.

    Parameters
    ----------
    size, density : float or DataArray
        Bytes, and area of one in its process [B, m²/B].
    through : float or DataArray
        Share of the area that vias take [1].
    """
    return size * density / (1.0 - through)


def shoreline(needed: Number, area: Number, dies: Number, usable: Number) -> Number:
    """Edge that PHYs need / that dies have [1]; above 1 they do not fit.

    Parameters
    ----------
    needed : float or DataArray
        Edge of all PHYs together [m].
    area, dies : float or DataArray
        Of all dies together [m²], and how many they are [1]; square ones, which have the least edge.
    usable : float or DataArray
        Share of an edge at which PHYs can stand [1].

    Examples
    --------
    Two dies of 100 mm² have 80 mm:

    >>> round(float(shoreline(0.04, 200e-6, 2.0, 1.0)), 12)
    0.5
    """
    return needed / most(dies * 4.0 * sqrt(area / dies) * usable, 1e-12)


def crossing(bandwidth: Number, dies: Number) -> Number:
    """Rate at which dies read what lies behind the others, all together [B/s]: each at its share of the memory's rate.

    One of n dies reads 1/n of the rate of the memory, and (n - 1)/n of that lies behind the others.

    Examples
    --------
    >>> crossing(8e12, 2.0), crossing(8e12, 1.0)
    (4000000000000.0, 0.0)
    """
    return bandwidth * (dies - 1.0) / dies
