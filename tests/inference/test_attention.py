"""Rows of attention that chooses its keys: scores and choices counted query by query."""

from __future__ import annotations

import pytest

from accelmodel.inference.attention import BLOCK, CHOICE, EPILOGUE, LOOK
from accelmodel.inference.operators import operator_table
from accelmodel.laws import types
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Grouped, Latent
from accelmodel.specs.workload import Workload

INDEX = {"top_k": 256.0, "index_heads": 32.0, "index_dim": 128.0}
SPARSE = Latent(
    "sparse", 1.0, heads=96.0, kv_lora_rank=512.0, qk_rope_dim=64.0, qk_nope_dim=128.0, v_head_dim=128.0,
    q_lora_rank=256.0, **INDEX,
)  # fmt: skip


def rows(kind, work):
    model = LanguageModel(
        "tiny", layers=1.0, hidden=256.0, vocabulary=1000.0, heads=8.0, kv_heads=8.0, head_dim=32.0, ffn=512.0,
        gated=True, attention=(kind,),
    )  # fmt: skip
    table = operator_table(model, work)
    return {
        name: {column: values[place] for column, values in table.columns.items()}
        for place, name in enumerate(table.names)
    }


@pytest.mark.parametrize(("prefix", "context"), [(0, 600), (100, 600), (300, 600), (0, 200)])
def test_scores_and_choices_of_a_prefill_query_by_query(prefix, context):
    found = rows(SPARSE, Workload("prefill", 2.0, float(context), float(prefix)))
    seen = range(prefix + 1, context + 1)
    scored = 2 * 32 * sum(seen)
    assert found["index_scores_sparse"]["flops"] == pytest.approx(2 * scored * 128)
    # tiles of 128 rows work as long as their products take, and what follows them
    tiles = found["index_scores_sparse"]
    assert tiles["groups"] * tiles["n"] == pytest.approx(EPILOGUE * 2 * scored * 128)
    choosing = [keys for keys in seen if keys > 256]
    choice = found["index_top_k_sparse"]
    assert choice["groups"] == 2 * len(choosing)
    if choosing:
        mean = sum(choosing) / len(choosing)
        assert choice["k"] == pytest.approx(CHOICE + LOOK * mean)


@pytest.mark.parametrize(("context", "choosing"), [(256.0, 0.0), (257.0, 3.0)])
def test_a_new_token_chooses_where_there_are_more_keys_than_are_kept(context, choosing):
    found = rows(SPARSE, Workload("decode", 3.0, context))
    assert found["index_top_k_sparse"]["groups"] == choosing


def test_scores_of_decode_are_cut_in_pieces_of_keys():
    found = rows(SPARSE, Workload("decode", 3.0, 1000.0))["index_scores_sparse"]
    # 32 heads fill half a tile of 64 rows; 1000 keys are four pieces of 256
    assert found["groups"] == 3 * 4
    assert found["n"] == EPILOGUE * 2 * 64 * 256 * 128
    assert found["weight_bytes"] == 3 * 1000 * 128


def test_each_query_of_a_prefill_gathers_its_keys():
    found = rows(SPARSE, Workload("prefill", 1.0, 1000.0))["attention_sparse"]
    # 96 heads are two groups of up to 64
    assert (found["kind"], found["groups"], found["m"]) == (types.CHAIN, 2000, 256)
    assert found["flops"] == 2 * 1000 * 96 * 256 * (512 + 64 + 512)


def test_an_indexer_of_blocks_is_cut_like_its_kv_heads():
    kind = Grouped("block-sparse", 1.0, heads=64.0, kv_heads=4.0, head_dim=128.0, top_k=2048.0, index_heads=4.0,
                   index_dim=128.0)  # fmt: skip
    found = rows(kind, Workload("prefill", 1.0, 4096.0, tp=2.0))
    # 32 query and twice 2 KV heads, two heads and a key of the indexer
    assert found["qkv_projection_block_sparse"]["n"] == (32 + 2 * 2 + 2 + 1) * 128
    # a tile of 16 heads for each token and KV head
    assert (found["attention_block_sparse"]["groups"], found["attention_block_sparse"]["m"]) == (4096 * 2, 16)
    assert found["index_top_k_block_sparse"]["vector_ops"] == 3 * 4096 * 2 * 2048.5 / BLOCK
