"""Everything a chip is made from: its device and link, and the files that say what each part takes and costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from accelmodel.errors import SpecError
from accelmodel.laws.cost import part_sum
from accelmodel.laws.numeric import Number, most
from accelmodel.laws.packaging import crossing
from accelmodel.specs.base import Spec, with_values
from accelmodel.specs.facts import Fact
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.specs.silicon import BillOfMaterials, Memory, Package, Phy, Process, Site
from accelmodel.units import show

#: what the locator of a fact begins with that makes parts add up to the whole
CLOSES = "closes the device's "
#: where devices run unless a caller says otherwise
SITE = "data-centre"


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
    base : Process or None
        Of base dies and of SRAM stacked on a die, where it is another than that of the compute dies.
    site : Site
        Where it runs.
    markup : float or DataArray
        Price / bill of materials [1].
    """

    device: Device
    link: Link
    bill: BillOfMaterials
    process: Process
    memory: Memory | None
    phy: Phy | None
    package: Package
    joint: Phy
    base: Process | None
    site: Site
    markup: Number = 1.0

    @property
    def below(self) -> Process:
        """The process of base dies and of stacked SRAM."""
        return self.process if self.base is None else self.base

    @property
    def specs(self) -> dict[str, Spec]:
        """All that it has, by the part it plays."""
        found = {name: getattr(self, name) for name in PLAYED}
        return {name: spec for name, spec in found.items() if spec is not None}


#: parts of a chip, in the order in which they are told
PLAYED = ("device", "link", "bill", "process", "memory", "phy", "package", "joint", "base", "site")


def parts_of(device: str | Device, bill: str = "", *, link: Link | None = None, site: str = SITE) -> Parts:
    """Return the parts of a shipped or given device, its bill closed: what that leaves out fills the die and the power.

    Parameters
    ----------
    device : str or Device
    bill : str
        Name or path; the device's own where left out.
    link : Link, optional
        What joins it to others; the device's own where left out.
    site : str
        Name or path.

    Raises
    ------
    SpecError
        If a file is not there, or the device does not say which one it needs, or its die or power is not known.
    """
    parts = gathered(device, bill, link=link, site=site)
    return replace(parts, bill=closed(parts))


def gathered(device: str | Device, bill: str = "", *, link: Link | None = None, site: str = SITE) -> Parts:
    """Return the parts of a device as ``parts_of``, its bill as its file states it."""
    base = load("device", device) if isinstance(device, str) else device
    named = bill or base.bill
    if not named:
        raise SpecError(f"device {base.name}: bill is missing; name a file of bills, such as any-chip")
    found = load("bill", named)
    package = load("package", found.package)
    joined = load("link", base.link) if link is None else link
    return Parts(
        device=base,
        link=joined,
        bill=found,
        process=load("process", base.process),
        memory=_memory(base),
        phy=_phy(joined),
        package=package,
        joint=load("phy", package.die_to_die),
        base=load("process", found.base_process) if found.base_process else None,
        site=load("site", site),
    )


def _memory(device: Device) -> Memory | None:
    if none(device.hbm.capacity):
        return None
    if not device.hbm.generation:
        raise SpecError(f"device {device.name}: hbm.generation is missing; name a file of memories, such as hbm3e")
    return load("memory", device.hbm.generation)


def _phy(link: Link) -> Phy:
    if not link.phy:
        raise SpecError(f"link {link.name}: phy is missing; name a file of phys, such as phy-nvlink4")
    return load("phy", link.phy)


def interfaces(parts: Parts, stacks: Number, bandwidth: Number) -> Number:
    """Return how many stacks or chips of memory a die reads [1]; where stacks are not known, by their bandwidth."""
    if parts.memory is None:
        return 0.0
    unknown = (parts.device.hbm.stacks == 0.0) * 1.0
    return unknown * bandwidth / parts.memory.bandwidth + (1.0 - unknown) * stacks


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


def filled(parts: Parts) -> dict[str, Number]:
    """Return what the bill leaves out of area and power, so that parts add up to the device's die and power [m2, W].

    Over any axes of the parts; a negative number says that what is known is more than the whole.
    """
    bill, device = parts.bill, parts.device
    cores = device.compute.cores
    made = most(cores, bill.cores_made)
    found: dict[str, Number] = {}
    for what, whole, taken, by, share in (
        ("area", device.die_area, on_die(parts), made, bill.core_share),
        ("power", device.power, drawn(parts), cores, bill.core_power_share),
    ):
        core, uncore = f"core_{what}", f"uncore_{what}"
        left = whole - part_sum(*((1.0, size) for size in taken.values()))
        rest = getattr(bill, uncore) if uncore in bill.facts else None
        own = getattr(bill, core) if core in bill.facts else share * (left - (0.0 if rest is None else rest)) / by
        found |= {} if core in bill.facts else {core: own}
        found |= {} if rest is not None else {uncore: left - cores * own}
    return found


def closing(bill: BillOfMaterials) -> list[str]:
    """Return the fields of a closed bill that follow from the device's die and power."""
    return [name for name, fact in bill.facts.items() if fact.locator.startswith(CLOSES)]


def closed_anew(parts: Parts) -> Parts:
    """Return the parts, of which some lie along axes, with what their bill leaves out filled in at each point.

    Where the parts alone are more than the whole nothing is left for the rest.
    """
    follow = closing(parts.bill)
    stated = {name: fact for name, fact in parts.bill.facts.items() if name not in follow}
    found = filled(replace(parts, bill=with_values(parts.bill, {"facts": stated})))
    return replace(parts, bill=with_values(parts.bill, {name: most(found[name], 0.0) for name in follow}))


def closed(parts: Parts, powered: bool = True) -> BillOfMaterials:
    """Return the bill with what it leaves out of area and power filled in, so that parts add up to die and power.

    Raises
    ------
    SpecError
        If the die or the power is not known, or less than what is known of it; if fewer cores are made than sold.
    """
    bill, device = parts.bill, parts.device
    made, sold = bill.cores_made, device.compute.cores
    if 0.0 < made < sold:
        raise SpecError(
            f"bill {bill.name}: cores_made {made:g} is less than the {sold:g} cores that {device.name} sells; correct it, "
            "or give 0 where as many are made as are sold"
        )
    values: dict[str, Any] = {}
    found: dict[str, Fact] = dict(bill.facts)
    for field, value in filled(parts).items():
        area = field.endswith("area")
        name, unit = ("die_area", "m2") if area else ("power", "W")
        whole = device.die_area if area else device.power
        if none(whole) and not (area or powered):
            continue
        if none(whole):
            raise SpecError(f"device {device.name}: {name} is not known; give it in its file, or with --set {name}=…")
        if value < 0.0:
            sizes = on_die(parts) if area else drawn(parts)
            known = ", ".join(f"{part} {show(float(size), unit)}" for part, size in sizes.items())
            raise SpecError(
                f"device {device.name}: {name} {show(float(whole), unit)} is less than its parts ({known}, and its "
                f"cores); check it, or what bill {bill.name} says of them"
            )
        values[field] = value
        where = f"{CLOSES}{name}"
        ends = (0.5 * float(value), 1.5 * float(value))
        found[field] = Fact(float(value), unit, "derived", "accelmodel-judgement", where, ends)
    return with_values(bill, {**values, "facts": found})
