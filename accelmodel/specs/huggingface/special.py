"""Layers of families that no table describes: shared keys and values, several widths, experts beside perceptrons."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from accelmodel.errors import brief, unknown
from accelmodel.specs.huggingface.keys import REMEDY, Keys
from accelmodel.specs.huggingface.layers import (
    Layers,
    Traits,
    attentions,
    dense,
    experts,
    grouped,
    latent_kinds,
    latents,
    layer_words,
    listed_words,
    perceptrons,
)
from accelmodel.specs.layer_kinds import Compressed, Dense, Experts, Grouped, Part


def llama4(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Llama 4: three layers of four see their own chunk of tokens, those without positions see all."""
    if keys.has("layer_types") or keys.get("attention_chunk_size") is None:
        return attentions(keys, traits, layers)
    chunked = keys.items("no_rope_layers", int, layers if keys.get("no_rope_layers") else 0)
    if not chunked:
        every = keys.whole("no_rope_layer_interval", 4)
        chunked = [int((place + 1) % every != 0) for place in range(layers)]
    kinds = {flag: grouped(keys, traits, "chunked" if flag else "full") for flag in (0, 1)}
    return [[kinds[int(bool(flag))]] for flag in chunked]


def latent_unless_off(keys: Keys, traits: Traits, layers: int) -> Layers:
    """DeepSeek-V2: small ones, and that of DeepSeek-OCR, have attention that keeps keys and values."""
    if keys.flag("use_mla", True):
        return latents(keys, traits, layers)
    for name in ("kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"):
        if keys.given.get(name):
            raise keys.fail(name, f"{brief(keys.given[name])} contradicts use_mla False; correct one of them")
        keys.get(name)
    return attentions(keys, traits, layers)


def cross_attentions(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Llama 3.2 Vision: some layers attend to the image instead of the text."""
    own = grouped(keys, traits)
    places = keys.items("cross_attention_layers", int)
    tokens = float(traits["cross_tokens"])
    other = replace(own, kind="cross", cross_tokens=tokens, qk_norm=True)
    return [[other if place in places else own] for place in range(layers)]


def shared_pairs(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Hunyuan: of each group of layers the first has keys and values, and the others read them."""
    factor = keys.whole("cla_share_factor", 1) if keys.flag("use_cla") else 1
    keys.get("cla_share_factor")
    own = grouped(keys, {**traits, "qk_norm": keys.flag("use_qk_norm", bool(traits.get("qk_norm")))})
    follows = replace(own, shared_kv=True)
    return [[own if place % factor == 0 else follows] for place in range(layers)]


def gemma_shared(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Gemma 3n and 4: the last layers read the cache of a layer before; full layers may have sizes of their own."""
    alike = keys.flag("attention_k_eq_v")
    full: dict[str, str] = {}
    told = keys.table("per_layer_config")
    if not told.given and ("global_head_dim" in keys.given or "global_head_dim" in keys.defaults):
        full = {"head_dim": "global_head_dim"}
        if alike:
            full["kv_heads"] = "num_global_key_value_heads"
        keys.get("num_global_key_value_heads")
    found = attentions(keys, {**traits, "by_kind": {"full": full}}, layers)
    first_shared = layers - keys.whole("num_kv_shared_layers", 0, low=0)
    made: Layers = []
    for place, (part,) in enumerate(found):
        own: Any = part
        own = replace(own, **_own_sizes(told, place))
        if alike and own.kind == "full":
            own = replace(own, keys_are_values=True)
        made.append([replace(own, shared_kv=True) if place >= first_shared else own])
    return made


def _own_sizes(told: Keys, place: int) -> dict[str, float]:
    """Return the sizes that a file gives for one layer of its own."""
    found = {}
    for name in (str(place), f"{place:02d}"):
        if told.has(name):
            table = told.table(name)
            sizes = {"head_dim": "head_dim", "kv_heads": "num_key_value_heads", "heads": "num_attention_heads"}
            found = {size: float(table.whole(key)) for size, key in sizes.items() if table.has(key)}
    return found


def gemma4_mlps(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Gemma 4: experts stand beside a perceptron; layers that share a cache may have twice the width."""
    width = keys.whole("intermediate_size")
    wide = keys.flag("use_double_wide_mlp")
    first_shared = layers - keys.whole("num_kv_shared_layers", 0, low=0)
    if not keys.flag("enable_moe_block"):
        for name in ("experts", "experts_used", "expert_width"):
            keys.get(name)
        return [[dense(keys, traits, width * (2 if wide and place >= first_shared else 1))] for place in range(layers)]
    return [[replace(experts(keys, traits), dense_width=float(width))]] * layers


def layer_embeddings(keys: Keys, layers: int) -> float:
    """Return the parameters of embeddings that each layer has of its own, with their projections and norms [1]."""
    width = keys.whole("hidden_size_per_layer_input", 0, low=0)
    rows = keys.whole("vocab_size_per_layer_input", 0, low=0)
    if not width:
        return 0.0
    hidden = keys.whole("hidden_size")
    table = (rows + hidden) * layers * width + width
    return float(table + layers * (2 * hidden * width + hidden))


def gemma3n_other(keys: Keys, layers: int) -> float:
    """Return what Gemma 3n has beside its layers: embeddings of each layer, and paths beside the residual stream."""
    hidden, streams = keys.whole("hidden_size"), keys.whole("altup_num_inputs")
    rank = keys.whole("laurel_rank")
    beside = 2 * hidden * rank + hidden
    paths = streams**3 + streams**2 + hidden * streams + 2 * hidden
    return layer_embeddings(keys, layers) + layers * (beside + paths) + 2 * (streams - 1) * hidden * hidden


def block_configs(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Nemotron NAS: each layer says how wide it is, or that it has no attention or no perceptron."""
    blocks = keys.get("block_configs")
    if not isinstance(blocks, list) or len(blocks) != layers:
        raise keys.fail("block_configs", f"must be a list of {layers} objects, one for each layer")
    hidden = keys.whole("hidden_size")
    heads, _, head_dim = _heads(keys)
    found: Layers = []
    for place, block in enumerate(blocks):
        where = f"{keys.where}block_configs.{place}."
        inside = Keys(keys.path, block if isinstance(block, dict) else {}, None, where)
        keys.parts.append(inside)
        attention, ffn = inside.table("attention"), inside.table("ffn")
        parts: list[Part] = []
        if not attention.flag("no_op"):
            group = attention.whole("n_heads_in_group", 0, low=0)
            kv_heads = heads // group if group else attention.whole("num_key_value_heads", heads)
            parts.append(Grouped("full", 1.0, float(heads), float(kv_heads), float(head_dim)))
        if not ffn.flag("no_op"):
            width = ffn.whole("intermediate_size", _nas_width(ffn, hidden))
            parts.append(dense(keys, traits, width))
        found.append(parts)
    return found


def _heads(keys: Keys) -> tuple[int, int, int]:
    heads = keys.whole("num_attention_heads")
    keys.get("num_key_value_heads")
    keys.get("intermediate_size")
    return heads, heads, keys.whole("head_dim", keys.whole("hidden_size") // heads)


def _nas_width(ffn: Keys, hidden: int) -> int | None:
    """Return the width that a multiple of the hidden size means: two thirds of it, up to a multiple of 256."""
    factor = ffn.get("ffn_mult")
    if factor is None:
        return None
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0.0 < factor < 1e3:
        raise ffn.fail("ffn_mult", f"{brief(factor)} is not a number above 0")
    return 256 * math.ceil(int(2 * factor * hidden / 3) / 256)


def longcat(keys: Keys, traits: Traits, layers: int) -> Layers:
    """LongCat: a layer is two of latent attention and a perceptron, with experts beside the first of them."""
    latent = latent_kinds(keys, traits, layers)[0]
    plain = dense(keys, traits, keys.whole("intermediate_size"))
    idle = keys.whole("zero_expert_num", 0, low=0)
    keys.get("zero_expert_type")
    routed = experts(keys, traits)
    # of the experts that a token chooses, those that do nothing take no weights: on average their share
    used = max(round(routed.used * routed.experts / (routed.experts + idle)), 1)
    both = replace(routed, used=float(used), dense_width=plain.width)
    return [[latent, both] if place % 2 == 0 else [latent, plain] for place in range(2 * layers)]


def residual_experts(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Grok 2 and Arctic: a perceptron stands beside the experts."""
    routed = experts(keys, traits)
    if keys.flag("residual_moe"):
        routed = replace(routed, dense_width=float(keys.whole("intermediate_size")))
    return [[routed]] * layers


def dbrx_experts(keys: Keys, traits: Traits, layers: int) -> Layers:
    """DBRX: sizes of experts stand in an object of their own."""
    table = keys.table("ffn_config", {"ffn_hidden_size": 3584, "moe_num_experts": 4, "moe_top_k": 1})
    table.get("ffn_act_fn")
    table.get("hidden_size")
    number, used = float(table.whole("moe_num_experts")), float(table.whole("moe_top_k"))
    return [[Experts("experts", 1.0, number, used, float(table.whole("ffn_hidden_size")))]] * layers


def dbrx_attention(keys: Keys, traits: Traits, layers: int) -> Layers:
    """DBRX: the number of KV heads stands in an object of its own."""
    table = keys.table("attn_config", {"kv_n_heads": 1})
    heads, hidden = keys.whole("num_attention_heads"), keys.whole("hidden_size")
    part = Grouped("full", 1.0, float(heads), float(table.whole("kv_n_heads")), float(hidden // heads))
    return [[part]] * layers


def step_experts(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Step 3: the first layers are dense unless the file lists which have experts."""
    return perceptrons(keys, traits, layers)


def factored(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Step 3: queries go through a rank of their own (multi-matrix factorisation)."""
    part = grouped(keys, traits)
    return [[replace(part, q_lora_rank=float(keys.whole("share_q_dim")))]] * layers


def heads_by_kind(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Step 3.5: windowed layers may have more heads than full ones."""
    names: dict[str, dict[str, str]] = {}
    other = keys.table("attention_other_setting") if keys.has("attention_other_setting") else None
    words = layer_words(keys, "none", layers)
    if keys.has("num_sliding_attention_heads"):
        names = {"window": {"heads": "num_sliding_attention_heads"}}
    made: dict[str, Part] = {}
    for word in dict.fromkeys(words):
        part = grouped(keys, traits, word, names.get(word))
        if other is not None and word == "window":
            for name in ("attention_type", "head_dim", "true_head_dim"):
                other.get(name)
            kv_heads = other.whole("num_attention_groups", round(float(part.kv_heads)))
            part = replace(part, heads=float(other.whole("num_attention_heads")), kv_heads=float(kv_heads))
        made[word] = part
    return [[made[word]] for word in words]


def listed_windows(keys: Keys, traits: Traits, layers: int) -> Layers:
    """MiMo-V2: a list of zeros and ones says which layers have windows, with heads and sinks of their own."""
    codes = keys.items("hybrid_layer_pattern", int, layers)
    keys.get("attention_chunk_size")
    words = ["window" if code else "full" for code in codes] or listed_words(keys, layers)
    if not words:
        raise keys.fail("hybrid_layer_pattern", "is missing; add a list of 0 (all tokens) and 1 (window)")
    by_kind = traits["by_kind"]
    made = {word: grouped(keys, traits, word, by_kind.get(word)) for word in dict.fromkeys(words)}
    for word, sink in traits["sinks_of"].items():
        keys.get(sink)
        if word in made:
            made[word] = replace(made[word], sinks=keys.flag(sink, word == "window"))
    return [[made[word]] for word in words]


def all_listed_full(keys: Keys, traits: Traits, layers: int) -> Layers:
    """MiniMax-M2: a list may say that every layer has attention; one that says otherwise is refused."""
    codes = keys.items("attn_type_list", int, layers)
    if any(code != 1 for code in codes):
        raise keys.fail("attn_type_list", "a layer that is not 1 (attention) is not known of this family")
    kind = keys.text("qk_norm_type", "per_layer")
    normed = keys.flag("use_qk_norm", True)
    own = {**traits, "whole_norm": normed and kind == "per_layer", "qk_norm": normed and kind != "per_layer"}
    return attentions(keys, own, layers)


def ungated_widths(keys: Keys, traits: Traits, layers: int) -> Layers:
    """MPT: the width is a multiple of the hidden size."""
    width = keys.whole("expansion_ratio", 4) * keys.whole("hidden_size")
    table = keys.table("attn_config")
    if not table.flag("alibi", True):
        raise table.fail("alibi", f"False means learned or rotary positions, which are not modelled of MPT; {REMEDY}")
    kind = table.text("attn_type", "multihead_attention")
    if kind != "multihead_attention":
        raise table.fail("attn_type", f"{kind!r} is not modelled of MPT, only 'multihead_attention'; {REMEDY}")
    for key in ("prefix_lm", "qk_ln", "rope", "rope_impl", "rope_theta", "alibi_bias_max"):
        table.get(key)
    return [[Dense("dense", 1.0, float(width), False, not keys.flag("no_bias", True))]] * layers


#: words of DeepSeek-V4's layers → how many tokens a compressed key stands for
_RATIOS = {"sliding_attention": 0, "compressed_sparse_attention": 4, "heavily_compressed_attention": 128}


_COMPRESSED = {
    "heads": "num_attention_heads",
    "head_dim": "head_dim",
    "q_lora_rank": "q_lora_rank",
    "output_rank": "o_lora_rank",
    "groups": "o_groups",
    "window": "sliding_window",
}
_INDEX = {"top_k": "index_topk", "index_heads": "index_n_heads", "index_dim": "index_head_dim"}


def compressed(keys: Keys, traits: Traits, layers: int) -> Layers:
    """DeepSeek-V4: keys that stand for 4 tokens, picked by an indexer, or for 128, behind a window of tokens."""
    for name in ("qk_rope_head_dim", "num_key_value_heads", "compress_rates"):
        keys.get(name)
    listed = keys.items("compress_ratios", int)
    if len(listed) > layers:
        # the rest is of modules that predict further tokens
        listed = listed[:layers]
    words = keys.items("layer_types", str, layers)
    for word in words:
        if word not in _RATIOS:
            raise keys.fail("layer_types", str(unknown("kind of layer", word, _RATIOS)))
    ratios = listed or [_RATIOS[word] for word in words]
    if not ratios:
        ratios = [128 if place < 2 or place % 2 else 4 for place in range(layers)]
    if len(ratios) != layers:
        raise keys.fail("compress_ratios", f"has {len(ratios)} entries for {layers} layers; give one for each")
    shape: dict[str, Any] = {name: float(keys.whole(key)) for name, key in _COMPRESSED.items()}
    index: dict[str, Any] = {name: float(keys.whole(key)) for name, key in _INDEX.items()}
    fewest = min(ratio for ratio in [*ratios, 128] if ratio)
    made: dict[int, Part] = {}
    for ratio in dict.fromkeys(ratios):
        picks = index if ratio == fewest and ratio < 128 else {}
        made[ratio] = Compressed("compressed", 1.0, ratio=float(ratio), **shape, **picks)
    return [[made[ratio]] for ratio in ratios]


def streams(keys: Keys, layers: int) -> float:
    """Return what mixes a residual stream of several copies before and after each part of a layer [1]."""
    copies, hidden = keys.whole("hc_mult"), keys.whole("hidden_size")
    mixed = 2 * copies + copies * copies
    for name in ("hc_sinkhorn_iters", "num_hash_layers"):
        keys.get(name)
    return float(layers * 2 * (mixed * copies * hidden + mixed + 3) + copies * copies * hidden + copies + 1)


def hashed_experts(keys: Keys, traits: Traits, layers: int) -> Layers:
    """DeepSeek-V4: experts in every layer; the first ones pick them by a table, which is no other traffic."""
    for word in keys.items("mlp_layer_types", str, layers):
        if word not in ("moe", "hash_moe"):
            raise keys.fail("mlp_layer_types", str(unknown("kind of mlp", word, ("moe", "hash_moe"))))
    return [[experts(keys, traits)]] * layers


def block_sparse(keys: Keys, traits: Traits, layers: int) -> Layers:
    """MiniMax-M3: in most layers an indexer picks blocks of keys for each query."""
    table = keys.table("sparse_attention_config")
    every = table.items("sparse_attention_freq", int, layers)
    words = keys.items("layer_types", str, layers)
    sparse = [word == "minimax_m3_sparse" for word in words] or [bool(flag) for flag in every] or [False] * layers
    if table.given and not table.flag("use_sparse_attention", True):
        sparse = [False] * layers
    for name in ("sparse_disable_index_value", "sparse_score_type", "sparse_init_block", "sparse_local_block"):
        table.get(name)
    own = table if table.given else keys
    for name in ("index_topk_blocks", "index_block_size", "index_n_heads", "index_head_dim", "index_local_blocks"):
        keys.get(name)
    names = ("sparse_topk_blocks", "sparse_block_size", "sparse_num_index_heads", "sparse_index_dim")
    if own is keys:
        names = ("index_topk_blocks", "index_block_size", "index_n_heads", "index_head_dim")
    full = grouped(keys, traits)
    if not any(sparse):
        return [[full]] * layers
    blocks, block, heads, width = (own.whole(name) for name in names)
    picked = replace(
        full, kind="block-sparse", top_k=float(blocks * block), index_heads=float(heads), index_dim=float(width)
    )
    return [[picked if flag else full] for flag in sparse]
