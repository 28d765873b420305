"""The rows of one layer: what a device does in attention, in a mlp, among experts.

Tensor parallelism is Megatron's (Shoeybi et al., arXiv 1909.08053).  Where the degree does not divide
the heads, query heads are padded up and KV heads replicated, so that the busiest device is modelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from accelmodel.laws import types
from accelmodel.laws.numeric import Number, ceil, least, most
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Workload

#: the residual stream, logits and what collectives carry stay at 16 bit, as in w8a8 engines [B]
STREAM = 2.0
#: matmuls of scores, and heads of quantised models, are kept at this precision [bit]
HIGH_BITS = 16.0
#: vector operations per score: 4 for maximum, difference, sum and scale, and an exponential, which costs
#: as much as 17 FLOP (3.9 T exponentials/s beside 67 TFLOP/s on H100: FlashAttention-3, arXiv 2407.08608, section 3)
SOFTMAX_OPS = 21.0
#: vector operations per element of a norm, an activation, a rotary embedding, a sampling pass
NORM_OPS = 6.0
ACTIVATION_OPS = 10.0
ROTARY_OPS = 6.0
SAMPLE_OPS = 3.0

Row = tuple[str, dict[str, Number]]


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


def ceil_div(amount: Number, parts: Number) -> Number:
    return ceil(amount / parts)


def shard(model: LanguageModel, work: Workload) -> Shard:
    """Return the shapes on the busiest device."""
    sequences = ceil_div(work.batch, work.dp * work.pp)
    new = 1.0 if work.phase == "decode" else work.context - work.prefix
    return Shard(
        sequences=sequences,
        new_tokens=new,
        tokens=sequences * new,
        heads=ceil_div(model.heads, work.tp),
        kv_heads=ceil_div(model.kv_heads, work.tp),
        ffn=ceil_div(model.ffn, work.tp),
        vocabulary=ceil_div(model.vocabulary, work.tp),
        weight=work.weight_bits / 8.0,
        activation=work.activation_bits / 8.0,
        kv=work.kv_bits / 8.0,
        bits=most(work.weight_bits, work.activation_bits),
    )


def matmul(m: Number, n: Number, k: Number, part: Shard, *, groups: Number = 1.0, **other: Number) -> dict[str, Number]:
    """Columns of a matmul with weights; ``other`` overrides a column."""
    weights = groups * n * k * part.weight
    columns = {
        "kind": types.MATMUL,
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


def pointwise(elements: Number, ops: float, read: Number, written: Number, weights: Number = 0.0) -> dict[str, Number]:
    """Columns of a memory-bound operator: bytes read and written per element."""
    return {
        "kind": types.ELEMENTWISE,
        "vector_ops": elements * ops,
        "flops": elements * ops,
        "input_bytes": elements * read,
        "output_bytes": elements * written,
        "weight_bytes": weights,
    }


def collective(kind: Number, message: Number, ranks: Number) -> dict[str, Number]:
    return {"kind": kind, "message_bytes": message, "ranks": ranks}


def norm(model: LanguageModel, part: Shard) -> dict[str, Number]:
    """Residual addition and norm in one pass: reads both, writes the stream and the normed copy."""
    passes = model.norms_per_layer / 2.0
    return pointwise(part.tokens * model.hidden * passes, NORM_OPS, 2.0 * STREAM, STREAM + part.activation)


def mean_keys(work: Workload, window: Number) -> Number:
    """Return keys per query, averaged over the new tokens; ``window`` 0 is full causal attention.

    Sum of min(position, window) over positions prefix + 1 … context, over their number.
    """
    if work.phase == "decode":
        return least(work.context, window) if window else work.context
    first, last = work.prefix, work.context
    if not window:
        return (first + 1.0 + last) / 2.0
    bend = least(most(window, first), last)
    rising = (first + 1.0 + bend) * (bend - first) / 2.0
    return (rising + window * (last - bend)) / (last - first)


def _kv_tokens(work: Workload, window: Number) -> tuple[Number, Number]:
    """Tokens of KV cache that one sequence reads, and how many of them were there before the step."""
    if work.phase == "decode":
        read = least(work.context, window) if window else work.context
        return read, read - 1.0
    reach = least(work.context, window + (work.context - work.prefix) - 1.0) if window else work.context
    return reach, most(reach - (work.context - work.prefix), 0.0)


def grouped_attention(part: Shard, width: Number, keys: Number, read: Number, old: Number) -> dict[str, Number]:
    """Columns of grouped-query attention: mean keys per query, KV tokens read per sequence and those not new.

    Rows that share keys: of one new token all query heads of a KV head, of several the queries of one head.
    """
    per_token = 2.0 * part.kv_heads * width * part.kv
    queries = part.tokens * part.heads
    single = (part.new_tokens <= 1.0) * 1.0
    return {
        "kind": types.ATTENTION,
        "groups": part.sequences * (part.heads + single * (part.kv_heads - part.heads)),
        "m": part.new_tokens + single * (part.heads / part.kv_heads - 1.0),
        "n": keys,
        "k": 2.0 * width,
        "bits": HIGH_BITS,
        "weight_bytes": part.sequences * read * per_token,
        "prefetch_bytes": part.sequences * old * per_token,
        "input_bytes": queries * width * STREAM,
        "output_bytes": queries * width * part.activation,
        "flops": 4.0 * queries * keys * width,
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }


def _gqa(model: LanguageModel, work: Workload, part: Shard, window: Number) -> Iterator[Row]:
    """Grouped-query attention (Ainslie et al., arXiv 2305.13245); with kv_heads = heads it is multi-head."""
    width = model.head_dim
    yield "qkv_projection", matmul(part.tokens, (part.heads + 2.0 * part.kv_heads) * width, model.hidden, part)
    rotated = part.tokens * (part.heads + 2.0 * part.kv_heads) * width
    yield "rotary_and_cache", pointwise(rotated, ROTARY_OPS, STREAM, part.kv)
    keys, (read, old) = mean_keys(work, window), _kv_tokens(work, window)
    yield "attention", grouped_attention(part, width, keys, read, old)
    yield "output_projection", matmul(part.tokens, model.hidden, part.heads * width, part)


def _latent_cache(model: LanguageModel, work: Workload, part: Shard) -> tuple[Number, Number]:
    """Bytes of latent KV cache read, and of those the ones there before the step; every tensor rank holds all."""
    read, old = _kv_tokens(work, 0.0)
    width = (model.kv_lora_rank + model.qk_rope_dim) * part.kv
    return part.sequences * read * width, part.sequences * old * width


def absorbed_attention(part: Shard, latent: Number, rope: Number, keys: Number, cache: Number) -> dict[str, Number]:
    """Columns of decode attention on the latent cache of MLA, ``cache`` bytes of it: all heads share its keys."""
    queries = part.tokens * part.heads
    return {
        "kind": types.ATTENTION,
        "groups": part.sequences,
        "m": part.heads,
        "n": keys,
        "k": 2.0 * latent + rope,
        "bits": HIGH_BITS,
        "weight_bytes": cache,
        "input_bytes": queries * (latent + rope) * STREAM,
        "output_bytes": queries * latent * STREAM,
        "flops": 2.0 * queries * keys * (2.0 * latent + rope),
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }


def expanded_attention(part: Shard, width: Number, value: Number, keys: Number, tokens: Number) -> dict[str, Number]:
    """Columns of prefill attention of MLA on keys and values that ``tokens`` were expanded to, each head its own."""
    queries = part.tokens * part.heads
    return {
        "kind": types.ATTENTION,
        "groups": part.sequences * part.heads,
        "m": part.new_tokens,
        "n": keys,
        "k": width + value,
        "bits": HIGH_BITS,
        "weight_bytes": tokens * part.heads * (width + value) * STREAM,
        "input_bytes": queries * width * STREAM,
        "output_bytes": queries * value * part.activation,
        "flops": 2.0 * queries * keys * (width + value),
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }


def _mla(model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), absorbed in decode."""
    latent = model.kv_lora_rank
    rope = model.qk_rope_dim
    nope = model.qk_nope_dim
    value = model.v_head_dim
    down = model.q_lora_rank + latent + rope
    query_input = model.q_lora_rank or model.hidden
    yield "latent_projection", matmul(part.tokens, down, model.hidden, part)
    yield "query_projection", matmul(part.tokens, part.heads * (nope + rope), query_input, part)
    yield "rotary_and_cache", pointwise(part.tokens * (part.heads * rope + latent + rope), ROTARY_OPS, STREAM, part.kv)
    keys, cache = mean_keys(work, 0.0), _latent_cache(model, work, part)
    if work.phase == "decode":
        yield "absorb_keys", matmul(part.tokens, latent, nope, part, groups=part.heads)
        yield "attention", {**absorbed_attention(part, latent, rope, keys, cache[0]), "prefetch_bytes": cache[1]}
        yield "absorb_values", matmul(part.tokens, value, latent, part, groups=part.heads)
    else:
        tokens = part.sequences * work.context
        yield "expand_cache", matmul(tokens, part.heads * (nope + value), latent, part, input_bytes=cache[0])
        yield "attention", expanded_attention(part, nope + rope, value, keys, tokens)
    yield "output_projection", matmul(part.tokens, model.hidden, part.heads * value, part)


def _mlp(prefix: str, tokens: Number, width: Number, model: LanguageModel, part: Shard) -> Iterator[Row]:
    """Two-layer mlp, gated (SwiGLU, arXiv 2002.05202) or not."""
    branches = 2.0 if model.gated else 1.0
    yield f"{prefix}_up", matmul(tokens, branches * width, model.hidden, part)
    yield f"{prefix}_activation", pointwise(tokens * width, ACTIVATION_OPS, branches * STREAM, part.activation)
    yield f"{prefix}_down", matmul(tokens, model.hidden, width, part)


def active_experts(tokens: Number, model: LanguageModel, held: Number) -> Number:
    """Return how many of the ``held`` experts get a token at all, on average, with uniform routing."""
    return held * (1.0 - (1.0 - model.experts_per_token / model.experts) ** tokens)


def _experts(model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Routed experts on one device.  Their weights cannot be prefetched: the router decides which are needed."""
    group = work.tp * work.dp
    held = model.experts / work.ep
    width = ceil_div(model.expert_ffn, group / work.ep)
    tokens = part.tokens * work.dp
    active = active_experts(tokens, model, held)
    rows = tokens * model.experts_per_token / model.experts * held / active
    branches = 2.0 if model.gated else 1.0
    late = {"groups": active, "prefetch_bytes": 0.0}
    yield "expert_up", matmul(rows, branches * width, model.hidden, part, **late)
    yield "expert_activation", pointwise(active * rows * width, ACTIVATION_OPS, branches * STREAM, part.activation)
    yield "expert_down", matmul(rows, model.hidden, width, part, **late)


def _moe(model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Router, shared experts, and routed experts; with data-parallel attention, tokens travel to them."""
    yield "router", matmul(part.tokens, model.experts, model.hidden, part)
    if model.shared_experts:
        width = ceil_div(model.shared_experts * model.shared_expert_ffn, work.tp)
        yield from _mlp("shared_expert", part.tokens, width, model, part)
    yield "dispatch", exchange(model, work, part, types.ALL_GATHER, collective(types.ALL_TO_ALL, 0.0, 1.0))
    yield from _experts(model, work, part)


def exchange(
    model: LanguageModel, work: Workload, part: Shard, whole: float, alone: dict[str, Number]
) -> dict[str, Number]:
    """Collective around the experts: all-to-all with expert parallelism, else ``whole`` over the data-parallel ranks.

    Without data-parallel attention every tensor rank holds all tokens, and ``alone`` takes place instead.
    """
    split, spread = (work.ep > 1.0) * 1.0, (work.dp > 1.0) * 1.0
    routed = part.tokens * model.experts_per_token * model.hidden * STREAM
    gathered = part.tokens * work.dp * model.hidden * STREAM
    exchange = collective(
        split * types.ALL_TO_ALL + (1.0 - split) * whole,
        split * routed + (1.0 - split) * gathered,
        split * work.ep + (1.0 - split) * work.dp,
    )
    return {column: spread * exchange[column] + (1.0 - spread) * alone[column] for column in exchange}


def layer_kinds(model: LanguageModel) -> tuple[list[tuple[str, Number, Number]], list[tuple[str, Number, bool]]]:
    """Return the kinds of attention (suffix, layers, window) and of mlp (suffix, layers, experts?)."""
    full = model.layers - model.window_layers
    attention = [("", full, 0.0), ("_window", model.window_layers, model.window)]
    dense = model.layers if not model.experts else model.dense_layers
    mlp = [("", dense, False), ("_moe", model.layers - dense, True)]
    return [kind for kind in attention if kind[1]], [kind for kind in mlp if kind[1]]


def attention_rows(model: LanguageModel, work: Workload, part: Shard, window: Number) -> Iterator[Row]:
    yield "attention_norm", norm(model, part)
    yield from _mla(model, work, part) if model.kv_lora_rank else _gqa(model, work, part, window)


def mlp_rows(model: LanguageModel, work: Workload, part: Shard, experts: bool) -> Iterator[Row]:
    yield "mlp_norm", norm(model, part)
    yield from _moe(model, work, part) if experts else _mlp("mlp", part.tokens, part.ffn, model, part)
