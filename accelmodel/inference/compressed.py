"""Rows of attention on compressed keys (DeepSeek-V4): a window of tokens, and keys that stand for several before it."""

from __future__ import annotations

from collections.abc import Iterator

from accelmodel.inference.attention import INDEX_BITS, Index, absorbed_attention, index_scores
from accelmodel.inference.columns import STREAM, Row, Shard, matmul, pointwise
from accelmodel.inference.keys import kv_tokens, last_keys, mean_keys
from accelmodel.inference.rowwise import ROTARY_OPS, normed_again, rotary_rows
from accelmodel.laws.numeric import Number, least
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Compressed
from accelmodel.specs.workload import Workload


def compressed(kind: Compressed, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Attention whose heads share one key a token, which is its value; every tensor rank holds all keys."""
    heads, width, rank = part.cut(kind.heads), kind.head_dim, kind.q_lora_rank
    yield "latent_projection", matmul(part.tokens, rank + width, model.hidden, part)
    yield "latent_norm", normed_again(part.tokens, rank + width, part)
    yield "query_projection", matmul(part.tokens, heads * width, rank, part)
    series = 2.0 if kind.top_k else 1.0
    if kind.ratio:
        yield "compress_keys", matmul(part.tokens, 2.0 * series * width, model.hidden, part)
        yield "compress", pointwise(part.tokens * series * width, ROTARY_OPS, 2.0 * STREAM, part.kv / kind.ratio)
    yield from rotary_rows(part.tokens, (heads + 1.0) * width, width, part)
    if kind.top_k:
        yield from _index(kind, model, work, part, series)
    keys, read, old = seen(kind, work)
    columns = absorbed_attention(part, heads, width, 0.0, keys, part.sequences * read * width * part.kv)
    rows = columns["m"] if part.decoding else part.new_tokens * heads
    longest = 0.0 if part.decoding else _last(kind, work)
    old_bytes = part.sequences * old * width * part.kv
    yield "attention", {**columns, "m": rows, "longest": longest, "prefetch_bytes": old_bytes}
    groups = part.cut(kind.groups)
    yield "output_groups", matmul(part.tokens, kind.output_rank, heads * width / groups, part, groups=groups)
    yield "output_projection", matmul(part.tokens, model.hidden, groups * kind.output_rank, part)


def seen(kind: Compressed, work: Workload) -> tuple[Number, Number, Number]:
    """Return keys per query, keys that one sequence reads, and how many of them were there before the step."""
    near = (mean_keys(work, kind.window), *kv_tokens(work, kind.window))
    if not kind.ratio:
        return near
    far = tuple(tokens / kind.ratio for tokens in (mean_keys(work, 0.0), *kv_tokens(work, 0.0)))
    if kind.top_k:
        picked = least(far[0], kind.top_k)
        # each query of a prefill picks keys of its own
        read = far[1] if work.phase == "prefill" else least(far[1], kind.top_k * (1.0 + work.speculative))
        far = (picked, read, least(far[2], read))
    return near[0] + far[0], near[1] + far[1], near[2] + far[2]


def _last(kind: Compressed, work: Workload) -> Number:
    """Return the keys that the last query sees."""
    near = last_keys(work, kind.window)
    if not kind.ratio:
        return near
    far = work.context / kind.ratio
    return near + (least(far, kind.top_k) if kind.top_k else far)


def _index(kind: Compressed, model: LanguageModel, work: Workload, part: Shard, series: float) -> Iterator[Row]:
    """An indexer that scores compressed keys of its own."""
    width = kind.index_heads * kind.index_dim
    yield "index_query", matmul(part.tokens, width, kind.q_lora_rank, part)
    yield "index_key", matmul(part.tokens, 2.0 * series * kind.index_dim + kind.index_heads, model.hidden, part)
    read, old = kv_tokens(work, 0.0)
    per_token = kind.index_dim * INDEX_BITS / 8.0 / kind.ratio
    cache = (part.sequences * read * per_token, part.sequences * old * per_token)
    index = Index(kind.index_heads, kind.index_dim, 1.0, kind.top_k, kind.ratio)
    yield from index_scores(index, cache, work, part)
