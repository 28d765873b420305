"""What all models of one ``model_type`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accelmodel.specs.huggingface import adjust
from accelmodel.specs.huggingface.keys import Keys
from accelmodel.specs.huggingface.layers import Layers, Traits, attentions, plain

Reader = Callable[[Keys, Traits, int], Layers]


@dataclass(frozen=True)
class Family:
    """What all models of one ``model_type`` have in common.

    Attributes
    ----------
    fixed : dict
        What no key of the file changes: fields of ``LanguageModel``, and traits of its layers.
    flags : dict
        Trait → key of the file that holds it.
    defaults : dict
        Key of the file → value where the file is silent; the hub leaves out what equals the class default.
    window : {"none", "all", "last", "pattern"}
        Layers with a sliding window where no ``layer_types`` are listed: none, all, those from
        ``max_window_layers`` on, or all but every ``sliding_window_pattern``-th.
    by_kind : dict
        Kind of layer → size → key that holds it for that kind alone.
    tied : bool
        Whether input and output embeddings are one matrix where the file is silent.
    learned, offset : bool, int
        Whether positions are learned, and rows of their table that are never used.
    stretched : bool
        Whether linear RoPE scaling extends ``max_position_embeddings``.
    mixing, mlps : function
        What each layer has to mix tokens, and to work on each alone.
    further : function
        Further traits that depend on several keys.
    other : function
        Parameters beside the layers.
    only : dict
        Key → the one value that is modelled; a file with another is refused.
    ignored : tuple of str
        Keys that are known and left out; ``note`` says what that means.
    beside : tuple of str
        Keys that tell of parts in the files, such as towers, whose size the config does not say.
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    window: str = "none"
    by_kind: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tied: bool = False
    learned: bool = False
    offset: int = 0
    stretched: bool = True
    mixing: Reader = attentions
    mlps: Reader = plain
    further: Callable[[Keys], dict[str, Any]] = adjust.nothing
    other: Callable[[Keys, int], float] = adjust.no_other
    only: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    note: str = ""


ATTENTION_BIAS = {"qkv_bias": "attention_bias", "output_bias": "attention_bias"}
QKV_BIAS = {"qkv_bias": "attention_bias"}
USE_BIAS = {"qkv_bias": "use_bias", "output_bias": "use_bias", "mlp_bias": "use_bias"}
ALL_BIASES = {"qkv_bias": True, "output_bias": True, "mlp_bias": True}
CLASSIC = {"norm": "layer", "gated": False}
NORMED = {"qk_norm": True}
FOUR_NORMS = {"norms_per_layer": 4.0}
