"""The command ``cost``: what it prints is what ``am.cost`` finds."""

from __future__ import annotations

import pytest

import accelmodel as am


def test_json_is_what_the_library_finds(answer):
    data, found = answer("cost h100-sxm"), am.cost("h100-sxm")
    assert sum(part["usd"] for part in data["parts"]) == pytest.approx(data["total_usd"], rel=1e-12)
    assert data["total_usd"] == float(found.price)
    assert (data["total_low_usd"], data["total_high_usd"]) == (float(found.price_lower), float(found.price_upper))
    assert [part["name"] for part in data["parts"]] == [
        "compute dies", "memory", "links", "package", "assembly and test", "bonding losses",
    ]  # fmt: skip
    assert data["tco_usd_per_hour"] == pytest.approx(float(found.dollars_per_s) * 3600.0, rel=1e-12)
    assert data["tco_at_bill_usd_per_hour"] < data["tco_usd_per_hour"]
    assert (data["price_kind"], data["owned_at"], data["price_usd"]) == ("selling", "selling price", 30000.0)
    assert (
        data["notes"][-1]
        == "price of the device's file is what it sells at, and the rest of this answer a bill of materials"
    )


def test_what_is_not_known_is_null_and_said(answer):
    data = answer("cost ascend-910c")
    assert data["power_w"] is data["tco_usd_per_hour"] is data["carbon_kg_per_hour"] is None
    assert data["price_usd"] is data["margin"] is data["price_kind"] is None
    assert "power of ascend-910c is not known: what owning it costs is not told" in data["notes"]
    assert "die_area of ascend-910c is an estimate: not published, as the 910B" in data["notes"]


def test_options_change_what_they_name(answer, run):
    usual = answer("cost h100-sxm")
    assert answer("cost h100-sxm --set die_area=600mm2")["area_m2"] == pytest.approx(600e-6)
    assert answer("cost h100-sxm --link pcie5-x16")["switches_usd"] == 0.0
    larger = answer("cost h100-sxm --set l2.capacity=104MB --set device.compute.cores=120")
    assert larger["area_m2"] != pytest.approx(usual["area_m2"], rel=1e-3)
    assert larger["price_usd"] is None
    assert answer("cost h100-sxm --bill gb100")["parts"] != usual["parts"]
    assert answer("cost h100-sxm --volume 1000")["design_usd_per_device"] == usual["design_usd"] / 1000
    code, out, err = run("cost h100-sxm --set die_area=0mm2")
    assert (code, out) == (2, "")
    assert "die_area is not known; give it in its file, or with --set die_area=" in err


def test_a_table_for_people(run):
    code, out, err = run("cost mi300x")
    assert (code, err) == (0, "")
    for text in ("base dies", "bonding losses", "of its dies can be sold", "each hour in which it serves"):
        assert text in out
