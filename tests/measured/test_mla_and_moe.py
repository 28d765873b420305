"""Latent attention and layers of experts: operators by hand, invariants, and what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.inference import operator_time, operators
from accelmodel.laws.types import Operator
from accelmodel.measured import aiconfigurator, mla_and_moe
from accelmodel.validation import operators as accuracy

NEEDS_SILICON = pytest.mark.skipif(not aiconfigurator.installed(), reason="pip install 'accelmodel[silicon]'")


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_latent_attention_is_that_of_a_step(phase):
    model = am.load("model", "deepseek-v3")
    bits = {"weight_bits": 16, "activation_bits": 16, "kv_bits": 16}
    work = am.workload(phase=phase, batch=4, context=2048, tp=8, **bits)
    table = operators.operator_table(model, work)
    row = table.names.index("attention")
    alone = operator_time.latent_attention(phase, 4.0, 16.0, 2048.0)
    for column in ("groups", "m", "n", "k", "flops", "vector_ops", "weight_bytes", "input_bytes", "output_bytes"):
        assert alone[column] == pytest.approx(float(table.columns[column][row]), rel=1e-12), column  # rounding only
    assert set(alone) <= set(Operator._fields)


def test_absorbing_products_by_hand():
    frame = pd.DataFrame(
        {"num_tokens": [4, 4], "heads": 16, "after": [0, 1], "bits": 16.0, "source": "x", "time": 1e-5}
    )
    given_ = mla_and_moe.absorbing(frame)
    assert [list(np.broadcast_to(given_[name], 2)) for name in "nk"] == [[512.0, 128.0], [128.0, 512.0]]
    assert given_["weight_bytes"].tolist() == [16 * 512 * 128 * 2] * 2


def test_products_that_lie_in_l2_take_no_traffic(warm):
    frame = pd.DataFrame({"num_tokens": [1, 20480], "heads": 128, "after": 1, "bits": 16.0, "source": "x", "time": 1.0})
    chip = am.cluster(am.load("device", "h100-sxm"))
    few, many = mla_and_moe.predict("mla products", frame, chip)
    assert few < 10e-6
    # 20,480 x 128 heads x (512 + 128) numbers of 16 bit do not fit: they pass memory at 3.35 TB/s at best
    assert many > 20480 * 128 * 640 * 2 / 3.35e12


@NEEDS_SILICON
@pytest.mark.parametrize("name", ["a100-sxm-80gb", "h100-sxm", "h200-sxm", "b200-sxm"])
def test_measured_prefill_of_latent_attention(name, warm):
    device = am.load("device", name)
    rows = list(accuracy.layer_rows(device, "mla prefill", am.cluster(device), accuracy.NOT_FITTED))
    plain = [row for row in rows if row["precision"] == "16 bit"]
    assert plain
    for row in plain:
        # as attention that was fitted: 15 %; the roofline has 69 to 81 %
        assert row["median_ape"] <= 0.15, row
        assert row["median_ape"] < 0.5 * row["field_median_ape"], row


@NEEDS_SILICON
def test_measured_layers_are_in_the_table_and_beat_the_roofline(warm):
    device = am.load("device", "h200-sxm")
    found = {
        kind: list(accuracy.layer_rows(device, kind, am.cluster(device), accuracy.NOT_FITTED))
        for kind in mla_and_moe.SHAPES
    }
    for kind, rows in found.items():
        products = kind == "mla products"
        assert rows, kind
        for row in rows:
            assert row["split"] == ("held-out" if products else "not fitted")
            assert row["fitted_source"] == products
            assert row["n"] >= 100, row
            assert row["median_ape"] < row["roofline_median_ape"], row
            assert row["median_ape"] < (0.12 if products else row["field_median_ape"]), row
