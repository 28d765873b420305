"""The bill of a chip, part by part: hand sums, and what may never be cheaper."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.costs.bill import bill
from accelmodel.costs.parts import parts_of
from accelmodel.errors import SpecError
from accelmodel.specs.base import with_values

DEVICES = am.available("device")
ASCEND, H100, MI300, B200 = (parts_of(name) for name in ("ascend-910b2", "h100-sxm", "mi300x", "b200-sxm"))
CHIPS = st.sampled_from([ASCEND, H100, MI300, B200])


def of(parts, **changes):
    """Return the bill of the reference chip of some parts, or of one that differs."""
    device = parts.device
    usual = {"cores": device.cores, "l2": device.l2_capacity, "stacks": device.hbm_stacks, "lanes": parts.link.links}
    return bill(parts, **{**usual, **changes})


def test_the_price_of_an_h100_by_hand():
    found, process, package = of(H100), H100.process, H100.package
    memory = 5 * 16 * 2**30  # what the driver reports is a little less
    assert found["price_hbm"] == pytest.approx(memory * 16e-9, rel=5e-3)
    # 814 mm2: 63.5 on a wafer
    assert found["price_die"] == pytest.approx(
        process.wafer_price / (63.5 * found["die_yield"]) + package.die_test_price / found["die_yield"], rel=2e-3
    )
    standing = 814e-6 + 5 * 110e-6
    # 29.9 interposers on a wafer
    wafer = math.pi * 0.15**2 * package.interposer_price
    interposer = wafer / 29.91 * (1 + 1.1 * standing * 100 / 6) ** 6
    substrate = 2.2 * standing * package.substrate_price
    assert found["price_package"] == pytest.approx(interposer + substrate + 1e4 * standing, rel=1e-3)
    bonded = found["price_die"] + found["price_hbm"] + found["price_package"]
    assert found["price_loss"] == pytest.approx(bonded * (0.99**-6 - 1.0), rel=1e-9)
    assert found["price_links"] == pytest.approx(18.0, rel=1e-9)
    assert found["switches"] == pytest.approx(18 * 24.0, rel=1e-9)


@pytest.mark.parametrize("name", DEVICES)
def test_parts_of_every_device_add_up_to_its_die_and_power(name):
    device = am.load("device", name)
    if not device.power:
        with pytest.raises(SpecError, match="power is not known"):
            parts_of(name)
        return
    found = of(parts_of(name))
    # 1e-9: arithmetic alone
    assert found["die_area"] == pytest.approx(device.die_area, rel=1e-9)
    assert found["power"] == pytest.approx(device.power, rel=1e-9)
    areas = ("area_cores", "area_l2", "area_hbm", "area_links", "area_joints", "area_uncore")
    assert sum(found[part] for part in areas) == pytest.approx(device.die_area, rel=1e-9)
    prices = [value for part, value in found.items() if part.startswith("price_")]
    assert sum(prices) == pytest.approx(found["price"], rel=1e-12)
    assert min(prices) >= 0.0
    carbon = [value for part, value in found.items() if part.startswith("carbon_") and part != "carbon_per_s"]
    assert sum(carbon) == pytest.approx(found["carbon"], rel=1e-12)
    assert found["shoreline"] <= 1.0, "what is sold can be built"
    assert found["reticle"] <= 1.0
    assert 0.0 < found["die_yield"] <= 1.0


@given(CHIPS, st.floats(1.0, 1.5), st.sampled_from(["cores", "l2", "lanes", "stacks"]))
def test_more_of_anything_is_never_cheaper_smaller_or_cooler(parts, more, what):
    usual = {"cores": parts.device.cores, "l2": parts.device.l2_capacity, "stacks": parts.device.hbm_stacks}
    usual["lanes"] = parts.link.links
    one, other = of(parts), of(parts, **{what: usual[what] * more})
    for name in ("price", "silicon_area", "power", "carbon", "dollars_per_s", "carbon_per_s"):
        assert other[name] >= one[name] * (1.0 - 1e-12), name


@given(CHIPS, st.floats(1.0, 3.0), st.sampled_from(["defect_density", "wafer_price", "sram_fatal", "carbon"]))
def test_a_worse_process_is_never_cheaper(parts, factor, field):
    value = min(getattr(parts.process, field) * factor, 1.0) if field == "sram_fatal" else None
    value = getattr(parts.process, field) * factor if value is None else value
    worse = replace(parts, process=with_values(parts.process, {field: value}))
    for name in ("price", "carbon"):
        assert of(worse)[name] >= of(parts)[name] * (1.0 - 1e-12)


@given(CHIPS, st.floats(0.0, 1.0))
def test_selling_dies_with_bad_cores_is_never_dearer(parts, share):
    sold = parts.device.cores
    spare = max(parts.bill.cores_made - sold, 0.0)
    fewer = replace(parts, bill=with_values(parts.bill, {"cores_made": sold + spare * share}))
    none = replace(parts, bill=with_values(parts.bill, {"cores_made": 0.0}))
    prices = [of(each)["price"] for each in (parts, fewer, none)]
    assert prices == sorted(prices)


def test_two_dies_cost_edge_and_area_and_save_yield():
    # a die of 814 mm2 against two of half its cores, L2 and memory: what joins them takes area and edge
    one, two = of(H100, dies=1.0), of(H100, dies=2.0)
    joints = 3.35e12 / 2 / 1e12  # half of the memory's rate crosses, 1 TB/s a link
    assert two["area_joints"] == pytest.approx(joints * 1.5e-6, rel=1e-9)
    assert one["area_joints"] == 0.0
    assert two["die_yield"] > one["die_yield"]
    assert two["price_die"] < one["price_die"]
    assert two["price_loss"] > one["price_loss"] * 1.05  # a bond more
    needed = one["shoreline"] * 4 * one["die_area"] ** 0.5 * 0.9 + 2 * joints * 1.2e-3
    assert two["shoreline"] == pytest.approx(needed / (4 * (2 * two["die_area"]) ** 0.5 * 0.9), rel=1e-9)


def test_stacked_sram_is_a_die_of_its_own():
    flat, tall = of(H100), of(H100, stacked=64 * 2.0**20)
    area = 64 * 0.5e-6 / 0.95
    assert tall["area_stacked"] == pytest.approx(area, rel=1e-9)
    assert tall["silicon_area"] == pytest.approx(flat["silicon_area"] + area, rel=1e-9)
    assert tall["die_area"] == flat["die_area"]
    assert tall["price_stacked"] > area / 0.0707 * H100.process.wafer_price  # more than its part of the wafer
    assert tall["price_loss"] > flat["price_loss"]
    assert tall["carbon_stacked"] > 0.0 == flat["carbon_stacked"]
    plain = parts_of("t4")
    with pytest.raises(SpecError, match="hybrid_price is 0, so nothing stands on a die"):
        of(plain, stacked=1e6)


def test_base_dies_carry_what_is_not_compute():
    found = of(MI300)
    assert found["area_base"] == pytest.approx(1480e-6, rel=1e-9)
    assert found["area_l2"] == found["area_hbm"] == found["area_links"] == 0.0
    more = of(MI300, l2=512e6)
    grown = 256e6 * MI300.below.sram_area
    assert more["area_base"] == pytest.approx(1480e-6 + grown, rel=1e-9)
    assert more["die_area"] == found["die_area"]


def test_over_labelled_axes_as_one_by_one():
    cores = xr.DataArray([66.0, 132.0], dims="cores")
    stacks = xr.DataArray([4.0, 5.0, 6.0], dims="stacks")
    dies = xr.DataArray([1.0, 2.0], dims="dies")
    stacked = xr.DataArray([0.0, 6.4e7], dims="stacked")
    whole = of(H100, cores=cores, stacks=stacks, dies=dies, stacked=stacked)
    for name in ("price", "power", "carbon", "shoreline", "dollars_per_s", "silicon_area"):
        found = whole[name].isel(cores=0, stacks=2, dies=1, stacked=1, missing_dims="ignore")
        alone = of(H100, cores=66.0, stacks=6.0, dies=2.0, stacked=6.4e7)[name]
        assert float(found) == pytest.approx(float(alone), rel=1e-12), name


def test_another_generation_of_memory_over_an_axis():
    """Words are gathered into numbers along an axis: as each of them alone."""
    each = [am.load("memory", name) for name in ("hbm3", "hbm4")]
    fields = ("price", "power", "area", "edge", "footprint", "carbon", "bandwidth", "capacity")
    axis = {name: xr.DataArray([getattr(memory, name) for memory in each], dims="generation") for name in fields}
    whole = of(replace(H100, memory=with_values(each[0], axis)))
    for place, memory in enumerate(each):
        alone = of(replace(H100, memory=memory))
        for name in ("price", "die_area", "shoreline", "carbon", "power"):
            assert float(whole[name][place]) == pytest.approx(float(alone[name]), rel=1e-12)


def test_a_stacked_die_of_n7_is_near_those_that_are_made():
    """64 MiB on N7: 41 and 36 mm2, vias included, which here are a twentieth more."""
    found = of(replace(H100, base=am.load("process", "n7")), stacked=64 * 2.0**20)
    assert 36e-6 < found["area_stacked"] < 42e-6
