"""Rows around experts: exchanges, sorting and summing, halves of a batch that take turns; by hand."""

from __future__ import annotations

import numpy as np
import pytest

import accelmodel as am
from accelmodel.inference.operators import operator_table
from accelmodel.inference.step import prepare, totals
from accelmodel.laws.jit import running
from accelmodel.laws.types import EXCHANGE, PRODUCTS

PREFILL = {"phase": "prefill", "batch": 64.0, "context": 1024.0, "dp": 32.0, "ep": 32.0}
DECODE = {"phase": "decode", "batch": 32.0 * 128.0, "context": 1024.0, "dp": 32.0, "ep": 32.0}


def column(table, name, field):
    return table.columns[field][table.names.index(name)]


def test_kernels_follow_the_phase_unless_named():
    for fields, place in (
        (DECODE, 0),
        (PREFILL, 1),
        ({**DECODE, "exchange": 2.0}, 1),
        ({**PREFILL, "exchange": 3.0}, 2),
    ):
        assert column(operator_table("deepseek-v3", fields), "dispatch_moe", "kind") == EXCHANGE + place


@pytest.mark.parametrize(("bits", "width"), [(16.0, 2.0), (8.0, 1 + 4 / 128), (4.0, 0.5 + 1 / 16)])
def test_tokens_travel_at_the_precision_of_activations_and_return_at_16_bit(bits, width):
    table = operator_table("deepseek-v3", {**DECODE, "weight_bits": bits, "activation_bits": bits})
    assert column(table, "dispatch_moe", "message_bytes") == pytest.approx(128 * 8 * 7168 * width, rel=1e-12)
    combine = "combine_into_attention_after_experts"
    assert column(table, combine, "message_bytes") == 128 * 8 * 7168 * 2


def test_copies_are_sorted_gathered_and_summed():
    """Prefill of 2,048 tokens a rank: 2,048 x 8 copies come to the mean rank."""
    table = operator_table("deepseek-v3", PREFILL)
    copies = 2048 * 8
    # they came at 8 bit with a scale of 32 bit for 128
    assert column(table, "expert_gather_moe", "input_bytes") == pytest.approx(copies * 7168 * (1 + 4 / 128), rel=1e-12)
    assert column(table, "expert_gather_moe", "output_bytes") == pytest.approx(copies * 7168, rel=1e-12)
    assert column(table, "expert_sum_moe", "input_bytes") == pytest.approx(copies * 7168 * 2, rel=1e-12)
    assert column(table, "expert_sum_moe", "output_bytes") == pytest.approx(2048 * 7168 * 2, rel=1e-12)
    assert column(table, "expert_sorting_moe", "count") == 2 * 58
    assert column(table, "router_choice_moe", "input_bytes") == 2048 * 256 * 2


def test_kernels_of_low_latency_sort_and_sum_themselves():
    table = operator_table("deepseek-v3", DECODE)
    for name in ("expert_sorting_moe", "expert_gather_moe", "expert_sum_moe"):
        assert column(table, name, "count") == 0.0
    alone = operator_table("deepseek-v3", {**DECODE, "dp": 1.0, "tp": 32.0, "batch": 128.0})
    assert column(alone, "expert_sum_moe", "count") == 58


def times(fields, **more):
    result = am.time_step("deepseek-v3", am.cluster("h100-sxm", 32), {**fields, **more})
    return result, {
        str(name): float(time) for name, time in zip(result.operator.values, result.time.values, strict=True)
    }


@pytest.mark.parametrize("fields", [PREFILL, DECODE])
def test_halves_that_take_turns_by_hand(fields):
    """Each half costs what a step of half the batch costs; of the 116 turns all but one hide the shorter lane."""
    whole, _ = times(fields)
    _, half = times(fields, batch=fields["batch"] / 2.0)
    both, found = times(fields, two_batch=1.0)
    ends = ("embedding", "head", "head_norm", "sampling")
    layers = {name: 2.0 * time for name, time in half.items() if not name.startswith(ends)}
    _, full = times(fields)
    sent = [name for name in layers if name.startswith(("dispatch", "combine"))]
    starts = 2.0 * 58.0 * 25e-6
    sending = sum(layers[name] - starts for name in sent)
    apart = [name for name in layers if name.endswith(("_after_experts", "_moe")) and name not in sent]
    computing = [name for name in apart if not name.startswith(("all_reduce", "tensor_ranks"))]
    table = operator_table("deepseek-v3", fields)
    matmuls = sum(layers[name] for name in computing if column(table, name, "kind") in PRODUCTS)
    others = sum(layers[name] for name in computing) - matmuls
    # matmuls keep to 108 of 132 cores, others have them alone but beside what is sent
    taken = 24.0 / 132.0 if fields is PREFILL else 0.0
    busy = matmuls / (1.0 - taken) + others
    together = max(sending, busy + taken * sending * others / busy)
    gain = (sending + matmuls + others - together) * (1.0 - 1.0 / 116.0)
    expected = sum(layers.values()) + sum(full[name] for name in ends) - gain
    assert float(both.step_time) == pytest.approx(expected, rel=1e-9)  # rounding of sums alone
    assert sum(found.values()) == pytest.approx(float(both.step_time), rel=1e-9)
    assert sum(layers[name] for name in sent) - sum(found[name] for name in sent) == pytest.approx(gain, rel=1e-9)
    assert float(both.tokens_per_s) == pytest.approx(float(whole.tokens_per_s * whole.step_time / both.step_time))


def test_taking_turns_is_an_axis_like_others():
    result = am.time_step("deepseek-v3", am.cluster("h100-sxm", 32), {**PREFILL, "two_batch": [0, 1]})
    for place, value in enumerate((0.0, 1.0)):
        alone = am.time_step("deepseek-v3", am.cluster("h100-sxm", 32), {**PREFILL, "two_batch": value})
        assert float(result.step_time[place]) == pytest.approx(float(alone.step_time), rel=1e-12)


def test_ranks_and_kernels_are_axes():
    fields = {**DECODE, "ep": [1, 8, 32], "imbalance": [0.0, 1.0], "exchange": [0, 2]}
    result = am.time_step("qwen3-235b-a22b", am.cluster("h100-sxm", 32), fields)
    for ep in (1, 8, 32):
        for load in (0.0, 1.0):
            for kernels in (0, 2):
                alone = {**DECODE, "ep": ep, "imbalance": load, "exchange": kernels}
                one = am.time_step("qwen3-235b-a22b", am.cluster("h100-sxm", 32), alone)
                found = result.step_time.sel(ep=ep, imbalance=load, exchange=kernels)
                assert float(found) == pytest.approx(float(one.step_time), rel=1e-12)
    assert np.all(result.step_time.sel(imbalance=0.0) >= result.step_time.sel(imbalance=1.0))


def test_compiled_and_plain_steps_agree(warm):
    for fields in (PREFILL, DECODE):
        inputs = prepare(
            am.load("model", "deepseek-v3"), am.cluster("h100-sxm", 32), am.workload(**fields, two_batch=1)
        )
        found = []
        for form in ("interpreted", "compiled"):
            with running(form):
                found.append(float(totals(inputs).step_time))
        assert found[0] == pytest.approx(found[1], rel=1e-12)  # rounding only
