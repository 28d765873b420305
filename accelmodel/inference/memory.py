"""What a device must hold: weights, KV cache and activations."""

from __future__ import annotations

from accelmodel.inference.layers import (
    HIGH_BITS,
    STREAM,
    Shard,
    active_experts,
    attention_rows,
    ceil_div,
    layer_kinds,
    mlp_rows,
    shard,
)
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, least, most
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Workload


def kv_bytes_per_token(model: LanguageModel, kv_bits: Number = 16.0) -> Number:
    """Return bytes of KV cache that one token takes over all layers [B].

    Examples
    --------
    Llama-3-70B at 16 bit takes 320 KiB per token (Cake, arXiv 2410.03065, Table 1):

    >>> from accelmodel.specs.load import load
    >>> kv_bytes_per_token(load("model", "llama-3-70b")) / 1024
    320.0
    """
    if model.kv_lora_rank:
        return model.layers * (model.kv_lora_rank + model.qk_rope_dim) * kv_bits / 8.0
    return model.layers * 2.0 * model.kv_heads * model.head_dim * kv_bits / 8.0


def memory_per_device(model: LanguageModel, work: Workload) -> dict[str, Number]:
    """Return the bytes that weights, KV cache and activations take on one device [B].

    Layers are spread over pipeline stages; sliding-window layers keep only their window.  Activations
    are the widest operator's input and output, twice (one in flight); engines add their own overhead.
    """
    part = shard(model, work)
    stages = least(work.pp, model.layers)
    per_stage = ceil_div(model.layers, stages) / model.layers
    weights = layer_weights(model, work, part) * per_stage
    tables = (
        part.vocabulary
        * model.hidden
        * (1.0 if model.tied_embeddings else 2.0)
        * most(work.weight_bits, HIGH_BITS)
        / 8.0
    )
    if model.kv_lora_rank:
        width = model.layers * (model.kv_lora_rank + model.qk_rope_dim) * part.kv * work.context
    else:
        kept = (model.layers - model.window_layers) * work.context
        kept = kept + model.window_layers * least(work.context, model.window or work.context)
        width = 2.0 * part.kv_heads * model.head_dim * part.kv * kept
    sequences = ceil_div(work.batch, work.dp)
    routed = 2.0 * model.experts_per_token * model.expert_ffn / work.tp
    widest = most(most(2.0 * part.ffn, routed), (part.heads + 2.0 * part.kv_heads) * model.head_dim) + model.hidden
    activations = 2.0 * part.tokens * widest * STREAM
    return {"weights": weights + tables, "kv_cache": sequences * width * per_stage, "activations": activations}


def layer_weights(model: LanguageModel, work: Workload, part: Shard) -> Number:
    """Weights of all layers on one device, every held expert counted [B]."""
    attention, mlp = layer_kinds(model)
    total: Number = 0.0
    for _, layers, window in attention:
        rows = dict(attention_rows(model, work, part, window))
        total = total + layers * sum(
            columns["weight_bytes"] for name, columns in rows.items() if columns["kind"] == types.MATMUL
        )
    for _, layers, experts in mlp:
        rows = dict(mlp_rows(model, work, part, experts))
        total = total + layers * sum(
            columns["weight_bytes"] * (_held_share(model, work, part) if name.startswith("expert_") else 1.0)
            for name, columns in rows.items()
            if name != "dispatch" and columns["kind"] == types.MATMUL
        )
    return total


def _held_share(model: LanguageModel, work: Workload, part: Shard) -> Number:
    held = model.experts / work.ep
    return held / active_experts(part.tokens * work.dp, model, held)
