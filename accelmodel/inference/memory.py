"""What a device must hold: weights, KV cache, states and activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accelmodel.inference.columns import STREAM, Shard, ceil_div, shard
from accelmodel.inference.kept import kept_by
from accelmodel.inference.layers import mixer_rows, mlp_rows
from accelmodel.inference.mixed import at_end, has_prompt, prompting
from accelmodel.inference.routing import held_share
from accelmodel.inference.speculation import draft_of, drafting, joined_weights
from accelmodel.inference.stages import Stage, stages
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, ceil, least, most
from accelmodel.specs.hardware import Device
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.layer_kinds import (
    Compressed,
    Dense,
    Experts,
    Grouped,
    Latent,
    Linear,
    Mixer,
    Mlp,
    Part,
    StateSpace,
)
from accelmodel.specs.parameters import parameters
from accelmodel.specs.workload import Workload

#: part of a layer that is rounding where a share of layers is a whole number
_ROUNDING = 1e-9


def usable_memory(device: Device, share: Number = 1.0) -> Number:
    """Return the bytes that weights, KV cache and activations may take [B].

    What driver and libraries keep is none of it; an engine that takes a ``share`` of the device takes no more.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> chip = load("device", "h200-sxm")
    >>> bool(usable_memory(chip) == chip.hbm.capacity - chip.hbm.reserved)
    True
    """
    memory = device.memory
    return least(most(memory.capacity - memory.reserved, 0.0), share * memory.capacity)


def memory_per_device(model: LanguageModel, work: Workload) -> dict[str, Number]:
    """Return the bytes that weights, KV cache and activations take on one device of the fullest pipeline stage [B].

    The table of the embedding lies on the first stage, that of the head on the last, tied ones on both.  Towers and
    what a model has beside its layers lie on the first stage, towers cut over tensor ranks, as vLLM and SGLang do, the
    rest whole on each device.  Activations are the widest
    operator's input and output, twice (one in flight).  Mixed kinds of layers alternate, so that a stage may have one
    more of the largest kind than its share; dense layers before mixtures of experts stand first.
    """
    whole, work = work, at_end(work)
    part = shard(model, work)
    table = part.vocabulary * model.hidden * part.at("tables").weight
    beside = (model.other_parameters + model.tower_parameters / work.tp) * STREAM
    sequences, kv_bits = ceil_div(work.batch, work.dp), 8.0 * part.kv
    kept = [(kind, sequences * kept_by(kind, kv_bits, work.tp).of(work.context)) for kind in mixers(model)]
    mixing, working = mixer_weights(model, work, part), mlp_weights(model, work, part)
    weights: Number = 0.0
    cache: Number = 0.0
    of_pipeline = stages(model.layers, least(work.pp, model.layers))
    # without a pipeline all three are one stage
    for stage in of_pipeline[:1] if isinstance(work.pp, float) and work.pp <= 1.0 else of_pipeline:
        tables = most(stage.opens, stage.closes) if model.tied_embeddings else stage.opens + stage.closes
        held = tables * table + stage.opens * beside + _on(stage, mixing, model) + _worked(stage, working, model)
        found = _on(stage, kept, model)
        fuller = (held + found > weights + cache) * 1.0
        weights = fuller * held + (1.0 - fuller) * weights
        cache = fuller * found + (1.0 - fuller) * cache
    activations = 2.0 * part.tokens * _widest(model, work, part) * STREAM
    return {"weights": weights, "kv_cache": cache, "activations": activations, **_beside(model, whole)}


def _on(stage: Stage, parts: Sequence[tuple[Part, Number]], model: LanguageModel) -> Number:
    """Return what kinds of layers take on a stage, given what one layer of each takes [B]."""
    share = stage.layers / model.layers
    rest = sum(kind.layers for kind, _ in parts)
    largest = max(range(len(parts)), key=lambda i: float(np.max(np.asarray(parts[i][1]))), default=0)
    if len(parts) < 2 or np.any(np.asarray(rest != model.layers)):
        # of one kind, or side by side in each layer
        return sum(kind.layers * share * each for kind, each in parts)
    kind, each = parts[largest]
    many = least(ceil(kind.layers * share - _ROUNDING), stage.layers)
    left = (stage.layers - many) / (model.layers - kind.layers)
    others = (other.layers * left * size for i, (other, size) in enumerate(parts) if i != largest)
    return many * each + sum(others)


def _worked(stage: Stage, parts: Sequence[tuple[Mlp, Number]], model: LanguageModel) -> Number:
    """Return the weights on a stage of what works on tokens alone [B]."""
    if not (model.dense_layers and model.experts):
        return _on(stage, parts, model)
    first = stage.of_first(model.dense_layers)
    return sum((first if isinstance(kind, Dense) else stage.layers - first) * each for kind, each in parts)


def _widest(model: LanguageModel, work: Workload, part: Shard) -> Number:
    """Return the numbers of a token that the widest operator of a device reads and writes [1]."""
    found: Number = 0.0
    for kind in (*mixers(model), *perceptrons(model)):
        found = most(found, _width(kind, work, part))
    return found + model.hidden


def _width(kind: Mixer | Mlp, work: Workload, part: Shard) -> Number:
    """Return the numbers of a token that a layer holds at its widest [1]."""
    if isinstance(kind, Grouped):
        return (part.cut(kind.heads) + 2.0 * part.cut(kind.kv_heads)) * kind.head_dim
    if isinstance(kind, Latent):
        return (part.cut(kind.heads) + 2.0 * part.cut(kind.heads)) * (kind.qk_nope_dim + kind.qk_rope_dim)
    if isinstance(kind, Compressed):
        return 2.0 * part.cut(kind.heads) * kind.head_dim
    if isinstance(kind, Dense):
        return 2.0 * part.cut(kind.width)
    if isinstance(kind, Experts):
        return 2.0 * most(kind.used * kind.width / work.tp, part.cut(kind.dense_width))
    if isinstance(kind, Linear):
        return 2.0 * part.cut(kind.value_heads) * (kind.key_dim + kind.value_dim)
    return 3.0 * part.cut(kind.inner if isinstance(kind, StateSpace) else kind.width)


def weight_bytes(model: LanguageModel, work: Workload) -> Number:
    """Return the bytes of all weights of a model at the precisions asked, what is no matrix at 16 bit [B].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> float(weight_bytes(load("model", "llama-3-8b"), Workload("decode", 1, 1))) / 8_030_261_248
    2.0
    """
    whole = replace(work, batch=1.0, tp=1.0, pp=1.0, ep=1.0, dp=1.0, redundant_experts=0.0)
    part = shard(model, whole)
    tables = model.vocabulary * model.hidden * (1.0 if model.tied_embeddings else 2.0)
    narrow = layer_weights(model, whole, part) + tables * part.at("tables").weight
    ones = replace(part, classes=dict.fromkeys(part.classes, (8.0, 8.0)))
    matrices = layer_weights(model, whole, ones.at("attention")) + tables
    return narrow + (parameters(model) + model.tower_parameters - matrices) * STREAM


def layer_weights(model: LanguageModel, work: Workload, part: Shard) -> Number:
    """Weights of all layers on one device, every held expert counted [B]."""
    parts = (*mixer_weights(model, work, part), *mlp_weights(model, work, part))
    return sum(kind.layers * each for kind, each in parts)


def mixer_weights(model: LanguageModel, work: Workload, part: Shard) -> list[tuple[Mixer, Number]]:
    """Weights on one device of one layer of each kind that mixes tokens, shared ones spread over their layers [B]."""
    found: list[tuple[Mixer, Number]] = []
    for mixer in mixers(model):
        rows = dict(mixer_rows(model, work, part, mixer))
        each = sum(columns["weight_bytes"] for columns in rows.values() if columns["kind"] in types.PRODUCTS)
        found.append((mixer, each * mixer.held / mixer.layers))
    return found


def mlp_weights(model: LanguageModel, work: Workload, part: Shard) -> list[tuple[Mlp, Number]]:
    """Weights on one device of one layer of each kind that works on tokens alone, as above [B].

    Every held expert is counted.
    """
    found: list[tuple[Mlp, Number]] = []
    for mlp in perceptrons(model):
        rows = dict(mlp_rows(model, work, part, mlp))
        each = sum(
            columns["weight_bytes"] * (_held_share(mlp, work, part) if name.startswith(ROUTED) else 1.0)
            for name, columns in rows.items()
            if name != "dispatch" and columns["kind"] in types.PRODUCTS
        )
        found.append((mlp, each * mlp.held / mlp.layers))
    return found


def expert_weights(model: LanguageModel, work: Workload) -> Number:
    """Return the bytes of routed experts on one device, of the pipeline stage that has most [B]."""
    part = shard(model, work)
    total: Number = 0.0
    for mlp in perceptrons(model):
        rows = (columns for name, columns in mlp_rows(model, work, part, mlp) if name.startswith(ROUTED))
        total = total + mlp.held * sum(row["weight_bytes"] for row in rows) * _held_share(mlp, work, part)
    return total * ceil_div(model.layers, least(work.pp, model.layers)) / model.layers


#: rows of the experts that a router picks
ROUTED = ("expert_up", "expert_down")


def _held_share(kind: Mlp, work: Workload, part: Shard) -> Number:
    if not isinstance(kind, Experts):
        return 1.0
    return held_share(kind, work, part)


def _beside(model: LanguageModel, work: Workload) -> dict[str, Number]:
    """Return the bytes that a draft takes, and a prompt beside the sequences of a step; nothing where there is none."""
    found: dict[str, Number] = {}
    if has_prompt(work):
        parts = memory_per_device(model, prompting(work))
        found["prompt"] = (work.prefill_tokens > 0.0) * (parts["kv_cache"] + parts["activations"])
    draft = draft_of(model, work)
    if draft is not None:
        # of all micro-batches, which pass through the last stage
        later = replace(drafting(draft, work)[1], batch=work.batch, context=work.context + work.speculative)
        parts = memory_per_device(draft.model, later)
        own = joined_weights(draft.model, shard(draft.model, later)) if draft.head else 0.0
        found["draft"] = (work.speculative > 0.0) * (parts["weights"] + own + parts["kv_cache"])
    return found


def draft_bytes(model: LanguageModel, context: float, work: Workload) -> tuple[float, float]:
    """Return the bytes on one device of a draft's weights, and of its KV cache for a sequence of a context [B]."""
    alone, full = (_beside(model, replace(work, context=each)).get("draft", 0.0) for each in (1.0, 1.0 + context))
    return float(alone), float(full - alone)
