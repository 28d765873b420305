"""In what state kernels were measured, by whose kernels, and what small kernels were timed with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.inference import operator_time
from accelmodel.inference.operator_time import attention, pointwise, time_columns
from accelmodel.measured.conditions import attention_times, beside_attention, matmul_times
from accelmodel.specs.given import cluster

ROWS = pd.DataFrame(
    {"m": [16.0, 4096.0], "n": [8192.0, 8192.0], "k": [8192.0, 8192.0], "bits": 8.0, "source": "vLLM 0.26.0"}
)


@pytest.mark.parametrize(("device", "alike"), [("arc-pro-b60", True), ("h100-sxm", False)])
def test_kernels_for_one_makers_gpus_say_nothing_of_anothers(device, alike, warm):
    """vLLM calls CUTLASS on NVIDIA's GPUs alone; a library of another maker is the law."""
    chip = am.cluster(device)
    given = operator_time.matmul(ROWS["m"].to_numpy(), ROWS["n"].to_numpy(), ROWS["k"].to_numpy(), 8.0)
    found = matmul_times(ROWS, given, chip)
    other = matmul_times(ROWS.assign(source="given"), given, chip)
    assert (list(found) == list(other)) == alike


def rows(*sources, bits=8.0, heads=32, kv_heads=8):
    """Rows of one shape by several sources: 4 sequences of 1,024 tokens."""
    shape = {"batch": 4, "heads": heads, "kv_heads": kv_heads, "head_dim": 128, "context": 1024, "window": 0}
    return pd.DataFrame([{**shape, "bits": bits, "source": source} for source in sources])


def passed(chip, elements):
    """Time of a kernel that rounds so many elements, all of them from HBM [s]."""
    return time_columns(pointwise(float(elements), 3.0, 2.0, 1.0), chip)[0][0]


def test_queries_are_rounded_by_vllm_and_all_three_tensors_by_sglang():
    chip = cluster("h100-sxm")
    frame = rows("vLLM 1", "SGLang 1", "SGLang 1, 8-bit queries", "vLLM 1, FlashInfer", "TensorRT-LLM 1")
    found = beside_attention("prefill attention", frame, 0.0, chip)
    queries, keys = passed(chip, 4 * 1024 * 128 * 32), passed(chip, 4 * 1024 * 128 * 8)
    rotation = time_columns(pointwise(1.0, 0.0, 0.0, 0.0), chip)[0][0]
    assert found == pytest.approx([queries, queries + 2.0 * keys, 0.0, 0.0, rotation], rel=1e-12)  # sums alone


def test_nothing_is_rounded_for_a_cache_of_16_bit():
    found = beside_attention("decode attention", rows("vLLM 1", "SGLang 1", bits=16.0), 0.0, cluster("h100-sxm"))
    assert found.tolist() == [0.0, 0.0]


def test_only_kernels_of_tensorrt_llm_take_narrow_keys_of_several_heads_as_they_lie():
    # 1.07 GB of keys at 8 bit on an H200: 12 values a clock and core are 2.8 TB/s, its memory gives more
    chip = cluster("h200-sxm")
    times = {}
    for heads in (8, 32):
        frame = rows("vLLM 1", "TensorRT-LLM 1", heads=heads)
        given = attention("decode", 64.0, float(heads), 8.0, 128.0, 8192.0, kv_bits=8.0)
        given = {name: np.full(2, value) for name, value in given.items()}
        times[heads] = attention_times(frame, given, chip)
    assert times[8][0] == times[8][1]
    assert times[32][1] < 0.8 * times[32][0]
