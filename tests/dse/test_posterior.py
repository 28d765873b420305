"""The optimum with its probability: joint draws against single ones, limits, and what is known by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from accelmodel.dse import answers
from accelmodel.dse.draws import Draws, draw
from accelmodel.dse.enumeration import evaluate, parts_of_study
from accelmodel.dse.priors import Prior, priors
from accelmodel.dse.study import Study, load_study
from accelmodel.specs.given import override

#: three sizes of L2, one model, decode
TINY = """
[study]
title = "tiny"
device = "ascend-910b2"
bill = "ascend-910b"
[space]
l2_capacity = { values = ["8MB", "104MB", "192MB"] }
hbm_stacks = { values = ["2", "4"] }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
phase = "decode"
weight_bits = 8
activation_bits = 8
kv_bits = 8
[software]
tp = [4, 8]
threshold = [0.5, 1.0]
rule = ["paper"]
[constraints]
die_area = "700mm2"
"""
SRAM = Prior("process", "sram_area", "assumed", "m2/B", "uniform", "linear", 0.2e-12, 0.6e-12, 3e-12)


@pytest.fixture
def tiny(tmp_path) -> Study:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return load_study(str(path))


@pytest.fixture(scope="module")
def parts():
    return parts_of_study(load_study())


def one_by_one(study, parts, draws: Draws, sizes) -> dict[str, np.ndarray]:
    """Return technique → (draw, design) by one call for each draw, its constants put in one after the other."""
    found = {technique: [] for technique in study.techniques}
    for values in draws.values:
        single, errors = parts, {}
        for prior, value in zip(draws.priors, values, strict=True):
            if prior.part == "time":
                errors[prior.field] = float(value)
            else:
                spec = override(getattr(single, prior.part), {prior.field: float(value)})
                single = replace(single, **{prior.part: spec})
        result = evaluate(study, single, errors, l2_capacity=xr.DataArray(sizes, dims="design"))
        for technique in study.techniques:
            score = result[study.study.objective].sel(technique=technique)
            found[technique].append(np.where(result.feasible, score, 0.0))
    return {technique: np.array(each) for technique, each in found.items()}


def test_the_joint_call_is_what_single_calls_say(warm, tiny, parts):
    sizes = tiny.axes()["l2_capacity"]
    draws = draw(priors(tiny, parts), 12, seed=3)
    slow = one_by_one(tiny, parts, draws, sizes)
    fast = answers.scored(tiny, parts, {"l2_capacity": sizes}, draws)
    for technique in tiny.techniques:
        np.testing.assert_allclose(fast[technique], slow[technique], rtol=1e-9)
    everything = np.array(list(slow.values()))
    assert 0 < (everything == 0.0).sum() < everything.size  # some chips break the limit
