"""What a chip is bought with: its process and bill, memories, PHYs, packages, and the site where it runs."""

from __future__ import annotations

from typing import Annotated

from pydantic.dataclasses import dataclass

from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG, Spec
from accelmodel.specs.memories import none, some
from accelmodel.specs.quantities import (
    Area,
    ByteRate,
    Bytes,
    Count,
    CountOrNone,
    Dollars,
    Length,
    Quantity,
    Share,
    Watts,
)

_Clustering = Annotated[Number, Quantity(ge=1e-3, le=100.0)]
_Defects = Annotated[Number, Quantity("1/m2", ge=0.0, le=1e7)]
_PerArea = Annotated[Number, Quantity("USD/m2", ge=1e-3, le=1e9, or_zero=True)]
_PerByte = Annotated[Number, Quantity("USD/B", ge=1e-15, le=1e-3, or_zero=True)]
_CarbonPerArea = Annotated[Number, Quantity("kg/m2", ge=1e-3, le=1e6, or_zero=True)]
_Part = Annotated[Number, Quantity(ge=0.0, le=1.0)]
_Millions = Annotated[Number, Quantity("USD", ge=1.0, le=1e11, or_zero=True)]


@dataclass(frozen=True, config=CONFIG)
class Process(Spec):
    """A silicon node: what a wafer costs, how it fails, how large things are on it."""

    wafer_price: Annotated[Number, Quantity("USD", ge=1.0, le=1e6)]
    wafer_diameter: Annotated[Number, Quantity("m", ge=1e-2, le=1.0)]
    defect_density: _Defects
    defect_clustering: _Clustering
    sram_area: Annotated[Number, Quantity("m2/B", ge=1e-18, le=1e-9)]
    reticle_area: Annotated[Number, Quantity("m2", ge=1e-8, le=1.0)]
    stack_area: Annotated[Number, Quantity("m2/B", ge=1e-18, le=1e-9, or_zero=True)] = 0.0
    sram_fatal: _Part = 1.0
    mask_price: _Millions = 0.0
    design_price: _Millions = 0.0
    carbon: _CarbonPerArea = 0.0


@dataclass(frozen=True, config=CONFIG)
class BillOfMaterials(Spec):
    """What stands on a chip's dies and around them; what it leaves out closes the die and the power of a device.

    Attributes
    ----------
    package, base_process : str
        A file of ``packages/``, and of ``processes/`` for base dies and stacked SRAM.
    cores_made
        Cores on the dies, sold or not; 0: as many as are sold [1].
    core_area, core_power, uncore_area, uncore_power
        Of a core, and of all the rest [m2, W]; left out, they close the device's die and power by the shares.
    core_share, core_power_share
        Share of all cores that are made in what cache, memory and links leave of the die, and of those that are sold
        in what they leave of the power.
    sram_area, sram_power
        Of a byte of cache [m2/B, W/B]; an area of 0 is that of the process.
    base_dies, base_area, base_l2
        Dies below the compute dies, which carry the PHYs: how many, their area together, and the part of L2 on them.
    idle_share, volume
        Idle power / power limit, and how many are made of it [1].
    """

    package: str
    core_share: Share
    core_power_share: Share
    sram_power: Annotated[Number, Quantity("W/B", ge=1e-15, le=1e-3, or_zero=True)]
    idle_share: _Part
    volume: Count
    base_process: str = ""
    cores_made: CountOrNone = 0.0
    core_area: Area = 0.0
    core_power: Watts = 0.0
    uncore_area: Area = 0.0
    uncore_power: Watts = 0.0
    sram_area: Annotated[Number, Quantity("m2/B", ge=1e-18, le=1e-9, or_zero=True)] = 0.0
    base_dies: CountOrNone = 0.0
    base_area: Area = 0.0
    base_l2: _Part = 0.0

    def __post_init__(self) -> None:
        if some(self.base_dies) and not some(self.base_area):
            raise ValueError(
                "base_area is missing, or 0, and base_dies is not; give the area of all base dies together"
            )
        for name in ("base_area", "base_l2"):
            if none(self.base_dies) and not none(getattr(self, name)):
                raise ValueError(f"{name} is given and base_dies is 0; give how many they are, or leave {name} out")


@dataclass(frozen=True, config=CONFIG)
class Memory(Spec):
    """One stack or chip of a generation of memory: what it brings, costs and takes of the die that reads it.

    Attributes
    ----------
    capacity, bandwidth
        Of one stack, or of one chip beside the package [B, B/s].
    price, power, carbon
        Of a byte [USD/B]; of one at full rate with its PHY [W]; embodied, of a byte [kg/B].
    area, edge
        Its PHY and controller on the die, and how much of the die's edge they take [m2, m].
    footprint
        What it covers of the package; 0: it stands on the board [m2].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> load("memory", "hbm3e").bandwidth > load("memory", "hbm3").bandwidth
    True
    """

    capacity: Bytes
    bandwidth: ByteRate
    price: _PerByte
    power: Watts
    area: Area
    edge: Length
    footprint: Area = 0.0
    carbon: Annotated[Number, Quantity("kg/B", ge=1e-15, le=1e-3, or_zero=True)] = 0.0


@dataclass(frozen=True, config=CONFIG)
class Phy(Spec):
    """One link of a generation at a die's edge: what it moves, takes and costs.

    Attributes
    ----------
    bandwidth
        One way, of one link [B/s].
    area, edge, power
        PHY and controller on the die, its edge, and power with both directions busy [m2, m, W].
    price, switch_price
        A link with its cable or traces, and its share of the switches that join them [USD].
    """

    bandwidth: ByteRate
    area: Area
    edge: Length
    power: Watts
    price: Dollars
    switch_price: Dollars = 0.0


@dataclass(frozen=True, config=CONFIG)
class Package(Spec):
    """How dies and stacks are put together: substrate, interposer, bonds with their yields, and tests.

    Attributes
    ----------
    substrate_price, substrate_scale
        Of its area [USD/m2], and that area / what stands on it [1].
    interposer_price, interposer_scale, interposer_defects, interposer_clustering, interposer_carbon
        Of its area [USD/m2], that area / what stands on it [1], how it fails [1/m2, 1], embodied [kg/m2]; a price of 0:
        there is none.
    bump_price, die_yield, stack_yield
        Of a die's area [USD/m2]; share of dies and of stacks that are bonded well [1].
    die_test_price, test_price
        Testing a die before it is bonded, and assembly and test of the package [USD].
    hybrid_price, hybrid_yield, through_share
        Of die on die: price of the bonded area [USD/m2], yield of a bond, share of the area for vias through it [1].
    usable_edge
        Share of a die's edge at which PHYs can stand [1].
    die_to_die : str
        A file of ``phys/``: what joins its dies.
    carbon
        Embodied, of one package without silicon [kg].
    """

    substrate_price: _PerArea
    substrate_scale: Annotated[Number, Quantity(ge=1.0, le=100.0)]
    bump_price: _PerArea
    die_yield: Share
    die_test_price: Dollars
    test_price: Dollars
    usable_edge: Share
    die_to_die: str
    stack_yield: Share = 1.0
    interposer_price: _PerArea = 0.0
    interposer_scale: Annotated[Number, Quantity(ge=1.0, le=100.0)] = 1.0
    interposer_defects: _Defects = 0.0
    interposer_clustering: _Clustering = 1.0
    interposer_carbon: _CarbonPerArea = 0.0
    hybrid_price: _PerArea = 0.0
    hybrid_yield: Share = 1.0
    through_share: _Part = 0.0
    carbon: Annotated[Number, Quantity("kg", ge=1e-6, le=1e6, or_zero=True)] = 0.0


@dataclass(frozen=True, config=CONFIG)
class Site(Spec):
    """Where devices run, and how long: what owning one costs beside its price.

    Attributes
    ----------
    lifetime, utilisation
        Time over which a device is paid for [s], and share of it in which it serves [1].
    electricity_price, carbon_intensity, pue
        Of energy [USD/J, kg/J]; power of the site / that of its machines [1].
    host_price, host_power, network_share
        A device's part of its host [USD, W]; share of the network in the price of a cluster [1].
    """

    lifetime: Annotated[Number, Quantity("s", ge=1.0, le=1e10)]
    utilisation: Share
    electricity_price: Annotated[Number, Quantity("USD/J", ge=1e-12, le=1e-3, or_zero=True)]
    pue: Annotated[Number, Quantity(ge=1.0, le=10.0)]
    host_price: Dollars
    host_power: Watts
    network_share: Annotated[Number, Quantity(ge=0.0, le=0.9)]
    carbon_intensity: Annotated[Number, Quantity("kg/J", ge=1e-12, le=1e-3, or_zero=True)]
