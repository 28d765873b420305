"""How many parameters a language model has, from its shapes alone.

Counted are matrices, biases, norms, gates, attention sinks and learned positions.  Not counted: multi-token
prediction modules (14 B of the 685 B that the files of DeepSeek-V3 hold), vision towers, buffers of RoPE.
"""

from __future__ import annotations

from accelmodel.laws.numeric import Number
from accelmodel.specs.language_model import LanguageModel


def attention_parameters(model: LanguageModel) -> Number:
    """Return the parameters of the attention of one layer, without its norm before or after [1].

    Grouped-query attention, or multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).
    """
    if model.kv_lora_rank:
        return _latent_attention(model)
    width = model.head_dim
    query, kv = model.heads * width, 2.0 * model.kv_heads * width
    matrices = model.hidden * (query + kv) + query * model.hidden
    biases = model.qkv_bias * (query + kv) + model.output_bias * model.hidden
    return matrices + biases + model.qk_norm * 2.0 * width + model.attention_sinks * model.heads


def _latent_attention(model: LanguageModel) -> Number:
    """Down- and up-projections with the norms between them; without ``q_lora_rank`` queries are one matrix."""
    rank, latent, rope = model.q_lora_rank, model.kv_lora_rank, model.qk_rope_dim
    query = model.heads * (model.qk_nope_dim + rope)
    queries = model.hidden * rank + rank + rank * query if rank else model.hidden * query
    down = model.hidden * (latent + rope) + latent
    up = latent * model.heads * (model.qk_nope_dim + model.v_head_dim)
    output = model.heads * model.v_head_dim * model.hidden
    biases = model.qkv_bias * (rank + latent + rope) + model.output_bias * model.hidden
    return queries + down + up + output + biases


def _perceptron(model: LanguageModel, width: Number, bias: bool) -> Number:
    branches = 2.0 if model.gated else 1.0
    return (branches + 1.0) * model.hidden * width + bias * (branches * width + model.hidden)


def dense_mlp_parameters(model: LanguageModel) -> Number:
    """Return the parameters of the mlp of one dense layer, without its norm [1]."""
    return _perceptron(model, model.ffn, model.mlp_bias)


def moe_parameters(model: LanguageModel, experts: Number | None = None) -> Number:
    """Return the parameters of one mixture-of-experts layer: router, routed and shared experts [1].

    Parameters
    ----------
    model : LanguageModel
        A model with experts.
    experts : float, optional
        Routed experts to count; all of them if not given [1].
    """
    counted = model.experts if experts is None else experts
    router = model.hidden * model.experts + model.router_bias * model.experts
    routed = counted * _perceptron(model, model.expert_ffn, model.expert_bias)
    shared = model.shared_experts * _perceptron(model, model.shared_expert_ffn, model.expert_bias)
    return router + routed + shared


def _norm(model: LanguageModel) -> Number:
    return model.hidden * (2.0 if model.norm == "layer" else 1.0)


def _layers(model: LanguageModel, experts: Number) -> Number:
    """Return the parameters of all layers and of the norm after the last one."""
    dense = model.dense_layers if model.experts else model.layers
    sparse = (model.layers - dense) * moe_parameters(model, experts) if model.experts else 0.0
    norms = (model.norms_per_layer * model.layers + 1.0) * _norm(model)
    return model.layers * attention_parameters(model) + dense * dense_mlp_parameters(model) + sparse + norms


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
    return tables + positions + _layers(model, model.experts)


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
    return model.vocabulary * model.hidden + _layers(model, model.experts_per_token)
