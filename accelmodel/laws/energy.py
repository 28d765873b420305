"""What a step takes: energy of operations and bytes, power at rest, and the clock that a power limit leaves.

A roofline of energy: operations and bytes add up, where times overlap (Choi, Bedard, Fowler and Vuduc, IPDPS 2013).

    E = sum of operations x energy of one + sum of bytes x energy of one + static power x time

Plain arithmetic over arrays: it follows the kernel and is no part of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.laws.matmul import MIN_ROWS

#: voltage below which no core runs, over that of its full clock: about 0.65 V of 1.1 V
VOLTAGE_FLOOR = 0.6
#: rows, columns and depth of the matrix product at which a chip's sustained clock is told
LARGE = 8192.0
#: clock at which the energy of an operation is stated for a whole generation [1/s]
STATED_AT = 1e9
#: Newton's steps of ``clock_share``, which more than double its correct digits from the third on
_STEPS = 8


def matmul_l2_bytes(
    m: Any, n: Any, input_bytes: Any, weight_bytes: Any, output_bytes: Any, tiles: tuple[Any, Any, Any]
) -> Any:
    """Bytes that cross between L2 and the cores in a matrix product [B].

    Each tile of rows reads the weights, each tile of columns the input; cores that share a fetch draw it once, and all
    is drawn once at least.

    Parameters
    ----------
    m, n : array_like
        Rows and columns of one product [1].
    input_bytes, weight_bytes, output_bytes : array_like
        Of all groups [B].
    tiles : tuple
        Rows and columns of the largest tile, and cores that share a fetch [1].

    Notes
    -----
    Takes the largest tile: low where a kernel takes narrower ones to keep more cores busy.

    Examples
    --------
    Two tiles down, three across:

    >>> float(matmul_l2_bytes(256.0, 384.0, 10.0, 20.0, 5.0, (128.0, 128.0, 1.0)))
    75.0
    """
    tile_m, tile_n, multicast = tiles
    down, across = tiles_of(m, tile_m), np.ceil(n / tile_n)
    fetched = (input_bytes * across + weight_bytes * down) / multicast
    return np.maximum(fetched, input_bytes + weight_bytes) + output_bytes


def tiled_l2_bytes(groups: Any, m: Any, n: Any, k: Any, width: Any, tiles: tuple[Any, Any]) -> Any:
    """Bytes that cores draw from L2 for tiles of rows of experts [B].

    Each tile of columns reads its rows and its columns of the weights.

    Parameters
    ----------
    groups, m : array_like
        Tiles of rows, and rows of one [1].
    n, k : array_like
        Columns and depth [1].
    width : array_like
        Bytes of a number [B].
    tiles : tuple
        Columns of a tile, and cores that share a fetch [1].

    Examples
    --------
    Two tiles of 16 rows, three of 128 columns, 10 deep:

    >>> float(tiled_l2_bytes(2.0, 16.0, 384.0, 10.0, 1.0, (128.0, 1.0)))
    8640.0
    """
    tile_n, multicast = tiles
    return groups * np.ceil(n / tile_n) * (m + tile_n) * k * width / multicast


def tiles_of(rows: Any, tile_m: Any) -> Any:
    """Return tiles of rows that some rows take, one at least [1].

    Examples
    --------
    >>> [float(tiles_of(rows, 128.0)) for rows in (1.0, 128.0, 129.0)]
    [1.0, 1.0, 2.0]
    """
    padded = MIN_ROWS * np.ceil(rows / MIN_ROWS)
    return np.maximum(np.ceil(rows / np.clip(padded, MIN_ROWS, tile_m)), 1.0)


def attention_l2_bytes(keys: Any, tiles: Any, weight_bytes: Any, input_bytes: Any, output_bytes: Any) -> Any:
    """Bytes that cross between L2 and the cores in attention [B].

    Parameters
    ----------
    keys : array_like
        Bytes of keys and values that one tile of queries of each group sees on average [B].
    tiles : array_like
        Tiles of queries of a group [1]; each reads its keys.
    weight_bytes, input_bytes, output_bytes : array_like
        Keys and values, each once; queries; results [B].

    Examples
    --------
    >>> float(attention_l2_bytes(6.0, 1.0, 10.0, 1.0, 1.0)), float(attention_l2_bytes(6.0, 3.0, 10.0, 1.0, 1.0))
    (12.0, 20.0)
    """
    return np.where(tiles > 1.0, np.maximum(keys * tiles, weight_bytes), weight_bytes) + input_bytes + output_bytes


def clock_share(on_chip: Any, beyond: Any, available: Any) -> Any:
    """Return the clock at which a chip keeps to a power limit, over its full one [1].

    Voltage falls with the clock f, down to ``VOLTAGE_FLOOR`` v, and energy on the chip with its square; what memory and
    links take beyond it does not.  At time t and full clock they take C and M, and power is the energy over t / f:

        (C max(f, v)² + M) f = A t

    Parameters
    ----------
    on_chip, beyond, available : array_like
        C and M [J], and A t [J]: what the limit leaves beside static power, times t.

    Returns
    -------
    ndarray
        1 where C + M is not above A t.

    Notes
    -----
    Power of a chip goes with the cube of its clock where it is bound by computing (Horowitz, ISSCC 2014, section 2).
    Slows everything by the clock: the power that it tells is that of the limit, and the time at most that, since
    memory at its own clock goes on.  The clock is that of a whole step, as controllers average over milliseconds.

    Examples
    --------
    Eight times the power that there is: half the clock by the cube, but for the floor of voltage.

    >>> float(clock_share(1.0, 0.0, 2.0)), round(float(clock_share(1.0, 0.0, 0.729)), 12)
    (1.0, 0.9)
    >>> round(float(clock_share(1.0, 0.0, 0.125)), 4)
    0.3472
    """
    c, m, a = np.broadcast_arrays(on_chip, beyond, available)
    keeps = c + m <= a
    if keeps.all():
        return np.ones(c.shape)
    floor = np.maximum(c * VOLTAGE_FLOOR**2 + m, 1e-300)
    clock = np.ones(c.shape)
    for _ in range(_STEPS):
        slope = np.maximum(3.0 * c * clock * clock + m, 1e-300)
        clock = clock - np.maximum((c * clock * clock + m) * clock - a, 0.0) / slope
    return np.where(keeps, 1.0, np.where(clock < VOLTAGE_FLOOR, a / floor, clock))


def moved_joules(tiles: tuple[Any, Any, Any], l2: Any, hbm: Any) -> Any:
    """Return the energy of the bytes that a large matrix product at 16 bit moves, for each of its operations [J/FLOP].

    Parameters
    ----------
    tiles : tuple
        Rows and columns of the largest tile, and cores that share a fetch [1].
    l2, hbm : array_like
        Of a byte [J/B].

    Examples
    --------
    128 x 128 tiles read 256 values for 2 x 128 x 128 operations, and the result is written once:

    >>> round(float(moved_joules((128.0, 128.0, 1.0), 64e-12, 0.0)) * 1e12, 3)
    1.008
    """
    each = 2.0 * LARGE * LARGE
    moved = matmul_l2_bytes(LARGE, LARGE, each, each, each, tiles)
    return (moved * l2 + 3.0 * each * hbm) / (2.0 * LARGE**3)


def sustained_clock(rate: Any, clock: Any, flop: Any, moved: Any, available: Any) -> Any:
    """Return the clock that a power limit leaves while all matrix units work, over the full one [1].

    The energy of an operation goes with the square of the voltage, and that with the clock: a chip of the same
    generation that was built for a higher clock takes more for each.

    Parameters
    ----------
    rate : array_like
        Operations that the matrix units reach at full clock [FLOP/s].
    clock : array_like
        The full clock [1/s].
    flop : array_like
        Energy of an operation at ``STATED_AT`` [J/FLOP].
    moved : array_like
        Of the bytes that it moves, see ``moved_joules`` [J/FLOP].
    available : array_like
        What the limit leaves beside power at rest [W].

    See Also
    --------
    stated_energy : the same law, for the energy of a chip whose clock is known.

    Examples
    --------
    100 TFLOP/s at 1 pJ each draw 100 W; nine tenths of the clock are left by the cube of that:

    >>> [round(float(sustained_clock(1e14, 1e9, 1e-12, 0.0, limit)), 9) for limit in (100.0, 72.9)]
    [1.0, 0.9]

    At twice the clock each takes four times as much:

    >>> round(float(sustained_clock(1e14, 2e9, 1e-12, 0.0, 4.0 * 72.9)), 9)
    0.9
    """
    return clock_share(rate * flop * (clock / STATED_AT) ** 2, rate * moved, available)


def stated_energy(rate: Any, clock: Any, share: Any, moved: Any, available: Any) -> Any:
    """Return the energy of an operation at ``STATED_AT`` of a chip that sustains a share of its clock [J/FLOP].

    The inverse of ``sustained_clock``; of a chip that sustains its full clock the most that it can be.

    Examples
    --------
    >>> round(float(stated_energy(1e14, 1e9, 0.9, 0.0, 72.9)) * 1e12, 9)
    1.0
    """
    voltage = np.maximum(share, VOLTAGE_FLOOR) * clock / STATED_AT
    return np.maximum(available / (rate * share) - moved, 0.0) / voltage**2


def under_limit(on_chip: Any, beyond: Any, static: Any, time: Any, limit: Any) -> tuple[Any, Any]:
    """Return what a power limit leaves of the energy on the chip, and how many times as long a step lasts [1].

    Parameters
    ----------
    on_chip, beyond : array_like
        What operations and bytes of L2 take at full clock, and what memory and links take [J].
    static : array_like
        Power at rest with clocks on [W]; below the limit.
    time : array_like
        Of the step at full clock [s].
    limit : array_like
        Power limit [W]; 0 where it is not known, which limits nothing.

    Examples
    --------
    100 W at rest and 300 J in a second, under a limit that this meets, and under a lower one:

    >>> [float(each) for each in under_limit(200.0, 100.0, 100.0, 1.0, 400.0)]
    [1.0, 1.0]
    >>> scale, longer = under_limit(200.0, 100.0, 100.0, 1.0, 300.0)
    >>> round(float(step_joules(200.0 * scale, 100.0, 100.0, longer) / longer), 9), round(float(longer), 3)
    (300.0, 1.197)
    """
    room = np.where(np.asarray(limit) > 0.0, limit, np.inf)
    clock = clock_share(on_chip, beyond, (room - static) * time)
    voltage = np.maximum(clock, VOLTAGE_FLOOR)
    return np.where(clock < 1.0, voltage * voltage, 1.0), 1.0 / clock


def step_joules(on_chip: Any, beyond: Any, static: Any, time: Any) -> Any:
    """Return the energy of a step, or of an operator [J]: what its work takes, and what passes with time.

    Examples
    --------
    >>> step_joules(200.0, 100.0, 100.0, 2.0)
    500.0
    """
    return on_chip + beyond + static * time


def waited(busy: Any, static: Any, time: Any, waiting: Any) -> Any:
    """Return the mean power of a device that works for a time and then waits at rest [W].

    Parameters
    ----------
    busy, static : array_like
        Power while it works, and at rest with clocks on [W].
    time, waiting : array_like
        How long it does either [s].

    Examples
    --------
    >>> waited(400.0, 100.0, 2.0, 1.0)
    300.0
    """
    return (busy * time + static * waiting) / (time + waiting)
