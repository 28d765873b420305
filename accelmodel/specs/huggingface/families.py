"""What families of Hugging Face models do that their ``config.json`` does not say, one line for each ``model_type``.

Facts of the classes in transformers (4.57 to 5.24) and of the code on the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accelmodel.specs.huggingface import adjust, hybrids, special
from accelmodel.specs.huggingface.keys import Keys
from accelmodel.specs.huggingface.layers import Layers, Traits, attentions, latents, perceptrons

Reader = Callable[[Keys, Traits, int], Layers]


@dataclass(frozen=True)
class Family:
    """What all models of one ``model_type`` have in common.

    Attributes
    ----------
    fixed : dict
        What no key of the file changes: fields of ``LanguageModel``, and traits of its layers.
    flags : dict
        Trait → key of the file that holds it.
    defaults : dict
        Key of the file → value where the file is silent; the hub leaves out what equals the class default.
    window : {"none", "all", "last", "pattern"}
        Layers with a sliding window where no ``layer_types`` are listed: none, all, those from
        ``max_window_layers`` on, or all but every ``sliding_window_pattern``-th.
    by_kind : dict
        Kind of layer → size → key that holds it for that kind alone.
    tied : bool
        Whether input and output embeddings are one matrix where the file is silent.
    learned, offset : bool, int
        Whether positions are learned, and rows of their table that are never used.
    stretched : bool
        Whether linear RoPE scaling extends ``max_position_embeddings``.
    mixing, mlps : function
        What each layer has to mix tokens, and to work on each alone.
    further : function
        Further traits that depend on several keys.
    other : function
        Parameters beside the layers.
    ignored : tuple of str
        Keys that are known and left out; ``note`` says what that means.
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    window: str = "none"
    by_kind: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tied: bool = False
    learned: bool = False
    offset: int = 0
    stretched: bool = True
    mixing: Reader = attentions
    mlps: Reader = perceptrons
    further: Callable[[Keys], dict[str, Any]] = adjust.nothing
    other: Callable[[Keys, int], float] = adjust.no_other
    ignored: tuple[str, ...] = ()
    note: str = ""


ATTENTION_BIAS = {"qkv_bias": "attention_bias", "output_bias": "attention_bias"}
_QKV_BIAS = {"qkv_bias": "attention_bias"}
_USE_BIAS = {"qkv_bias": "use_bias", "output_bias": "use_bias", "mlp_bias": "use_bias"}
_ALL_BIASES = {"qkv_bias": True, "output_bias": True, "mlp_bias": True}
_CLASSIC = {"norm": "layer", "gated": False}
_NORMED = {"qk_norm": True}
_FOUR_NORMS = {"norms_per_layer": 4.0}
_MLA = {
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
}  # fmt: skip
_DEEPSEEK3 = {
    **_MLA, "moe_intermediate_size": 2048, "n_shared_experts": 1, "n_routed_experts": 256, "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
}  # fmt: skip
_GLM_MLA = {
    "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 256, "qk_nope_head_dim": 192, "n_shared_experts": 1,
}  # fmt: skip
_LINEAR = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16,
    "linear_num_value_heads": 32, "head_dim": 256,
}  # fmt: skip
_GEMMA3 = {
    "vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "max_position_embeddings": 131_072, "sliding_window": 4096, "sliding_window_pattern": 6,
}  # fmt: skip
_MAMBA2 = {
    "mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_expand": 2,
}  # fmt: skip
_MAMBA1 = {"state_size": 16, "conv_kernel": 4, "expand": 2}
_MIMO2 = {
    "window": {
        "heads": "swa_num_attention_heads",
        "kv_heads": "swa_num_key_value_heads",
        "head_dim": "swa_head_dim",
        "value_dim": "swa_v_head_dim",
    }
}
_LAMBDA_NOTE = "block-sparse layers are timed as if they saw all tokens"

FAMILIES: dict[str, Family] = {
    "llama": Family(flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}, ignored=("sliding_window",)),
    "mistral": Family(defaults={"num_key_value_heads": 8, "sliding_window": 4096}, window="all"),
    "ministral3": Family(window="all"),
    "mistral4": Family(
        defaults={
            "moe_intermediate_size": 2048, "n_shared_experts": 1, "n_routed_experts": 128, "kv_lora_rank": 256,
            "q_lora_rank": 1024, "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 64,
            "num_experts_per_tok": 4,
        },
        flags=ATTENTION_BIAS,
        mixing=latents,
    ),
    "mixtral": Family(
        defaults={"num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2}, window="all"
    ),
    "phimoe": Family(
        fixed={"norm": "layer"},
        flags={**ATTENTION_BIAS},
        defaults={"num_key_value_heads": 8, "num_local_experts": 16, "num_experts_per_tok": 2},
        window="all",
        other=adjust.head_bias_flag,
    ),
    "qwen": Family(fixed={"qkv_bias": True}, mlps=adjust.half_widths, ignored=("no_bias", "scale_attn_weights")),
    "qwen2": Family(fixed={"qkv_bias": True}, window="last"),
    "qwen2_moe": Family(
        fixed={"shared_gate": True},
        flags={"qkv_bias": "qkv_bias"},
        defaults={
            "qkv_bias": True, "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
            "shared_expert_intermediate_size": 5632,
        },
        window="last",
    ),
    "qwen3": Family(fixed=_NORMED, flags=ATTENTION_BIAS, defaults={"head_dim": 128}, window="last"),
    "qwen3_moe": Family(
        fixed=_NORMED,
        flags=ATTENTION_BIAS,
        defaults={"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
        window="last",
        ignored=("use_qk_norm", "max_window_layers", "qkv_bias"),
    ),
    "qwen3_next": Family(
        fixed={**_NORMED, "shared_gate": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_LINEAR, "num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
        },
        mixing=hybrids.gated_delta,
    ),
    "qwen3_5": Family(fixed=_NORMED, flags=ATTENTION_BIAS, defaults=_LINEAR, mixing=hybrids.gated_delta),
    "qwen3_5_moe": Family(
        fixed={**_NORMED, "shared_gate": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_LINEAR, "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
        },
        mixing=hybrids.gated_delta,
    ),
    "phi": Family(
        fixed={**_CLASSIC, **_ALL_BIASES, "parallel": True, "norms_per_layer": 1.0},
        flags={"qk_norm": "qk_layernorm"},
        other=adjust.head_bias,
    ),
    "phi3": Family(window="all", ignored=("img_processor", "embd_layer", "audio_processor")),
    "phi3small": Family(
        fixed={"norm": "layer", **_ALL_BIASES},
        tied=True,
        ignored=(
            "blocksparse_homo_head_pattern", "blocksparse_block_size", "blocksparse_num_local_blocks",
            "blocksparse_vert_stride", "dense_attention_every_n_layers", "ff_dim_multiplier",
        ),
        note=_LAMBDA_NOTE,
    ),
    "opt": Family(
        fixed=_CLASSIC,
        flags={"qkv_bias": "enable_bias", "output_bias": "enable_bias", "mlp_bias": "enable_bias"},
        defaults={"enable_bias": True, "max_position_embeddings": 2048},
        tied=True,
        learned=True,
        offset=2,
        further=adjust.opt,
        ignored=("do_layer_norm_before", "_remove_final_layer_norm"),
    ),
    "gpt2": Family(
        fixed={**_CLASSIC, **_ALL_BIASES},
        defaults={"n_positions": 1024},
        tied=True,
        learned=True,
        further=adjust.four_wide,
        ignored=("n_ctx",),
    ),
    "gpt_bigcode": Family(
        fixed={**_CLASSIC, **_ALL_BIASES},
        defaults={"n_positions": 1024},
        tied=True,
        learned=True,
        further=adjust.bigcode,
        ignored=("inference_runner", "max_batch_size", "max_sequence_length", "n_ctx", "validate_runner_input"),
    ),
    "gpt_neox": Family(
        fixed={**_CLASSIC, "mlp_bias": True},
        flags={**ATTENTION_BIAS, "parallel": "use_parallel_residual"},
        defaults={"attention_bias": True, "use_parallel_residual": True},
    ),
    "gptj": Family(
        fixed={**_CLASSIC, "mlp_bias": True, "parallel": True, "norms_per_layer": 1.0},
        further=adjust.four_wide,
        other=adjust.head_bias,
    ),
    "codegen": Family(
        fixed={**_CLASSIC, "mlp_bias": True, "parallel": True, "norms_per_layer": 1.0},
        further=adjust.four_wide,
        other=adjust.head_bias,
        ignored=("n_ctx",),
    ),
    "bloom": Family(
        fixed={**_CLASSIC, **_ALL_BIASES},
        tied=True,
        further=adjust.four_wide,
        other=adjust.embedding_norm,
        ignored=("attention_softmax_in_fp32", "offset_alibi", "hidden_act", "unk_token_id"),
    ),
    "falcon": Family(
        fixed=_CLASSIC, flags={"qkv_bias": "bias", "output_bias": "bias", "mlp_bias": "bias"}, tied=True,
        defaults={"multi_query": True, "parallel_attn": True}, further=adjust.falcon, ignored=("alibi",),
    ),
    "mpt": Family(fixed={"gated": False}, tied=True, mlps=special.ungated_widths, ignored=("learned_pos_emb", "verbose")),
    "stablelm": Family(
        fixed={"norm": "layer"}, flags={"qkv_bias": "qkv_bias"}, further=adjust.stablelm, tied=False
    ),
    "starcoder2": Family(
        fixed=_CLASSIC, flags=_USE_BIAS, defaults={"use_bias": True, "num_key_value_heads": 2}, window="all", tied=True
    ),
    "persimmon": Family(fixed={**_CLASSIC, **_ALL_BIASES}, further=adjust.persimmon),
    "gemma": Family(flags=ATTENTION_BIAS, defaults={"head_dim": 256}, tied=True),
    "gemma2": Family(
        fixed=_FOUR_NORMS,
        flags=ATTENTION_BIAS,
        defaults={"head_dim": 256, "sliding_window": 4096, "sliding_window_pattern": 2},
        window="pattern",
        tied=True,
    ),
    "gemma3": Family(
        fixed={**_FOUR_NORMS, **_NORMED},
        flags=ATTENTION_BIAS,
        defaults=_GEMMA3,
        window="pattern",
        tied=True,
        stretched=False,
    ),
    "gemma3n": Family(
        fixed={**_FOUR_NORMS, **_NORMED},
        flags=ATTENTION_BIAS,
        defaults={
            "sliding_window": 512, "sliding_window_pattern": 5, "num_kv_shared_layers": 15, "laurel_rank": 64,
            "altup_num_inputs": 4, "hidden_size_per_layer_input": 256, "vocab_size_per_layer_input": 262_144,
        },
        window="pattern",
        tied=True,
        stretched=False,
        mixing=special.gemma_shared,
        other=special.gemma3n_other,
        note="paths beside the residual stream and embeddings of each layer are counted and not timed",
    ),
    "gemma4": Family(
        fixed=_NORMED,
        flags=ATTENTION_BIAS,
        defaults={
            "sliding_window": 512, "sliding_window_pattern": 6, "global_head_dim": 512,
            "hidden_size_per_layer_input": 256, "vocab_size_per_layer_input": 262_144,
        },
        window="pattern",
        tied=True,
        stretched=False,
        mixing=special.gemma_shared,
        mlps=special.gemma4_mlps,
        further=adjust.gemma4,
        other=special.layer_embeddings,
        note="embeddings of each layer are counted and not timed, where the file has them",
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
    "cohere": Family(
        fixed={"parallel": True, "norms_per_layer": 1.0},
        flags={**ATTENTION_BIAS, "whole_norm": "use_qk_norm"},
        tied=True,
        ignored=("use_parallel_block", "use_embedding_sharing", "use_gated_activation"),
    ),
    "cohere2": Family(
        fixed={"parallel": True, "norms_per_layer": 1.0},
        flags=ATTENTION_BIAS,
        defaults={"sliding_window": 4096, "sliding_window_pattern": 4},
        window="pattern",
        tied=True,
        ignored=("use_parallel_block", "use_parallel_embedding", "use_embedding_sharing", "use_gated_activation",
                 "order_of_interleaved_layers", "layer_switch"),
    ),
    "olmo": Family(fixed={"norms_per_layer": 0.0}, flags=ATTENTION_BIAS),
    "olmo2": Family(fixed={"whole_norm": True}, flags=ATTENTION_BIAS),
    "olmo3": Family(
        fixed={"whole_norm": True}, flags=ATTENTION_BIAS, window="pattern",
        defaults={"sliding_window": 4096, "sliding_window_pattern": 4},
    ),
    "olmoe": Family(
        fixed={"whole_norm": True}, flags=ATTENTION_BIAS, defaults={"num_experts": 64, "num_experts_per_tok": 8}
    ),
    "deepseek": Family(flags=ATTENTION_BIAS),
    "deepseek_v2": Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}, defaults={**_MLA, "n_shared_experts": 2}, mixing=latents,
    ),
    "deepseek_v3": Family(fixed={"router_bias": True}, flags=ATTENTION_BIAS, defaults=_DEEPSEEK3, mixing=latents),
    "deepseek_v32": Family(
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={**_DEEPSEEK3, "index_topk": 2048, "index_head_dim": 128, "index_n_heads": 64},
        mixing=latents,
    ),
    "glm": Family(flags=_QKV_BIAS, defaults={"attention_bias": True, "head_dim": 128, "num_key_value_heads": 2}),
    "glm4": Family(
        fixed=_FOUR_NORMS,
        flags=_QKV_BIAS,
        defaults={"attention_bias": True, "head_dim": 128, "num_key_value_heads": 2},
    ),
    "glm4_moe": Family(
        fixed={"router_bias": True},
        flags={**_QKV_BIAS, "qk_norm": "use_qk_norm"},
        defaults={
            "n_routed_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 1408, "n_shared_experts": 1,
            "first_k_dense_replace": 1,
        },
    ),
    "glm4_moe_lite": Family(
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_GLM_MLA, "q_lora_rank": 768, "n_routed_experts": 64, "num_experts_per_tok": 4,
            "moe_intermediate_size": 1536, "first_k_dense_replace": 1,
        },
        mixing=latents,
    ),
    "glm_moe_dsa": Family(
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            **_GLM_MLA, "q_lora_rank": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8,
            "moe_intermediate_size": 2048, "first_k_dense_replace": 3, "index_topk": 2048, "index_head_dim": 128,
            "index_n_heads": 32,
        },
        mixing=latents,
    ),
    "chatglm": Family(further=adjust.chatglm, ignored=(
        "apply_residual_connection_post_layernorm", "post_layer_norm", "rmsnorm", "pre_seq_len",
        "prefix_projection", "quantization_bit", "add_bias_linear", "multi_query_attention", "layernorm_epsilon",
        "original_rope", "classifier_dropout", "interleaved_qkv",
    )),  # fmt: skip
    "baichuan": Family(ignored=("position_embedding",)),
    "internlm": Family(further=adjust.internlm),
    "internlm2": Family(further=adjust.internlm, ignored=("attn_implementation",)),
    "internlm3": Family(flags={"qkv_bias": "qkv_bias", "output_bias": "bias", "mlp_bias": "bias"},
                        defaults={"head_dim": 128, "num_key_value_heads": 2}),
    "exaone": Family(),
    "exaone4": Family(
        fixed=_NORMED, window="pattern", defaults={"sliding_window": 4096, "sliding_window_pattern": 4}
    ),
    "exaone_moe": Family(
        fixed={**_NORMED, "router_bias": True},
        window="pattern",
        defaults={
            "sliding_window": 4096, "sliding_window_pattern": 4, "num_experts": 64, "num_experts_per_tok": 8,
            "num_shared_experts": 1, "moe_intermediate_size": 1024, "first_k_dense_replace": 1,
        },
    ),
    "nemotron": Family(fixed=_CLASSIC, flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}),
    "nemotron-nas": Family(mixing=special.block_configs, mlps=hybrids.nothing, ignored=("attention_bias", "mlp_bias")),
    "nemotron_h": Family(
        fixed={"gated": False, "norms_per_layer": 1.0, "router_bias": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={
            "ssm_state_size": 128, "mamba_num_heads": 128, "mamba_head_dim": 64, "n_groups": 8, "conv_kernel": 4,
            "head_dim": 128, "num_key_value_heads": 8,
        },
        mixing=hybrids.nemotron_h,
        mlps=hybrids.nothing,
    ),
    "dbrx": Family(
        mixing=special.dbrx_attention, mlps=special.dbrx_experts, ignored=("num_key_value_heads", "learned_pos_emb")
    ),
    "grok-1": Family(fixed={**_FOUR_NORMS}),
    "git": Family(fixed={**_FOUR_NORMS}, mlps=special.residual_experts, ignored=("sliding_window_size", "sliding_window")),
    "granite": Family(flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}),
    "granitemoe": Family(flags=ATTENTION_BIAS, defaults={"num_local_experts": 8, "num_experts_per_tok": 2}),
    "granitemoeshared": Family(flags=ATTENTION_BIAS, defaults={"num_local_experts": 8, "num_experts_per_tok": 2}),
    "granitemoehybrid": Family(
        flags=ATTENTION_BIAS,
        defaults={**_MAMBA2, "num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 1024},
        mixing=hybrids.granite_hybrid,
        mlps=hybrids.granite_mlps,
        ignored=("position_embedding_type", "normalization_function", "init_method"),
    ),
    "bamba": Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}, defaults=_MAMBA2, mixing=hybrids.granite_hybrid,
        ignored=("attn_rotary_emb",),
    ),
    "jamba": Family(
        defaults={
            "num_experts": 16, "num_experts_per_tok": 2, "expert_layer_period": 2, "expert_layer_offset": 1,
            "attn_layer_period": 8, "attn_layer_offset": 4, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2,
            "num_key_value_heads": 8,
        },
        mixing=hybrids.jamba,
        mlps=hybrids.nothing,
        ignored=("sliding_window",),
    ),
    "falcon_h1": Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}, defaults={**_MAMBA2, "mamba_d_ssm": 1024},
        mixing=hybrids.falcon_h1, ignored=("mamba_use_mlp", "attn_layer_indices"),
    ),
    "mamba": Family(
        fixed={"norms_per_layer": 1.0}, defaults=_MAMBA1, tied=True, mixing=hybrids.pure_mamba, mlps=hybrids.nothing
    ),
    "falcon_mamba": Family(
        fixed={"norms_per_layer": 1.0}, defaults=_MAMBA1, tied=True, mixing=hybrids.pure_mamba, mlps=hybrids.nothing
    ),
    "mamba2": Family(
        fixed={"norms_per_layer": 1.0},
        defaults={"num_heads": 128, "head_dim": 64, "state_size": 128, "expand": 2, "conv_kernel": 4, "n_groups": 8},
        mixing=hybrids.pure_mamba2,
        mlps=hybrids.nothing,
        ignored=("rms_norm", "norm_before_gate"),
    ),
    "lfm2": Family(
        fixed=_NORMED, defaults={"conv_L_cache": 3, "block_multiple_of": 256}, tied=True, mixing=hybrids.convolutions,
        mlps=hybrids.lfm2_mlps, ignored=("theta", "block_use_swiglu"),
    ),
    "lfm2_moe": Family(
        fixed=_NORMED,
        flags={"router_bias": "use_expert_bias"},
        defaults={
            "conv_L_cache": 3, "num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 1792,
            "num_dense_layers": 2, "use_expert_bias": True,
        },
        tied=True,
        mixing=hybrids.convolutions,
    ),
    "kimi_linear": Family(
        fixed={"router_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128,
            "num_local_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1, "moe_intermediate_size": 1024,
            "linear_head_dim": 128, "linear_num_heads": 32, "linear_conv_kernel_dim": 4, "first_k_dense_replace": 1,
        },
        mixing=hybrids.kimi_delta,
    ),
    "minimax": Family(
        defaults={"num_local_experts": 8, "num_experts_per_tok": 2, "num_key_value_heads": 8},
        mixing=hybrids.lightning,
    ),
    "minimax_m2": Family(
        fixed={"router_bias": True},
        defaults={"num_local_experts": 256, "num_experts_per_tok": 8},
        mixing=special.all_listed_full,
        ignored=("use_routing_bias",),
    ),
    "hunyuan_v1_dense": Family(
        fixed=_NORMED, flags=ATTENTION_BIAS, ignored=("use_qk_norm", "use_cla", "cla_share_factor", "use_mixed_mlp_moe",
        "num_experts", "moe_topk", "num_shared_expert", "moe_intermediate_size", "moe_drop_tokens", "norm_type",
        "org_vocab_size", "add_classification_head", "class_num", "pool_type"),
    ),  # fmt: skip
    "hunyuan": Family(
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        mixing=special.shared_pairs,
        tied=True,
        ignored=("use_mixed_mlp_moe", "num_experts_per_tok", "num_media_embeds", "org_vocab_size", "q_lora_rank",
                 "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "use_mla"),
    ),
    "hunyuan_v1_moe": Family(
        fixed=_NORMED, flags=ATTENTION_BIAS, mixing=special.shared_pairs,
        ignored=("use_mixed_mlp_moe", "num_experts_per_tok", "org_vocab_size", "use_mla", "q_lora_rank",
                 "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"),
    ),
    "hy_v3": Family(
        fixed={**_NORMED, "router_bias": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={
            "num_experts": 192, "num_experts_per_tok": 8, "num_shared_experts": 1, "moe_intermediate_size": 1536,
            "first_k_dense_replace": 1,
        },
    ),
    "ernie4_5": Family(flags=_USE_BIAS, defaults={"head_dim": 128}, tied=True),
    "ernie4_5_moe": Family(
        fixed={"router_bias": True},
        flags=_USE_BIAS,
        defaults={
            "moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2, "moe_intermediate_size": 1536,
            "moe_layer_start_index": 1, "num_key_value_heads": 4,
        },
        tied=True,
    ),
    "longcat_flash": Family(
        flags=ATTENTION_BIAS,
        defaults={
            **_MLA, "moe_topk": 12, "n_routed_experts": 512, "zero_expert_num": 256, "expert_ffn_hidden_size": 2048,
            "num_layers": 28, "ffn_hidden_size": 12288,
        },
        mixing=special.longcat,
        mlps=hybrids.nothing,
        ignored=("attention_method", "mla_scale_q_lora", "mla_scale_kv_lora", "router_bias"),
        note="experts that do nothing are counted as their average share of the chosen ones",
    ),
    "dots1": Family(
        fixed={**_NORMED, "router_bias": True}, flags=ATTENTION_BIAS, window="last",
        defaults={"max_window_layers": 62, "sliding_window": 4096, "use_sliding_window": True},
    ),
    "bailing_moe": Family(
        flags={"qkv_bias": "qkv_bias", "output_bias": "use_bias", "qk_norm": "use_qk_norm",
               "router_bias": "moe_router_enable_expert_bias"},
        ignored=("use_rmsnorm", "max_window_layers", "use_sliding_window", "sliding_window", "group_norm_size",
                 "moe_router_enable_shared_expert", "router_type"),
    ),
    "apertus": Family(fixed={"gated": False, **_NORMED}, flags=ATTENTION_BIAS, ignored=("qk_norm", "post_norm", "mlp_bias")),
    "smollm3": Family(flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}, defaults={"num_key_value_heads": 4}, tied=True),
    "seed_oss": Family(
        flags={"qkv_bias": "attention_bias", "output_bias": "attention_out_bias", "mlp_bias": "mlp_bias"},
        defaults={"attention_bias": True, "head_dim": 128},
    ),
    "arcee": Family(fixed={"gated": False}, flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}),
    "helium": Family(flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"}),
    "mimo": Family(fixed={"qkv_bias": True}, window="last", ignored=("attention_bias",)),
    "mimo_v2_flash": Family(
        fixed={"router_bias": True, "value_dim": True, "sinks_of": {
            "full": "add_full_attention_sink_bias", "window": "add_swa_attention_sink_bias"}},
        flags={"qkv_bias": "attention_bias"},
        defaults={"head_dim": 192, "v_head_dim": 128, "n_routed_experts": 256, "num_experts_per_tok": 8,
                  "moe_intermediate_size": 2048},
        by_kind=_MIMO2,
        mixing=special.listed_windows,
    ),
    "step3p5": Family(
        fixed={**_NORMED, "router_bias": True},
        flags={**ATTENTION_BIAS, "mlp_bias": "mlp_bias"},
        defaults={
            "num_experts_per_tok": 8, "n_routed_experts": 288, "share_expert_dim": 1280, "moe_intermediate_size": 1280,
            "first_k_dense_replace": 3, "n_shared_experts": 1,
        },
        mixing=special.heads_by_kind,
        further=adjust.step3p5,
        ignored=("use_moe_router_bias", "use_moe", "moe_every_n_layer", "need_fp32_gate", "yarn_only_types",
                 "use_rope_layers", "use_head_wise_attn_gate", "gating", "zero_centered", "att_impl_type",
                 "share_expert_dims"),
    ),
    "llama4": Family(
        flags=ATTENTION_BIAS,
        defaults={
            "num_local_experts": 16, "num_experts_per_tok": 1, "attention_chunk_size": 8192,
            "intermediate_size_mlp": 16384, "interleave_moe_layer_step": 1, "head_dim": 128,
        },
        fixed={"experts_shared": 1},
        mixing=special.llama4,
        ignored=("use_qk_norm", "for_llm_compressor"),
    ),
    "mllama": Family(
        mixing=special.cross_attentions, further=adjust.mllama, other=adjust.mllama_other,
        note="layers that attend to the image are timed as if one image of 1601 patches in four tiles were there",
    ),
    "gpt_oss": Family(
        fixed={"attention_sinks": True, "router_bias": True, "expert_bias": True},
        flags=ATTENTION_BIAS,
        defaults={
            "attention_bias": True, "head_dim": 64, "num_local_experts": 128, "num_experts_per_tok": 4,
            "sliding_window": 128, "sliding_window_pattern": 2,
        },
        window="pattern",
    ),
}  # fmt: skip
