"""Rows of attention that keeps its tokens: grouped queries, and the latent cache of MLA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from accelmodel.inference.columns import HIGH_BITS, ROTARY_OPS, SOFTMAX_OPS, STREAM, Row, Shard, matmul, pointwise
from accelmodel.inference.keys import kv_tokens, mean_chunk_keys, mean_keys
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, least
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Grouped, Latent
from accelmodel.specs.workload import Workload

#: precision of an indexer's keys and queries (DeepSeek-V3.2's release, section on lightning indexer) [bit]
INDEX_BITS = 8.0


class Heads(NamedTuple):
    """Heads of attention on a device: query and KV heads, width of a key and of a value."""

    query: Number
    kv: Number
    key: Number
    value: Number


def grouped_attention(part: Shard, heads: Heads, keys: Number, read: Number, old: Number) -> dict[str, Number]:
    """Columns of grouped-query attention: mean keys per query, KV tokens read per sequence and those not new.

    Rows that share keys: in decode all query heads of a KV head, in a prefill the queries of one head.  Where in decode
    they are more than a tile, each tile but the first finds its keys in L2.
    """
    per_token = heads.kv * (heads.key + heads.value) * part.kv
    queries = part.tokens * heads.query
    packed = 1.0 if part.decoding else (part.new_tokens <= 1.0) * 1.0
    shared = 1.0 + packed * (heads.query / heads.kv - 1.0)
    tiles = part.tiles(shared)
    return {
        "kind": types.ATTENTION,
        "groups": part.sequences * (heads.query + packed * (heads.kv - heads.query)) * tiles,
        "m": part.new_tokens * shared / tiles,
        "n": keys,
        "k": heads.key + heads.value,
        "bits": HIGH_BITS,
        "weight_bytes": part.sequences * read * per_token * tiles,
        "prefetch_bytes": part.sequences * old * per_token,
        "warm": 1.0 - 1.0 / tiles,
        "input_bytes": queries * heads.key * STREAM,
        "output_bytes": queries * heads.value * part.activation,
        "flops": 2.0 * queries * keys * (heads.key + heads.value),
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }


def grouped(kind: Grouped, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Grouped-query attention (Ainslie et al., arXiv 2305.13245); with kv_heads = heads it is multi-head."""
    value = kind.value_dim or kind.head_dim
    heads = Heads(*part.cut_groups(kind.heads, kind.kv_heads), kind.head_dim, value)
    queries = heads.query * heads.key
    projected = (kind.q_lora_rank or queries) + queries * kind.output_gate
    if not (kind.shared_kv or kind.cross_tokens):
        projected = projected + heads.kv * (heads.key + (0.0 if kind.keys_are_values else value))
    yield "qkv_projection", matmul(part.tokens, projected, kind.inputs or model.hidden, part)
    if kind.q_lora_rank:
        yield "query_projection", matmul(part.tokens, queries, kind.q_lora_rank, part)
    rotated = part.tokens * (heads.query * heads.key + heads.kv * (heads.key + value))
    yield "rotary_and_cache", pointwise(rotated, ROTARY_OPS, STREAM, part.kv)
    if kind.top_k:
        yield from _indexer(kind, model, work, part)
    yield "attention", grouped_attention(part, heads, *_seen(kind, work, part))
    if kind.output_gate:
        yield "attention_gate", pointwise(part.tokens * heads.query * value, ROTARY_OPS, 2.0 * STREAM, part.activation)
    yield "output_projection", matmul(part.tokens, model.hidden, heads.query * value, part)


def _seen(kind: Grouped, work: Workload, part: Shard) -> tuple[Number, Number, Number]:
    """Return keys per query, KV tokens that one sequence reads, and how many of them were there before the step."""
    if kind.cross_tokens:
        return kind.cross_tokens, kind.cross_tokens, kind.cross_tokens
    if kind.top_k:
        read, old = kv_tokens(work, 0.0)
        if part.decoding:
            # each new token picks keys of its own
            read, old = least(read, kind.top_k * part.new_tokens), least(old, kind.top_k * part.new_tokens)
        return mean_keys(work, kind.top_k), read, old
    keys = mean_chunk_keys(work, kind.window) if kind.chunked else mean_keys(work, kind.window)
    return keys, *kv_tokens(work, kind.window)


def absorbed_attention(
    part: Shard, heads: Number, latent: Number, rope: Number, keys: Number, cache: Number
) -> dict[str, Number]:
    """Columns of decode attention on the latent cache of MLA, ``cache`` bytes of it: all heads share its keys."""
    queries, tiles = part.tokens * heads, part.tiles(heads)
    return {
        "kind": types.ATTENTION,
        "groups": part.sequences * tiles,
        "m": heads * (part.new_tokens if part.decoding else 1.0) / tiles,
        "n": keys,
        "k": 2.0 * latent + rope,
        "bits": HIGH_BITS,
        "weight_bytes": cache * tiles,
        "warm": 1.0 - 1.0 / tiles,
        "input_bytes": queries * (latent + rope) * STREAM,
        "output_bytes": queries * latent * STREAM,
        "flops": 2.0 * queries * keys * (2.0 * latent + rope),
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }


def expanded_attention(part: Shard, heads: Heads, keys: Number, tokens: Number) -> dict[str, Number]:
    """Columns of prefill attention of MLA on keys and values that ``tokens`` were expanded to, each head its own."""
    queries = part.tokens * heads.query
    width = heads.key + heads.value
    return {
        "kind": types.ATTENTION,
        "groups": part.sequences * heads.query,
        "m": part.new_tokens,
        "n": keys,
        "k": width,
        "bits": HIGH_BITS,
        "weight_bytes": tokens * heads.query * width * STREAM,
        "input_bytes": queries * heads.key * STREAM,
        "output_bytes": queries * heads.value * part.activation,
        "flops": 2.0 * queries * keys * width,
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }


def _latent_cache(kind: Latent, work: Workload, part: Shard) -> tuple[Number, Number]:
    """Bytes of latent KV cache read, and of those the ones there before the step; every tensor rank holds all."""
    read, old = kv_tokens(work, 0.0)
    if kind.top_k:
        picked = kind.top_k * (part.new_tokens if part.decoding else 1.0)
        read, old = least(read, picked), least(old, picked)
    width = (kind.kv_lora_rank + kind.qk_rope_dim) * part.kv
    return part.sequences * read * width, part.sequences * old * width


def _indexer(kind: Latent | Grouped, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Lightning indexer: each query scores all keys in a few narrow heads and keeps the best ``top_k``.

    DeepSeek-V3.2, section 2.1; every tensor rank does it whole.
    """
    heads, width = kind.index_heads, kind.index_dim
    query_input = model.hidden if isinstance(kind, Grouped) else kind.q_lora_rank or model.hidden
    # the heads of MLA's indexer are weighted, those of grouped attention are not
    weights = 0.0 if isinstance(kind, Grouped) else heads
    yield "index_query", matmul(part.tokens, heads * width, query_input, part)
    yield "index_key", matmul(part.tokens, width + weights, model.hidden, part)
    keys, (read, old) = mean_keys(work, 0.0), kv_tokens(work, 0.0)
    per_token = part.sequences * width * INDEX_BITS / 8.0
    yield from index_scores(heads, width, keys, (read * per_token, old * per_token), part)


def index_scores(
    heads: Number, width: Number, keys: Number, cache: tuple[Number, Number], part: Shard
) -> Iterator[Row]:
    """Scores of ``keys`` per query in narrow heads, ``cache`` bytes of them read and there before, and the choice."""
    scored = part.tokens * heads * keys
    yield (
        "index_scores",
        {
            "kind": types.ATTENTION,
            "groups": part.sequences,
            "m": part.new_tokens * heads,
            "n": keys,
            "k": width,
            "bits": INDEX_BITS,
            "weight_bytes": cache[0],
            "prefetch_bytes": cache[1],
            "input_bytes": part.tokens * heads * width * INDEX_BITS / 8.0,
            "output_bytes": part.tokens * keys * STREAM,
            "flops": 2.0 * scored * width,
            "vector_ops": 3.0 * scored,
        },
    )
    yield "index_top_k", pointwise(part.tokens * keys, 3.0, STREAM, 0.0)


def latent(kind: Latent, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), absorbed in decode.

    Where an indexer picks keys, prefill is absorbed as well: each query has keys of its own.
    """
    rank, rope, value = kind.kv_lora_rank, kind.qk_rope_dim, kind.v_head_dim
    heads = Heads(part.cut(kind.heads), 1.0, kind.qk_nope_dim + rope, value)
    query_input = kind.q_lora_rank or model.hidden
    yield "latent_projection", matmul(part.tokens, kind.q_lora_rank + rank + rope, model.hidden, part)
    yield "query_projection", matmul(part.tokens, heads.query * heads.key, query_input, part)
    rotated = part.tokens * (heads.query * rope + rank + rope)
    yield "rotary_and_cache", pointwise(rotated, ROTARY_OPS, STREAM, part.kv)
    if kind.top_k and not kind.shared_index:
        yield from _indexer(kind, model, work, part)
    keys, cache = mean_keys(work, kind.top_k), _latent_cache(kind, work, part)
    if part.decoding or kind.top_k:
        yield "absorb_keys", matmul(part.tokens, rank, kind.qk_nope_dim, part, groups=heads.query)
        columns = absorbed_attention(part, heads.query, rank, rope, keys, cache[0])
        if kind.top_k:
            # a query's heads share its keys: tiles of heads, one for each new token
            columns |= {"groups": part.tokens, "m": heads.query, "weight_bytes": cache[0], "warm": 0.0}
        if not part.decoding:
            columns |= {"weight_bytes": part.sequences * work.context * (rank + rope) * part.kv}
        yield "attention", {**columns, "prefetch_bytes": cache[1]}
        yield "absorb_values", matmul(part.tokens, value, rank, part, groups=heads.query)
    else:
        tokens = part.sequences * work.context
        expanded = heads.query * (kind.qk_nope_dim + value)
        yield "expand_cache", matmul(tokens, expanded, rank, part, input_bytes=cache[0])
        yield "attention", expanded_attention(part, heads, keys, tokens)
    if kind.output_gate:
        yield "gate_projection", matmul(part.tokens, heads.query * value, model.hidden, part)
        yield "attention_gate", pointwise(part.tokens * heads.query * value, ROTARY_OPS, 2.0 * STREAM, part.activation)
    yield "output_projection", matmul(part.tokens, model.hidden, heads.query * value, part)
