"""How experts are spread over ranks and loaded: by hand, against drawn routings, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device
from accelmodel.inference.operators import operator_table
from accelmodel.inference.routing import held_experts, random_imbalance
from accelmodel.specs.layer_kinds import Experts
from accelmodel.specs.workload import Workload

#: one of DeepSeek-V3's experts [B], at 8 bit with a scale of 32 bit for each block of 128 by 128
EXPERT = 3 * 7168 * 2048 * 8.001953125 / 8
KIND = Experts("experts", 58.0, 256.0, 8.0, 2048.0)


def decode(ep: float, **fields: float) -> Workload:
    return Workload("decode", **{"batch": ep * 32.0, "context": 4096.0, "dp": ep, "ep": ep, **fields})


def column(table, name, field):
    return table.columns[field][table.names.index(name)]


@pytest.mark.parametrize(
    ("ep", "redundant", "held"), [(8, 0, 32), (144, 0, 2), (144, 32, 2), (320, 64, 1), (72, 32, 4), (24, 0, 11)]
)
def test_experts_of_the_busiest_rank(ep, redundant, held):
    work = decode(float(ep), redundant_experts=float(redundant))
    assert held_experts(KIND, work) == held
    # of weights, experts are what a rank holds of them
    with_experts = memory_per_device(am.load("model", "deepseek-v3"), work)["weights"]
    whole = memory_per_device(am.load("model", "deepseek-v3"), decode(256.0))["weights"]
    assert with_experts - whole == pytest.approx((held - 1) * 58 * EXPERT, rel=1e-9)  # rounding of sums alone


def test_load_follows_what_a_rank_holds():
    """Copies that come to it: of all 8 a token, its experts' share; redundant ones share theirs with the first."""
    for ep, redundant, held in ((144.0, 0.0, 2.0), (144.0, 32.0, 2.0), (320.0, 64.0, 1.0)):
        table = operator_table("deepseek-v3", decode(ep, redundant_experts=redundant))
        copies = column(table, "expert_up_moe", "flops") / (2 * 2 * 2048 * 7168)
        assert copies == pytest.approx(ep * 32 * 8 * held / (256 + redundant), rel=1e-12)


def test_imbalance_loads_the_busiest_rank_and_its_link():
    even, busy = (operator_table("deepseek-v3", decode(32.0, imbalance=each)) for each in (1.0, 1.25))
    for name, field in (
        ("expert_up_moe", "input_bytes"),
        ("dispatch_moe", "message_bytes"),
        ("expert_up_moe", "flops"),
    ):
        assert column(busy, name, field) == pytest.approx(1.25 * column(even, name, field), rel=1e-12)
    assert column(busy, "expert_up_moe", "weight_bytes") == column(even, "expert_up_moe", "weight_bytes")


@pytest.mark.parametrize(("tokens", "used", "experts", "ranks"), [
    (32, 8, 256, 32), (128, 8, 256, 32), (4096, 8, 256, 32), (512, 8, 256, 64), (64, 4, 128, 8), (2048, 2, 8, 8),
])  # fmt: skip
def test_random_routing_against_drawn_ones(tokens, used, experts, ranks):
    rng = np.random.default_rng(0)
    draws = 400 if tokens < 1000 else 60
    busiest = []
    for _ in range(draws):
        chosen = np.argpartition(rng.random((tokens, experts)), used - 1, axis=1)[:, :used]
        busiest.append(np.bincount(chosen.ravel() * ranks // experts, minlength=ranks).max())
    mean = tokens * used / ranks
    found = random_imbalance(float(tokens), float(used), float(experts), float(ranks))
    # 3 %: ranks share a sum, which is left out, and the draws err by up to 1 %
    assert found == pytest.approx(np.mean(busiest) / mean, rel=0.03)


def test_limits_of_random_routing():
    assert random_imbalance(64.0, 8.0, 256.0, 1.0) == 1.0
    # one token, all of whose experts may lie on one of two ranks: never more than it has
    assert random_imbalance(1.0, 2.0, 64.0, 2.0) <= 2.0
    assert random_imbalance(1e9, 8.0, 256.0, 32.0) == pytest.approx(1.0, abs=1e-3)


def test_random_routing_is_a_choice_of_the_workload():
    even, random = (operator_table("deepseek-v3", decode(32.0, imbalance=each)) for each in (1.0, 0.0))
    found = column(random, "expert_up_moe", "flops") / column(even, "expert_up_moe", "flops")
    assert found == pytest.approx(random_imbalance(32.0 * 32.0, 8.0, 256.0, 32.0), rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dp": 8.0, "ep": 3.0}, "ep must divide tp x dp, 8, and is 3"),
        ({"dp": 320.0, "ep": 320.0}, "exceeds the 256 experts .* give redundant_experts 64 or more"),
        ({"dp": 8.0, "ep": 1.0, "redundant_experts": 8.0}, "redundant_experts needs ep above 1"),
        ({"tp": 8.0, "dp": 1.0, "ep": 8.0, "two_batch": 1.0}, "it needs ep and dp above 1"),
        ({"batch": 8.0, "dp": 8.0, "ep": 8.0, "two_batch": 1.0}, "two sequences on each"),
    ],
)
def test_impossible_experts_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        operator_table("deepseek-v3", {"phase": "decode", "batch": 64.0, "context": 1024.0, **fields})


@pytest.mark.parametrize(
    "field", [{"redundant_experts": 1.0}, {"imbalance": 1.5}, {"two_batch": 1.0}, {"exchange": 1.0}]
)
def test_models_without_experts_refuse_what_is_of_experts(field):
    with pytest.raises(SpecError, match="has no experts"):
        operator_table("llama-3-8b", {"phase": "decode", "batch": 64.0, "context": 1024.0, **field})


@pytest.mark.parametrize(("field", "value"), [("imbalance", 0.5), ("two_batch", 0.5), ("exchange", 1.5)])
def test_values_between_are_refused(field, value):
    with pytest.raises(SpecError, match=field):
        am.workload(phase="decode", batch=1, context=1, **{field: value})


def test_answers_say_how_tokens_come_to_experts():
    found = am.time_step("deepseek-v3", am.cluster("h100-sxm", 32), decode(32.0)).attrs
    assert '"exchange": "low-latency"' in found["experts"]
    assert "1 x the mean (imbalance); low-latency kernels send them" in found["notes"]
    found = am.time_step("deepseek-v3", am.cluster("h100-sxm", 24), decode(24.0, redundant_experts=8.0)).attrs
    assert '"held": 11.0, "redundant": 8.0' in found["experts"]
    found = am.time_step("deepseek-v3", am.cluster("h100-sxm", 24), decode(24.0)).attrs
    assert "ep does not divide the 256 experts: the busiest rank, which holds 11, is timed" in found["notes"]
    assert "experts" not in am.time_step("llama-3-8b", "h100-sxm", {"phase": "decode", "batch": 1, "context": 9}).attrs
