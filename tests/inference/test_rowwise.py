"""Rows that are worked on one by one, and what engines run apart; by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import accelmodel as am
from accelmodel.inference.machine import machine
from accelmodel.inference.operators import operator_table
from accelmodel.inference.rowwise import rowwise, softmax
from accelmodel.inference.step import prepare, time_step, totals
from accelmodel.laws.elementwise import PARTS, PLAIN, ROW_WIDTH, SWEEP
from accelmodel.laws.types import ELEMENTWISE, ROW
from accelmodel.specs.cloud import FUSED, Software

DECODE = {"phase": "decode", "batch": 4.0, "context": 1024.0}
PREFILL = {"phase": "prefill", "batch": 1.0, "context": 512.0}


def row(table, name):
    place = table.names.index(name)
    return {field: values[place] for field, values in table.columns.items()}


def test_a_norm_adds_and_sweeps_twice():
    """Llama-3-8B: 4 tokens of 4,096 numbers; stream and addend in, sum and copy out, the sum read once more."""
    found = row(operator_table("llama-3-8b", DECODE), "attention_norm")
    assert (found["kind"], found["groups"], found["n"], found["m"]) == (ROW, 4.0, 2.0, 1.0)
    size = 4 * 4096 * 2
    assert (found["input_bytes"], found["output_bytes"], found["message_bytes"]) == (2 * size, 2 * size, size)


def test_activation_goes_in_blocks_and_rotary_in_rows_of_tokens():
    table = operator_table("llama-3-8b", {**DECODE, "tp": 2.0})
    activation, rotary = row(table, "mlp_activation"), row(table, "rotary_and_cache")
    # no row holds the elements of an activation together: blocks of 2,048
    assert (activation["groups"], activation["n"], activation["message_bytes"]) == (4 * 7168 / 2048, 1.0, 0.0)
    assert (activation["input_bytes"], activation["output_bytes"]) == (4 * 7168 * 4, 4 * 7168 * 2)
    # the angles are looked up first; 16 query heads, 4 of keys and 4 of values of 128
    assert (rotary["groups"], rotary["n"]) == (4.0, 2.0)
    assert rotary["input_bytes"] == 4 * 24 * 128 * 2


def test_short_rows_share_a_core():
    columns = rowwise(64.0, 128.0, 6.0, (2.0, 2.0, 2.0), sweeps=2.0)
    assert columns["groups"] == 4.0
    assert columns["input_bytes"] == 64 * 128 * 2
    assert rowwise(8.0, 128.0, 6.0, (2.0, 2.0, 2.0))["groups"] == 1.0
    assert rowwise(8.0, 1025.0, 6.0, (2.0, 2.0, 2.0))["groups"] == 8.0


def test_softmax_keeps_short_rows():
    short, long = softmax(32.0, 1024.0, 2.0), softmax(32.0, 2048.0, 2.0)
    assert (short["n"], short["message_bytes"]) == (2.0, 32 * 1024 * 2)
    assert (long["n"], long["message_bytes"]) == (3.0, 32 * 2048 * 2 * 2)


def test_norms_of_queries_and_keys_are_in_the_rotary_kernel_or_apart():
    fused = operator_table("qwen3-8b", DECODE)
    assert "query_key_norm" not in fused.names
    assert row(fused, "rotary_and_cache")["n"] == 3.0
    apart = operator_table("qwen3-8b", DECODE, unfused=("norm",))
    own = row(apart, "query_key_norm")
    # 4 tokens of 32 + 8 heads of 128, 16 beside each other
    assert own["groups"] == pytest.approx(4 * 40 / 16)
    assert row(apart, "rotary_and_cache")["n"] == 2.0


def test_latent_vectors_are_normed():
    found = row(operator_table("deepseek-v3", DECODE), "latent_norm")
    assert found["input_bytes"] == 4 * (1536 + 512) * 2


@pytest.mark.parametrize(
    ("word", "more"),
    [
        ("norm", {"attention_addition", "mlp_addition", "head_addition"}),
        ("activation", {"mlp_product"}),
        ("rotary", {"cache_write"}),
        ("softmax", {"sampling_softmax"}),
    ],
)
def test_what_runs_apart_is_a_row_of_its_own(word, more):
    assert word in FUSED
    fused, apart = operator_table("llama-3-8b", DECODE), operator_table("llama-3-8b", DECODE, unfused=(word,))
    assert set(apart.names) - set(fused.names) == more
    assert set(fused.names) <= set(apart.names)


def test_a_norm_apart_moves_one_stream_and_loads_value_by_value():
    table = operator_table("llama-3-8b", DECODE, unfused=("norm",))
    size = 4 * 4096 * 2
    addition, norm = row(table, "attention_addition"), row(table, "attention_norm")
    assert (addition["kind"], addition["input_bytes"], addition["output_bytes"]) == (ELEMENTWISE, 2 * size, size)
    assert (norm["m"], norm["input_bytes"], norm["output_bytes"]) == (PLAIN, size, size)


def test_rounding_apart_stands_before_each_matmul_of_narrow_activations():
    work = {**DECODE, "weight_bits": 8.0, "activation_bits": 8.0}
    fused, apart = (operator_table("llama-3-8b", work, unfused=each) for each in ((), ("quantise",)))
    more = set(apart.names) - set(fused.names)
    assert more == {f"{name}_rounding" for name in ("qkv_projection", "output_projection", "mlp_up", "mlp_down")}
    # 16 bit in, 8 bit out, of 4 tokens; the norm before leaves 16 bit
    found = row(apart, "qkv_projection_rounding")
    assert (found["groups"], found["input_bytes"], found["output_bytes"]) == (4.0, 4 * 4096 * 2, 4 * 4096)
    assert row(apart, "attention_norm")["output_bytes"] - row(fused, "attention_norm")["output_bytes"] == 4 * 4096
    # a latent model rounds for each product with weights of its stream, once for what reads the same
    latent = operator_table("deepseek-v3", work, unfused=("quantise",))
    assert not {name for name in latent.names if name.startswith(("router_rounding", "absorb_keys_rounding"))}
    assert "expert_down_rounding_moe" in latent.names
    assert "expert_up_rounding_moe" not in latent.names
    wide = operator_table("llama-3-8b", DECODE, unfused=("quantise",))
    assert wide.names == operator_table("llama-3-8b", DECODE).names


@pytest.mark.parametrize("model", ["llama-3-8b", "qwen3-30b-a3b", "deepseek-v3", "gemma-3-27b"])
@pytest.mark.parametrize("work", [DECODE, PREFILL, {**DECODE, "phase": "mixed", "prefill_tokens": 256.0}])
def test_kernels_apart_never_take_less(model, work, warm):
    cluster = am.cluster("h200-sxm", 8)
    asked = am.workload(**work, tp=8.0)
    run_by = [replace(cluster, software=Software(words)) for words in ((), *((word,) for word in FUSED), FUSED)]
    times = [float(totals(prepare(am.load("model", model), each, asked)).step_time) for each in run_by]
    assert min(times[1:-1]) >= times[0] * (1.0 - 1e-12)
    assert times[-1] >= max(times[:-1]) * (1.0 - 1e-12)


def test_an_engine_says_what_runs_apart(warm):
    work = am.workload(**DECODE)
    fused, apart = (time_step("llama-3-8b", "h100-sxm", work, engine=each) for each in ("in-flight", "transformers"))
    assert "attention_addition" not in fused.operator
    assert "attention_addition" in apart.operator
    assert float(apart.step_time) > float(fused.step_time)


def test_what_cores_draw_follows_the_width_by_hand():
    found = machine(am.cluster("h100-sxm"))
    clock, cores = 1.83e9, 132
    assert found["sweep_time"] == pytest.approx(SWEEP / clock)
    # four rows at a time, each at its width
    assert found["row_time"] == pytest.approx(1 / (ROW_WIDTH * clock))
    assert found["rows_held"] == pytest.approx(PARTS * cores)
    # a narrow core has one row; of a wide one each draws a quarter
    for width, alone, held in ((6.5, 6.5, 1), (1300.0, 325.0, 100)):
        found = machine(am.cluster(am.override(am.load("device", "h100-sxm"), {"rows.width": width})))
        assert found["row_time"] == pytest.approx(1 / (alone * clock))
        assert found["rows_held"] == pytest.approx(held * cores)


def test_width_follows_from_l2_where_no_file_says():
    device = am.load("device", "tpu-v5e")
    expected = device.l2.bandwidth / (device.compute.cores * device.compute.clock)
    assert device.rows.width == pytest.approx(expected)
    assert np.isfinite(device.rows.width)
