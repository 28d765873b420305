"""How a model was read: its parameters, what a token and a sequence take, its kinds of layers."""

from __future__ import annotations

from typing import Any

from accelmodel.inference.kept import kv_bytes_per_token, state_bytes_per_sequence
from accelmodel.inference.memory import weight_bytes
from accelmodel.specs.bits import kv_bits
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.parameters import active_parameters, parameters
from accelmodel.specs.workload import Workload
from accelmodel.units import show


def reading(model: LanguageModel, work: Workload | None = None) -> dict[str, Any]:
    """Return how a model was read, for its user to hold against what its makers say.

    Parameters
    ----------
    model : LanguageModel
    work : Workload, optional
        Whose precisions are asked; else those of the model's file.

    Returns
    -------
    dict
        ``parameters`` and ``active_parameters`` [1], ``kv_bytes_per_token``, ``state_bytes_per_sequence``,
        ``weight_bytes`` of the whole model [B]; ``layers`` and ``mlp``, lists of ``kind`` and ``count``.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> reading(load("model", "gpt-oss-120b"))["layers"]
    [{'kind': 'full', 'count': 18.0}, {'kind': 'window', 'count': 18.0}]
    """
    asked = work or Workload("decode", 1.0, 1.0)
    return {
        "parameters": parameters(model),
        "active_parameters": active_parameters(model),
        "kv_bytes_per_token": kv_bytes_per_token(model, kv_bits(model, asked)),
        "state_bytes_per_sequence": state_bytes_per_sequence(model),
        "weight_bytes": weight_bytes(model, asked),
        "layers": [{"kind": kind.kind, "count": kind.layers} for kind in mixers(model)],
        "mlp": [{"kind": kind.kind, "count": kind.layers} for kind in perceptrons(model)],
    }


def in_words(found: dict[str, Any]) -> str:
    """Return how a model was read, in one line."""
    kinds = ", ".join(f"{part['count']:g} {part['kind']}" for part in (*found["layers"], *found["mlp"]))
    state = found["state_bytes_per_sequence"]
    kept = f" and {show(state, 'B')} a sequence" if state else ""
    size = f"{found['parameters'] / 1e9:.4g} billion parameters, {found['active_parameters'] / 1e9:.4g} active"
    weights, token = show(found["weight_bytes"], "B", 4), show(found["kv_bytes_per_token"], "B", 4)
    return f"read as {size}, {weights} of weights, {token} of KV cache a token{kept}; layers: {kinds}"
