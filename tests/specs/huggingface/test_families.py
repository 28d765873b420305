"""Families of models: each with the parameters and the KV cache that its makers or its class count.

Shapes are those of published ``config.json`` files, in the keys that say something of the layers.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device
from accelmodel.inference.reading import reading
from accelmodel.specs.huggingface.families import FAMILIES
from accelmodel.specs.huggingface.text import REFUSED, family_name
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload

_SIX = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
)  # fmt: skip


def shape(model_type: str, *sizes: int, **more: Any) -> dict[str, Any]:
    """The six sizes that most files have, in that order, and further keys."""
    return {"model_type": model_type, **dict(zip(_SIX, sizes, strict=True)), **more}


def keys(**given: Any) -> dict[str, Any]:
    """Keys of a config."""
    return given


# fmt: off
#: model → its parameters [1e9], its KV cache a token at 16 bit [KiB], 0 where not published, and its config
SHAPES: dict[str, tuple[float, float, dict[str, Any]]] = {
    "Llama-2-7B": (6.738, 512.0, shape("llama", 4096, 11008, 32, 32, 32, 32000,
        max_position_embeddings=4096, tie_word_embeddings=False)),
    "Llama-3.2-3B": (3.213, 112.0, shape("llama", 3072, 8192, 28, 24, 8, 128256, head_dim=128,
        tie_word_embeddings=True)),
    "Llama-3.2-11B-V": (9.775, 0, keys(model_type="mllama", text_config=shape("mllama_text_model", 4096,
        14336, 40, 32, 8, 128256, cross_attention_layers=[3, 8, 13, 18, 23, 28, 33, 38],
        tie_word_embeddings=False))),
    "Mistral-Nemo": (12.248, 160.0, shape("mistral", 5120, 14336, 40, 32, 8, 131072, head_dim=128,
        sliding_window=None, tie_word_embeddings=False)),
    "Mistral-Small-3.1": (23.572, 160.0, keys(model_type="mistral3", text_config=shape("mistral", 5120,
        32768, 40, 32, 8, 131072, head_dim=128, sliding_window=None))),
    "Qwen1.5-MoE-A2.7B": (14.316, 192.0, shape("qwen2_moe", 2048, 5632, 24, 16, 16, 151936,
        moe_intermediate_size=1408, shared_expert_intermediate_size=5632, num_experts=60, num_experts_per_tok=4,
        tie_word_embeddings=False, decoder_sparse_step=1, use_sliding_window=False, max_window_layers=21)),
    "Qwen2.5-VL-7B": (7.616, 56.0, shape("qwen2_5_vl", 3584, 18944, 28, 28, 4, 152064,
        tie_word_embeddings=False, use_sliding_window=False, sliding_window=32768, max_window_layers=28)),
    "Jais-13B": (13.02, 800.0, keys(model_type="jais", n_embd=5120, n_inner=13653, n_layer=40, n_head=40,
        vocab_size=84992, activation_function="swiglu", position_embedding_type="alibi", n_positions=2048,
        width_scale=0.11, embeddings_scale=14.6, scale_qk_dot_by_d=True)),
    "Solar-Pro-22B": (22.1, 320.0, shape("solar", 5120, 17920, 64, 40, 10, 32128, sliding_window=2047,
        bskcn_1=[12, 20, 32, 44], bskcn_2=[20, 32], bskcn_3=[16, 24, 36, 48], bskcn_4=[28, 40], bskcn_tv=[0.9, 0.8],
        tie_word_embeddings=False)),
    "Skywork-MoE-146B": (146.3, 0, shape("skywork_moe", 4608, 12288, 52, 36, 36, 65536, num_experts=[16],
        num_experts_per_tok=2, moe_use_skywork_gating=False, moe_2layer_gate=False, tie_word_embeddings=False)),
    "Molmo-7B-D": (7.616, 56.0, shape("molmo", 3584, 37888, 28, 28, 4, 152064, embedding_size=152064, qkv_bias=True,
        attention_layer_norm=False, norm_after=False, layer_norm_type="rms", weight_tying=False,
        tie_word_embeddings=False)),
    "Kimi-Linear-48B": (49.1, 0, shape("kimi_linear", 2304, 9216, 27, 32, 32, 163840,
        moe_intermediate_size=1024, head_dim=72, kv_lora_rank=512, q_lora_rank=None, qk_nope_head_dim=128,
        qk_rope_head_dim=64, v_head_dim=128, num_experts=256, num_experts_per_token=8, num_shared_experts=1,
        first_k_dense_replace=1, moe_layer_freq=1, num_nextn_predict_layers=0, model_max_length=1048576,
        linear_attn_config={"full_attn_layers": [4, 8, 12, 16, 20, 24, 27], "kda_layers": [1, 2, 3, 5, 6, 7, 9,
        10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 25, 26], "head_dim": 128, "num_heads": 32,
        "short_conv_kernel_size": 4}, tie_word_embeddings=False)),
    "GLM-4.6": (352.798, 368.0, shape("glm4_moe", 5120, 12288, 92, 96, 8, 151552,
        moe_intermediate_size=1536, head_dim=128, attention_bias=True, use_qk_norm=True, n_routed_experts=160,
        n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=3, num_nextn_predict_layers=1,
        tie_word_embeddings=False)),
    "GLM-4.7-Flash": (29.943, 0, keys(model_type="glm4_moe_lite")),
    "Gemma-7B": (8.538, 448.0, shape("gemma", 3072, 24576, 28, 16, 16, 256000, head_dim=256)),
    "Gemma-2-9B": (9.242, 336.0, shape("gemma2", 3584, 14336, 42, 16, 8, 256000, head_dim=256,
        sliding_window=4096)),
    "Gemma-3-27B": (27.009, 496.0, keys(model_type="gemma3", text_config=keys(model_type="gemma3_text",
        hidden_size=5376, intermediate_size=21504, num_hidden_layers=62, num_attention_heads=32,
        num_key_value_heads=16, head_dim=128, sliding_window=1024))),
    "Phi-3-mini": (3.821, 384.0, shape("phi3", 3072, 8192, 32, 32, 32, 32064, sliding_window=262144,
        max_position_embeddings=131072, tie_word_embeddings=False, attention_bias=False)),
    "Phi-3.5-MoE": (41.873, 128.0, shape("phimoe", 4096, 6400, 32, 32, 8, 32064, num_local_experts=16,
        num_experts_per_tok=2, attention_bias=True, lm_head_bias=True, sliding_window=131072,
        max_position_embeddings=131072, tie_word_embeddings=False)),
    "Phi-3-vision": (3.82, 384.0, shape("phi3_v", 3072, 8192, 32, 32, 32, 32064, sliding_window=131072,
        max_position_embeddings=131072, tie_word_embeddings=False)),
    "Phi-4": (14.66, 200.0, shape("phi3", 5120, 17920, 40, 40, 10, 100352, sliding_window=None,
        max_position_embeddings=16384, tie_word_embeddings=False)),
    "Falcon-7B": (6.9, 0, keys(model_type="falcon", hidden_size=4544, num_hidden_layers=32,
        num_attention_heads=71, num_kv_heads=71, vocab_size=65024, multi_query=True,
        new_decoder_architecture=False, parallel_attn=True, bias=False, alibi=False)),
    "Falcon-40B": (41.3, 0, keys(model_type="RefinedWeb", hidden_size=8192, n_layer=60, n_head=128,
        n_head_kv=8, vocab_size=65024, bias=False, alibi=False, parallel_attn=True,
        new_decoder_architecture=True)),
    "Falcon3-7B": (7.456, 112.0, shape("llama", 3072, 23040, 28, 12, 4, 131072, head_dim=256,
        tie_word_embeddings=False)),
    "Falcon-Mamba-7B": (7.3, 0, keys(model_type="falcon_mamba", hidden_size=4096, num_hidden_layers=64,
        vocab_size=65024, state_size=16, conv_kernel=4, expand=16, intermediate_size=8192, time_step_rank=256,
        tie_word_embeddings=False, use_bias=False, use_conv_bias=True)),
    "Command-A": (111.1, 0, shape("cohere2", 12288, 36864, 64, 96, 8, 256000, head_dim=128,
        sliding_window=4096, sliding_window_pattern=4, use_gated_activation=True, use_parallel_block=True,
        use_embedding_sharing=True, use_qk_norm=False, order_of_interleaved_layers="local_attn_first",
        layer_switch=4, max_position_embeddings=262144)),
    "OLMo2-32B": (32.234, 256.0, shape("olmo2", 5120, 27648, 64, 40, 8, 100352, tie_word_embeddings=False)),
    "OLMoE": (6.919, 128.0, shape("olmoe", 2048, 1024, 16, 16, 16, 50304, num_experts=64,
        num_experts_per_tok=8, tie_word_embeddings=False)),
    "Granite-4-H-Small": (32.2, 0, shape("granitemoehybrid", 4096, 768, 40, 32, 8, 100352,
        num_local_experts=72, num_experts_per_tok=10, shared_intermediate_size=1536, mamba_n_heads=128,
        mamba_n_groups=1, mamba_d_state=128, mamba_d_head=64, mamba_d_conv=4, mamba_expand=2,
        mamba_conv_bias=True, mamba_proj_bias=False, layer_types=["mamba", "mamba", "mamba", "mamba", "mamba",
        "attention", "mamba", "mamba", "mamba", "mamba"] * 4, tie_word_embeddings=True)),
    "Hunyuan-A13B": (80.4, 0, shape("hunyuan_v1_moe", 4096, 3072, 32, 32, 8, 128167,
        moe_intermediate_size=[3072] * 32, head_dim=128, attention_head_dim=128, num_experts=64, moe_topk=[8] *
        32, num_shared_expert=[1] * 32, use_mixed_mlp_moe=True, use_cla=False, cla_share_factor=2,
        use_qk_norm=True, tie_word_embeddings=True)),
    "Hy3": (295.034, 0, keys(model_type="hy_v3")),
    "LongCat": (560.6, 0, keys(model_type="longcat_flash", hidden_size=6144, num_layers=28,
        num_attention_heads=64, vocab_size=131072, ffn_hidden_size=12288, expert_ffn_hidden_size=2048,
        kv_lora_rank=512, q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
        moe_topk=12, n_routed_experts=512, zero_expert_num=256, zero_expert_type="identity",
        attention_method="MLA", mla_scale_q_lora=True, mla_scale_kv_lora=True, router_bias=False,
        attention_bias=False)),
    "Ling-1T": (999.7, 0, shape("bailing_moe", 8192, 18432, 80, 64, 8, 157184, moe_intermediate_size=2048,
        head_dim=128, num_experts=256, num_experts_per_tok=8, num_shared_experts=1, first_k_dense_replace=4,
        use_qk_norm=True, use_qkv_bias=False, use_bias=False, moe_router_enable_expert_bias=True,
        moe_shared_expert_intermediate_size=2048, tie_word_embeddings=False, score_function="sigmoid")),
    "Mamba2-Codestral": (7.3, 0, keys(model_type="mamba2", hidden_size=4096, num_hidden_layers=64,
        vocab_size=32768, num_heads=128, head_dim=64, n_groups=8, state_size=128, expand=2, conv_kernel=4,
        tie_word_embeddings=False, norm_before_gate=True, intermediate_size=8192, time_step_rank=256)),
    "RecurrentGemma-9B": (8.58, 0, shape("recurrent_gemma", 4096, 24576, 38, 16, 1, 256000, lru_width=4096,
        attention_window_size=2048, conv1d_width=4, block_types=["recurrent", "recurrent", "attention"],
        head_dim=256)),
    "Grok-1": (316.489, 256.0, shape("grok-1", 6144, 32768, 64, 48, 8, 131072, num_experts=8,
        num_experts_per_tok=2, tie_word_embeddings=False)),
    "Grok-2": (269.5, 0, shape("git", 8192, 32768, 64, 64, 8, 131072, moe_intermediate_size=16384,
        head_dim=128, num_local_experts=8, num_experts_per_tok=2, residual_moe=True, sliding_window_size=-1,
        max_position_embeddings=131072)),
    "BLOOM": (176.2, 0, keys(model_type="bloom", n_layer=70, n_head=112, hidden_size=14336,
        vocab_size=250880, seq_length=2048, apply_residual_connection_post_layernorm=False, offset_alibi=100)),
    "GPT-J": (6.1, 0, keys(model_type="gptj", n_layer=28, n_head=16, n_embd=4096, n_positions=2048,
        n_inner=None, vocab_size=50400, activation_function="gelu_new", tie_word_embeddings=False)),
    "MPT-7B": (6.6, 0, keys(model_type="mpt", d_model=4096, n_heads=32, n_layers=32, expansion_ratio=4,
        max_seq_len=2048, vocab_size=50432, no_bias=True, attn_config={"alibi": True, "attn_impl": "torch",
        "attn_type": "multihead_attention", "qk_ln": False, "prefix_lm": False, "alibi_bias_max": 8,
        "softmax_scale": None, "attn_uses_sequence_id": False, "attn_pdrop": 0}, learned_pos_emb=True)),
    "StarCoder2-3B": (3.03, 0, keys(model_type="starcoder2")),
    "StarCoder2-15B": (15.656, 0, shape("starcoder2", 6144, 24576, 40, 48, 4, 49152, sliding_window=4096,
        use_bias=True, max_position_embeddings=16384)),
    "SmolLM3": (3.075, 72.0, shape("smollm3", 2048, 11008, 36, 16, 4, 128256, no_rope_layers=[1, 1, 1, 0] *
        9, no_rope_layer_interval=4, layer_types=["full_attention"] * 36, use_sliding_window=False,
        max_window_layers=28)),
    "Apertus-8B": (8.053, 0, shape("apertus", 4096, 21504, 32, 32, 8, 131072, qk_norm=True, post_norm=False,
        mlp_bias=False, tie_word_embeddings=False)),
    "Apertus-70B": (70.6, 0, shape("apertus", 8192, 43008, 80, 64, 8, 131072, qk_norm=True,
        tie_word_embeddings=False)),
    "InternLM2-7B": (7.738, 128.0, shape("internlm2", 4096, 14336, 32, 32, 8, 92544, bias=False,
        tie_word_embeddings=False, attn_implementation="eager")),
    "Yi-34B": (34.389, 240.0, shape("llama", 7168, 20480, 60, 56, 8, 64000, tie_word_embeddings=False)),
    "CodeLlama-34B": (33.744, 192.0, shape("llama", 8192, 22016, 48, 64, 8, 32000)),
    "StableLM-3B": (2.8, 0, shape("stablelm_epoch", 2560, 6912, 32, 32, 32, 50304, num_heads=32,
        tie_word_embeddings=False)),
    "dots1": (142.774, 992.0, shape("dots1", 4096, 10944, 62, 32, 32, 152064, moe_intermediate_size=1408,
        head_dim=128, n_routed_experts=128, n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1,
        moe_layer_freq=1, use_sliding_window=False, sliding_window=None, max_window_layers=62,
        tie_word_embeddings=False)),
    "Jamba-1.5-mini": (51.6, 0, shape("jamba", 4096, 14336, 32, 32, 8, 65536, num_experts=16,
        num_experts_per_tok=2, expert_layer_period=2, expert_layer_offset=1, attn_layer_period=8,
        attn_layer_offset=4, mamba_d_state=16, mamba_d_conv=4, mamba_expand=2, mamba_dt_rank=256,
        mamba_conv_bias=True, mamba_proj_bias=False, mamba_inner_layernorms=True, tie_word_embeddings=False)),
    "Falcon-H1-7B": (7.59, 0, shape("falcon_h1", 3072, 12288, 44, 12, 2, 130048, head_dim=128,
        mamba_d_ssm=3072, mamba_n_heads=24, mamba_d_head=128, mamba_n_groups=1, mamba_d_state=256,
        mamba_d_conv=4, mamba_expand=2, mamba_conv_bias=True, mamba_proj_bias=False, mamba_rms_norm=False,
        mamba_norm_before_gate=False, mamba_use_mlp=True, projectors_bias=False, mlp_expansion_factor=8,
        attn_layer_indices=None, tie_word_embeddings=False)),
    "LFM2-1.2B": (1.17, 0, keys(model_type="lfm2", hidden_size=2048, block_dim=2048, block_ff_dim=12288,
        block_multiple_of=256, block_ffn_dim_multiplier=1.0, block_auto_adjust_ff_dim=True,
        num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, vocab_size=65536, conv_L_cache=3,
        conv_bias=False, conv_dim=2048, conv_dim_out=2048, full_attn_idxs=[2, 5, 8, 10, 12, 14], num_heads=32,
        tie_embedding=True, block_use_swiglu=True)),
    "Qwen3-Next-80B": (79.7, 0, shape("qwen3_next", 2048, 5120, 48, 16, 2, 151936,
        moe_intermediate_size=512, shared_expert_intermediate_size=512, num_experts=512, num_experts_per_tok=10,
        head_dim=256, full_attention_interval=4, linear_conv_kernel_dim=4, linear_key_head_dim=128,
        linear_num_key_heads=16, linear_num_value_heads=32, linear_value_head_dim=128, decoder_sparse_step=1,
        mlp_only_layers=[], tie_word_embeddings=False)),
    "DBRX": (131.6, 0, keys(model_type="dbrx", d_model=6144, n_heads=48, n_layers=40, max_seq_len=32768,
        vocab_size=100352, attn_config={"kv_n_heads": 8, "model_type": ""}, ffn_config={"ffn_hidden_size":
        10752, "moe_jitter_eps": 0.01, "moe_loss_weight": 0.05, "moe_num_experts": 16, "moe_top_k": 4,
        "model_type": ""}, tie_word_embeddings=False)),
    "Phi-2": (2.78, 0, keys(model_type="phi", hidden_size=2560, intermediate_size=10240,
        num_hidden_layers=32, num_attention_heads=32, vocab_size=51200, qk_layernorm=False)),
    "GLM-4-9B": (9.4, 0, keys(model_type="chatglm", hidden_size=4096, ffn_hidden_size=13696, num_layers=40,
        num_attention_heads=32, multi_query_attention=True, multi_query_group_num=2, kv_channels=128,
        padded_vocab_size=151552, vocab_size=151552, add_qkv_bias=True, add_bias_linear=False,
        seq_length=131072, rmsnorm=True, post_layer_norm=True, tie_word_embeddings=False,
        apply_residual_connection_post_layernorm=False)),
    "Qwen-7B v1": (7.72, 0, keys(model_type="qwen", hidden_size=4096, intermediate_size=22016,
        num_hidden_layers=32, num_attention_heads=32, kv_channels=128, seq_length=8192, vocab_size=151936,
        no_bias=True, tie_word_embeddings=False)),
    "Baichuan2-7B": (7.5, 0, keys(model_type="baichuan", hidden_size=4096, intermediate_size=11008,
        num_hidden_layers=32, num_attention_heads=32, vocab_size=125696, model_max_length=4096,
        max_position_embeddings=4096, tie_word_embeddings=False)),
    "Nemotron-4-340B": (341, 0, shape("nemotron", 18432, 73728, 96, 96, 8, 256000,
        tie_word_embeddings=False, mlp_bias=False)),
    "DeepSeek-V2-Lite": (15.7, 0, shape("deepseek_v2", 2048, 10944, 27, 16, 16, 102400,
        moe_intermediate_size=1408, kv_lora_rank=512, q_lora_rank=None, qk_nope_head_dim=128,
        qk_rope_head_dim=64, v_head_dim=128, n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6,
        first_k_dense_replace=1, moe_layer_freq=1, tie_word_embeddings=False)),
    "DeepSeek-MoE-16B": (16.4, 0, shape("deepseek", 2048, 10944, 28, 16, 16, 102400,
        moe_intermediate_size=1408, n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6,
        first_k_dense_replace=1, moe_layer_freq=1, tie_word_embeddings=False)),
    "Seed-OSS-36B": (36.15, 0, shape("seed_oss", 5120, 27648, 64, 80, 8, 155136, head_dim=128,
        attention_bias=True, attention_out_bias=False, mlp_bias=False, tie_word_embeddings=False)),
    "Command-R+": (103.8, 0, shape("cohere", 12288, 33792, 64, 96, 8, 256000, use_qk_norm=True)),
    "GLM-4-32B-0414": (32.6, 0, shape("glm4", 6144, 23040, 61, 48, 2, 151552, head_dim=128,
        attention_bias=False, tie_word_embeddings=False)),
    "Qwen3-Omni": (30.5, 0, keys(model_type="qwen3_omni_moe", thinker_config={"text_config": {"hidden_size":
        2048, "intermediate_size": 768, "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok":
        8, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
        "vocab_size": 152064, "model_type": "qwen3_omni_moe_text"}})),
    "Llama-3.1-405B": (405.853, 504.0, shape("llama", 16384, 53248, 126, 128, 8, 128256,
        attention_bias=False, max_position_embeddings=131072, mlp_bias=False, tie_word_embeddings=False)),
    "Mixtral-8x7B": (46.703, 128.0, shape("mixtral", 4096, 14336, 32, 32, 8, 32000,
        max_position_embeddings=32768, num_experts_per_tok=2, num_local_experts=8, sliding_window=None,
        tie_word_embeddings=False)),
    "Qwen3-235B-A22B": (235.094, 188.0, shape("qwen3_moe", 4096, 12288, 94, 64, 4, 151936,
        attention_bias=False, decoder_sparse_step=1, head_dim=128, max_position_embeddings=40960,
        max_window_layers=94, mlp_only_layers=[], moe_intermediate_size=1536, num_experts=128,
        num_experts_per_tok=8, sliding_window=None, tie_word_embeddings=False, use_sliding_window=False)),
    "DeepSeek-V3": (671.026, 68.6, shape("deepseek_v3", 7168, 18432, 61, 128, 128, 129280,
        attention_bias=False, first_k_dense_replace=3, kv_lora_rank=512, max_position_embeddings=163840,
        moe_intermediate_size=2048, moe_layer_freq=1, n_routed_experts=256, n_shared_experts=1,
        num_experts_per_tok=8, num_nextn_predict_layers=1, q_lora_rank=1536, qk_nope_head_dim=128,
        qk_rope_head_dim=64, tie_word_embeddings=False, v_head_dim=128)),
    "DeepSeek-V3.2": (671.9, 0, shape("deepseek_v32", 7168, 18432, 61, 128, 128, 129280,
        attention_bias=False, first_k_dense_replace=3, index_head_dim=128, index_n_heads=64, index_topk=2048,
        kv_lora_rank=512, max_position_embeddings=163840, moe_intermediate_size=2048, moe_layer_freq=1,
        n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, num_nextn_predict_layers=1,
        q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64, tie_word_embeddings=False,
        v_head_dim=128)),
    "Kimi-K2": (1026.4, 68.6, shape("kimi_k2", 7168, 18432, 61, 64, 64, 163840, attention_bias=False,
        first_k_dense_replace=1, kv_lora_rank=512, max_position_embeddings=131072, moe_intermediate_size=2048,
        moe_layer_freq=1, n_routed_experts=384, n_shared_experts=1, num_experts_per_tok=8,
        num_nextn_predict_layers=0, q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64,
        tie_word_embeddings=False, v_head_dim=128)),
    "GLM-5": (743.9, 0, shape("glm_moe_dsa", 6144, 12288, 78, 64, 64, 154880, attention_bias=False,
        first_k_dense_replace=3, head_dim=64, index_head_dim=128, index_n_heads=32, index_topk=2048,
        kv_lora_rank=512, max_position_embeddings=202752, moe_intermediate_size=2048, moe_layer_freq=1,
        n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, num_nextn_predict_layers=1,
        q_lora_rank=2048, qk_nope_head_dim=192, qk_rope_head_dim=64, tie_word_embeddings=False,
        v_head_dim=256)),
    "GLM-5.2": (743.9, 0, shape("glm_moe_dsa", 6144, 12288, 78, 64, 64, 154880, attention_bias=False,
        first_k_dense_replace=3, head_dim=192, index_head_dim=128, index_n_heads=32, index_skip_topk_offset=3,
        index_topk=2048, index_topk_freq=4, index_topk_pattern=None, indexer_types=["full", "full", "full",
        "shared", "shared", "shared", "full", "shared", "shared", "shared", "full", "shared", "shared",
        "shared", "full", "shared", "shared", "shared", "full", "shared", "shared", "shared", "full", "shared",
        "shared", "shared", "full", "shared", "shared", "shared", "full", "shared", "shared", "shared", "full",
        "shared", "shared", "shared", "full", "shared", "shared", "shared", "full", "shared", "shared",
        "shared", "full", "shared", "shared", "shared", "full", "shared", "shared", "shared", "full", "shared",
        "shared", "shared", "full", "shared", "shared", "shared", "full", "shared", "shared", "shared", "full",
        "shared", "shared", "shared", "full", "shared", "shared", "shared", "full", "shared", "shared",
        "shared"], kv_lora_rank=512, max_position_embeddings=1048576, mlp_layer_types=["dense"] * 3 + ["sparse"]
        * 75, moe_intermediate_size=2048, moe_layer_freq=1, n_routed_experts=256, n_shared_experts=1,
        num_experts_per_tok=8, num_nextn_predict_layers=1, q_lora_rank=2048, qk_nope_head_dim=192,
        qk_rope_head_dim=64, tie_word_embeddings=False, v_head_dim=256)),
    "Gemma-4-26B-A4B": (25.2, 0, keys(model_type="gemma4", text_config=shape("gemma4_text", 2816, 2112, 30,
        16, 8, 262144, attention_bias=False, attention_k_eq_v=True, enable_moe_block=True, global_head_dim=512,
        head_dim=256, hidden_size_per_layer_input=0, layer_types=["sliding_attention", "sliding_attention",
        "sliding_attention", "sliding_attention", "sliding_attention", "full_attention"] * 5,
        max_position_embeddings=262144, moe_intermediate_size=704, num_experts=128,
        num_global_key_value_heads=2, num_kv_shared_layers=0, sliding_window=1024, tie_word_embeddings=True,
        top_k_experts=8, use_double_wide_mlp=False, vocab_size_per_layer_input=262144),
        tie_word_embeddings=True)),
    "Nemotron-H-56B": (56.3, 0, shape("nemotron_h", 8192, 32768, 118, 64, 8, 131072, attention_bias=False,
        attention_head_dim=128, conv_kernel=4, expand=2,
        hybrid_override_pattern="M-M-M-M*-M" + "-M-M-M-M*-M" * 9 + "-M-M-M-M-",
        mamba_head_dim=64, mamba_num_heads=256, mamba_proj_bias=False, max_position_embeddings=8192,
        mlp_bias=False, mlp_hidden_act="relu2", n_groups=8, sliding_window=None, ssm_state_size=256,
        tie_word_embeddings=False, time_step_rank=512, use_bias=False, use_conv_bias=True)),
    "Nemotron-3-Nano-30B": (31.6, 0, shape("nemotron_h", 2688, 1856, 52, 32, 2, 131072,
        attention_bias=False, conv_kernel=4, expand=2, head_dim=128,
        hybrid_override_pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME", mamba_head_dim=64,
        mamba_num_heads=64, mamba_proj_bias=False, max_position_embeddings=262144, mlp_bias=False,
        mlp_hidden_act="relu2", moe_intermediate_size=1856, moe_shared_expert_intermediate_size=3712,
        n_groups=8, n_routed_experts=128, n_shared_experts=1, num_experts_per_tok=6, sliding_window=None,
        ssm_state_size=128, tie_word_embeddings=False, use_bias=False, use_conv_bias=True)),
    "MiniMax-M2.5": (228.69, 248.0, shape("minimax_m2", 3072, 1536, 62, 48, 8, 200064, head_dim=128,
        num_experts_per_tok=8, num_local_experts=256, max_position_embeddings=196608, tie_word_embeddings=False,
        use_qk_norm=True, qk_norm_type="per_layer", use_routing_bias=True, shared_intermediate_size=0)),
    "MiMo-7B": (7.62, 144.0, shape("mimo", 4096, 11008, 36, 32, 8, 151680, head_dim=128,
        max_position_embeddings=32768, attention_bias=True, sliding_window=32768, max_window_layers=32,
        use_sliding_window=False, use_mrope=False, num_nextn_predict_layers=1, tie_word_embeddings=False)),
    "MiMo-V2-Flash": (308.8, 0, shape("mimo_v2_flash", 4096, 16384, 48, 64, 4, 152576, head_dim=192,
        v_head_dim=128, max_position_embeddings=262144, sliding_window=128, sliding_window_size=128,
        attention_chunk_size=128, swa_num_attention_heads=64, swa_num_key_value_heads=8, swa_head_dim=192,
        swa_v_head_dim=128, hybrid_layer_pattern=[0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1,
        1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0], moe_layer_freq=[0] +
        [1] * 47, moe_intermediate_size=2048, n_routed_experts=256, n_shared_experts=None,
        num_experts_per_tok=8, attention_bias=False, add_swa_attention_sink_bias=True,
        add_full_attention_sink_bias=False, tie_word_embeddings=False)),
    "Llama-4-Maverick": (400.7, 0, keys(model_type="llama4", text_config=shape("llama4_text", 5120, 8192,
        48, 40, 8, 202048, attention_bias=False, attention_chunk_size=8192, head_dim=128,
        interleave_moe_layer_step=2, intermediate_size_mlp=16384, max_position_embeddings=1048576,
        num_experts_per_tok=1, num_local_experts=128, use_qk_norm=False))),
    "Qwen3.5-27B": (26.9, 0, keys(model_type="qwen3_5", text_config=shape("qwen3_5_text", 5120, 17408, 64,
        24, 4, 248320, attention_bias=False, attn_output_gate=True, full_attention_interval=4, head_dim=256,
        layer_types=["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 16,
        linear_conv_kernel_dim=4, linear_key_head_dim=128, linear_num_key_heads=16, linear_num_value_heads=48,
        linear_value_head_dim=128, max_position_embeddings=262144, mlp_only_layers=[]),
        tie_word_embeddings=False)),
    "ERNIE-4.5-21B": (21.825, 0, shape("ernie4_5_moe", 2560, 12288, 28, 20, 4, 103424,
        moe_intermediate_size=1536, moe_num_experts=64, moe_k=6, moe_num_shared_experts=2,
        moe_layer_start_index=1, moe_layer_interval=1, tie_word_embeddings=True,
        max_position_embeddings=131072)),
    "EXAONE-4-32B": (32.003, 256.0, shape("exaone4", 5120, 27392, 64, 40, 8, 102400, head_dim=128,
        tie_word_embeddings=False, sliding_window=4096, sliding_window_pattern="LLLG",
        max_position_embeddings=131072)),
    "Gemma-3n-E4B": (6.8, 0, keys(model_type="gemma3n_text", hidden_size=2048, intermediate_size=[16384] *
        35, num_hidden_layers=35, num_attention_heads=8, num_key_value_heads=2, head_dim=256, vocab_size=262400,
        num_kv_shared_layers=15)),
    "Granite-MoE-shared": (3.45, 64.0, shape("granitemoeshared", 1536, 512, 32, 24, 8, 49155,
        num_local_experts=40, num_experts_per_tok=8, shared_intermediate_size=1024, tie_word_embeddings=True,
        max_position_embeddings=4096)),
    "Hunyuan-Large": (392.0, 128.0, shape("hunyuan", 6400, 18304, 64, 80, 8, 129024, attention_head_dim=128,
        num_experts=16, moe_topk=1, num_shared_expert=1, use_mixed_mlp_moe=True, use_cla=True,
        cla_share_factor=2, tie_word_embeddings=True, max_position_embeddings=131072)),
    "InternVL (Qwen2 inside)": (7.613, 56.0, keys(model_type="internvl_chat", llm_config={"model_type":
        "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 151674})),
    "LLaVA-1.5": (6.738, 512.0, keys(model_type="llava", text_config=keys(model_type="llama",
        vocab_size=32064, max_position_embeddings=4096))),
    "MiniMax-01": (456.1, 40.0, shape("minimax_text_01", 6144, 9216, 80, 64, 8, 200064,
        num_local_experts=32, num_experts_per_tok=2, shared_intermediate_size=0, head_dim=128,
        attn_type_list=[0, 0, 0, 0, 0, 0, 0, 1] * 10, tie_word_embeddings=False,
        max_position_embeddings=10240000)),
    "Nemotron-4B": (4.191, 128.0, shape("nemotron", 3072, 9216, 32, 24, 8, 256000, head_dim=128,
        tie_word_embeddings=False, max_position_embeddings=4096, mlp_bias=False, attention_bias=False)),
    "RecurrentGemma-2B": (2.683, 8.0, shape("recurrent_gemma", 2560, 15360, 26, 10, 1, 256000, head_dim=256,
        lru_width=2560, attention_window_size=2048, block_types=["recurrent", "recurrent", "attention"],
        conv1d_width=4)),
    "Step3": (316, 0, keys(model_type="step3_vl", text_config=keys(model_type="step3_text",
        hidden_size=7168, num_hidden_layers=61, num_attention_heads=64, num_attention_groups=1,
        vocab_size=128815, intermediate_size=18432, max_seq_len=65536, moe_intermediate_size=5120,
        moe_num_experts=48, moe_top_k=3, share_expert_dim=5120, share_q_dim=2048, head_dim=256,
        norm_expert_weight=False,
        moe_layers_enum="4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59"))),
    "Bamba-9B": (9.78, 0, shape("bamba", 4096, 14336, 32, 32, 8, 128256, attn_layer_indices=[9, 18, 27],
        attn_rotary_emb=64, mamba_conv_bias=True, mamba_d_conv=4, mamba_d_head=64, mamba_d_state=128,
        mamba_expand=2, mamba_n_groups=1, mamba_n_heads=128, mamba_proj_bias=False, mlp_bias=False,
        tie_word_embeddings=False)),
    "Mamba-2.8b": (2.768, 0, keys(model_type="mamba", conv_kernel=4, d_model=2560, expand=2,
        hidden_size=2560, intermediate_size=5120, n_layer=64, num_hidden_layers=64, ssm_cfg={}, state_size=16,
        time_step_rank=160, use_bias=False, use_conv_bias=True, vocab_size=50280)),
    "GLM-4.5-Air": (106.85, 0, shape("glm4_moe", 4096, 10944, 46, 96, 8, 151552, head_dim=128,
        attention_bias=True, use_qk_norm=False, first_k_dense_replace=1, moe_intermediate_size=1408,
        n_routed_experts=128, n_shared_experts=1, num_experts_per_tok=8, num_nextn_predict_layers=1,
        tie_word_embeddings=False)),
    "Command-R-35B": (34.98, 0, shape("cohere", 8192, 22528, 40, 64, 64, 256000, model_max_length=131072,
        use_qk_norm=False, max_position_embeddings=8192)),
    "DeepSeek-V2-236B": (235.7, 0, shape("deepseek_v2", 5120, 12288, 60, 128, 128, 102400,
        first_k_dense_replace=1, kv_lora_rank=512, moe_intermediate_size=1536, moe_layer_freq=1,
        n_routed_experts=160, n_shared_experts=2, num_experts_per_tok=6, q_lora_rank=1536, qk_nope_head_dim=128,
        qk_rope_head_dim=64, tie_word_embeddings=False, v_head_dim=128)),
    "gpt2-xl": (1.558, 0, keys(model_type="gpt2", n_ctx=1024, n_embd=1600, n_head=25, n_layer=48,
        n_positions=1024, vocab_size=50257)),
    "starcoder": (15.5, 0, keys(model_type="gpt_bigcode", inference_runner=0, max_batch_size=None,
        max_sequence_length=None, multi_query=True, n_embd=6144, n_head=48, n_inner=24576, n_layer=40,
        n_positions=8192, scale_attention_softmax_in_fp32=True, validate_runner_input=True, vocab_size=49152)),
    "opt-6.7b": (6.66, 0, keys(model_type="opt", _remove_final_layer_norm=False, do_layer_norm_before=True,
        ffn_dim=16384, hidden_size=4096, max_position_embeddings=2048, num_attention_heads=32,
        num_hidden_layers=32, vocab_size=50272, word_embed_proj_dim=4096)),
    "MiniCPM-2B": (2.725, 0, shape("minicpm", 2304, 5760, 40, 36, 36, 122753, tie_word_embeddings=True)),
    "Orion": (14.5, 0, shape("orion", 5120, 15360, 40, 40, 40, 84608, tie_word_embeddings=False,
        attention_bias=False)),
    "internlm-7b": (7.32, 0, keys(model_type="internlm", hidden_size=4096, intermediate_size=11008,
        num_hidden_layers=32, num_attention_heads=32, vocab_size=103168, bias=True, tie_word_embeddings=False)),
    "Phi-4-mini": (3.836, 0, shape("phi3", 3072, 8192, 32, 24, 8, 200064, attention_bias=False,
        lm_head_bias=False, max_position_embeddings=131072, mlp_bias=False, sliding_window=262144,
        tie_word_embeddings=True)),
    "falcon-11B": (11.1, 0, keys(model_type="falcon", activation="gelu", alibi=False, bias=False,
        ffn_hidden_size=16384, hidden_size=4096, max_position_embeddings=8192, multi_query=True,
        new_decoder_architecture=True, num_attention_heads=32, num_hidden_layers=60, num_kv_heads=8,
        num_ln_in_parallel_attn=1, parallel_attn=True, vocab_size=65024, tie_word_embeddings=False)),
    "stablelm-2-12b": (12.14, 0, shape("stablelm", 5120, 13824, 40, 32, 8, 100352, num_heads=32,
        qk_layernorm=True, use_parallel_residual=True, use_qkv_bias=False, tie_word_embeddings=False)),
    "Kimi-VL": (15.96, 0, keys(model_type="kimi_vl", text_config=shape("deepseek_v3", 2048, 11264, 27, 16,
        16, 163840, first_k_dense_replace=1, kv_lora_rank=512, moe_intermediate_size=1408, moe_layer_freq=1,
        n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6, num_nextn_predict_layers=0,
        q_lora_rank=None, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
        tie_word_embeddings=False))),
    "XVERSE": (13.7, 0, keys(model_type="xverse", hidden_size=5120, intermediate_size=13824,
        num_hidden_layers=40, num_attention_heads=40, vocab_size=100278, tie_word_embeddings=False)),
    "Ernie300B": (300, 0, shape("ernie4_5_moe", 8192, 28672, 54, 64, 8, 103424, moe_num_experts=64, moe_k=8,
        moe_intermediate_size=3584, moe_layer_start_index=3, moe_layer_end_index=53, moe_layer_interval=1,
        moe_num_shared_experts=0, moe_capacity=[64, 64, 64], moe_gate="topk", moe_use_aux_free=True,
        use_bias=False, tie_word_embeddings=False, use_rmsnorm=True, num_nextn_predict_layers=1)),
    "GPT-NeoX-20B": (20.55, 0, keys(model_type="gpt_neox", hidden_size=6144, intermediate_size=24576,
        num_hidden_layers=44, num_attention_heads=64, vocab_size=50432, max_position_embeddings=2048,
        tie_word_embeddings=False, use_parallel_residual=True)),
    "EXAONE-3.5-7.8B": (7.82, 0, keys(model_type="exaone", head_dim=128, hidden_size=4096,
        intermediate_size=14336, max_position_embeddings=32768, num_attention_heads=32, num_key_value_heads=8,
        num_layers=32, tie_word_embeddings=False, vocab_size=102400)),
    "granite-3.1-8b": (8.17, 0, shape("granite", 4096, 12800, 40, 32, 8, 49155, attention_bias=False,
        mlp_bias=False, tie_word_embeddings=True)),
    "Gemma-3-1b": (1.0, 0, shape("gemma3_text", 1152, 6912, 26, 4, 1, 262144, attention_bias=False,
        head_dim=256, max_position_embeddings=32768, rope_local_base_freq=10000, sliding_window=512,
        sliding_window_pattern=6)),
    "olmo-7b": (6.89, 0, shape("olmo", 4096, 11008, 32, 32, 32, 50304, attention_bias=False,
        tie_word_embeddings=False)),
}
# fmt: on


def read(folder, config):
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return load("model", folder)


@pytest.mark.parametrize("name", SHAPES)
def test_family_has_the_published_size(name, tmp_path):
    parameters, cache, config = SHAPES[name]
    model = read(tmp_path, config)
    found = reading(model)
    assert found["parameters"] / 1e9 == pytest.approx(parameters, rel=0.01)
    assert found["weight_bytes"] >= 2.0 * found["parameters"] * (1.0 - 1e-9)
    assert memory_per_device(model, Workload("decode", 1.0, 1.0))["weights"] == pytest.approx(
        found["weight_bytes"], rel=0.01
    )
    if cache:
        assert found["kv_bytes_per_token"] / 1024.0 == pytest.approx(cache, abs=0.05)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_family_that_is_not_modelled_is_refused_by_name(name, tmp_path):
    with pytest.raises(ValueError, match="not modelled") as error:
        read(tmp_path, SHAPES["Llama-2-7B"][2] | {"model_type": name})
    assert repr(name) in str(error.value)


def test_a_refused_family_is_not_in_the_table():
    assert not {family_name(name) for name in REFUSED} & FAMILIES.keys()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_of_a_word_alone_a_family_has_the_sizes_of_its_class_or_says_what_is_missing(name, tmp_path):
    try:
        model = read(tmp_path, {"model_type": name})
    except SpecError as error:
        assert re.search(r"config.json: \S+: ", str(error))
    else:
        assert any("leaves to its class" in note for note in model.notes)


@pytest.mark.parametrize("name", SHAPES)
def test_no_family_leaves_out_a_key_that_speaks_of_layers(name, tmp_path):
    config = dict(SHAPES[name][2])
    with pytest.raises(SpecError, match="unheard_of_layers: 2 is not understood"):
        read(tmp_path, config | {"unheard_of_layers": 2})
    for nest in ("text_config", "llm_config"):
        if nest in config:
            inner = config[nest] | {"shared_kv_of_a_kind": "some"}
            with pytest.raises(SpecError, match=f"{nest}.shared_kv_of_a_kind: 'some' is not understood"):
                read(tmp_path, config | {nest: inner})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Command-A", {"use_parallel_block": False}),
        ("Apertus-8B", {"mlp_bias": True}),
        ("opt-6.7b", {"do_layer_norm_before": False}),
        ("Mamba-2.8b", {"use_conv_bias": False}),
        ("LFM2-1.2B", {"block_use_swiglu": False}),
        ("Hunyuan-A13B", {"use_mixed_mlp_moe": False}),
        ("MPT-7B", {"attn_config": {"alibi": False}}),
        ("MPT-7B", {"attn_config": {"attn_type": "multiquery_attention"}}),
    ],
)
def test_a_trait_that_is_not_modelled_refuses_the_file(name, changes, tmp_path):
    with pytest.raises(SpecError, match="not modelled"):
        read(tmp_path, SHAPES[name][2] | changes)


def test_what_a_family_needs_to_be_is_a_key_that_it_has_no_other_use_for():
    for name, family in FAMILIES.items():
        assert not set(family.only) & set(family.ignored), name
