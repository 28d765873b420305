"""Everything a chip is made from: its device and link, and the files that say what each part takes and costs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from accelmodel.errors import SpecError
from accelmodel.laws.cost import part_sum
from accelmodel.laws.numeric import Number
from accelmodel.laws.packaging import crossing
from accelmodel.specs.base import Spec, with_values
from accelmodel.specs.facts import Fact
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.specs.silicon import BillOfMaterials, Memory, Package, Phy, Process, Site
from accelmodel.units import show

#: where devices run unless a caller says otherwise
SITE = "generic"


@dataclass(frozen=True)
class Parts:
    """Everything a chip is made from.

    Attributes
    ----------
    device, link : Device, Link
        The reference chip, and what joins it to others.
    bill, process : BillOfMaterials, Process
        What stands on its dies, and the process of the compute dies.
    memory, phy : Memory, Phy or None
        One stack or chip of its memory, and one of its links; None where it has none.
    package, joint : Package, Phy
        How dies and stacks are put together, and what joins dies.
    base : Process
        Of base dies and of SRAM stacked on a die.
    site : Site
        Where it runs.
    """

    device: Device
    link: Link
    bill: BillOfMaterials
    process: Process
    memory: Memory | None
    phy: Phy | None
    package: Package
    joint: Phy
    base: Process
    site: Site

    def specs(self) -> dict[str, Spec]:
        """Return what there is of it by name: everything that a number of the chip may rest on."""
        return {each.name: spec for each in fields(self) if isinstance(spec := getattr(self, each.name), Spec)}


def parts_of(device: str | Device, bill: str = "", *, site: str = SITE, powered: bool = True) -> Parts:
    """Return the parts of a shipped or given device, its bill closed: what that leaves out fills the die and the power.

    Parameters
    ----------
    device : str or Device
    bill : str
        Name or path; the device's own where left out.
    site : str
        Name or path.
    powered : bool
        Refuse a device whose power is not known; else what follows from it is not told.

    Raises
    ------
    SpecError
        If a file is not there, or the device does not say which one it needs.
    """
    base = load("device", device) if isinstance(device, str) else device
    link = load("link", base.link)
    named = bill or base.bill
    if not named:
        raise SpecError(f"device {base.name}: bill is missing; name a file of bills, such as generic")
    found = load("bill", named)
    package = load("package", found.package)
    process = load("process", base.process)
    parts = Parts(
        device=base,
        link=link,
        bill=found,
        process=process,
        memory=_memory(base),
        phy=_phy(link),
        package=package,
        joint=load("phy", package.die_to_die),
        base=load("process", found.base_process) if found.base_process else process,
        site=load("site", site),
    )
    return replace(parts, bill=closed(parts, powered))


def _memory(device: Device) -> Memory | None:
    if none(device.hbm.capacity):
        return None
    if not device.hbm.generation:
        raise SpecError(f"device {device.name}: hbm.generation is missing; name a file of memories, such as hbm3e")
    return load("memory", device.hbm.generation)


def _phy(link: Link) -> Phy:
    if not link.phy:
        raise SpecError(f"link {link.name}: phy is missing; name a file of phys, such as nvlink4")
    return load("phy", link.phy)


def interfaces(parts: Parts, stacks: Number, bandwidth: Number) -> Number:
    """Return how many stacks or chips of memory a die reads [1]; where stacks are not known, by their bandwidth."""
    if parts.memory is None:
        return 0.0
    if none(parts.device.hbm.stacks):
        return bandwidth / parts.memory.bandwidth
    return stacks


def density(parts: Parts, process: Process) -> Number:
    """Return the area of a byte of cache in a process [m2/B]: the bill's own, or that of the process."""
    return process.sram_area if none(parts.bill.sram_area) else parts.bill.sram_area


def on_die(parts: Parts) -> dict[str, Number]:
    """Return the area of what is known to stand on the compute dies of the reference chip [m2]."""
    device, bill = parts.device, parts.bill
    below = not none(bill.base_dies)  # base dies carry the PHYs
    memory, phy = parts.memory, parts.phy
    read = interfaces(parts, device.hbm.stacks, device.hbm.bandwidth)
    crossed = crossing(device.hbm.bandwidth, device.dies) / parts.joint.bandwidth
    return {
        "l2": device.l2.capacity * (1.0 - bill.base_l2) * density(parts, parts.process),
        "hbm": 0.0 if below or memory is None else read * memory.area,
        "links": 0.0 if below or phy is None else parts.link.bandwidth / phy.bandwidth * phy.area,
        "joints": 0.0 if below else crossed * parts.joint.area,
    }


def drawn(parts: Parts) -> dict[str, Number]:
    """Return the power of what is known of the reference chip [W]."""
    device = parts.device
    read = interfaces(parts, device.hbm.stacks, device.hbm.bandwidth)
    carriers = device.dies if none(parts.bill.base_dies) else parts.bill.base_dies
    crossed = crossing(device.hbm.bandwidth, carriers) / parts.joint.bandwidth
    return {
        "l2": device.l2.capacity * parts.bill.sram_power,
        "hbm": 0.0 if parts.memory is None else read * parts.memory.power,
        "links": 0.0 if parts.phy is None else parts.link.bandwidth / parts.phy.bandwidth * parts.phy.power,
        "joints": crossed * parts.joint.power,
    }


def closed(parts: Parts, powered: bool = True) -> BillOfMaterials:
    """Return the bill with what it leaves out of area and power filled in, so that parts add up to die and power.

    Raises
    ------
    SpecError
        If the die or the power is not known, or less than what is known of it.
    """
    bill, device = parts.bill, parts.device
    values: dict[str, Any] = {}
    found: dict[str, Fact] = dict(bill.facts)
    for what, whole, unit, taken in (
        ("area", device.die_area, "m2", on_die(parts)),
        ("power", device.power, "W", drawn(parts)),
    ):
        core, uncore = f"core_{what}", f"uncore_{what}"
        if (core in bill.facts and uncore in bill.facts) or (what == "power" and none(whole) and not powered):
            continue
        name = "die_area" if what == "area" else "power"
        if none(whole):
            raise SpecError(f"device {device.name}: {name} is not known; give it in its file, or with --set {name}=…")
        left = whole - part_sum(*((1.0, size) for size in taken.values()))
        cores = device.compute.cores
        made = max(float(cores), float(bill.cores_made)) if what == "area" else cores
        share = bill.core_share if what == "area" else bill.core_power_share
        own = getattr(bill, core) if core in bill.facts else share * (left - _own(bill, uncore)) / made
        rest = getattr(bill, uncore) if uncore in bill.facts else left - cores * own
        if rest < 0.0 or own < 0.0:
            known = ", ".join(f"{part} {show(float(size), unit)}" for part, size in taken.items())
            raise SpecError(
                f"device {device.name}: {name} {show(float(whole), unit)} is less than its parts ({known}); check it, "
                f"or what bill {bill.name} says of them"
            )
        for field, value in ((core, own), (uncore, rest)):
            if field not in bill.facts:
                values[field] = value
                found[field] = _closing(field, float(value), unit, name)
    return with_values(bill, {**values, "facts": found})


def _own(bill: BillOfMaterials, name: str) -> float:
    return float(getattr(bill, name)) if name in bill.facts else 0.0


def _closing(field: str, value: float, unit: str, name: str) -> Fact:
    """Return the fact of what closes a die or a power: it may be half or one and a half of that."""
    where = f"closes the device's {name}"
    return Fact(value, unit, "derived", "accelmodel-judgement", where, (0.5 * value, 1.5 * value))
