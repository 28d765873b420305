"""What a device costs: its bill part by part with ranges, design over a volume, and owning it by the hour."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from accelmodel.costs import bill as bills
from accelmodel.costs.parts import SITE, Parts, closed, filled, gathered
from accelmodel.errors import Infeasible
from accelmodel.inference.attributes import behind
from accelmodel.laws import cost as law
from accelmodel.laws.numeric import Number, most
from accelmodel.nomenclature import label
from accelmodel.specs.base import Spec, field_types, value_of, with_values
from accelmodel.specs.facts import GIVEN, Fact
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.specs.quantities import Quantity, one
from accelmodel.specs.silicon import Process
from accelmodel.units import show

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
#: price above which no die fits on a wafer, or as good as none works [USD]
_NONE_FITS = 1e10
#: joint draws of what is uncertain, and the ends that hold nine tenths of them [%]
_DRAWS, _ENDS = 1000, (5.0, 95.0)
#: fields by which one chip differs from another of the same parts
OF_CHIP = ("compute.cores", "l2.capacity", "hbm.stacks", "hbm.capacity", "hbm.bandwidth", "hbm.generation", "dies")
S = TypeVar("S", bound=Spec)


def cost(
    device: str | Device,
    *,
    bill: str = "",
    site: str = SITE,
    volume: float | None = None,
    link: Link | None = None,
    reference: str | Device | None = None,
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
    reference : str or Device, optional
        The device whose die and power the bill closes, where ``device`` is one that was changed: with other cores, L2,
        memory, links or dies its die and power grow or shrink from there.  Itself where left out: then its die is as
        stated, whatever stands on it.

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
    Infeasible
        If its die fits on no wafer.

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

    chip = load("device", device) if isinstance(device, str) else device
    wires = load("link", chip.link) if link is None else link
    stated = gathered(chip, bill, link=wires, site=site) if reference is None else gathered(reference, bill, site=site)
    parts = replace(stated, bill=closed(stated, powered=False))
    found = _bill(parts, chip, wires)
    if found["price"] > _NONE_FITS:
        raise Infeasible(
            f"device {chip.name}: a die of {show(float(found['die_area'] / chip.dies), 'm2')} fits on no wafer"
        )
    spread = _bill(_drawn(stated), chip, wires)
    rows: dict[str, list[float]] = {name: [] for name in ("area", "price", "price_lower", "price_upper", "carbon")}
    for area, price, carbon in PARTS.values():
        low, high = _ends(spread[price], found[price])
        values = (_of(found, area), _of(found, price), low, high, _of(found, carbon))
        for name, value in zip(rows, values, strict=True):
            rows[name].append(value)
    low, high = _ends(spread["price"], found["price"])
    names = ("price", "switches", "die_area", "silicon_area", "die_yield", "shoreline", "reticle", "carbon")
    known = {name: float(found[name]) for name in names}
    known |= {
        "price_lower": low,
        "price_upper": high,
        **_designed(parts, chip, found, volume),
        **_sold(parts, chip, found),
    }
    result = xr.Dataset(
        {**{f"part_{name}": ("part", values) for name, values in rows.items()}, **known}, coords={"part": list(PARTS)}
    )
    result.attrs = {
        **behind({**parts.specs, "device": chip, "link": wires}),
        "device": chip.name,
        "bill": parts.bill.name,
        "process": parts.process.name,
        "site": parts.site.name,
        "price_kind": chip.price_kind if chip.price else "",
    }
    result.attrs["notes"] = "; ".join(filter(None, (result.attrs["notes"], *_notes(parts, chip, found))))
    return label(result)


def _bill(parts: Parts, chip: Device, wires: Link) -> dict[str, Number]:
    """Return the bill of a chip with those wires, what is not known of it as in the device of the parts."""
    device, hbm = parts.device, chip.hbm
    if hbm.generation != device.hbm.generation:
        memory = load("memory", hbm.generation) if hbm.generation else None
        parts = replace(parts, memory=_at_random(memory) if memory and _is_drawn(parts.process) else memory)
    if wires.phy != parts.link.phy:
        phy = load("phy", wires.phy)
        parts = replace(parts, phy=_at_random(phy) if _is_drawn(parts.process) else phy)
    if not none(hbm.stacks):  # what one of its stacks brings, in as many as the device of the parts has
        each = device.hbm.stacks / hbm.stacks
        brought = {"hbm.bandwidth": hbm.bandwidth * each, "hbm.capacity": hbm.capacity * each}
    else:
        brought = {"hbm.bandwidth": hbm.bandwidth, "hbm.capacity": hbm.capacity, "hbm.stacks": 0.0}
    parts = replace(parts, device=with_values(device, brought))
    lanes = wires.bandwidth / (parts.link.bandwidth / parts.link.links)
    return bills.bill(parts, chip.compute.cores, chip.l2.capacity, hbm.stacks, lanes, dies=chip.dies)


def _drawn(parts: Parts) -> Parts:
    """Return the parts with joint draws of what is uncertain, along one axis, the bill closed at each."""
    changed: dict[str, Any] = {}
    for part, spec in parts.specs.items():
        if part not in ("device", "link"):
            changed[part] = _at_random(spec)
    if parts.base is not None and parts.base.name == parts.process.name:
        changed["base"] = changed["process"]
    die = parts.device.facts.get("die_area")
    if die is not None and die.range is not None:
        changed["device"] = with_values(parts.device, {"die_area": _triangle(die, f"{parts.device.name}.die_area")})
    moved = replace(parts, **changed)
    rest = {name: most(value, 0.0) for name, value in filled(moved).items()}
    return replace(moved, bill=with_values(moved.bill, rest))


def _at_random(spec: S) -> S:
    """Return a specification with draws of its fields that have a range; the same for the same field at each call."""
    ranged = {name: fact for name, fact in spec.facts.items() if _varies(spec, name, fact)}
    return with_values(spec, {name: _triangle(fact, f"{spec.name}.{name}") for name, fact in ranged.items()})


def _is_drawn(process: Process) -> bool:
    return hasattr(process.wafer_price, "dims")


def _varies(spec: Spec, name: str, fact: Fact) -> bool:
    kind = field_types(type(spec))[name].quantity
    return fact.range is not None and fact.range[0] < fact.range[1] and kind is not None and not kind.whole


def _triangle(fact: Fact, name: str) -> Any:
    """Return draws of a fact over its range, its value the likeliest; seeded by its name, so that no other moves it."""
    import xarray as xr

    low, high = fact.range or (fact.value, fact.value)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return xr.DataArray(rng.triangular(low, fact.value, high, _DRAWS), dims="draw")


def _ends(draws: Number, value: Number) -> tuple[float, float]:
    """Return the ends that hold nine tenths of some draws, and the value with them."""
    low, high = np.percentile(np.asarray(draws, dtype=float), _ENDS)
    return min(float(low), float(value)), max(float(high), float(value))


def _of(found: dict[str, Number], name: str) -> float:
    return float(found[name]) if name else 0.0


def _designed(parts: Parts, device: Device, found: dict[str, Number], volume: float | None) -> dict[str, float]:
    """Return what the designs of its dies cost together, and for each of the devices made of them [USD]."""
    number = float(parts.bill.volume) if volume is None else one("volume", volume, Quantity(ge=1.0, le=1e12))
    bill = parts.bill
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


def _changed(parts: Parts, chip: Device) -> bool:
    """Whether a chip is another than the device of its parts, which sells at a price of its own."""
    return any(value_of(chip, name) != value_of(parts.device, name) for name in OF_CHIP)


def _sold(parts: Parts, device: Device, found: dict[str, Number]) -> dict[str, float]:
    """Return what the device sells at and its margin, and what owning it costs and emits; 0 where it is not known."""
    sells = device.price_kind == "selling" and not _changed(parts, device)
    selling = float(device.price) if sells else 0.0
    margin = 1.0 - float(found["price"]) / selling if selling else 0.0
    known = not none(parts.device.power)
    paid = (selling or float(found["price"])) + float(found["switches"])
    rates = bills.owning(parts, paid, float(found["power"]), float(found["carbon"]))
    rates |= {"dollars_per_s_at_bill": found["dollars_per_s"]}
    return {
        "selling_price": selling,
        "margin": margin,
        "power": float(found["power"]) if known else 0.0,
        **{name: float(value) if known else 0.0 for name, value in rates.items()},
    }


def _notes(parts: Parts, device: Device, found: dict[str, Number]) -> list[str]:
    """Return what a reader of the answer must know: what is an estimate, what does not fit, what is left out."""
    bill = parts.bill
    said = []
    area = parts.device.facts.get("die_area")
    given = [name for name in OF_CHIP if name in device.facts and device.facts[name].locator == GIVEN]
    stays = "die_area" not in device.facts or device.facts["die_area"].locator != GIVEN
    if given and stays and not _changed(parts, device):
        said.append(
            f"{', '.join(given)} was changed and the die is as stated: what else stands on it takes the rest, "
            "unless reference= names the device that it was changed from"
        )
    if area is not None and area.standing == "assumed":
        said.append(f"die_area of {device.name} is an estimate: {area.locator.replace(';', ',')}")
    if "assumed" in {bill.facts[name].standing for name in ("package",) if name in bill.facts}:
        said.append(f"bill {bill.name}: what is not public is assumed, see accelmodel show {bill.name}")
    if found["shoreline"] > 1.0:
        said.append(f"its PHYs need {float(found['shoreline']):.2f} times the edge that its dies have")
    if found["reticle"] > 1.0:
        said.append(f"its die is {float(found['reticle']):.2f} times the reticle of {parts.process.name}")
    if device.tier.holds:
        said.append(f"its second memory ({device.tier.name or device.tier.holds}) is not in the bill")
    if none(parts.device.power):
        said.append(f"power of {device.name} is not known: what owning it costs is not told")
    if _changed(parts, device):
        said.append(f"it is no {parts.device.name} as that is sold, and owning it is told at its bill of materials")
    elif device.price and device.price_kind == "selling":
        said.append("price of the device's file is what it sells at, and the rest of this answer a bill of materials")
    elif device.price:
        said.append("price of the device's file is a bill of materials")
    else:
        said.append("no price of it is known, and owning it is told at its bill of materials")
    return said
