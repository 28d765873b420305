"""How many parameters a language model has, from its shapes alone.

Counted are matrices, biases, norms, gates, attention sinks and learned positions.  Not counted: multi-token
prediction modules (14 B of the 685 B that the files of DeepSeek-V3 hold), vision towers, buffers of RoPE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accelmodel.laws.numeric import Number
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
    Part,
    Recurrent,
    StateSpace,
)


def mixer_parameters(kind: Mixer, hidden: Number) -> Number:
    """Return the parameters of what mixes tokens in one layer, without its norm before or after [1]."""
    return _MIXERS[type(kind)](kind, hidden)


def _grouped(kind: Grouped, hidden: Number) -> Number:
    """Matrices of queries, keys, values and output, their biases, norms and sinks."""
    value = kind.value_dim or kind.head_dim
    query, gate = kind.heads * kind.head_dim, kind.heads * kind.head_dim * kind.output_gate
    kv: Number = 0.0
    if not kind.shared_kv:
        kv = kind.kv_heads * (kind.head_dim + (0.0 if kind.keys_are_values else value))
    rank, inputs = kind.q_lora_rank, kind.inputs or hidden
    queries = inputs * rank + rank + rank * query if rank else inputs * query
    matrices = queries + inputs * (gate + kv) + kind.heads * value * hidden
    biases = kind.qkv_bias * (query + kv) + kind.output_bias * hidden
    norms = kind.qk_norm * 2.0 * kind.head_dim
    if kind.whole_norm:
        norms = query + kind.kv_heads * kind.head_dim
    index: Number = 0.0
    if kind.top_k:
        index = hidden * kind.index_dim * (kind.index_heads + 1.0) + 2.0 * kind.index_dim
    return index + matrices + biases + norms + kind.sinks * kind.heads + kind.head_gate * hidden * kind.heads


def _latent(kind: Latent, hidden: Number) -> Number:
    """Down- and up-projections with the norms between them; without ``q_lora_rank`` queries are one matrix.

    DeepSeek-V2, arXiv 2405.04434, section 2.1; an indexer has its own queries, keys with a norm, and weights.
    """
    rank, latent, rope = kind.q_lora_rank, kind.kv_lora_rank, kind.qk_rope_dim
    query = kind.heads * (kind.qk_nope_dim + rope)
    queries = hidden * rank + rank + rank * query if rank else hidden * query
    down = hidden * (latent + rope) + latent
    up = latent * kind.heads * (kind.qk_nope_dim + kind.v_head_dim)
    output = kind.heads * kind.v_head_dim * hidden
    biases = kind.qkv_bias * (rank + latent + rope) + kind.output_bias * hidden
    index: Number = 0.0
    if kind.top_k and not kind.shared_index:
        index = kind.index_heads * kind.index_dim * (rank or hidden) + hidden * (kind.index_dim + kind.index_heads)
        index = index + 2.0 * kind.index_dim
    gates = kind.output_gate * output + kind.head_gate * hidden * kind.heads + kind.sinks * kind.heads
    return queries + down + up + output + biases + index + gates


def _compressed(kind: Compressed, hidden: Number) -> Number:
    """Queries through a rank, one key, what compresses keys with places and norm, output in groups, sinks.

    Where an indexer picks keys, keys are compressed in two overlapping series.
    """
    rank, width = kind.q_lora_rank, kind.head_dim
    queries = hidden * rank + rank + rank * kind.heads * width
    output = kind.heads * width * kind.output_rank + kind.groups * kind.output_rank * hidden
    total = queries + hidden * width + width + output + kind.sinks * kind.heads
    if kind.ratio:
        total = total + _compressor(kind, hidden, width)
    if kind.top_k:
        index = rank * kind.index_heads * kind.index_dim + hidden * kind.index_heads
        total = total + index + _compressor(kind, hidden, kind.index_dim)
    return total


def _compressor(kind: Compressed, hidden: Number, width: Number) -> Number:
    """Projections of keys and their weights, a number for each place of a group, and a norm."""
    series = 2.0 if kind.top_k else 1.0
    return 2.0 * hidden * series * width + kind.ratio * series * width + width


def _linear(kind: Linear, hidden: Number) -> Number:
    """Projections of keys, queries and values, of decay, strength and gate, convolution, norm and output."""
    keys, values = kind.key_heads * kind.key_dim, kind.value_heads * kind.value_dim
    channels = 2.0 * keys + values
    decay: Number = hidden * kind.value_heads * kind.decay + 2.0 * kind.value_heads * (kind.decay > 0.0)
    if kind.decay_rank:
        decay = kind.decay_rank * (hidden + kind.value_heads * kind.key_dim)
        decay = decay + kind.value_heads * (kind.key_dim + 1.0)
    strength = hidden * kind.value_heads * kind.delta
    gate = kind.gate_rank * (hidden + values) if kind.gate_rank else hidden * values * kind.output_gate
    return hidden * channels + kind.convolution * channels + decay + strength + gate + kind.value_dim + values * hidden


def _state_space(kind: StateSpace, hidden: Number) -> Number:
    """Mamba-2's one projection, or Mamba's with steps of a rank and rates of each channel; convolution and output."""
    output = kind.inner * hidden + kind.projection_bias * hidden
    if kind.step_rank:
        step = kind.inner * (kind.step_rank + 2.0 * kind.state) + kind.step_rank * kind.inner + kind.inner
        rates = kind.inner * kind.state + kind.inner
        bias = kind.projection_bias * 2.0 * kind.inner
        return hidden * 2.0 * kind.inner + bias + kind.inner * (kind.convolution + 1.0) + step + rates + output
    shared = 2.0 * kind.groups * kind.state
    projected = 2.0 * kind.inner + shared + kind.heads
    convolution = (kind.inner + shared) * (kind.convolution + 1.0)
    norm = kind.inner * kind.gated_norm
    return hidden * projected + kind.projection_bias * projected + convolution + 3.0 * kind.heads + norm + output


def _recurrent(kind: Recurrent, hidden: Number) -> Number:
    """Two projections with biases, convolution, gates in blocks, rates and output."""
    block = kind.width / kind.blocks
    gates = 2.0 * (kind.width * block + kind.width) + kind.width
    return (
        2.0 * (hidden + 1.0) * kind.width + kind.width * (kind.convolution + 1.0) + gates + (kind.width + 1.0) * hidden
    )


def _convolution(kind: Convolution, hidden: Number) -> Number:
    """Projections in and out, and the taps."""
    biases = kind.projection_bias * (3.0 * kind.width + hidden)
    return hidden * 3.0 * kind.width + kind.width * kind.convolution + kind.width * hidden + biases


_MIXERS: dict[type[Part], Callable[[Any, Number], Number]] = {
    Grouped: _grouped,
    Latent: _latent,
    Compressed: _compressed,
    Linear: _linear,
    StateSpace: _state_space,
    Recurrent: _recurrent,
    Convolution: _convolution,
}


def _perceptron(hidden: Number, width: Number, gated: bool, bias: bool) -> Number:
    branches = 2.0 if gated else 1.0
    return (branches + 1.0) * hidden * width + bias * (branches * width + hidden)


def mlp_parameters(kind: Mlp, hidden: Number, experts: Number | None = None) -> Number:
    """Return the parameters of what works on each token in one layer, without its norm [1].

    Parameters
    ----------
    kind : Dense or Experts
    hidden : float
        Width of the stream [1].
    experts : float, optional
        Routed experts to count; all of them if not given [1].
    """
    if isinstance(kind, Dense):
        return _perceptron(hidden, kind.width, kind.gated, kind.bias) + kind.receptance * hidden * hidden
    counted = kind.experts if experts is None else experts
    router = hidden * kind.experts + kind.router_bias * kind.experts
    inside = kind.latent or hidden
    routed = counted * _perceptron(inside, kind.width, kind.gated, kind.bias)
    shared = kind.shared * _perceptron(hidden, kind.shared_width, kind.gated, kind.bias)
    dense = _perceptron(hidden, kind.dense_width, kind.gated, kind.bias) if kind.dense_width else 0.0
    return router + routed + shared + dense + kind.shared_gate * hidden + 2.0 * hidden * kind.latent


def _norm(model: LanguageModel) -> Number:
    return model.hidden * (2.0 if model.norm == "layer" else 1.0)


def _layers(model: LanguageModel, used: bool) -> Number:
    """Return the parameters of all layers and of the norm after the last one; of routed experts all, or those used."""
    total = (model.norms_per_layer * model.layers + 1.0) * _norm(model)
    for mixer in mixers(model):
        total = total + mixer.held * mixer_parameters(mixer, model.hidden)
    for mlp in perceptrons(model):
        experts = mlp.used if used and isinstance(mlp, Experts) else None
        total = total + mlp.held * mlp_parameters(mlp, model.hidden, experts)
    return total


def parameters(model: LanguageModel) -> Number:
    """Return the number of parameters of a model [1].

    Parameters
    ----------
    model : LanguageModel
        Any shape; a labelled axis in it becomes an axis of the result.

    Returns
    -------
    float
        Parameters of the main model, tied embeddings counted once.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> f"{parameters(load('model', 'llama-3-8b')):,.0f}"
    '8,030,261,248'
    """
    tables = (1.0 if model.tied_embeddings else 2.0) * model.vocabulary * model.hidden
    positions = (model.learned_positions + model.position_offset) * model.hidden
    return tables + positions + model.other_parameters + _layers(model, used=False)


def active_parameters(model: LanguageModel) -> Number:
    """Return the number of parameters that take part in one token [1].

    Convention of the gpt-oss model card (arXiv 2508.10925, Table 1): of the routed experts those used, and
    of the embeddings only the output table, since the input table and learned positions are looked up.
    Counts published with both tables are larger, for Mixtral 8x7B 12.9 B instead of 12.7 B.

    Parameters
    ----------
    model : LanguageModel
        Any shape.

    Returns
    -------
    float
        Parameters used per token.
    """
    return model.vocabulary * model.hidden + _layers(model, used=True)
