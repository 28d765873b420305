"""Routes of collectives through a cluster's levels, where it is more than nodes behind switches.

A group of devices in a torus, or one that spans a level beside the node and the network between nodes, is given a
route: the row of the operator table then says how many transfers and bytes each level has, and the kernel only
multiplies.  Clusters of one node, or of nodes joined by one network, have no routes: ``laws.collectives`` and
``laws.exchange`` know them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.inference import deliveries
from accelmodel.inference.machine import machine
from accelmodel.inference.spans import (
    Legs,
    Level,
    Span,
    contention,
    first,
    levels,
    ordinary,
    plain,
    spans,
    through_ports,
    to_all,
)
from accelmodel.laws import collectives, routes, types
from accelmodel.laws import kinds as kinds_of
from accelmodel.laws.numeric import Array
from accelmodel.laws.prepared import prepared
from accelmodel.laws.routes import ROUTE, Leg
from accelmodel.laws.transfers import rounds
from accelmodel.laws.types import ALGORITHMS, COLLECTIVE, Machine, Operator
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.link import GRIDS

_KIND, _RANKS, _MESSAGE = (Operator._fields.index(name) for name in ("kind", "ranks", "message_bytes"))
#: how much of an all-reduce each kind of collective is: it gathers twice
_GATHERS = {types.ALL_REDUCE: 2.0, types.ALL_GATHER: 1.0, types.REDUCE_SCATTER: 1.0}


def _gather(span: Span) -> Leg:
    """Return an all-gather of what a unit's devices share, over one level."""
    level, below = span.level, span.below
    if level.torus:
        leg = routes.torus_gather(routes.group(round(span.units), level.torus), level.links)
    elif level.link.topology == "mesh":
        leg = routes.mesh_gather(span.units, level.devices / level.below)
    else:
        leg = routes.ring_gather(span.units)
    return Leg(leg.steps, leg.load * contention(span) / below)


def _by_levels(times: float, passed: list[Span]) -> Legs:
    """One level after the other, each with what is left of the message; the outer ones work on a device's share."""
    return [(span.level, Leg(times * leg.steps, times * leg.load)) for span in passed for leg in [_gather(span)]]


def _ring(times: float, passed: list[Span]) -> Legs:
    """One ring through all devices; where it leaves a unit it does so through the ports of all its devices."""
    ranks = math.prod(span.units for span in passed)
    units = ranks
    found = []
    for span in passed:
        outer = units / span.units
        stays = 1.0 if span is passed[-1] else 1.0 - 1.0 / span.units
        load = (1.0 - 1.0 / ranks) * stays / span.below * contention(span)
        found.append((span.level, Leg(times * (units - outer), times * load)))
        units = outer
    return found


def _tree(times: float, passed: list[Span]) -> Legs:
    """Chains in the innermost level, a double tree over the units of all others: all is sent twice."""
    near, *others = passed
    legs = [(near.level, Leg(times * (near.units - 1.0), times * contention(near)))]
    return legs + [(s.level, Leg(times * rounds(s.units), times * contention(s) / s.below)) for s in others]


def _transfer(passed: list[Span]) -> Legs:
    """To a neighbour at the widest level that is spanned: over one link of a torus or a mesh."""
    level = passed[-1].level
    links = level.links if level.torus else 1.0
    if level.link.topology == "mesh":
        links = max(level.devices / level.below - 1.0, 1.0)
    return [(level, Leg(1.0, links))]


def _candidates(kind: float, passed: list[Span], cluster: Cluster) -> Iterator[tuple[str, Legs]]:
    """Yield the ways that the software has for a collective, with their names."""
    if kind == types.ALL_TO_ALL:
        yield "direct", through_ports(to_all(passed), cluster)
        return
    if kind == types.POINT_TO_POINT:
        yield "direct", _transfer(passed)
        return
    times = _GATHERS[kind]
    grids = any(span.level.torus for span in passed)
    network = passed[-1].level.link.algorithms
    levelled = len(passed) > 1 and any("hierarchical" in span.level.link.algorithms for span in passed)
    named = "hierarchical" if len(passed) > 1 else "ring"
    if grids or levelled or len(passed) == 1:
        yield named, through_ports(_by_levels(times, passed), cluster)
    if not grids and len(passed) > 1:
        if "ring" in network or not levelled:
            yield "ring", through_ports(_ring(times, passed), cluster)
        if "tree" in network and kind == types.ALL_REDUCE:
            yield "tree", _tree(times, passed)


@dataclass(frozen=True)
class Way:
    """A way of a collective: its route by the names of ``laws.routes.ROUTE``, and its time at the first design [s]."""

    route: dict[str, float]
    hops: float
    by_byte: float


def _way(name: str, legs: Legs, sent: float, cluster: Cluster) -> Way:
    route = dict.fromkeys(ROUTE, 0.0) | {"algorithm": float(ALGORITHMS.index(name)), "sent": sent}
    for level, leg in legs:
        if level.link is cluster.link:
            route["steps"], route["load"] = leg.steps, leg.load
        elif level.link is cluster.scale_out:
            route["out_steps"], route["out_load"] = leg.steps, leg.load
        else:
            route["more_hops"] += leg.steps * first(level.link.hop_latency)
            route["more_time"] = max(route["more_time"], leg.load / level.rate)
    hops = sum(leg.steps * first(level.link.hop_latency) for level, leg in legs)
    return Way(route, hops, max(leg.load / level.rate for level, leg in legs))


def ways(kind: float, ranks: float, cluster: Cluster, known: tuple[Level, ...]) -> list[Way]:
    """Return the ways of a collective through a cluster; none where it needs no route, or has a law of its own."""
    passed = spans(ranks, known)
    if kind not in (*_GATHERS, types.ALL_TO_ALL, types.POINT_TO_POINT) or all(
        ordinary(span.level, cluster) for span in passed
    ):
        return []
    sent = {types.POINT_TO_POINT: 1.0}.get(kind, _GATHERS.get(kind, 1.0) * (1.0 - 1.0 / ranks))
    return [_way(name, legs, sent, cluster) for name, legs in _candidates(kind, passed, cluster)]


def needed(cluster: Cluster) -> bool:
    """Tell whether collectives of a cluster may need routes, or end in the norm after them."""
    shaped = any(link.topology in GRIDS for link in cluster.levels) or cluster.scale_out.topology == "mesh"
    return shaped or len(cluster.levels) > 2 or plain(cluster.link, "fused_norm") > 0.0


def routed(table: Array, cluster: Cluster) -> Array:
    """Return an operator table (column, row, workload) whose collectives carry their routes through a cluster.

    Of several ways each row takes the fastest for its message, at the numbers of the first design.
    """
    found = table.copy()
    kinds, ranks, messages = table[_KIND], table[_RANKS], table[_MESSAGE]
    rows = (kinds >= COLLECTIVE) & (ranks > 1.0)
    known = levels(cluster, max(first(cluster.devices), float(ranks.max())))
    for kind, group in {(float(k), float(n)) for k, n in zip(kinds[rows], ranks[rows], strict=True)}:
        choice = ways(kind, group, cluster, known)
        if not choice:
            continue
        alike = rows & (kinds == kind) & (ranks == group)
        times = np.array([way.hops + way.by_byte * messages[alike] for way in choice])
        taken = times.argmin(axis=0)
        for name, column in ROUTE.items():
            values = np.array([way.route[name] for way in choice])
            found[Operator._fields.index(column)][alike] = values[taken]
        found[_KIND][alike] = types.ROUTED
    for alike, route, routed_kind in deliveries.delivered(table, cluster, known):
        for name, column in ROUTE.items():
            found[Operator._fields.index(column)][alike] = route[name]
        found[_KIND][alike] = routed_kind
    if plain(cluster.link, "fused_norm"):
        follows = rows[:-1] & (kinds[:-1] == types.ALL_REDUCE) & np.isin(kinds[1:], (types.ELEMENTWISE, types.ROW))
        found[_KIND, 1:][follows] = kinds_of.code("epilogue")
    return found


def router(cluster: Cluster) -> Callable[[Array], Array] | None:
    """Return what puts routes into an operator table for a cluster; None where none are needed."""
    return (lambda table: routed(table, cluster)) if needed(cluster) else None


def phases(kind: float, ranks: float, message: float, algorithm: str, cluster: Cluster) -> list[dict[str, Any]]:
    """Return what each level of a collective takes: ``level``, ``units``, ``hops_s`` and ``wire_s`` [s].

    Levels run side by side, chunk by chunk: the hops add up, and of the wires the longest counts.  Of numbers along
    axes the first holds.
    """
    passed = spans(ranks, levels(cluster, max(first(cluster.devices), ranks)))
    if len(passed) == 1 and not passed[0].level.torus and passed[0].level.link is cluster.link:
        numbers = {name: first(value) for name, value in machine(cluster).items()}
        _, hops, wire, _, _ = collectives.collective(kind, message, ranks, prepared(Machine(**numbers)))
        return [{"level": cluster.link.name, "units": ranks, "hops_s": float(hops), "wire_s": float(wire)}]
    found = dict(_candidates(kind, passed, cluster))
    legs = found.get(algorithm) or next(iter(found.values()))
    units = {id(span.level): span.units for span in passed}
    return [
        {
            "level": level.link.name,
            "units": units[id(level)],
            "hops_s": leg.steps * first(level.link.hop_latency),
            "wire_s": leg.load * message / level.rate,
        }
        for level, leg in legs
    ]
