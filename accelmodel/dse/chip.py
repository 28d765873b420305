"""A chip as a point of a design space: what an axis changes in the device, and what the chip costs.

Rates scale with what provides them: matrix, vector and L2 rates with cores, HBM bandwidth and capacity
with stacks, link bandwidth with links x bandwidth of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accelmodel.errors import SpecError
from accelmodel.laws import cost
from accelmodel.laws.numeric import Number
from accelmodel.specs.cores import with_cores
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import BillOfMaterials, Cluster, Device, Process
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.specs.memories import none


@dataclass(frozen=True)
class Parts:
    """Everything a chip is made from: the reference device and link, its bill and its process."""

    device: Device
    link: Link
    bill: BillOfMaterials
    process: Process


def parts_of(device: str, bill: str) -> Parts:
    """Return the parts of a shipped or given device."""
    base = load("device", device)
    return Parts(base, load("link", base.link), load("bill", bill), load("process", base.process))


def design(parts: Parts, **axes: Number) -> tuple[Cluster, dict[str, Number]]:
    """Return the cluster of a chip, and its figures: area [m²], power [W], price [USD].

    Parameters
    ----------
    parts : Parts
    **axes
        ``cores`` [1], ``l2_capacity`` [B], ``hbm_stacks`` [1], ``links`` [1], ``link_bandwidth`` of one
        link [B/s]; floats or DataArrays.  What is not given stays as in the reference device.

    Returns
    -------
    tuple of (Cluster, dict)
        The figures are ``die_area``, its parts ``area_cores``, ``area_l2``, ``area_hbm``, ``area_links``,
        ``area_uncore``; ``power``; ``price`` and its parts ``price_die``, ``price_hbm``, ``price_links``,
        ``price_package``; ``dollars_per_s``.

    Notes
    -----
    Area, yield and price: ``laws.cost``.  Area of a link grows with its bandwidth.
    """
    device, link = parts.device, parts.link
    cores, l2 = axes.get("cores", device.compute.cores), axes.get("l2_capacity", device.l2.capacity)
    stacks, links = axes.get("hbm_stacks", device.hbm.stacks), axes.get("links", link.links)
    lane = link.bandwidth / link.links
    one = axes.get("link_bandwidth", lane)
    lanes = links * one / lane
    chip = override(
        with_cores(device, cores),
        {
            "l2.capacity": l2,
            "hbm.stacks": stacks,
            "hbm.bandwidth": _of_stacks(device, device.hbm.bandwidth, stacks),
            "hbm.capacity": _of_stacks(device, device.hbm.capacity, stacks),
        },
    )
    wires = override(link, bandwidth=links * one, links=links)
    return cluster(chip, link=wires), figures(parts, cores, l2, stacks, lanes)


def _of_stacks(device: Device, whole: Number, stacks: Number) -> Number:
    """Return what so many stacks bring of what all of a device bring; a device without stacks keeps it."""
    if none(device.hbm.stacks):
        if not none(stacks):
            raise SpecError(f"hbm_stacks: {device.name} has no stacks of HBM; leave this axis out")
        return whole
    # along an axis some may be without: a range of stacks that begins at "not known"
    without = (device.hbm.stacks == 0.0) * 1.0
    return whole * (stacks + without) / (device.hbm.stacks + without)


def figures(parts: Parts, cores: Number, l2: Number, stacks: Number, lanes: Number) -> dict[str, Number]:
    """Return area, power and price of a chip with ``lanes`` links of the reference bandwidth; see ``design``."""
    bill, process = parts.bill, parts.process
    areas = {
        "area_cores": cores * bill.core_area,
        "area_l2": l2 * process.sram_area,
        "area_hbm": stacks * bill.hbm_stack_area,
        "area_links": lanes * bill.link_area,
        "area_uncore": bill.uncore_area,
    }
    area = sum(areas.values())
    die = cost.die_price(
        area, process.wafer_price, process.wafer_diameter, process.defect_density, process.defect_clustering
    )
    capacity = _of_stacks(parts.device, parts.device.hbm.capacity, stacks)
    prices = {
        "price_die": die,
        "price_hbm": capacity * bill.hbm_price,
        "price_links": lanes * bill.link_price,
        "price_package": bill.package_price + bill.test_price,
    }
    power = bill.uncore_power + cost.part_sum(
        (cores, bill.core_power), (l2, bill.sram_power), (stacks, bill.hbm_stack_power), (lanes, bill.link_power)
    )
    price = sum(prices.values())
    rate = cost.cost_rate(price, bill.lifetime, bill.utilisation, power, bill.electricity_price)
    return {"die_area": area, **areas, "power": power, "price": price, **prices, "dollars_per_s": rate}


def within(values: Any, limits: dict[str, float]) -> Any:
    """Return where all figures keep to their limits."""
    ok: Any = True
    for name, limit in limits.items():
        ok = ok & (values[name] <= limit)
    return ok
