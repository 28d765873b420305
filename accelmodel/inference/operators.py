"""The operator table: what one device does in one step, as rows of numbers.

Rows stand in graph order and each collective stands before the operators that wait for it, so that a
collective and the rows up to the next one are a PRESERVE window.  ``all_reduce_into_attention`` is the
reduction that ends the layer before (or the embedding); layers alike are one set of rows with a count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.layers import (
    HIGH_BITS,
    SAMPLE_OPS,
    STREAM,
    Shard,
    attention_rows,
    collective,
    exchange,
    layer_kinds,
    matmul,
    mlp_rows,
    norm,
    pointwise,
    shard,
)
from accelmodel.inference.named import ModelLike, WorkLike, as_model, as_workload
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, most
from accelmodel.laws.types import Operator
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Workload


@dataclass(frozen=True)
class OperatorTable:
    """Rows of a step.

    Attributes
    ----------
    names : tuple of str
        Of the rows, in graph order.
    columns : dict
        Field of ``laws.types.Operator`` → value of each row: a float, or a DataArray over axes of the workload.
    notes : tuple of str
        How the model was cut, where that matters.
    """

    names: tuple[str, ...]
    columns: dict[str, list[Number]]
    notes: tuple[str, ...] = ()


def _openers(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, str, Number, dict[str, Number]]]:
    """Yield (suffix, collective, share of layers, columns) of what stands before attention.

    The all-reduce of the layer before; after experts of data-parallel ranks, the exchange that brings tokens back.
    """
    reduction = collective(types.ALL_REDUCE, part.tokens * model.hidden * STREAM, work.tp)
    routed = sum(layers for _, layers, experts in layer_kinds(model)[1] if experts) / model.layers
    if not routed or not _any(work.dp > 1.0):
        yield "", "all_reduce", 1.0, reduction
        return
    if routed < 1.0:
        yield "", "all_reduce", 1.0 - routed, reduction
    yield "_after_experts", "combine", routed, exchange(model, work, part, types.REDUCE_SCATTER, reduction)


def _rows(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Yield (name, count, columns) in graph order."""
    stream = part.tokens * model.hidden * STREAM
    reduction = collective(types.ALL_REDUCE, stream, work.tp)
    attention, mlp = layer_kinds(model)
    yield "embedding", 1.0, pointwise(part.tokens * model.hidden, 1.0, STREAM, STREAM)
    for kind, layers, window in attention:
        for after, opener, share, columns in _openers(model, work, part):
            yield f"{opener}_into_attention{kind}{after}", layers * share, columns
            for name, columns in attention_rows(model, work, part, window):
                yield name + kind + after, layers * share, columns
    for suffix, layers, experts in mlp:
        yield f"all_reduce_into_mlp{suffix}", layers, reduction
        for name, columns in mlp_rows(model, work, part, experts):
            yield name + suffix, layers, columns
    last = part.sequences
    spanned = 1.0 + (work.pp > 1.0) * (work.tp * work.dp * work.pp - 1.0)
    yield "stage_transfer", work.pp * (work.pp > 1.0), collective(types.POINT_TO_POINT, stream, spanned)
    yield "all_reduce_into_head", 1.0, reduction
    yield "head_norm", 1.0, norm(model, part)
    head_bytes = part.vocabulary * model.hidden * most(work.weight_bits, HIGH_BITS) / 8.0
    yield (
        "head",
        1.0,
        matmul(
            last,
            part.vocabulary,
            model.hidden,
            part,
            bits=HIGH_BITS,
            weight_bytes=head_bytes,
            prefetch_bytes=head_bytes,
        ),
    )
    yield "all_gather_logits", 1.0, collective(types.ALL_GATHER, last * model.vocabulary * STREAM, work.tp)
    yield "sampling", 1.0, pointwise(last * model.vocabulary, SAMPLE_OPS, STREAM, 0.0)


def _any(condition: Any) -> bool:
    return bool(np.any(np.asarray(condition)))


def check(model: LanguageModel, work: Workload) -> tuple[str, ...]:
    """Return notes on how the model is cut; raise SpecError where it cannot be."""
    group = work.tp * work.dp
    if _any(work.prefix >= work.context):
        raise SpecError("prefix must be below context: nothing is left to compute; lower prefix [token]")
    if work.phase == "decode" and _any(work.prefix > 0.0):
        raise SpecError("prefix is of a prefill: in a decode step all tokens but the last are there; leave it out")
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


def operator_table(model: ModelLike, work: WorkLike) -> OperatorTable:
    """Return the operator table of one step on the busiest device.

    Parameters
    ----------
    model : str or LanguageModel
    work : Workload or mapping
        Its numeric fields may be labelled axes; the columns then carry them.

    Returns
    -------
    OperatorTable
        One row per operator and kind of layer: per-invocation columns of ``laws.types.Operator``;
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

    Examples
    --------
    >>> table = operator_table("llama-3-8b", {"phase": "decode", "batch": 4, "context": 2048, "tp": 2})
    >>> table.names[:3]
    ('embedding', 'all_reduce_into_attention', 'attention_norm')
    """
    model, work = as_model(model), as_workload(work)
    notes = check(model, work)
    part = shard(model, work)
    rows = list(_rows(model, work, part))
    names = tuple(name for name, _, _ in rows)
    columns: dict[str, list[Number]] = {column: [] for column in Operator._fields}
    feeds = _feeds(names, model)
    for name, count, given in rows:
        row = {**Operator._field_defaults, **given, "count": count, "feeds": feeds.get(name, -1.0)}
        for column in columns:
            columns[column].append(row[column])
    return OperatorTable(names, columns, notes)


def _feeds(names: tuple[str, ...], model: LanguageModel) -> dict[str, float]:
    """Return, for each matmul that an all-reduce sums up, the row of an all-reduce of that message."""
    _, mlp = layer_kinds(model)
    into_mlp = names.index(f"all_reduce_into_mlp{max(mlp, key=lambda kind: kind[1])[0]}")
    reductions = [i for i, name in enumerate(names) if name.startswith("all_reduce_into_attention")]
    feeds = {name: float(into_mlp) for name in names if name.startswith("output_projection")}
    for name in names:
        if reductions and name.startswith(("mlp_down", "expert_down")):
            feeds[name] = float(reductions[0])
    return feeds
