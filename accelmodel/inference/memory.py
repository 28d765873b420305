"""What a device must hold: weights, KV cache, states and activations."""

from __future__ import annotations

from dataclasses import replace

from accelmodel.inference.attention import index_bits
from accelmodel.inference.columns import STREAM, Shard, ceil_div, shard
from accelmodel.inference.layers import kv_elements, mixer_rows, mlp_rows
from accelmodel.inference.mlps import active_experts
from accelmodel.inference.state_mixers import STATE
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, least, most
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.layer_kinds import (
    Compressed,
    Convolution,
    Dense,
    Experts,
    Grouped,
    Latent,
    Linear,
    Mixer,
    Mlp,
    Recurrent,
    StateSpace,
)
from accelmodel.specs.parameters import parameters
from accelmodel.specs.workload import Workload


def kv_bytes_per_token(model: LanguageModel, kv_bits: Number = 16.0) -> Number:
    """Return bytes of KV cache that one token takes over all layers [B].

    Of windowed layers too, as long as the token is inside; layers with a state keep none.

    Examples
    --------
    Llama-3-70B at 16 bit takes 320 KiB per token (Cake, arXiv 2410.03065, Table 1):

    >>> from accelmodel.specs.load import load
    >>> kv_bytes_per_token(load("model", "llama-3-70b")) / 1024
    320.0
    """
    return sum(kind.layers * (kv_elements(kind) * kv_bits / 8.0 + _index_bytes(kind)) for kind in mixers(model))


def _index_bytes(kind: Mixer) -> Number:
    """Return bytes that an indexer keeps of a token [B]."""
    if not isinstance(kind, Latent | Compressed | Grouped) or not kind.top_k:
        return 0.0
    if isinstance(kind, Latent) and kind.shared_index:
        return 0.0
    stand_for = kind.ratio if isinstance(kind, Compressed) else 1.0
    return kind.index_dim * index_bits(kind) / 8.0 / stand_for


def state_elements(kind: Mixer) -> tuple[Number, Number]:
    """Return numbers that a layer keeps of a sequence however long it is: of its state, and of its convolution [1]."""
    if isinstance(kind, Linear):
        channels = 2.0 * kind.key_heads * kind.key_dim + kind.value_heads * kind.value_dim
        return kind.value_heads * kind.key_dim * kind.value_dim, _taps(kind.convolution) * channels
    if isinstance(kind, StateSpace):
        channels = kind.inner + (0.0 if kind.step_rank else 2.0 * kind.groups * kind.state)
        return kind.inner * kind.state, _taps(kind.convolution) * channels
    if isinstance(kind, Recurrent):
        return kind.width, _taps(kind.convolution) * kind.width
    if isinstance(kind, Convolution):
        return 0.0, _taps(kind.convolution) * kind.width
    return 0.0, 0.0


def _taps(convolution: Number) -> Number:
    """Return the tokens before the newest one that a convolution sees [token]."""
    return most(convolution - 1.0, 0.0)


def state_bytes_per_sequence(model: LanguageModel) -> Number:
    """Return bytes that a sequence takes however long it is: states at 32 bit, convolutions at 16 [B].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> state_bytes_per_sequence(load("model", "llama-3-70b"))
    0.0
    """
    total: Number = 0.0
    for kind in mixers(model):
        state, taps = state_elements(kind)
        total = total + kind.layers * (state * STATE + taps * STREAM)
    return total


def kept_bytes(model: LanguageModel, context: Number, kv_bits: Number, tp: Number = 1.0) -> Number:
    """Return bytes that one sequence of ``context`` tokens keeps on one of ``tp`` tensor ranks [B].

    Windowed layers keep only their window; the latent of MLA is whole on every rank.
    """
    total: Number = 0.0
    for kind in mixers(model):
        if isinstance(kind, Latent):
            kept = context * (kv_elements(kind) * kv_bits / 8.0 + _index_bytes(kind))
        elif isinstance(kind, Compressed):
            near = least(context, kind.window) * kind.head_dim
            far = context / kind.ratio * kind.head_dim if kind.ratio else 0.0
            kept = (near + far) * kv_bits / 8.0 + context * _index_bytes(kind)
        elif isinstance(kind, Grouped):
            heads = ceil_div(kind.kv_heads, tp) / kind.kv_heads
            seen = least(context, kind.window or context)
            kept = kv_elements(kind) * heads * kv_bits / 8.0 * (kind.cross_tokens or seen) + seen * _index_bytes(kind)
        else:
            state, taps = state_elements(kind)
            kept = ceil_div(state, tp) * STATE + ceil_div(taps, tp) * STREAM
        total = total + kind.layers * kept
    return total


def memory_per_device(model: LanguageModel, work: Workload) -> dict[str, Number]:
    """Return the bytes that weights, KV cache and activations take on one device [B].

    Layers are spread over pipeline stages; sliding-window layers keep only their window.  Activations
    are the widest operator's input and output, twice (one in flight); engines add their own overhead.  Towers are cut
    over tensor ranks, as vLLM and SGLang do; what else a model has beside its layers lies whole on each device.
    """
    part = shard(model, work)
    stages = least(work.pp, model.layers)
    per_stage = ceil_div(model.layers, stages) / model.layers
    weights = layer_weights(model, work, part) * per_stage
    tables = part.vocabulary * model.hidden * (1.0 if model.tied_embeddings else 2.0) * part.at("tables").weight
    sequences = ceil_div(work.batch, work.dp)
    kept = kept_bytes(model, work.context, 8.0 * part.kv, work.tp)
    widest = _widest(model, work, part)
    activations = 2.0 * part.tokens * widest * STREAM
    beside = (model.other_parameters + model.tower_parameters / work.tp) * STREAM
    return {"weights": weights + tables + beside, "kv_cache": sequences * kept * per_stage, "activations": activations}


def _widest(model: LanguageModel, work: Workload, part: Shard) -> Number:
    """Return the numbers of a token that the widest operator of a device reads and writes [1]."""
    found: Number = 0.0
    for kind in (*mixers(model), *perceptrons(model)):
        found = most(found, _width(kind, work, part))
    return found + model.hidden


def _width(kind: Mixer | Mlp, work: Workload, part: Shard) -> Number:
    """Return the numbers of a token that a layer holds at its widest [1]."""
    if isinstance(kind, Grouped):
        return (part.cut(kind.heads) + 2.0 * part.cut(kind.kv_heads)) * kind.head_dim
    if isinstance(kind, Latent):
        return (part.cut(kind.heads) + 2.0 * part.cut(kind.heads)) * (kind.qk_nope_dim + kind.qk_rope_dim)
    if isinstance(kind, Compressed):
        return 2.0 * part.cut(kind.heads) * kind.head_dim
    if isinstance(kind, Dense):
        return 2.0 * part.cut(kind.width)
    if isinstance(kind, Experts):
        return 2.0 * most(kind.used * kind.width / work.tp, part.cut(kind.dense_width))
    if isinstance(kind, Linear):
        return 2.0 * part.cut(kind.value_heads) * (kind.key_dim + kind.value_dim)
    return 3.0 * part.cut(kind.inner if isinstance(kind, StateSpace) else kind.width)


def weight_bytes(model: LanguageModel, work: Workload) -> Number:
    """Return the bytes of all weights of a model at the precisions asked, what is no matrix at 16 bit [B].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> float(weight_bytes(load("model", "llama-3-8b"), Workload("decode", 1, 1))) / 8_030_261_248
    2.0
    """
    whole = replace(work, batch=1.0, tp=1.0, pp=1.0, ep=1.0, dp=1.0)
    part = shard(model, whole)
    tables = model.vocabulary * model.hidden * (1.0 if model.tied_embeddings else 2.0)
    narrow = layer_weights(model, whole, part) + tables * part.at("tables").weight
    ones = replace(part, classes=dict.fromkeys(part.classes, (8.0, 8.0)))
    matrices = layer_weights(model, whole, ones.at("attention")) + tables
    return narrow + (parameters(model) + model.tower_parameters - matrices) * STREAM


def layer_weights(model: LanguageModel, work: Workload, part: Shard) -> Number:
    """Weights of all layers on one device, every held expert counted [B]."""
    total: Number = 0.0
    for mixer in mixers(model):
        rows = dict(mixer_rows(model, work, part, mixer))
        total = total + mixer.layers * sum(
            columns["weight_bytes"] for columns in rows.values() if columns["kind"] == types.MATMUL
        )
    for mlp in perceptrons(model):
        rows = dict(mlp_rows(model, work, part, mlp))
        total = total + mlp.layers * sum(
            columns["weight_bytes"] * (_held_share(mlp, work, part) if name.startswith(_ROUTED) else 1.0)
            for name, columns in rows.items()
            if name != "dispatch" and columns["kind"] == types.MATMUL
        )
    return total


#: rows of the experts that a router picks
_ROUTED = ("expert_up", "expert_down")


def _held_share(kind: Mlp, work: Workload, part: Shard) -> Number:
    if not isinstance(kind, Experts):
        return 1.0
    held = kind.experts / work.ep
    return held / active_experts(part.tokens * work.dp, kind, held)
