"""Families whose layers are of several kinds: states, convolutions, widths of their own, by ``model_type``."""

from __future__ import annotations

from accelmodel.specs.huggingface import hybrids, special
from accelmodel.specs.huggingface.family import ATTENTION_BIAS, NORMED, Family
from accelmodel.specs.huggingface.layers import perceptrons

_LINEAR = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16,
    "linear_num_value_heads": 32, "head_dim": 256,
}  # fmt: skip
_MAMBA2 = {
    "mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_expand": 2,
}  # fmt: skip
_MAMBA1 = {"state_size": 16, "conv_kernel": 4, "expand": 2}

MIXED: dict[str, Family] = {
    "qwen3_next": Family(
        mlps=perceptrons,
        fixed={**NORMED, "shared_gate": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_LINEAR,
            "num_experts": 512,
            "num_experts_per_tok": 10,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "num_nextn_predict_layers": 1,
        },
        mixing=hybrids.gated_delta,
    ),
    "qwen3_5": Family(fixed=NORMED, flags=ATTENTION_BIAS, defaults=_LINEAR, mixing=hybrids.gated_delta),
    "qwen3_5_moe": Family(
        mlps=perceptrons,
        fixed={**NORMED, "shared_gate": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_LINEAR,
            "num_experts": 256,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
        },
        mixing=hybrids.gated_delta,
    ),
    "recurrent_gemma": Family(
        fixed={"output_bias": True},
        flags={"qkv_bias": "attention_bias"},
        defaults={"attention_window_size": 2048, "conv1d_width": 4},
        tied=True,
        mixing=hybrids.griffin,
        mlps=hybrids.half_wide,
        ignored=("head_dim",),
    ),
    "nemotron-nas": Family(mixing=special.block_configs, mlps=hybrids.nothing, ignored=("attention_bias", "mlp_bias")),
    "nemotron_h": Family(
        only={"use_bias": False, "use_conv_bias": True},
        fixed={"gated": False, "norms_per_layer": 1.0, "router_bias": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={
            "ssm_state_size": 128,
            "mamba_num_heads": 128,
            "mamba_head_dim": 64,
            "n_groups": 8,
            "conv_kernel": 4,
            "head_dim": 128,
            "num_key_value_heads": 8,
        },
        mixing=hybrids.nemotron_h,
        mlps=hybrids.nothing,
    ),
    "granitemoehybrid": Family(
        only={"mamba_conv_bias": True},
        flags=ATTENTION_BIAS,
        defaults={**_MAMBA2, "num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 1024},
        mixing=hybrids.granite_hybrid,
        mlps=hybrids.granite_mlps,
        ignored=("position_embedding_type", "normalization_function", "init_method"),
    ),
    "bamba": Family(
        only={"mamba_conv_bias": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults=_MAMBA2,
        mixing=hybrids.granite_hybrid,
        ignored=("attn_rotary_emb",),
    ),
    "jamba": Family(
        only={"mamba_conv_bias": True},
        defaults={
            "num_experts": 16,
            "num_experts_per_tok": 2,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "attn_layer_period": 8,
            "attn_layer_offset": 4,
            "mamba_d_state": 16,
            "mamba_d_conv": 4,
            "mamba_expand": 2,
            "num_key_value_heads": 8,
        },
        mixing=hybrids.jamba,
        mlps=hybrids.nothing,
        ignored=("sliding_window", "mamba_inner_layernorms", "attn_layer_period", "calc_logits_for_entire_prompt"),
    ),
    "falcon_h1": Family(
        only={"mamba_conv_bias": True, "projectors_bias": False, "mamba_use_mlp": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={**_MAMBA2, "mamba_d_ssm": 1024},
        mixing=hybrids.falcon_h1,
        ignored=("mlp_expansion_factor",),
    ),
    "mamba": Family(
        only={"use_conv_bias": True},
        fixed={"norms_per_layer": 1.0},
        defaults=_MAMBA1,
        tied=True,
        mixing=hybrids.pure_mamba,
        mlps=hybrids.nothing,
    ),
    "falcon_mamba": Family(
        only={"use_conv_bias": True},
        fixed={"norms_per_layer": 1.0},
        defaults=_MAMBA1,
        tied=True,
        mixing=hybrids.pure_mamba,
        mlps=hybrids.nothing,
    ),
    "mamba2": Family(
        only={"use_conv_bias": True},
        fixed={"norms_per_layer": 1.0},
        defaults={"num_heads": 128, "head_dim": 64, "state_size": 128, "expand": 2, "conv_kernel": 4, "n_groups": 8},
        mixing=hybrids.pure_mamba2,
        mlps=hybrids.nothing,
        ignored=("rms_norm", "norm_before_gate"),
    ),
    "lfm2": Family(
        only={"block_use_swiglu": True},
        fixed=NORMED,
        defaults={"conv_L_cache": 3, "block_multiple_of": 256},
        tied=True,
        mixing=hybrids.convolutions,
        mlps=hybrids.lfm2_mlps,
        ignored=("theta",),
    ),
    "lfm2_moe": Family(
        mlps=perceptrons,
        fixed=NORMED,
        flags={"router_bias": "use_expert_bias"},
        defaults={
            "conv_L_cache": 3,
            "num_experts": 32,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 1792,
            "num_dense_layers": 2,
            "use_expert_bias": True,
        },
        tied=True,
        mixing=hybrids.convolutions,
    ),
    "kimi_linear": Family(
        mlps=hybrids.kimi_experts,
        other=hybrids.kimi_other,
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            "kv_lora_rank": 512,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "qk_nope_head_dim": 128,
            "num_local_experts": 256,
            "num_experts_per_tok": 8,
            "n_shared_experts": 1,
            "moe_intermediate_size": 1024,
            "linear_head_dim": 128,
            "linear_num_heads": 32,
            "linear_conv_kernel_dim": 4,
            "first_k_dense_replace": 1,
        },
        mixing=hybrids.kimi_delta,
    ),
    "minimax": Family(
        mlps=perceptrons,
        defaults={"num_local_experts": 8, "num_experts_per_tok": 2, "num_key_value_heads": 8},
        mixing=hybrids.lightning,
        ignored=("shared_moe_mode", "sliding_window"),
    ),
}
