"""Energy of a design against single steps: its memory, dies, links, power at rest and limit; unknown power."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.costs.parts import parts_of
from accelmodel.dse.evaluation.by_study import evaluate_study
from accelmodel.dse.evaluation.chip import LIMIT_PER_STATIC, design, parts_of_study
from accelmodel.dse.evaluation.powered import of_part
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.specs.given import override
from accelmodel.specs.load import load

TEXT = """
[study]
title = "energy"
device = "DEVICE"
objectives = ["joules_per_token"]
[space]
l2.capacity = { values = ["50MB"] }
[workload]
models = ["llama-3.1-8b"]
batch = [64]
context = [4096]
phase = "decode"
weight_bits = 8
activation_bits = 8
kv_bits = 16
[software]
techniques = ["none"]
tp = [1]
"""


def study_of(folder, device="h100-sxm") -> Study:
    path = folder / "energy.toml"
    path.write_text(TEXT.replace("DEVICE", device), encoding="utf-8")
    return load_study(str(path))


@pytest.mark.parametrize(("generation", "dies"), [("hbm3", 1.0), ("hbm3", 2.0), ("hbm4", 1.0), ("hbm4", 2.0)])
def test_joules_of_a_design_are_those_of_a_step_on_the_chip_that_its_files_make(tmp_path, generation, dies):
    chip, before, after = load("device", "h100-sxm"), load("memory", "hbm3"), load("memory", generation)
    joint = parts_of("h100-sxm").joint
    crossing = (dies - 1.0) / dies * joint.power / joint.bandwidth
    found = evaluate_study(study_of(tmp_path), hbm_generation=generation, dies=dies).squeeze()
    power = float(found.power)
    by_hand = override(
        chip,
        {
            "hbm.bandwidth": chip.hbm.bandwidth * after.bandwidth / before.bandwidth,
            "hbm.capacity": chip.hbm.capacity * after.capacity / before.capacity,
            "energy.hbm": chip.energy.hbm + after.power / after.bandwidth - before.power / before.bandwidth + crossing,
            "energy.static": chip.energy.static * power / chip.power,
            "dies": dies,
            "power": power,
        },
    )
    bits = {"weight_bits": 8, "activation_bits": 8, "kv_bits": 16}
    step = am.time_step("llama-3.1-8b", by_hand, am.workload(phase="decode", batch=64, context=4096, tp=1, **bits))
    assert float(found.joules_per_token) == pytest.approx(float(step.joules_per_token), rel=1e-9)
    if generation == "hbm4":
        assert float(step.power_stretch) > 1.0, "no test of what the limit leaves"


def test_a_byte_of_a_newer_memory_and_of_a_leaner_link_takes_less(tmp_path):
    parts = parts_of_study(study_of(tmp_path))
    of = {name: design(parts, hbm_generation=name)[0].device.energy.hbm for name in ("hbm2e", "hbm3", "hbm3e", "hbm4")}
    assert of["hbm3"] == pytest.approx(parts.device.energy.hbm, rel=1e-12)
    assert of["hbm2e"] > of["hbm3"] > of["hbm3e"] > of["hbm4"]
    assert parts.device.energy.link == 0.0, "a byte on its links takes what its PHY's file says"
    half = design(parts, phy_power=parts.phy.power / 2.0)[0].device.energy.link
    assert half == pytest.approx(of_part(parts.phy) / 2.0)


def test_power_that_is_not_known_is_estimated_from_that_at_rest(tmp_path):
    parts = parts_of_study(study_of(tmp_path, "tpu-v7"))
    chip = load("device", "tpu-v7")
    assert chip.power == 0.0, "its power is known by now: take another device"
    assert parts.device.power == LIMIT_PER_STATIC * chip.energy.static
    assert float(design(parts)[1]["power"]) == pytest.approx(parts.device.power)
