"""What a device costs: sums, ranges, design and ownership, for every shipped device."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.costs import bill as bills
from accelmodel.costs.parts import parts_of
from accelmodel.errors import SpecError


@pytest.mark.parametrize("name", am.available("device"))
def test_every_device_has_a_bill(name):
    found = am.cost(name)
    assert float(found.part_price.sum()) == pytest.approx(float(found.price), rel=1e-12)
    assert float(found.part_carbon.sum()) == pytest.approx(float(found.carbon), rel=1e-12)
    assert float(found.part_area.sum()) == pytest.approx(float(found.silicon_area), rel=1e-12)
    assert 0.0 < float(found.price_lower) <= float(found.price) <= float(found.price_upper)
    assert (found.part_price_lower <= found.part_price).all()
    assert (found.part_price <= found.part_price_upper).all()
    assert float(found.design) > 0.0 < float(found.design_each)
    device = am.load("device", name)
    assert bool(float(found.dollars_per_s)) == bool(device.power)
    assert ("is not known: what owning it costs" in found.attrs["notes"]) == (not device.power)
    assert ("die_area" in found.attrs["notes"]) == (device.facts["die_area"].standing == "assumed")
    assert 0.0 <= float(found.margin) < 1.0, "nothing is sold below what its parts cost"


def test_the_whole_is_the_bill_of_its_parts():
    parts = parts_of("mi300x")
    device = parts.device
    whole = bills.bill(parts, device.cores, device.l2_capacity, device.hbm_stacks, parts.link.links)
    found = am.cost("mi300x")
    assert float(found.price) == pytest.approx(whole["price"], rel=1e-12)
    assert float(found.dollars_per_s_at_bill) == pytest.approx(whole["dollars_per_s"], rel=1e-12)


def test_what_owning_an_h100_costs_by_hand():
    found = am.cost("h100-sxm")
    capital = (30_000 + 18 * 24 + 4000) / 0.81
    power = (700 + 0.12 * 700 * 0.25 + 300 * 1.25) * 1.3
    assert float(found.dollars_per_s) == pytest.approx(capital / (35064 * 3600 * 0.8) + power * 2.78e-8, rel=1e-9)
    assert float(found.margin) == pytest.approx(1.0 - float(found.price) / 30_000, rel=1e-12)


def test_a_design_is_spread_over_what_is_made_of_it():
    one, other = am.cost("h100-sxm", volume=1e5), am.cost("h100-sxm", volume=1e6)
    assert float(one.design) == float(other.design)
    assert float(one.design_each) == pytest.approx(10.0 * float(other.design_each), rel=1e-12)
    # the MI300X has two designs: compute dies of 127 mm2, and base dies of 370
    assert float(am.cost("mi300x").design) > float(am.cost("h100-sxm").design) * 0.4
    with pytest.raises(SpecError, match="volume"):
        am.cost("h100-sxm", volume=0.0)


def test_the_range_is_that_of_the_facts():
    """The same at each call; wider where a fact is less known; none where all are firm."""
    again = am.cost("h100-sxm")
    assert float(am.cost("h100-sxm").price_lower) == float(again.price_lower)
    assert float(again.price_upper - again.price_lower) > 100.0


def test_a_bill_and_a_site_of_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text(
        '[default]\nkind = "datasheet"\nsource = "mine"\nlocator = "offer"\n\n[sources.mine]\ntitle = "Own offer"\n\n'
        '[bill]\nlike = "gh100"\npackage = "cowos-l"\nvolume = 10\n',
        encoding="utf-8",
    )
    found = am.cost("h100-sxm", bill=str(tmp_path / "mine.toml"))
    assert float(found.volume) == 10.0
    assert float(found.part_price.sel(part="assembly and test")) == 1000.0  # of cowos-l
    assert float(found.die_yield) == pytest.approx(float(am.cost("h100-sxm").die_yield), rel=1e-12)


def test_a_price_that_is_a_bill_is_no_selling_price(tmp_path):
    (tmp_path / "own.toml").write_text(
        '[default]\nkind = "datasheet"\nsource = "mine"\nlocator = "offer"\n\n[sources.mine]\ntitle = "Own offer"\n\n'
        '[device]\nlike = "h100-sxm"\narchitecture = "hopper"\nprice = { value = 4000, unit = "USD" }\n'
        'price_kind = "bill"\n',
        encoding="utf-8",
    )
    found = am.cost(str(tmp_path / "own.toml"))
    assert found.attrs["price_kind"] == "bill"
    assert float(found.selling_price) == float(found.margin) == 0.0
    assert "is a bill of materials" in found.attrs["notes"]
    text = (tmp_path / "own.toml").read_text(encoding="utf-8")
    (tmp_path / "own.toml").write_text(text.replace('"bill"', '"list"'), encoding="utf-8")
    with pytest.raises(SpecError, match="unknown price_kind 'list'"):
        am.cost(str(tmp_path / "own.toml"))


def test_a_changed_chip_grows_from_the_die_of_its_reference():
    """104 MB on a GH100: the die is larger by the SRAM; without a reference the die stays, and that is told."""
    chip = am.load("device", "h100-sxm")
    larger = am.override(chip, l2_capacity="104MB")
    found = am.cost(larger, reference="h100-sxm")
    process = am.load("process", "n4")
    assert float(found.die_area) == pytest.approx(814e-6 + 54e6 * process.sram_area, rel=1e-9)
    assert float(found.price) > float(am.cost(chip).price)
    assert float(found.selling_price) == 0.0
    assert "is no h100-sxm as that is sold" in found.attrs["notes"]
    stays = am.cost(larger)
    assert float(stays.die_area) == pytest.approx(814e-6, rel=1e-9)
    assert "l2.capacity was changed and the die is as stated" in stays.attrs["notes"]
    smaller = am.override(larger, die_area="900mm2")
    assert "was changed and the die" not in am.cost(smaller).attrs["notes"]


def test_other_memory_and_links_on_the_same_chip():
    """HBM4 takes the edge and area of its PHY; a link of another kind its own, and its switches."""
    chip = am.load("device", "h100-sxm")
    newer = am.override(chip, {"hbm.generation": "hbm4"})
    found = am.cost(newer, reference=chip)
    old, new = am.load("memory", "hbm3"), am.load("memory", "hbm4")
    assert float(found.die_area) == pytest.approx(814e-6 + 5 * (new.area - old.area), rel=1e-9)
    assert float(found.part_price.sel(part="memory")) == pytest.approx(chip.hbm_capacity * new.price, rel=1e-9)
    assert float(found.part_price_upper.sel(part="memory")) > float(found.part_price.sel(part="memory"))
    link = am.load("link", "pcie5-x16")
    wired = am.cost(chip, link=link, reference=chip)
    lost = 18 * am.load("phy", "phy-nvlink4").area - am.load("phy", "phy-pcie5").area
    assert float(wired.die_area) == pytest.approx(814e-6 - lost, rel=1e-9)
    assert float(wired.switches) == 0.0


def test_stacks_of_a_changed_chip_are_those_it_has():
    chip = am.load("device", "mi300x")
    twelve = am.override(chip, {"hbm.stacks": 12, "hbm.capacity": chip.hbm_capacity * 1.5})
    found, usual = am.cost(twelve, reference=chip), am.cost(chip)
    grown = 4 * am.load("memory", "hbm3").area
    base = {"part": "base dies"}
    assert float(found.part_area.sel(base) - usual.part_area.sel(base)) == pytest.approx(grown, rel=1e-9)


def test_a_die_that_fits_on_no_wafer_is_refused():
    with pytest.raises(am.Infeasible, match=r"a die of 1e\+05 mm² fits on no wafer"):
        am.cost(am.override(am.load("device", "h100-sxm"), die_area="100000mm2"))


def test_stacks_that_are_not_known_are_counted_by_bandwidth():
    chip = am.override(am.load("device", "h100-sxm"), {"hbm.stacks": 0})
    found, whole = am.cost(chip, reference="h100-sxm"), am.cost("h100-sxm")
    memory = whole.part_price.sel(part="memory")
    assert float(found.part_price.sel(part="memory")) == pytest.approx(float(memory), rel=1e-9)
