"""What families of Hugging Face models do that their ``config.json`` does not say.

Biases, norms, tied embeddings, sliding windows and the names of keys, one line for each ``model_type``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Family:
    """What all models of one ``model_type`` have in common.

    Attributes
    ----------
    fixed : dict
        Fields of ``LanguageModel`` that no key of the file changes.
    flags : dict
        Boolean field → key of the file that holds it.
    defaults : dict
        Key of the file → value where the file is silent; the hub leaves out what equals the class default.
    names : dict
        Usual key → key of this family.
    window : {"none", "all", "last", "pattern"}
        Layers with a sliding window where no ``layer_types`` are listed: none, all, those from
        ``max_window_layers`` on, or all but every ``sliding_window_pattern``-th.
    tied : bool
        Whether input and output embeddings are one matrix where the file is silent.
    learned, offset : bool, int
        Whether positions are learned, and rows of their table that are never used.
    stretched : bool
        Whether linear RoPE scaling extends ``max_position_embeddings``.
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    window: str = "none"
    tied: bool = False
    learned: bool = False
    offset: int = 0
    stretched: bool = True


ATTENTION_BIAS = {"qkv_bias": "attention_bias", "output_bias": "attention_bias"}
_ALL_BIASES = {"qkv_bias": True, "output_bias": True, "mlp_bias": True}
_CLASSIC = {"norm": "layer", "gated": False}
GPT2_NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
}
_MLA_DEFAULTS = {
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
_GEMMA3_DEFAULTS = {
    "vocab_size": 262_208,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 131_072,
    "sliding_window": 4096,
    "sliding_window_pattern": 6,
}

#: ``model_type`` → what its modelling code does (transformers 4.57 and the code on the hub)
FAMILIES: dict[str, Family] = {
    "llama": Family(flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}),
    "mistral": Family(defaults={"num_key_value_heads": 8, "sliding_window": 4096}, window="all"),
    "mixtral": Family(
        defaults={"num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2}, window="all"
    ),
    "qwen2": Family(fixed={"qkv_bias": True}, window="last"),
    "qwen2_moe": Family(
        flags={"qkv_bias": "qkv_bias"},
        defaults={"qkv_bias": True, "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408},
        window="last",
    ),
    "qwen3": Family(fixed={"qk_norm": True}, flags=ATTENTION_BIAS, defaults={"head_dim": 128}, window="last"),
    "qwen3_moe": Family(
        fixed={"qk_norm": True},
        flags=ATTENTION_BIAS,
        defaults={"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
        window="last",
    ),
    "phi3": Family(window="all"),
    "phi3small": Family(
        fixed={"norm": "layer", **_ALL_BIASES}, names={"intermediate_size": "ff_intermediate_size"}, tied=True
    ),
    "opt": Family(
        fixed=_CLASSIC,
        flags={"qkv_bias": "enable_bias", "output_bias": "enable_bias", "mlp_bias": "enable_bias"},
        defaults={"enable_bias": True, "max_position_embeddings": 2048},
        names={"intermediate_size": "ffn_dim"},
        tied=True,
        learned=True,
        offset=2,
    ),
    "gpt2": Family(
        fixed={**_CLASSIC, **_ALL_BIASES}, defaults={"n_positions": 1024}, names=GPT2_NAMES, tied=True, learned=True
    ),
    "gpt_neox": Family(fixed={**_CLASSIC, "mlp_bias": True}, flags=ATTENTION_BIAS, defaults={"attention_bias": True}),
    "gemma": Family(flags=ATTENTION_BIAS, defaults={"head_dim": 256}, tied=True),
    "gemma2": Family(
        fixed={"norms_per_layer": 4.0},
        flags=ATTENTION_BIAS,
        defaults={"head_dim": 256, "sliding_window": 4096, "sliding_window_pattern": 2},
        window="pattern",
        tied=True,
    ),
    "gemma3": Family(
        fixed={"norms_per_layer": 4.0, "qk_norm": True},
        flags=ATTENTION_BIAS,
        defaults=_GEMMA3_DEFAULTS,
        window="pattern",
        tied=True,
        stretched=False,
    ),
    "deepseek_v2": Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults=_MLA_DEFAULTS,
    ),
    "deepseek_v3": Family(
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults=_MLA_DEFAULTS,
    ),
    "gpt_oss": Family(
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
}
#: other ``model_type`` → family it has the shape of
ALIASES = {
    "gemma3_text": "gemma3",
    "kimi_k2": "deepseek_v3",
    "mimo": "qwen2",
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
}
#: keys of parts that ``LanguageModel`` cannot hold; a file where one is set is refused
UNSUPPORTED = {
    "is_encoder_decoder": "an encoder",
    "linear_attn_config": "linear attention",
    "linear_num_key_heads": "linear attention",
    "full_attention_interval": "linear attention",
    "hybrid_override_pattern": "state-space layers",
    "layers_block_type": "mixed kinds of layers",
    "mamba_d_conv": "state-space layers",
    "ssm_cfg": "state-space layers",
    "block_configs": "layers of different shapes",
    "index_topk": "sparse attention with an indexer",
    "compress_ratios": "compressed attention",
    "sparse_attention_config": "sparse attention",
    "attention_chunk_size": "chunked attention",
    "attention_k_eq_v": "keys that are also values",
    "global_head_dim": "heads of different sizes",
    "swa_num_key_value_heads": "heads of different sizes",
    "num_kv_shared_layers": "layers that share a KV cache",
    "attention_other_setting": "heads of different numbers",
}
