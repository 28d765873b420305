"""The operator table: what one device does in one step, as rows of numbers.

Rows stand in graph order and each collective stands before the operators that wait for it, so that a
collective and the rows up to the next one are a PRESERVE window.  ``all_reduce_into_attention`` is the
reduction that ends the layer before (or the embedding); layers alike are one set of rows with a count.

Tensor parallelism is Megatron's (Shoeybi et al., arXiv 1909.08053).  Where the degree does not divide
the heads, query heads are padded up and KV heads replicated, so that the busiest device is modelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.laws import vectors
from accelmodel.laws.vectors import Operator
from accelmodel.quantities import Number
from accelmodel.specs import LanguageModel, Workload

#: the residual stream, logits and what collectives carry stay at 16 bit, as in w8a8 engines [B]
STREAM = 2.0
#: matrix products of scores, and heads of quantised models, are kept at this precision [bit]
HIGH_BITS = 16.0
#: vector operations per score: 4 for maximum, difference, sum and scale, and an exponential, which costs
#: as much as 17 FLOP (3.9 T exponentials/s beside 67 TFLOP/s on H100: FlashAttention-3, arXiv 2407.08608, section 3)
SOFTMAX_OPS = 21.0
#: vector operations per element of a norm, an activation, a rotary embedding, a sampling pass
NORM_OPS, ACTIVATION_OPS, ROTARY_OPS, SAMPLE_OPS = 6.0, 10.0, 6.0, 3.0

Row = tuple[str, dict[str, Number]]


@dataclass(frozen=True)
class OperatorTable:
    """Rows of a step: ``columns[name][i]`` is a float, or a DataArray over axes of the workload."""

    names: tuple[str, ...]
    columns: dict[str, list[Number]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shard:
    """What one device holds of a model: the shapes after parallelism."""

    sequences: Number
    new_tokens: Number
    tokens: Number
    heads: Number
    kv_heads: Number
    ffn: Number
    vocabulary: Number
    weight: Number = field(metadata={"unit": "B per weight"})
    activation: Number = field(metadata={"unit": "B per activation"})
    kv: Number = field(metadata={"unit": "B per KV element"})
    bits: Number = field(metadata={"unit": "bit"})


def _ceil_div(amount: Number, parts: Number) -> Number:
    return np.ceil(amount / parts)


def shard(model: LanguageModel, work: Workload) -> Shard:
    """Return the shapes on the busiest device."""
    sequences = _ceil_div(work.batch, work.dp * work.pp)
    new = 1.0 if work.phase == "decode" else work.context - work.prefix
    return Shard(
        sequences=sequences,
        new_tokens=new,
        tokens=sequences * new,
        heads=_ceil_div(model.heads, work.tp),
        kv_heads=_ceil_div(model.kv_heads, work.tp),
        ffn=_ceil_div(model.ffn, work.tp),
        vocabulary=_ceil_div(model.vocabulary, work.tp),
        weight=work.weight_bits / 8.0,
        activation=work.activation_bits / 8.0,
        kv=work.kv_bits / 8.0,
        bits=np.maximum(work.weight_bits, work.activation_bits),
    )


def _product(
    m: Number, n: Number, k: Number, part: Shard, *, groups: Number = 1.0, **other: Number
) -> dict[str, Number]:
    """Columns of a matrix product with weights; ``other`` overrides a column."""
    weights = groups * n * k * part.weight
    columns = {
        "kind": vectors.MATMUL,
        "groups": groups,
        "m": m,
        "n": n,
        "k": k,
        "bits": part.bits,
        "weight_bytes": weights,
        "prefetch_bytes": weights,
        "input_bytes": groups * m * k * part.activation,
        "output_bytes": groups * m * n * STREAM,
        "flops": 2.0 * groups * m * n * k,
    }
    return {**columns, **other}


def _pointwise(elements: Number, ops: float, read: Number, written: Number, weights: Number = 0.0) -> dict[str, Number]:
    """Columns of a memory-bound operator: bytes read and written per element."""
    return {
        "kind": vectors.ELEMENTWISE,
        "vector_ops": elements * ops,
        "flops": elements * ops,
        "input_bytes": elements * read,
        "output_bytes": elements * written,
        "weight_bytes": weights,
    }


def _collective(kind: Number, message: Number, ranks: Number) -> dict[str, Number]:
    return {"kind": kind, "message_bytes": message, "ranks": ranks}


def _norm(model: LanguageModel, part: Shard) -> dict[str, Number]:
    """Residual addition and norm in one pass: reads both, writes the stream and the normed copy."""
    passes = model.norms_per_layer / 2.0
    return _pointwise(part.tokens * model.hidden * passes, NORM_OPS, 2.0 * STREAM, STREAM + part.activation)


def mean_keys(work: Workload, window: float) -> Number:
    """Return keys per query, averaged over the new tokens; ``window`` 0 is full causal attention.

    Sum of min(position, window) over positions prefix + 1 … context, over their number.
    """
    if work.phase == "decode":
        return np.minimum(work.context, window) if window else work.context
    first, last = work.prefix, work.context
    if not window:
        return (first + 1.0 + last) / 2.0
    bend = np.minimum(np.maximum(window, first), last)
    rising = (first + 1.0 + bend) * (bend - first) / 2.0
    return (rising + window * (last - bend)) / (last - first)


def _kv_tokens(work: Workload, window: float) -> tuple[Number, Number]:
    """Tokens of KV cache that one sequence reads, and how many of them were there before the step."""
    if work.phase == "decode":
        read = np.minimum(work.context, window) if window else work.context
        return read, read - 1.0
    reach = np.minimum(work.context, window + (work.context - work.prefix) - 1.0) if window else work.context
    return reach, np.maximum(reach - (work.context - work.prefix), 0.0)


def _gqa(model: LanguageModel, work: Workload, part: Shard, window: float) -> Iterator[Row]:
    """Grouped-query attention (Ainslie et al., arXiv 2305.13245); with kv_heads = heads it is multi-head."""
    width = model.head_dim
    yield "qkv_projection", _product(part.tokens, (part.heads + 2.0 * part.kv_heads) * width, model.hidden, part)
    rotated = part.tokens * (part.heads + 2.0 * part.kv_heads) * width
    yield "rotary_and_cache", _pointwise(rotated, ROTARY_OPS, STREAM, part.kv)
    keys, (read, old) = mean_keys(work, window), _kv_tokens(work, window)
    per_token = 2.0 * part.kv_heads * width * part.kv
    queries = part.tokens * part.heads
    yield (
        "attention",
        {
            "kind": vectors.ATTENTION,
            "groups": part.sequences * part.kv_heads,
            "m": part.new_tokens * part.heads / part.kv_heads,
            "n": keys,
            "k": 2.0 * width,
            "bits": HIGH_BITS,
            "weight_bytes": part.sequences * read * per_token,
            "prefetch_bytes": part.sequences * old * per_token,
            "input_bytes": queries * width * STREAM,
            "output_bytes": queries * width * part.activation,
            "flops": 4.0 * queries * keys * width,
            "vector_ops": SOFTMAX_OPS * queries * keys,
        },
    )
    yield "output_projection", _product(part.tokens, model.hidden, part.heads * width, part)


def _latent_cache(model: LanguageModel, work: Workload, part: Shard) -> tuple[Number, Number]:
    """Bytes of latent KV cache read, and of those the ones there before the step; every tensor rank holds all."""
    read, old = _kv_tokens(work, 0.0)
    width = (model.kv_lora_rank + model.qk_rope_dim) * part.kv
    return part.sequences * read * width, part.sequences * old * width


def _mla(model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), absorbed in decode."""
    latent, rope, nope, value = model.kv_lora_rank, model.qk_rope_dim, model.qk_nope_dim, model.v_head_dim
    down = model.q_lora_rank + latent + rope
    query_input = model.q_lora_rank or model.hidden
    yield "latent_projection", _product(part.tokens, down, model.hidden, part)
    yield "query_projection", _product(part.tokens, part.heads * (nope + rope), query_input, part)
    yield "rotary_and_cache", _pointwise(part.tokens * (part.heads * rope + latent + rope), ROTARY_OPS, STREAM, part.kv)
    keys, cache = mean_keys(work, 0.0), _latent_cache(model, work, part)
    queries = part.tokens * part.heads
    core: dict[str, Number] = {
        "kind": vectors.ATTENTION,
        "n": keys,
        "bits": HIGH_BITS,
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }
    if work.phase == "decode":
        yield "absorb_keys", _product(part.tokens, latent, nope, part, groups=part.heads)
        yield (
            "attention",
            {
                **core,
                "groups": part.sequences,
                "m": part.heads,
                "k": 2.0 * latent + rope,
                "weight_bytes": cache[0],
                "prefetch_bytes": cache[1],
                "input_bytes": queries * (latent + rope) * STREAM,
                "output_bytes": queries * latent * STREAM,
                "flops": 2.0 * queries * keys * (2.0 * latent + rope),
            },
        )
        yield "absorb_values", _product(part.tokens, value, latent, part, groups=part.heads)
    else:
        tokens = part.sequences * work.context
        yield "expand_cache", _product(tokens, part.heads * (nope + value), latent, part, input_bytes=cache[0])
        yield (
            "attention",
            {
                **core,
                "groups": part.sequences * part.heads,
                "m": part.new_tokens,
                "k": nope + rope + value,
                "weight_bytes": tokens * part.heads * (nope + rope + value) * STREAM,
                "input_bytes": queries * (nope + rope) * STREAM,
                "output_bytes": queries * value * part.activation,
                "flops": 2.0 * queries * keys * (nope + rope + value),
            },
        )
    yield "output_projection", _product(part.tokens, model.hidden, part.heads * value, part)


def _mlp(prefix: str, tokens: Number, width: Number, model: LanguageModel, part: Shard) -> Iterator[Row]:
    """Two-layer perceptron, gated (SwiGLU, arXiv 2002.05202) or not."""
    branches = 2.0 if model.gated else 1.0
    yield f"{prefix}_up", _product(tokens, branches * width, model.hidden, part)
    yield f"{prefix}_activation", _pointwise(tokens * width, ACTIVATION_OPS, branches * STREAM, part.activation)
    yield f"{prefix}_down", _product(tokens, model.hidden, width, part)


def active_experts(tokens: Number, model: LanguageModel, held: Number) -> Number:
    """Return how many of the ``held`` experts get a token at all, on average, with uniform routing."""
    return held * (1.0 - (1.0 - model.experts_per_token / model.experts) ** tokens)


def _experts(model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Routed experts on one device.  Their weights cannot be prefetched: the router decides which are needed."""
    group = work.tp * work.dp
    held = model.experts / work.ep
    width = _ceil_div(model.expert_ffn, group / work.ep)
    tokens = part.tokens * work.dp
    active = active_experts(tokens, model, held)
    rows = tokens * model.experts_per_token / model.experts * held / active
    branches = 2.0 if model.gated else 1.0
    late = {"groups": active, "prefetch_bytes": 0.0}
    yield "expert_up", _product(rows, branches * width, model.hidden, part, **late)
    yield "expert_activation", _pointwise(active * rows * width, ACTIVATION_OPS, branches * STREAM, part.activation)
    yield "expert_down", _product(rows, model.hidden, width, part, **late)


def _moe(model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Router, shared experts, and routed experts; with data-parallel attention, tokens travel to them."""
    yield "router", _product(part.tokens, model.experts, model.hidden, part)
    if model.shared_experts:
        width = _ceil_div(model.shared_experts * model.shared_expert_ffn, work.tp)
        yield from _mlp("shared_expert", part.tokens, width, model, part)
    yield "dispatch", _exchange(model, work, part, vectors.ALL_GATHER, _collective(vectors.ALL_TO_ALL, 0.0, 1.0))
    yield from _experts(model, work, part)


def _exchange(
    model: LanguageModel, work: Workload, part: Shard, whole: float, alone: dict[str, Number]
) -> dict[str, Number]:
    """Collective around the experts: all-to-all with expert parallelism, else ``whole`` over the data-parallel ranks.

    Without data-parallel attention every tensor rank holds all tokens, and ``alone`` takes place instead.
    """
    split, spread = (work.ep > 1.0) * 1.0, (work.dp > 1.0) * 1.0
    routed = part.tokens * model.experts_per_token * model.hidden * STREAM
    gathered = part.tokens * work.dp * model.hidden * STREAM
    exchange = _collective(
        split * vectors.ALL_TO_ALL + (1.0 - split) * whole,
        split * routed + (1.0 - split) * gathered,
        split * work.ep + (1.0 - split) * work.dp,
    )
    return {column: spread * exchange[column] + (1.0 - spread) * alone[column] for column in exchange}


def layer_kinds(model: LanguageModel) -> tuple[list[tuple[str, float, float]], list[tuple[str, float, bool]]]:
    """Return the kinds of attention (suffix, layers, window) and of perceptron (suffix, layers, experts?)."""
    full = model.layers - model.window_layers
    attention = [("", full, 0.0), ("_window", model.window_layers, model.window)]
    dense = model.layers if not model.experts else model.dense_layers
    perceptron = [("", dense, False), ("_moe", model.layers - dense, True)]
    return [kind for kind in attention if kind[1]], [kind for kind in perceptron if kind[1]]


def _attention_rows(model: LanguageModel, work: Workload, part: Shard, window: float) -> Iterator[Row]:
    yield "attention_norm", _norm(model, part)
    yield from _mla(model, work, part) if model.kv_lora_rank else _gqa(model, work, part, window)


def _perceptron_rows(model: LanguageModel, work: Workload, part: Shard, experts: bool) -> Iterator[Row]:
    yield "mlp_norm", _norm(model, part)
    yield from _moe(model, work, part) if experts else _mlp("mlp", part.tokens, part.ffn, model, part)


def _openers(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, str, float, dict[str, Number]]]:
    """Yield (suffix, collective, share of layers, columns) of what stands before attention.

    The all-reduce of the layer before; after experts of data-parallel ranks, the exchange that brings tokens back.
    """
    reduction = _collective(vectors.ALL_REDUCE, part.tokens * model.hidden * STREAM, work.tp)
    routed = sum(layers for _, layers, experts in layer_kinds(model)[1] if experts) / model.layers
    if not routed or not _any(work.dp > 1.0):
        yield "", "all_reduce", 1.0, reduction
        return
    if routed < 1.0:
        yield "", "all_reduce", 1.0 - routed, reduction
    yield "_after_experts", "combine", routed, _exchange(model, work, part, vectors.REDUCE_SCATTER, reduction)


def _rows(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Yield (name, count, columns) in graph order."""
    stream = part.tokens * model.hidden * STREAM
    reduction = _collective(vectors.ALL_REDUCE, stream, work.tp)
    attention, perceptron = layer_kinds(model)
    yield "embedding", 1.0, _pointwise(part.tokens * model.hidden, 1.0, STREAM, STREAM)
    for kind, layers, window in attention:
        for after, collective, share, columns in _openers(model, work, part):
            yield f"{collective}_into_attention{kind}{after}", layers * share, columns
            for name, columns in _attention_rows(model, work, part, window):
                yield name + kind + after, layers * share, columns
    for suffix, layers, experts in perceptron:
        yield f"all_reduce_into_mlp{suffix}", layers, reduction
        for name, columns in _perceptron_rows(model, work, part, experts):
            yield name + suffix, layers, columns
    last = part.sequences
    yield "stage_transfer", work.pp * (work.pp > 1.0), _collective(vectors.POINT_TO_POINT, stream, work.pp)
    yield "all_reduce_into_head", 1.0, reduction
    yield "head_norm", 1.0, _norm(model, part)
    head_bytes = part.vocabulary * model.hidden * np.maximum(work.weight_bits, HIGH_BITS) / 8.0
    yield (
        "head",
        1.0,
        _product(
            last,
            part.vocabulary,
            model.hidden,
            part,
            bits=HIGH_BITS,
            weight_bytes=head_bytes,
            prefetch_bytes=head_bytes,
        ),
    )
    yield "all_gather_logits", 1.0, _collective(vectors.ALL_GATHER, last * model.vocabulary * STREAM, work.tp)
    yield "sampling", 1.0, _pointwise(last * model.vocabulary, SAMPLE_OPS, STREAM, 0.0)


def _any(condition: Any) -> bool:
    return bool(np.any(np.asarray(condition)))


def check(model: LanguageModel, work: Workload) -> tuple[str, ...]:
    """Return notes on how the model is cut; raise SpecError where it cannot be."""
    group = work.tp * work.dp
    if _any(work.prefix >= work.context):
        raise SpecError("prefix must be below context: nothing is left to compute; lower prefix [token]")
    if _any(work.tp > model.heads):
        raise SpecError(f"tp above the {model.heads:g} heads of {model.name}; choose at most that many")
    if _any(work.pp > model.layers):
        raise SpecError(f"pp above the {model.layers:g} layers of {model.name}; choose at most that many")
    if not model.experts and _any(work.ep > 1.0):
        raise SpecError(f"{model.name} has no experts: ep must be 1")
    if model.experts and (_any(model.experts % work.ep) or _any(group % work.ep)):
        raise SpecError(f"ep must divide both the {model.experts:g} experts of {model.name} and tp x dp")
    if model.max_context and _any(work.context > model.max_context):
        limit = f"context exceeds the {model.max_context:g} tokens {model.name} was trained for; timed all the same"
    else:
        limit = ""
    notes = [limit]
    if _any(model.heads % work.tp):
        notes.append(f"{model.heads:g} query heads padded up to a multiple of tp; the busiest device is timed")
    if not model.kv_lora_rank and _any(model.kv_heads % work.tp):
        notes.append(f"{model.kv_heads:g} KV heads replicated or padded over tp devices")
    return tuple(note for note in notes if note)


def operator_table(model: LanguageModel, work: Workload) -> OperatorTable:
    """Return the operator table of one step on the busiest device.

    Parameters
    ----------
    model : LanguageModel
    work : Workload
        Its numeric fields may be labelled axes; the columns then carry them.

    Returns
    -------
    OperatorTable
        One row per operator and kind of layer: per-invocation columns of ``laws.vectors.Operator``;
        bytes in B, operations in FLOP, sizes in elements.

    Raises
    ------
    SpecError
        If the model cannot be cut as asked.

    Notes
    -----
    With pipeline parallelism the batch is cut into as many micro-batches as stages; the table is one
    micro-batch through all stages, which is also the steady time between two tokens of a sequence.
    Routing of experts is uniform: optimistic for skewed routers.
    """
    notes = check(model, work)
    part = shard(model, work)
    rows = list(_rows(model, work, part))
    names = tuple(name for name, _, _ in rows)
    columns: dict[str, list[Number]] = {column: [] for column in Operator._fields}
    blank = {
        **dict.fromkeys(Operator._fields, 0.0),
        "groups": 1.0,
        "m": 1.0,
        "n": 1.0,
        "k": 1.0,
        "bits": HIGH_BITS,
        "ranks": 1.0,
        "feeds": -1.0,
    }
    feeds = _feeds(names, model)
    for name, count, given in rows:
        row = {**blank, **given, "count": count, "feeds": feeds.get(name, -1.0)}
        for column in columns:
            columns[column].append(row[column])
    return OperatorTable(names, columns, notes)


def _feeds(names: tuple[str, ...], model: LanguageModel) -> dict[str, float]:
    """Return, for each product that an all-reduce sums up, the row of an all-reduce of that message."""
    _, perceptron = layer_kinds(model)
    into_mlp = names.index(f"all_reduce_into_mlp{max(perceptron, key=lambda kind: kind[1])[0]}")
    reductions = [i for i, name in enumerate(names) if name.startswith("all_reduce_into_attention")]
    feeds = {name: float(into_mlp) for name in names if name.startswith("output_projection")}
    for name in names:
        if reductions and name.startswith(("mlp_down", "expert_down")):
            feeds[name] = float(reductions[0])
    return feeds


def kv_bytes_per_token(model: LanguageModel, kv_bits: Number = 16.0) -> Number:
    """Return bytes of KV cache that one token takes over all layers [B].

    Examples
    --------
    Llama-3-70B at 16 bit takes 320 KiB per token (Cake, arXiv 2410.03065, Table 1):

    >>> from accelmodel.library import load
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
    stages = np.minimum(work.pp, model.layers)
    per_stage = _ceil_div(model.layers, stages) / model.layers
    weights = _layer_weights(model, work, part) * per_stage
    tables = (
        part.vocabulary
        * model.hidden
        * (1.0 if model.tied_embeddings else 2.0)
        * np.maximum(work.weight_bits, HIGH_BITS)
        / 8.0
    )
    if model.kv_lora_rank:
        width = model.layers * (model.kv_lora_rank + model.qk_rope_dim) * part.kv * work.context
    else:
        kept = (model.layers - model.window_layers) * work.context
        kept = kept + model.window_layers * np.minimum(work.context, model.window or work.context)
        width = 2.0 * part.kv_heads * model.head_dim * part.kv * kept
    sequences = _ceil_div(work.batch, work.dp)
    widest = np.maximum(2.0 * part.ffn, (part.heads + 2.0 * part.kv_heads) * model.head_dim) + model.hidden
    activations = 2.0 * part.tokens * widest * STREAM
    return {"weights": weights + tables, "kv_cache": sequences * width * per_stage, "activations": activations}


def _layer_weights(model: LanguageModel, work: Workload, part: Shard) -> Number:
    """Weights of all layers on one device, every held expert counted [B]."""
    attention, perceptron = layer_kinds(model)
    total: Number = 0.0
    for _, layers, window in attention:
        rows = dict(_attention_rows(model, work, part, window))
        total = total + layers * sum(
            columns["weight_bytes"] for name, columns in rows.items() if columns["kind"] == vectors.MATMUL
        )
    for _, layers, experts in perceptron:
        rows = dict(_perceptron_rows(model, work, part, experts))
        total = total + layers * sum(
            columns["weight_bytes"] * (_held_share(model, work, part) if name.startswith("expert_") else 1.0)
            for name, columns in rows.items()
            if name != "dispatch" and columns["kind"] == vectors.MATMUL
        )
    return total


def _held_share(model: LanguageModel, work: Workload, part: Shard) -> Number:
    held = model.experts / work.ep
    return held / active_experts(part.tokens * work.dp, model, held)
