"""What joins devices: a level of links, its topology, and the software that drives it."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Annotated

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.errors import brief, unknown
from accelmodel.laws.numeric import Number
from accelmodel.laws.types import ALGORITHMS
from accelmodel.specs.base import CONFIG, Spec
from accelmodel.specs.quantities import ByteRate, Bytes, Count, CountOrNone, Quantity, Seconds, Share


@dataclass(frozen=True, config=CONFIG)
class Link(Spec):
    """What joins devices, inside a node or between nodes, and the software that drives it.

    Bandwidth is one way, per device, all links.  ``share`` is what a library's ring sustains of it;
    ``switch_share`` and ``direct_share`` are relative to that.  ``direct_start`` is the start-up of the
    engines' own one-shot and two-shot kernels, in ``start_up``; ``ramp`` and ``barrier`` are in hops.
    ``exchange_start`` is the fixed time of a kernel that sends tokens to experts, ``start_up`` where it is left out;
    ``exchange_cores`` are the cores that its normal form takes while it runs.
    Left out, these leave the plain algorithms of ``laws.collectives``, without what software adds.

    Attributes
    ----------
    name, topology : str
        What it is, and its shape: mesh, switch, fat-tree, ring, torus or bus.
    algorithms : list of str
        Collective algorithms that the software offers.
    bandwidth, links, devices
        One way, all links of a device [B/s]; links of a device, and devices that they join [1].
    share, switch_share, direct_share, direct_limit
        Sustained shares [1], and the largest message of the engines' own kernels [B].
    hop_latency, start_up, rendezvous, exchange_start, direct_start, ramp, barrier
        Times [s], and times relative to ``start_up`` or to hops [1].
    exchange_cores
        Cores that an exchange takes from what is computed beside it [1].
    contention, oversubscription, own_copy
        Slowing of a link by each doubling of a group, ports below a network's switches over those above, and copying
        of a device's own share relative to sending [1].
    cores_taken, fused_norm
        Cores that a collective takes from a matmul that is fused with it; 1 if an all-reduce ends in the norm after it.
    axes, wrap, slice : list of float
        Of a torus: lengths of its axes; the length at whose multiples each closes to a ring, 0 where it never does;
        lengths of the part in use.  Left out: as nearly alike as can be, the whole axis, and of so many devices as are
        asked.
    phy : str
        What its links take of a die and cost, a file of ``phys/``; empty where that is not known.
    eager_start
        What a collective takes longer where the host launches it on its own, not as part of a graph [s]; 0 where
        nothing is launched so.
    by, launch : str
        Who calls small collectives, one of ``CALLERS``, and how, one of ``LAUNCHES``; empty where nobody says.
    inside, beyond : tuple of Link
        Levels below and above this one, where the file tells of more than one.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> load("link", "nvlink4-switch").topology
    'switch'
    """

    topology: str
    algorithms: list[str]
    bandwidth: ByteRate
    links: Count
    share: Share
    hop_latency: Seconds
    start_up: Seconds
    devices: Count
    direct_start: Annotated[Number, Quantity(ge=1e-6, le=10.0)] = 1.0
    direct_share: Share = 1.0
    direct_limit: Bytes = 1e18
    barrier: Annotated[Number, Quantity(ge=0.0, le=1e3)] = 1.0
    switch_share: Share = 1.0
    contention: Annotated[Number, Quantity(ge=1.0, le=10.0)] = 1.0
    ramp: Annotated[Number, Quantity(ge=0.0, le=1e3)] = 0.0
    own_copy: Annotated[Number, Quantity(ge=0.0, le=10.0)] = 0.0
    rendezvous: Seconds = 0.0
    exchange_start: Seconds = 0.0
    exchange_cores: CountOrNone = 0.0
    oversubscription: Annotated[Number, Quantity(ge=1.0, le=1e3)] = 1.0
    cores_taken: Annotated[Number, Quantity(ge=0.0, le=1e4)] = 0.0
    fused_norm: Annotated[Number, Quantity(ge=0.0, le=1.0, whole=True)] = 0.0
    axes: list[float] = field(default_factory=list)
    wrap: list[float] = field(default_factory=list)
    slice: list[float] = field(default_factory=list)
    phy: str = ""
    eager_start: Seconds = 0.0
    by: str = ""
    launch: str = ""
    inside: tuple[Link, ...] = field(default=(), repr=False, kw_only=True)
    beyond: tuple[Link, ...] = field(default=(), repr=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.topology not in TOPOLOGIES:
            raise unknown("topology", self.topology, TOPOLOGIES)
        if not self.algorithms:
            raise ValueError("algorithms is empty; name at least one")
        for name in self.algorithms:
            if name not in ALGORITHMS:
                raise unknown("collective algorithm", name, ALGORITHMS)
        if self.by and self.by not in CALLERS:
            raise unknown("caller of collectives", self.by, CALLERS)
        if self.launch and self.launch not in LAUNCHES:
            raise unknown("launch", self.launch, LAUNCHES)
        _check_axes(self)

    @property
    def levels(self) -> tuple[Link, ...]:
        """All levels that its file tells of, from the innermost on."""
        return (*self.inside, self, *self.beyond)


#: who calls small collectives: the engine's own kernels, those of a memory that all devices see, which the message is
#: copied to, or the vendor's library; large ones are always the library's
CALLERS = ("engine", "symmetric-memory", "library")
#: how: from a captured graph, or by the host, one by one
LAUNCHES = ("graph", "eager")
TOPOLOGIES = ("mesh", "switch", "fat-tree", "ring", "torus", "bus")
#: those whose devices stand along axes, and reach one another through those between
GRIDS = ("ring", "torus")
MOST_AXES, _MOST_DEVICES = 4, 1e6


def _check_axes(link: Link) -> None:
    """Raise ValueError where the axes of a link do not fit its topology or its devices."""
    named = [name for name in ("axes", "wrap", "slice") if getattr(link, name)]
    if link.topology not in GRIDS:
        if named:
            raise ValueError(f"{named[0]} is of a ring or torus, and topology is {link.topology}; leave it out")
        return
    dimensions = len(link.axes) or (1 if link.topology == "ring" else 0)
    if link.topology == "ring" and dimensions > 1:
        raise ValueError(f"axes has {dimensions} lengths, and a ring one axis; say topology torus")
    if dimensions > MOST_AXES:
        raise ValueError(f"axes has {dimensions} lengths; at most {MOST_AXES}")
    if np.any(np.asarray(link.devices) > _MOST_DEVICES):
        raise ValueError(f"devices of a {link.topology} must be at most {_MOST_DEVICES:,.0f}")
    for name in named:
        lengths = getattr(link, name)
        if not all(each >= (0.0 if name == "wrap" else 1.0) and float(each).is_integer() for each in lengths):
            raise ValueError(f"{name} {brief(lengths)} must be whole lengths, such as [4, 4]")
        if not dimensions:
            raise ValueError(f"{name} is given and axes is not; give the lengths of the whole axes, such as [16, 16]")
        if len(lengths) != dimensions:
            raise ValueError(f"{name} has {len(lengths)} lengths for {dimensions} axes; give one for each")
    if link.axes and not hasattr(link.devices, "dims") and math.prod(link.axes) != link.devices:
        raise ValueError(f"axes {link.axes} are {math.prod(link.axes):g} devices, not {link.devices:g}; correct one")
    if link.slice and link.axes and any(part > whole for part, whole in zip(link.slice, link.axes, strict=True)):
        raise ValueError(f"slice {link.slice} is longer than the axes {link.axes}; shorten it")
