"""Layers of Zamba: a block of attention and a perceptron that is used again and again, between state spaces."""

from __future__ import annotations

from dataclasses import replace

from accelmodel.errors import unknown
from accelmodel.specs.huggingface.hybrids import mamba1, mamba2, same_inner
from accelmodel.specs.huggingface.keys import REMEDY, Keys
from accelmodel.specs.huggingface.layers import Layers, Traits, dense, grouped
from accelmodel.specs.layer_kinds import Part

#: words of Zamba's layers → whether the shared block stands before the state space
_WORDS = {"linear_attention": False, "mamba": False, "mamba2": False, "hybrid": True}
_MAMBA1 = ("mamba_d_state", "mamba_d_conv", "mamba_expand", "mamba_dt_rank", "mamba_proj_bias")
_MAMBA2 = ("n_mamba_heads", "mamba_headdim", "mamba_d_state", "mamba_ngroups", "mamba_d_conv", "add_bias_linear")


def _hybrid(keys: Keys, layers: int) -> list[bool]:
    """Return which layers use the shared block."""
    words = keys.items("layer_types", str, layers)
    ids = keys.items("hybrid_layer_ids", int)
    keys.get("attn_layer_period")
    keys.get("attn_layer_offset")
    for word in words:
        if word not in _WORDS:
            raise keys.fail("layer_types", str(unknown("kind of layer", word, _WORDS)))
    if words:
        return [_WORDS[word] for word in words]
    if ids:
        return [place in ids for place in range(layers)]
    if not keys.has("attn_layer_period"):
        raise keys.fail("layers_block_type", "is missing; add a list of mamba and hybrid, one for each layer")
    every, first = keys.whole("attn_layer_period"), keys.whole("attn_layer_offset", low=0)
    # the class puts the first one two layers before the others
    return [place == 2 or (place > 2 and (place - first - 3) % every == 0) for place in range(layers)]


def _blocks(keys: Keys) -> int:
    """Return how many shared blocks have weights of their own."""
    return keys.whole("num_mem_blocks", 1)


def mixing(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Return a state space for each layer, and attention on the stream and the embeddings where the block stands."""
    hidden, heads = keys.whole("hidden_size"), keys.whole("num_attention_heads")
    for name in ("kv_channels", "num_query_groups", "use_shared_mlp_adapter"):
        keys.get(name)
    for name in ("use_mem_eff_path", "use_mem_rope", "use_long_context", "ft_lora", "rope_theta"):
        keys.get(name)
    if keys.has("mamba_ngroups"):
        inner = keys.whole("mamba_expand") * hidden
        same_inner(keys, "mamba_headdim", "n_mamba_heads", inner)
        space = mamba2(keys, _MAMBA2, inner)
    else:
        space = mamba1(keys, _MAMBA1)
        for name in ("n_mamba_heads", "hidden_mamba_act", "mamba_conv_bias"):
            keys.get(name)
    # another key is half the width of a head, and unread
    given = {key: value for key, value in keys.given.items() if key != "kv_channels"}
    given.setdefault("attention_head_dim", 2 * hidden // heads)
    wide = Keys(keys.path, given, keys.defaults)
    chosen = _hybrid(keys, layers)
    number = float(min(_blocks(keys), sum(chosen)))
    inputs = float(keys.whole("attention_hidden_size", 2 * hidden))
    shared = replace(grouped(wide, traits), inputs=inputs, copies=number)
    keys.used |= wide.used
    return [[space, shared] if used else [space] for used in chosen]


def mlps(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Return the perceptron of the shared block where it stands."""
    if keys.flag("add_bias_linear"):
        raise keys.fail("add_bias_linear", f"biases of shared blocks are not modelled; {REMEDY}")
    chosen = _hybrid(keys, layers)
    width = keys.whole("intermediate_size", 4 * keys.whole("hidden_size"))
    shared: Part = replace(dense(keys, traits, width), copies=float(min(_blocks(keys), sum(chosen))))
    return [[shared] if used else [] for used in chosen]


def other(keys: Keys, layers: int) -> float:
    """Return what each use of a shared block has of its own: a projection, and low-rank adapters; norms [1]."""
    hidden = keys.whole("hidden_size")
    uses = sum(_hybrid(keys, layers))
    blocks = min(_blocks(keys), uses)
    total = uses * hidden * hidden + blocks * 3 * hidden
    rank = keys.whole("adapter_rank", 0, low=0)
    if rank:
        total += uses * rank * (hidden + 2 * keys.whole("intermediate_size", 4 * hidden))
        if keys.flag("use_shared_attention_adapter"):
            total += uses * 3 * rank * 4 * hidden
    return float(total)
