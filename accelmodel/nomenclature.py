"""What names of answers mean: those of chips and of a device's bill, and the form of all of them."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """One row of the nomenclature: SI unit and meaning of a name used across the package."""

    unit: str
    meaning: str


#: names of a device's bill and of owning it → SI unit and meaning
COSTS: dict[str, Term] = {
    "price_lower": Term("USD", "end below which one twentieth of joint draws of the price lie"),
    "price_upper": Term("USD", "end above which one twentieth of joint draws of the price lie"),
    "part": Term("1", "part of a device that has a price of its own"),
    "part_area": Term("m2", "area of a part of a device; 0 for what is no die"),
    "part_price": Term("USD", "price of a part of a device"),
    "part_price_lower": Term("USD", "end below which one twentieth of joint draws of a part's price lie"),
    "part_price_upper": Term("USD", "end above which one twentieth of joint draws of a part's price lie"),
    "part_carbon": Term("kg", "carbon embodied in a part of a device"),
    "volume": Term("1", "devices over which a design is spread"),
    "design": Term("USD", "price of the designs of all its dies, with masks; 0 where not known"),
    "design_each": Term("USD", "price of the designs for each device made; 0 where not known"),
    "dollars_per_s_at_bill": Term("USD/s", "what owning costs at the price of the bill of materials"),
    "selling_price": Term("USD", "what a device sells at; 0 where not known"),
    "margin": Term("1", "share of the selling price above the bill of materials; 0 where not known"),
}
#: what chips of a study are judged by, and what they cost part by part → SI unit and meaning
CHIPS: dict[str, Term] = {
    "throughput": Term("token/s", "tokens per second: of one device in a study, of all requests in a schedule"),
    "throughput_per_area": Term("token/(s m2)", "tokens per second and die area"),
    "tokens_per_dollar": Term("token/USD", "tokens for what chip and electricity cost"),
    "tokens_per_joule": Term("token/J", "tokens for the energy of a joule"),
    "dollars_per_s": Term(
        "USD/s", "what owning costs: device, host and network over lifetime and use, with electricity"
    ),
    "die_area": Term("m2", "area of the die"),
    "area_cores": Term("m2", "area of the cores"),
    "area_l2": Term("m2", "area of L2"),
    "area_hbm": Term("m2", "area of the HBM interfaces"),
    "area_links": Term("m2", "area of the link interfaces"),
    "area_joints": Term("m2", "area of the interfaces between dies"),
    "area_uncore": Term("m2", "area of all else"),
    "area_base": Term("m2", "area of the base dies"),
    "area_stacked": Term("m2", "area of SRAM stacked on dies"),
    "silicon_area": Term("m2", "area of all dies of a chip"),
    "shoreline": Term("1", "edge that interfaces need over the edge that dies have; above 1 they do not fit"),
    "reticle": Term("1", "largest die over the reticle"),
    "die_yield": Term("1", "share of dies that can be sold"),
    "power": Term("W", "power of the chip with its memory and links, mean over a step where there is one"),
    "price": Term("USD", "price of the chip with its memory, links and package"),
    "price_die": Term("USD", "price of the good compute dies"),
    "price_base": Term("USD", "price of the good base dies"),
    "price_stacked": Term("USD", "price of SRAM stacked on dies, bonds included"),
    "price_hbm": Term("USD", "price of the HBM stacks"),
    "price_links": Term("USD", "price of the links"),
    "price_package": Term("USD", "price of substrate, interposer and bumps"),
    "price_test": Term("USD", "price of assembly and test"),
    "price_loss": Term("USD", "price of what is lost with bonds that fail"),
    "switches": Term("USD", "a device's share of the switches that its links need"),
    "carbon": Term("kg", "carbon embodied in a chip with its memory and package"),
    "carbon_die": Term("kg", "carbon embodied in the compute dies"),
    "carbon_base": Term("kg", "carbon embodied in the base dies"),
    "carbon_stacked": Term("kg", "carbon embodied in stacked SRAM"),
    "carbon_hbm": Term("kg", "carbon embodied in the memory"),
    "carbon_package": Term("kg", "carbon embodied in the package"),
    "carbon_per_s": Term("kg/s", "embodied carbon over lifetime and use, with that of electricity"),
}
