"""Rows of experts in tiles: kernels of grouped matmuls pad the tokens of each expert to whole tiles.

Tokens choose experts at random, so that one gets more and another fewer than the mean: where the mean fills a tile,
half of the experts need a second one.  What is counted is the mean over experts.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from accelmodel.laws.numeric import Number, ceil, least, most, sqrt

#: rows of the largest and of the smallest tile of grouped kernels, each half as large as the next (DeepGEMM's
#: contiguous layout aligns experts to 128; CUTLASS and Triton have smaller ones for fewer tokens)
LARGEST, SMALLEST = 128.0, 16.0
#: tiles that are looked at one by one; beyond them an expert's last tile is half full
_FEW = 20
#: tiles from which on that holds: deviations of the tokens are then a third of a tile and more
_MANY = 16.0


def _above(score: Number) -> Any:
    """Return the share of a normal distribution above a score, within 0.0003 (Page, Applied Statistics 26, 1977)."""
    return 0.5 - 0.5 * cast(Any, np.tanh(0.7978846 * score * (1.0 + 0.044715 * score**2)))


def tile_rows(mean: Number) -> Any:
    """Return the rows of the tile that is taken for so many rows of an expert: the smallest that holds them, or the
    largest.

    Examples
    --------
    >>> [float(tile_rows(rows)) for rows in (3.0, 17.0, 64.0, 1000.0)]
    [16.0, 32.0, 64.0, 128.0]
    """
    doublings: Any = ceil(cast(Any, np.log2(most(mean, SMALLEST) / SMALLEST)) - 1e-9)
    return least(SMALLEST * 2.0**doublings, LARGEST)


def padded_rows(mean: Number, share: Number, chance: Number) -> Any:
    """Return the rows that the tiles of an expert have, on average over those that get a token.

    Parameters
    ----------
    mean : float
        Tokens of an expert that gets any [token].
    share : float
        Experts that get any, of all [1].
    chance : float
        That a token goes to a certain expert [1].

    Notes
    -----
    The tokens M of an expert are binomial, and it takes E[ceil(M / b)] tiles of b rows, the sum over j of P(M > j b):
    j = 0 is ``share``, the others are taken from the normal distribution, with the correction for whole tokens.

    Examples
    --------
    Where 128 tokens are the mean, every second expert takes two tiles of 128; with 4 tokens all take one of 16:

    >>> [round(float(padded_rows(mean, 1.0, 1 / 32)), 1) for mean in (128.0, 4.0, 4096.0)]
    [189.7, 16.0, 4159.5]
    """
    tile, every = tile_rows(mean), mean * share
    deviation = sqrt(every * (1.0 - least(chance, 0.999)))
    tiles: Any = 1.0
    for place in range(1, _FEW):
        tiles = tiles + _above((place * tile + 0.5 - every) / deviation) / share
    many = mean / tile + 0.5 - 0.5 / tile
    far = mean > _MANY * tile
    return tile * (far * many + (1.0 - far) * tiles)


def in_tiles(groups: Number, mean: Number, rows: Number) -> dict[str, Number]:
    """Return the columns of a matmul of so many groups whose tiles have ``rows`` rows each: all tiles, and rows of one.

    Examples
    --------
    >>> {name: float(found) for name, found in in_tiles(8.0, 128.0, 192.0).items()}
    {'groups': 12.0, 'm': 128.0}
    """
    tile = tile_rows(mean)
    return {"groups": groups * rows / tile, "m": tile}
