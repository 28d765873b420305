"""What is drawn is valid, physical, and around what was given."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, find, given, settings

from accelmodel.inference.placement import fits
from accelmodel.laws.prefetch import RULES
from accelmodel.specs.given import workload
from accelmodel.specs.load import load
from accelmodel.testing import cases, clusters, devices, links, models, stored, techniques, workloads
from accelmodel.testing.strategies import DEVICES, MODELS

FEW = settings(max_examples=10, suppress_health_check=list(HealthCheck))


@given(devices())
@FEW
def test_a_drawn_device_is_a_chip(chip):
    if chip.hbm.capacity:
        assert chip.l2.bandwidth >= chip.hbm.bandwidth
        assert chip.l2.capacity <= chip.hbm.capacity
    assert not chip.compute.peak_8bit_float or chip.compute.peak_8bit_float >= chip.compute.peak_16bit
    assert chip.compute.cores >= 1.0
    for share in (chip.compute.matrix_share, chip.hbm.share, chip.l2.usable):
        assert 0.0 < share <= 1.0


@given(devices("h100-sxm"))
@FEW
def test_a_device_is_drawn_around_the_one_that_is_given(chip):
    base = load("device", "h100-sxm")
    assert chip.name == base.name
    assert base.hbm.bandwidth / 4.0 <= chip.hbm.bandwidth <= base.hbm.bandwidth * 4.0
    assert chip.matmul.tile_m == base.matmul.tile_m


@given(links("hccs-mesh-8"), clusters())
@FEW
def test_links_and_clusters(link, chips):
    assert link.topology == "mesh"
    assert link.share <= 1.0
    assert chips.devices in (chips.link.devices, 2.0 * chips.link.devices)


@given(models(), workloads(), techniques())
@FEW
def test_models_workloads_and_techniques(model, work, technique):
    assert model.heads % model.kv_heads == 0.0
    assert model.dense_layers < model.layers
    assert work.phase != "mixed" or work.prefill_tokens > 0.0
    assert technique.name != "preserve" or technique.parameters["rule"] in RULES


@given(cases())
@FEW
def test_a_case_fits_and_its_command_is_a_line(case):
    assert float(fits(case.model, case.cluster.device, workload(**case.work))) == 1.0
    assert case.work["tp"] * case.work.get("pp", 1) <= case.cluster.devices
    assert case.command.startswith("accelmodel step --device ")
    assert "\n" not in case.command


def test_what_is_drawn_shrinks_to_the_plainest():
    case = find(cases(), lambda _: True)
    assert (case.cluster.device.name, case.model.name, case.technique.name) == (DEVICES[0], MODELS[0], "none")
    assert find(stored(), lambda case: case.bandwidth > 0.0).tier.name == "nvme"


@pytest.mark.parametrize("name", ["none", "fused", "preserve"])
def test_every_technique_is_reached(name):
    assert find(techniques(), lambda technique: technique.name == name).name == name


@pytest.mark.parametrize("phase", ["decode", "prefill", "mixed"])
def test_a_phase_that_is_asked_for(phase):
    assert find(workloads(phase), lambda _: True).phase == phase
