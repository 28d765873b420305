"""The operator table: what one device does in one step, as rows of numbers.

Rows stand in graph order and each collective stands before the operators that wait for it, so that a
collective and the rows up to the next one are a PRESERVE window.  ``all_reduce_into_attention`` is the
reduction that ends the layer before (or the embedding); layers alike are one set of rows with a count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference import routing
from accelmodel.inference.columns import (
    STREAM,
    Shard,
    anywhere,
    ceil_div,
    collective,
    matmul,
    pointwise,
    prompt_tokens,
    shard,
)
from accelmodel.inference.layers import mixing, mlp_rows, query_heads, step_mixer_rows, transforming
from accelmodel.inference.memory import ROUTED
from accelmodel.inference.mixed import decoding, has_prompt
from accelmodel.inference.mlps import combine, returned
from accelmodel.inference.named import ModelLike, WorkLike, as_model, as_workload
from accelmodel.inference.precisions import in_words, precisions
from accelmodel.inference.rowwise import LOOKED_UP, SAMPLE_OPS, norm_rows, rowwise, softmax
from accelmodel.inference.speculation import DRAFT, NEXT, check_phase, draft_notes, draft_rows
from accelmodel.inference.stages import pace
from accelmodel.inference.towers import tower_rows
from accelmodel.inference.uneven import uneven
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, most
from accelmodel.laws.types import Operator
from accelmodel.specs.hardware import Device
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Experts
from accelmodel.specs.workload import Workload

#: field of ``laws.types.Operator`` → value
Columns: TypeAlias = dict[str, Number]


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
        How the model was cut and at which precisions it works, where that matters.
    precision : list of dict
        At which precisions it works, class of weights by class of weights (``precisions.precisions``).
    """

    names: tuple[str, ...]
    columns: dict[str, list[Number]]
    notes: tuple[str, ...] = ()
    precision: list[dict[str, Any]] = field(default_factory=list)


def _openers(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, Number, dict[str, Columns]]]:
    """Yield (suffix, share of layers, collective → columns) of what stands before attention.

    The all-reduce of the layer before; after experts of data-parallel ranks, the exchange that brings tokens back and
    what tensor ranks have to gather or sum then.
    """
    reduction = collective(types.ALL_REDUCE, part.tokens * model.hidden * STREAM, work.tp)
    sparse = [layers.part for layers in transforming(model) if isinstance(layers.part, Experts)]
    routed = sum(each.layers for each in sparse) / model.layers
    if not routed or not anywhere(work.dp > 1.0):
        yield "", 1.0, {"all_reduce": reduction}
        return
    if routed < 1.0:
        yield "", 1.0 - routed, {"all_reduce": reduction}
    yield (
        "_after_experts",
        routed,
        {"combine": combine(sparse[0], model, work, part), "tensor_ranks": returned(model, work, part)},
    )


def _rows(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Yield (name, count, columns) in graph order."""
    stream = part.tokens * model.hidden * STREAM
    reduction = collective(types.ALL_REDUCE, stream, work.tp)
    turns = 1.0 + work.two_batch
    sequences = ceil_div(part.sequences, turns)
    half = replace(part, sequences=sequences, tokens=sequences * part.new_tokens + ceil_div(prompt_tokens(work), turns))
    within = collective(types.ALL_REDUCE, half.tokens * model.hidden * STREAM, work.tp)
    yield from tower_rows(model, work, part)
    yield "embedding", 1.0, rowwise(part.tokens, model.hidden, 1.0, (STREAM, STREAM, 0.0), sweeps=LOOKED_UP)
    for suffix, kind in mixing(model):
        for after, share, openers in _openers(model, work, half):
            count = kind.layers * share * turns
            for opener, columns in openers.items():
                yield f"{opener}_into_attention{suffix}{after}", count, columns
            for name, present, columns in step_mixer_rows(model, work, half, kind):
                yield name + suffix + after, count * present, _beside(columns, work) if after else columns
    for suffix, kind in transforming(model):
        if not model.parallel:
            yield f"all_reduce_into_mlp{suffix}", kind.layers * turns, within
        for name, columns in mlp_rows(model, work, half, kind):
            apart = _beside(columns, work) if isinstance(kind, Experts) else columns
            yield name + suffix, kind.layers * turns, apart
    last = part.logits
    spanned = 1.0 + (work.pp > 1.0) * (work.tp * work.dp * work.pp - 1.0)
    yield "stage_transfer", work.pp * (work.pp > 1.0), collective(types.POINT_TO_POINT, stream, spanned)
    yield "all_reduce_into_head", 1.0, reduction
    for name, columns in norm_rows("head", model, part):
        yield name, 1.0, columns
    yield "head", 1.0, matmul(last, part.vocabulary, model.hidden, part.at("tables"))
    yield "all_gather_logits", 1.0, collective(types.ALL_GATHER, last * model.vocabulary * STREAM, work.tp)
    if part.runs_apart("softmax"):
        yield "sampling_softmax", 1.0, softmax(last, model.vocabulary, 2.0 * STREAM)
    yield "sampling", 1.0, pointwise(last * model.vocabulary, SAMPLE_OPS, STREAM, 0.0)


def _beside(columns: Columns, work: Workload) -> Columns:
    """Return an operator that runs while the other half of the batch is sent, where halves take turns."""
    computes = np.all(np.asarray(columns["kind"]) < types.COLLECTIVE)
    return {**columns, "lane": types.COMPUTING * work.two_batch} if computes else columns


def check(model: LanguageModel, work: Workload) -> tuple[str, ...]:
    """Return notes on how the model is cut; raise SpecError where it cannot be."""
    if work.phase != "mixed" and anywhere(work.prefix >= work.context):
        raise SpecError("prefix must be below context: nothing is left to compute; lower prefix [token]")
    if work.phase == "decode" and anywhere(work.prefix > 0.0):
        raise SpecError("prefix is of a prefill: in a decode step all tokens but the last are there; leave it out")
    check_phase(work)
    heads = query_heads(model)
    if anywhere(work.tp > heads):
        raise SpecError(f"tp above the {heads:g} heads of {model.name}; choose at most that many")
    if anywhere(work.pp > model.layers):
        raise SpecError(f"pp above the {model.layers:g} layers of {model.name}; choose at most that many")
    spread = routing.check(model, work, shard(model, work))
    last = work.prefix + prompt_tokens(work) if work.phase == "mixed" else 0.0
    if model.max_context and anywhere(most(work.context, last) > model.max_context):
        limit = f"context exceeds the {model.max_context:g} tokens {model.name} was trained for; timed all the same"
    else:
        limit = ""
    about = [_tower_note(model, work), *spread, *_left_out(model), *uneven(model, work), *draft_notes(model, work)]
    notes = [limit, *about]
    return tuple(note for note in notes if note)


def _tower_note(model: LanguageModel, work: Workload) -> str:
    """Return whether the time of a model's towers is in the answer."""
    if not anywhere(model.tower_parameters > 0.0):
        return ""
    held = f"towers of {float(model.tower_parameters) / 1e9:.3g} billion parameters are counted in memory"
    if work.phase != "prefill":
        return f"{held}; they do not run in {work.phase}"
    asked = anywhere(work.images) or anywhere(work.audio_seconds)
    return f"{held}, cut over tp, and what was asked of them in time" if asked else f"{held} and not in time"


def _left_out(model: LanguageModel) -> list[str]:
    """Return what to know where a model's lists tell of fewer layers than it has, which some models do on purpose."""
    told = {
        "[[attention]]": sum(kind.layers for kind in model.attention),
        "[[mlp]]": sum(kind.layers for kind in model.mlp),
    }
    if anywhere(sum(told.values()) == model.layers):
        return []  # each layer is one block
    return [
        f"{table} tells of {layers:g} of {model.layers:g} layers; the others have none"
        for table, layers in told.items()
        if layers and anywhere(layers < model.layers)
    ]


def operator_table(
    model: ModelLike, work: WorkLike, device: Device | None = None, unfused: Iterable[str] = ()
) -> OperatorTable:
    """Return the operator table of one step on the busiest device.

    Parameters
    ----------
    model : str or LanguageModel
    work : Workload or mapping
        Its numeric fields may be labelled axes; the columns then carry them.
    device : Device, optional
        What works on it: formats that it has no matrix unit for are widened.  Without it none is.
    unfused : iterable of str
        Kernels that run apart, of ``specs.cloud.FUSED``: what an engine's ``unfused`` says; none where left out.

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
    micro-batch through all stages, or as many through the busiest of them where that is more: the steady time between
    two tokens of a sequence.
    Routing of experts is uniform unless ``imbalance`` says otherwise: optimistic for skewed routers.

    Examples
    --------
    >>> table = operator_table("llama-3-8b", {"phase": "decode", "batch": 4, "context": 2048, "tp": 2})
    >>> table.names[:3]
    ('embedding', 'all_reduce_into_attention', 'attention_norm')
    """
    model, work = as_model(model), as_workload(work)
    notes = check(model, work)
    work = work if has_prompt(work) else decoding(work)
    cut = partial(shard, compute=device.compute if device is not None else None, unfused=tuple(unfused))
    rows = [*_paced(list(_rows(model, work, cut(model, work))), model, work), *draft_rows(model, work, _rows, cut)]
    names = tuple(name for name, _, _ in rows)
    columns: dict[str, list[Number]] = {column: [] for column in Operator._fields}
    feeds = _feeds(names, model)
    if anywhere(work.dp > 1.0):
        # what experts of data-parallel ranks made is brought back, not reduced
        feeds = {name: into for name, into in feeds.items() if not name.startswith("expert_down")}
    for name, count, given in rows:
        row = {
            **Operator._field_defaults,
            **given,
            "count": count * given.get("count", 1.0),
            "feeds": feeds.get(name, -1.0),
        }
        row["experts"] = float(name.removeprefix(DRAFT).removeprefix(NEXT).startswith(ROUTED))
        for column in columns:
            columns[column].append(row[column])
    found = precisions(model, work, device)
    return OperatorTable(names, columns, (*notes, *in_words(found, model, work, device)), found)


#: the last row before the layers, that between the stages, and from which on rows follow the layers
_OPENING, _BETWEEN, _CLOSING = "embedding", "stage_transfer", "all_reduce_into_head"


def _paced(
    rows: list[tuple[str, Number, dict[str, Number]]], model: LanguageModel, work: Workload
) -> list[tuple[str, Number, dict[str, Number]]]:
    """Return the rows with counts at the pace of the busiest pipeline stage.

    Busy is a decode step by the bytes that matmuls and attention touch, a prefill by their operations.
    """
    if not anywhere(work.pp > 1.0):
        return rows
    measures = ("flops",) if work.phase == "prefill" else ("weight_bytes", "input_bytes", "output_bytes")
    names = [name for name, _, _ in rows]
    begin, end = names.index(_OPENING), names.index(_CLOSING)
    places = [0 if i < end else 2 for i in range(len(rows))]
    loads: list[Number] = [0.0, 0.0, 0.0]
    for i, (name, count, columns) in enumerate(rows):
        if i <= begin or name == _BETWEEN:
            places[i] = 1 if i <= begin else 3
        if i != begin and name != _BETWEEN:
            loads[places[i]] = loads[places[i]] + count * sum(columns.get(measure, 0.0) for measure in measures)
    goes = (*pace(model.layers, work.pp, ceil_div(work.batch, work.dp), (loads[0], loads[1], loads[2])), 1.0)
    return [(name, count * goes[place], columns) for (name, count, columns), place in zip(rows, places, strict=True)]


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
