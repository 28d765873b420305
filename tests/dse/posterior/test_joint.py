"""The optimum with its probability: joint draws against single ones, limits, and what is known by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from accelmodel.costs.bill import bill
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.posterior import answers
from accelmodel.dse.posterior.draws import Draws, draw
from accelmodel.dse.posterior.joint import posterior
from accelmodel.dse.posterior.priors import Prior, priors
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.errors import SpecError
from accelmodel.specs.base import with_values
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
die_area = "630mm2"
shoreline = 20
reticle = 20
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


def with_what_is_left(parts):
    """Return the parts with the rest of the die and of the power by hand: what cores, L2, stacks and links leave."""
    device, bill, memory, phy = parts.device, parts.bill, parts.memory, parts.phy
    stacks, links, cores = device.hbm.stacks, parts.link.bandwidth / phy.bandwidth, device.compute.cores
    l2 = device.l2.capacity
    area = l2 * parts.process.sram_area + stacks * memory.area + links * phy.area + cores * bill.core_area
    power = l2 * bill.sram_power + stacks * memory.power + links * phy.power + cores * bill.core_power
    left = {"uncore_area": max(device.die_area - area, 0.0), "uncore_power": max(device.power - power, 0.0)}
    return replace(parts, bill=with_values(bill, left))


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
                if prior.part == "process":
                    single = replace(single, base=spec)  # of the same file
        result = evaluate(study, with_what_is_left(single), errors, l2_capacity=xr.DataArray(sizes, dims="design"))
        for technique in study.techniques:
            score = result[study.headline].sel(technique=technique)
            found[technique].append(np.where(result.feasible.sel(technique=technique), score, 0.0))
    return {technique: np.array(each) for technique, each in found.items()}


@pytest.mark.parametrize(("phase", "count"), [("decode", 10), ("end-to-end", 3)])
def test_the_joint_call_is_what_single_calls_say(warm, tiny, parts, phase, count):
    tiny = tiny.model_copy(update={"workload": tiny.workload.model_copy(update={"phase": phase})})
    sizes = tiny.axes()["l2_capacity"].grid
    draws = draw(priors(tiny, parts), count, seed=3)
    slow = one_by_one(tiny, parts, draws, sizes)
    fast = answers.scored(tiny, parts, {"l2_capacity": sizes}, draws)
    for technique in tiny.techniques:
        np.testing.assert_allclose(fast[technique], slow[technique], rtol=1e-9)
    everything = np.array(list(slow.values()))
    assert 0 < (everything == 0.0).sum() < everything.size  # some chips break the limit


def test_a_constant_drawn_over_its_range_is_the_direct_sweep(warm, tiny, parts):
    """The optimum's distribution is what a grid over the one constant says, counted."""
    found = posterior(tiny, parts, 128, prior=[SRAM])
    grid = Draws((SRAM,), np.linspace(0.2e-12, 3e-12, 2001)[:, None])
    sweep = answers.scored(tiny, parts, found.chips, grid)
    for technique in tiny.techniques:
        best = answers.numbers_of(tiny, sweep, found.values)[technique]
        for size in found.values:
            expected = np.mean(best == size)
            assert np.mean(found.numbers[technique] == size) == pytest.approx(expected, abs=1.0 / 128.0)
    assert len(np.unique(found.numbers["preserve"])) > 1  # it moves


def test_constants_without_a_range_give_the_answer_as_given(warm, tiny, parts):
    fixed = [replace(each, low=each.nominal, high=each.nominal) for each in priors(tiny, parts)]
    found = posterior(tiny, parts, 5, prior=fixed)
    for name, values in found.numbers.items():
        assert values == pytest.approx(np.full(5, found.as_given[name]), rel=1e-12)
    chips = {name: xr.DataArray(values, dims="design") for name, values in found.chips.items()}
    result = evaluate(tiny, parts, **chips)
    score = result.throughput_per_area.sel(technique="preserve").where(result.feasible.sel(technique="preserve"), 0.0)
    assert found.as_given["preserve"] == found.values[int(score.values.argmax())]
    assert found.robust() == found.of_nominal()
    assert found.robust().expected == 0.0
    assert not found.worth.any()
    assert found.sobol == {}


def test_probabilities_of_what_is_certain(warm, tiny, parts):
    found = posterior(tiny, parts, 16)
    assert 0.5 < found.answered <= 1.0
    for technique in tiny.techniques:
        assert found.at_least(8e6, technique) == found.answered
        assert found.at_least(192e6 + 1.0, technique) == 0.0
        assert found.at_least(104e6, technique) == np.mean(found.numbers[technique] >= 104e6)
    gain = found.numbers["gain"]
    assert (gain[np.isfinite(gain)] >= 1.0).all()  # software may leave prefetching off
    assert (np.diff(found.feasible()) <= 0.0).all()  # more L2 is more area
    assert found.feasible()[-1] < 1.0


def test_limits_that_nothing_keeps_to(warm, tiny, parts):
    tight = tiny.model_copy(update={"constraints": tiny.constraints.model_copy(update={"die_area": "1mm2"})})
    found = posterior(tight, parts, 8)
    assert (found.answered, found.at_least(8e6), found.feasible().max()) == (0.0, 0.0, 0.0)
    assert np.isnan(found.interval("gain")).all()
    data = found.to_dataset()
    assert not data.answered.any()
    assert not data.best.any()


def test_a_seed_gives_the_same_answer(warm, tiny, parts):
    one, same, other = (posterior(tiny, parts, 32, seed=seed) for seed in (1, 1, 2))
    assert one.to_dataset().identical(same.to_dataset())
    assert one.sobol == same.sobol
    assert not one.to_dataset().identical(other.to_dataset())


def test_triangular_draws_are_nearer_to_the_values_as_given(warm, tiny, parts):
    spans = {}
    for prior in ("uniform", "triangular"):
        found = posterior(tiny, parts, 64, prior=prior)
        place = found.names.index("device.matrix_share")
        spans[prior] = np.ptp(np.quantile(found.draws.values[:, place], [0.05, 0.95]))
        assert found.prior == prior
    assert spans["triangular"] < 0.8 * spans["uniform"]


def test_chips_of_ones_own_are_compared(warm, tiny, parts):
    chips = {"l2_capacity": [8e6, 104e6, 104e6], "hbm_stacks": [4.0, 2.0, 4.0]}
    found = posterior(tiny, parts, 8, chips=chips)
    assert found.score["none"].shape == (8, 3)
    # at batch 4 decode waits for memory
    assert (found.score["none"][:, 2] >= found.score["none"][:, 1]).mean() > 0.5
    data = found.to_dataset()
    assert data.hbm_stacks.values.tolist() == [4.0, 2.0, 4.0]
    assert data.sizes == {"technique": 2, "draw": 8, "design": 3, "constant": len(found.names)}
    best = np.where(data.answered, found.numbers["preserve"], 0.0)
    np.testing.assert_array_equal(data.best.sel(technique="preserve"), best)


def test_parts_of_the_draws_do_not_matter(warm, tiny, parts, monkeypatch):
    draws = draw(priors(tiny, parts), 10)
    chips = {"l2_capacity": tiny.axes()["l2_capacity"].grid}
    whole = answers.scored(tiny, parts, chips, draws)
    done = []
    monkeypatch.setattr(answers, "_POINTS", 12)
    cut = answers.scored(tiny, parts, chips, draws, done.append)
    assert done == [4, 4, 2]
    for technique, score in whole.items():
        np.testing.assert_allclose(cut[technique], score, rtol=1e-12)


def test_wrong_questions_are_refused(tiny, parts):
    for draws in (0, -1, 1.5, True, "many"):
        with pytest.raises(SpecError, match="draws: .* is no whole number of at least 1"):
            posterior(tiny, parts, draws)
    with pytest.raises(SpecError, match=r"joint draws: draws 1,000,000,000 x designs 3 .* at most"):
        posterior(tiny, parts, 10**9)
    with pytest.raises(SpecError, match="seed: -1 is no whole number"):
        posterior(tiny, parts, 4, seed=-1)
    with pytest.raises(SpecError, match="is neither uniform nor triangular nor a list of Prior"):
        posterior(tiny, parts, 4, prior=["uniform"])
    with pytest.raises(SpecError, match="is not in its range"):
        posterior(tiny, parts, 4, prior=[replace(SRAM, nominal=9e-12)])
    with pytest.raises(SpecError, match="unknown shape 'gauss'"):
        posterior(tiny, parts, 4, prior=[replace(SRAM, shape="gauss")])
    with pytest.raises(SpecError, match="give l2_capacity"):
        posterior(tiny, parts, 4, chips={"cores": [24.0]})
    with pytest.raises(SpecError, match="are no numbers in SI"):
        posterior(tiny, parts, 4, chips={"l2.capacity": ["8MB"]})
    found = posterior(tiny, parts, 4)
    with pytest.raises(SpecError, match="unknown technique of this study 'preserved', did you mean 'preserve'"):
        found.at_least(64e6, "preserved")
    with pytest.raises(SpecError, match="unknown number of the answer 'gains', did you mean 'gain'"):
        found.interval("gains")


def test_the_chip_that_exists_can_be_in_every_draw(tiny, parts):
    """Where PHYs are drawn so wide that the reference chip has no room for them the draw is left out."""
    device, link = parts.device, parts.link
    edge = Prior("memory", "edge", "assumed", "m", "uniform", "linear", 0.005, 0.007, 0.05)
    found = posterior(tiny, parts, 400, prior=[edge])
    widest = found.draws.values.max()
    assert 0.0 < found.impossible < 1.0
    assert len(found.draws) == 400
    for width, room in ((widest, True), (1.02 * widest, False)):
        chip = replace(parts, memory=with_values(parts.memory, {"edge": float(width)}))
        needed = bill(chip, device.compute.cores, device.l2.capacity, device.hbm.stacks, link.links)["shoreline"]
        assert (needed <= 1.0) == room
    # of a uniform width as many are left out as are wider than the widest that can be
    assert found.impossible == pytest.approx((0.05 - widest) / (0.05 - 0.005), abs=0.02)
    with pytest.raises(SpecError, match=r"itself can be in 0\.0% of the draws"):
        posterior(tiny, parts, 4, prior=[replace(edge, low=0.2, nominal=0.3, high=0.4)])


def test_a_posterior_is_told_in_a_line(tiny, parts):
    assert (
        repr(posterior(tiny, parts, 3, prior=[SRAM])) == "<Posterior of tiny along l2_capacity: 3 draws of 1 constants>"
    )


def test_wrong_priors_are_refused(tiny, parts):
    with pytest.raises(SpecError, match="unknown prior 'flat'"):
        posterior(tiny, parts, 4, prior="flat")
