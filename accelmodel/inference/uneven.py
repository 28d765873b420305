"""Degrees that do not divide what they cut: which device is the busiest, and what engines say of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from accelmodel.inference.columns import anywhere, ceil_div
from accelmodel.laws.numeric import Number, most
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.layer_kinds import (
    Compressed,
    Convolution,
    Dense,
    Experts,
    Grouped,
    Latent,
    Linear,
    Mixer,
    Mlp,
    Recurrent,
    StateSpace,
)
from accelmodel.specs.workload import Workload

#: vLLM pads tables to a multiple of this before it cuts them (VocabParallelEmbedding)
_PADDED = 64.0


def uneven(model: LanguageModel, work: Workload) -> list[str]:
    """Return what to know where a degree does not divide what it cuts: how it is timed, and whether vLLM would refuse.

    vLLM refuses a tensor degree that does not divide heads, columns or the padded vocabulary; it replicates KV heads
    where the degree is a multiple of their number, and takes pipeline stages of different length.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> uneven(load("model", "llama-3-70b"), Workload("decode", 1.0, 1024.0, tp=16.0))
    ['8 KV heads replicated over tp 16 devices, as engines do']
    """
    notes = []
    refused: dict[str, list[str]] = {}
    for amount, what in dict.fromkeys(_cut(model, work)):
        for tp in _values(work.tp, amount % work.tp):
            refused.setdefault(tp, []).append(f"{_shown(amount)} {what}")
    for kv_heads in dict.fromkeys(_kv_heads(model)):
        more = work.tp > kv_heads
        short = more * (work.tp % kv_heads) + (1.0 - more) * (kv_heads % work.tp)
        for tp in _values(work.tp, short):
            refused.setdefault(tp, []).append(f"{_shown(kv_heads)} KV heads")
        if copied := _values(work.tp, more * (short == 0.0)):
            notes.append(f"{_shown(kv_heads)} KV heads replicated over tp {', '.join(copied)} devices, as engines do")
    for tp, parts in refused.items():
        notes.append(
            f"tp {tp} does not divide {', '.join(parts)}: vLLM would refuse it; the busiest device is timed, padded up"
        )
    if pp := _values(work.pp, model.layers % work.pp):
        longest = ", ".join(sorted({f"{float(ceil_div(model.layers, float(each))):g}" for each in pp}))
        layers = f"pp {', '.join(pp)} does not divide the {_shown(model.layers)} layers"
        notes.append(f"{layers}: the longest stage has {longest}")
    if _values(work.batch, work.batch % (work.dp * work.pp)):
        notes.append("dp x pp does not divide the batch; the busiest device is timed")
    return notes


def _cut(model: LanguageModel, work: Workload) -> Iterator[tuple[Number, str]]:
    """Yield what tensor parallelism cuts, but for KV heads, and its name."""
    yield _PADDED * ceil_div(model.vocabulary, _PADDED), "rows of the padded vocabulary"
    for mixer in mixers(model):
        yield from _of_mixer(mixer)
    for mlp in perceptrons(model):
        yield from _of_mlp(mlp, work)


def _of_mixer(kind: Mixer) -> Iterator[tuple[Number, str]]:
    if isinstance(kind, Grouped | Latent | Compressed):
        yield kind.heads, "query heads"
    if isinstance(kind, Compressed):
        yield kind.groups, "groups of heads"
    if isinstance(kind, Linear):
        yield kind.key_heads, "key heads of linear attention"
        yield kind.value_heads, "value heads of linear attention"
    if isinstance(kind, StateSpace):
        yield (kind.inner, "channels of a state space") if kind.step_rank else (kind.heads, "heads of a state space")
    if isinstance(kind, Recurrent | Convolution):
        yield kind.width, "channels of a recurrence" if isinstance(kind, Recurrent) else "channels of a convolution"


def _of_mlp(kind: Mlp, work: Workload) -> Iterator[tuple[Number, str]]:
    if isinstance(kind, Dense):
        yield kind.width, "columns of the mlp"
    if isinstance(kind, Experts):
        if not anywhere(work.ep > 1.0):
            yield kind.width, "columns of an expert"
        if kind.shared:
            yield kind.shared * kind.shared_width, "columns of the shared expert"
        if kind.dense_width:
            yield kind.dense_width, "columns of the mlp"


def _kv_heads(model: LanguageModel) -> Iterator[Number]:
    """Yield KV heads, and groups of state spaces, which engines replicate alike."""
    for kind in mixers(model):
        if isinstance(kind, Grouped):
            yield kind.kv_heads


def _values(of: Number, where: Number) -> list[str]:
    """Return as text the values of a field at the points where something is not 0."""
    if not anywhere(where != 0.0):
        return []
    values, hit = np.broadcast_arrays(np.asarray(of, float), np.asarray(where, float) != 0.0)
    return [f"{value:g}" for value in np.unique(values[hit])]


def _shown(amount: Number) -> str:
    return f"{float(np.max(np.asarray(most(amount, 0.0)))):g}"
