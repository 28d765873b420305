"""Rows of attention that keeps its tokens: grouped queries, and the latent cache of MLA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from accelmodel.inference.columns import HIGH_BITS, SOFTMAX_OPS, STREAM, Row, Shard, matmul, pointwise
from accelmodel.inference.keys import kv_tokens, last_keys, mean_chunk_keys, mean_keys
from accelmodel.inference.rowwise import ROTARY_OPS, normed_again, rotary_rows
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, ceil, least, most
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Compressed, Grouped, Latent
from accelmodel.specs.workload import Workload

#: precision of an indexer's keys and queries (DeepSeek-V3.2's release, section on lightning indexer) [bit]
INDEX_BITS = 8.0
#: scores of an indexer leave it as 32 bit [B]
SCORE = 4.0
#: heads that share a tile of an indexer's scores, in prefill and in decode, where keys are cut in pieces, too
INDEX_ROWS, DECODE_ROWS, INDEX_KEYS = 128.0, 64.0, 256.0
#: time in which scores are computed, weighted and summed over heads, over that of their products; this and the next two
#: fitted to the training rows of aiconfigurator-core 0.12.0, all fitted devices together
EPILOGUE = 1.86
#: a core begins to choose the best keys of a query [s], and looks at one more [s]
CHOICE, LOOK = 6e-6, 0.39e-9
#: heads of a query that share the keys it gathers (FlashMLA)
GATHERED_HEADS = 64.0
#: keys of a block that MiniMax sparse attention chooses as one (its file and its kernels know no other)
BLOCK = 128.0


class Heads(NamedTuple):
    """Heads of attention on a device: query and KV heads, width of a key and of a value."""

    query: Number
    kv: Number
    key: Number
    value: Number


def grouped_attention(
    part: Shard, heads: Heads, keys: Number, read: Number, old: Number, longest: Number
) -> dict[str, Number]:
    """Columns of grouped-query attention: mean keys per query, KV tokens read per sequence and those not new.

    ``longest`` are the keys that the last query sees.

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
        "longest": longest * (1.0 - packed),
        "k": heads.key + heads.value,
        "bits": HIGH_BITS,
        "narrow": least(part.kv / STREAM, 1.0),
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
    # an indexer of blocks has a key, and a query for each KV head, in the same product and the same pass
    index = (part.cut(kind.index_heads) + 1.0) * kind.index_dim if kind.top_k else 0.0
    projected = projected + index
    yield "qkv_projection", matmul(part.tokens, projected, kind.inputs or model.hidden, part)
    if kind.q_lora_rank:
        yield "query_projection", matmul(part.tokens, queries, kind.q_lora_rank, part)
    normed = kind.qk_norm or kind.whole_norm
    if normed and part.runs_apart("norm"):
        yield "query_key_norm", normed_again(part.tokens * (heads.query + heads.kv), heads.key, part)
        normed = False
    cached = heads.kv * (heads.key + value)
    yield from rotary_rows(part.tokens, heads.query * heads.key + cached + index, cached, part, normed=normed)
    if kind.top_k:
        yield from _indexer(kind, model, work, part)
    columns = grouped_attention(part, heads, *_seen(kind, work, part))
    if kind.window and not (kind.chunked or kind.cross_tokens):
        columns |= {"sliding": (work.context > kind.window) * 1.0}
    if kind.top_k and not part.decoding:
        # a query's heads of a KV head share the blocks it chose: tiles of heads, one for each new token
        columns |= {"groups": part.tokens * heads.kv, "m": heads.query / heads.kv}
    yield "attention", columns
    if kind.output_gate:
        yield "attention_gate", pointwise(part.tokens * heads.query * value, ROTARY_OPS, 2.0 * STREAM, part.handed)
    yield "output_projection", matmul(part.tokens, model.hidden, heads.query * value, part)


def _seen(kind: Grouped, work: Workload, part: Shard) -> tuple[Number, Number, Number, Number]:
    """Return keys per query, KV tokens that one sequence reads, those there before the step, keys of the last query."""
    if kind.cross_tokens:
        return kind.cross_tokens, kind.cross_tokens, kind.cross_tokens, kind.cross_tokens
    if kind.top_k:
        read, old = kv_tokens(work, 0.0)
        if part.decoding:
            # each new token picks keys of its own
            read, old = least(read, kind.top_k * part.new_tokens), least(old, kind.top_k * part.new_tokens)
        return mean_keys(work, kind.top_k), read, old, 0.0
    keys = mean_chunk_keys(work, kind.window) if kind.chunked else mean_keys(work, kind.window)
    return keys, *kv_tokens(work, kind.window), last_keys(work, kind.window)


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
        "narrow": least(part.kv / STREAM, 1.0),
        "weight_bytes": cache * tiles,
        "warm": 1.0 - 1.0 / tiles,
        "input_bytes": queries * (latent + rope) * STREAM,
        "output_bytes": queries * latent * STREAM,
        "flops": 2.0 * queries * keys * (2.0 * latent + rope),
        "vector_ops": SOFTMAX_OPS * queries * keys,
    }


def expanded_attention(part: Shard, heads: Heads, keys: Number, tokens: Number, longest: Number) -> dict[str, Number]:
    """Columns of prefill attention of MLA on keys and values that ``tokens`` were expanded to, each head its own.

    ``longest`` are the keys that the last query sees.
    """
    queries = part.tokens * heads.query
    width = heads.key + heads.value
    return {
        "kind": types.ATTENTION,
        "groups": part.sequences * heads.query,
        "m": part.new_tokens,
        "n": keys,
        "longest": longest,
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


def index_bits(kind: Latent | Compressed | Grouped) -> float:
    """Return at which precision an indexer's keys are kept [bit]: those of blocks at 16 (MiniMax-M3 in vLLM 0.24)."""
    return HIGH_BITS if isinstance(kind, Grouped) else INDEX_BITS


def _indexer(kind: Latent | Grouped, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Lightning indexer: each query scores all keys in a few narrow heads and keeps the best ``top_k``.

    DeepSeek-V3.2, section 2.1; every tensor rank does it whole.  That of grouped attention has a head for each KV head,
    which are cut like those, and scores blocks of keys by the best in them; its keys are kept at 16 bit.
    """
    blocks = isinstance(kind, Grouped)
    heads, width = part.cut(kind.index_heads) if blocks else kind.index_heads, kind.index_dim
    kept = index_bits(kind) / 8.0
    if isinstance(kind, Latent):
        yield "index_query", matmul(part.tokens, heads * width, kind.q_lora_rank or model.hidden, part)
        # its heads are weighted
        yield "index_key", matmul(part.tokens, width + heads, model.hidden, part)
        # norm of keys, rotary embedding and rounding
        yield "index_rotary", pointwise(part.tokens * (heads + 1.0) * width, ROTARY_OPS, STREAM, kept)
    per_token = part.sequences * width * kept
    read, old = kv_tokens(work, 0.0)
    cache = (read * per_token, old * per_token)
    index = Index(heads, width, BLOCK if blocks else 1.0, kind.top_k, 1.0)
    yield from index_scores(index, cache, work, part)


class Index(NamedTuple):
    """An indexer on a device: its heads and their width, keys of a block, keys to choose, tokens of a key."""

    heads: Number
    width: Number
    block: float
    top_k: Number
    ratio: Number


def index_scores(index: Index, cache: tuple[Number, Number], work: Workload, part: Shard) -> Iterator[Row]:
    """Scores of all keys for each query, ``cache`` bytes of them read and there before, and the choice of the best."""
    keys = mean_keys(work, 0.0) / index.ratio
    bits = HIGH_BITS if index.block > 1.0 else INDEX_BITS
    if work.phase == "decode":
        tiles = ceil(part.new_tokens * index.heads / DECODE_ROWS) * ceil(keys / INDEX_KEYS)
        tasks, products = part.sequences * tiles, 2.0 * DECODE_ROWS * INDEX_KEYS * index.width
    else:
        tasks, products = part.tokens * index.heads / INDEX_ROWS, 2.0 * INDEX_ROWS * keys * index.width
    scored = part.tokens * index.heads * keys
    yield (
        "index_scores",
        {
            "kind": types.CHAIN,
            "groups": tasks,
            "n": EPILOGUE * products,
            "m": 0.0,
            "k": 0.0,
            "bits": bits,
            "weight_bytes": cache[0],
            "prefetch_bytes": cache[1],
            "input_bytes": part.tokens * index.heads * index.width * bits / 8.0,
            "output_bytes": part.tokens * keys * SCORE / index.block,
            "flops": 2.0 * scored * index.width,
            "vector_ops": 3.0 * scored,
        },
    )
    if index.block > 1.0:
        # a few blocks for each query, by warps beside each other
        yield "index_top_k", pointwise(part.tokens * index.heads * keys / index.block, 3.0, SCORE, 0.0)
    else:
        yield "index_top_k", _choice(index, work, part)


def _choice(index: Index, work: Workload, part: Shard) -> dict[str, Number]:
    """Columns of the choice of keys by the queries that see more of them than are kept: a core for each query."""
    last = work.context / index.ratio
    if work.phase == "decode":
        queries, seen = part.tokens * ((last > index.top_k) * 1.0), last
    else:
        first = work.prefix / index.ratio
        bend = least(most(first, index.top_k), last)
        queries, seen = part.tokens * (last - bend) / (last - first), (bend + 1.0 + last) / 2.0
    return {
        "kind": types.CHAIN,
        "groups": queries,
        "n": 0.0,
        "m": 0.0,
        "k": CHOICE + LOOK * seen,
        "input_bytes": queries * seen * SCORE,
        "output_bytes": queries * index.top_k * SCORE,
        "vector_ops": 3.0 * queries * seen,
        "flops": 3.0 * queries * seen,
    }


def gathered_attention(part: Shard, heads: Number, widths: tuple[Number, Number], top_k: Number) -> dict[str, Number]:
    """Columns of prefill attention where each query gathers ``top_k`` keys of its own, as wide as the two numbers.

    The list of keys is as long where a query sees fewer.
    """
    queries, both = part.tokens * heads, widths[0] + widths[1]
    return {
        "kind": types.CHAIN,
        "groups": part.tokens * ceil(heads / GATHERED_HEADS),
        "n": 2.0 * GATHERED_HEADS * top_k * both,
        "m": top_k,
        "k": 0.0,
        "bits": HIGH_BITS,
        "input_bytes": queries * widths[0] * STREAM,
        "output_bytes": queries * widths[1] * STREAM,
        "flops": 2.0 * queries * top_k * both,
        "vector_ops": SOFTMAX_OPS * queries * top_k,
    }


def latent(kind: Latent, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), absorbed in decode.

    Where an indexer picks keys, prefill is absorbed as well: each query has keys of its own.
    """
    rank, rope, value = kind.kv_lora_rank, kind.qk_rope_dim, kind.v_head_dim
    heads = Heads(part.cut(kind.heads), 1.0, kind.qk_nope_dim + rope, value)
    query_input = kind.q_lora_rank or model.hidden
    yield "latent_projection", matmul(part.tokens, kind.q_lora_rank + rank + rope, model.hidden, part)
    yield "latent_norm", normed_again(part.tokens, kind.q_lora_rank + rank, part)
    yield "query_projection", matmul(part.tokens, heads.query * heads.key, query_input, part)
    yield from rotary_rows(part.tokens, heads.query * rope + rank + rope, rank + rope, part)
    if kind.top_k and not kind.shared_index:
        yield from _indexer(kind, model, work, part)
    keys, cache = mean_keys(work, kind.top_k), _latent_cache(kind, work, part)
    if part.decoding or kind.top_k:
        yield "absorb_keys", matmul(part.tokens, rank, kind.qk_nope_dim, part, groups=heads.query)
        if part.decoding:
            columns = absorbed_attention(part, heads.query, rank, rope, keys, cache[0])
            if kind.top_k:
                # a query's heads share its keys: tiles of heads, one for each new token
                columns |= {"groups": part.tokens, "m": heads.query, "weight_bytes": cache[0], "warm": 0.0}
        else:
            columns = gathered_attention(part, heads.query, (rank + rope, rank), kind.top_k)
            columns |= {"weight_bytes": part.sequences * work.context * (rank + rope) * part.kv}
        yield "attention", {**columns, "prefetch_bytes": cache[1]}
        yield "absorb_values", matmul(part.tokens, value, rank, part, groups=heads.query)
    else:
        tokens = part.sequences * work.context
        expanded = heads.query * (kind.qk_nope_dim + value)
        yield "expand_cache", matmul(tokens, expanded, rank, part, input_bytes=cache[0])
        yield "attention", expanded_attention(part, heads, keys, tokens, work.context)
    if kind.output_gate:
        yield "gate_projection", matmul(part.tokens, heads.query * value, model.hidden, part)
        yield "attention_gate", pointwise(part.tokens * heads.query * value, ROTARY_OPS, 2.0 * STREAM, part.handed)
    yield "output_projection", matmul(part.tokens, model.hidden, heads.query * value, part)
