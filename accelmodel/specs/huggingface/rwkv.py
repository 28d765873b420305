"""Layers of RWKV: mixing over time that keeps a matrix a head, and a perceptron whose output may be gated."""

from __future__ import annotations

from accelmodel.errors import brief
from accelmodel.specs.huggingface.keys import REMEDY, Keys
from accelmodel.specs.huggingface.layers import Layers, Traits
from accelmodel.specs.layer_kinds import Dense, Linear

#: keys of training, and of a shape that nothing reads
_LEFT_OUT = (
    "num_attention_heads", "head_size_divisor", "rescale_every", "model_version",
    "context_length", "attn", "attn_mode", "value_dim", "num_heads", "norm_first", "norm_bias",
)  # fmt: skip


def _sizes(keys: Keys) -> tuple[int, int]:
    """Return the width of the stream and the heads of it."""
    hidden = keys.whole("hidden_size")
    width = keys.whole("head_size", keys.whole("head_dim", 64))
    inner = keys.whole("attention_hidden_size", hidden)
    if inner != hidden:
        raise keys.fail(
            "attention_hidden_size", f"{inner} is not hidden size {hidden}, which is not modelled; {REMEDY}"
        )
    if hidden % width:
        raise keys.fail("head_size", f"{width} does not divide hidden size {hidden}; correct one of them")
    return hidden, hidden // width


def _ranks(keys: Keys) -> tuple[int, int]:
    """RWKV-6: ranks of the projections that mix a token with the one before, and of the decay [1]."""
    large = keys.whole("hidden_size") == 4096
    return (64, 128) if large else (32, 64)


def fifth(keys: Keys, traits: Traits, layers: int) -> Layers:
    """RWKV-5 and 6: decay of each channel, fixed or from the token (arXiv 2404.05892)."""
    for name in _LEFT_OUT:
        keys.get(name)
    hidden, heads = _sizes(keys)
    width = float(hidden // heads)
    rank = float(_ranks(keys)[1]) if traits["learned_decay"] else 0.0
    part = Linear(
        "linear", 1.0, float(heads), float(heads), width, width, decay=0.0, decay_rank=rank, delta=False
    )  # fmt: skip
    return [[part]] * layers


def seventh(keys: Keys, traits: Traits, layers: int) -> Layers:
    """RWKV-7: a generalised delta rule, its rates and gate in ranks (arXiv 2503.14456)."""
    for name in _LEFT_OUT:
        keys.get(name)
    hidden, heads = _sizes(keys)
    width = float(hidden // heads)
    decay, gate = float(keys.whole("decay_low_rank_dim")), float(keys.whole("gate_low_rank_dim"))
    part = Linear(
        "linear", 1.0, float(heads), float(heads), width, width, decay_rank=decay, gate_rank=gate
    )  # fmt: skip
    return [[part]] * layers


def channels(keys: Keys, traits: Traits, layers: int) -> Layers:
    """Channel mixing: two matrices, gated by a third one up to RWKV-6."""
    hidden = keys.whole("hidden_size")
    ratio = keys.get("hidden_ratio") or 4
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0.0 < ratio < 100.0:
        raise keys.fail("hidden_ratio", f"{brief(ratio)} is not a number above 0 and below 100")
    usual = int(ratio * hidden) if traits["ranks"] else int(hidden * 3.5) // 32 * 32
    width = keys.whole("intermediate_size", usual)
    return [[Dense("dense", 1.0, float(width), gated=False, receptance=not traits["ranks"])]] * layers


def fifth_other(keys: Keys, layers: int) -> float:
    """RWKV-5: weights of the token before, decays, bonus and norm of each layer; the norm of the embeddings [1]."""
    hidden, _ = _sizes(keys)
    return float(layers * (10 * hidden - hidden // _sizes(keys)[1]) + 2 * hidden)


def sixth_other(keys: Keys, layers: int) -> float:
    """RWKV-6: those of RWKV-5, and the projections that mix a token with the one before [1]."""
    hidden, heads = _sizes(keys)
    rank, _ = _ranks(keys)
    vectors = 11 * hidden - heads - hidden // heads
    return float(layers * (vectors + 5 * 2 * hidden * rank) + 2 * hidden)


def seventh_other(keys: Keys, layers: int) -> float:
    """RWKV-7: rates of learning and of the first layer's values in ranks, and vectors of each layer [1]."""
    hidden, heads = _sizes(keys)
    rate, value = keys.whole("a_low_rank_dim"), keys.whole("v_low_rank_dim")
    # the strength of ``Linear`` is one of these ranks here
    beside = 2 * hidden * rate + 13 * hidden - heads * hidden - heads - hidden // heads
    return float(layers * beside + (layers - 1) * (2 * hidden * value + hidden) + 2 * hidden)
