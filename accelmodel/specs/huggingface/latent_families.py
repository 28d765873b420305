"""Families whose attention keeps a latent or compressed key for all heads, by ``model_type``."""

from __future__ import annotations

from accelmodel.specs.huggingface import hybrids, special
from accelmodel.specs.huggingface.family import ATTENTION_BIAS, Family
from accelmodel.specs.huggingface.layers import latents, perceptrons

_MLA = {
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
}  # fmt: skip
_DEEPSEEK3 = {
    **_MLA, "moe_intermediate_size": 2048, "n_shared_experts": 1, "n_routed_experts": 256, "num_experts_per_tok": 8,
    "first_k_dense_replace": 3, "n_group": 8, "topk_group": 4,
}  # fmt: skip
_GLM_MLA = {
    "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 256, "qk_nope_head_dim": 192, "n_shared_experts": 1,
}  # fmt: skip

LATENT: dict[str, Family] = {
    "mistral4": Family(
        mlps=perceptrons,
        defaults={
            "moe_intermediate_size": 2048,
            "n_shared_experts": 1,
            "n_routed_experts": 128,
            "kv_lora_rank": 256,
            "q_lora_rank": 1024,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "qk_nope_head_dim": 64,
            "num_experts_per_tok": 4,
        },
        flags=ATTENTION_BIAS,
        mixing=latents,
    ),
    "deepseek_v2": Family(
        mlps=perceptrons,
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={**_MLA, "n_shared_experts": 2, "n_routed_experts": 64, "moe_intermediate_size": 1407},
        mixing=special.latent_unless_off,
    ),
    "deepseek_v3": Family(
        mlps=perceptrons, fixed={"router_bias": True}, flags=ATTENTION_BIAS, defaults=_DEEPSEEK3, mixing=latents
    ),
    "deepseek_v32": Family(
        mlps=perceptrons,
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={**_DEEPSEEK3, "index_topk": 2048, "index_head_dim": 128, "index_n_heads": 64},
        mixing=latents,
    ),
    "glm4_moe_lite": Family(
        mlps=perceptrons,
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_GLM_MLA,
            "q_lora_rank": 768,
            "n_routed_experts": 64,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 1536,
            "first_k_dense_replace": 1,
        },
        mixing=latents,
    ),
    "glm_moe_dsa": Family(
        mlps=perceptrons,
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_GLM_MLA,
            "q_lora_rank": 2048,
            "n_routed_experts": 256,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 2048,
            "first_k_dense_replace": 3,
            "index_topk": 2048,
            "index_head_dim": 128,
            "index_n_heads": 32,
        },
        mixing=latents,
    ),
    "longcat_flash": Family(
        only={"attention_method": "MLA"},
        flags=ATTENTION_BIAS,
        defaults={
            **_MLA,
            "moe_topk": 12,
            "n_routed_experts": 512,
            "zero_expert_num": 256,
            "expert_ffn_hidden_size": 2048,
            "num_layers": 28,
            "ffn_hidden_size": 12288,
        },
        mixing=special.longcat,
        mlps=hybrids.nothing,
        ignored=("mla_scale_q_lora", "mla_scale_kv_lora", "router_bias"),
        note="experts that do nothing have no weights, and are counted as their average share of the chosen ones",
    ),
    "deepseek_v4": Family(
        fixed={"router_bias": True},
        defaults={
            "n_routed_experts": 256,
            "n_shared_experts": 1,
            "num_experts_per_tok": 6,
            "sliding_window": 128,
            "hc_mult": 4,
        },
        mixing=special.compressed,
        mlps=special.hashed_experts,
        other=special.streams,
        ignored=("expert_dtype", "attention_bias", "mlp_bias"),
        note="mixing the copies of the residual stream is counted and not timed",
    ),
    "minicpm3": Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={"kv_lora_rank": 256, "q_lora_rank": 768, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32},
        tied=True,
        mixing=latents,
    ),
    "youtu": Family(
        flags=ATTENTION_BIAS,
        defaults={
            "kv_lora_rank": 512,
            "q_lora_rank": 1536,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
        },
        tied=True,
        mixing=latents,
    ),
}
