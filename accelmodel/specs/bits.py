"""At which precision a model works: what a workload asks, else what the model's files state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.laws.numeric import Number, has_axes, least, most
from accelmodel.specs.formats import Words, Worked, plain_bits, worked
from accelmodel.specs.hardware import Compute
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.precision import HIGH
from accelmodel.specs.workload import Workload

#: precision of a workload → what the model's file says of it
OWN = {"weight_bits": "weights", "activation_bits": "activations", "kv_bits": "kv"}


def plain(model: LanguageModel) -> bool:
    """Return whether a model's file states no precision below 16 bit."""
    own = model.precision
    return bool(own.weights >= HIGH and own.kv >= HIGH)


def told(models: Sequence[LanguageModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the precisions behind an answer: those given, else what the models' files say, a list where they differ.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> told([load("model", "llama-3-8b")], {"kv_bits": 8.0})
    {'weight_bits': 16.0, 'activation_bits': 16.0, 'kv_bits': 8.0}
    """
    found: dict[str, Any] = {}
    for name, field in OWN.items():
        if _asked(given.get(name, 0.0)):
            found[name] = given[name]
            continue
        wide = name == "activation_bits" and _asked(given.get("weight_bits", 0.0))
        own = [HIGH if wide else getattr(model.precision, field) for model in models]
        found[name] = own[0] if all(bits == own[0] for bits in own) else own
    return found


def _asked(bits: Number) -> bool:
    """Whether a workload says a precision; 0 leaves it to the model's file."""
    return bool(has_axes(bits) or np.any(np.asarray(bits) > 0.0))


def weight_bits(model: LanguageModel, work: Workload, of: str) -> Number:
    """Return the bits of a class of weights: those of the workload, else those of the model's file [bit].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> float(weight_bits(load("model", "llama-3-8b"), Workload("decode", 1, 128, weight_bits=4.0), "tables"))
    16.0
    """
    if _asked(work.weight_bits):
        return most(work.weight_bits, HIGH) if of == "tables" else work.weight_bits
    own: Number = getattr(model.precision, of)
    if has_axes(own) or own:
        return own
    return HIGH if of in ("router", "tables") else model.precision.weights


def activation_bits(model: LanguageModel, work: Workload, of: str) -> Number:
    """Return the bits that a class works at; where its weights are as wide as the widest, so is its work [bit]."""
    if _asked(work.activation_bits):
        return work.activation_bits
    if _asked(work.weight_bits):
        return HIGH
    own: Number = getattr(model.precision, f"{of}_activations", 0.0)
    active = own if has_axes(own) or own else model.precision.activations
    weights = weight_bits(model, work, of)
    return most(active, HIGH) if _wide(model, of) else most(active, least(plain_bits(weights), weights))


def class_bits(
    model: LanguageModel, work: Workload, of: str, compute: Compute | None = None
) -> tuple[Number, Number, Worked]:
    """Return the bits of a class of weights, of what they are multiplied with, and how a chip works on the two.

    Where a chip has no matrix unit for a format, activations are as wide as what it works at instead.
    """
    weights, activations = weight_bits(model, work, of), activation_bits(model, work, of)
    found = worked(weights, activations, _words(model, work), compute)
    wider = (found.bits > plain_bits(most(weights, activations))) * 1.0
    if has_axes(wider) or wider:
        activations = activations + wider * (found.bits - activations)
    return weights, activations, found


def _words(model: LanguageModel, work: Workload) -> Words:
    """Return the formats of a workload, else those of the model's file."""
    own = model.precision
    return Words(work.weight_format or own.format, work.activation_format or own.activation_format)


def _wide(model: LanguageModel, of: str) -> bool:
    """Whether a class is left out of a model's quantisation."""
    own = getattr(model.precision, of) or (HIGH if of in ("router", "tables") else 0.0)
    return bool(own >= HIGH)


def kv_bits(model: LanguageModel, work: Workload) -> Number:
    """Return the bits of the KV cache: those of the workload, else those of the model's file [bit]."""
    return work.kv_bits if _asked(work.kv_bits) else model.precision.kv


def settled(model: LanguageModel, work: Workload) -> Workload:
    """Return the workload with the main precisions of the model's file where it says none.

    For telling and for intervals; classes of weights may differ from it (``weight_bits``).
    """
    main = work.weight_bits if _asked(work.weight_bits) else model.precision.weights
    active = HIGH if _asked(work.weight_bits) else model.precision.activations
    return replace(
        work,
        weight_bits=main,
        activation_bits=work.activation_bits if _asked(work.activation_bits) else active,
        kv_bits=kv_bits(model, work),
    )
