"""What a chip is worth, against single steps: objectives by hand, limits, mixes, energy; random studies never crash."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.evaluation.chip import design, parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.studies.objectives import OBJECTIVES
from accelmodel.dse.studies.space import points, size
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.errors import Infeasible, SpecError

HEAD = """
[study]
title = "any"
device = "h100-sxm"
objectives = [OBJECTIVES]
[space]
SPACE
[workload]
models = ["llama-3.1-8b"]
BATCH
context = [4096]
phase = "decode"
weight_bits = 8
activation_bits = 8
kv_bits = 8
MORE
"""


ONE = 'l2.capacity = { values = ["50MB"] }'


def study_of(folder, objectives='"throughput"', space=ONE, batch="batch = [8]", more="") -> Study:
    path = folder / "any.toml"
    text = HEAD.replace("OBJECTIVES", objectives).replace("SPACE", space)
    path.write_text(text.replace("BATCH", batch).replace("MORE", more), encoding="utf-8")
    return load_study(str(path))


def every(study: Study) -> xr.Dataset:
    return evaluate(study, parts_of_study(study), **points(study, 0, size(study)))


def step(model: str, phase: str = "decode", **work: float) -> xr.Dataset:
    bits = {"weight_bits": 8, "activation_bits": 8, "kv_bits": 8}
    return am.time_step(model, "h100-sxm", am.workload(phase=phase, **bits, **work))


def test_every_objective_of_one_chip_by_hand(tmp_path):
    """The reference chip itself: rates from a single step, money and area from its bill."""
    names = '"dollars_per_million_tokens", "ttft", "joules_per_token"'
    study = study_of(tmp_path, names, more='[software]\ntechniques = ["none"]\ntp = [2]')
    found = every(study).sel(technique="none").squeeze()
    one = step("llama-3.1-8b", batch=8, context=4096, tp=2)
    first = step("llama-3.1-8b", "prefill", batch=1, context=4096, tp=2)
    _, figures = design(parts_of_study(study))
    rate = 8.0 / float(one.step_time) / 2.0
    by_hand = {
        "throughput": rate,
        "throughput_per_area": rate / figures["die_area"],
        "tokens_per_dollar": rate / figures["dollars_per_s"],
        "dollars_per_million_tokens": 1e6 * figures["dollars_per_s"] / rate,
        "tpot": float(one.step_time),
        "ttft": float(first.step_time),
        "die_area": figures["die_area"],
        "power": figures["power"],
        "price": figures["price"],
        "carbon": figures["carbon"],
    }
    for name, value in by_hand.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-9), name
        assert found[name].attrs["units"] == OBJECTIVES[name].unit
    assert float(found.tokens_per_joule) == pytest.approx(1.0 / float(found.joules_per_token))
    assert float(one.power_stretch) == 1.0, "a step that the power limit slows is no test of what is told at full clock"
    assert float(found.joules_per_token) == pytest.approx(float(one.joules_per_token), rel=1e-9)


def test_a_mix_is_the_mean_that_the_study_says(tmp_path):
    rates = {}
    for model, batch in (("llama-3.1-8b", 16), ("llama-3.1-70b", 4)):
        rates[model] = batch / float(step(model, batch=batch, context=2048, tp=8).step_time) / 8.0
    mix = "".join(
        f'[[mix]]\nmodel = "{model}"\nbatch = {batch}\ncontext = 2048\nweight = {weight}\n'
        for model, batch, weight in (("llama-3.1-8b", 16, 3.0), ("llama-3.1-70b", 4, 1.0))
    )
    head = HEAD[: HEAD.index("[workload]")].replace("OBJECTIVES", '"throughput"')
    head = head.replace("SPACE", 'l2.capacity = { values = ["50MB"] }')
    bits = "weight_bits = 8\nactivation_bits = 8\nkv_bits = 8\n"
    software = '[software]\ntechniques = ["none"]\ntp = [8]\n'
    one, other = rates.values()
    for mean, value in (("geometric", (one**3 * other) ** 0.25), ("traffic", 4.0 / (3.0 / one + 1.0 / other))):
        path = tmp_path / f"{mean}.toml"
        path.write_text(f'{head}[workload]\nphase = "decode"\nmean = "{mean}"\n{bits}{mix}{software}', encoding="utf-8")
        assert float(every(load_study(str(path))).throughput.squeeze()) == pytest.approx(value, rel=1e-9), mean


def test_software_takes_the_best_batch_and_degree_that_keep_the_latency(tmp_path):
    """Of all batches and degrees by hand: the most tokens a device among those quick enough."""
    batches, degrees, limit = (1, 8, 64, 256), (1, 2, 4, 8), 0.006
    tried = {}
    for batch in batches:
        for tp in degrees:
            time = float(step("llama-3.1-8b", batch=batch, context=4096, tp=tp).step_time)
            tried[batch, tp] = (time, batch / time / tp)
    allowed = {key: rate for key, (time, rate) in tried.items() if time <= limit}
    assert 0 < len(allowed) < len(tried)
    assert max(allowed.values()) < max(rate for _, rate in tried.values()), "the limit binds nothing"
    choice = max(allowed, key=allowed.__getitem__)
    more = f'[software]\ntechniques = ["none"]\nbatch = {list(batches)}\n[constraints]\ntpot = "6ms"'
    found = every(study_of(tmp_path, batch="", more=more)).sel(technique="none").squeeze()
    assert float(found.throughput) == pytest.approx(allowed[choice], rel=1e-9)
    assert (float(found.chosen_batch), float(found.chosen_tp)) == choice
    assert float(found.excess_tpot) == pytest.approx(tried[choice][0] / limit - 1.0)
    assert bool(found.feasible)


def test_where_no_choice_keeps_the_latency_the_nearest_is_told(tmp_path):
    more = '[software]\ntechniques = ["none"]\ntp = [1, 2]\n[constraints.tpot]\n"llama-3.1-8b" = "1ms"'
    study = study_of(tmp_path, more=more)
    found = every(study).sel(technique="none").squeeze()
    quickest = min(float(step("llama-3.1-8b", batch=8, context=4096, tp=tp).step_time) for tp in (1, 2))
    assert float(found["excess_tpot.llama-3.1-8b"]) == pytest.approx(quickest / 1e-3 - 1.0)
    assert not bool(found.feasible)
    with pytest.raises(Infeasible, match=r"constraints.tpot.llama-3.1-8b 1 ms excludes all \(the nearest has"):
        enumerate_space(study, parts_of_study(study))


def test_what_does_not_fit_has_no_tokens_and_says_by_how_much(tmp_path):
    study = study_of(tmp_path, batch="batch = [4096]", more='[software]\ntechniques = ["none"]\ntp = [1]')
    found = every(study).sel(technique="none").squeeze()
    assert float(found.throughput) == 0.0
    assert not bool(found.feasible)
    assert float(found.excess_memory) > 1.0
    with pytest.raises(Infeasible, match="memory excludes all"):
        enumerate_space(study, parts_of_study(study))


def test_rules_exclude_chips_as_limits_do(tmp_path):
    space = "hbm.stacks = { values = [4, 5, 6] }\ncores = { values = [100, 132] }"
    rules = '[rules]\nbalance = "hbm.stacks * 25 <= cores"\nedge = "die_area < 1"'
    found = every(study_of(tmp_path, space=space, more=f"{rules}\n[software]\ntp = [1]"))
    chips = points(study_of(tmp_path, space=space), 0, 6)
    kept = chips["hbm_stacks"].values * 25.0 <= chips["cores"].values
    assert 0 < kept.sum() < 6
    np.testing.assert_array_equal(found.feasible.sel(technique="none"), kept & (found.excess_reticle.values <= 0.0))
    beyond = chips["hbm_stacks"].values * 25.0 / chips["cores"].values - 1.0
    np.testing.assert_allclose(found.excess_balance.broadcast_like(chips["cores"]), beyond)


def test_words_change_all_that_they_name(tmp_path):
    """Chips along a word are those of studies that name it for the whole device."""
    space = 'link = { values = ["nvlink4-switch", "pcie5-x16"] }\nl2.capacity = { values = ["50MB", "100MB"] }'
    study = study_of(tmp_path, space=space, more="[software]\ntp = [4]")
    found = every(study)
    parts = parts_of_study(study)
    for i, (link, l2) in enumerate((link, l2) for link in ("nvlink4-switch", "pcie5-x16") for l2 in (50e6, 100e6)):
        alone = evaluate(study, parts, link=link, l2_capacity=l2)
        np.testing.assert_allclose(found.throughput.isel(design=i), alone.throughput, rtol=1e-12)
        assert float(found.price.isel(design=i)) == pytest.approx(float(alone.price), rel=1e-12)


def test_a_generation_of_memory_scales_the_device(tmp_path):
    study = study_of(tmp_path, space='hbm.generation = { values = ["hbm3", "hbm3e"] }')
    now, later = (am.load("memory", name) for name in ("hbm3", "hbm3e"))
    before = am.load("device", "h100-sxm")
    chip, _ = design(parts_of_study(study), hbm_generation=points(study, 0, 2)["hbm_generation"])
    rates = before.hbm.bandwidth * np.array([1.0, later.bandwidth / now.bandwidth])
    np.testing.assert_allclose(chip.device.hbm.bandwidth, rates)


SPACES = {
    "l2.capacity": '{ values = ["8MB", "50MB", "400MB"] }',
    "hbm.bandwidth": '{ from = "1TB/s", to = "4TB/s", places = 3 }',
    "hbm.stacks": "{ values = [1, 5, 8] }",
    "hbm.generation": '{ values = ["hbm2", "hbm3e"] }',
    "cores": "{ from = 100, to = 140, step = 20 }",
    "compute.clock": '{ from = "1GHz", to = "2GHz", places = 2 }',
    "dies": "{ values = [1, 2] }",
    "process": '{ values = ["n5", "n7"] }',
    "link": '{ values = ["nvlink4-switch", "pcie5-x16"] }',
    "links": "{ values = [9, 18] }",
    "link.bandwidth": '{ values = ["12.5GB/s", "25GB/s"] }',
    "link.start_up": '{ from = "1us", to = "50us", log = true, places = 2 }',
    "scale_out.bandwidth": '{ values = ["25GB/s"] }',
    "bill.core_area": '{ values = ["2mm2", "4mm2"] }',
    "site.electricity_price": '{ values = ["2.8e-8USD/J"] }',
    "matmul.exposed": "{ from = 0, to = 1, step = 0.5 }",
}
LIMITS = {
    "die_area": ("1mm2", "900mm2"),
    "power": ("1W", "800W"),
    "price": ("1USD", "4000USD"),
    "tpot": ("1us", "20ms"),
    "ttft": ("1us", "1s"),
    "dollars_per_million_tokens": ("0.000001USD", "1USD"),
    "throughput": ("1token/s", "1e9token/s"),
    "carbon": ("1g", "1kg"),
    "joules_per_token": ("1e-9J/token", "10J/token"),
}
RULES = ("hbm.stacks <= 8 * dies", "cores / 0 > 1", "process == 'n5' or tpot < 0.01", "max(l2.capacity, 1) >= price")


@given(
    axes=st.lists(st.sampled_from(list(SPACES)), min_size=1, max_size=3, unique=True),
    objectives=st.lists(st.sampled_from(list(OBJECTIVES)), min_size=1, max_size=3, unique=True),
    limits=st.dictionaries(st.sampled_from(list(LIMITS)), st.integers(0, 1), max_size=3),
    rules=st.lists(st.sampled_from(RULES), max_size=2, unique=True),
    phase=st.sampled_from(["decode", "prefill", "end-to-end"]),
    free=st.booleans(),
)
@settings(max_examples=25)
def test_any_study_is_answered_or_refused(tmp_path_factory, axes, objectives, limits, rules, phase, free):
    space = "\n".join(f"{name} = {SPACES[name]}" for name in axes)
    more = "[rules]\n" + "\n".join(f'r{i} = "{rule}"' for i, rule in enumerate(rules))
    more += "\n[constraints]\n" + "\n".join(f'{name} = "{LIMITS[name][end]}"' for name, end in limits.items())
    more += f'\n[software]\ntechniques = ["none", "preserve"]\ntp = [1, 2]\n{"batch = [1, 8]" if free else ""}'
    quoted = ", ".join(f'"{name}"' for name in objectives)
    folder = tmp_path_factory.mktemp("any")
    path = folder / "any.toml"
    text = (
        HEAD.replace("OBJECTIVES", quoted)
        .replace("SPACE", space)
        .replace("BATCH", "" if free else "batch = [4]")
        .replace("MORE", more)
    )
    path.write_text(text.replace('"decode"', f'"{phase}"'), encoding="utf-8")
    try:
        study = load_study(str(path))
        found = enumerate_space(study, parts_of_study(study))
    except (SpecError, Infeasible) as told:
        assert "\n\n" not in str(told)
        return
    for row in found.best.values():
        assert np.isfinite(row[study.headline])
        assert all(value <= 0.0 for name, value in row.items() if name.startswith("excess_"))
