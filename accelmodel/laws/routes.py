"""Levels of a cluster that are no switch: rings, tori and meshes, and collectives that pass several levels.

What a collective asks of a level is a leg: transfers that follow one another, and the bytes that pass all links of a
device at that level for each byte of the message.  Legs depend on shapes and not on rates, so that they are found once
for each row of an operator table, and the row then carries its route: the kernel multiplies by latencies and rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from accelmodel.laws.collectives import Exchange
from accelmodel.laws.jit import law
from accelmodel.laws.transfers import filled
from accelmodel.laws.types import Machine, Operator


class Leg(NamedTuple):
    """What one level has to do: transfers that follow one another, and bytes through a device's links by message."""

    steps: float
    load: float


class Torus(NamedTuple):
    """Lengths of the axes of a slice, and whether each closes to a ring."""

    axes: tuple[int, ...]
    wraps: tuple[bool, ...]


@law
def route_hops(op: Operator, machine: Machine) -> float:
    """Latency of all transfers of a route that follow one another [s]."""
    return op.m * machine.hop + op.k * machine.out_hop + op.input_bytes


@law
def routed(op: Operator, machine: Machine) -> Exchange:
    """Start-up, hops, wire, algorithm and bytes sent of a collective that carries its route (see ``ROUTE``).

    Levels run side by side, chunk by chunk: the slowest sets the time on the wire.
    """
    message = op.message_bytes
    hops = route_hops(op, machine)
    near = filled(op.n * message * machine.link_time, machine)
    wire = max(max(near, op.groups * message * machine.out_time), op.output_bytes * message)
    start = machine.out_start if op.k > 0.0 else machine.start_up
    return start, hops, wire, op.bits, op.weight_bytes * message


#: what a route says → column of ``Operator`` that has no other use in a collective, as ``routed`` reads it
ROUTE = {
    "steps": "m",  # transfers inside the node
    "load": "n",  # bytes through the links of a device inside the node, by byte of the message
    "out_steps": "k",  # the same between nodes
    "out_load": "groups",
    "more_hops": "input_bytes",  # latency of all other levels [s]
    "more_time": "output_bytes",  # time of the slowest of the other levels [s/B]
    "algorithm": "bits",  # place in ``ALGORITHMS``; an exchange around experts has but one
    "sent": "weight_bytes",  # bytes that a device sends, by byte of the message
}


# ---- slices of a torus ---------------------------------------------------------------------------------------


def boxes(count: int, axes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the boxes of so many devices that fit into a grid of these lengths."""
    if not axes:
        if count == 1:
            yield ()
        return
    for length in _divisors(count):
        if length <= axes[0]:
            yield from ((length, *rest) for rest in boxes(count // length, axes[1:]))


@cache
def _divisors(count: int) -> tuple[int, ...]:
    low = [each for each in range(1, math.isqrt(count) + 1) if count % each == 0]
    return (*low, *(count // each for each in reversed(low) if each * each != count))


def near_cube(count: int, dimensions: int) -> tuple[int, ...]:
    """Return the axis lengths of a torus of so many devices whose file does not say them: as nearly alike as can be.

    Examples
    --------
    >>> near_cube(256, 2), near_cube(8960, 3)
    ((16, 16), (16, 20, 28))
    """
    return _most_alike(boxes(count, (count,) * dimensions)) or (count,)


def _most_alike(found: Iterator[tuple[int, ...]]) -> tuple[int, ...]:
    return min(found, key=lambda box: (sum(box), box), default=())


def wrapped(box: tuple[int, ...], axes: tuple[int, ...], wrap: tuple[float, ...]) -> tuple[bool, ...]:
    """Tell which axes of a slice close to rings.

    An axis closes where its length is a multiple of ``wrap``, never where that is 0.  Where ``wrap`` is shorter than
    the whole axis, blocks of that size are joined by optical switches, and only slices of whole blocks are closed.
    """
    closes = tuple(bool(every) and length % int(every) == 0 for length, every in zip(box, wrap, strict=True))
    switched = tuple(0 < every < whole for every, whole in zip(wrap, axes, strict=True))
    in_blocks = all(fits for fits, optical in zip(closes, switched, strict=True) if optical)
    return tuple(
        fits and length > 2 and (in_blocks or not optical)
        for fits, optical, length in zip(closes, switched, box, strict=True)
    )


def torus(devices: int, axes: tuple[int, ...], wrap: tuple[float, ...], chosen: tuple[int, ...] = ()) -> Torus | None:
    """Return the slice of so many devices: as chosen, or with axes as nearly alike as can be; None if none fits."""
    box = chosen or _most_alike(boxes(devices, axes))
    return Torus(box, wrapped(box, axes, wrap)) if box else None


def group(ranks: int, whole: Torus) -> Torus:
    """Return the part of a slice that a group of devices takes: the fastest box, or a row of them where none fits.

    An axis that the group fills from end to end closes as that of the slice does.
    """
    found = []
    for box in boxes(ranks, whole.axes):
        ends = zip(whole.wraps, box, whole.axes, strict=True)
        found.append(Torus(box, tuple(closes and length == end for closes, length, end in ends)))
    return min(found, key=lambda each: (-lanes(each), gather_steps(each)), default=Torus((ranks,), (False,)))


def lanes(part: Torus) -> float:
    """Links of a device that carry a collective: two along an axis that closes, one along a line.

    Along a line the links at its ends carry all that the others share, one way each.
    """
    return sum(2.0 if closes else 1.0 for length, closes in zip(part.axes, part.wraps, strict=True) if length > 1)


def gather_steps(part: Torus) -> float:
    """Transfers that follow one another: along a ring both ways at once, along a line from end to end."""
    return float(sum(n // 2 if closes else n - 1 for n, closes in zip(part.axes, part.wraps, strict=True)))


def torus_gather(part: Torus, links: float) -> Leg:
    """All-gather or reduce-scatter over all axes at once: the message is cut, and each piece begins with another axis.

    A device sends (g-1)/g of the message over the lanes it has, of ``links`` links.
    """
    ranks = math.prod(part.axes)
    return Leg(gather_steps(part), (1.0 - 1.0 / ranks) * links / lanes(part))


def torus_exchange(part: Torus, links: float) -> Leg:
    """All-to-all, axis after axis: what crosses the middle of the longest axis sets the time."""
    crossing = (
        float(n * n // 4) / n / (2.0 if closes else 1.0) for n, closes in zip(part.axes, part.wraps, strict=True)
    )
    return Leg(gather_steps(part), max(crossing) * links)


# ---- levels in which each unit reaches each other ------------------------------------------------------------


def ring_gather(units: float) -> Leg:
    """A ring of units behind a switch: units - 1 transfers, 1 - 1/units of what a unit's devices gather."""
    return Leg(units - 1.0, 1.0 - 1.0 / units)


def mesh_gather(units: float, whole: float) -> Leg:
    """All units of a full mesh at once, over the links to those that take part."""
    return Leg(1.0, (1.0 - 1.0 / units) * max((whole - 1.0) / (units - 1.0), 1.0))
