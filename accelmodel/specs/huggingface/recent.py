"""Layers of families of 2025 and 2026 that no table describes."""

from __future__ import annotations

from dataclasses import replace

from accelmodel.errors import unknown
from accelmodel.specs.huggingface.hybrids import chosen, delta
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
from accelmodel.specs.layer_kinds import Convolution, Dense, Experts, Linear, Part


def hybrid_convolutions(keys: Keys, traits: Traits, layers: int) -> Layers:
    """LFM3: short gated convolutions between layers of attention, with or without windows."""
    short = Convolution("convolution", 1.0, float(keys.whole("hidden_size")), float(keys.whole("conv_L_cache")))
    if keys.flag("conv_bias"):
        short = replace(short, projection_bias=True)
    words = listed_words(keys, layers)
    own = {**traits, "head_gate": keys.flag("use_attention_gate", True)}
    kinds: dict[str, Part] = {"linear": short}
    kinds |= {word: grouped(keys, own, word) for word in dict.fromkeys(words) if word != "linear"}
    return chosen(keys, kinds, words)


def heads_by_layer(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Laguna: each layer may have a number of query heads of its own."""
    heads = keys.each("num_attention_heads_per_layer", layers, keys.whole("num_attention_heads"), low=1)
    every = layer_words(keys, "none", layers)
    by_head = keys.get("gating") in (None, True, "per-head")
    own = {**traits, "head_gate": by_head, "output_gate": not by_head}
    return [[replace(grouped(keys, own, word), heads=float(number))] for word, number in zip(every, heads, strict=True)]


def ling(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Ling 2.5 and 3: linear attention between layers of latent attention."""
    without = Keys(keys.path, {key: value for key, value in keys.given.items() if key != "layer_types"}, keys.defaults)
    latent = latent_kinds(without, traits, layers)[0]
    keys.used |= without.used
    if keys.has("kda_lower_bound") or keys.has("kda_safe_gate"):
        return chosen(keys, {"linear": _full_rank_delta(keys), "full": latent}, _grouped_words(keys, layers))
    return chosen(keys, {"linear": _fixed_decay(keys), "full": latent}, _grouped_words(keys, layers))


def _full_rank_delta(keys: Keys) -> Linear:
    """Return Kimi delta attention whose decay and gate have full rank."""
    heads, width = float(keys.whole("linear_num_heads")), float(keys.whole("linear_head_dim"))
    taps = float(keys.whole("short_conv_kernel_size", keys.whole("linear_conv_kernel_dim", 4)))
    return Linear("linear", 1.0, heads, heads, width, width, taps, decay=width)


def _fixed_decay(keys: Keys) -> Linear:
    """Return lightning attention with a gated output: each head forgets at a rate that is not learned."""
    for name in ("group_norm_size", "linear_backend", "linear_silu", "linear_rope"):
        keys.get(name)
    heads = float(keys.whole("num_attention_heads"))
    width = float(keys.whole("head_dim", keys.whole("hidden_size") // keys.whole("num_attention_heads")))
    return Linear("linear", 1.0, heads, heads, width, width, decay=0.0, delta=False)


def _grouped_words(keys: Keys, layers: int) -> list[str]:
    """Return the kind of each layer: attention is the last of each group, and all that fill no group."""
    every = keys.whole("layer_group_size")
    last = layers // every * every
    return listed_words(keys, layers) or [
        "linear" if (place + 1) % every and place < last else "full" for place in range(layers)
    ]


def ling_linear(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Ling and Ring linear 2.0: lightning attention between layers of grouped attention."""
    kinds = {"linear": _fixed_decay(keys), "full": grouped(keys, traits)}
    return chosen(keys, kinds, _grouped_words(keys, layers))


def parallel_experts(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Command with experts: shared ones are one perceptron, the first layers may be dense with a width of their own."""
    width = keys.whole("prefix_dense_intermediate_size", 0, low=0)
    keys.get("shared_expert_combination_strategy")
    found = perceptrons(keys, traits, layers)
    return [[replace(part, width=float(width)) if width and isinstance(part, Dense) else part] for (part,) in found]


def prefixed_windows(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Command with experts: the first, dense layers have a pattern of windows of their own."""
    first, pattern = keys.whole("dense_first", 0, low=0), keys.whole("prefix_dense_sliding_window_pattern", 1)
    if keys.has("layer_types") or not first:
        return attentions(keys, traits, layers)
    step = keys.whole("sliding_window_pattern")
    places = [(place, pattern) for place in range(first)] + [(place, step) for place in range(layers - first)]
    words = ["window" if (place + 1) % every else "full" for place, every in places]
    made = {word: grouped(keys, traits, word) for word in dict.fromkeys(words)}
    return [[made[word]] for word in words]


def two_sizes(keys: Keys, traits: Traits, layers: int) -> Layers:
    """ERNIE VL: of experts for text and for images, those for text work on tokens."""
    table = keys.given
    firsts = {
        key: table[key][0]
        for key in ("moe_intermediate_size", "moe_num_experts", "moe_layer_start_index", "moe_layer_end_index")
        if isinstance(table.get(key), list) and table[key]
    }
    own = Keys(keys.path, {**table, **firsts}, keys.defaults, keys.where)
    found = perceptrons(own, traits, layers)
    keys.used |= own.used | {"moe_capacity"}
    return found


def image_experts(keys: Keys, layers: int) -> float:
    """ERNIE VL: parameters of the experts for images, with their routers [1]."""
    widths = keys.items("expert_width", int)
    numbers = keys.get("experts")
    if len(widths) < 2:
        return 0.0
    number = numbers[1] if isinstance(numbers, list) and len(numbers) > 1 else numbers
    if isinstance(number, bool) or not isinstance(number, int):
        raise keys.fail("experts", "is not a whole number, or one for text and one for images")
    hidden = keys.whole("hidden_size")
    sparse = sum(isinstance(part, Experts) for (part,) in two_sizes(keys, {"gated": True, "router_bias": True}, layers))
    return float(sparse * number * (3 * hidden * widths[1] + hidden + 1))


def residual(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Arctic: beside the experts stands a perceptron as wide as the stream."""
    every = keys.whole("moe_layer_frequency", 1)
    routed = replace(experts(keys, traits))
    if keys.flag("parallel_attn_mlp_res", True):
        keys.get("use_residual")
        routed = replace(routed, dense_width=float(keys.whole("hidden_size")))
    plain = dense(keys, traits, keys.whole("intermediate_size"))
    return [[routed if (place + 1) % every == 0 else plain] for place in range(layers)]


def whole_or_delta(keys: Keys, traits: Traits, layers: int) -> Layers:
    """OLMo hybrid: gated DeltaNet between layers of attention without a gate."""
    linear = delta(keys)
    for name in ("linear_use_gate", "linear_allow_neg_eigval", "linear_a_log_min", "linear_a_log_max"):
        keys.get(name)
    for name in ("linear_dt_min", "linear_dt_max", "linear_dt_init_floor"):
        keys.get(name)
    words = listed_words(keys, layers) or ["full" if place % 4 == 3 else "linear" for place in range(layers)]
    return chosen(keys, {"linear": linear, "full": grouped(keys, traits)}, words)


def adapters(keys: Keys, layers: int) -> float:
    """Phi-4-multimodal: low-rank adapters of all matrices, one set for images and one for speech [1]."""
    hidden, heads = keys.whole("hidden_size"), keys.whole("num_attention_heads")
    width = hidden // heads
    both = (heads + 2 * keys.whole("num_key_value_heads")) * width
    sides = (hidden + both) + (heads * width + hidden) + 3 * keys.whole("intermediate_size") + 2 * hidden
    ranks = [keys.table(name, {"r": 0}) for name in ("vision_lora", "speech_lora")]
    for table in ranks:
        for name in ("lora_alpha", "layer", "dp"):
            table.get(name)
    return float(layers * sides * sum(table.whole("r", low=0) for table in ranks))


def copies(keys: Keys, layers: int) -> float:
    """Hunyuan 4: what reads and writes the copies of a residual stream around each part of a layer [1]."""
    number, hidden = keys.whole("hc_mult"), keys.whole("hidden_size")
    around = 2 * number * number * hidden + 2 * number + 2
    return float(layers * 2 * around + number * number * hidden + number + 1)


def own_keys(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Mistral Large 4: latent attention with an indexer; a layer that read the keys of another is not modelled."""
    sources = keys.items("kv_source_layers", int, layers if keys.has("kv_source_layers") else 0)
    if sources and sources != list(range(layers)):
        raise keys.fail("kv_source_layers", f"layers that read the keys of another are not modelled; {REMEDY}")
    return latents(keys, traits, layers)


def scaled_queries(keys: Keys, layers: int) -> float:
    """Mistral Large 4: a norm of what the indexer reads, and scales of the scores of each head [1]."""
    heads = keys.whole("num_attention_heads") + keys.whole("index_n_heads")
    return float(layers * 2 * (keys.whole("hidden_size") + heads))


def delta_or_windows(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Lara: gated DeltaNet between layers of attention, with or without windows."""
    words = listed_words(keys, layers)
    if not words:
        raise keys.fail("layer_types", "is missing; add a list of linear_attention, sliding_attention, full_attention")
    kinds: dict[str, Part] = {"linear": delta(keys)}
    kinds |= {word: grouped(keys, traits, word) for word in dict.fromkeys(words) if word != "linear"}
    return chosen(keys, kinds, words)


def narrow_experts(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Muse Spark: routed experts work on a projection of the stream."""
    width = float(keys.whole("moe_hidden_size"))
    keys.get("intermediate_size")
    found = perceptrons(keys, traits, layers)
    return [[replace(part, latent=width) if isinstance(part, Experts) else part] for (part,) in found]


def residual_gates(keys: Keys, layers: int) -> float:
    """Muse Spark: two gates of the stream a layer, and norms of what the experts work on, less the fourth norm [1]."""
    return float(layers * (2 * keys.whole("hidden_size") + 2 * keys.whole("moe_hidden_size")))


def alternating(keys: Keys, traits: Traits, layers: int) -> Layers:
    """GPT-Neo: layers that see all tokens and layers with a window, as a list of patterns says."""
    words: list[str] = []
    for entry in keys.get("attention_types") or [[["global", "local"], layers // 2]]:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], list):
            raise keys.fail("attention_types", "must be a list of patterns, each with how often it stands")
        words += entry[0] * entry[1]
    for word in words:
        if word not in _GPT_NEO:
            raise keys.fail("attention_types", str(unknown("kind of attention", word, _GPT_NEO)))
    if len(words) != layers:
        raise keys.fail("attention_types", f"tells of {len(words)} layers, num_layers of {layers}")
    keys.get("attention_layers")
    own = {"num_attention_heads": keys.whole("num_heads"), "sliding_window": keys.whole("window_size")}
    usual = Keys(keys.path, {**keys.given, **own}, keys.defaults)
    found = {word: grouped(usual, traits, _GPT_NEO[word]) for word in dict.fromkeys(words)}
    return [[found[word]] for word in words]


_GPT_NEO = {"global": "full", "local": "window"}


def further_rows(keys: Keys, layers: int) -> float:
    """Molmo 2: rows of the table of embeddings that no token of text has [1]."""
    return float(keys.whole("additional_vocab_size", 0, low=0) * keys.whole("hidden_size"))
