"""Rows of the layers of a model: a kind is a data class (``specs.layer_kinds``) and a line in a dict here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from accelmodel.inference import attention, compressed, mlps, state_mixers
from accelmodel.inference.columns import Row, Shard, prompt_tokens
from accelmodel.inference.mixed import decoding, has_prompt, parts, prompting, together
from accelmodel.inference.rowwise import norm_rows, rounding_rows
from accelmodel.laws.numeric import Number
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
    Part,
    Recurrent,
    StateSpace,
)
from accelmodel.specs.workload import Workload

Rows = Callable[[Any, LanguageModel, Workload, Shard], Iterator[Row]]

#: what mixes tokens → its rows
MIXERS: dict[type[Part], Rows] = {
    Grouped: attention.grouped,
    Latent: attention.latent,
    Compressed: compressed.compressed,
    Linear: state_mixers.linear,
    StateSpace: state_mixers.state_space,
    Recurrent: state_mixers.recurrent,
    Convolution: state_mixers.convolution,
}
#: what works on each token → its rows
MLPS: dict[type[Part], Rows] = {Dense: mlps.dense, Experts: mlps.experts}
#: kinds whose rows have no suffix, each the plain one of its list
_PLAIN = ("full", "latent", "dense")


class Layers(NamedTuple):
    """Some layers of a model that are alike: the suffix of their rows, and what they have."""

    suffix: str
    part: Any


def _suffixed(parts: tuple[Any, ...], former: dict[str, str]) -> list[Layers]:
    """Return parts with suffixes that tell them apart: the kind, and a number from the second one of it on."""
    found: list[Layers] = []
    seen: dict[str, int] = {}
    for part in parts:
        seen[part.kind] = seen.get(part.kind, 0) + 1
        word = "" if part.kind in _PLAIN else f"_{former.get(part.kind, part.kind.replace('-', '_'))}"
        found.append(Layers(f"{word}_{seen[part.kind]}" if seen[part.kind] > 1 else word, part))
    return found


def mixing(model: LanguageModel) -> list[Layers]:
    """Return what mixes tokens in a model, in the order of its rows."""
    return _suffixed(mixers(model), {})


def transforming(model: LanguageModel) -> list[Layers]:
    """Return what works on each token in a model, in the order of its rows."""
    return _suffixed(perceptrons(model), {"experts": "moe"})


def step_mixer_rows(
    model: LanguageModel, work: Workload, part: Shard, kind: Mixer
) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Yield (name, share of the count, columns) of a layer that mixes tokens, of a mixed step both its parts."""
    if not has_prompt(work):
        yield from ((name, 1.0, columns) for name, columns in mixer_rows(model, work, part, kind))
        return
    asked = zip((decoding(work), prompting(work)), parts(part), strict=True)
    decode, prompt = (list(mixer_rows(model, each, own, kind)) for each, own in asked)
    yield from together(decode, prompt, (prompt_tokens(work) > 0.0) * 1.0)


def mixer_rows(model: LanguageModel, work: Workload, part: Shard, kind: Mixer) -> Iterator[Row]:
    """Return the rows of a layer that mixes tokens, norm included."""
    yield from norm_rows("attention", model, part)
    yield from rounding_rows(MIXERS[type(kind)](kind, model, work, part), part)


def mlp_rows(model: LanguageModel, work: Workload, part: Shard, kind: Mlp) -> Iterator[Row]:
    """Return the rows of a layer that works on each token, norm included."""
    if not model.parallel:
        yield from norm_rows("mlp", model, part)
    yield from rounding_rows(MLPS[type(kind)](kind, model, work, part), part)


def kv_elements(kind: Mixer) -> Number:
    """Return numbers that a layer's cache keeps of a token, an indexer's keys left out [1]."""
    if isinstance(kind, Latent):
        return kind.kv_lora_rank + kind.qk_rope_dim
    if isinstance(kind, Compressed):
        return kind.head_dim / kind.ratio if kind.ratio else kind.head_dim
    if isinstance(kind, Grouped) and not (kind.shared_kv or kind.cross_tokens):
        return kind.kv_heads * (kind.head_dim + (kind.value_dim or kind.head_dim))
    return 0.0


def query_heads(model: LanguageModel) -> Number:
    """Return the fewest heads that any kind of layer has: no more tensor ranks than that can share it [1]."""
    return min(_heads(kind) for kind in mixers(model))


def _heads(kind: Mixer) -> Number:
    """Return over how many parts of its own a layer can be cut [1]."""
    parts = {Linear: "value_heads", StateSpace: "inner", Recurrent: "blocks", Convolution: "width"}
    found: Number = getattr(kind, parts.get(type(kind), "heads"))
    return found
