"""The operator table against hand arithmetic from the published shapes: FLOPs, bytes, cuts, windows."""

from __future__ import annotations

from dataclasses import replace

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.kept import kv_bytes_per_token
from accelmodel.inference.memory import memory_per_device
from accelmodel.laws.types import (
    ALL_GATHER,
    ALL_REDUCE,
    ATTENTION,
    COLLECTIVE,
    EXCHANGE,
    MATMUL,
    POINT_TO_POINT,
    PRODUCTS,
    REDUCE_SCATTER,
)
from accelmodel.specs.layer_kinds import Dense, Grouped

# shapes as their config.json say them, so that a wrong digit in a file shows
LLAMA_70B_LAYER = 8192 * (64 + 2 * 8) * 128 + 64 * 128 * 8192 + 3 * 8192 * 28672
LLAMA_70B_HEAD = 128256 * 8192
QWEN3_LAYER = 4096 * (64 + 2 * 4) * 128 + 64 * 128 * 4096 + 4096 * 128 + 8 * 3 * 4096 * 1536
QWEN3_HEAD = 151936 * 4096
DEEPSEEK_ATTENTION = (
    7168 * 1536 + 1536 * 128 * (128 + 64) + 7168 * (512 + 64) + 512 * 128 * (128 + 128) + 128 * 128 * 7168
)
DEEPSEEK_DENSE = 3 * 7168 * 18432
DEEPSEEK_MOE = 7168 * 256 + (8 + 1) * 3 * 7168 * 2048
DEEPSEEK_HEAD = 129280 * 7168


def table(model, **fields):
    return am.operator_table(am.load("model", model), work(**fields))


def work(**fields):
    return am.workload(**{"phase": "decode", "batch": 4, "context": 16384, **fields})


def total(rows, column, kind=None, leave_out=()):
    """Return the sum of a column over a step, of one kind of operator if given, experts being matmuls."""
    columns = rows.columns
    kinds = PRODUCTS if kind == MATMUL else (kind,)
    return sum(
        columns[column][i] * columns["count"][i]
        for i, name in enumerate(rows.names)
        if (kind is None or columns["kind"][i] in kinds) and name not in leave_out
    )


def column(rows, name, wanted):
    return rows.columns[wanted][rows.names.index(name)]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("llama-3-70b", 80 * LLAMA_70B_LAYER + LLAMA_70B_HEAD),
        ("qwen3-235b-a22b", 94 * QWEN3_LAYER + QWEN3_HEAD),
        ("deepseek-v3", 61 * DEEPSEEK_ATTENTION + 3 * DEEPSEEK_DENSE + 58 * DEEPSEEK_MOE + DEEPSEEK_HEAD),
    ],
)
def test_products_take_two_flops_per_parameter_and_token(model, parameters):
    # 1e-9: every matrix is counted, so only rounding is left of the customary 1 %
    assert total(table(model), "flops", MATMUL) == pytest.approx(2 * parameters * 4, rel=1e-9)
    prompt = total(table(model, phase="prefill", batch=2, context=1000), "flops", MATMUL, ("head",))
    head = {"llama-3-70b": LLAMA_70B_HEAD, "qwen3-235b-a22b": QWEN3_HEAD, "deepseek-v3": DEEPSEEK_HEAD}[model]
    assert prompt == pytest.approx(2 * (parameters - head) * 2000, rel=1e-9)


@pytest.mark.parametrize(
    ("model", "per_pair"),
    [
        ("llama-3-70b", 80 * 64 * 4 * 128),
        ("qwen3-235b-a22b", 94 * 64 * 4 * 128),
        ("deepseek-v3", 61 * 128 * 2 * (2 * 512 + 64)),
    ],
)
def test_attention_of_decode_scores_each_key(model, per_pair):
    # exact but for rounding; the latent of DeepSeek is key and value at once (absorbed)
    assert total(table(model), "flops", ATTENTION) == pytest.approx(per_pair * 4 * 16384, rel=1e-12)


def test_attention_of_prefill_scores_the_causal_half():
    pairs = 1000 * 1001 / 2
    dense = total(table("llama-3-70b", phase="prefill", batch=3, context=1000), "flops", ATTENTION)
    assert dense == pytest.approx(3 * pairs * 80 * 64 * 4 * 128, rel=1e-12)  # rounding only
    latent = total(table("deepseek-v3", phase="prefill", batch=3, context=1000), "flops", ATTENTION)
    assert latent == pytest.approx(3 * pairs * 61 * 128 * 2 * (128 + 64 + 128), rel=1e-12)  # rounding only


@pytest.mark.parametrize("piece", [512, 1000, 4096])
def test_pieces_of_a_chunked_prefill_add_up_to_the_whole(piece):
    def flops(first, last, kind):
        rows = table("llama-3-70b", phase="prefill", batch=2, context=last, prefix=first, tp=8)
        return total(rows, "flops", kind, ("head",))

    for kind in (ATTENTION, MATMUL):
        pieces = sum(flops(first, min(first + piece, 4096), kind) for first in range(0, 4096, piece))
        assert pieces == pytest.approx(flops(0, 4096, kind), rel=1e-12)  # rounding only


def test_weights_read_once_per_step():
    rows = table("llama-3-70b", weight_bits=8)
    # layers at 8 bit, the head stays at 16
    assert total(rows, "weight_bytes", MATMUL) == pytest.approx(80 * LLAMA_70B_LAYER + 2 * LLAMA_70B_HEAD, rel=1e-12)
    rows = table("qwen3-235b-a22b", batch=1)
    # one token wakes 8 of 128 experts, on average exactly
    assert total(rows, "weight_bytes", MATMUL) == pytest.approx(2 * (94 * QWEN3_LAYER + QWEN3_HEAD), rel=1e-9)


@pytest.mark.parametrize(
    ("model", "per_token"),
    [
        ("llama-3-70b", 80 * 2 * 8 * 128 * 2),
        ("qwen3-235b-a22b", 94 * 2 * 4 * 128 * 2),
        ("deepseek-v3", 61 * (512 + 64) * 2),
    ],
)
def test_kv_bytes_per_token(model, per_token):
    spec = am.load("model", model)
    assert kv_bytes_per_token(spec) == per_token
    assert kv_bytes_per_token(spec, 8.0) == per_token / 2
    assert total(table(model), "weight_bytes", ATTENTION) == pytest.approx(4 * 16384 * per_token, rel=1e-12)  # rounding


def test_memory_per_device():
    parts = memory_per_device(am.load("model", "llama-3-70b"), work(tp=8))
    weights = 2 * (80 * LLAMA_70B_LAYER + 2 * LLAMA_70B_HEAD) / 8
    assert parts["weights"] == pytest.approx(weights, rel=1e-12)  # all of its cuts divide by 8: arithmetic alone
    assert parts["kv_cache"] == pytest.approx(4 * 16384 * 80 * 2 * 128 * 2, rel=1e-12)  # one KV head a device
    assert 0 < parts["activations"] < weights


def test_memory_of_a_mixture_holds_every_expert():
    parts = memory_per_device(am.load("model", "qwen3-235b-a22b"), work(tp=8, ep=8))
    experts = 94 * 128 * 3 * 4096 * 1536 / 8
    rest = 94 * (4096 * (64 + 2 * 8) * 128 + 64 * 128 * 4096) / 8 + 94 * 4096 * 128  # a KV head a device, twice in all
    assert parts["weights"] == pytest.approx(2 * (experts + rest + 2 * QWEN3_HEAD / 8), rel=1e-9)  # rounding only


def test_pipeline_stages_share_the_layers():
    spec = am.load("model", "llama-3-70b")
    alone, staged = memory_per_device(spec, work(tp=4)), memory_per_device(spec, work(tp=4, pp=4))
    table = 2 * LLAMA_70B_HEAD / 4  # the first stage has the embedding alone, the last one the head
    assert staged["weights"] - table == pytest.approx((alone["weights"] - 2 * table) / 4, rel=1e-12)  # rounding only
    assert staged["kv_cache"] == pytest.approx(alone["kv_cache"] / 4, rel=1e-12)  # rounding only


def test_heads_that_do_not_divide_are_padded_and_said():
    rows = table("qwen2-7b", tp=8)
    assert any("28 query heads" in note for note in rows.notes)
    assert any("4 KV heads" in note for note in rows.notes)
    assert column(rows, "qkv_projection", "n") == (4 + 2 * 1) * 128  # 28 heads on 8 devices: 4 on the busiest
    assert table("llama-3-70b", tp=8, context=4096).notes == ()


def test_one_device_has_no_collective():
    for model in ("llama-3-70b", "qwen3-235b-a22b", "deepseek-v3"):
        rows = table(model)
        kinds, ranks, counts = (rows.columns[name] for name in ("kind", "ranks", "count"))
        assert all(r <= 1.0 or c == 0.0 for k, r, c in zip(kinds, ranks, counts, strict=True) if k >= COLLECTIVE)


def test_tensor_parallel_reductions():
    rows = table("llama-3-70b", tp=8)
    for name in ("all_reduce_into_attention", "all_reduce_into_mlp"):
        assert column(rows, name, "kind") == ALL_REDUCE
        assert column(rows, name, "count") == 80
        assert column(rows, name, "ranks") == 8
        assert column(rows, name, "message_bytes") == 4 * 8192 * 2
    assert rows.names[int(column(rows, "mlp_down", "feeds"))] == "all_reduce_into_attention"
    assert rows.names[int(column(rows, "output_projection", "feeds"))] == "all_reduce_into_mlp"


def test_pipeline_parallelism_cuts_the_batch_and_passes_the_stream_on():
    rows = table("llama-3-70b", batch=32, tp=8, pp=4)
    assert column(rows, "stage_transfer", "kind") == POINT_TO_POINT
    assert column(rows, "stage_transfer", "count") == 4
    assert column(rows, "stage_transfer", "message_bytes") == 8 * 8192 * 2
    assert column(rows, "mlp_up", "m") == 8
    assert column(table("llama-3-70b", tp=8), "stage_transfer", "count") == 0


def test_a_pipeline_waits_for_the_stage_with_the_head():
    """28 layers on four stages, seven each: the head on the last is worth two and a third of them."""
    rows = table("qwen2-7b", batch=8, context=512, tp=1, pp=4)
    assert [column(rows, name, "count") for name in ("embedding", "mlp_up", "head", "sampling")] == [1, 28, 4, 4]
    rows = table("qwen2-7b", batch=2, context=512, tp=1, pp=4)  # two on their way: no stage is waited for
    assert [column(rows, name, "count") for name in ("mlp_up", "head")] == [28, 1]
    rows = table("qwen2-7b", phase="prefill", batch=8, context=512, tp=1, pp=4)  # a head for one token of each
    assert [column(rows, name, "count") for name in ("mlp_up", "head")] == [28, pytest.approx(4)]


def test_a_pipeline_waits_for_the_stage_with_a_layer_more():
    small = am.override(am.load("model", "qwen2-7b"), vocabulary=1024)
    rows = am.operator_table(small, work(batch=10, context=512, tp=1, pp=5))  # 5, 6, 6, 6, 5 layers
    assert column(rows, "mlp_up", "count") == pytest.approx(5 * 6)
    assert column(rows, "head", "count") == 1


def test_expert_parallelism_sends_tokens_to_their_experts():
    rows = table("deepseek-v3", batch=64, tp=1, dp=8, ep=8)
    # tokens of a rank, 8 experts each; there at 8 bit with a scale of 32 bit for 128, back at 16
    for name, width in (
        ("dispatch_moe", 1.0 + 4.0 / 128.0),
        (next(n for n in rows.names if n.startswith("combine")), 2.0),
    ):
        assert column(rows, name, "kind") == EXCHANGE
        assert column(rows, name, "ranks") == 8
        assert column(rows, name, "message_bytes") == 64 / 8 * 8 * 7168 * width
        assert [column(rows, name, each) for each in ("n", "k", "groups", "m")] == [256, 8, 8, 4]
    assert column(rows, "expert_up_moe", "groups") <= 256 / 8
    assert column(rows, "expert_up_moe", "n") == 2 * 2048
    # 64 tokens x 8 experts on 8 devices: exact on average
    sent = column(rows, "expert_up_moe", "flops") / (2 * 2 * 2048 * 7168)
    assert sent == pytest.approx(64 * 8 / 8, rel=1e-12)  # rounding only


def test_data_parallel_attention_gathers_tokens_for_sliced_experts():
    rows = table("deepseek-v3", batch=64, tp=1, dp=8, ep=1)
    assert column(rows, "dispatch_moe", "kind") == ALL_GATHER
    combine = next(n for n in rows.names if n.startswith("combine"))
    assert column(rows, combine, "kind") == REDUCE_SCATTER
    assert column(rows, combine, "message_bytes") == column(rows, "dispatch_moe", "message_bytes") == 64 * 7168 * 2
    assert column(rows, "expert_up_moe", "n") == 2 * 2048 / 8
    assert column(rows, "attention", "groups") == 8


def window_bytes(rows, opener):
    """Return what may be prefetched behind one collective, per device and layer."""
    found, inside = 0.0, False
    for i, name in enumerate(rows.names):
        if rows.columns["kind"][i] >= COLLECTIVE:
            inside = name == opener
        elif inside:
            found += rows.columns["prefetch_bytes"][i]
    return found


def test_windows_of_preserve():
    rows = table("llama-3-70b", tp=8, weight_bits=8, activation_bits=8, kv_bits=8)
    # behind the all-reduce that ends attention: gate, up and down; 5e-4: digits printed
    mlp = 3 * 8192 * 28672 / 8
    assert window_bytes(rows, "all_reduce_into_mlp") == pytest.approx(mlp, rel=1e-12)  # arithmetic alone
    assert mlp / 1e6 == pytest.approx(88.08, rel=5e-4)
    # behind the one that ends the mlp: query, key and value, the KV cache of all tokens but the new one, output
    cache = 4 * 16383 * 2 * 128
    attention = 8192 * (8 + 2 * 1) * 128 + cache + 8 * 128 * 8192
    assert window_bytes(rows, "all_reduce_into_attention") == pytest.approx(attention, rel=1e-12)  # arithmetic alone
    assert attention / 1e6 == pytest.approx(35.65, rel=5e-4)


def test_routed_experts_are_not_prefetched():
    rows = table("qwen3-235b-a22b", tp=8)
    assert column(rows, "expert_up_moe", "prefetch_bytes") == column(rows, "expert_down_moe", "prefetch_bytes") == 0.0
    assert column(rows, "expert_up_moe", "weight_bytes") > 0.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"phase": "prefill", "context": 8, "prefix": 8}, "prefix must be below context"),
        ({"phase": "decode", "context": 8, "prefix": 4}, "prefix is of a prefill"),
        ({"tp": 65}, "tp above the 64 heads"),
        ({"pp": 81}, "pp above the 80 layers"),
        ({"ep": 2}, "has no experts"),
    ],
)
def test_impossible_cuts_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        table("llama-3-70b", **fields)


def test_ranks_of_experts_must_divide_the_devices():
    with pytest.raises(SpecError, match="ep must divide tp x dp, 8, and is 3"):
        table("qwen3-235b-a22b", tp=8, ep=3)


def test_tokens_are_scattered_over_tensor_ranks_before_they_travel():
    """Eight devices send as much, however attention is cut; tensor ranks gather afterwards what each got back."""
    sent = {}
    for tp, dp in ((1, 8), (2, 4), (4, 2)):
        rows = table("deepseek-v3", batch=64, tp=tp, dp=dp, ep=8)
        sent[tp] = column(rows, "dispatch_moe", "message_bytes")
        gather = "tensor_ranks_into_attention_after_experts"
        assert column(rows, gather, "kind") == ALL_GATHER
        assert column(rows, gather, "ranks") == tp
        assert column(rows, gather, "message_bytes") == 64 / dp * 7168 * 2
        assert column(rows, "router_moe", "m") == 8
    assert sent[1] == sent[2] == sent[4] == 8 * 8 * 7168 * (1 + 4 / 128)
    # where ep ranks are fewer, each expert is cut over two of them and a token goes to both
    assert column(table("deepseek-v3", batch=64, tp=4, dp=2, ep=4), "dispatch_moe", "message_bytes") == 2 * sent[1]


def test_tensor_ranks_with_all_tokens_send_none():
    rows = table("deepseek-v3", batch=64, tp=8, ep=8)
    assert column(rows, "dispatch_moe", "ranks") == 1
    assert not [name for name in rows.names if name.startswith(("combine", "tensor_ranks"))]


def test_sliced_experts_of_data_parallel_tensor_ranks_are_summed_over_both():
    rows = table("deepseek-v3", batch=64, tp=4, dp=2, ep=1)
    assert column(rows, "tensor_ranks_into_attention_after_experts", "kind") == ALL_REDUCE
    assert column(rows, "tensor_ranks_into_attention_after_experts", "message_bytes") == 32 * 7168 * 2


@pytest.mark.parametrize(
    ("full", "dense", "said"), [(4.0, 8.0, "tells of 4 of 8 layers"), (8.0, 8.0, ""), (3.0, 5.0, "")]
)
def test_lists_that_tell_of_fewer_layers_are_noted(full, dense, said):
    model = replace(
        am.load("model", "llama-3-8b"),
        layers=8.0,
        attention=(Grouped("full", full, 32.0, 8.0, 128.0),),
        mlp=(Dense("dense", dense, 14336.0),),
    )
    notes = " ".join(am.operator_table(model, work(context=4096)).notes)
    assert said in notes
    assert ("layers; the others" in notes) == bool(said)
