"""What a chip costs, part by part: area, price, power and carbon, over any axes."""

from __future__ import annotations

from collections.abc import Mapping

from accelmodel.costs.parts import Parts, density, interfaces
from accelmodel.errors import SpecError
from accelmodel.laws import cost, ownership, packaging
from accelmodel.laws.numeric import Number, least
from accelmodel.specs.memories import none
from accelmodel.specs.silicon import Process


def bill(
    parts: Parts,
    cores: Number,
    l2: Number,
    stacks: Number,
    lanes: Number,
    *,
    dies: Number | None = None,
    stacked: Number = 0.0,
) -> dict[str, Number]:
    """Return area, price, power and carbon of a chip, part by part.

    Parameters
    ----------
    parts : Parts
        The reference chip and what its parts cost; fields may carry labelled axes, also those of memory and process.
    cores, l2, stacks, lanes : float or DataArray
        Cores [1], L2 beside them [B], stacks of memory [1], and links of the reference bandwidth [1].
    dies : float or DataArray, optional
        Compute dies that share all this [1]; as many as the reference has.
    stacked : float or DataArray
        SRAM on a die of its own above each compute die, all together [B].

    Returns
    -------
    dict
        ``die_area`` (compute dies together) and its parts ``area_cores``, ``area_l2``, ``area_hbm``, ``area_links``,
        ``area_joints``, ``area_uncore``; ``area_base``, ``area_stacked``, and ``silicon_area``, all dies [m²];
        ``shoreline``, edge that PHYs need / that dies have, and ``reticle``, largest die / reticle: chips keep both
        at most 1 [1]; ``die_yield`` [1];
        ``price`` of the package and its parts ``price_die``, ``price_base``, ``price_stacked``, ``price_hbm``,
        ``price_links``, ``price_package``, ``price_test``, ``price_loss``; ``switches``, its share of those that links
        need [USD]; ``power`` [W]; ``carbon`` and its parts ``carbon_die``, ``carbon_base``, ``carbon_stacked``,
        ``carbon_hbm``, ``carbon_package`` [kg]; ``dollars_per_s`` and ``carbon_per_s`` of owning one, by second in
        which it serves [USD/s, kg/s].

    Raises
    ------
    SpecError
        If SRAM is stacked and the package does not say how.

    Notes
    -----
    Laws: ``laws.cost``, ``laws.packaging``, ``laws.ownership``.
    """
    dies = parts.device.dies if dies is None else dies
    areas = _areas(parts, cores, l2, stacks, lanes, dies)
    die_area = sum(areas.values())
    others = _other_dies(parts, l2, stacks, lanes, stacked)
    found: dict[str, Number] = {"die_area": die_area, **areas, **others}
    found["silicon_area"] = die_area + others["area_base"] + others["area_stacked"]
    found |= _dies(parts, cores, l2, found, dies)
    found |= _above(parts, found["area_stacked"], (stacked > 0.0) * dies)
    found |= _assembled(parts, found, stacks, lanes, dies, stacked)
    found["shoreline"] = _edge(parts, found, stacks, lanes, dies)
    found["switches"] = 0.0 if parts.phy is None else _ports(parts, lanes) * parts.phy.switch_price
    found |= {name: value * parts.markup for name, value in found.items() if name.startswith("price_")}
    found["price"] = sum(value for name, value in found.items() if name.startswith("price_"))
    found["carbon"] = sum(value for name, value in found.items() if name.startswith("carbon_"))
    found["power"] = _power(parts, cores, l2 + stacked, stacks, lanes, dies)
    return {**found, **owning(parts, found["price"] + found["switches"], found["power"], found["carbon"])}


def _bandwidth(parts: Parts, stacks: Number) -> Number:
    """Return the bandwidth of so many stacks like those of the reference; one without stacks keeps its own [B/s]."""
    hbm = parts.device.hbm
    without = (hbm.stacks == 0.0) * 1.0
    return hbm.bandwidth * (stacks + without) / (hbm.stacks + without)


def _capacity(parts: Parts, stacks: Number) -> Number:
    """Return what so many stacks like those of the reference hold; one without stacks keeps its own [B]."""
    hbm = parts.device.hbm
    without = (hbm.stacks == 0.0) * 1.0
    return hbm.capacity * (stacks + without) / (hbm.stacks + without)


def _ports(parts: Parts, lanes: Number) -> Number:
    """Return how many links of the PHY's generation carry so many of the reference's [1]."""
    link, phy = parts.link, parts.phy
    return 0.0 if phy is None else lanes * (link.bandwidth / link.links) / phy.bandwidth


def _carriers(parts: Parts, dies: Number) -> Number:
    """Return how many dies carry the PHYs: base dies, or without them the compute dies [1]."""
    base = parts.bill.base_dies
    return base + (base == 0.0) * dies


def _read(parts: Parts, stacks: Number) -> Number:
    return interfaces(parts, stacks, _bandwidth(parts, stacks))


def _joints(parts: Parts, stacks: Number, dies: Number) -> Number:
    """Return how many links between dies carry what crosses them [1]."""
    return packaging.crossing(_bandwidth(parts, stacks), _carriers(parts, dies)) / parts.joint.bandwidth


def _areas(parts: Parts, cores: Number, l2: Number, stacks: Number, lanes: Number, dies: Number) -> dict[str, Number]:
    """Return what stands on the compute dies [m²]."""
    bill, memory, phy = parts.bill, parts.memory, parts.phy
    above = (bill.base_dies == 0.0) * 1.0  # base dies carry the PHYs
    return {
        "area_cores": cores * bill.core_area,
        "area_l2": l2 * (1.0 - bill.base_l2) * density(parts, parts.process),
        "area_hbm": 0.0 if memory is None else above * _read(parts, stacks) * memory.area,
        "area_links": 0.0 if phy is None else above * _ports(parts, lanes) * phy.area,
        "area_joints": above * _joints(parts, stacks, dies) * parts.joint.area,
        "area_uncore": bill.uncore_area,
    }


def _other_dies(parts: Parts, l2: Number, stacks: Number, lanes: Number, stacked: Number) -> dict[str, Number]:
    """Return the area of base dies and of stacked SRAM [m²]; base dies grow with what stands on them."""
    bill, device = parts.bill, parts.device
    memory, phy = parts.memory, parts.phy
    below = (bill.base_dies > 0.0) * 1.0
    more = (l2 - device.l2.capacity) * bill.base_l2 * density(parts, parts.below)
    if memory is not None:
        more = more + (_read(parts, stacks) - _read(parts, device.hbm.stacks)) * memory.area
    if phy is not None:
        more = more + _ports(parts, lanes - parts.link.links) * phy.area
    if not none(stacked) and none(parts.package.hybrid_price):
        raise SpecError(f"package {parts.package.name}: hybrid_price is 0, so nothing stands on a die; name another")
    return {
        "area_base": bill.base_area + below * more,
        "area_stacked": packaging.stacked_area(stacked, _alone(parts.below), parts.package.through_share),
    }


def _alone(process: Process) -> Number:
    """Return the area of a byte on a die of SRAM alone [m²]; that of a cache where it is not known."""
    return process.stack_area + (process.stack_area == 0.0) * process.sram_area


def _dies(parts: Parts, cores: Number, l2: Number, found: Mapping[str, Number], dies: Number) -> dict[str, Number]:
    """Return yield, price and carbon of the compute dies and of the base dies, and how they fit the reticle."""
    bill, process = parts.bill, parts.process
    one = found["die_area"] / dies
    made = _made(parts, cores)
    fatal = cost.fatal_area(one, found["area_l2"] / dies, process.sram_fatal)
    own = least(made * bill.core_area / dies, fatal)
    good = cost.harvested_yield(
        fatal - own, own, (made - cores) / dies, process.defect_density, process.defect_clustering
    )
    base_dies = bill.base_dies + (bill.base_dies == 0.0) * 1.0
    base_sram = l2 * bill.base_l2 * density(parts, parts.below) / base_dies
    return {
        "die_yield": good,
        "reticle": one / process.reticle_area,
        "price_die": dies * _one_die(one, process, good, parts.package.die_test_price),
        "carbon_die": dies * cost.die_carbon(one, process.wafer_diameter, good, process.carbon),
        **_below(parts, found["area_base"] / base_dies, base_sram),
    }


def _made(parts: Parts, cores: Number) -> Number:
    """Return the cores that are made where so many are sold [1]: in the proportion of the reference."""
    sold = parts.device.compute.cores
    made = parts.bill.cores_made
    return cores * ((made > sold) * made / sold + (made <= sold) * 1.0)


def _one_die(area: Number, process: Process, good: Number, test: Number) -> Number:
    price = cost.die_price(area, process.wafer_price, process.wafer_diameter, good)
    return cost.known_good_die(price, test, good)


def _below(parts: Parts, area: Number, sram: Number) -> dict[str, Number]:
    """Return price and carbon of the base dies, each of an area with so much SRAM on it; zeros where there are none."""
    bill, process = parts.bill, parts.below
    if none(bill.base_dies):
        return {"price_base": 0.0, "carbon_base": 0.0}
    fatal = cost.fatal_area(area, sram, process.sram_fatal)
    good = cost.die_yield(fatal, process.defect_density, process.defect_clustering)
    carbon = cost.die_carbon(area, process.wafer_diameter, good, process.carbon)
    joined = parts.package.hybrid_price * area
    return {
        "price_base": bill.base_dies * (_one_die(area, process, good, parts.package.die_test_price) + joined),
        "carbon_base": bill.base_dies * carbon,
    }


def _above(parts: Parts, area: Number, tiers: Number) -> dict[str, Number]:
    """Return price and carbon of dies of stacked SRAM of an area together, bonds included; zeros for none."""
    if none(tiers):
        return {"price_stacked": 0.0, "carbon_stacked": 0.0}
    process, package = parts.below, parts.package
    without = (tiers == 0.0) * 1.0
    some = (area + without * 1e-6) / (tiers + without)  # where none stands its price is counted no times
    fatal = cost.fatal_area(some, some, process.sram_fatal)
    good = cost.die_yield(fatal, process.defect_density, process.defect_clustering)
    one = _one_die(some, process, good, package.die_test_price) + package.hybrid_price * some
    carbon = cost.die_carbon(some, process.wafer_diameter, good, process.carbon)
    return {"price_stacked": tiers * one, "carbon_stacked": tiers * carbon}


def _edge(parts: Parts, found: Mapping[str, Number], stacks: Number, lanes: Number, dies: Number) -> Number:
    """Return the edge that PHYs need / that the dies have which carry them [1]."""
    bill, memory, phy = parts.bill, parts.memory, parts.phy
    carriers = _carriers(parts, dies)
    below = (bill.base_dies > 0.0) * 1.0
    needed = 2.0 * _joints(parts, stacks, dies) * parts.joint.edge  # a link between dies ends at both
    if memory is not None:
        needed = needed + _read(parts, stacks) * memory.edge
    if phy is not None:
        needed = needed + _ports(parts, lanes) * phy.edge
    area = below * found["area_base"] + (1.0 - below) * found["die_area"]
    return packaging.shoreline(needed, area, carriers, parts.package.usable_edge)


def _assembled(
    parts: Parts, found: Mapping[str, Number], stacks: Number, lanes: Number, dies: Number, stacked: Number
) -> dict[str, Number]:
    """Return price and carbon of memory, links and package, and of what is lost when bonds fail."""
    bill, package = parts.bill, parts.package
    memory, phy = parts.memory, parts.phy
    above = (bill.base_dies > 0.0) * (package.hybrid_price > 0.0) * 1.0  # compute dies stand on base dies
    standing = found["area_base"] + (1.0 - above) * found["die_area"]
    held: dict[str, Number] = dict.fromkeys(("price", "carbon", "bonded", "stacks"), 0.0)
    if memory is not None:
        on_package = (memory.footprint > 0.0) * 1.0
        number = _read(parts, stacks) * on_package
        price = _capacity(parts, stacks) * memory.price
        standing = standing + number * memory.footprint
        held = {
            "price": price,
            "carbon": _capacity(parts, stacks) * memory.carbon,
            "bonded": price * on_package,
            "stacks": number,
        }
    interposer = packaging.interposer_price(
        standing,
        package.interposer_scale,
        package.interposer_price,
        package.interposer_defects,
        package.interposer_clustering,
    )
    board = packaging.substrate_price(standing, package.substrate_scale, package.substrate_price)
    whole = interposer + board + package.bump_price * standing
    flat = bill.base_dies + (1.0 - above) * dies
    # dies are bonded on dies first, and tested before they meet the stacks
    towers = found["price_die"] + found["price_base"] + found["price_stacked"]
    lost = packaging.bonding_loss(towers, package.hybrid_yield ** ((above + (stacked > 0.0)) * dies))
    good = packaging.assembly_yield(package.die_yield, flat, package.stack_yield, held["stacks"])
    bonded = towers + lost + held["bonded"] + whole
    silicon = package.interposer_carbon * standing * package.interposer_scale * (package.interposer_price > 0.0)
    return {
        "price_hbm": held["price"],
        "price_links": 0.0 if phy is None else _ports(parts, lanes) * phy.price,
        "price_package": whole,
        "price_test": package.test_price,
        "price_loss": lost + packaging.bonding_loss(bonded, good),
        "carbon_hbm": held["carbon"],
        "carbon_package": package.carbon + silicon,
    }


def _power(parts: Parts, cores: Number, sram: Number, stacks: Number, lanes: Number, dies: Number) -> Number:
    """Return the power of a chip at full rate [W]."""
    bill, memory, phy = parts.bill, parts.memory, parts.phy
    none_known = (0.0, 0.0)
    return bill.uncore_power + cost.part_sum(
        (cores, bill.core_power),
        (sram, bill.sram_power),
        none_known if memory is None else (_read(parts, stacks), memory.power),
        none_known if phy is None else (_ports(parts, lanes), phy.power),
        (_joints(parts, stacks, dies), parts.joint.power),
    )


def owning(parts: Parts, price: Number, power: Number, carbon: Number) -> dict[str, Number]:
    """Return what a device of a price costs and emits for each second in which it serves: ``dollars_per_s`` …

    Parameters
    ----------
    parts : Parts
        Its bill says what it draws while it waits, its site the rest.
    price, power, carbon : float or DataArray
        Of the device [USD, W, kg]; the carbon is what is embodied in it.

    Returns
    -------
    dict
        ``dollars_per_s`` [USD/s] and ``carbon_per_s`` [kg/s].
    """
    site = parts.site
    capital = ownership.capital(price, site.host_price, site.network_share)
    drawn = ownership.drawn_power(power, power * parts.bill.idle_share, site.utilisation, site.host_power, site.pue)
    return {
        "dollars_per_s": ownership.cost_rate(capital, site.lifetime, site.utilisation, drawn, site.electricity_price),
        "carbon_per_s": ownership.carbon_rate(carbon, site.lifetime, site.utilisation, drawn, site.carbon_intensity),
    }
