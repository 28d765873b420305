"""Constants of links carried over to other chips: clocks, dies, and what says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

import accelmodel as am
from accelmodel.calibration.carried import CROSSING, carried, clocks
from accelmodel.specs.given import cluster, override
from accelmodel.specs.load import load


def chips(clock, dies, start_up, name, **link):
    device = override(load("device", "h100-sxm"), {"compute.clock": clock, "dies": dies})
    wires = override(load("link", "nvlink4-switch"), start_up=start_up, **link)
    return replace(cluster(device), device=device, link=replace(wires, name=name))


def test_a_start_is_a_number_of_clocks():
    # 8,000 and 18,000 clocks of one die, geometric mean 12,000
    measured = [chips(2e9, 1.0, 4e-6, "a"), chips(1e9, 2.0, 27e-6, "b")]
    target = override(load("device", "h100-sxm"), {"compute.clock": 1.5e9, "dies": 1.0})
    assert carried(target, "switch", "link.start_up", measured) == pytest.approx(12000 / 1.5e9, rel=1e-9)
    two = override(target, dies=2.0)
    assert carried(two, "switch", "link.start_up", measured) == pytest.approx(CROSSING * 12000 / 1.5e9, rel=1e-9)
    assert clocks(two) == pytest.approx(1e9, rel=1e-9)


def test_shares_carry_over_and_links_count_once():
    measured = [
        chips(2e9, 1.0, 4e-6, "a", share=0.8),
        chips(1e9, 1.0, 4e-6, "b", share=0.5),
        chips(1e9, 1.0, 1e-6, "b"),
    ]
    twice = [*measured[:2], measured[1]]
    device = load("device", "a100-sxm-80gb")
    assert carried(device, "switch", "link.share", twice) == pytest.approx((0.8 * 0.5) ** 0.5, rel=1e-9)


def test_wires_of_another_topology_and_switches_that_do_not_add_up_say_nothing():
    device = load("device", "l40s")
    measured = [cluster("h100-sxm"), cluster("a100-sxm-80gb")]
    assert carried(device, "bus", "link.share", measured) is None
    assert carried(device, "bus", "link.start_up", measured) is not None
    assert carried(device, "switch", "link.switch_share", measured[1:]) is None
    found = carried(device, "switch", "link.switch_share", measured)
    assert found == pytest.approx(measured[0].link.switch_share, rel=1e-9)


@pytest.mark.parametrize(("link", "device"), [("nvlink6-rack", "rubin"), ("nvlink2-mesh", "v100-sxm-16gb")])
def test_generations_that_were_not_measured_have_what_the_law_says(link, device):
    measured = [am.cluster(name) for name in ("a100-sxm-80gb", "h100-sxm", "b200-sxm")]
    found, chip = load("link", link), load("device", device)
    for name in ("start_up", "hop_latency", "share"):
        assert float(getattr(found, name)) == pytest.approx(
            carried(chip, "switch", f"link.{name}", measured), rel=0.02
        ), name  # as rounded, and as links are refitted
