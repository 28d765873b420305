"""Experts between DeepEP's exchanges, against SGLang's measured layers."""

from __future__ import annotations

import pandas as pd
import pytest

from accelmodel.measured import wide_ep
from accelmodel.specs.given import cluster, override
from accelmodel.specs.load import load
from accelmodel.validation import operators as accuracy

PREFILL, DECODE = wide_ep.SHAPES
ROWS = pd.DataFrame(
    {"num_tokens": [2048, 65536], "hidden_size": 7168, "inter_size": 2048, "topk": 8, "num_experts": 256,
     "moe_ep_size": 32, "bits": 8.0, "source": "SGLang 1", "time": 1.0}
)  # fmt: skip


def test_matmuls_by_hand():
    up, down = wide_ep.matmuls(PREFILL, ROWS)
    # 64 and 2,048 copies of each of 8 experts, in whole tiles of 128 rows
    assert (up["groups"] * up["m"]).tolist() == [8 * 128, 8 * 2048]
    assert (up["n"][0], down["k"][0]) == (2 * 2048, 2048)
    few, _ = wide_ep.matmuls(DECODE, ROWS)
    assert (few["groups"] * few["m"]).tolist() == [8 * 64, 8 * 2048]
    flops, moved, _ = wide_ep.work(DECODE, ROWS)
    assert flops[0] == 2 * 512 * 3 * 7168 * 2048
    weights, activations = 8 * 3 * 7168 * 2048, 512 * (7168 + 2 * 4096 + 2048 + 2 * 7168)
    assert moved[0] == weights + activations


def test_more_bandwidth_is_never_slower(warm):
    chip = cluster(load("device", "h200-sxm"))
    faster = cluster(override(chip.device, hbm_bandwidth=2.0 * chip.device.hbm_bandwidth))
    for kind in wide_ep.SHAPES:
        assert (wide_ep.predict(kind, ROWS, faster) <= wide_ep.predict(kind, ROWS, chip)).all()


@pytest.mark.parametrize(("kind", "split", "most"), [(PREFILL, "held-out", 0.14), (DECODE, "held-out", 0.1)])
def test_rows_that_were_not_fitted(kind, split, most, warm):
    pytest.importorskip("aiconfigurator_core")
    device = load("device", "h200-sxm")
    (row,) = accuracy.layer_rows(device, kind, cluster(device), accuracy.NOT_FITTED)
    assert row["split"] == split
    assert row["median_ape"] < most, row
    assert row["median_ape"] < 0.5 * row["field_median_ape"], row
