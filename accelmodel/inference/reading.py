"""How a model was read: its parameters, what a token and a sequence take, at which bits, and its kinds of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np

from accelmodel.inference.kept import kv_bytes_per_token, state_bytes_per_sequence
from accelmodel.inference.memory import weight_bytes
from accelmodel.inference.precisions import ASKED, DEFAULT, FILE
from accelmodel.laws.numeric import Number
from accelmodel.specs.bits import OWN, told
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.layer_kinds import Part
from accelmodel.specs.parameters import active_parameters, parameters
from accelmodel.specs.workload import Workload
from accelmodel.units import show


def reading(model: LanguageModel, asked: Workload | Mapping[str, Number] | None = None) -> dict[str, Any]:
    """Return how a model was read, for its user to hold against what its makers say.

    Parameters
    ----------
    model : LanguageModel
    asked : Workload or mapping, optional
        ``weight_bits``, ``activation_bits``, ``kv_bits``, of an axis the first; 0 or left out: what the model's file
        states [bit].

    Returns
    -------
    dict
        ``parameters`` and ``active_parameters`` [1], ``kv_bytes_per_token``, ``state_bytes_per_sequence``,
        ``weight_bytes`` of the whole model [B]; ``precision`` [bit] and ``precision_from``: asked, file or default;
        ``layers`` and ``mlp``, lists of ``kind`` and ``count``; where several are of one kind, ``sizes`` tells in what
        they differ.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> found = reading(load("model", "gpt-oss-120b"), {"kv_bits": 8.0})
    >>> found["layers"]
    [{'kind': 'full', 'count': 18.0}, {'kind': 'window', 'count': 18.0}]
    >>> found["precision"], found["precision_from"]["weight_bits"], found["precision_from"]["kv_bits"]
    ({'weight_bits': 4.25, 'activation_bits': 16.0, 'kv_bits': 8.0}, 'file', 'asked')
    """
    told_of = {name: getattr(asked, name) for name in OWN} if isinstance(asked, Workload) else asked or {}
    given = {name: _first(told_of.get(name, 0.0)) for name in OWN}
    at = {name: _first(value) for name, value in told([model], given).items()}
    return {
        "parameters": parameters(model),
        "active_parameters": active_parameters(model),
        "kv_bytes_per_token": kv_bytes_per_token(model, at["kv_bits"]),
        "state_bytes_per_sequence": state_bytes_per_sequence(model, at["kv_bits"]),
        "weight_bytes": weight_bytes(model, replace(Workload("decode", 1.0, 1.0), **cast("dict[str, Any]", given))),
        "precision": at,
        "precision_from": {name: _origin(model, name, given) for name in OWN},
        "layers": _entries(mixers(model)),
        "mlp": _entries(perceptrons(model)),
    }


def readings(models: Iterable[LanguageModel], asked: Iterable[Mapping[str, Number]]) -> list[dict[str, Any]]:
    """Return how several models were read, each at the precisions asked of it, with its name as ``model``."""
    return [{"model": model.name, **reading(model, each)} for model, each in zip(models, asked, strict=True)]


def _entries(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return kinds of layers and how many have each, with the sizes in which those of one kind differ."""
    found = []
    for part in parts:
        alike = [other for other in parts if other.kind == part.kind and type(other) is type(part)]
        mine = _sizes(part)
        apart = {
            name for other in alike for name, value in _sizes(other).items() if not np.array_equal(value, mine[name])
        }
        sizes = {name: value for name, value in mine.items() if name in apart}
        found.append({"kind": part.kind, "count": part.layers, **({"sizes": sizes} if sizes else {})})
    return found


def _sizes(part: Part) -> dict[str, Any]:
    """Return what a part says of its layers beside how many they are."""
    return {each.name: getattr(part, each.name) for each in fields(part) if each.name != "layers"}


def _first(value: Number) -> float:
    """Return a number, of an axis its first."""
    return float(np.asarray(value).flat[0])


def _origin(model: LanguageModel, name: str, given: dict[str, float]) -> str:
    """Return where a precision comes from; weights that are asked for leave activations at 16 bit."""
    if given[name]:
        return ASKED
    if name == "activation_bits" and given["weight_bits"]:
        return DEFAULT
    return FILE if f"precision.{OWN[name]}" in model.facts else DEFAULT


def in_words(found: dict[str, Any], by_class: bool = False) -> str:
    """Return how a model was read, in one line; the precisions of weights unless another line tells them by class."""
    kinds = ", ".join(_entry(part) for part in (*found["layers"], *found["mlp"]))
    state = found["state_bytes_per_sequence"]
    kept = f" and {show(state, 'B')} a sequence" if state else ""
    size = f"{found['parameters'] / 1e9:.4g} billion parameters, {found['active_parameters'] / 1e9:.4g} active"
    held, token = show(found["weight_bytes"], "B", 4), show(found["kv_bytes_per_token"], "B", 4)
    bits = {name: f"{value:.4g} bit, {found['precision_from'][name]}" for name, value in found["precision"].items()}
    other = bits["activation_bits"]
    # activations as the weights are not told twice
    taken = bits["weight_bits"] + (f"; activations {other}" if other != bits["weight_bits"] else "")
    told = "" if by_class else f" ({taken})"
    return (
        f"read as {size}, {held} of weights{told}, "
        f"{token} of KV cache a token{kept} ({bits['kv_bits']}); layers: {kinds}"
    )


def _entry(part: Mapping[str, Any]) -> str:
    """Return a kind of layers in words, with the sizes in which it differs from others of its kind."""
    told = {name: value for name, value in part.get("sizes", {}).items() if value}
    sizes = ", ".join(name if value is True else f"{name} {value:g}" for name, value in told.items())
    return f"{part['count']:g} {part['kind']}" + (f" ({sizes})" if sizes else "")


def all_in_words(found: list[dict[str, Any]]) -> list[str]:
    """Return how several models were read, a line each."""
    return [f"{each['model']} {in_words(each)}" for each in found]
