"""Specifications as frozen data: what a device, a link, a model, an instance … is, in numbers.

Every numeric field is an SI float or an ``xarray.DataArray`` that carries a labelled axis.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.errors import unknown
from accelmodel.laws.numeric import Number, least
from accelmodel.specs.base import CONFIG, Section, Spec, field_types, value_of, with_values
from accelmodel.specs.cloud import Software
from accelmodel.specs.link import Link
from accelmodel.specs.memories import DieToDie, Tier, none, some
from accelmodel.specs.quantities import (
    Area,
    ByteRate,
    ByteRateOrNone,
    Bytes,
    Count,
    CountOrNone,
    Dollars,
    FlopRate,
    FlopRateOrNone,
    JoulesPerByte,
    JoulesPerFlop,
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
    matrix_share: Annotated[Number, Quantity(ge=1e-6, le=1.1)]
    launch_time: Seconds
    peak_8bit_float: FlopRateOrNone = 0.0
    peak_8bit_int: FlopRateOrNone = 0.0
    peak_6bit: FlopRateOrNone = 0.0
    peak_4bit: FlopRateOrNone = 0.0
    peak_4bit_int: FlopRateOrNone = 0.0


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
    convert_width: Annotated[Number, Quantity(ge=1e-3, le=1e6)]
    tile_least: Count = 16.0
    min_rows: Count = 16.0
    balanced: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 1.0
    group_fill: Seconds = 0.0
    expert_start: Seconds = 0.0
    expert_tile_time: Seconds = 0.0
    expert_share: Annotated[Number, Quantity(ge=1e-3, le=2.0)] = 1.0


@dataclass(frozen=True, config=CONFIG)
class Attention(Section):
    """How cores work through attention.

    Where ``tile_m`` is 0 its tiles have as many rows as those of matmuls, and where ``widen_width`` is 0 its keys are
    widened as their weights are.
    """

    softmax_width: Annotated[Number, Quantity(ge=1e-6, le=1e6)]
    time: Seconds
    tile_time: Seconds
    draw: Share
    combine_time: Seconds
    fill: Annotated[Number, Quantity(ge=0.0, le=100.0)]
    gather_time: Seconds = 0.0
    scan_time: Seconds = 0.0
    tile_m: CountOrNone = 0.0
    share: Share = 1.0
    split: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 0.0
    narrow: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 0.0
    apart: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 0.0
    widen_width: Annotated[Number, Quantity(ge=0.0, le=1e6)] = 0.0
    reread: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 0.0


@dataclass(frozen=True, config=CONFIG)
class Rows(Section):
    """How cores work through norms, activations and softmax, a row each."""

    width: Annotated[Number, Quantity("B", ge=1e-3, le=1e6)]


@dataclass(frozen=True, config=CONFIG, kw_only=True)
class Hbm(Section):
    """Device memory, DDR, GDDR and LPDDR included; ``stacks`` is 0 where it has none.

    ``generation`` names a file of ``memories/``: what one stack or chip of it costs and takes.
    ``capacity`` is what the driver reports, ``reserved`` what it and the libraries keep of that for themselves.

    A chip without device memory has neither ``bandwidth`` nor ``capacity``.
    """

    bandwidth: ByteRateOrNone = 0.0
    share: Share
    capacity: Bytes = 0.0
    stacks: CountOrNone = 0.0
    reserved: Bytes = 0.0
    generation: str = ""

    def __post_init__(self) -> None:
        if none(self.bandwidth) and none(self.capacity):
            return
        for name in ("bandwidth", "capacity"):
            if not some(getattr(self, name)):
                raise ValueError(
                    f"hbm.{name} is 0 and the other is not; give both, or of a chip without device memory neither: "
                    "leave bandwidth and capacity out"
                )


@dataclass(frozen=True, config=CONFIG)
class L2(Section):
    """The last memory on the chip, whatever its maker calls it: a cache, or where there is no ``hbm`` all there is.

    With slices ``bandwidth`` is what all cores can draw, and fewer slices than that takes deliver less.
    """

    capacity: Bytes
    bandwidth: ByteRate
    usable: Share
    ways: Count
    copies: Count
    slice_capacity: Bytes = 0.0
    slice_bandwidth: ByteRateOrNone = 0.0
    prefetch_time: Seconds = 0.0
    prefetch_bandwidth: ByteRateOrNone = 0.0

    def __post_init__(self) -> None:
        if none(self.slice_capacity) != none(self.slice_bandwidth):
            raise ValueError("slice_capacity and slice_bandwidth go together; give both or neither")

    @property
    def rate(self) -> Number:
        """The rate of hits: that of its slices, up to what cores can draw [B/s]; without L2 there are none."""
        if none(self.slice_capacity):
            return self.bandwidth
        slices = self.capacity / self.slice_capacity
        return least(self.bandwidth, slices * self.slice_bandwidth + (slices == 0.0) * self.bandwidth)

    def prefetched(self, hbm_rate: Number) -> Number:
        """The rate at which prefetches come in, where HBM is free and gives so much [B/s]."""
        return hbm_rate if none(self.prefetch_bandwidth) else least(self.prefetch_bandwidth, hbm_rate)


@dataclass(frozen=True, config=CONFIG)
class Energy(Section):
    """What operations and bytes take, and what the device draws at rest with its clocks on: 0 where it is not known.

    An operation takes its registers and its core's own memory along; a byte of L2 the way to a core and into it; a byte
    of HBM the DRAM, both ends of its interface and the controller; a byte of a link both ends of one.
    """

    flop_16bit: JoulesPerFlop = 0.0
    flop_8bit: JoulesPerFlop = 0.0
    flop_4bit: JoulesPerFlop = 0.0
    vector: JoulesPerFlop = 0.0
    l2: JoulesPerByte = 0.0
    hbm: JoulesPerByte = 0.0
    link: JoulesPerByte = 0.0
    static: Watts = 0.0


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
    matmul, attention, rows : Matmul, Attention, Rows
        How cores work through them: constants that no data sheet gives.
    hbm, l2 : Hbm, L2
        Device memory, and the last cache on the chip.
    die_to_die, tier : DieToDie, Tier
        What joins its dies, and a second memory; most have neither.
    energy : Energy
        What operations and bytes take [J/FLOP, J/B], and what it draws at rest [W].
    die_area, dies, power, price, price_kind
        Silicon [m2], compute dies [1], power limit [W], price [USD], and whether that is what it sells at.
    bill : str
        What stands on its dies and around them, a file of ``bills/``.
    facts, residuals, digest, notes
        Source of each value, how measured times lie around predicted ones, what identifies its files, and what a
        reader must know.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> chip = load("device", "h100-sxm")
    >>> chip.hbm.capacity, chip.hbm_capacity
    (85520809984.0, 85520809984.0)
    """

    vendor: str
    architecture: str
    process: str
    link: str
    scale_out: str
    compute: Compute
    matmul: Matmul
    attention: Attention
    rows: Rows
    hbm: Hbm
    l2: L2
    die_to_die: DieToDie = DieToDie()
    tier: Tier = Tier()
    energy: Energy = Energy()
    die_area: Area = 0.0
    dies: Count = 1.0
    power: Watts = 0.0
    price: Dollars = 0.0
    price_kind: str = "selling"
    bill: str = ""

    def __post_init__(self) -> None:
        if self.price_kind not in PRICE_KINDS:
            raise unknown("price_kind", self.price_kind, PRICE_KINDS)

    @property
    def memory(self) -> Hbm:
        """Where weights and KV cache lie: ``hbm``, or of a chip without it ``l2``."""
        if not none(self.hbm.capacity):
            return self.hbm
        # as it is: its numbers may lie along axes without labels
        sram = {"bandwidth": self.l2.rate, "capacity": self.l2.capacity, "reserved": 0.0}
        return with_values(self.hbm, sram)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a field by its name of one word."""
            if name not in FLAT:
                raise AttributeError(f"{type(self).__name__!r} has no field {name!r}")
            return value_of(self, FLAT[name])


#: what a device's price is: what it sells at, or the sum of its parts
PRICE_KINDS = ("selling", "bill")
#: sections whose fields' own names say too little
_PREFIXED = ("attention", "rows", "hbm", "l2", "die_to_die", "tier", "energy")


def _flat(section: str, name: str) -> str:
    """Return the name of one word: where a field's own name says too little, its section stands before it."""
    alone = ("softmax_width", "combine_time")
    return f"{section}_{name}" if section in _PREFIXED and name not in alone else name


#: name of one word of a device's field → where it stands
FLAT = {_flat(*name.split(".")): name for name in field_types(Device) if "." in name}


@dataclass(frozen=True, config=CONFIG)
class Storage(Spec):
    """Where a KV cache is kept.

    Attributes
    ----------
    name, direction : str
        What it is, and which way its bandwidth holds: read, write or both.
    bandwidth, latency, tail, capacity
        Rate [B/s], time of one request and after the last [s], size, 0 where unknown [B].  Below 0, which no file may
        say, the tail is one step of the engine.
    copy_rate, slowdown
        At which the engine copies what it loaded to where it needs it, 0 where that is beside [B/s]; time of its steps
        beside a load over that alone [1].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> load("storage", "nvme").bandwidth > 1e9
    True
    """

    direction: str
    bandwidth: ByteRate
    latency: Seconds
    tail: Seconds = -1.0
    capacity: Bytes = 0.0
    copy_rate: Annotated[Number, Quantity("B/s", ge=1e3, le=1e18, or_zero=True)] = 0.0
    slowdown: Annotated[Number, Quantity(ge=1.0, le=10.0)] = 1.0

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise unknown("direction", self.direction, DIRECTIONS)


DIRECTIONS = ("read", "write", "both")


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
    software : Software
        What an engine runs on them (``inference.calls.as_engine``).

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
    software: Software = Software()

    @property
    def levels(self) -> tuple[Link, ...]:
        """All levels, from the innermost on."""
        return (*self.link.inside, self.link, self.scale_out, *self.beyond)
