"""Kernels of experts: constants that made rows are found again in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.calibration import expert_kernels
from accelmodel.specs.load import available


def test_constants_are_found_in_the_rows_that_they_made(warm):
    chip = am.cluster(am.load("device", "h100-sxm"))
    tokens = np.array([1, 8, 64, 512, 4096, 16384] * 2)
    frame = pd.DataFrame(
        {"num_tokens": tokens, "hidden_size": 4096, "inter_size": [1024] * 6 + [8192] * 6, "topk": 8, "num_experts": 64,
         "moe_tp_size": 1, "moe_ep_size": 1, "exponent": 0.0, "active": np.minimum(tokens * 8.0, 64.0),
         "copies": tokens * 8.0, "bits": 16.0}
    ).assign(padded=lambda rows: 16.0 * np.ceil(rows["copies"] / rows["active"] / 16.0))  # fmt: skip
    true = am.override(
        am.load("library", "tensorrt-llm-experts-16bit"),
        expert_start=7e-6, expert_tile_time=2e-6, expert_share=0.6, expert_passes=1.3,
    )  # fmt: skip
    part = expert_kernels.Rows(chip, "moe", frame)
    made = expert_kernels.Rows(chip, "moe", frame.assign(time=part.times(true)))
    found = expert_kernels.solve(am.load("library", "tensorrt-llm-experts-16bit"), [made])
    for name in expert_kernels.CONSTANTS:
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.03), name


def test_a_device_has_the_experts_of_one_library():
    library, device = am.load("library", "tensorrt-llm-experts-16bit"), am.load("device", "h100-sxm")
    for name in ("expert_start", "expert_tile_time", "expert_share"):
        assert getattr(device.matmul, name) == pytest.approx(getattr(library, name), rel=0.02), name


def test_a_library_of_experts_has_constants_inside_their_bounds():
    for name in available("library"):
        library = am.load("library", name)
        if library.expert_share:
            for constant, (low, high) in expert_kernels.CONSTANTS.items():
                assert low <= getattr(library, constant) <= high, (name, constant)
