"""Families with mixtures of experts, by ``model_type``."""

from __future__ import annotations

from accelmodel.specs.huggingface import adjust, special
from accelmodel.specs.huggingface.family import ATTENTION_BIAS, FOUR_NORMS, NORMED, QKV_BIAS, USE_BIAS, Family
from accelmodel.specs.huggingface.layers import perceptrons

_MIMO2 = {
    "window": {
        "heads": "swa_num_attention_heads",
        "kv_heads": "swa_num_key_value_heads",
        "head_dim": "swa_head_dim",
        "value_dim": "swa_v_head_dim",
    }
}

EXPERT: dict[str, Family] = {
    "mixtral": Family(
        mlps=perceptrons,
        defaults={"num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2},
        window="all",
    ),
    "phimoe": Family(
        mlps=perceptrons,
        fixed={"norm": "layer"},
        flags={**ATTENTION_BIAS},
        defaults={"num_key_value_heads": 8, "num_local_experts": 16, "num_experts_per_tok": 2},
        window="all",
        other=adjust.head_bias_flag,
    ),
    "qwen2_moe": Family(
        mlps=perceptrons,
        fixed={"shared_gate": True},
        flags={"qkv_bias": "qkv_bias"},
        defaults={
            "qkv_bias": True,
            "num_experts": 60,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 1408,
            "shared_expert_intermediate_size": 5632,
        },
        window="last",
    ),
    "qwen3_moe": Family(
        mlps=perceptrons,
        fixed=NORMED,
        flags=ATTENTION_BIAS,
        defaults={"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
        window="last",
        ignored=("use_qk_norm", "max_window_layers", "qkv_bias"),
    ),
    "olmoe": Family(
        mlps=perceptrons,
        fixed={"whole_norm": True},
        flags=ATTENTION_BIAS,
        defaults={"num_experts": 64, "num_experts_per_tok": 8},
    ),
    "deepseek": Family(mlps=perceptrons, flags=ATTENTION_BIAS),
    "glm4_moe": Family(
        mlps=perceptrons,
        fixed={"router_bias": True},
        flags={**QKV_BIAS, "qk_norm": "use_qk_norm"},
        defaults={
            "n_routed_experts": 128,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 1408,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
        },
    ),
    "exaone_moe": Family(
        mlps=perceptrons,
        fixed={**NORMED, "router_bias": True},
        window="pattern",
        defaults={
            "sliding_window": 4096,
            "sliding_window_pattern": 4,
            "num_experts": 64,
            "num_experts_per_tok": 8,
            "num_shared_experts": 1,
            "moe_intermediate_size": 1024,
            "first_k_dense_replace": 1,
        },
    ),
    "dbrx": Family(
        mixing=special.dbrx_attention, mlps=special.dbrx_experts, ignored=("num_key_value_heads", "learned_pos_emb")
    ),
    "grok-1": Family(mlps=perceptrons, fixed={**FOUR_NORMS}),
    "git": Family(
        fixed={**FOUR_NORMS}, mlps=special.residual_experts, ignored=("sliding_window_size", "sliding_window")
    ),
    "granitemoe": Family(
        mlps=perceptrons, flags=ATTENTION_BIAS, defaults={"num_local_experts": 8, "num_experts_per_tok": 2}
    ),
    "granitemoeshared": Family(
        mlps=perceptrons, flags=ATTENTION_BIAS, defaults={"num_local_experts": 8, "num_experts_per_tok": 2}
    ),
    "minimax_m2": Family(
        mlps=perceptrons,
        fixed={"router_bias": True},
        defaults={"num_local_experts": 256, "num_experts_per_tok": 8},
        mixing=special.all_listed_full,
        ignored=("use_routing_bias",),
    ),
    "hunyuan": Family(
        mlps=perceptrons,
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        mixing=special.shared_pairs,
        tied=True,
        ignored=(
            "use_mixed_mlp_moe",
            "num_experts_per_tok",
            "num_media_embeds",
            "org_vocab_size",
            "q_lora_rank",
            "kv_lora_rank",
            "qk_nope_head_dim",
            "qk_rope_head_dim",
            "v_head_dim",
            "use_mla",
        ),
    ),
    "hunyuan_v1_moe": Family(
        mlps=perceptrons,
        fixed=NORMED,
        flags=ATTENTION_BIAS,
        mixing=special.shared_pairs,
        ignored=(
            "use_mixed_mlp_moe",
            "num_experts_per_tok",
            "org_vocab_size",
            "use_mla",
            "q_lora_rank",
            "kv_lora_rank",
            "qk_nope_head_dim",
            "qk_rope_head_dim",
            "v_head_dim",
        ),
    ),
    "hy_v3": Family(
        mlps=perceptrons,
        fixed={**NORMED, "router_bias": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={
            "num_experts": 192,
            "num_experts_per_tok": 8,
            "num_shared_experts": 1,
            "moe_intermediate_size": 1536,
            "first_k_dense_replace": 1,
        },
    ),
    "ernie4_5_moe": Family(
        mlps=perceptrons,
        fixed={"router_bias": True},
        flags=USE_BIAS,
        defaults={
            "moe_k": 6,
            "moe_num_experts": 64,
            "moe_num_shared_experts": 2,
            "moe_intermediate_size": 1536,
            "moe_layer_start_index": 1,
            "num_key_value_heads": 4,
        },
        tied=True,
    ),
    "dots1": Family(
        mlps=perceptrons,
        fixed={**NORMED, "router_bias": True},
        flags=ATTENTION_BIAS,
        window="last",
        defaults={"max_window_layers": 62, "sliding_window": 4096, "use_sliding_window": True},
    ),
    "bailing_moe": Family(
        mlps=perceptrons,
        flags={
            "qkv_bias": "qkv_bias",
            "output_bias": "use_bias",
            "qk_norm": "use_qk_norm",
            "router_bias": "moe_router_enable_expert_bias",
        },
        ignored=(
            "use_rmsnorm",
            "max_window_layers",
            "use_sliding_window",
            "sliding_window",
            "group_norm_size",
            "moe_router_enable_shared_expert",
            "router_type",
        ),
    ),
    "mimo_v2_flash": Family(
        mlps=perceptrons,
        fixed={
            "router_bias": True,
            "value_dim": True,
            "sinks_of": {"full": "add_full_attention_sink_bias", "window": "add_swa_attention_sink_bias"},
        },
        flags={"qkv_bias": "attention_bias"},
        defaults={
            "head_dim": 192,
            "v_head_dim": 128,
            "n_routed_experts": 256,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 2048,
        },
        by_kind=_MIMO2,
        mixing=special.listed_windows,
    ),
    "step3p5": Family(
        mlps=perceptrons,
        fixed={**NORMED, "router_bias": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={
            "num_experts_per_tok": 8,
            "n_routed_experts": 288,
            "share_expert_dim": 1280,
            "moe_intermediate_size": 1280,
            "first_k_dense_replace": 3,
            "n_shared_experts": 1,
        },
        mixing=special.heads_by_kind,
        further=adjust.step3p5,
        ignored=(
            "use_moe_router_bias",
            "use_moe",
            "moe_every_n_layer",
            "need_fp32_gate",
            "yarn_only_types",
            "use_rope_layers",
            "use_head_wise_attn_gate",
            "gating",
            "zero_centered",
            "att_impl_type",
            "share_expert_dims",
        ),
    ),
    "llama4": Family(
        mlps=perceptrons,
        flags=ATTENTION_BIAS,
        defaults={
            "num_local_experts": 16,
            "num_experts_per_tok": 1,
            "attention_chunk_size": 8192,
            "intermediate_size_mlp": 16384,
            "interleave_moe_layer_step": 1,
            "head_dim": 128,
        },
        fixed={"experts_shared": 1},
        mixing=special.llama4,
        ignored=("use_qk_norm", "for_llm_compressor"),
    ),
    "gpt_oss": Family(
        mlps=perceptrons,
        fixed={"attention_sinks": True, "router_bias": True, "expert_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            "attention_bias": True,
            "head_dim": 64,
            "num_local_experts": 128,
            "num_experts_per_tok": 4,
            "sliding_window": 128,
            "sliding_window_pattern": 2,
        },
        window="pattern",
    ),
    "minimax_m3": Family(
        fixed={**NORMED, "router_bias": True},
        defaults={
            "num_local_experts": 128,
            "num_experts_per_tok": 4,
            "n_shared_experts": 1,
            "dense_intermediate_size": 12288,
            "shared_intermediate_size": 3072,
        },
        mixing=special.block_sparse,
        mlps=perceptrons,
        ignored=("use_routing_bias", "use_qk_norm", "qk_norm_type", "use_gemma_norm", "attention_output_gate"),
    ),
    "solar_open": Family(
        fixed={"router_bias": True},
        flags=QKV_BIAS,
        defaults={
            "n_routed_experts": 128,
            "n_shared_experts": 1,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 1280,
            "head_dim": 128,
        },
        mlps=perceptrons,
    ),
    "afmoe": Family(
        fixed={**FOUR_NORMS, **NORMED, "router_bias": True, "output_gate": True},
        flags=ATTENTION_BIAS,
        defaults={
            "num_experts": 64,
            "num_experts_per_tok": 6,
            "num_shared_experts": 2,
            "moe_intermediate_size": 1408,
            "num_dense_layers": 1,
            "head_dim": 128,
            "sliding_window": 1024,
            "global_attn_every_n_layers": 4,
        },
        window="pattern",
        mlps=perceptrons,
    ),
    "flex_olmo": Family(
        fixed={"whole_norm": True},
        flags=ATTENTION_BIAS,
        defaults={"num_experts": 7, "num_experts_per_tok": 5},
        mlps=perceptrons,
    ),
    "sarvam_moe": Family(
        fixed={"router_bias": True},
        flags={**QKV_BIAS, "qk_norm": "use_qk_norm"},
        defaults={
            "n_routed_experts": 128,
            "n_shared_experts": 1,
            "num_experts_per_tok": 6,
            "moe_intermediate_size": 1024,
            "first_k_dense_replace": 1,
            "head_dim": 64,
            "use_qk_norm": True,
        },
        mlps=perceptrons,
    ),
}
