"""Dies with cores, one after the other: defects fall on each at random, dead cores are counted, dies are sold or not.

The density of defects differs from die to die: it is gamma-distributed, as clustered defects are.
"""

from __future__ import annotations

import numpy as np


def sold(rest: float, core: float, made: int, spares: int, defects: float, clustering: float, dies: int = 40_000):
    """Return the share of dies that can be sold, by cores that are dead and by defects that fell in cores.

    Parameters
    ----------
    rest, core : float
        Area outside the cores, and of one core [m²].
    made, spares : int
        Cores on a die, and how many of them may be dead.
    defects, clustering : float
        Mean density of defects [1/m²], and how it clusters.
    dies : int
        How many are looked at.
    """
    rng = np.random.default_rng(7)
    by_cores = by_defects = 0
    for _ in range(dies):
        density = rng.gamma(clustering, defects / clustering)
        if rng.poisson(density * rest):
            continue
        hit = rng.integers(0, made, rng.poisson(density * core * made))
        by_cores += len(set(hit.tolist())) <= spares
        by_defects += len(hit) <= spares
    return by_cores / dies, by_defects / dies
