"""Degrees that do not divide: shapes of the busiest device by hand, and what vLLM would say."""

from __future__ import annotations

from dataclasses import replace

import pytest

import accelmodel as am
from accelmodel.inference.columns import shard
from accelmodel.specs.layer_kinds import Linear, StateSpace


def work(**fields):
    return am.workload(**{"phase": "decode", "batch": 4, "context": 1024, **fields})


def rows(model, **fields):
    table = am.operator_table(model, work(**fields))
    return {
        name: {column: values[i] for column, values in table.columns.items()} for i, name in enumerate(table.names)
    }, " ".join(table.notes)


@pytest.mark.parametrize(
    ("tp", "heads", "kv"),
    [(1, 32, 8), (2, 16, 4), (3, 12, 3), (5, 8, 2), (8, 4, 1), (12, 4, 1), (16, 2, 1), (32, 1, 1)],
)
def test_heads_stay_with_the_keys_that_they_share(tp, heads, kv):
    # 32 heads in 8 groups of 4: of 3 ranks one has 3 groups, of 12 some share a group and some have one alone
    part = shard(am.load("model", "llama-3-8b"), work(tp=tp))
    assert part.cut_groups(32.0, 8.0) == (heads, kv)
    found, _ = rows("llama-3-8b", tp=tp)
    assert found["qkv_projection"]["n"] == (heads + 2 * kv) * 128
    assert (found["attention"]["groups"], found["attention"]["m"]) == (4 * kv, heads / kv)


@pytest.mark.parametrize(
    ("model", "tp", "said", "refused"),
    [
        ("llama-3-8b", 8, "", False),
        ("llama-3-8b", 16, "8 KV heads replicated over tp 16 devices, as engines do", False),
        ("llama-3-8b", 3, "tp 3 does not divide 32 query heads, 14336 columns of the mlp, 8 KV heads", True),
        # heads are divided and KV heads are neither divided nor replicated
        ("llama-3-8b", [8, 12], "tp 12 does not divide 32 query heads", True),
        ("gpt-oss-120b", 3, "columns of an expert", False),
        ("deepseek-v3", 3, "tp 3 does not divide 129280 rows of the padded vocabulary, 128 query heads", True),
    ],
)
def test_what_vllm_would_refuse_is_said(model, tp, said, refused):
    _, notes = rows(model, tp=tp)
    assert (said in notes) == (said != "columns of an expert")  # 2880 = 3 x 960
    assert ("vLLM would refuse it" in notes) == (refused or model == "gpt-oss-120b")


def test_mixers_without_keys_are_told_too():
    base = am.load("model", "llama-3-8b")
    linear = Linear("linear", base.layers, 16.0, 32.0, 128.0, 128.0)
    found, notes = rows(replace(base, attention=(linear,)), tp=3)
    assert "16 key heads of linear attention, 32 value heads of linear attention" in notes
    # 6 key heads and the 12 value heads that go with them
    assert found["state_update_linear"]["weight_bytes"] == 2 * 4 * 12 * 128 * 128 * 4.0
    space = StateSpace("state-space", base.layers, inner=8192.0, state=128.0, heads=128.0, groups=1.0)
    found, notes = rows(replace(base, attention=(space,)), tp=3)
    assert "128 heads of a state space" in notes
    assert found["output_projection_state_space"]["k"] == 43 * 64  # whole heads


def test_the_longest_stage_is_told():
    assert "pp 2 does not divide the 61 layers: the longest stage has 31" in rows("deepseek-v3", tp=8, pp=2)[1]
    assert "longest stage" not in rows("llama-3-70b", pp=4)[1]


def test_the_fullest_rank_of_a_batch_is_timed_and_told():
    found, notes = rows("llama-3-8b", batch=5, dp=2)
    assert found["mlp_up"]["m"] == 3.0
    assert "dp x pp does not divide the batch" in notes
