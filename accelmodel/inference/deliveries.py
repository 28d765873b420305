"""Routes of exchanges around experts through a cluster's levels, where it is more than nodes behind switches.

The kernels are those of ``laws.exchange``: what they send is the same, and each level of links is given its part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.spans import Legs, Level, Span, first, ordinary, spans, spread, through_ports, to_all
from accelmodel.laws.exchange import EXCHANGES, reached
from accelmodel.laws.numeric import Array
from accelmodel.laws.routes import ROUTE, Leg
from accelmodel.laws.types import EXCHANGE, ROUTED_EXCHANGE, Operator
from accelmodel.specs.hardware import Cluster

#: columns of an exchange that say what is sent: kernels, devices, and how tokens are routed
_COLUMNS = tuple(Operator._fields.index(name) for name in ("kind", "ranks", "n", "k", "groups", "m"))
_KIND = Operator._fields.index("kind")


def _inside(passed: list[Span], cluster: Cluster) -> list[Span]:
    """Return the spans of a node and of what lies inside it."""
    near = (cluster.link, *cluster.link.inside)
    return [span for span in passed if any(span.level.link is each for each in near)]


def _by_network(passed: list[Span], cluster: Cluster, known: tuple[Level, ...]) -> Legs:
    """A copy for each expert, what stays in a node over the network as well."""
    ranks = passed[-1].own
    near = _inside(passed, cluster)
    kept = near[-1].own if near else 1.0
    far = to_all(passed)[len(near) :]
    out = next(level for level in known if level.link is cluster.scale_out)
    own = (kept - 1.0) / ranks
    if not far:
        return [(span.level, Leg(0.0, 0.0)) for span in near] + [(out, Leg(1.0, own))]
    (level, leg), *wider = far
    return [*((span.level, Leg(0.0, 0.0)) for span in near), (level, Leg(leg.steps, leg.load + own)), *wider]


def _forwarded(passed: list[Span], cluster: Cluster, devices: float, nodes: float) -> Legs:
    """A copy for each node, forwarded inside it to the devices that need it; both destinations are by copy sent."""
    near = _inside(passed, cluster)
    far = passed[len(near) :]
    ranks = passed[-1].own
    width = near[-1].own if near else 1.0
    # what a device keeps of its own passes the buffers of the forwarding where there are several nodes
    buffered = 1.0 / (1.0 - 1.0 / width) if far and width > 1.0 else 1.0
    found: Legs = []
    for span in near:
        leg = spread(span)
        load = devices * leg.load * span.own / width * buffered
        found.append((span.level, Leg(leg.steps if span is near[-1] else 0.0, load)))
    for span in far:
        leg = spread(span)
        found.append((span.level, Leg(leg.steps if span is far[-1] else 0.0, nodes * leg.load * span.own / ranks)))
    return found


def _sent(kernels: str, passed: list[Span], cluster: Cluster, devices: float, nodes: float) -> float:
    """Return what a device sends, by byte of all copies."""
    if kernels != "normal":
        return 1.0 - 1.0 / passed[-1].own
    near = _inside(passed, cluster)
    width = near[-1].own if near else 1.0
    spanned = passed[-1].own / width
    return devices * (1.0 - 1.0 / width) if spanned <= 1.0 else devices + nodes * (1.0 - 1.0 / spanned)


def route(
    kernels: str, ranks: float, routing: tuple[float, ...], cluster: Cluster, known: tuple[Level, ...]
) -> dict[str, float] | None:
    """Return the route of an exchange by the names of ``laws.routes.ROUTE``; None where it has a law without one.

    Parameters
    ----------
    kernels : str
        One of ``EXCHANGES``.
    ranks : float
        Devices over which the experts are spread [1].
    routing : tuple of float
        Experts, those of a token, groups of them, and those out of which a token's are chosen [1].
    cluster : Cluster
    known : tuple of Level
        Levels of the cluster.
    """
    passed = spans(ranks, known)
    if all(ordinary(span.level, cluster) for span in passed):
        return None
    experts, used, groups, chosen = routing
    near = _inside(passed, cluster)
    nodes = ranks / (near[-1].own if near else 1.0)
    to_devices, to_nodes = (reached(parts, experts, used, groups, chosen) / used for parts in (ranks, nodes))
    if kernels == "low-latency":
        legs = to_all(passed)
    elif kernels == "network":
        legs = _by_network(passed, cluster, known)
    elif kernels == "normal":
        legs = _forwarded(passed, cluster, to_devices, to_nodes)
    else:
        raise SpecError(f"kernels {kernels} of an exchange have no route through levels; give them one")
    found = dict.fromkeys(ROUTE, 0.0)
    for level, leg in through_ports(legs, cluster):
        # of the node's link the law knows what an engine's kernels reach
        if level.link is cluster.link:
            found["steps"], found["load"] = leg.steps, leg.load
        elif level.link is cluster.scale_out:
            found["out_steps"], found["out_load"] = leg.steps, leg.load
        else:
            found["more_hops"] += leg.steps * first(level.link.hop_latency)
            reach = first(level.link.direct_share) if any(level.link is each for each in cluster.link.inside) else 1.0
            found["more_time"] = max(found["more_time"], leg.load / (level.rate * reach))
    return found | {"sent": _sent(kernels, passed, cluster, to_devices, to_nodes)}


def delivered(
    table: Array, cluster: Cluster, known: tuple[Level, ...]
) -> Iterator[tuple[Any, dict[str, float], float]]:
    """Yield which cells of an operator table are alike exchanges, their route through a cluster, and their kind.

    Parameters
    ----------
    table : ndarray (column, row, workload)
    cluster : Cluster
    known : tuple of Level
    """
    rows = (table[_KIND] >= EXCHANGE) & (table[_COLUMNS[1]] > 1.0)
    if not rows.any():
        return
    told = np.stack([table[column] for column in _COLUMNS])
    for kind, ranks, *routing in np.unique(told[:, rows], axis=1).T.tolist():
        place = int(kind - EXCHANGE)
        found = route(list(EXCHANGES)[place], ranks, tuple(routing), cluster, known)
        if found is not None:
            alike = rows & (told == np.array([kind, ranks, *routing])[:, None, None]).all(axis=0)
            yield alike, found, ROUTED_EXCHANGE + place
