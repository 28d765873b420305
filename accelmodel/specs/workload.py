"""What is asked of a cluster in one step."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required, TypeAlias, TypedDict

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.errors import unknown
from accelmodel.laws.exchange import EXCHANGES
from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG
from accelmodel.specs.formats import format_of
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.quantities import (
    Count,
    CountOrNone,
    Quantity,
    Values,
)

#: all tokens of each sequence, one new token of each, or one of each beside a part of a prompt
Phase: TypeAlias = Literal["prefill", "decode", "mixed"]
PHASES = ("prefill", "decode", "mixed")


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
    weight_bits: Values | str
    activation_bits: Values | str
    kv_bits: Values | str
    prefill_tokens: Values
    speculative: Values
    acceptance: Values
    # str | LanguageModel; so that fields that are all numbers may be passed as a mapping
    draft: Any
    redundant_experts: Values
    imbalance: Values
    two_batch: Values
    exchange: Values
    images: Values
    image_patches: Values
    audio_seconds: Values


class Cut(TypedDict, total=False):
    """How a model is cut and at which precisions it runs: those fields of a ``Workload``."""

    tp: Values
    pp: Values
    ep: Values
    dp: Values
    weight_bits: Values | str
    activation_bits: Values | str
    kv_bits: Values | str
    redundant_experts: Values
    imbalance: Values
    two_batch: Values
    exchange: Values


class Drafted(Cut, total=False):
    """The same, with what drafts."""

    speculative: Values
    acceptance: Values
    draft: Any


@dataclass(frozen=True, config=CONFIG)
class Workload:
    """What is asked of a cluster in one step.

    Attributes
    ----------
    phase : {"prefill", "decode", "mixed"}
        ``mixed`` is decode beside ``prefill_tokens`` of a prompt (chunked prefill: Sarathi-Serve, arXiv 2403.02310).
    batch : float
        Sequences in the step, over all data-parallel ranks and pipeline stages [1].
    context : float
        Tokens each sequence has when the step ends [token].
    prefix : float
        Tokens of each prompt whose KV is already there (chunked prefill) [token].
    prefill_tokens : float
        Of a mixed step: tokens of prompts beside the sequences of ``batch``, over all data-parallel ranks and pipeline
        stages as that is, of one prompt on each of them [token].
    speculative : float
        Tokens that are drafted for each sequence and verified beside its next one, of decode and mixed steps [token].
    acceptance : float
        Share of drafted tokens that are taken, of those whose predecessors all were [1].
    draft : str or LanguageModel
        What drafts: ``"mtp"``, the model's own modules that predict further tokens; ``"eagle"``, a layer over the
        model's last one; ``"n-gram"``, which costs nothing; else a model.  The default is ``"mtp"`` where the model has
        such modules, else ``"eagle"``.
    tp, pp, ep, dp : float
        Degrees of tensor, pipeline and expert parallelism and of data-parallel attention [1].
    weight_bits, activation_bits, kv_bits : float
        Precisions [bit]; 0, the default, is what the model's file states, 16 where it states none.
    weight_format, activation_format : str
        How such numbers are written, a name of ``specs.formats.FORMATS``; empty, the default, is what the model's file
        states at those bits, or what the chip is fastest at.
    redundant_experts : float
        Copies of experts that a layer has beside its experts, over all ranks of expert parallelism [1].
    imbalance : float
        Tokens that come to the experts of the busiest rank, relative to the mean; 1, the default, is balanced, 0 what
        routing at random gives [1].
    two_batch : float
        1 where two halves of the batch take turns: what is sent for one is hidden behind what is computed for the other
        (two-batch overlap); 0 by default [1].
    exchange : float
        Kernels that send tokens to experts: 1 of low latency, 2 normal ones, 3 of low latency over the network alone;
        0, the default, is of low latency in decode and normal in prefill [1].
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
    weight_format: str = ""
    activation_format: str = ""
    prefill_tokens: CountOrNone = 0.0
    speculative: CountOrNone = 0.0
    acceptance: Annotated[Number, Quantity("1", ge=0.0, le=1.0)] = 0.0
    draft: str | LanguageModel = ""
    redundant_experts: CountOrNone = 0.0
    imbalance: Annotated[Number, Quantity("1", ge=1.0, le=1e3, or_zero=True)] = 1.0
    two_batch: Annotated[Number, Quantity("1", ge=0.0, le=1.0)] = 0.0
    exchange: Annotated[Number, Quantity("1", ge=0.0, le=float(len(EXCHANGES)))] = 0.0
    images: CountOrNone = 0.0
    image_patches: CountOrNone = 0.0
    audio_seconds: Annotated[Number, Quantity("s", ge=0.0, le=1e6)] = 0.0

    def __post_init__(self) -> None:
        for word in filter(None, (self.weight_format, self.activation_format)):
            format_of(word)
        for name, low in _LEAST.items():
            bits = getattr(self, name)
            if np.any((np.asarray(bits) > 0.0) & (np.asarray(bits) < low)):
                raise ValueError(f"{name} {float(np.min(np.asarray(bits))):g} must be at least {low:g} bit")
            if np.any(np.asarray(bits) == 0.0) and np.any(np.asarray(bits)):
                raise ValueError(f"{name} is 0, what the model's file states, beside bits; give bits at all points")
        if self.phase not in PHASES:
            raise unknown("phase", self.phase, PHASES)
        for name, said in (("two_batch", "0 or 1"), ("exchange", "0, 1 (low-latency), 2 (normal) or 3 (network)")):
            if np.any(np.asarray(getattr(self, name)) % 1.0):
                raise ValueError(f"{name} must be {said}")


#: fewest bits that are modelled
_LEAST = {"weight_bits": 1.0, "activation_bits": 4.0, "kv_bits": 1.0}
