"""Weights that alone are narrow, against measured kernels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from accelmodel.measured import aiconfigurator, weight_only
from accelmodel.specs.given import cluster, override
from accelmodel.specs.load import load

KIND = "weight-only matmul"
ROWS = pd.DataFrame(
    {"m": [1, 4096], "n": [8192, 8192], "k": [8192, 8192], "bits": [4.0, 8.0], "source": "TensorRT-LLM 1"}
)


def test_columns():
    given = weight_only.columns(ROWS)
    assert given["narrow"].tolist() == [0.25, 0.5]
    assert given["weight_bytes"].tolist() == [8192**2 / 2, 8192**2]
    assert given["input_bytes"].tolist() == [2 * 8192, 2 * 4096 * 8192]
    flops, moved, bits = weight_only.work(KIND, ROWS)
    assert flops[0] == 2 * 8192**2
    assert moved[0] == 8192**2 / 2 + 2 * 8192 + 2 * 8192
    assert bits.tolist() == [16.0, 16.0]


def test_a_device_without_rows():
    pytest.importorskip("aiconfigurator_core")
    frame, left_out = weight_only.rows(load("device", "l40s"), KIND)
    assert (len(frame), left_out) == (0, 0)


def test_the_derived_constant_stands_against_kernels_of_the_a100():
    """Of weights that L2 does not hold: tables hold smaller ones too, whose launches take longer than the law says."""
    pytest.importorskip("aiconfigurator_core")
    device = load("device", "a100-sxm-80gb")
    frame, _ = weight_only.rows(device, KIND)
    assert set(frame["bits"]) == {4.0, 8.0}
    frame = frame[(frame["n"] * frame["k"] * frame["bits"] / 8.0 > device.l2.capacity).to_numpy()]
    ratio = np.log(weight_only.by_law(frame, cluster(device)) / frame["time"].to_numpy())
    assert np.median(np.abs(ratio)) < 0.12
    assert abs(np.median(ratio)) < 0.05
    free = cluster(override(device, {"matmul.convert_width": 1e6}))
    long = (frame["m"] >= 256).to_numpy() & (frame["bits"] == 4.0).to_numpy()
    without = np.log(weight_only.by_law(frame, free) / frame["time"].to_numpy())
    assert np.mean(np.abs(ratio[long])) < np.mean(np.abs(without[long]))


@pytest.mark.parametrize(("device", "bits"), [("a100-sxm-80gb", 4.0), ("a100-sxm-80gb", 8.0), ("h100-sxm", 8.0)])
def test_libraries_stand_against_rows_that_they_were_not_fitted_to(device, bits):
    pytest.importorskip("aiconfigurator_core")
    chip = cluster(load("device", device))
    frame, _ = weight_only.rows(chip.device, KIND)
    held = frame[~np.asarray(weight_only.training(KIND, frame)) & (frame["bits"] == bits).to_numpy()]
    own, law = (abs(np.log(found / held["time"].to_numpy())) for found in (
        weight_only.predict(KIND, held, chip), weight_only.by_law(held, chip)))  # fmt: skip
    assert np.median(own) < 0.12
    assert np.median(own) < np.median(law)


def test_a_source_without_a_library_keeps_the_law():
    frame = ROWS.assign(source="somebody 1", time=1.0)
    chip = cluster(load("device", "a100-sxm-80gb"))
    assert weight_only.library_of("somebody 1", 4.0) is None
    assert np.array_equal(weight_only.predict(KIND, frame, chip), weight_only.by_law(frame, chip))


def test_every_version_of_a_framework_is_read():
    """SGLang measured int8 weights on H100 in an older version only."""
    pytest.importorskip("aiconfigurator_core")
    sources = {source for source, _ in weight_only.sources("h100-sxm")}
    assert len(sources) > len(aiconfigurator.tables("h100-sxm", "gemm", "gemm"))
