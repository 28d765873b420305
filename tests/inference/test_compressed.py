"""Attention on compressed keys: what a query sees and what a sequence keeps, by hand."""

from __future__ import annotations

import pytest

from accelmodel.inference.compressed import seen
from accelmodel.inference.kept import kept_bytes, kv_bytes_per_token
from accelmodel.inference.operators import operator_table
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Compressed, Grouped
from accelmodel.specs.workload import Workload

SIZES = {"heads": 8.0, "head_dim": 64.0, "q_lora_rank": 32.0, "output_rank": 32.0, "groups": 2.0, "window": 128.0}
PICKED = {"ratio": 4.0, "top_k": 512.0, "index_heads": 4.0, "index_dim": 16.0}


def compressed(layers=1.0, **more):
    return Compressed("compressed", layers, **SIZES, **more)


def model(*kinds):
    layers = sum(kind.layers for kind in kinds)
    return LanguageModel(
        "tiny", layers=layers, hidden=256.0, vocabulary=1000.0, heads=8.0, kv_heads=8.0, head_dim=32.0, ffn=512.0,
        gated=True, attention=kinds,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (compressed(), 128.0),
        (compressed(ratio=128.0), 128.0 + 8192 / 128),
        (compressed(**PICKED), 128.0 + 512.0),
        (compressed(**{**PICKED, "top_k": 4096.0}), 128.0 + 8192 / 4),
    ],
)
def test_keys_of_a_new_token(kind, keys):
    assert seen(kind, Workload("decode", 1.0, 8192.0))[:2] == (keys, keys)


def test_what_a_sequence_keeps():
    """Of a window 128 keys, of the rest a fourth, and an indexer's key of 8 bit for each of those."""
    kind = compressed(3.0, **PICKED)
    assert kept_bytes(model(kind), 8192.0, 16.0) == 3 * ((128 + 8192 / 4) * 64 * 2 + 8192 / 4 * 16)
    assert kv_bytes_per_token(model(kind)) == 3 * (64 / 4 * 2 + 16 / 4)
    assert kept_bytes(model(compressed()), 8192.0, 16.0) == 128 * 64 * 2


def test_attention_reads_the_keys_that_it_sees():
    table = operator_table(model(compressed(**PICKED)), Workload("decode", 2.0, 8192.0))
    row = {name: value[table.names.index("attention_compressed")] for name, value in table.columns.items()}
    assert row["weight_bytes"] == 2 * 640 * 64 * 2
    assert row["flops"] == 2 * 2 * 8 * 640 * (2 * 64)
    scores = table.names.index("index_scores_compressed")
    assert table.columns["weight_bytes"][scores] == 2 * 8192 / 4 * 16


def test_an_indexer_of_grouped_attention_picks_blocks():
    index = {"top_k": 2048.0, "index_heads": 4.0, "index_dim": 128.0}
    kind = Grouped("block-sparse", 1.0, heads=8.0, kv_heads=2.0, head_dim=64.0, **index)
    table = operator_table(model(kind), Workload("decode", 1.0, 65536.0))
    found = dict(zip(table.names, table.columns["weight_bytes"], strict=True))
    assert found["attention_block_sparse"] == 2048 * 2 * 2 * 64 * 2
    # keys of the indexer are kept at 16 bit
    assert found["index_scores_block_sparse"] == 65536 * 128 * 2
    assert kept_bytes(model(kind), 65536.0, 16.0) == 65536 * (2 * 2 * 64 * 2 + 128 * 2)


def test_norms_of_layers_with_one_part_are_one_a_layer():
    """Two layers of attention alone and no perceptron: two norms, where each layer has one."""
    one = LanguageModel(
        "tiny", layers=2.0, hidden=256.0, vocabulary=1000.0, heads=8.0, kv_heads=8.0, head_dim=32.0, ffn=0.0,
        gated=True, norms_per_layer=1.0, attention=(Grouped("full", 2.0, heads=8.0, kv_heads=8.0, head_dim=32.0),),
    )  # fmt: skip
    table = operator_table(one, Workload("decode", 1.0, 128.0))
    norm, head = table.names.index("attention_norm"), table.names.index("head_norm")
    assert table.columns["count"][norm] == 2.0
    assert table.columns["flops"][norm] == table.columns["flops"][head]
