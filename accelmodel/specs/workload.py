"""What is asked of a cluster in one step."""

from __future__ import annotations

from typing import Annotated, Literal, Required, TypeAlias, TypedDict

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.errors import unknown
from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG
from accelmodel.specs.quantities import (
    Count,
    CountOrNone,
    Quantity,
    Values,
)

#: one new token of each sequence, or all of them
Phase: TypeAlias = Literal["prefill", "decode"]


class Fields(TypedDict, total=False):
    """What a ``Workload`` is made from; see there."""

    phase: Required[Phase]
    batch: Required[Values]
    context: Required[Values]
    prefix: Values
    tp: Values
    pp: Values
    ep: Values
    dp: Values
    weight_bits: Values
    activation_bits: Values
    kv_bits: Values
    images: Values
    image_patches: Values
    audio_seconds: Values


class Cut(TypedDict, total=False):
    """How a model is cut and at which precisions it runs: those fields of a ``Workload``."""

    tp: Values
    pp: Values
    ep: Values
    dp: Values
    weight_bits: Values
    activation_bits: Values
    kv_bits: Values


@dataclass(frozen=True, config=CONFIG)
class Workload:
    """What is asked of a cluster in one step.

    Attributes
    ----------
    phase : {"prefill", "decode"}
    batch : float
        Sequences in the step, over all data-parallel ranks and pipeline stages [1].
    context : float
        Tokens each sequence has when the step ends [token].
    prefix : float
        Tokens of each prompt whose KV is already there (chunked prefill) [token].
    tp, pp, ep, dp : float
        Degrees of tensor, pipeline and expert parallelism and of data-parallel attention [1].
    weight_bits, activation_bits, kv_bits : float
        Precisions [bit]; 0, the default, is what the model's file states, 16 where it states none.
    images, image_patches, audio_seconds : float
        Images of each sequence and patches of one [1], sound of each sequence [s], for the model's towers in prefill;
        the tokens that come of them are part of ``context``.

    Examples
    --------
    >>> Workload("decode", batch=4, context=4096, tp=8, kv_bits=8.0).kv_bits
    8.0
    """

    phase: str
    batch: Count
    context: Count
    prefix: CountOrNone = 0.0
    tp: Count = 1.0
    pp: Count = 1.0
    ep: Count = 1.0
    dp: Count = 1.0
    weight_bits: Annotated[Number, Quantity("1", ge=0.0, le=64.0)] = 0.0
    activation_bits: Annotated[Number, Quantity("1", ge=0.0, le=64.0)] = 0.0
    kv_bits: Annotated[Number, Quantity("1", ge=0.0, le=64.0)] = 0.0
    images: CountOrNone = 0.0
    image_patches: CountOrNone = 0.0
    audio_seconds: Annotated[Number, Quantity("s", ge=0.0, le=1e6)] = 0.0

    def __post_init__(self) -> None:
        for name, low in _LEAST.items():
            bits = getattr(self, name)
            if np.any((np.asarray(bits) > 0.0) & (np.asarray(bits) < low)):
                raise ValueError(f"{name} {float(np.min(np.asarray(bits))):g} must be at least {low:g} bit")
        if self.phase not in ("prefill", "decode"):
            raise unknown("phase", self.phase, ("prefill", "decode"))


#: fewest bits that are modelled
_LEAST = {"weight_bits": 1.0, "activation_bits": 4.0, "kv_bits": 1.0}
