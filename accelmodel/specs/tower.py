"""Vision and audio towers beside a language model: transformers on patches, whose outcome joins its stream."""

from __future__ import annotations

from typing import Annotated

from pydantic.dataclasses import dataclass

from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG
from accelmodel.specs.layer_kinds import Part
from accelmodel.specs.quantities import Count, CountOrNone, Quantity


@dataclass(frozen=True, config=CONFIG)
class Tower(Part):
    """Transformer on patches of an image, or on frames of sound, where every patch sees all others.

    ``inputs`` are numbers of a patch that its embedding takes, ``inner`` the width of its perceptrons, ``gate`` whether
    these are gated.  ``patch`` is the edge of a patch and ``image`` that of an image [pixel], 0 for sound or where the
    model takes any.  In ``window_layers`` a patch sees ``window`` patches.  ``merged`` patches become a token of
    ``outer`` numbers.  Sound has ``frames`` patches a second, and its segments ``window`` of them.
    """

    hidden: Count
    attention_heads: Count
    inner: Count
    inputs: Count
    outer: Count
    attention_dim: CountOrNone = 0.0
    gate: bool = False
    merged: Annotated[Number, Quantity(ge=1.0, le=1e6)] = 1.0
    patch: CountOrNone = 0.0
    image: CountOrNone = 0.0
    window: CountOrNone = 0.0
    window_layers: CountOrNone = 0.0
    frames: Annotated[Number, Quantity(ge=0.0, le=1e6)] = 0.0

    def __post_init__(self) -> None:
        if self.window_layers > self.layers:
            raise ValueError(f"window_layers {self.window_layers:g} exceeds layers {self.layers:g}")
        if self.kind == "vision" and not self.patch:
            raise ValueError("a vision tower needs patch; give it")
        if self.kind == "audio" and not self.frames:
            raise ValueError("an audio tower needs frames; give it")

    @property
    def width(self) -> Number:
        """Numbers of all heads of a query [1]."""
        found: Number = self.attention_heads * (self.attention_dim or self.hidden / self.attention_heads)
        return found


#: kind of ``[[tower]]`` → what it holds
TOWERS = {"vision": Tower, "audio": Tower}
