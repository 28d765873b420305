"""What a chip is made from: files that are named, and bills that close."""

from __future__ import annotations

import dataclasses

import pytest

import accelmodel as am
from accelmodel.costs.parts import closed, filled, gathered, interfaces, parts_of
from accelmodel.errors import SpecError
from accelmodel.specs.base import with_values


def test_a_bill_closes_by_hand():
    """A100: cores 108 of 3.75 mm2; 40 MB, five stacks, twelve links; of the power the cores take 0.76 of the rest."""
    parts = parts_of("a100-sxm-80gb")
    known = 40e6 * 2.37e-6 / 2**20 + 5 * 16.19e-6 + 12 * 2.66e-6
    assert parts.bill.uncore_area == pytest.approx(826e-6 - known - 108 * 3.75e-6, rel=1e-9)
    left = 400.0 - 40e6 * 0.1 / 2**20 - 5 * 20.0 - 12 * 2.0
    assert parts.bill.core_power == pytest.approx(0.76 * left / 108, rel=1e-9)
    assert parts.bill.uncore_power == pytest.approx(0.24 * left, rel=1e-9)
    fact = parts.bill.facts["uncore_area"]
    assert (fact.kind, fact.value) == ("derived", pytest.approx(parts.bill.uncore_area))
    assert fact.range[0] < fact.value < fact.range[1]


def test_the_share_of_cores_is_that_of_all_that_are_made():
    parts = parts_of("h100-sxm")
    known = 50e6 * 1.74e-6 / 2**20 + 5 * 14.5e-6 + 18 * 1.59e-6
    assert parts.bill.core_area == pytest.approx(0.7 * (814e-6 - known) / 144, rel=1e-9)


def test_memory_without_stacks_is_counted_by_its_bandwidth():
    parts = gathered("rtx-4090")
    assert interfaces(parts, 0.0, 1008e9) == pytest.approx(12.0, rel=1e-9)  # 384 bit in chips of 32
    assert interfaces(gathered("h100-sxm"), 5.0, 3.35e12) == 5.0
    assert interfaces(gathered("groq-lpu"), 0.0, 0.0) == 0.0


def test_a_die_that_is_too_small_for_what_is_on_it_is_refused():
    small = am.override(am.load("device", "h100-sxm"), die_area="150mm2")
    with pytest.raises(SpecError, match=r"device h100-sxm: die_area 150 mm² is less than its parts \(l2 82.97 mm²"):
        parts_of(small)


def test_what_is_not_known_is_asked_for_by_name():
    chip = am.load("device", "h100-sxm")
    for changes, said in (
        ({"die_area": 0.0}, r"die_area is not known; give it in its file, or with --set die_area="),
        ({"power": 0.0}, r"power is not known"),
        ({"bill": ""}, r"bill is missing; name a file of bills"),
        ({"hbm.generation": ""}, r"hbm\.generation is missing; name a file of memories, such as hbm3e"),
    ):
        with pytest.raises(SpecError, match=said):
            parts_of(with_values(chip, changes))
    with pytest.raises(SpecError, match=r"link nvlink4-switch: phy is missing; name a file of phys"):
        parts_of(chip, link=with_values(am.load("link", "nvlink4-switch"), {"phy": ""}))


def test_what_a_bill_states_stays():
    parts = gathered("ascend-910b2")
    assert set(filled(parts)) == {"uncore_area", "uncore_power"}
    bill = closed(parts)
    assert (bill.core_area, bill.core_power) == (parts.bill.core_area, parts.bill.core_power)
    again = closed(dataclasses.replace(parts, bill=bill))
    assert (again.uncore_area, again.uncore_power) == (bill.uncore_area, bill.uncore_power)


def test_stacked_sram_follows_the_process_where_a_bill_names_no_other():
    parts = parts_of("h100-sxm")
    moved = dataclasses.replace(parts, process=am.load("process", "n7"))
    assert (parts.base, parts.below.name, moved.below.name) == (None, "n4", "n7")
    assert parts_of("mi300x").below.name == "n6"
    assert list(parts.specs) == ["device", "link", "bill", "process", "memory", "phy", "package", "joint", "site"]


def test_fewer_cores_made_than_sold_are_refused():
    parts = gathered("h100-sxm")
    fewer = dataclasses.replace(parts, bill=with_values(parts.bill, {"cores_made": 100.0}))
    with pytest.raises(SpecError, match="bill gh100: cores_made 100 is less than the 132 cores that h100-sxm sells"):
        closed(fewer)
