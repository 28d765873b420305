"""What names of answers mean: those of a device's bill, and the form of all of them."""

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
