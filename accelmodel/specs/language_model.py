"""The shape of a decoder-only transformer."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.errors import unknown
from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG, Spec
from accelmodel.specs.layer_kinds import (
    MIXERS,
    MLPS,
    Dense,
    Experts,
    Grouped,
    Latent,
    Mixer,
    Mlp,
    StateSpace,
)
from accelmodel.specs.precision import Precision
from accelmodel.specs.quantities import (
    Count,
    CountOrNone,
    Quantity,
)
from accelmodel.specs.tower import TOWERS, Tower


@dataclass(frozen=True, config=CONFIG)
class LanguageModel(Spec):
    """Shape of a decoder-only transformer.  Zero means that the model has no such part.

    Multi-head latent attention is told by ``kv_lora_rank > 0``, mixture of experts by ``experts > 0``.
    ``window`` is the reach of sliding-window layers [token] and ``window_layers`` their number.

    Attributes
    ----------
    layers, hidden, vocabulary, heads, kv_heads, head_dim, ffn
        Sizes of the network [1]; ``ffn`` of its dense layers.
    gated, norm, norms_per_layer, qk_norm, tied_embeddings, learned_positions …
        What its layers are made of.
    experts, experts_per_token, expert_ffn, shared_experts, shared_expert_ffn, dense_layers
        Of a mixture of experts [1].
    expert_groups, expert_groups_per_token
        Groups of experts, and those out of which a token's experts are chosen; 1 and 1, out of all [1].
    q_lora_rank, kv_lora_rank, qk_rope_dim, qk_nope_dim, v_head_dim
        Of latent attention [1].
    max_context, window, window_layers
        Tokens it was trained for and reach of its windows [token], layers that have one [1].
    parallel
        Whether attention and mlp of a layer work on the same input, side by side, and are summed together.
    attention, mlp
        Kinds of layers with sizes of their own (``specs.layer_kinds``), where those above do not tell them.
    precision
        Bits of weights by class, of activations and of the KV cache, as its files state them (``Precision``).
    predictors
        Modules that predict further tokens beside the next (multi-token prediction), a layer each [1]; counted only
        where they draft.
    other_parameters
        Parameters of the model beside these layers, such as embeddings of each layer [1].
    tower_parameters
        Parameters of a vision or audio tower, which lie in memory and are not counted as the model's [1].
    tower
        Shapes of towers (``specs.tower``), as far as a file tells them: what their time is found by.
    published_parameters
        As its makers count them [1]; nothing is computed from it.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> load("model", "llama-3-8b").layers
    32.0
    """

    layers: Count
    hidden: Count
    vocabulary: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    ffn: CountOrNone
    gated: bool
    norm: str = "rms"
    norms_per_layer: Count = 2.0
    qk_norm: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    attention_sinks: bool = False
    tied_embeddings: bool = False
    learned_positions: CountOrNone = 0.0
    position_offset: CountOrNone = 0.0
    max_context: CountOrNone = 0.0
    experts: CountOrNone = 0.0
    experts_per_token: CountOrNone = 0.0
    expert_ffn: CountOrNone = 0.0
    shared_experts: CountOrNone = 0.0
    shared_expert_ffn: CountOrNone = 0.0
    dense_layers: CountOrNone = 0.0
    router_bias: bool = False
    expert_bias: bool = False
    window: CountOrNone = 0.0
    window_layers: CountOrNone = 0.0
    q_lora_rank: CountOrNone = 0.0
    kv_lora_rank: CountOrNone = 0.0
    qk_rope_dim: CountOrNone = 0.0
    qk_nope_dim: CountOrNone = 0.0
    v_head_dim: CountOrNone = 0.0
    parallel: bool = False
    precision: Precision = Precision()
    attention: tuple[Mixer, ...] = field(default=(), metadata={"parts": MIXERS})
    mlp: tuple[Mlp, ...] = field(default=(), metadata={"parts": MLPS})
    predictors: CountOrNone = 0.0
    tower: tuple[Tower, ...] = field(default=(), metadata={"parts": TOWERS})
    other_parameters: Annotated[Number, Quantity(ge=0.0, le=1e15)] = 0.0
    tower_parameters: Annotated[Number, Quantity(ge=0.0, le=1e15)] = 0.0
    expert_groups: Count = 1.0
    expert_groups_per_token: Count = 1.0
    published_parameters: Annotated[Number, Quantity(ge=0.0, le=1e15)] = 0.0

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads:g} must be a multiple of kv_heads {self.kv_heads:g}")
        for part, whole in (("window_layers", "layers"), ("dense_layers", "layers"), ("experts_per_token", "experts")):
            if getattr(self, part) > getattr(self, whole):
                raise ValueError(f"{part} {getattr(self, part):g} exceeds {whole} {getattr(self, whole):g}")
        if self.expert_groups_per_token > self.expert_groups or self.experts % self.expert_groups:
            raise ValueError(
                f"expert_groups {self.expert_groups:g} must divide experts {self.experts:g} and be at least "
                f"expert_groups_per_token {self.expert_groups_per_token:g}"
            )
        for part, needs in (
            ("window_layers", ("window",)),
            ("experts", ("experts_per_token", "expert_ffn")),
            ("kv_lora_rank", ("qk_rope_dim", "qk_nope_dim", "v_head_dim")),
            ("shared_experts", ("shared_expert_ffn",)),
        ):
            for name in needs:
                if np.any(np.asarray(getattr(self, part))) and not np.all(np.asarray(getattr(self, name))):
                    raise ValueError(f"{part} needs {name}; give it")
        for part in ("attention", "mlp"):
            kinds = getattr(self, part)
            most = float(np.max(np.asarray(self.layers)))
            told = [float(np.max(np.asarray(kind.layers))) for kind in kinds]
            # what stands beside a state space that every layer has
            beside = [count for count, kind in zip(told, kinds, strict=True) if not _everywhere(kind, count, most)]
            # kinds side by side in every layer have all of them each
            if sum(beside) > most and any(count != most for count in told):
                raise ValueError(f"[[{part}]] tells of {sum(told):g} layers, and the model has {self.layers:g}")
        for kind in (*self.attention, *self.mlp):
            if np.any(np.asarray(kind.copies) > np.asarray(kind.layers)):
                raise ValueError(f"copies {kind.copies:g} exceeds layers {kind.layers:g} of a {kind.kind!r} part")
        if self.attention and (self.window_layers or self.kv_lora_rank):
            raise ValueError("window_layers and kv_lora_rank tell what [[attention]] tells too; leave them out")
        if self.mlp and self.experts:
            raise ValueError("experts tells what [[mlp]] tells too; leave it out")
        if self.norm not in ("rms", "layer"):
            raise unknown("norm", self.norm, ("rms", "layer"))


def _everywhere(kind: Mixer | Mlp, count: float, layers: float) -> bool:
    """Whether a part is a state space that every layer of a model has."""
    return isinstance(kind, StateSpace) and count == layers


def mixers(model: LanguageModel) -> tuple[Mixer, ...]:
    """Return what mixes tokens in the layers of a model: its own list, or what its sizes tell.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> [(kind.kind, kind.layers) for kind in mixers(load("model", "gpt-oss-120b"))]
    [('full', 18.0), ('window', 18.0)]
    """
    if model.attention:
        return model.attention
    biases = {"qkv_bias": model.qkv_bias, "output_bias": model.output_bias}
    if model.kv_lora_rank:
        sizes = {name: getattr(model, name) for name in _LATENT}
        return (Latent("latent", model.layers, **sizes, **biases),)
    sizes = {"heads": model.heads, "kv_heads": model.kv_heads, "head_dim": model.head_dim}
    traits = {**biases, "qk_norm": model.qk_norm, "sinks": model.attention_sinks}
    found = []
    if (full := model.layers - model.window_layers) > 0.0:
        found.append(Grouped("full", full, **sizes, **traits))
    if model.window_layers:
        found.append(Grouped("window", model.window_layers, **sizes, **traits, window=model.window))
    return tuple(found)


def perceptrons(model: LanguageModel) -> tuple[Mlp, ...]:
    """Return what works on each token in the layers of a model: its own list, or what its sizes tell.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> [(kind.kind, kind.layers) for kind in perceptrons(load("model", "deepseek-v3"))]
    [('dense', 3.0), ('experts', 58.0)]
    """
    if model.mlp:
        return model.mlp
    found: list[Mlp] = []
    plain = model.dense_layers if model.experts else model.layers
    if plain and model.ffn:
        found.append(Dense("dense", plain, model.ffn, model.gated, model.mlp_bias))
    if model.experts:
        routed = Experts(
            "experts",
            model.layers - plain,
            model.experts,
            model.experts_per_token,
            model.expert_ffn,
            model.gated,
            model.shared_experts,
            model.shared_expert_ffn,
            router_bias=model.router_bias,
            bias=model.expert_bias,
            groups=model.expert_groups,
            used_groups=model.expert_groups_per_token,
        )
        found.append(routed)
    return tuple(found)


_LATENT = ("heads", "kv_lora_rank", "qk_rope_dim", "qk_nope_dim", "v_head_dim", "q_lora_rank")
