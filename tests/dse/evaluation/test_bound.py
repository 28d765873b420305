"""What holds a chip back: shares of the time by hand from single steps; the technique that software took."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am
from accelmodel.dse.enumeration.rows import rows_of
from accelmodel.dse.evaluation.bound import bounds
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.idle import free
from accelmodel.dse.studies.study import load_study
from accelmodel.dse.told import held_back, winner

TEXT = """
[study]
title = "bound"
device = "h100-sxm"
objectives = ["throughput"]
[space]
l2.capacity = { values = ["50MB", "60MB"] }
l2.bandwidth = { values = ["5TB/s", "10TB/s"] }
hbm.stacks = { values = [5, 6] }
[workload]
models = ["llama-3.1-8b"]
context = [1024, 4096]
phase = "decode"
[software]
batch = [1, 32]
tp = [1, 8]
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "bound.toml"
    path.write_text(TEXT, encoding="utf-8")
    study = load_study(str(path))
    parts = parts_of_study(study)
    chip = {"l2_capacity": 50e6, "l2_bandwidth": parts.device.l2.bandwidth, "hbm_stacks": parts.device.hbm.stacks}
    (row,) = rows_of(study, parts, {name: np.array([value]) for name, value in chip.items()})
    return study, parts, row


@pytest.mark.parametrize("technique", ["none", "preserve"])
def test_shares_are_those_of_the_steps_by_hand(found, technique):
    study, parts, row = found
    told = bounds(study, parts, technique, row[technique])
    assert [each["request"] for each in told] == ["llama-3.1-8b [0]", "llama-3.1-8b [1]"]
    for each, context in zip(told, (1024, 4096), strict=True):
        chosen = {name: row[technique][f"chosen_{name}.{each['request']}"] for name in ("batch", "tp", "threshold")}
        took = "preserve" if chosen["threshold"] > 0.0 else "none"
        assert each["technique"] == took
        work = {"phase": "decode", "batch": chosen["batch"], "tp": chosen["tp"], "context": context}
        beside = am.policy("preserve", threshold=chosen["threshold"]) if took == "preserve" else "none"
        step = am.time_step("llama-3.1-8b", "h100-sxm", work, beside)
        for name, share in each["shares"].items():
            by_hand = float(step.time.where(step.bound == name, 0.0).sum() / step.time.sum())
            assert share == pytest.approx(by_hand, rel=1e-9), name
        assert each["bound"] == max(each["shares"], key=each["shares"].__getitem__)
        assert each["power"] == pytest.approx(float(step.power), rel=1e-9)
        assert each["stretch"] == pytest.approx(float(step.power_stretch), rel=1e-9)


def test_axes_that_nobody_pays_for_are_found_by_what_the_chip_costs(found):
    study, parts, row = found
    assert free(study, parts, row["none"]) == ["l2_bandwidth"]


def test_the_best_is_told_in_words_and_rounding_makes_no_winner(found):
    study, parts, row = found
    said = held_back(study, parts, row)
    assert set(said["bounds"]) == {"none", "preserve"}
    assert said["bound_words"][0].startswith("time of the best chip is bound by: llama-3.1-8b [0] ")
    noise = {"none": {"throughput": 1.0}, "preserve": {"throughput": 1.0 + 1e-15}}
    assert winner(study, noise) == "none"
    assert winner(study, {"none": {"throughput": 1.0}, "preserve": {"throughput": 1.01}}) == "preserve"
