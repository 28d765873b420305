"""Measured attention that chooses its keys: what is read, what is left out, how far the laws are."""

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.measured import aiconfigurator, sparse
from accelmodel.validation import operators as accuracy

NEEDS_SILICON = pytest.mark.skipif(not aiconfigurator.installed(), reason="pip install 'accelmodel[silicon]'")
PATCHES = pd.DataFrame(
    {"batch": [1, 2], "heads": [16, 16], "head_dim": [64, 64], "tokens": [1024, 1024], "bits": 16.0, "source": "x",
     "time": [1e-4, 1e-4]}
)  # fmt: skip


def test_each_patch_sees_all_of_its_image():
    flops, moved, _ = sparse.work("encoder attention", PATCHES)
    assert flops.tolist() == [n * 4 * 16 * 64 * 1024 * 1024 for n in (1, 2)]
    # queries, keys, values and results at 16 bit
    assert moved.tolist() == [n * 4 * 16 * 64 * 1024 * 2 for n in (1, 2)]


def test_attention_beyond_the_peak_is_left_out():
    device = am.load("device", "h100-sxm")
    # 4.3 GFLOP take 4.3 us at 989 TFLOP/s
    fast = PATCHES.assign(time=[4e-6, 9e-6])
    assert sparse.impossible("encoder attention", fast, device).tolist() == [True, False]


@NEEDS_SILICON
def test_whole_parts_hold_the_projections_of_their_heads():
    device = am.load("device", "h200-sxm")
    frame, left_out = sparse.rows(device, "dsa decode")
    assert left_out == 0
    for places, rows in sparse.operators("dsa decode", frame):
        heads = frame["heads"].to_numpy()[places]
        found = dict(rows)
        assert {"latent_projection", "attention", "output_projection"} <= set(found)
        assert np.all(np.asarray(found["output_projection"]["k"]) % heads == 0)


@NEEDS_SILICON
@pytest.mark.parametrize(
    ("kind", "most"),
    [("index scores", 0.2), ("index top-k", 0.15), ("gathered attention", 0.15), ("encoder attention", 0.2)],
)
def test_measured_kernels_beat_the_roofline(warm, kind, most):
    device = am.load("device", "h200-sxm")
    rows = list(accuracy.layer_rows(device, kind, am.cluster(device), accuracy.NOT_FITTED))
    assert rows
    for row in rows:
        assert row["n"] >= 80
        assert row["median_ape"] < most, row
        assert row["median_ape"] < row["roofline_median_ape"], row
