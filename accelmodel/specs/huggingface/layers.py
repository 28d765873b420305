"""Layers of a model by what its ``config.json`` says, each with the parts that it has: the plain decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from accelmodel.errors import brief, unknown
from accelmodel.specs.huggingface.keys import Keys
from accelmodel.specs.layer_kinds import Dense, Experts, Grouped, Latent, Part

#: parts of each layer in turn
Layers = list[list[Part]]
#: what families say of all layers: biases, norms, gates …
Traits = Mapping[str, Any]

#: words of ``layer_types`` → kind of layer
WORDS = {
    "full_attention": "full",
    "attention": "full",
    "global_attention": "full",
    "global": "full",
    "sliding_attention": "window",
    "sliding_window_attention": "window",
    "sliding": "window",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
    "mamba": "linear",
    "conv": "linear",
    "recurrent": "linear",
}
#: letters of a pattern of windows → kind of layer
_LETTERS = {"L": "window", "G": "full"}


def listed_words(keys: Keys, layers: int) -> list[str]:
    """Return the kinds of layers that a file lists, empty where it lists none."""
    listed = keys.items("layer_types", str, layers)
    for word in listed:
        if word not in WORDS:
            raise keys.fail("layer_types", str(unknown("kind of layer", word, WORDS)))
    return [WORDS[word] for word in listed]


def layer_words(keys: Keys, window: str, layers: int) -> list[str]:
    """Return the kind of each layer: what the file lists, else what the family does (``Family.window``)."""
    listed = listed_words(keys, layers)
    on = keys.get("use_sliding_window")
    if listed or on is False or keys.given.get(keys.key("sliding_window")) in (None, 0, -1):
        # windows that are switched off, or that the list has already told
        for name in ("sliding_window", "max_window_layers", "sliding_window_pattern"):
            keys.get(name)
    if listed:
        return listed
    if window == "none":
        return ["full"] * layers
    if not keys.flag("use_sliding_window", window != "last"):
        keys.get("sliding_window")
        keys.get("max_window_layers")
        return ["full"] * layers
    if keys.get("sliding_window") in (None, 0, -1):
        return ["full"] * layers
    if window == "all":
        return ["window"] * layers
    if window == "last":
        first = keys.whole("max_window_layers", 28, low=0)
        return ["window" if place >= first else "full" for place in range(layers)]
    pattern = keys.get("sliding_window_pattern") or 6
    if isinstance(pattern, str):
        if not set(pattern) <= set(_LETTERS):
            raise keys.fail("sliding_window_pattern", f"{pattern!r} is not a pattern of L (window) and G (all tokens)")
        return [_LETTERS[pattern[place % len(pattern)]] for place in range(layers)]
    step = keys.whole("sliding_window_pattern", 6)
    return ["full" if (place + 1) % step == 0 else "window" for place in range(layers)]


def heads_of(keys: Keys) -> tuple[int, int, int]:
    """Return query heads, KV heads and the width of a head."""
    heads = keys.whole("num_attention_heads")
    kv_heads = keys.whole("num_key_value_heads", heads)
    if keys.has("head_dim"):
        return heads, kv_heads, keys.whole("head_dim")
    hidden = keys.whole("hidden_size")
    if hidden % heads:
        raise keys.fail("head_dim", f"is missing, and {heads} heads do not divide hidden size {hidden}; add head_dim")
    return heads, kv_heads, hidden // heads


def grouped(keys: Keys, traits: Traits, word: str = "full", names: Mapping[str, str] | None = None) -> Grouped:
    """Return attention that keeps keys and values, of one layer; ``names`` are keys of sizes that only its kind has."""
    heads, kv_heads, head_dim = heads_of(keys)
    sizes = {"heads": heads, "kv_heads": traits.get("kv_heads", kv_heads), "head_dim": head_dim, "value_dim": 0}
    sizes["value_dim"] = keys.whole("v_head_dim", 0, low=0) if traits.get("value_dim") else 0
    for size, key in (names or {}).items():
        sizes[size] = keys.whole(key, sizes[size])
    if sizes["value_dim"] == sizes["head_dim"]:
        sizes["value_dim"] = 0
    if word in ("window", "chunked"):
        reach = keys.whole("sliding_window" if word == "window" else "attention_chunk_size")
        context = keys.whole("max_position_embeddings", 0, low=0)
        # a window as long as the longest context never bites
        word, sizes["window"] = ("full", 0) if context and reach >= context else (word, reach)
    own: dict[str, Any] = {name: bool(traits.get(name)) for name in _GROUPED}
    own["sinks"] = own["sinks"] or bool(traits.get("attention_sinks"))
    own |= {name: float(size) for name, size in sizes.items()}
    return Grouped(word, 1.0, **own)


_GROUPED = ("qkv_bias", "output_bias", "qk_norm", "whole_norm", "sinks", "output_gate", "head_gate")


def attentions(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Return grouped attention of each layer, with or without windows."""
    words = layer_words(keys, traits.get("window", "none"), layers)
    for word in words:
        if word == "linear":
            raise keys.fail("layer_types", "linear attention is not known of this family")
    made = {word: grouped(keys, traits, word, traits.get("by_kind", {}).get(word)) for word in dict.fromkeys(words)}
    return [[made[word]] for word in words]


def latents(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Return latent attention of each layer, with an indexer where the file has one."""
    return [[kind] for kind in latent_kinds(keys, traits, layers)]


def latent_kinds(keys: Keys, traits: Traits, layers: int) -> list[Latent]:
    """Return latent attention of so many layers; some may use what the indexer of a layer before has picked."""
    keys.get("qk_head_dim")
    keys.get("head_dim")
    keys.get("num_key_value_heads")
    sizes = {
        "heads": keys.whole("num_attention_heads"),
        "kv_lora_rank": keys.whole("kv_lora_rank"),
        "qk_rope_dim": keys.whole("qk_rope_head_dim", low=0),
        "qk_nope_dim": keys.whole("qk_nope_head_dim"),
        "v_head_dim": keys.whole("v_head_dim", keys.whole("hidden_size") // keys.whole("num_attention_heads")),
        "q_lora_rank": keys.whole("q_lora_rank", 0, low=0),
    }
    shape: dict[str, Any] = {name: float(size) for name, size in sizes.items()}
    shape |= {name: bool(traits.get(name)) for name in _LATENT}
    top_k = keys.whole("index_topk", 0, low=0)
    for word in keys.items("layer_types", str, layers):
        if word not in _LATENT_WORDS:
            raise keys.fail("layer_types", str(unknown("kind of layer", word, _LATENT_WORDS)))
    if not top_k:
        return [Latent("latent", 1.0, **shape)] * layers
    shape |= {
        "top_k": float(top_k),
        "index_heads": float(keys.whole("index_n_heads")),
        "index_dim": float(keys.whole("index_head_dim")),
    }
    own = Latent("sparse", 1.0, **shape)
    follows = Latent("sparse", 1.0, **shape, shared_index=True)
    return [follows if shared else own for shared in _shared_indices(keys, layers)]


_LATENT = ("qkv_bias", "output_bias", "output_gate", "head_gate", "sinks")
_LATENT_WORDS = ("full_attention", "indexed_attention", "deepseek_sparse_attention", "attention")


def _shared_indices(keys: Keys, layers: int) -> list[bool]:
    """Return which layers use what the indexer of a layer before has picked."""
    words = keys.items("indexer_types", str, layers)
    every = keys.whole("index_topk_freq", 1)
    offset = keys.whole("index_skip_topk_offset", 2, low=0)
    if not words:
        return [max(place - offset + 1, 0) % every != 0 for place in range(layers)]
    for word in words:
        if word not in ("full", "shared"):
            raise keys.fail("indexer_types", str(unknown("kind of indexer", word, ("full", "shared"))))
    return [word == "shared" for word in words]


def plain(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Return the perceptron of each layer."""
    widths = keys.each("intermediate_size", layers, traits.get("default_width"), low=1)
    return [[dense(keys, traits, width)] for width in widths]


def perceptrons(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Return the perceptron or the experts of each layer."""
    if not keys.alike("experts", 0, low=0):
        keys.get("mlp_only_layers")
        keys.get("is_moe_layer")
        wide = keys.whole("dense_width", 0, low=0)
        return [[dense(keys, traits, wide)]] * layers if wide else plain(keys, traits, layers)
    sparse = _sparse(keys, layers)
    width = keys.whole("dense_width", 0, low=0) or None
    other = None if all(sparse) else dense(keys, traits, width or keys.whole("intermediate_size"))
    routed = experts(keys, traits)
    return [[routed if chosen or other is None else other] for chosen in sparse]


def dense(keys: Keys, traits: Traits, width: int) -> Dense:
    """Return a perceptron."""
    return Dense("dense", 1.0, float(width), bool(traits.get("gated")), bool(traits.get("mlp_bias")))


def experts(keys: Keys, traits: Traits) -> Experts:
    """Return a mixture of experts, with those that all tokens use."""
    if not keys.has("experts_used"):
        raise keys.fail("experts_used", "is missing; add the number of experts that a token goes to")
    # a null is no width of its own where the class has one
    usual = None if "moe_intermediate_size" in keys.defaults else keys.whole("intermediate_size", 0, low=0) or None
    width = keys.alike("expert_width", usual)
    keys.get("intermediate_size")
    number = keys.alike("experts_shared", traits.get("experts_shared", 0), low=0)
    shared_width = width if number else 0
    if keys.has("shared_width"):
        shared_width = keys.whole("shared_width", low=0)
        number = 1 if shared_width and traits.get("shared_whole", True) else number if shared_width else 0
    return Experts(
        "experts",
        1.0,
        float(keys.alike("experts")),
        float(keys.alike("experts_used")),
        float(width),
        bool(traits.get("gated")),
        float(number),
        float(shared_width if number else 0),
        bool(traits.get("shared_gate")) and bool(number),
        bool(traits.get("router_bias")),
        bool(traits.get("expert_bias")),
        **_groups(keys),
    )


def _groups(keys: Keys) -> dict[str, float]:
    """Return the groups of experts and those out of which a token's experts are chosen, where a file limits them."""
    groups, chosen, number = (keys.get(name) for name in ("n_group", "topk_group", "experts"))
    limits = all(type(value) is int for value in (groups, chosen, number)) and 0 < chosen < groups
    if not limits or number % groups or keys.get("topk_method") == "greedy":
        return {}
    return {"groups": float(groups), "used_groups": float(chosen)}


def _sparse(keys: Keys, layers: int) -> list[bool]:
    """Return which layers have experts, by whichever of the keys a family says it with."""
    first, last = keys.whole("dense_first", 0, low=0), layers
    if keys.get("moe_layer_end_index") not in (None, -1):
        last = keys.whole("moe_layer_end_index", low=0) + 1
    only = set(keys.items("mlp_only_layers", int))
    step = keys.whole("decoder_sparse_step", 1) * keys.whole("moe_layer_interval", 1)
    step *= keys.whole("interleave_moe_layer_step", 1)
    words = keys.items("mlp_layer_types", str, layers)
    for word in words:
        if word not in ("dense", "sparse"):
            raise keys.fail("mlp_layer_types", str(unknown("kind of mlp", word, ("dense", "sparse"))))
    every = keys.get("moe_layer_freq")
    frequency = [] if every is None or isinstance(every, int) else keys.items("moe_layer_freq", int, layers)
    gap = keys.whole("moe_layer_freq", 1) if not frequency else 1
    listed = set(keys.items("moe_layers", int))
    enumerated = keys.text("moe_layers_enum")
    if enumerated:
        listed = {int(word) for word in enumerated.split(",") if word.strip().isdigit()}
    flags = keys.get("is_moe_layer")
    if flags is not None and (not isinstance(flags, list) or [type(flag) for flag in flags] != [bool] * layers):
        raise keys.fail("is_moe_layer", f"{brief(flags)} is not allowed; it must be a list of {layers} true or false")
    found = []
    for place in range(layers):
        if flags:
            found.append(flags[place])
            continue
        routed = first <= place < last and place % gap == 0 and (place + 1) % step == 0 and place not in only
        if frequency:
            routed = bool(frequency[place])
        if words:
            routed = words[place] == "sparse"
        if listed:
            routed = place in listed
        found.append(routed)
    return found


def joined(*lists: Layers) -> Layers:
    """Return layers that have the parts of several lists."""
    return [[part for each in parts for part in each] for parts in zip(*lists, strict=True)]


def counted(layers: Layers, of: tuple[type, ...]) -> tuple[Any, ...]:
    """Return the parts of some types that layers have, those alike as one with their number."""
    numbers: dict[Any, int] = {}
    for layer in layers:
        for part in layer:
            if isinstance(part, of):
                numbers[part] = numbers.get(part, 0) + 1
    return tuple(replace(part, layers=float(number)) for part, number in numbers.items())
