"""In what state matmuls were measured, and by whose kernels."""

from __future__ import annotations

import pandas as pd
import pytest

import accelmodel as am
from accelmodel.inference import operator_time
from accelmodel.measured.conditions import matmul_times

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
