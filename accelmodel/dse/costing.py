"""What a device costs: its bill part by part with ranges, design over a volume, and owning it by the hour."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.dse import bill as bills
from accelmodel.dse.parts import SITE, Parts, closed, filled, gathered
from accelmodel.inference.attributes import behind
from accelmodel.laws import cost as law
from accelmodel.laws.numeric import Number, most
from accelmodel.specs.base import Spec, field_types, with_values
from accelmodel.specs.facts import Fact
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link
from accelmodel.specs.memories import none
from accelmodel.specs.quantities import Quantity, one
from accelmodel.units import label

if TYPE_CHECKING:
    import xarray as xr

#: part of a chip → what of the bill is its area, its price and its carbon
PARTS = {
    "compute dies": ("die_area", "price_die", "carbon_die"),
    "base dies": ("area_base", "price_base", "carbon_base"),
    "stacked SRAM": ("area_stacked", "price_stacked", "carbon_stacked"),
    "memory": ("", "price_hbm", "carbon_hbm"),
    "links": ("", "price_links", ""),
    "package": ("", "price_package", "carbon_package"),
    "assembly and test": ("", "price_test", ""),
    "bonding losses": ("", "price_loss", ""),
}
#: joint draws of what is uncertain, their seed, and the ends that hold nine tenths of them [%]
_DRAWS, _SEED, _ENDS = 1000, 0, (5.0, 95.0)


def cost(
    device: str | Device,
    *,
    bill: str = "",
    site: str = SITE,
    volume: float | None = None,
    link: Link | None = None,
) -> xr.Dataset:
    """Return what a device costs, part by part, with the range that its facts leave.

    Parameters
    ----------
    device : str or Device
        Name, path, or what ``load`` returns.
    bill : str
        Name or path of its bill of materials; its own where left out.
    site : str
        Name or path of the place where it runs.
    volume : float, optional
        Devices over which design and masks are spread; that of the bill where left out [1].
    link : Link, optional
        What joins it to others; its own where left out.

    Returns
    -------
    xarray.Dataset
        Over ``part``: ``part_area`` [m²], ``part_price`` with ``part_price_lower`` and ``part_price_upper`` [USD],
        ``part_carbon`` [kg].  Of the whole: ``price`` with its ends, and ``switches`` [USD]; ``die_area``,
        ``silicon_area`` [m²]; ``die_yield``, ``shoreline``, ``reticle`` [1]; ``carbon`` [kg]; ``design`` of all and
        ``design_each`` of one of ``volume`` [USD]; ``selling_price`` [USD] and ``margin`` [1], 0 where no price is
        known; ``power`` [W], ``dollars_per_s`` at the selling price, or where none is known at the bill,
        ``dollars_per_s_at_bill`` [USD/s] and ``carbon_per_s`` [kg/s], 0 where the power is not known.

    Raises
    ------
    SpecError
        If what it is made of is not known; names the file and the field.

    Notes
    -----
    ``price`` is a bill of materials: package, memory and its own part of links, without board, cooling, switches,
    design and profit.  Its ends hold nine tenths of 1,000 joint draws of all constants that have a range, each from a
    triangle over it with its top at the value.

    Examples
    --------
    >>> found = cost("h100-sxm")
    >>> bool(abs(found.part_price.sum() - found.price) < 1e-6)
    True
    """
    import xarray as xr

    stated = gathered(device, bill, link=link, site=site)
    parts = replace(stated, bill=closed(stated, powered=False))
    chip = parts.device
    found = _bill(parts)
    spread = _bill(_drawn(stated))
    rows: dict[str, list[float]] = {name: [] for name in ("area", "price", "price_lower", "price_upper", "carbon")}
    for area, price, carbon in PARTS.values():
        low, high = _ends(spread[price], found[price])
        values = (_of(found, area), _of(found, price), low, high, _of(found, carbon))
        for name, value in zip(rows, values, strict=True):
            rows[name].append(value)
    low, high = _ends(spread["price"], found["price"])
    names = ("price", "switches", "die_area", "silicon_area", "die_yield", "shoreline", "reticle", "carbon")
    known = {name: float(found[name]) for name in names}
    known |= {"price_lower": low, "price_upper": high, **_designed(parts, found, volume), **_sold(parts, found)}
    result = xr.Dataset(
        {**{f"part_{name}": ("part", values) for name, values in rows.items()}, **known}, coords={"part": list(PARTS)}
    )
    result.attrs = {
        **behind(parts.specs),
        "device": chip.name,
        "bill": parts.bill.name,
        "process": parts.process.name,
        "site": parts.site.name,
        "price_kind": chip.price_kind if chip.price else "",
    }
    result.attrs["notes"] = "; ".join(filter(None, (result.attrs["notes"], *_notes(parts, found))))
    return label(result)


def _bill(parts: Parts) -> dict[str, Number]:
    device = parts.device
    return bills.bill(parts, device.compute.cores, device.l2.capacity, device.hbm.stacks, parts.link.links)


def _drawn(parts: Parts) -> Parts:
    """Return the parts with joint draws of what is uncertain, along one axis, the bill closed at each."""
    import xarray as xr

    rng = np.random.default_rng(_SEED)
    changed: dict[str, Any] = {}
    taken: dict[str, Spec] = {}
    for part, spec in parts.specs.items():
        if part in ("device", "link"):
            continue
        if spec.name in taken and type(spec) is type(taken[spec.name]):  # one thing in two places is drawn once
            changed[part] = taken[spec.name]
            continue
        ranged = {name: fact for name, fact in spec.facts.items() if _varies(spec, name, fact)}
        draws = {name: xr.DataArray(_triangle(rng, fact), dims="draw") for name, fact in ranged.items()}
        changed[part] = taken[spec.name] = with_values(spec, draws)
    die = parts.device.facts.get("die_area")
    if die is not None and die.range is not None:
        area = xr.DataArray(_triangle(rng, die), dims="draw")
        changed["device"] = with_values(parts.device, {"die_area": area})
    moved = replace(parts, **changed)
    rest = {name: most(value, 0.0) for name, value in filled(moved).items()}
    return replace(moved, bill=with_values(moved.bill, rest))


def _varies(spec: Spec, name: str, fact: Fact) -> bool:
    kind = field_types(type(spec))[name].quantity
    return fact.range is not None and fact.range[0] < fact.range[1] and kind is not None and not kind.whole


def _triangle(rng: np.random.Generator, fact: Fact) -> Any:
    low, high = fact.range or (fact.value, fact.value)
    return rng.triangular(low, fact.value, high, _DRAWS)


def _ends(draws: Number, value: Number) -> tuple[float, float]:
    """Return the ends that hold nine tenths of some draws, and the value with them."""
    low, high = np.percentile(np.asarray(draws, dtype=float), _ENDS)
    return min(float(low), float(value)), max(float(high), float(value))


def _of(found: dict[str, Number], name: str) -> float:
    return float(found[name]) if name else 0.0


def _designed(parts: Parts, found: dict[str, Number], volume: float | None) -> dict[str, float]:
    """Return what the designs of its dies cost together, and for each of the devices made of them [USD]."""
    number = float(parts.bill.volume) if volume is None else one("volume", volume, Quantity(ge=1.0, le=1e12))
    bill, device = parts.bill, parts.device
    process, base = parts.process, parts.below
    die = float(found["die_area"] / device.dies)
    cores = most(device.compute.cores, bill.cores_made) / device.dies
    unique = float(most(die - (cores - 1.0) * bill.core_area, 0.0))
    whole = law.design_price(die, unique, process.design_price, process.mask_price)
    if not none(bill.base_dies):
        below = float(found["area_base"] / bill.base_dies)
        whole = whole + law.design_price(below, below, base.design_price, base.mask_price)
    known = not none(process.design_price)
    return {
        "volume": number,
        "design": float(whole) if known else 0.0,
        "design_each": float(whole) / number if known else 0.0,
    }


def _sold(parts: Parts, found: dict[str, Number]) -> dict[str, float]:
    """Return what the device sells at and its margin, and what owning it costs and emits; 0 where it is not known."""
    device = parts.device
    selling = float(device.price) if device.price_kind == "selling" else 0.0
    margin = 1.0 - float(found["price"]) / selling if selling else 0.0
    known = not none(device.power)
    paid = (selling or float(found["price"])) + float(found["switches"])
    rates = bills.owning(parts, paid, float(found["power"]), float(found["carbon"]))
    rates |= {"dollars_per_s_at_bill": found["dollars_per_s"]}
    return {
        "selling_price": selling,
        "margin": margin,
        "power": float(found["power"]) if known else 0.0,
        **{name: float(value) if known else 0.0 for name, value in rates.items()},
    }


def _notes(parts: Parts, found: dict[str, Number]) -> list[str]:
    """Return what a reader of the answer must know: what is an estimate, what does not fit, what is left out."""
    device, bill = parts.device, parts.bill
    said = []
    area = device.facts.get("die_area")
    if area is not None and area.standing == "assumed":
        said.append(f"die_area of {device.name} is an estimate: {area.locator.replace(';', ',')}")
    if "assumed" in {bill.facts[name].standing for name in ("package",) if name in bill.facts}:
        said.append(f"bill {bill.name}: what is not public is assumed, see accelmodel show {bill.name}")
    if found["shoreline"] > 1.0:
        said.append(f"its PHYs need {float(found['shoreline']):.2f} times the edge that its dies have")
    if found["reticle"] > 1.0:
        said.append(f"its die is {float(found['reticle']):.2f} times the reticle of {parts.process.name}")
    if none(device.power):
        said.append(f"power of {device.name} is not known: what owning it costs is not told")
    if device.price and device.price_kind == "selling":
        said.append("price of the device's file is what it sells at, and the rest of this answer a bill of materials")
    elif device.price:
        said.append("price of the device's file is a bill of materials")
    else:
        said.append("no price of it is known, and owning it is told at its bill of materials")
    return said
