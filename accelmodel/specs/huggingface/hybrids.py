"""Layers of models that mix attention with linear attention, state spaces, recurrences or convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from accelmodel.errors import SpecError, unknown
from accelmodel.specs.huggingface.keys import Keys
from accelmodel.specs.huggingface.layers import (
    Layers,
    Traits,
    dense,
    experts,
    grouped,
    latent_kinds,
    listed_words,
    perceptrons,
)
from accelmodel.specs.layer_kinds import Convolution, Dense, Experts, Linear, Part, Recurrent, StateSpace


def delta(keys: Keys) -> Linear:
    """Return gated DeltaNet with a gated output (arXiv 2412.06464)."""
    return Linear(
        "linear",
        1.0,
        float(keys.whole("linear_num_key_heads")),
        float(keys.whole("linear_num_value_heads")),
        float(keys.whole("linear_key_head_dim")),
        float(keys.whole("linear_value_head_dim")),
        float(keys.whole("linear_conv_kernel_dim")),
    )


def gated_delta(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Gated DeltaNet between layers of gated attention: Qwen3-Next, Qwen3.5."""
    linear = delta(keys)
    gated = {**traits, "output_gate": keys.flag("attn_output_gate", True)}
    every = keys.whole("full_attention_interval", 4)
    words = listed_words(keys, layers) or ["linear" if (place + 1) % every else "full" for place in range(layers)]
    return chosen(keys, {"linear": linear, "full": grouped(keys, gated)}, words)


def chosen(keys: Keys, kinds: dict[str, Part], words: list[str]) -> Layers:
    """Return the layers that words stand for."""
    for word in words:
        if word not in kinds:
            raise keys.fail("layer_types", f"a layer of kind {word} is not known of this family")
    return [[kinds[word]] for word in words]


def kimi_delta(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Kimi delta attention between layers of latent attention (arXiv 2510.26692)."""
    table = keys.table("linear_attn_config")
    own = table if table.given else keys
    names = ("num_heads", "head_dim", "short_conv_kernel_size")
    if own is keys:
        names = ("linear_num_heads", "linear_head_dim", "linear_conv_kernel_dim")
    heads, width, taps = (float(own.whole(name)) for name in names)
    gate_rank = 0.0 if table.flag("use_full_rank_gate") else width
    linear = Linear("linear", 1.0, heads, heads, width, width, taps, decay_rank=width, gate_rank=gate_rank)
    words = listed_words(keys, layers)
    if not words:
        full = set(table.items("full_attn_layers", int))
        delta = set(table.items("kda_layers", int))
        words = ["full" if place + 1 in full or place + 1 not in delta else "linear" for place in range(layers)]
        if len(full) + len(delta) != layers:
            raise table.fail("full_attn_layers", f"and kda_layers tell of {len(full) + len(delta)} of {layers} layers")
    without = Keys(keys.path, {key: value for key, value in keys.given.items() if key != "layer_types"}, keys.defaults)
    gated = {**traits, "output_gate": keys.flag("mla_use_output_gate")}
    latent = latent_kinds(without, gated, layers)[0]
    keys.used |= without.used
    keys.get("mla_use_nope")
    return chosen(keys, {"linear": linear, "full": latent}, words)


def lightning(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Lightning attention between layers of attention (MiniMax-01, arXiv 2501.08313): no decay is learned."""
    full = grouped(keys, traits)
    linear = Linear(
        "linear", 1.0, full.heads, full.heads, full.head_dim, full.head_dim, decay=0.0, delta=False
    )  # fmt: skip
    codes = keys.items("attn_type_list", int, layers)
    words = listed_words(keys, layers) or [("linear", "full")[code == 1] for code in codes]
    if not words:
        words = ["full" if place % 2 else "linear" for place in range(layers)]
    keys.get("block_size")
    return chosen(keys, {"linear": linear, "full": full}, words)


def mamba2(keys: Keys, names: tuple[str, ...], inner: int = 0, gated_norm: bool = True) -> StateSpace:
    """Return a Mamba-2 layer; names are keys of heads, width of a head, state, groups, taps and bias."""
    heads, width, state, groups, taps, bias = names
    if not inner:
        inner = keys.whole(heads) * keys.whole(width)
    return StateSpace(
        "state-space",
        1.0,
        float(inner),
        float(keys.whole(state)),
        float(keys.whole(heads)),
        float(keys.whole(groups)),
        float(keys.whole(taps)),
        projection_bias=keys.flag(bias),
        gated_norm=gated_norm,
    )


def same_inner(keys: Keys, width: str, heads: str, inner: int) -> None:
    """Refuse a width of heads that, times their number, is not the inner width."""
    given = keys.get(width)
    if isinstance(given, int) and given * keys.whole(heads) != inner:
        raise keys.fail(width, f"{given} times {keys.whole(heads)} heads is not the inner width {inner}; correct one")


NEMOTRON = ("mamba_num_heads", "mamba_head_dim", "ssm_state_size", "n_groups", "conv_kernel", "mamba_proj_bias")
MAMBA = ("mamba_n_heads", "mamba_d_head", "mamba_d_state", "mamba_n_groups", "mamba_d_conv", "mamba_proj_bias")
#: letters and words of Nemotron-H's layers → what they have
_NEMOTRON = {
    "M": "mamba", "*": "attention", "-": "mlp", "E": "moe",
    "mamba": "mamba", "attention": "attention", "mlp": "mlp", "moe": "moe", "linear_attention": "mamba",
    "full_attention": "attention",
}  # fmt: skip


def nemotron_words(keys: Keys) -> list[str]:
    """Return what each layer of Nemotron-H has: one part each."""
    pattern = keys.text("hybrid_override_pattern")
    found = keys.items("layer_types", str) or list(pattern)
    for word in found:
        if word not in _NEMOTRON:
            raise keys.fail("hybrid_override_pattern", str(unknown("layer", word, _NEMOTRON)))
    number = keys.whole("num_hidden_layers", len(found) or None)
    if len(found) != number:
        raise keys.fail("hybrid_override_pattern", f"tells of {len(found)} layers, num_hidden_layers of {number}")
    return [_NEMOTRON[word] for word in found]


def nemotron_h(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Nemotron-H, Nemotron 3: a layer is a state space, attention, a perceptron or experts."""
    words = nemotron_words(keys)
    for key in ("expand", "use_conv_bias", "use_bias", "intermediate_size", "time_step_rank", "sliding_window"):
        keys.get(key)
    for key in ("moe_intermediate_size", "moe_shared_expert_intermediate_size", "n_routed_experts", "moe_latent_size"):
        keys.get(key)
    builders: dict[str, Callable[[], Part]] = {
        "mamba": lambda: mamba2(keys, NEMOTRON),
        "attention": lambda: grouped(keys, traits),
        "mlp": lambda: dense(keys, traits, keys.whole("intermediate_size")),
        "moe": lambda: _latent_experts(keys, traits),
    }
    made = {word: builders[word]() for word in dict.fromkeys(words)}
    keys.used |= {"num_experts_per_tok", "n_shared_experts"}
    return [[made[word]] for word in words]


def _latent_experts(keys: Keys, traits: Traits) -> Part:
    return replace(experts(keys, traits), latent=float(keys.whole("moe_latent_size", 0, low=0)))


def kimi_experts(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Kimi-K3: routed experts work on a narrower projection of the stream."""
    width = float(keys.whole("routed_expert_hidden_size", 0, low=0))
    keys.get("latent_moe_use_norm")
    found = perceptrons(keys, traits, layers)
    return [[replace(part, latent=width) if isinstance(part, Experts) else part] for (part,) in found]


def kimi_other(keys: Keys, layers: int) -> float:
    """Kimi-K3: norms of what the experts work on, and a query for each sum over blocks of residuals [1]."""
    width = keys.whole("routed_expert_hidden_size", 0, low=0) if keys.flag("latent_moe_use_norm") else 0
    blocks = 2 * keys.whole("hidden_size") if keys.whole("attn_res_block_size", 0, low=0) else 0
    return float(layers * (width + blocks))


def granite_hybrid(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Granite 4 H and Bamba: Mamba-2 or attention, and a perceptron or experts with a shared one."""
    inner = keys.whole("mamba_expand") * keys.whole("hidden_size")
    same_inner(keys, "mamba_d_head", "mamba_n_heads", inner)
    keys.get("mamba_conv_bias")
    space = mamba2(keys, MAMBA, inner)
    indices = set(keys.items("attn_layer_indices", int))
    words = listed_words(keys, layers)
    if not words:
        words = ["full" if place in indices else "linear" for place in range(layers)]
    return chosen(keys, {"linear": space, "full": grouped(keys, traits)}, words)


def granite_mlps(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Experts with a shared one, which alone is the perceptron where there are no experts."""
    shared = keys.whole("shared_intermediate_size", 0, low=0)
    if keys.whole("experts", 0, low=0):
        return perceptrons(keys, traits, layers)
    keys.get("experts_used")
    keys.get("intermediate_size")
    return [[dense(keys, traits, shared)]] * layers


def mamba1(keys: Keys, names: tuple[str, ...]) -> StateSpace:
    """Return a Mamba layer; names are keys of the state, taps, expansion, rank and bias."""
    state, taps, expand, rank, bias = names
    hidden = keys.whole("hidden_size")
    given = keys.get(rank)
    keys.get(expand)
    steps = math.ceil(hidden / 16) if given in (None, "auto") else keys.whole(rank)
    inner = keys.whole("intermediate_size", 0, low=0) if rank == "time_step_rank" else 0
    return StateSpace(
        "state-space",
        1.0,
        float(inner or keys.whole(expand) * hidden),
        float(keys.whole(state)),
        convolution=float(keys.whole(taps)),
        step_rank=float(steps),
        projection_bias=keys.flag(bias),
        gated_norm=False,
    )


def jamba(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Jamba: attention each so many layers, Mamba between, experts each so many (arXiv 2403.19887)."""
    space = mamba1(keys, ("mamba_d_state", "mamba_d_conv", "mamba_expand", "mamba_dt_rank", "mamba_proj_bias"))
    keys.get("mamba_conv_bias")
    attention = grouped(keys, traits)
    plain = dense(keys, traits, keys.whole("intermediate_size"))
    routed = experts(keys, traits) if keys.whole("experts", 0, low=0) > 1 else plain
    keys.get("experts_used")
    found: Layers = []
    for place in range(layers):
        full = (place - keys.whole("attn_layer_offset", low=0)) % keys.whole("attn_layer_period") == 0
        sparse = (place - keys.whole("expert_layer_offset", low=0)) % keys.whole("expert_layer_period") == 0
        found.append([attention if full else space, routed if sparse else plain])
    return found


def falcon_h1(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Falcon-H1: attention and Mamba-2 side by side in every layer."""
    keys.get("mamba_expand")
    keys.get("mamba_conv_bias")
    inner = keys.whole("mamba_d_ssm", keys.whole("mamba_expand") * keys.whole("hidden_size"))
    same_inner(keys, "mamba_d_head", "mamba_n_heads", inner)
    space = mamba2(keys, MAMBA, inner, keys.flag("mamba_rms_norm"))
    keys.get("projectors_bias")
    return [[space, grouped(keys, traits)] for _ in range(layers)]


def pure_mamba(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Mamba and Falcon-Mamba: one part a layer, and no other."""
    keys.get("use_conv_bias")
    return [[mamba1(keys, ("state_size", "conv_kernel", "expand", "time_step_rank", "use_bias"))]] * layers


def pure_mamba2(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Mamba-2: one part a layer, and no other."""
    for key in ("use_conv_bias", "time_step_rank", "intermediate_size", "head_dim"):
        keys.get(key)
    inner = keys.whole("expand") * keys.whole("hidden_size")
    return [
        [mamba2(keys, ("num_heads", "head_dim", "state_size", "n_groups", "conv_kernel", "use_bias"), inner)]
    ] * layers


def convolutions(keys: Keys, traits: Traits, layers: int) -> Layers:
    """LFM2: short gated convolutions between layers of attention."""
    hidden = float(keys.whole("hidden_size"))
    short = Convolution(
        "convolution", 1.0, hidden, float(keys.whole("conv_L_cache")), keys.flag("conv_bias")
    )  # fmt: skip
    full = set(keys.items("full_attn_idxs", int))
    words = listed_words(keys, layers)
    if not words and not full:
        raise keys.fail("layer_types", "is missing; add a list of conv and full_attention, one for each layer")
    words = words or ["full" if place in full else "linear" for place in range(layers)]
    for key in ("conv_dim", "conv_dim_out", "conv_use_xavier_init", "block_dim", "block_use_xavier_init"):
        keys.get(key)
    for key in ("block_mlp_init_scale", "block_out_init_scale", "block_norm_eps", "block_use_swiglu", "num_heads"):
        keys.get(key)
    return chosen(keys, {"linear": short, "full": grouped(keys, traits)}, words)


def lfm2_mlps(keys: Keys, traits: Traits, layers: int) -> Layers:
    """LFM2: the width that a file gives is two thirds cut and rounded up, as its block says."""
    if keys.whole("experts", 0, low=0):
        return perceptrons(keys, traits, layers)
    width = keys.whole("block_ff_dim", keys.whole("intermediate_size", 0, low=0) or None)
    factor, multiple = keys.get("block_ffn_dim_multiplier"), keys.whole("block_multiple_of")
    if keys.flag("block_auto_adjust_ff_dim", True):
        scale = 1.0 if factor is None else factor
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0.0 < scale < 100.0:
            raise keys.fail("block_ffn_dim_multiplier", f"{scale!r} is not a number above 0 and below 100")
        width = multiple * math.ceil(int(scale * int(2 * width / 3)) / multiple)
    return [[dense(keys, traits, width)]] * layers


def griffin(keys: Keys, traits: Traits, layers: int) -> Layers:
    """RecurrentGemma: gated linear recurrences and windowed attention in turn (arXiv 2402.19427)."""
    width = float(keys.whole("lru_width", keys.whole("hidden_size")))
    heads = float(keys.whole("num_attention_heads"))
    recurrent = Recurrent("recurrent", 1.0, width, heads, float(keys.whole("conv1d_width")))
    pattern = [str(word) for word in keys.items("block_types", str)] or ["recurrent", "recurrent", "attention"]
    listed = keys.items("layer_types", str, layers)
    words = listed or [pattern[place % len(pattern)] for place in range(layers)]
    kinds: dict[str, Part] = {"recurrent": recurrent, "attention": grouped(keys, traits, "window")}
    for word in words:
        if word not in kinds:
            raise keys.fail("block_types", str(unknown("kind of layer", word, kinds)))
    return [[kinds[word]] for word in words]


def half_wide(keys: Keys, traits: Traits, layers: int) -> Layers:
    """RecurrentGemma: both halves of ``intermediate_size`` are one gated perceptron."""
    return [[Dense("dense", 1.0, float(keys.whole("intermediate_size") // 2), True, True)]] * layers


def nothing(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Layers that have no perceptron of their own."""
    return [[] for _ in range(layers)]


def refused(reason: str) -> Callable[[Keys, Traits, int], Layers]:
    """Return the reader of a family that is known and not modelled."""

    def refuse(keys: Keys, traits: Traits, layers: int) -> Layers:
        raise SpecError(f"{keys.path}: {keys.where}model_type: {keys.text('model_type')!r} has {reason}, not modelled")

    return refuse
