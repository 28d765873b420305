"""Families of 2025 and 2026, and those that keep a matrix a head or share blocks, by ``model_type``."""

from __future__ import annotations

from accelmodel.specs.huggingface import recent, rwkv, shared_blocks
from accelmodel.specs.huggingface.family import ATTENTION_BIAS, FOUR_NORMS, NORMED, Family
from accelmodel.specs.huggingface.layers import latents, perceptrons, plain

_LINEAR = {"linear_conv_kernel_dim": 4, "linear_key_head_dim": 96, "linear_value_head_dim": 192}
_SHARED_NOTE = (
    "blocks that several layers share are held once and read at each use; what each use has of its own is counted and "
    "not timed"
)
_INDEXED = {
    "kv_lora_rank": 512, "qk_rope_head_dim": 64, "n_shared_experts": 1, "first_k_dense_replace": 1, "index_topk": 2048,
    "index_head_dim": 128,
}  # fmt: skip
_BAILING = (
    "max_window_layers", "use_sliding_window", "sliding_window", "moe_router_enable_expert_bias", "use_qk_norm",
    "moe_router_enable_shared_expert", "router_type", "use_qkv_bias", "use_bias",
)  # fmt: skip
_ERNIE = {"moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2, "moe_layer_start_index": 1}

RECENT: dict[str, Family] = {
    "zamba": Family(
        only={"mamba_conv_bias": True},
        fixed={"norms_per_layer": 1.0},
        defaults={
            "mamba_d_state": 16,
            "mamba_d_conv": 4,
            "mamba_expand": 2,
            "attn_layer_period": 6,
            "attn_layer_offset": 4,
            "num_key_value_heads": 16,
        },
        tied=True,
        mixing=shared_blocks.mixing,
        mlps=shared_blocks.mlps,
        other=shared_blocks.other,
        note=_SHARED_NOTE,
    ),
    "zamba2": Family(
        only={"use_conv_bias": True},
        fixed={"norms_per_layer": 1.0},
        defaults={
            "mamba_d_state": 64,
            "mamba_d_conv": 4,
            "mamba_expand": 2,
            "mamba_ngroups": 1,
            "n_mamba_heads": 8,
            "adapter_rank": 128,
        },
        tied=True,
        mixing=shared_blocks.mixing,
        mlps=shared_blocks.mlps,
        other=shared_blocks.other,
        note=_SHARED_NOTE,
    ),
    "rwkv5": Family(
        fixed={"norm": "layer", "learned_decay": False, "ranks": False},
        mixing=rwkv.fifth,
        mlps=rwkv.channels,
        other=rwkv.fifth_other,
    ),
    "rwkv6": Family(
        fixed={"norm": "layer", "learned_decay": True, "ranks": False},
        mixing=rwkv.fifth,
        mlps=rwkv.channels,
        other=rwkv.sixth_other,
    ),
    "rwkv7": Family(
        fixed={"norm": "layer", "ranks": True},
        mixing=rwkv.seventh,
        mlps=rwkv.channels,
        other=rwkv.seventh_other,
    ),
    "arctic": Family(
        fixed={"norms_per_layer": 3.0},
        defaults={"num_local_experts": 8, "num_experts_per_tok": 1},
        window="all",
        mlps=recent.residual,
        ignored=(
            "enable_expert_tensor_parallelism",
            "moe_layer_frequency",
            "moe_token_dropping",
            "moe_eval_capacity_factor",
            "moe_train_capacity_factor",
            "moe_min_capacity",
            "quantization",
        ),
    ),
    "cohere2_moe": Family(
        fixed={"parallel": True, "norms_per_layer": 1.0},
        flags=ATTENTION_BIAS,
        defaults={
            "sliding_window": 4096,
            "sliding_window_pattern": 4,
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "head_dim": 128,
        },
        tied=True,
        window="pattern",
        mixing=recent.prefixed_windows,
        mlps=recent.parallel_experts,
        ignored=("expert_selection_fn", "use_gated_activation", "use_parallel_block", "use_embedding_sharing"),
    ),
    "granite_swa": Family(
        fixed={"attention_sinks": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={"sliding_window": 128},
        ignored=("layer_rope_theta",),
    ),
    "granitemoe_swa": Family(
        fixed={"attention_sinks": True},
        flags=ATTENTION_BIAS,
        defaults={"sliding_window": 128, "num_local_experts": 8, "num_experts_per_tok": 2},
        mlps=perceptrons,
        ignored=("layer_rope_theta",),
    ),
    "flint": Family(
        fixed={**NORMED, "attention_sinks": True},
        flags=ATTENTION_BIAS,
        defaults={"sliding_window": 513, "num_experts": 256, "num_experts_per_tok": 6, "head_dim": 128},
        mlps=perceptrons,
    ),
    "laguna": Family(
        fixed={**NORMED, "router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={"num_experts": 256, "num_experts_per_tok": 8, "head_dim": 128, "sliding_window": 512},
        mixing=recent.heads_by_layer,
        mlps=perceptrons,
        ignored=("moe_apply_router_weight_on_input",),
    ),
    "lfm3": Family(
        fixed={**NORMED, **FOUR_NORMS},
        flags=ATTENTION_BIAS,
        only={"use_sandwich_norm": True},
        defaults={"conv_L_cache": 7, "sliding_window": 256},
        tied=True,
        mixing=recent.hybrid_convolutions,
    ),
    "olmo_hybrid": Family(
        fixed={"whole_norm": True},
        flags=ATTENTION_BIAS,
        defaults=_LINEAR,
        mixing=recent.whole_or_delta,
    ),
    "bailing_hybrid": Family(
        only={"use_rmsnorm": True},
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={"first_k_dense_replace": 1, "num_experts_per_token": 8, "num_shared_experts": 1},
        mixing=recent.ling,
        mlps=perceptrons,
        ignored=("num_key_value_heads", *_BAILING),
    ),
    "bailing_moe_linear": Family(
        only={"use_rmsnorm": True},
        flags={"qkv_bias": "qkv_bias", "output_bias": "use_bias", "qk_norm": "use_qk_norm"},
        fixed={"router_bias": True},
        mixing=recent.ling_linear,
        mlps=perceptrons,
        ignored=_BAILING,
    ),
    "ernie4_5_vl_moe": Family(
        fixed={"router_bias": True},
        flags={"qkv_bias": "use_bias", "output_bias": "use_bias", "mlp_bias": "use_bias"},
        defaults=_ERNIE,
        tied=True,
        mlps=recent.two_sizes,
        other=recent.image_experts,
        ignored=("moe_gate", "moe_use_aux_free", "moe_capacity"),
        note="experts for images are counted and not timed",
    ),
    "aria": Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={"moe_num_experts": 8, "moe_topk": 2, "moe_num_shared_experts": 2},
        mlps=perceptrons,
    ),
    "hy_v4": Family(
        fixed={"router_bias": True, "output_gate": True, "sinks": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_INDEXED,
            "q_lora_rank": 1536,
            "qk_nope_head_dim": 192,
            "v_head_dim": 256,
            "n_routed_experts": 256,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 768,
            "index_n_heads": 16,
            "hc_mult": 4,
        },
        mixing=latents,
        mlps=perceptrons,
        other=recent.copies,
        ignored=("hc_magnitude", "hc_eps", "learnable_sink_init"),
        note="mixing the copies of the residual stream is counted and not timed",
    ),
    "mistral_large4": Family(
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_INDEXED,
            "qk_nope_head_dim": 64,
            "v_head_dim": 128,
            "n_routed_experts": 128,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 6144,
            "index_n_heads": 32,
        },
        mixing=recent.own_keys,
        mlps=perceptrons,
        other=recent.scaled_queries,
    ),
    "phi4mm": Family(
        window="all",
        other=recent.adapters,
        ignored=("img_processor", "embd_layer", "audio_processor"),
        note="adapters for images and speech are counted and not timed, and their towers are not counted",
    ),
    "diffllama": Family(flags=ATTENTION_BIAS, ignored=("lambda_std_dev",)),
    "bitnet": Family(flags=ATTENTION_BIAS, fixed={"gated": True}, mlps=plain),
    "nanochat": Family(flags=ATTENTION_BIAS, fixed={"gated": False}, mlps=plain),
}
