"""How a model was read: its parameters, what a token and a sequence take, at which bits, and its kinds of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from accelmodel.inference.kept import kv_bytes_per_token, state_bytes_per_sequence
from accelmodel.inference.memory import weight_bytes
from accelmodel.inference.precisions import ASKED, DEFAULT, FILE
from accelmodel.laws.numeric import Number
from accelmodel.specs.bits import OWN, told
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
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
        ``layers`` and ``mlp``, lists of ``kind`` and ``count``.

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
        "layers": [{"kind": kind.kind, "count": kind.layers} for kind in mixers(model)],
        "mlp": [{"kind": kind.kind, "count": kind.layers} for kind in perceptrons(model)],
    }


def readings(models: Iterable[LanguageModel], asked: Iterable[Mapping[str, Number]]) -> list[dict[str, Any]]:
    """Return how several models were read, each at the precisions asked of it, with its name as ``model``."""
    return [{"model": model.name, **reading(model, each)} for model, each in zip(models, asked, strict=True)]


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
    kinds = ", ".join(f"{part['count']:g} {part['kind']}" for part in (*found["layers"], *found["mlp"]))
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


def all_in_words(found: list[dict[str, Any]]) -> list[str]:
    """Return how several models were read, a line each."""
    return [f"{each['model']} {in_words(each)}" for each in found]
