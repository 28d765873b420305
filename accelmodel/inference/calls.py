"""Who calls collectives and how, as chosen, and where nobody says as it may be.

A library's kernels are the link's own numbers; what an engine or its host adds or saves is in ``inference.machine``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelmodel.errors import SpecError, unknown
from accelmodel.inference.axes import machines_over
from accelmodel.inference.inputs import Inputs
from accelmodel.inference.policies import none
from accelmodel.inference.run import run_kernel
from accelmodel.laws.numeric import Array, Number, has_axes
from accelmodel.laws.types import COLLECTIVE, DETAIL, Operator
from accelmodel.specs.cloud import Engine, Software
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.link import CALLERS, LAUNCHES, Link

#: where nobody says, as the serving engines do: those of ``engines/in-flight.toml``
USUAL_CALLER, USUAL_LAUNCH = "engine", "graph"
#: cards of a bus that reach each other in one way alone
PAIR = 2.0
#: algorithms of an engine's own kernels, as links offer them
OF_ENGINES = ("one-shot", "two-shot", "multimem")
#: time of other hosts over that of the one that a link's file tells of: of the fastest and the slowest measured
FAST_HOST, SLOW_HOST = 0.55, 2.5


def called(cluster: Cluster, by: str = "", launch: str = "") -> Cluster:
    """Return the cluster whose collectives are called by some software in some way.

    Parameters
    ----------
    cluster : Cluster
    by : {"", "engine", "symmetric-memory", "library"}
        Whose kernels exchange small messages; empty leaves it as the link's file says.
    launch : {"", "graph", "eager"}
        From a captured graph, or one by one by the host; empty likewise.

    Raises
    ------
    SpecError
        If a word is unknown, or a link is launched by a host that its file says nothing of.

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> called(cluster("h100-sxm"), "library").link.by
    'library'
    """
    _need_known(by, launch)
    link = cluster.link
    if launch == "eager" and not can_be_eager(link):
        raise SpecError(
            f"launch eager: {link.name} states no time of a host that launches collectives; "
            "give link.eager_start, such as 17us, or launch graph"
        )
    if not (by or launch):
        return cluster
    return replace(cluster, link=replace(link, by=by or link.by, launch=launch or link.launch))


def _need_known(by: str, launch: str) -> None:
    """Raise SpecError where a word is none of those that say who calls collectives, or how."""
    if by and by not in CALLERS:
        raise unknown("caller of collectives", by, CALLERS)
    if launch and launch not in LAUNCHES:
        raise unknown("launch", launch, LAUNCHES)


def as_engine(cluster: Cluster, engine: Engine) -> Cluster:
    """Return the cluster that an engine runs: its collectives are called as by it, where nothing else is said.

    And its kernels are the engine's: those that it runs apart, and those of libraries that it calls.  What its host
    takes to launch them is the engine's own ``layer_time``, which hides what collectives would wait.
    """
    link = cluster.link
    found = called(cluster, link.by or engine.collectives, link.launch or USUAL_LAUNCH)
    return replace(found, software=Software(tuple(engine.unfused), tuple(engine.libraries)))


def calling(engine: Engine, by: str = "", launch: str = "") -> Engine:
    """Return an engine that calls collectives by other kernels, or launches otherwise, where such is asked.

    Raises
    ------
    SpecError
        If a word is unknown, or graphs are asked of an engine that captures none.
    """
    _need_known(by, launch)
    if launch == "graph" and not (has_axes(engine.graph_tokens) or engine.graph_tokens):
        raise SpecError(
            f"launch graph: {engine.name} captures no graphs; give graph_tokens in a file of your own, such as 512, or "
            "launch eager"
        )
    return replace(engine, collectives=by or engine.collectives, launch=launch or engine.launch)


def paired(cluster: Cluster, ranks: Number) -> Cluster:
    """Return the cluster as groups of so many devices see it: on a bus engines' own kernels run between two alone.

    Beyond two, cards of a bus are not all peers, which such kernels need; engines then call the library.
    """
    link = cluster.link
    if link.topology != "bus" or not has_engine(link):
        return cluster
    return replace(cluster, link=replace(link, direct_limit=link.direct_limit * (ranks <= PAIR)))


def taken_calls(cluster: Cluster, engine: Engine | None = None) -> dict[str, str]:
    """Return who calls the collectives of a step and how, said or not: ``by`` and ``launch``."""
    link = cluster.link
    usual = USUAL_CALLER if has_engine(link) else "library"
    launch = engine.launch if engine else link.launch
    return {"by": link.by or usual, "launch": launch or USUAL_LAUNCH}


def measured_as(link: Link, kind: str = "all-reduce") -> str:
    """Return which measured collectives have the errors of one of a kind, by whoever calls it."""
    own = kind == "all-reduce" and link.by != "library" and has_engine(link)
    return f"custom {kind}" if own else kind


def can_be_eager(link: Link) -> bool:
    """Return whether a link's file says what a host takes to launch a collective."""
    return has_axes(link.eager_start) or link.eager_start > 0.0


def has_engine(link: Link) -> bool:
    """Return whether engines have kernels of their own on a link."""
    return any(name in link.algorithms for name in OF_ENGINES)


def extremes(cluster: Cluster) -> tuple[Cluster, Cluster]:
    """Return the cluster as its collectives are called fastest and slowest, of all that is left open.

    An engine takes its own kernels where they are faster than the library's, and a graph saves what a host takes, a
    fast one or a slow one.
    """
    link = cluster.link
    callers = (link.by, link.by) if link.by or not has_engine(link) else (USUAL_CALLER, "library")
    fast, slow = (replace(link, by=by) for by in callers)
    if link.launch != "graph" and can_be_eager(link):
        low, high = _hosts(link)
        fast = replace(fast, launch=link.launch or USUAL_LAUNCH, eager_start=low)
        slow = replace(slow, launch="eager", eager_start=high)
    if paths_open(link):
        low, high = link.facts["contention"].range or (link.contention, link.contention)
        fast, slow = replace(fast, contention=low), replace(slow, contention=high)
    return replace(cluster, link=fast), replace(cluster, link=slow)


def paths_open(link: Link) -> bool:
    """Return whether a link is a bus whose file leaves open how more than two cards reach one another."""
    fact = link.facts.get("contention")
    return link.topology == "bus" and fact is not None and fact.kind == "assumed" and fact.range is not None


def paths_note(cluster: Cluster, ranks: Number | Array) -> list[str]:
    """Return what to say of collectives of so many devices of a bus that may be reached in several ways."""
    link = cluster.link
    if not paths_open(link) or not np.any(np.asarray(ranks) > PAIR):
        return []
    low, high = link.facts["contention"].range or (link.contention, link.contention)
    return [
        f"{link.name} does not say how more than two cards reach one another, on which collectives depend most: the "
        f"interval is of contention {low:g} (through switches) to {high:g} (by way of host memory); say "
        "link.contention, or a link such as pcie4-peer-8, pcie4-host-8 or pcie4-staged-8"
    ]


def callers_note(cluster: Cluster, ranks: Number | Array, kind: str = "all-reduce") -> list[str]:
    """Return what to say where kernels are asked for that nobody has, so that others are taken."""
    link = cluster.link
    if link.by not in ("engine", "symmetric-memory") or not np.any(np.asarray(ranks) > 1.0):
        return []
    where = f"{kind} on {link.name}"
    if kind != "all-reduce" or not has_engine(link):
        return [f"engines have no kernels of their own for {where}: those of the library are taken"]
    if link.topology == "bus" and np.any(np.asarray(ranks) > PAIR):
        return [f"engines have kernels of their own for {where} between two cards alone: beyond, the library's"]
    if link.by == "symmetric-memory" and "in-switch" not in link.algorithms:
        return [f"{link.name} has no switch that adds up: symmetric-memory is as engine"]
    return []


def _left_open(link: Link) -> bool:
    """Return whether anything that ``extremes`` varies is open."""
    callers = not link.by and has_engine(link)
    return callers or (link.launch != "graph" and can_be_eager(link)) or paths_open(link)


def left_open(inputs: Inputs) -> tuple[Array, Array]:
    """Return by how much the collectives of a step may take less and more where callers are not said [s].

    Over (operator, *axes), of all invocations of a row.  Halves of a batch that take turns are taken as if they did
    not: what one sends may be hidden by what the other computes.
    """
    nothing = np.zeros((len(inputs.table.names), *(1,) * len(inputs.axes.shape)))
    kind = Operator._fields.index("kind")
    rows = np.flatnonzero((inputs.operators[kind] >= COLLECTIVE).any(axis=1) & _meets(inputs.operators))
    if not len(rows) or not _left_open(inputs.cluster.link):
        return nothing, nothing
    fast, slow = extremes(inputs.cluster)
    table = inputs.operators[:, rows].copy()
    table[Operator._fields.index("lane")] = 0.0
    count = table[Operator._fields.index("count")][..., None]
    now, least, most = (_times(table, inputs, each) * count for each in (inputs.cluster, fast, slow))
    less, more = (np.zeros((len(inputs.table.names), *inputs.axes.shape)) for _ in range(2))
    less[rows] = np.maximum(now - least, 0.0).reshape(-1, *inputs.axes.shape)
    more[rows] = np.maximum(most - now, 0.0).reshape(-1, *inputs.axes.shape)
    return less, more


def _meets(operators: Array) -> Array:
    """Return which rows occur, between several devices, somewhere over the axes."""
    count, ranks = (operators[Operator._fields.index(name)] for name in ("count", "ranks"))
    found: Array = ((count > 0.0) & (ranks > 1.0)).any(axis=1)
    return found


def _times(table: Array, inputs: Inputs, cluster: Cluster) -> Array:
    """Return the times of collectives on a cluster [s] (row, workload, design)."""
    machines = inputs.machines if cluster is inputs.cluster else machines_over(cluster, inputs.axes)
    found: Array = run_kernel(table, machines, none(), detail=True)[1][DETAIL.index("time")]
    return found


def _hosts(link: Link) -> tuple[Number, Number]:
    """Return what fast and slow hosts take to launch a collective [s], or what the caller says."""
    fact = link.facts.get("eager_start")
    if fact is None or fact.kind == "given":
        return link.eager_start, link.eager_start
    return link.eager_start * FAST_HOST, link.eager_start * SLOW_HOST
