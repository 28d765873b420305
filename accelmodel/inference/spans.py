"""Levels of a cluster as a group of devices meets them, and what each has to do for it.

What is exchanged between all devices of a group is told here as well: collectives and the exchange around experts
ask for it alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.laws import routes
from accelmodel.laws.numeric import has_axes
from accelmodel.laws.routes import Leg, Torus
from accelmodel.laws.transfers import rounds
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.link import GRIDS, MOST_AXES, Link


@dataclass(frozen=True)
class Level:
    """One level as a collective meets it: how many devices it joins, and as units of how many of the level below."""

    link: Link
    devices: float
    below: float
    torus: Torus | None

    @property
    def links(self) -> float:
        """Links of a device along the axes of a torus, two along each."""
        return 2.0 * len(self.torus.axes) if self.torus else 1.0

    @cached_property
    def rate(self) -> float:
        """Of a device, one way [B/s]."""
        link = self.link
        return first(link.bandwidth) * first(link.share) / first(link.oversubscription)


@dataclass(frozen=True)
class Span:
    """What a group of devices has of one level: units of ``below`` devices of the group."""

    level: Level
    units: float
    below: float

    @property
    def own(self) -> float:
        """Devices of the group that the level joins."""
        return self.units * self.below


#: levels of a cluster that a group passes, from the innermost on, and what each has to do
Legs = list[tuple[Level, Leg]]


def first(value: Any) -> float:
    """Return a number, of an axis of numbers the first."""
    return float(np.asarray(value).flat[0])


def plain(link: Link, name: str) -> float:
    """Return a number of a link that shapes depend on; SpecError where it lies along an axis."""
    value = getattr(link, name)
    if has_axes(value):
        raise SpecError(f"{link.name}: {name} varies, and shapes of levels are found once; give one number")
    return float(value)


def _slice(link: Link, units: float) -> Torus:
    """Return the slice of a torus or ring that so many units take, or the whole where they are more."""
    whole = int(plain(link, "devices"))
    axes = tuple(int(each) for each in link.axes)
    if not axes:
        most = min(max(int(first(link.links)) // 2, 2), MOST_AXES)
        axes = (whole,) if link.topology == "ring" else routes.near_cube(whole, most)
    wrap = tuple(link.wrap) or tuple(float(each) for each in axes)
    chosen = tuple(int(each) for each in link.slice)
    asked = int(min(units, math.prod(axes)))
    if chosen and math.prod(chosen) < asked:
        raise SpecError(f"{link.name}: slice {link.slice} has {math.prod(chosen)} devices, and {asked} are asked for")
    found = routes.torus(asked, axes, wrap, chosen)
    return found or Torus(axes, routes.wrapped(axes, axes, wrap))


def levels(cluster: Cluster, devices: float) -> tuple[Level, ...]:
    """Return the levels of a cluster of so many devices, from the innermost on."""
    found: list[Level] = []
    below = 1.0
    for link in cluster.levels:
        joined = plain(link, "devices")
        units = min(devices, joined) / below
        found.append(Level(link, joined, below, _slice(link, units) if link.topology in GRIDS else None))
        below = max(joined, below)
    return tuple(found)


def spans(ranks: float, known: tuple[Level, ...]) -> list[Span]:
    """Return the levels that a group of devices spans, spread evenly over the units of each."""
    found = []
    groups, below = ranks, 1.0
    for level in known:
        last = level is known[-1]
        wider = 1.0 if last else float(math.ceil(ranks / level.devices * (1.0 - 1e-12)))
        units = groups / wider
        if units > 1.0:
            found.append(Span(level, units, below))
        groups, below = wider, below * units
        if groups <= 1.0:
            break
    return found


def ordinary(level: Level, cluster: Cluster) -> bool:
    """Tell whether the laws know a level without a route: a node's switch, mesh or bus, and a network of switches."""
    known = level.link is cluster.link or (level.link is cluster.scale_out and level.link.topology != "mesh")
    return known and not level.torus


def contention(span: Span) -> float:
    """Return how much slower a link of a bus is in a group of so many, as ``laws.transfers.contention``."""
    return float(plain(span.level.link, "contention") ** max(rounds(span.units) - 1.0, 0.0))


def spread(span: Span) -> Leg:
    """Return what a level does where each device sends as much to each other device that the level joins.

    The load is that of the level's own links by byte of all that a device sends; what stays in a unit is in it.
    """
    level = span.level
    if level.torus:
        leg = routes.torus_exchange(routes.group(round(span.units), level.torus), level.links)
        return Leg(leg.steps, leg.load * contention(span))
    whole = level.devices / level.below
    fewer = routes.mesh_gather(span.units, whole).load if level.link.topology == "mesh" else 0.0
    return Leg(1.0, max(fewer, 1.0 - 1.0 / span.units) * contention(span))


def to_all(passed: list[Span]) -> Legs:
    """All-to-all: at each level what goes to other units of it; the transfers are those of the widest level."""
    ranks = passed[-1].own
    found = []
    for span in passed:
        leg = spread(span)
        found.append((span.level, Leg(leg.steps if span is passed[-1] else 0.0, leg.load * span.own / ranks)))
    return found


def through_ports(legs: Legs, cluster: Cluster) -> Legs:
    """Let the ports of a bus, and of a network beyond the node, carry what goes to wider levels as well."""
    wider = (cluster.scale_out, *cluster.beyond)
    found: Legs = []
    beyond = 0.0
    for level, leg in reversed(legs):
        shared = level.link.topology in ("bus", "fat-tree") or any(level.link is each for each in wider)
        found.insert(0, (level, Leg(leg.steps, leg.load + (beyond if shared else 0.0))))
        beyond += leg.load
    return found
