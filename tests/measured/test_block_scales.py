"""fp8 weights with a scale for each block, against DeepGEMM's measured kernels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from accelmodel.calibration import libraries
from accelmodel.measured import block_scales
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load
from accelmodel.validation import operators as accuracy

KIND = "block-scaled matmul"
ROWS = pd.DataFrame({"m": [1, 4096], "n": 8192, "k": 8192, "bits": 8.0, "source": "DeepGEMM in SGLang 1", "time": 1.0})


def test_work_by_hand():
    flops, moved, bits = block_scales.work(KIND, ROWS)
    assert flops.tolist() == [2 * 8192**2, 2 * 4096 * 8192**2]
    assert moved.tolist() == [8192**2 + 8192 + 2 * 8192, 8192**2 + 4096 * 8192 + 2 * 4096 * 8192]
    assert bits.tolist() == [8.0, 8.0]


def test_only_kernels_of_the_library_are_read_and_it_is_fitted_to_a_part_of_them():
    pytest.importorskip("aiconfigurator_core")
    frame, left_out = block_scales.rows(load("device", "h100-sxm"), KIND)
    assert set(frame["source"].str.split(" in ").str[0]) == {"DeepGEMM"}
    assert left_out > 0  # CUTLASS and Triton
    assert 0.6 < np.mean(block_scales.training(KIND, frame)) < 0.8
    own = libraries.training_rows(load("library", block_scales.LIBRARY), ["h100-sxm"])["h100-sxm"]
    shapes = frame[block_scales.training(KIND, frame)]
    assert set(zip(own.m, own.n, own.k, strict=True)) <= set(zip(shapes["m"], shapes["n"], shapes["k"], strict=True))


@pytest.mark.parametrize("name", ["h100-sxm", "b200-sxm", "gb200"])
def test_the_library_stands_on_rows_that_it_was_not_fitted_to(name, warm):
    """GB200 was not fitted at all.  The law of the best library's kernels errs by 23 to 39 %."""
    pytest.importorskip("aiconfigurator_core")
    device = load("device", name)
    rows = list(accuracy.layer_rows(device, KIND, cluster(device), accuracy.NOT_FITTED))
    assert rows
    for row in rows:
        assert row["split"] == "held-out"
        assert row["median_ape"] < 0.13, row
        assert row["median_ape"] < 0.5 * row["field_median_ape"], row


def test_a_device_without_rows():
    pytest.importorskip("aiconfigurator_core")
    assert len(block_scales.rows(load("device", "a100-sxm-80gb"), KIND)[0]) == 0
