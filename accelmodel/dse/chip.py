"""A chip as a point of a design space: what an axis changes in the device, and what the chip costs.

Rates scale with what provides them: matrix, vector and L2 rates with cores, HBM bandwidth and capacity
with stacks, link bandwidth with links x bandwidth of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from accelmodel.dse.axes import AXES, PARTS, role_of
from accelmodel.dse.study import Study
from accelmodel.errors import SpecError
from accelmodel.laws import cost
from accelmodel.laws.numeric import Number
from accelmodel.specs.base import field_types, value_of, with_values
from accelmodel.specs.cores import with_clock, with_cores
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


def parts_of_study(study: Study) -> Parts:
    """Return the parts of the study's reference chip."""
    return parts_of(study.study.device, study.study.bill)


def named(kind: str, words: Any) -> Any:
    """Return what a word names; of words along an axis, one whose numbers lie along it."""
    if not hasattr(words, "dims"):
        return load(kind, str(words))
    different, places = np.unique(words.values.astype(str), return_inverse=True)
    each = [load(kind, str(word)) for word in different]
    fields = [name for name, field in field_types(type(each[0])).items() if field.quantity]
    numbers = {name: np.array([value_of(spec, name) for spec in each], dtype=float) for name in fields}
    return with_values(
        each[0], {name: words.copy(data=values[places].reshape(words.shape)) for name, values in numbers.items()}
    )


def design(parts: Parts, devices: float | None = None, **axes: Any) -> tuple[Cluster, dict[str, Number]]:
    """Return the cluster of a chip, and its figures: area [m²], power [W], price [USD].

    Parameters
    ----------
    parts : Parts
    devices : float, optional
        Of the cluster; a full node by default [1].
    **axes
        Axes by their names in results, such as ``cores`` [1], ``l2_capacity`` [B], ``hbm_stacks`` [1], ``links`` [1],
        ``link_bandwidth`` of one link [B/s]; floats, words or DataArrays of them.  What is not given stays as in the
        reference device.

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
    parts = _with_words(parts, axes)
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
    if "clock" in axes:
        chip = with_clock(chip, axes["clock"])
    wires = override(link, bandwidth=links * one, links=links)
    fields = _fields(axes)
    if fields:
        chip, wires = _changed(chip, fields, "device"), _changed(wires, fields, "link")
        costs = {name: _changed(getattr(parts, name), fields, name) for name in ("bill", "process")}
        parts = replace(parts, device=_changed(device, fields, "device"), **costs)
    out = _network(chip, wires, axes.get("scale_out"), fields)
    return cluster(chip, devices, link=wires, scale_out=out), figures(parts, cores, l2, stacks, lanes)


def _network(chip: Device, wires: Link, word: Any, fields: dict[str, dict[str, Any]]) -> Link | None:
    """Return what an axis makes of the links between nodes; None where none does."""
    if word is None and "scale_out" not in fields:
        return None
    usual = wires.beyond[0] if wires.beyond else load("link", chip.scale_out)
    return cast(Link, _changed(usual if word is None else load("link", str(word)), fields, "scale_out"))


def _with_words(parts: Parts, axes: dict[str, Any]) -> Parts:
    """Return the parts with those that words on axes name."""
    if "process" in axes:
        parts = replace(parts, process=named("process", axes["process"]))
    if "link" in axes:
        parts = replace(parts, link=load("link", str(axes["link"])))
    return parts


def _fields(axes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return part → dotted name of a field → its value, of the axes that are a field each."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in axes.items():
        if name in AXES:
            continue
        part, dot, field = role_of(name).full.partition(".")
        own = bool(dot) and part in PARTS
        found.setdefault(part if own else "device", {})[field if own else role_of(name).full] = value
    return found


def _changed(spec: Any, fields: dict[str, dict[str, Any]], part: str) -> Any:
    return override(spec, fields[part]) if fields.get(part) else spec


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
