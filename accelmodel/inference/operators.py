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
from accelmodel.inference.columns import (
    HIGH_BITS,
    SAMPLE_OPS,
    STREAM,
    Shard,
    collective,
    matmul,
    norm,
    pointwise,
    shard,
)
from accelmodel.inference.layers import least_kv_heads, mixer_rows, mixing, mlp_rows, query_heads, transforming
from accelmodel.inference.mlps import exchange
from accelmodel.inference.named import ModelLike, WorkLike, as_model, as_workload
from accelmodel.inference.towers import tower_rows
from accelmodel.laws import types
from accelmodel.laws.numeric import Number
from accelmodel.laws.types import Operator
from accelmodel.specs.language_model import LanguageModel, perceptrons
from accelmodel.specs.layer_kinds import Experts
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
    sparse = [layers.part for layers in transforming(model) if isinstance(layers.part, Experts)]
    routed = sum(each.layers for each in sparse) / model.layers
    if not routed or not _any(work.dp > 1.0):
        yield "", "all_reduce", 1.0, reduction
        return
    if routed < 1.0:
        yield "", "all_reduce", 1.0 - routed, reduction
    yield "_after_experts", "combine", routed, exchange(sparse[0], model, work, part, types.REDUCE_SCATTER, reduction)


def _rows(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Yield (name, count, columns) in graph order."""
    stream = part.tokens * model.hidden * STREAM
    reduction = collective(types.ALL_REDUCE, stream, work.tp)
    yield from tower_rows(model, work, part)
    yield "embedding", 1.0, pointwise(part.tokens * model.hidden, 1.0, STREAM, STREAM)
    for suffix, kind in mixing(model):
        for after, opener, share, columns in _openers(model, work, part):
            yield f"{opener}_into_attention{suffix}{after}", kind.layers * share, columns
            for name, columns in mixer_rows(model, work, part, kind):
                yield name + suffix + after, kind.layers * share, columns
    for suffix, kind in transforming(model):
        if not model.parallel:
            yield f"all_reduce_into_mlp{suffix}", kind.layers, reduction
        for name, columns in mlp_rows(model, work, part, kind):
            yield name + suffix, kind.layers, columns
    last = part.sequences
    spanned = 1.0 + (work.pp > 1.0) * (work.tp * work.dp * work.pp - 1.0)
    yield "stage_transfer", work.pp * (work.pp > 1.0), collective(types.POINT_TO_POINT, stream, spanned)
    yield "all_reduce_into_head", 1.0, reduction
    yield "head_norm", 1.0, norm(model, part)
    head_bytes = part.vocabulary * model.hidden * part.at("tables").weight
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
    heads, kv_heads = query_heads(model), least_kv_heads(model)
    if _any(work.tp > heads):
        raise SpecError(f"tp above the {heads:g} heads of {model.name}; choose at most that many")
    if _any(work.pp > model.layers):
        raise SpecError(f"pp above the {model.layers:g} layers of {model.name}; choose at most that many")
    routed = [kind.experts for kind in perceptrons(model) if isinstance(kind, Experts)]
    if not routed and _any(work.ep > 1.0):
        raise SpecError(f"{model.name} has no experts: ep must be 1")
    for experts in routed:
        if _any(experts % work.ep) or _any(group % work.ep):
            raise SpecError(f"ep must divide both the {experts:g} experts of {model.name} and tp x dp")
    if model.max_context and _any(work.context > model.max_context):
        limit = f"context exceeds the {model.max_context:g} tokens {model.name} was trained for; timed all the same"
    else:
        limit = ""
    notes = [limit, _tower_note(model, work)]
    notes.extend(_left_out(model))
    if _any(heads % work.tp):
        notes.append(f"{heads:g} query heads padded up to a multiple of tp; the busiest device is timed")
    if kv_heads and _any(kv_heads % work.tp):
        notes.append(f"{kv_heads:g} KV heads replicated or padded over tp devices")
    return tuple(note for note in notes if note)


def _tower_note(model: LanguageModel, work: Workload) -> str:
    """Return whether the time of a model's towers is in the answer."""
    if not _any(model.tower_parameters > 0.0):
        return ""
    held = f"towers of {float(model.tower_parameters) / 1e9:.3g} billion parameters are counted in memory"
    if work.phase != "prefill":
        return f"{held}; they do not run in {work.phase}"
    asked = _any(work.images) or _any(work.audio_seconds)
    return f"{held}, cut over tp, and what was asked of them in time" if asked else f"{held} and not in time"


def _left_out(model: LanguageModel) -> list[str]:
    """Return what to know where a model's lists tell of fewer layers than it has, which some models do on purpose."""
    told = {
        "[[attention]]": sum(kind.layers for kind in model.attention),
        "[[mlp]]": sum(kind.layers for kind in model.mlp),
    }
    if _any(sum(told.values()) == model.layers):
        return []  # each layer is one block
    return [
        f"{table} tells of {layers:g} of {model.layers:g} layers; the others have none"
        for table, layers in told.items()
        if layers and _any(layers < model.layers)
    ]


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
    into_attention = [i for i, name in enumerate(names) if name.startswith("all_reduce_into_attention")]
    into_mlp = [names.index(f"all_reduce_into_mlp{suffix}") for suffix in _by_layers(model) if not model.parallel]
    after_mixer, after_mlp = (into_mlp or into_attention)[:1], into_attention[:1]
    feeds = {}
    for name in names:
        if after_mixer and name.startswith("output_projection"):
            feeds[name] = float(after_mixer[0])
        if after_mlp and name.startswith(("mlp_down", "expert_down")):
            feeds[name] = float(after_mlp[0])
    return feeds


def _by_layers(model: LanguageModel) -> list[str]:
    """Return the suffixes of what works on each token, what most layers have first."""
    parts = sorted(transforming(model), key=lambda layers: -float(np.max(np.asarray(layers.part.layers))))
    return [layers.suffix for layers in parts]
