"""Traits of families that depend on several keys of a file, and parameters beside the layers."""

from __future__ import annotations

from typing import Any

from accelmodel.specs.huggingface.keys import REMEDY, Keys
from accelmodel.specs.huggingface.layers import Layers, Traits, dense


def nothing(keys: Keys) -> dict[str, Any]:
    """No further traits."""
    return {}


def no_other(keys: Keys, layers: int) -> float:
    """No parameters beside the layers."""
    return 0.0


def head_bias(keys: Keys, layers: int) -> float:
    """Return the bias of the head [1]."""
    return float(keys.whole("vocab_size"))


def head_bias_flag(keys: Keys, layers: int) -> float:
    """Return the bias of the head where the file switches it on [1]."""
    return head_bias(keys, layers) if keys.flag("lm_head_bias") else 0.0


def embedding_norm(keys: Keys, layers: int) -> float:
    """Return weights and biases of a norm of the embeddings [1]."""
    return 2.0 * keys.whole("hidden_size")


def four_wide(keys: Keys) -> dict[str, Any]:
    """The width is four times the hidden size where the file is silent."""
    return {"default_width": 4 * keys.whole("hidden_size")}


def half_widths(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Qwen: both halves of ``intermediate_size`` are one gated perceptron."""
    return [[dense(keys, traits, keys.whole("intermediate_size") // 2)]] * layers


def opt(keys: Keys) -> dict[str, Any]:
    """OPT: embeddings of another width than the stream are not modelled."""
    hidden = keys.whole("hidden_size")
    if keys.whole("word_embed_proj_dim", hidden) != hidden:
        raise keys.fail("word_embed_proj_dim", f"projected embeddings (not {hidden}) are not modelled; {REMEDY}")
    return {}


def bigcode(keys: Keys) -> dict[str, Any]:
    """StarCoder: one KV head unless the file says otherwise."""
    heads = {"kv_heads": 1} if keys.flag("multi_query", True) else {}
    return {**four_wide(keys), **heads}


def falcon(keys: Keys) -> dict[str, Any]:
    """Falcon: KV heads, parallel blocks and the number of norms depend on which decoder it is."""
    new = keys.flag("new_decoder_architecture")
    parallel = keys.flag("parallel_attn") or new
    norms = keys.whole("num_ln_in_parallel_attn", 2 if new else 1)
    kv_heads = keys.whole("num_key_value_heads", keys.whole("num_attention_heads"))
    one = keys.flag("multi_query")
    if one and not new:
        kv_heads = 1
    return {
        **four_wide(keys), "kv_heads": kv_heads, "parallel": parallel,
        "norms_per_layer": float(norms) if parallel else 2.0,
    }  # fmt: skip


def stablelm(keys: Keys) -> dict[str, Any]:
    """StableLM: with a parallel residual one norm is left out."""
    parallel = keys.flag("use_parallel_residual")
    return {
        "parallel": parallel,
        "norms_per_layer": 1.0 if parallel else 2.0,
        "whole_norm": keys.flag("qk_layernorm"),
    }


def persimmon(keys: Keys) -> dict[str, Any]:
    """Persimmon: norms of queries and keys unless the file switches them off."""
    return {"qk_norm": keys.flag("qk_layernorm", True)}


def gemma4(keys: Keys) -> dict[str, Any]:
    """Gemma 4: three more norms in layers with experts."""
    return {"norms_per_layer": 7.0 if keys.flag("enable_moe_block") else 4.0}


def chatglm(keys: Keys) -> dict[str, Any]:
    """ChatGLM 2 and 3, GLM-4: biases of queries, keys and values alone."""
    found: dict[str, Any] = {"qkv_bias": keys.flag("qkv_bias")}
    if not keys.flag("multi_query_attention"):
        found["kv_heads"] = keys.whole("num_attention_heads")
    if keys.flag("add_bias_linear"):
        found |= {"output_bias": True, "mlp_bias": True}
    return found


def internlm(keys: Keys) -> dict[str, Any]:
    """InternLM: one key for all biases of attention; the first generation has them by default."""
    bias = keys.flag("bias", keys.text("model_type") == "internlm")
    return {"qkv_bias": bias, "output_bias": bias}


def hyperclovax(keys: Keys) -> dict[str, Any]:
    """HyperCLOVA X: norms after each part too, unless the file switches them off."""
    return {"norms_per_layer": 4.0 if keys.flag("use_post_norm", True) else 2.0}


def molmo(keys: Keys) -> dict[str, Any]:
    """Molmo: its table of embeddings may have more rows than the head; others than these are not modelled."""
    rows, words = keys.whole("embedding_size", keys.whole("vocab_size")), keys.whole("vocab_size")
    if rows != words:
        raise keys.fail("embedding_size", f"{rows} rows for {words} words are not modelled; {REMEDY}")
    if keys.flag("weight_tying") != keys.flag("tie_word_embeddings"):
        raise keys.fail("weight_tying", f"contradicts tie_word_embeddings; {REMEDY}")
    return {}


def telechat(keys: Keys) -> dict[str, Any]:
    """TeleChat: its code on the hub differs in whether embeddings are tied where the file is silent."""
    if not keys.has("tie_word_embeddings"):
        raise keys.fail("tie_word_embeddings", "is missing; add true or false, as the checkpoint has a head or not")
    return {}


def step3p5(keys: Keys) -> dict[str, Any]:
    """Step 3.5: a number a head gates its output unless the file switches it off."""
    return {"head_gate": keys.flag("use_head_wise_attn_gate", keys.flag("gating", True))}


def mllama(keys: Keys) -> dict[str, Any]:
    """Llama 3.2 Vision: patches of four tiles of 560 by 560 pixels, and the class token."""
    return {"cross_tokens": 4 * 1601}


def mllama_other(keys: Keys, layers: int) -> float:
    """Return eight rows of the embeddings for images, and two gates of each layer that attends to one [1]."""
    cross = len(keys.items("cross_attention_layers", int))
    return 8.0 * keys.whole("hidden_size") + 2.0 * cross
