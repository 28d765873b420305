"""Sweeps over single operators: matmuls, attention of one layer, collectives, with the interval of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelmodel.inference import single
from accelmodel.inference.operator_time import COLLECTIVES
from accelmodel.specs.formats import FORMATS
from accelmodel.specs.quantities import Quantity
from accelmodel.sweeps.calls import CALLING, NUMBER, TRUTH, WORD, At, Command, Variable
from accelmodel.sweeps.names import Field, plain

_COUNT = Quantity(ge=1.0, le=1e9, whole=True)
_OR_NONE = Quantity(ge=0.0, le=1e9, whole=True)
_BYTES = Quantity("B", gt=0.0, le=1e18)
_BITS = plain("bits", Quantity(ge=1.0, le=64.0), whole=True, default=16.0)
_PARTS = ("device", "link", "scale_out")
_HARDWARE = (
    plain("device"),
    plain("link", optional=True),
    plain("scale_out", optional=True),
    plain("devices", _COUNT, whole=True, optional=True),
)
_VARIABLES = {
    **{name: Variable(NUMBER) for name in ("time", "lower", "upper")},
    "bound": Variable(WORD),
    "feasible": Variable(TRUTH),
}
_EXCHANGED = {**_VARIABLES, "algorithm": Variable(WORD), "busbw": Variable(NUMBER)}
#: size of an attention → its default, and whether each value is a call: heads must be a multiple of key-value heads
_LAYER = {
    "batch": (1.0, False), "heads": (32.0, True), "kv_heads": (8.0, True), "head_dim": (128.0, False),
    "context": (4096.0, False), "window": (0.0, False),
}  # fmt: skip


def _answer(found: Any, names: Mapping[str, Variable]) -> Mapping[str, Any]:
    return {**{name: found[name] for name in names if name != "feasible"}, "feasible": True}


def matmul(at: At) -> Mapping[str, Any]:
    """Time matmuls whose operands lie in HBM."""
    given = at.of("")
    bits: Any = at.word("format") or float(given["bits"])
    return _answer(single.matmul(at.cluster(), m=given["m"], n=given["n"], k=given["k"], bits=bits), _VARIABLES)


def attention(at: At) -> Mapping[str, Any]:
    """Time the attention of one layer."""
    given = at.of("")
    phase: Any = at.word("phase")
    shape: Any = {name: given[name] for name in _LAYER} | {"kv_bits": float(given["kv_bits"])}
    return _answer(single.attention(at.cluster(), phase, **shape), _VARIABLES)


def collective(at: At) -> Mapping[str, Any]:
    """Time collectives, each by the fastest algorithm that is offered."""
    given = at.of("")
    kind: Any = at.word("kind")
    return _answer(
        single.collective(at.cluster(), size=given["bytes"], kind=kind, devices=given.get("ranks")), _EXCHANGED
    )


MATMUL = Command(
    matmul,
    (
        *_HARDWARE,
        *(plain(name, _COUNT) for name in ("m", "n", "k")),
        _BITS,
        plain("format", words=tuple(FORMATS), optional=True),
    ),
    _PARTS,
    _VARIABLES,
    (0.02, 2e-6),
)
ATTENTION = Command(
    attention,
    (
        *_HARDWARE,
        plain("phase", words=("decode", "prefill"), default="decode"),
        *(plain(name, _OR_NONE, default=usual, whole=alone) for name, (usual, alone) in _LAYER.items()),
        Field("", "kv_bits", _BITS.quantity, whole=True, default=16.0),
    ),
    _PARTS,
    _VARIABLES,
    (0.02, 2e-6),
)
COLLECTIVE = Command(
    collective,
    (
        *_HARDWARE,
        plain("kind", words=tuple(COLLECTIVES), default="all-reduce"),
        plain("bytes", _BYTES),
        plain("ranks", Quantity(ge=2.0, le=1e9, whole=True), optional=True),
        *CALLING,
    ),
    _PARTS,
    _EXCHANGED,
    (0.02, 2e-6),
)
