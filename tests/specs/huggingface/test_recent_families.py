"""Families that share blocks, keep a matrix a head, or came last: parameters as their makers or their classes count."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device, weight_bytes
from accelmodel.inference.operators import operator_table
from accelmodel.inference.reading import reading
from accelmodel.specs.huggingface.recent_families import RECENT
from accelmodel.specs.huggingface.text import family_name
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload


def keys(**given: Any) -> dict[str, Any]:
    """Keys of a config."""
    return given


FULL, WINDOW, LINEAR = "full_attention", "sliding_attention", "linear_attention"
_MLA = keys(kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128)
# fmt: off
#: model → its parameters [1e9], its KV cache a token at 16 bit [KiB], and its config
SHAPES: dict[str, tuple[float, float, dict[str, Any]]] = {
    "Zamba-7B-v1": (7.232, 377.0, keys(model_type="zamba", hidden_size=3712, intermediate_size=14848,
        attention_hidden_size=7424, attention_head_dim=464, num_hidden_layers=76, num_attention_heads=16,
        num_key_value_heads=16, n_mamba_heads=2, vocab_size=32000, mamba_dt_rank=232, attn_layer_period=6,
        attn_layer_offset=4, tie_word_embeddings=True)),
    "Zamba2-2.7B": (2.482, 180.0, keys(model_type="zamba2", hidden_size=2560, num_hidden_layers=54,
        num_attention_heads=32, n_mamba_heads=8, mamba_headdim=640, kv_channels=80, attention_head_dim=160,
        vocab_size=32000, layers_block_type=["hybrid" if place in (6, 12, 18, 24, 30, 36, 42, 47, 51) else "mamba"
        for place in range(54)])),
    "Zamba2-7B": (7.357, 364.0, keys(model_type="zamba2", hidden_size=3584, num_hidden_layers=81,
        num_attention_heads=32, intermediate_size=14336, n_mamba_heads=112, mamba_headdim=64, mamba_ngroups=2,
        kv_channels=112, attention_head_dim=224, attention_hidden_size=7168, num_mem_blocks=2, vocab_size=32000,
        use_shared_mlp_adapter=True, layers_block_type=["hybrid" if place in (6, 11) or (place > 11 and
        place % 6 == 5) else "mamba" for place in range(81)])),
    "RWKV-5-World-3B": (3.063, 0, keys(model_type="rwkv5", hidden_size=2560, head_size=64, num_hidden_layers=32,
        num_attention_heads=64, vocab_size=65536, intermediate_size=None, rescale_every=6,
        tie_word_embeddings=False)),
    "RWKV-6-Finch-7B": (7.635, 0, keys(model_type="rwkv6", hidden_size=4096, attention_hidden_size=4096,
        head_size=64, head_size_divisor=8, num_hidden_layers=32, num_attention_heads=64, vocab_size=65536,
        tie_word_embeddings=False)),
    "RWKV-7-World-2.9B": (2.948, 0, keys(model_type="rwkv7", hidden_size=2560, head_dim=64, num_hidden_layers=32,
        vocab_size=65536, a_low_rank_dim=96, decay_low_rank_dim=96, gate_low_rank_dim=320, v_low_rank_dim=64,
        hidden_ratio=4.0, intermediate_size=10240, hidden_act="sqrelu", tie_word_embeddings=False)),
    "Arctic": (479.0, 140.0, keys(model_type="arctic", hidden_size=7168, intermediate_size=4864,
        num_hidden_layers=35, num_attention_heads=56, num_key_value_heads=8, vocab_size=32000, num_local_experts=128,
        num_experts_per_tok=2, moe_layer_frequency=1, parallel_attn_mlp_res=True, use_residual=True,
        tie_word_embeddings=False)),
    "Kimi-K3": (2779.5, 27.0, keys(model_type="kimi_k3", text_config=keys(model_type="kimi_linear", **_MLA,
        hidden_size=7168, intermediate_size=33792, num_hidden_layers=93, num_attention_heads=96,
        num_key_value_heads=96, vocab_size=163840, q_lora_rank=1536, mla_use_nope=True, mla_use_output_gate=True,
        num_experts=896, num_experts_per_token=16, num_shared_experts=2, moe_intermediate_size=3072,
        routed_expert_hidden_size=3584, latent_moe_use_norm=True, attn_res_block_size=12, first_k_dense_replace=1,
        tie_word_embeddings=False, linear_attn_config=keys(num_heads=96, head_dim=128, short_conv_kernel_size=4,
        use_full_rank_gate=True, gate_lower_bound=-5.0, full_attn_layers=[*range(4, 93, 4), 93],
        kda_layers=[place for place in range(1, 93) if place % 4])))),
    "Command with experts": (190.005, 1280.0, keys(model_type="cohere2_moe", hidden_size=8192,
        intermediate_size=22528, num_hidden_layers=40, num_attention_heads=64, num_key_value_heads=64,
        vocab_size=256000, num_shared_experts=0, shared_expert_combination_strategy="average",
        expert_selection_fn="softmax", prefix_dense_sliding_window_pattern=1)),
    "Granite with windows": (2.144, 48.0, keys(model_type="granite_swa", hidden_size=2560, intermediate_size=8192,
        num_hidden_layers=24, num_attention_heads=20, num_key_value_heads=4, vocab_size=100352,
        tie_word_embeddings=True, layer_types=[FULL, WINDOW, WINDOW, WINDOW] * 6)),
    "Granite with windows and experts": (37.039, 512.0, keys(model_type="granitemoe_swa", hidden_size=4096,
        intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=32,
        vocab_size=32000, layer_types=[FULL, WINDOW, WINDOW, WINDOW] * 8, tie_word_embeddings=False)),
    "Flint": (39.785, 98.0, keys(model_type="flint", hidden_size=2048, intermediate_size=6144, num_hidden_layers=49,
        num_attention_heads=32, num_key_value_heads=4, vocab_size=150144, moe_intermediate_size=512,
        shared_expert_intermediate_size=1024, mlp_only_layers=[0, 1], layer_types=[FULL] * 49,
        tie_word_embeddings=False)),
    "Laguna": (33.190, 160.0, keys(model_type="laguna", hidden_size=2048, intermediate_size=8192,
        num_hidden_layers=40, num_attention_heads=48, num_key_value_heads=8, vocab_size=100352, gating=True,
        moe_intermediate_size=512, shared_expert_intermediate_size=512, num_attention_heads_per_layer=[48] * 40,
        mlp_layer_types=["dense"] + ["sparse"] * 39, layer_types=[FULL] * 40, tie_word_embeddings=False)),
    "LFM3": (1.7288, 22.0, keys(model_type="lfm3", hidden_size=2048, intermediate_size=7680, num_hidden_layers=24,
        num_attention_heads=16, num_key_value_heads=4, vocab_size=128000, head_dim=128, use_sandwich_norm=True,
        use_attention_gate=True, layer_types=["conv", *["conv", FULL, "conv", WINDOW] * 5, "conv", FULL, "conv"])),
    "OLMo hybrid": (7.431, 120.0, keys(model_type="olmo_hybrid", hidden_size=3840, intermediate_size=11008,
        num_hidden_layers=32, num_attention_heads=30, num_key_value_heads=30, vocab_size=100352,
        linear_num_key_heads=30, linear_num_value_heads=30, layer_types=[LINEAR, LINEAR, LINEAR, FULL] * 8,
        tie_word_embeddings=False)),
    "Ling 3": (124.414, 7.875, keys(model_type="bailing_hybrid", **_MLA, hidden_size=2560, intermediate_size=6144,
        moe_intermediate_size=768, num_hidden_layers=42, num_attention_heads=32, num_key_value_heads=32,
        vocab_size=157184, num_experts=512, first_k_dense_replace=2, layer_group_size=6, kda_safe_gate=True,
        kda_lower_bound=-5.0, short_conv_kernel_size=4, linear_head_dim=128, linear_num_heads=32, q_lora_rank=None,
        tie_word_embeddings=False)),
    "Ring-2.5-1T": (1012.22, 11.25, keys(model_type="bailing_hybrid", **_MLA, hidden_size=8192,
        intermediate_size=18432, moe_intermediate_size=2048, num_hidden_layers=80, num_attention_heads=64,
        num_key_value_heads=64, vocab_size=157184, num_experts=256, num_experts_per_tok=8, num_shared_experts=1,
        first_k_dense_replace=4, layer_group_size=8, q_lora_rank=1536, head_dim=128, group_norm_size=8,
        use_qk_norm=True, use_qkv_bias=False, moe_router_enable_expert_bias=True, score_function="sigmoid",
        tie_word_embeddings=False)),
    "Ring-mini-linear-2.0": (16.4, 8.0, keys(model_type="bailing_moe_linear", hidden_size=2048,
        intermediate_size=5120, moe_intermediate_size=512, num_hidden_layers=20, num_attention_heads=16,
        num_key_value_heads=4, vocab_size=157184, head_dim=128, num_experts=256, num_experts_per_tok=8,
        num_shared_experts=1, first_k_dense_replace=1, layer_group_size=5, use_qk_norm=True,
        tie_word_embeddings=False)),
    "ERNIE-4.5-VL-28B": (28.6, 56.0, keys(model_type="ernie4_5_moe_vl", hidden_size=2560, intermediate_size=12288,
        num_hidden_layers=28, num_attention_heads=20, num_key_value_heads=4, vocab_size=103424,
        moe_num_experts=[64, 64], moe_intermediate_size=[1536, 512], moe_k=6, moe_capacity=[128, 128, 128],
        moe_layer_start_index=[1, 1], moe_layer_end_index=[29, 28], moe_layer_interval=1, moe_num_shared_experts=2,
        moe_gate="top2_fused", moe_use_aux_free=True, use_bias=False, tie_word_embeddings=True)),
    "Aria": (18.517, 512.0, keys(model_type="aria", text_config=keys(model_type="aria_text", hidden_size=4096,
        intermediate_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=32,
        vocab_size=32000, moe_num_experts=8, moe_topk=2, moe_num_shared_experts=2, tie_word_embeddings=False))),
    "Hunyuan 4": (58.278, 39.5, keys(model_type="hy_v4", hidden_size=2816, intermediate_size=6912,
        moe_intermediate_size=768, num_hidden_layers=34, num_attention_heads=32, num_key_value_heads=32,
        vocab_size=120832, indexer_types=["full", "full", *["shared", "shared", "shared", "full"] * 8],
        tie_word_embeddings=False)),
    "Mistral Large 4": (1050.118, 90.0, keys(model_type="mistral_large4", hidden_size=6144, intermediate_size=24576,
        num_hidden_layers=72, num_attention_heads=64, num_key_value_heads=64, vocab_size=204800,
        kv_source_layers=list(range(72)), tie_word_embeddings=False)),
    "DiffLlama": (1.2049, 128.0, keys(model_type="diffllama", hidden_size=2048, intermediate_size=8192,
        num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=32, vocab_size=32000, lambda_std_dev=0.1,
        tie_word_embeddings=False)),
    "BitNet": (2.741, 75.0, keys(model_type="bitnet", hidden_size=2560, intermediate_size=6912, num_hidden_layers=30,
        num_attention_heads=20, num_key_value_heads=5, vocab_size=128256, hidden_act="relu2",
        tie_word_embeddings=False)),
    "nanochat": (0.25657, 36.0, keys(model_type="nanochat", hidden_size=768, intermediate_size=8192,
        num_hidden_layers=12, num_attention_heads=6, num_key_value_heads=6, vocab_size=50304, hidden_act="relu2",
        tie_word_embeddings=False)),
    "A.X K1": (518.983, 68.625, keys(model_type="axk1", **_MLA, hidden_size=7168, intermediate_size=18432,
        moe_intermediate_size=2048, num_hidden_layers=61, num_attention_heads=64, num_key_value_heads=64,
        vocab_size=163840, q_lora_rank=1536, n_routed_experts=192, num_experts_per_tok=8, n_shared_experts=1,
        mlp_layer_types=["dense"] + ["sparse"] * 60, tie_word_embeddings=False)),
    "Sarvam MLA": (106.032, 36.0, keys(model_type="sarvam_mla", **_MLA, hidden_size=4096, intermediate_size=16384,
        moe_intermediate_size=2048, num_hidden_layers=32, num_attention_heads=64, num_key_value_heads=64,
        vocab_size=262144, q_lora_rank=None, n_routed_experts=128, num_experts_per_tok=8, n_shared_experts=1,
        first_k_dense_replace=1, tie_word_embeddings=False)),
    "Muse Spark": (819.99, 248.0, keys(model_type="muse_spark", text_config=keys(model_type="muse_spark_text",
        hidden_size=8192, intermediate_size=16384, num_hidden_layers=62, num_attention_heads=128,
        num_key_value_heads=16, head_dim=64, vocab_size=202048, moe_intermediate_size=4096, moe_hidden_size=4096,
        layer_types=[FULL] * 62, mlp_layer_types=["sparse"] * 62, qk_scale_factor=5.4, layer_rope_theta=[0] * 62,
        tie_word_embeddings=False))),
    "Muse Glimmer": (27.855, 52.0, keys(model_type="muse_glimmer", text_config=keys(model_type="muse_glimmer_text",
        hidden_size=6656, intermediate_size=19968, num_hidden_layers=52, num_attention_heads=32,
        num_key_value_heads=2, head_dim=128, vocab_size=202048, layer_types=[WINDOW, WINDOW, WINDOW, FULL] * 13,
        tie_word_embeddings=False))),
    "Beam": (501.268, 208.0, keys(model_type="beam", hidden_size=5120, intermediate_size=20480,
        num_hidden_layers=52, num_attention_heads=48, num_key_value_heads=8, vocab_size=151936,
        moe_intermediate_size=2560, mlp_layer_types=["dense"] * 3 + ["sparse"] * 49, layer_types=[FULL] * 52,
        tie_word_embeddings=False)),
    "Kolibri": (78.103, 100.0, keys(model_type="kolibri1", hidden_size=2560, num_hidden_layers=50,
        num_attention_heads=48, num_key_value_heads=4, vocab_size=128000, moe_intermediate_size=512,
        shared_expert_intermediate_size=512, layer_types=[*[WINDOW] * 4, FULL] * 10, tie_word_embeddings=False)),
    "Lara": (7.2817, 40.0, keys(model_type="lara_mini", hidden_size=1024, num_hidden_layers=34,
        num_attention_heads=16, num_key_value_heads=4, head_dim=128, vocab_size=151936, linear_conv_kernel_dim=4,
        linear_key_head_dim=128, linear_value_head_dim=128, linear_num_key_heads=8, linear_num_value_heads=16,
        moe_intermediate_size=512, shared_expert_intermediate_size=512, tie_word_embeddings=True,
        layer_types=[LINEAR] * 14 + [WINDOW] * 14 + [FULL] * 6)),
    "GPT-Neo-2.7B": (2.651, 320.0, keys(model_type="gpt_neo", hidden_size=2560, num_heads=20, num_layers=32,
        vocab_size=50257, intermediate_size=None, attention_types=[[["global", "local"], 16]],
        attention_layers=["global", "local"] * 16, window_size=256, activation_function="gelu_new")),
    "Molmo2-8B": (8.191, 144.0, keys(model_type="molmo2", text_config=keys(model_type="molmo2_text",
        hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, vocab_size=151936, additional_vocab_size=128, qk_norm_type="qwen3",
        rope_scaling_layers=[0], tie_word_embeddings=False))),
    "Cosmos 3 edge": (1.9463, 112.0, keys(model_type="cosmos3_edge", text_config=keys(
        model_type="cosmos3_edge_text", hidden_size=2048, intermediate_size=9216, num_hidden_layers=28,
        num_attention_heads=16, num_key_value_heads=8, head_dim=128, vocab_size=131072, hidden_act="relu2",
        tie_word_embeddings=False))),
    "DeepSeek-OCR": (2.935, 60.0, keys(model_type="deepseek_vl_v2", hidden_size=1280, num_hidden_layers=12,
        language_config=keys(hidden_size=1280, intermediate_size=6848, num_hidden_layers=12, num_attention_heads=10,
        num_key_value_heads=10, vocab_size=129280, use_mla=False, kv_lora_rank=None, q_lora_rank=None,
        qk_nope_head_dim=0, qk_rope_head_dim=0, v_head_dim=0, moe_intermediate_size=896, n_routed_experts=64,
        n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1, lm_head=True, rm_head=False,
        tie_word_embeddings=False))),
    "MiniCPM-V-2.6": (7.613, 56.0, keys(model_type="minicpmv", version=2.6, hidden_size=3584,
        intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
        vocab_size=151666, query_num=64, slice_mode=True, use_sliding_window=False, tie_word_embeddings=False)),
    "Llama-Guard-4-12B": (11.13, 192.0, keys(model_type="llama4", text_config=keys(model_type="llama4_text",
        hidden_size=5120, intermediate_size=8192, intermediate_size_mlp=8192, num_hidden_layers=48,
        num_attention_heads=40, num_key_value_heads=8, head_dim=128, vocab_size=202048, num_local_experts=0,
        num_experts_per_tok=0, interleave_moe_layer_step=0, moe_layers=[], no_rope_layers=[],
        attention_chunk_size=8192, tie_word_embeddings=False))),
    "Phi-4-multimodal": (4.666, 128.0, keys(model_type="phi4mm", hidden_size=3072, intermediate_size=8192,
        num_hidden_layers=32, num_attention_heads=24, num_key_value_heads=8, vocab_size=200064, full_attn_mod=1,
        vision_lora=keys(r=256, lora_alpha=512, layer="x"), speech_lora=keys(r=320, lora_alpha=640, layer="x"),
        sliding_window=262144, max_position_embeddings=131072, tie_word_embeddings=True)),
}
# fmt: on


def read(folder, config):
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return load("model", folder)


@pytest.mark.parametrize("name", SHAPES)
def test_family_has_the_size_that_its_makers_or_its_class_count(name, tmp_path):
    parameters, cache, config = SHAPES[name]
    model = read(tmp_path, config)
    found = reading(model)
    assert found["parameters"] / 1e9 == pytest.approx(parameters, rel=2e-3)
    assert found["kv_bytes_per_token"] / 1024.0 == pytest.approx(cache, abs=0.05)
    assert found["active_parameters"] <= found["parameters"]
    weights = memory_per_device(model, Workload("decode", 1.0, 1.0))["weights"]
    assert weights == pytest.approx(found["weight_bytes"], rel=0.01)


def test_every_family_has_a_shape_here():
    told = {family_name(inner["model_type"]) for _, _, config in SHAPES.values() for inner in _parts(config)}
    assert RECENT.keys() <= told


def _parts(config):
    return [config, *(inner for inner in config.values() if isinstance(inner, dict) and "model_type" in inner)]


def _toml(model):
    """What was read as a file of its own: fields that differ from what a file need not say, and tables of parts."""

    def line(name, value):
        return f"{name} = {json.dumps(value)}"

    fields = [each for each in dataclasses.fields(model) if each.name not in ("name", "facts", "attention", "mlp")]
    given = [(each.name, getattr(model, each.name)) for each in fields if getattr(model, each.name) != each.default]
    lines = [line(name, value) for name, value in given if isinstance(value, bool | float | str) and name != "digest"]
    for table in ("attention", "mlp"):
        for part in getattr(model, table):
            lines += [f"[[{table}]]", *(line(name, value) for name, value in dataclasses.asdict(part).items())]
    head = '[default]\nkind = "paper"\nsource = "own"\nlocator = "test"\n[sources.own]\ntitle = "a test"\n[model]\n'
    return head + "\n".join(lines)


@pytest.mark.parametrize("name", SHAPES)
def test_every_kind_of_layer_can_be_told_in_toml(name, tmp_path):
    model = read(tmp_path, SHAPES[name][2])
    (tmp_path / "own.toml").write_text(_toml(model), encoding="utf-8")
    assert reading(load("model", tmp_path / "own.toml")) == reading(model)


def test_a_shared_block_is_held_once_and_read_at_each_use(tmp_path):
    model = read(tmp_path, SHAPES["Zamba2-7B"][2])
    table = operator_table(model, Workload("decode", 1.0, 64.0))
    assert table.columns["count"][table.names.index("mlp_up")] == 13.0
    block = 3 * 3584 * 14336 + 3 * 7168 * 7168 + 7168 * 3584
    once = weight_bytes(model, Workload("decode", 1.0, 1.0))
    other = read(tmp_path, SHAPES["Zamba2-7B"][2] | {"num_mem_blocks": 3})
    # a third block, and its two norms
    assert weight_bytes(other, Workload("decode", 1.0, 1.0)) - once == 2.0 * (block + 3 * 3584)


def test_rwkv_6_counted_by_hand(tmp_path):
    config = SHAPES["RWKV-6-Finch-7B"][2] | {
        "hidden_size": 2048,
        "attention_hidden_size": 2048,
        "num_hidden_layers": 24,
    }
    h, width = 2048, 7168
    time_mix = 5 * h * h + 2 * 64 * h + 10 * 32 * h + 10 * h  # matrices, decay, token shift; vectors and norm
    channel_mix = 2 * h * width + h * h + 2 * h
    total = 24 * (time_mix + channel_mix + 2 * 2 * h) + 2 * 2 * h + 2 * 65536 * h
    assert reading(read(tmp_path, config))["parameters"] == total


def test_a_state_of_rwkv_is_a_matrix_a_head_at_32_bit(tmp_path):
    model = read(tmp_path, SHAPES["RWKV-7-World-2.9B"][2])
    assert reading(model)["state_bytes_per_sequence"] == 32 * 40 * 64 * 64 * 4


def test_experts_for_images_are_counted_and_no_token_of_text_reads_them(tmp_path):
    model = read(tmp_path, SHAPES["ERNIE-4.5-VL-28B"][2])
    assert model.other_parameters == 27 * 64 * (3 * 2560 * 512 + 2560 + 1)
    assert any("experts for images" in note for note in model.notes)


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("Zamba2-7B", {"add_bias_linear": True}, "add_bias_linear"),
        ("Zamba2-7B", {"layers_block_type": ["mamba"] * 80 + ["moe"]}, "layers_block_type"),
        ("RWKV-6-Finch-7B", {"head_size": 60}, "head_size"),
        ("RWKV-6-Finch-7B", {"attention_hidden_size": 2048}, "attention_hidden_size"),
        ("RWKV-7-World-2.9B", {"hidden_ratio": "four"}, "hidden_ratio"),
        ("Zamba2-7B", {"mamba_headdim": 32}, "mamba_headdim"),
        ("Zamba2-7B", {"num_attention_heads": 32, "num_key_value_heads": 5}, "num_key_value_heads 5"),
        ("GPT-Neo-2.7B", {"attention_types": [[["global", "local"], 15]]}, "attention_types"),
        ("Ling 3", {"layer_group_size": None, "layer_types": None}, "layer_group_size"),
        ("Mistral Large 4", {"kv_source_layers": [0] * 72}, "kv_source_layers"),
        ("LFM3", {"use_sandwich_norm": False}, "use_sandwich_norm"),
    ],
)
def test_what_is_not_modelled_is_refused_by_its_key(name, changes, named, tmp_path):
    with pytest.raises(SpecError, match=named):
        read(tmp_path, SHAPES[name][2] | changes)
