"""What laws read of a machine beside what is given: reciprocals and roots, found once for all rows of a step.

A division or a square root takes ten times as long as a product, and a step asks for several hundred of the same few
numbers.  What follows from one field of the machine is therefore derived before the laws run, once in a call for fields
that do not vary.  One more is a field of ``Machine`` of type ``Derived`` and a line in ``DERIVED``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from accelmodel.laws.jit import law
from accelmodel.laws.types import Machine

#: capacity that is taken for none [B]
_NOTHING = 1e-30
#: below 1 by more than reciprocals are rounded by, and by less than one tile in 10⁹ counts
_ALMOST = 1.0 - 1e-12
_MORE = 1.0 + 1e-12


@law
def reciprocal(x: float) -> float:
    """1 / x."""
    return 1.0 / x


@law
def excess(share: float) -> float:
    """1 / share, and 1 of what is not offered."""
    return 1.0 / share if share > 0.0 else 1.0


@law
def root(x: float) -> float:
    """Square root of x."""
    return math.sqrt(x)


@law
def byte_share(capacity: float) -> float:
    """Share of a capacity that a byte takes [1/B]."""
    return 1.0 / max(capacity, _NOTHING)


@law
def full_set(ways: float) -> float:
    """Root of the lines that fill a set, as the normal approximation of the occupancy law wants it (``l2cache``)."""
    return math.sqrt(ways - 0.45)


#: derived field of ``Machine`` → law and the given field that it follows from
DERIVED: dict[str, tuple[Callable[[float], float], str]] = {
    "core_share": (reciprocal, "cores"),
    "flop_time_16bit": (reciprocal, "rate_16bit"),
    "flop_time_8bit": (reciprocal, "rate_8bit"),
    "flop_time_6bit": (reciprocal, "rate_6bit"),
    "flop_time_4bit": (reciprocal, "rate_4bit"),
    "flop_time_8bit_int": (reciprocal, "rate_8bit_int"),
    "flop_time_4bit_int": (reciprocal, "rate_4bit_int"),
    "convert_time": (reciprocal, "convert_rate"),
    "vector_time": (reciprocal, "vector_rate"),
    "tile_row": (reciprocal, "tile_m"),
    "row_least": (reciprocal, "min_rows"),
    "row_share": (reciprocal, "rows_held"),
    "tile_column": (reciprocal, "tile_n"),
    "tile_least_column": (reciprocal, "tile_least"),
    "tile_layer": (reciprocal, "tile_k"),
    "fetch_share": (reciprocal, "multicast"),
    "store_time": (reciprocal, "store_rate"),
    "hbm_time": (reciprocal, "hbm_rate"),
    "l2_time": (reciprocal, "l2_rate"),
    "node_share": (reciprocal, "node"),
    "link_time": (reciprocal, "link_rate"),
    "direct_excess": (reciprocal, "direct_share"),
    "out_time": (reciprocal, "out_rate"),
    "multimem_excess": (excess, "multimem"),
    "softmax_time": (reciprocal, "softmax_rate"),
    "attention_wait": (reciprocal, "attention_draw"),
    "attention_row": (reciprocal, "attention_rows"),
    "attention_excess": (reciprocal, "attention_share"),
    "attention_widen_time": (reciprocal, "attention_widen_rate"),
    "core_root": (root, "cores"),
    "l2_byte": (byte_share, "l2_bytes"),
    "l2_full": (full_set, "l2_ways"),
}


def prepared(machine: Machine) -> Machine:
    """Return a machine with everything derived of what is given, as laws that are called by themselves need it."""
    return machine._replace(**{name: law_of(getattr(machine, given)) for name, (law_of, given) in DERIVED.items()})


@law
def whole(x: float) -> float:
    """Next whole number from a quotient on that was found as a product: what a hair's rounding adds does not count."""
    return np.ceil(x * _ALMOST)


@law
def whole_below(x: float) -> float:
    """Last whole number up to a quotient that was found as a product: what a hair's rounding takes does not count."""
    return np.floor(x * _MORE)
