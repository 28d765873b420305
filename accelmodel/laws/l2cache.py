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
from accelmodel.laws.prepared import byte_share, full_set
from accelmodel.laws.types import Machine

#: distance from the mean, in deviations, from which on nothing is left of a normal distribution: below 1e-56
_FAR = 1e4


@law
def tail_size(z: float) -> float:
    """1 over the part of a normal distribution that lies beyond z deviations on one side, to 3e-4 of the whole.

    Abramowitz and Stegun, Handbook of Mathematical Functions, eq. 7.1.27.  Needs no exponential, so
    that the loop over designs vectorises.
    """
    x = min(abs(z), _FAR) * 0.7071067811865476
    tail = 1.0 + x * (0.278393 + x * (0.230389 + x * (0.000972 + x * 0.078108)))
    tail = tail * tail
    return 2.0 * (tail * tail)


@law
def normal_cdf(z: float) -> float:
    """Standard normal distribution function."""
    part = 1.0 / tail_size(z)
    return 1.0 - part if z >= 0.0 else part


@law
def normal_cdfs(y: float, z: float) -> tuple[float, float]:
    """Two of them, for which one division is enough."""
    near, far = tail_size(y), tail_size(z)
    both = 1.0 / (near * far)
    return (1.0 - far * both if y >= 0.0 else far * both), (1.0 - near * both if z >= 0.0 else near * both)


@law
def deviations(lines: float, full: float) -> float:
    """How far a full set is from so many lines, in deviations: the square-root approximation of the Poisson law."""
    return 2.0 * (full - math.sqrt(max(lines - 0.15, 0.0)))


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
    share = normal_cdf(deviations(ways * distance * byte_share(capacity), full_set(ways)))
    return share if capacity > 0.0 else 0.0


@law
def kept(distance: float, machine: Machine) -> float:
    """Share of lines still in the L2 of a machine, see ``resident_share``."""
    share = normal_cdf(deviations(machine.l2_ways * machine.l2_byte * distance, machine.l2_full))
    return share if machine.l2_bytes > 0.0 else 0.0


@law
def kept_of_two(one: float, other: float, machine: Machine) -> tuple[float, float]:
    """The same for two distances."""
    lines = machine.l2_ways * machine.l2_byte
    full = machine.l2_full
    first, second = normal_cdfs(deviations(lines * one, full), deviations(lines * other, full))
    return (first if machine.l2_bytes > 0.0 else 0.0), (second if machine.l2_bytes > 0.0 else 0.0)


@law
def kept_of_three(one: float, other: float, third: float, machine: Machine) -> tuple[float, float, float]:
    """The same for three distances, for which one division is enough as well."""
    lines = machine.l2_ways * machine.l2_byte
    full = machine.l2_full
    x, y, z = deviations(lines * one, full), deviations(lines * other, full), deviations(lines * third, full)
    a, b, c = tail_size(x), tail_size(y), tail_size(z)
    all_three = 1.0 / (a * b * c)
    first, second, last = b * c * all_three, a * c * all_three, a * b * all_three
    first = 1.0 - first if x >= 0.0 else first
    second = 1.0 - second if y >= 0.0 else second
    last = 1.0 - last if z >= 0.0 else last
    holds = machine.l2_bytes > 0.0
    return (first if holds else 0.0), (second if holds else 0.0), (last if holds else 0.0)
