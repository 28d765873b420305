"""Rows of layers that keep a state: products counted one by one, and bytes of states."""

from __future__ import annotations

import pytest

from accelmodel.inference.operators import operator_table
from accelmodel.laws import types
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Linear, StateSpace
from accelmodel.specs.workload import Workload

DELTA = Linear("linear", 1.0, key_heads=4.0, value_heads=8.0, key_dim=128.0, value_dim=64.0, convolution=4.0)


def model(kind):
    return LanguageModel(
        "tiny", layers=1.0, hidden=256.0, vocabulary=1000.0, heads=8.0, kv_heads=8.0, head_dim=32.0, ffn=512.0,
        gated=True, attention=(kind,),
    )  # fmt: skip


def row(kind, work, name):
    table = operator_table(model(kind), work)
    place = table.names.index(name)
    return {column: values[place] for column, values in table.columns.items()}


def chunk_products(length, key, value):
    """FLOP of one chunk of one head, product by product (arXiv 2412.06464, section 3.3)."""
    scores = 2 * (2 * length * length * key)  # keys on keys, queries on keys
    inverted = 2 * length * length * key + 2 * length * length * value  # the inverse on keys and on values
    inside = 2 * length * length * value  # scores on new values
    state = 3 * (2 * length * key * value)  # what keys recall, what queries read, what is written
    return scores + inverted + inside + state


def test_products_of_a_prefill_with_the_delta_rule():
    found = row(DELTA, Workload("prefill", 2.0, 130.0, tp=2.0), "state_update_linear")
    # 2 sequences, 4 of 8 heads, three chunks
    assert found["flops"] == 2 * 4 * 3 * chunk_products(64, 128, 64)
    assert (found["kind"], found["groups"], found["m"]) == (types.RECURRENCE, 8, 130)
    assert found["weight_bytes"] == 2 * (2 * 4 * 128 * 64 * 4)


def test_a_decode_step_reads_and_writes_states():
    for kind, numbers in ((DELTA, 8 * 128 * 64), (StateSpace("state-space", 1.0, 512.0, 16.0, 8.0), 512 * 16)):
        found = row(kind, Workload("decode", 3.0, 1000.0), f"state_update_{kind.kind.replace('-', '_')}")
        assert found["weight_bytes"] == 2 * 3 * numbers * 4
        assert found["prefetch_bytes"] == 3 * numbers * 4


def test_a_convolution_keeps_the_tokens_before():
    found = row(DELTA, Workload("decode", 3.0, 1000.0), "state_convolution_linear")
    channels = 2 * 4 * 128 + 8 * 64
    # three tokens of 16 bit, read and written
    assert found["weight_bytes"] == 2 * 3 * 3 * channels * 2


def test_decays_of_keys_are_told_apart():
    work = Workload("prefill", 1.0, 64.0)
    each = Linear("linear", 1.0, 4.0, 4.0, 128.0, 128.0, decay=128.0)
    one = Linear("linear", 1.0, 4.0, 4.0, 128.0, 128.0)
    assert row(each, work, "state_update_linear")["vector_ops"] > 0.0
    assert row(one, work, "state_update_linear")["vector_ops"] == 0.0


def test_prefill_along_an_axis_of_contexts():
    xr = pytest.importorskip("xarray")
    axis = xr.DataArray([64.0, 1000.0], dims="context")
    found = row(DELTA, Workload("prefill", 1.0, axis), "state_update_linear")["flops"]
    alone = [row(DELTA, Workload("prefill", 1.0, each), "state_update_linear")["flops"] for each in (64.0, 1000.0)]
    assert found.values.tolist() == alone
