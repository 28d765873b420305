"""At which precisions a step works, class of weights by class of weights: what an answer says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.laws.numeric import Number, has_axes, most
from accelmodel.specs.bits import class_bits, kv_bits, told
from accelmodel.specs.cloud import Engine
from accelmodel.specs.formats import FORMATS, HIGH, Worked, bits_of, plain_bits
from accelmodel.specs.hardware import Device
from accelmodel.specs.language_model import LanguageModel, perceptrons
from accelmodel.specs.layer_kinds import Dense, Experts
from accelmodel.specs.precision import CLASSES
from accelmodel.specs.workload import Workload

#: where a precision comes from: asked for, stated by the model's file, or 16 bit where that is silent
ASKED, FILE, DEFAULT = "asked", "file", "default"
#: what a line on precisions by class begins with
_WEIGHTS = "weights: "


def precisions(model: LanguageModel, work: Workload, device: Device | None = None) -> list[dict[str, Any]]:
    """Return at which precisions weights lie in memory and are worked on, classes alike together.

    Returns
    -------
    list of dict
        ``weights``: classes; ``weight_bits``, ``activation_bits`` [bit], a word where they vary; ``matrix``: format
        that matrix units work at; ``widened``: whether weights are narrower than that; ``from``: asked, file
        or default.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> precisions(load("model", "llama-3-8b"), Workload("decode", 1, 1, weight_bits=4.25))[0]["matrix"]
    'bf16'
    """
    found: dict[tuple[Any, ...], list[str]] = {}
    for of in present(model):
        weights, activations, each = class_bits(model, work, of, device.compute if device is not None else None)
        key = (_told(weights), _told(activations), ", ".join(each.names.values()), _widened(weights, each))
        found.setdefault((*key, _origin(model, work, of)), []).append(of)
    names = ("weight_bits", "activation_bits", "matrix", "widened", "from")
    return [{"weights": classes, **dict(zip(names, key, strict=True))} for key, classes in found.items()]


def present(model: LanguageModel) -> list[str]:
    """Return the classes of weights that a model has."""
    kinds = perceptrons(model)
    routed = [kind for kind in kinds if isinstance(kind, Experts)]
    there = {
        "attention": True,
        "mlp": any(isinstance(kind, Dense) or kind.dense_width for kind in kinds),
        "experts": bool(routed),
        "shared_experts": any(kind.shared for kind in routed),
        "router": bool(routed),
        "tables": True,
    }
    return [of for of in CLASSES if there[of]]


def in_words(found: list[dict[str, Any]], model: LanguageModel, work: Workload, device: Device | None) -> list[str]:
    """Return what a reader must know of the precisions; nothing where all is at 16 bit."""
    line = rows_in_words(found)
    of_weights = [line, *_lacking(model, work, device)] if line else []
    return [*of_weights, *_of_cache(model, work)]


def need_fused(engine: Engine, model: LanguageModel, bits: Mapping[str, Any]) -> None:
    """Raise SpecError where an engine widens values below 16 bit by passes of its own, which a question leaves out.

    Parameters
    ----------
    engine : Engine
    model : LanguageModel
    bits : mapping
        ``weight_bits`` and ``kv_bits`` of a ``Workload``, those of the model's file where they are left out [bit].
    """
    given = {name: bits[name] for name in ("weight_bits", "kv_bits") if name in bits}
    asked = {name: bits_of(each) if isinstance(each, str) else each for name, each in given.items()}
    found = told([model], asked)
    if engine.widening_bytes and any(np.any(np.asarray(found[name]) < HIGH) for name in ("weight_bits", "kv_bits")):
        raise SpecError(
            f"{engine.name} widens values below 16 bit by passes of its own (widening_bytes), which only a batch on "
            "rented instances has: take another engine, or 16 bit"
        )


def _of_cache(model: LanguageModel, work: Workload) -> list[str]:
    """Return how attention works on a KV cache that is narrower than what it computes at."""
    bits = kv_bits(model, work)
    if not np.any(np.asarray(bits) < HIGH):
        return []
    return [f"KV cache: {_shown(_told(bits))}, widened to 16 bit as attention reads it"]


def rows_in_words(found: list[dict[str, Any]]) -> str:
    """Return in one line at which precisions weights lie and are worked on; nothing where all is at 16 bit."""
    if all(each["weight_bits"] == each["activation_bits"] == HIGH for each in found):
        return ""
    parts = [f"{', '.join(each['weights']).replace('_', ' ')} {_how(each)}" for each in found]
    return f"{_WEIGHTS}{'; '.join(parts)}"


def by_class(notes: Iterable[str]) -> bool:
    """Return whether notes tell the precisions of weights, so that no other line need."""
    return any(note.startswith(_WEIGHTS) for note in notes)


def _how(each: dict[str, Any]) -> str:
    weights, activations = (_shown(each[name]) for name in ("weight_bits", "activation_bits"))
    if each["weight_bits"] == HIGH:
        return f"{weights} ({each['from']})"
    way = "widened to" if each["widened"] else "as"
    return f"{weights} ({each['from']}) with activations of {activations}, worked on {way} {each['matrix']}"


def _lacking(model: LanguageModel, work: Workload, device: Device | None) -> list[str]:
    """Return a note on a format that is named, and that the device has no matrix unit for."""
    if device is None or not any(_replaced(model, work, of, device) for of in present(model)):
        return []
    named = (work.activation_format, work.weight_format, model.precision.activation_format, model.precision.format)
    word = next((word for word in named if word in FORMATS), "")
    return [f"{device.name} has no matrix unit for {word} that is faster than at 16 bit"] if word else []


def _replaced(model: LanguageModel, work: Workload, of: str, device: Device) -> bool:
    """Whether a device works on a class of weights at more bits than asked."""
    here, anywhere = (class_bits(model, work, of, compute)[2].bits for compute in (device.compute, None))
    return bool(np.any(np.asarray(here) != np.asarray(anywhere)))


def _told(bits: Number) -> Any:
    return f"varies over {', '.join(map(str, bits.dims))}" if has_axes(bits) and bits.dims else float(bits)


def _shown(bits: Any) -> str:
    return f"{bits:.5g} bit" if isinstance(bits, float) else f"bits that {bits.replace('varies', 'vary')}"


def _widened(weights: Number, each: Worked) -> bool:
    return bool(np.any(np.asarray(plain_bits(most(weights, 1.0)) < each.bits)))


def _origin(model: LanguageModel, work: Workload, of: str) -> str:
    asked = work.weight_bits
    if has_axes(asked) or asked:
        return DEFAULT if of == "tables" else ASKED
    return FILE if getattr(model.precision, of) or model.precision.weights != HIGH else DEFAULT
