"""Kinds of layers: what mixes the tokens of a sequence, and what works on each token alone.

A model is a list of such parts, each with the number of layers that have it and with sizes of its own.  In a model's
file they are tables ``[[attention]]`` and ``[[mlp]]`` with a ``kind``; what a table leaves out is that of the model.
A kind is a data class here and a line in ``MIXERS`` or ``MLPS``; what it asks of a device is in ``inference.mixers``.
"""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG
from accelmodel.specs.quantities import Count, CountOrNone


@dataclass(frozen=True, config=CONFIG)
class Part:
    """What some layers of a model have: its ``kind``, and how many ``layers`` have it.

    ``copies`` of them have weights of their own, which the others use again (0: all of them).
    """

    kind: str
    layers: Count
    copies: CountOrNone = field(default=0.0, kw_only=True)

    @property
    def held(self) -> Number:
        """Layers whose weights lie in memory [1]."""
        return self.copies or self.layers


def _needs(part: Part, by_kind: dict[str, tuple[str, ...]]) -> None:
    """Raise ValueError where a part lacks a size that tells its kind, or has one of another kind."""
    for name in by_kind.get(part.kind, ()):
        if not getattr(part, name):
            raise ValueError(f"a layer of kind {part.kind!r} needs {name}; give it")
    for name in {name for names in by_kind.values() for name in names} - set(by_kind.get(part.kind, ())):
        if getattr(part, name):
            raise ValueError(f"{name} {getattr(part, name):g} does not belong to a layer of kind {part.kind!r}")


@dataclass(frozen=True, config=CONFIG)
class Grouped(Part):
    """Attention whose query heads share keys and values in groups (Ainslie et al., arXiv 2305.13245).

    ``window`` is the reach of a query [token], 0 for all; of kind ``chunked`` it sees its own chunk of as many tokens,
    of kind ``block-sparse`` an indexer picks blocks of ``top_k`` tokens in all for each query.  ``value_dim`` 0 is
    ``head_dim``; with a ``q_lora_rank`` queries are two matrices with a norm between.  Layers with ``shared_kv`` read
    the cache of another layer and have none, layers where ``keys_are_values`` have no projection of values; layers of
    ``cross_tokens`` attend to as many tokens of a second sequence.  ``whole_norm`` says that norms of queries and keys
    span all heads, ``head_gate`` that a number a head gates its output.  ``inputs`` is the width that queries, keys
    and values are projected from, 0 for that of the stream.
    """

    heads: Count
    kv_heads: Count
    head_dim: Count
    value_dim: CountOrNone = 0.0
    q_lora_rank: CountOrNone = 0.0
    window: CountOrNone = 0.0
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: bool = False
    whole_norm: bool = False
    sinks: bool = False
    output_gate: bool = False
    head_gate: bool = False
    keys_are_values: bool = False
    shared_kv: bool = False
    cross_tokens: CountOrNone = 0.0
    top_k: CountOrNone = 0.0
    index_heads: CountOrNone = 0.0
    index_dim: CountOrNone = 0.0
    inputs: CountOrNone = 0.0

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads:g} must be a multiple of kv_heads {self.kv_heads:g}")
        index = ("top_k", "index_heads", "index_dim")
        _needs(self, {"window": ("window",), "chunked": ("window",), "cross": ("cross_tokens",), "block-sparse": index})

    @property
    def chunked(self) -> bool:
        """Whether a query sees its own chunk of ``window`` tokens, and not the tokens before it."""
        return self.kind == "chunked"


@dataclass(frozen=True, config=CONFIG)
class Latent(Part):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    With ``top_k`` an indexer of ``index_heads`` heads of ``index_dim`` picks as many keys for each query
    (DeepSeek-V3.2, sparse attention); with ``shared_index`` the keys that the indexer of a layer before has picked.
    ``output_gate`` says that a projection as wide as the values gates them, ``head_gate`` that a number a head does.
    """

    heads: Count
    kv_lora_rank: Count
    qk_rope_dim: CountOrNone
    qk_nope_dim: Count
    v_head_dim: Count
    q_lora_rank: CountOrNone = 0.0
    qkv_bias: bool = False
    output_bias: bool = False
    top_k: CountOrNone = 0.0
    index_heads: CountOrNone = 0.0
    index_dim: CountOrNone = 0.0
    shared_index: bool = False
    output_gate: bool = False
    head_gate: bool = False
    sinks: bool = False

    def __post_init__(self) -> None:
        _needs(self, {"sparse": ("top_k", "index_heads", "index_dim")})


@dataclass(frozen=True, config=CONFIG)
class Compressed(Part):
    """Attention on one key a token that is its value too, and on keys that stand for ``ratio`` tokens (DeepSeek-V4).

    All heads share them: those of a ``window`` as they are, those before it compressed, of which an indexer may pick
    ``top_k``.  With ``ratio`` 0 there is the window alone.  Outputs are projected in ``groups`` of heads to
    ``output_rank`` each, then to the stream.
    """

    heads: Count
    head_dim: Count
    q_lora_rank: Count
    output_rank: Count
    groups: Count
    window: Count
    ratio: CountOrNone = 0.0
    top_k: CountOrNone = 0.0
    index_heads: CountOrNone = 0.0
    index_dim: CountOrNone = 0.0
    sinks: bool = True

    def __post_init__(self) -> None:
        if self.top_k and not (self.index_heads and self.index_dim and self.ratio):
            raise ValueError(f"top_k {self.top_k:g} needs index_heads, index_dim and ratio; give them")


@dataclass(frozen=True, config=CONFIG)
class Linear(Part):
    """Linear attention: each head keeps a matrix of ``key_dim`` by ``value_dim`` and no token.

    Lightning attention (MiniMax-01, arXiv 2501.08313), gated DeltaNet (arXiv 2412.06464) and Kimi delta attention
    (arXiv 2510.26692) differ in how they forget: ``decay`` numbers a key head (0: fixed), in the rank of that
    projection where it has one, and in the ``convolution`` over so many tokens before it.
    """

    key_heads: Count
    value_heads: Count
    key_dim: Count
    value_dim: Count
    convolution: CountOrNone = 0.0
    decay: CountOrNone = 1.0
    decay_rank: CountOrNone = 0.0
    gate_rank: CountOrNone = 0.0
    delta: bool = True
    output_gate: bool = True


@dataclass(frozen=True, config=CONFIG)
class StateSpace(Part):
    """Selective state space: Mamba-2 (arXiv 2405.21060), or Mamba (arXiv 2312.00752) with a ``step_rank``.

    ``inner`` channels in ``heads`` heads, each channel with ``state`` numbers that are kept, ``groups`` of heads that
    share what is written and read, a ``convolution`` over so many tokens before it.
    """

    inner: Count
    state: Count
    heads: CountOrNone = 0.0
    groups: Count = 1.0
    convolution: CountOrNone = 4.0
    step_rank: CountOrNone = 0.0
    projection_bias: bool = False
    gated_norm: bool = True


@dataclass(frozen=True, config=CONFIG)
class Recurrent(Part):
    """Gated linear recurrence of ``width`` channels in ``blocks`` (RG-LRU, Griffin, arXiv 2402.19427)."""

    width: Count
    blocks: Count
    convolution: CountOrNone = 4.0


@dataclass(frozen=True, config=CONFIG)
class Convolution(Part):
    """Short gated convolution of ``width`` channels over ``convolution`` tokens (LFM2)."""

    width: Count
    convolution: Count = 3.0
    projection_bias: bool = False


@dataclass(frozen=True, config=CONFIG)
class Dense(Part):
    """Perceptron of ``width``, gated (SwiGLU, arXiv 2002.05202) or not.

    With ``receptance`` a matrix of the stream's width gates its output (channel mixing of RWKV, arXiv 2305.13048).
    """

    width: Count
    gated: bool = True
    bias: bool = False
    receptance: bool = False


@dataclass(frozen=True, config=CONFIG)
class Experts(Part):
    """Mixture of ``experts`` of ``width`` each, ``used`` by a token, beside ``shared`` ones that all tokens use.

    ``dense_width`` is that of a perceptron that stands beside the experts in the same layer; ``latent`` the width to
    which tokens are projected before the experts, 0 for none.  Experts stand in ``groups``, and those of a token are
    chosen out of ``used_groups`` of them, 1 and 1 out of all.
    """

    experts: Count
    used: Count
    width: Count
    gated: bool = True
    shared: CountOrNone = 0.0
    shared_width: CountOrNone = 0.0
    shared_gate: bool = False
    router_bias: bool = False
    bias: bool = False
    dense_width: CountOrNone = 0.0
    latent: CountOrNone = 0.0
    groups: Count = 1.0
    used_groups: Count = 1.0

    def __post_init__(self) -> None:
        if np.any(np.asarray(self.used_groups) > np.asarray(self.groups)):
            raise ValueError(f"used_groups {self.used_groups:g} exceeds groups {self.groups:g}")
        if np.any(np.asarray(self.experts) % np.asarray(self.groups)):
            raise ValueError(f"groups {self.groups:g} must divide experts {self.experts:g}")
        if np.any(np.asarray(self.used) > np.asarray(self.experts)):
            raise ValueError(f"used {self.used:g} exceeds experts {self.experts:g}")


Mixer: TypeAlias = Grouped | Latent | Compressed | Linear | StateSpace | Recurrent | Convolution
Mlp: TypeAlias = Dense | Experts

#: kind of ``[[attention]]`` → what it holds
MIXERS: dict[str, type[Mixer]] = {
    "full": Grouped,
    "window": Grouped,
    "chunked": Grouped,
    "cross": Grouped,
    "latent": Latent,
    "sparse": Latent,
    "block-sparse": Grouped,
    "compressed": Compressed,
    "linear": Linear,
    "state-space": StateSpace,
    "recurrent": Recurrent,
    "convolution": Convolution,
}
#: kind of ``[[mlp]]`` → what it holds
MLPS: dict[str, type[Mlp]] = {"dense": Dense, "experts": Experts}
