"""Layers of experts: operators by hand, invariants, and what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.measured import aiconfigurator, experts
from accelmodel.validation import operators as accuracy

NEEDS_SILICON = pytest.mark.skipif(not aiconfigurator.installed(), reason="pip install 'accelmodel[silicon]'")
EXPERTS = pd.DataFrame(
    {
        "num_tokens": [64, 64], "hidden_size": 4096, "inter_size": 2048, "topk": 8, "num_experts": 64, "moe_tp_size": 2,
        "moe_ep_size": [1, 8], "exponent": 0.0, "active": [64.0, 8.0], "copies": [512.0, 64.0], "padded": 16.0,
        "bits": 16.0, "source": "vLLM 1, Triton", "time": 1e-3,
    }
)  # fmt: skip


def test_products_of_experts_by_hand():
    found = experts.operators(EXPERTS)
    up, down = found["expert_up"], found["expert_down"]
    # 8 copies an expert, in tiles of 16; half of 2048 columns, twice for the gate
    assert np.asarray(up["m"]).tolist() == [16.0, 16.0]
    assert np.asarray(up["groups"]).tolist() == [64.0, 8.0]
    assert np.asarray(up["n"]).tolist() == [2048.0, 2048.0]
    assert np.asarray(down["k"]).tolist() == [1024.0, 1024.0]
    assert np.asarray(up["weight_bytes"]).tolist() == [64 * 2048 * 4096 * 2, 8 * 2048 * 4096 * 2]
    flops, moved, bits = experts.work("moe", EXPERTS)
    # 512 copies, 3 matrices of 4096 x 1024
    assert flops[0] == 2 * 512 * 3 * 4096 * 1024
    # weights, and activations of both matmuls in and out at two bytes
    assert moved[0] == 2 * (64 * 3 * 4096 * 1024 + 512 * (4096 + 2048 + 1024 + 4096))
    assert bits.tolist() == [16.0, 16.0]


def test_copies_of_other_ranks_are_passed_over():
    own, every = experts.operators(EXPERTS), experts.operators(EXPERTS, 1.0)
    # all 512 copies in place of 64, and zeros for 448: two times 1024 columns and 4096
    assert every["expert_sum"]["input_bytes"].tolist() == [512 * 4096 * 2] * 2
    zeros = every["expert_activation"]["output_bytes"] - np.array([1.0, 8.0]) * own["expert_activation"]["output_bytes"]
    assert zeros.tolist() == [0.0, 448 * (2 * 1024 + 4096) * 2]


def test_more_ranks_and_more_bandwidth_are_never_slower(warm):
    chip = am.cluster(am.load("device", "h100-sxm"))
    alone, spread = experts.predict("moe", EXPERTS, chip)
    assert spread < alone
    faster = am.cluster(am.override(chip.device, hbm_bandwidth=2.0 * chip.device.hbm_bandwidth))
    assert (experts.predict("moe", EXPERTS, faster) <= np.array([alone, spread])).all()


def test_rows_beyond_the_peaks_are_left_out():
    device = am.load("device", "h100-sxm")
    # 64 experts' weights, 1.6 GB, do not come in 0.4 ms at 3.35 TB/s
    assert experts.impossible("moe", EXPERTS.assign(time=4e-4), device).tolist() == [True, False]
    assert not experts.impossible("moe", EXPERTS, device).any()


def test_rows_that_more_tokens_outrun_are_left_out():
    times = [1e-3, 1.4e-3, 9e-4, 2e-3]
    rows = pd.DataFrame(
        {"num_tokens": [1, 2, 4, 8], "hidden_size": 1, "inter_size": 1, "topk": 1, "num_experts": 1, "moe_tp_size": 1,
         "moe_ep_size": 1, "exponent": 0.0, "time": times}
    )  # fmt: skip
    # 1.4 ms are more than 1.5 times 0.9 ms, 1 ms are not
    assert experts._tuned(rows).tolist() == [True, False, True, True]


def test_sources_find_their_libraries():
    found = {
        (source, bits): experts.library_of(source, bits).name
        for source, bits in (
            ("vLLM 0.24.0, Triton", 16.0), ("vLLM 0.24.0, Triton, block scales", 8.0),
            ("TensorRT-LLM 1.3, CUTLASS", 8.0), ("TensorRT-LLM 1.3, CUTLASS, block scales", 8.0),
            ("SGLang 0.5.14, trtllm-gen", 4.0),
        )
    }  # fmt: skip
    assert list(found.values()) == [
        "vllm-experts-16bit", "vllm-experts-8bit", "tensorrt-llm-experts-8bit", "block-scaled-experts-8bit",
        "trtllm-gen-experts-4bit",
    ]  # fmt: skip
    assert experts.library_of("nobody 1, Triton", 16.0) is None


@NEEDS_SILICON
@pytest.mark.parametrize(("name", "most"), [("h200-sxm", 0.17), ("gb200", 0.23)])
def test_measured_experts_beat_the_roofline(name, most, warm):
    """Of GB200 no row was fitted."""
    device = am.load("device", name)
    rows = list(accuracy.layer_rows(device, "moe", am.cluster(device), accuracy.NOT_FITTED))
    assert rows
    for row in rows:
        assert row["split"] == "held-out"
        assert row["n"] >= 100, row
        assert row["median_ape"] < row["field_median_ape"], row
        # tiles of SGLang's 16-bit kernels were tuned for few shapes
        assert row["median_ape"] < (0.27 if row["source"] == "SGLang 0.5.14, Triton" else most), row
    sources = {row["source"] for row in rows if row["precision"] == "8 bit"}
    assert {source.endswith("block scales") for source in sources} >= {True}
