"""Specifications as frozen data: what a device, a link, a model, an instance … is, in numbers.

Every numeric field is an SI float or an ``xarray.DataArray`` that carries a labelled axis.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.errors import unknown
from accelmodel.laws.numeric import Number
from accelmodel.laws.types import ALGORITHMS
from accelmodel.specs.base import CONFIG, Section, Spec, field_types, value_of
from accelmodel.specs.quantities import (
    Area,
    ByteRate,
    Bytes,
    Count,
    CountOrNone,
    Dollars,
    FlopRate,
    FlopRateOrNone,
    Quantity,
    Seconds,
    Share,
    Watts,
)


@dataclass(frozen=True, config=CONFIG)
class Compute(Section):
    """Cores, their clock and what they compute a second.  A peak of 0 is not offered."""

    cores: Count
    clock: Annotated[Number, Quantity("1/s", ge=1e3, le=1e12)]
    peak_16bit: FlopRate
    vector_rate: FlopRate
    matrix_share: Share
    launch_time: Seconds
    peak_8bit_float: FlopRateOrNone = 0.0
    peak_8bit_int: FlopRateOrNone = 0.0
    peak_4bit: FlopRateOrNone = 0.0


def dense_peaks(compute: Compute, bits: Any) -> Any:
    """Return the dense peak of the matrix unit at each precision, that of 16 bit where none is offered [FLOP/s].

    Parameters
    ----------
    compute : Compute
    bits : array-like
        4, 8 (floating point) or 16 [bit].
    """
    peaks = {16.0: compute.peak_16bit, 8.0: compute.peak_8bit_float, 4.0: compute.peak_4bit}
    different, places = np.unique(np.asarray(bits), return_inverse=True)
    return np.array([peaks[each] or compute.peak_16bit for each in different])[places]


@dataclass(frozen=True, config=CONFIG)
class Matmul(Section):
    """How cores work through a matrix product: tiles, and what each costs beside its operations."""

    tile_m: Count
    tile_n: Count
    tile_k: Count
    multicast: Annotated[Number, Quantity(ge=1.0, le=1e3)]
    slice_clocks: Annotated[Number, Quantity(ge=0.0, le=1e6)]
    store_width: Annotated[Number, Quantity("B", ge=1e-3, le=1e6)]
    split_time: Seconds
    fill_time: Seconds
    exposed: Annotated[Number, Quantity(ge=0.0, le=1.0)]
    scaling_time: Seconds
    tile_least: Count = 16.0


@dataclass(frozen=True, config=CONFIG)
class Attention(Section):
    """How cores work through attention."""

    softmax_width: Annotated[Number, Quantity(ge=1e-6, le=1e6)]
    time: Seconds
    tile_time: Seconds
    draw: Share
    combine_time: Seconds
    fill: Annotated[Number, Quantity(ge=0.0, le=100.0)]


@dataclass(frozen=True, config=CONFIG)
class Hbm(Section):
    """Device memory, GDDR and LPDDR included; ``stacks`` is 0 where it has none."""

    bandwidth: ByteRate
    share: Share
    capacity: Bytes
    stacks: CountOrNone = 0.0


@dataclass(frozen=True, config=CONFIG)
class L2(Section):
    """The last cache on the chip, whatever its maker calls it."""

    capacity: Bytes
    bandwidth: ByteRate
    usable: Share
    ways: Count
    copies: Count


@dataclass(frozen=True, config=CONFIG)
class Device(Spec):
    """One accelerator: rates, memories, silicon.  Units are SI; shares are of the peak, 0 to 1.

    Its fields stand in sections, ``device.l2.capacity``; their names of one word (``device.l2_capacity``, ``FLAT``)
    are read as well.  A ``die_area``, ``power`` or ``price`` of 0 is not known.

    Attributes
    ----------
    name, vendor, architecture, process, link, scale_out : str
        What it is, what it is made in, and what usually joins it to others.
    compute : Compute
        Cores, clock, peaks and the vector rate of the whole device.
    matmul, attention : Matmul, Attention
        How cores work through them: constants that no data sheet gives.
    hbm, l2 : Hbm, L2
        Device memory, and the last cache on the chip.
    die_area, dies, power, price
        Silicon [m2], compute dies [1], power limit [W], price [USD].
    facts, residuals, digest, notes
        Source of each value, how measured times lie around predicted ones, what identifies its files, and what a
        reader must know.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> chip = load("device", "h100-sxm")
    >>> chip.hbm.capacity, chip.hbm_capacity
    (80000000000.0, 80000000000.0)
    """

    vendor: str
    architecture: str
    process: str
    link: str
    scale_out: str
    compute: Compute
    matmul: Matmul
    attention: Attention
    hbm: Hbm
    l2: L2
    die_area: Area = 0.0
    dies: Count = 1.0
    power: Watts = 0.0
    price: Dollars = 0.0

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a field by its name of one word."""
            if name not in FLAT:
                raise AttributeError(f"{type(self).__name__!r} has no field {name!r}")
            return value_of(self, FLAT[name])


def _flat(section: str, name: str) -> str:
    """Return the name of one word: where a field's own name says too little, its section stands before it."""
    alone = ("softmax_width", "combine_time")
    return f"{section}_{name}" if section in ("attention", "hbm", "l2") and name not in alone else name


#: name of one word of a device's field → where it stands
FLAT = {_flat(*name.split(".")): name for name in field_types(Device) if "." in name}


@dataclass(frozen=True, config=CONFIG)
class Link(Spec):
    """What joins devices, inside a node or between nodes, and the software that drives it.

    Bandwidth is one way, per device, all links.  ``share`` is what a library's ring sustains of it;
    ``switch_share`` and ``direct_share`` are relative to that.  ``direct_start`` is the start-up of the
    engines' own one-shot and two-shot kernels, in ``start_up``; ``ramp`` and ``barrier`` are in hops.
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
    hop_latency, start_up, rendezvous, direct_start, ramp, barrier
        Times [s], and times relative to ``start_up`` or to hops [1].
    contention, oversubscription, own_copy
        Slowing of a link by each doubling of a group, ports below a network's switches over those above, and copying
        of a device's own share relative to sending [1].
    cores_taken, fused_norm
        Cores that a collective takes from a matmul that is fused with it; 1 if an all-reduce ends in the norm after it.
    axes, wrap, slice : list of float
        Of a torus: lengths of its axes; the length at whose multiples each closes to a ring, 0 where it never does;
        lengths of the part in use.  Left out: as nearly alike as can be, the whole axis, and of so many devices as are
        asked.
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
    oversubscription: Annotated[Number, Quantity(ge=1.0, le=1e3)] = 1.0
    cores_taken: Annotated[Number, Quantity(ge=0.0, le=1e4)] = 0.0
    fused_norm: Annotated[Number, Quantity(ge=0.0, le=1.0, whole=True)] = 0.0
    axes: list[float] = field(default_factory=list)
    wrap: list[float] = field(default_factory=list)
    slice: list[float] = field(default_factory=list)
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
        _check_axes(self)


TOPOLOGIES = ("mesh", "switch", "fat-tree", "ring", "torus", "bus")
#: those whose devices stand along axes, and reach one another through those between
GRIDS = ("ring", "torus")


def _check_axes(link: Link) -> None:
    """Raise ValueError where the axes of a link do not fit its topology or its devices."""
    named = [name for name in ("axes", "wrap", "slice") if getattr(link, name)]
    if link.topology not in GRIDS:
        if named:
            raise ValueError(f"{named[0]} is of a ring or torus, and topology is {link.topology}; leave it out")
        return
    dimensions = len(link.axes) or (1 if link.topology == "ring" else 2)
    for name in named:
        lengths = getattr(link, name)
        if any(each < (0.0 if name == "wrap" else 1.0) or each != int(each) for each in lengths):
            raise ValueError(f"{name} {lengths} must be whole lengths, such as [4, 4]")
        if link.axes and len(lengths) != dimensions:
            raise ValueError(f"{name} has {len(lengths)} lengths for {dimensions} axes; give one for each")
    if link.topology == "ring" and dimensions > 1:
        raise ValueError(f"axes has {dimensions} lengths, and a ring one axis; say topology torus")
    if link.axes and not hasattr(link.devices, "dims") and math.prod(link.axes) != link.devices:
        raise ValueError(f"axes {link.axes} are {math.prod(link.axes):g} devices, not {link.devices:g}; correct one")
    if link.slice and link.axes and any(part > whole for part, whole in zip(link.slice, link.axes, strict=True)):
        raise ValueError(f"slice {link.slice} is longer than the axes {link.axes}; shorten it")


@dataclass(frozen=True, config=CONFIG)
class Storage(Spec):
    """Where a KV cache is kept.

    Attributes
    ----------
    name, direction : str
        What it is, and which way its bandwidth holds: read, write or both.
    bandwidth, latency, tail, capacity
        Rate [B/s], time of one request and after the last [s], size, 0 where unknown [B].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> load("storage", "nvme").bandwidth > 1e9
    True
    """

    direction: str
    bandwidth: ByteRate
    latency: Seconds
    tail: Seconds
    capacity: Bytes = 0.0

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise unknown("direction", self.direction, DIRECTIONS)


DIRECTIONS = ("read", "write", "both")


@dataclass(frozen=True, config=CONFIG)
class Process(Spec):
    """A silicon node: what a wafer costs, how it fails, how large things are on it."""

    wafer_price: Annotated[Number, Quantity("USD", ge=1.0, le=1e6)]
    wafer_diameter: Annotated[Number, Quantity("m", ge=1e-2, le=1.0)]
    defect_density: Annotated[Number, Quantity("1/m2", ge=0.0, le=1e7)]
    defect_clustering: Annotated[Number, Quantity(ge=1e-3, le=100.0)]
    sram_area: Annotated[Number, Quantity("m2/B", ge=1e-18, le=1e-9)]
    reticle_area: Annotated[Number, Quantity("m2", ge=1e-8, le=1.0)]


@dataclass(frozen=True, config=CONFIG)
class BillOfMaterials(Spec):
    """What a chip spends outside its cores and cache: PHY areas, prices and power of the parts."""

    hbm_stack_area: Area
    hbm_stack_capacity: Bytes
    hbm_stack_bandwidth: ByteRate
    hbm_price: Annotated[Number, Quantity("USD/B", ge=1e-15, le=1e-3, or_zero=True)]
    hbm_stack_power: Watts
    link_area: Area
    link_price: Dollars
    link_power: Watts
    package_price: Dollars
    test_price: Dollars
    core_area: Area
    core_power: Watts
    uncore_area: Area
    uncore_power: Watts
    sram_power: Annotated[Number, Quantity("W/B", ge=1e-15, le=1e-3, or_zero=True)]
    electricity_price: Annotated[Number, Quantity("USD/J", ge=1e-12, le=1e-3, or_zero=True)]
    lifetime: Annotated[Number, Quantity("s", ge=1.0, le=1e10)]
    utilisation: Share


@dataclass(frozen=True, config=CONFIG)
class ClusterFile(Spec):
    """What a cluster's file says: the device, and the levels that join so many of them.

    Attributes
    ----------
    name, device : str
        What it is, and the device's name or path.
    node : Link
        The level that a collective library takes for a node, with those ``inside`` and ``beyond`` it.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> [link.name for link in (load("cluster", "gb200-nvl72").node, *load("cluster", "gb200-nvl72").node.beyond)]
    ['nvlink5-rack', 'infiniband-ndr400']
    """

    device: str
    node: Link = field(kw_only=True, repr=False)


@dataclass(frozen=True, config=CONFIG)
class Cluster:
    """Devices joined by a link inside a node, and by another between nodes.

    Attributes
    ----------
    device : Device
    link, scale_out : Link
        Inside a node, and between nodes.
    devices : float
        How many there are [1].
    beyond : tuple of Link
        Levels beyond ``scale_out``, where there are more than two; those below ``link`` are its ``inside``.

    Examples
    --------
    >>> from accelmodel.specs.given import cluster
    >>> cluster("h100-sxm", devices=16).device.name
    'h100-sxm'
    """

    device: Device
    link: Link
    scale_out: Link
    devices: Count
    beyond: tuple[Link, ...] = ()

    @property
    def levels(self) -> tuple[Link, ...]:
        """All levels, from the innermost on."""
        return (*self.link.inside, self.link, self.scale_out, *self.beyond)
