"""Quantities at the border: text with a unit in, SI floats inside, text with a prefix out.

``GB`` is 10**9 bytes and ``GiB`` is 2**30 bytes, always; ``Gbps`` is 10**9 bit/s and ``Gibps``
2**30 bit/s.  Bits become bytes, areas become m², and everything inside the package is an SI float.
The grammar is small on purpose: one number, one unit, at most one ``/``.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from accelmodel.errors import SpecError

_DECIMAL = {
    "": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3,
    "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
}  # fmt: skip
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_LARGE = {name: factor for name, factor in _DECIMAL.items() if factor >= 1.0}

#: unit symbol → (dimension, factor to SI, prefixes it may carry)
_UNITS: dict[str, tuple[str, float, dict[str, float]]] = {
    "B": ("B", 1.0, {**_LARGE, **_BINARY}),
    "bit": ("B", 0.125, {**_DECIMAL, **_BINARY}),
    "b": ("B", 0.125, {**_LARGE, **_BINARY}),
    "FLOP": ("FLOP", 1.0, _LARGE),
    "OP": ("FLOP", 1.0, _LARGE),
    "s": ("s", 1.0, _DECIMAL),
    "min": ("s", 60.0, {"": 1.0}),
    "h": ("s", 3600.0, {"": 1.0}),
    "Hz": ("1/s", 1.0, _LARGE),
    "W": ("W", 1.0, _DECIMAL),
    "J": ("J", 1.0, _DECIMAL),
    "m2": ("m2", 1.0, {"": 1.0}),
    "cm2": ("m2", 1e-4, {"": 1.0}),
    "mm2": ("m2", 1e-6, {"": 1.0}),
    "um2": ("m2", 1e-12, {"": 1.0}),
    "m": ("m", 1.0, {"": 1.0}),
    "mm": ("m", 1e-3, {"": 1.0}),
    "USD": ("USD", 1.0, {"": 1.0, "k": 1e3}),
    "token": ("token", 1.0, _LARGE),
    "1": ("1", 1.0, {"": 1.0}),
    "%": ("1", 0.01, {"": 1.0}),
}
#: names that people write for a unit of rate
_ALIASES = {
    "bps": "b/s", "Bps": "B/s", "FLOPS": "FLOP/s", "FLOPs": "FLOP", "OPS": "OP/s", "tokens": "token",
}  # fmt: skip
_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")
#: longer prefixes first, so that "Gi" is tried before "G"
_SHOWN_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SMALL_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
#: SI unit that nobody reads → factor and the unit that people use
_SHOWN_AS = {
    "m": (1e3, "mm"),
    "m2": (1e6, "mm²"),
    "m2/B": (1e12, "mm²/MB"),
    "1/s": (1e-9, "GHz"),
    "USD/B": (1e9, "USD/GB"),
}


class Term(NamedTuple):
    """One row of the nomenclature: SI unit and meaning of a name used across the package."""

    unit: str
    meaning: str


NOMENCLATURE: dict[str, Term] = {
    "time": Term("s", "duration of an operator, or of a whole step"),
    "tokens_per_s": Term("token/s", "output tokens (decode) or input tokens (prefill) per second"),
    "ttft": Term("s", "time to first token"),
    "tpot": Term("s", "time per output token"),
    "flops": Term("FLOP", "useful floating-point or integer operations, a multiply-add counts two"),
    "hbm_bytes": Term("B", "bytes moved between device memory and L2"),
    "l2_hit_bytes": Term("B", "operand bytes found in L2 because they were prefetched"),
    "link_bytes": Term("B", "bytes that one device sends over its links"),
    "prefetched_bytes": Term("B", "bytes pulled from HBM into L2 ahead of their operator"),
    "bound": Term("1", "what sets the operator's time: compute, hbm, l2, link or latency"),
    "busbw": Term("B/s", "collective message / time x 2(n-1)/n (all-reduce convention)"),
    "ridge_point": Term("FLOP/B", "arithmetic intensity at which compute and memory time are equal"),
}


def _factor(symbol: str) -> tuple[str, float]:
    """Return the dimension and SI factor of one unit symbol without a slash."""
    for base, (dimension, scale, prefixes) in _UNITS.items():
        if symbol.endswith(base) and symbol[: len(symbol) - len(base)] in prefixes:
            return dimension, scale * prefixes[symbol[: len(symbol) - len(base)]]
    raise SpecError(f"unknown unit {symbol!r}; examples of units: GB, GiB, GB/s, Gbps, TFLOP/s, us, mm2, W, USD")


def unit_factor(unit: str) -> tuple[str, float]:
    """Return the dimension of a unit and the factor that takes it to SI.

    Parameters
    ----------
    unit : str
        For example ``"TB/s"``, ``"Gibps"``, ``"mm2/MB"`` or ``"1"``.

    Returns
    -------
    tuple of (str, float)
        Dimension such as ``"B/s"``, and factor.

    Raises
    ------
    SpecError
        If the unit is not known.

    Examples
    --------
    >>> unit_factor("TB/s")
    ('B/s', 1000000000000.0)
    >>> unit_factor("Gibps")
    ('B/s', 134217728.0)
    """
    unit = unit.replace("²", "2")
    for alias, meaning in _ALIASES.items():
        if unit.endswith(alias) and not unit.endswith("/" + alias):
            unit = unit[: len(unit) - len(alias)] + meaning
            break
    top, slash, bottom = unit.partition("/")
    dimension, factor = _factor(top or "1")
    if not slash:
        return dimension, factor
    lower, divisor = _factor(bottom)
    return f"{dimension}/{lower}", factor / divisor


def parse(text: str | float, unit: str, *, what: str = "quantity") -> float:
    """Return the SI value of ``text``.

    Parameters
    ----------
    text : str or float
        A number with a unit, such as ``"3.35 TB/s"``; a bare number is taken to be in SI.
    unit : str
        The SI unit expected, such as ``"B/s"``; another dimension is an error.
    what : str
        Name used in the error message.

    Returns
    -------
    float
        Value in SI units.

    Raises
    ------
    SpecError
        If it is no finite number, or its unit is unknown or of another dimension.

    Examples
    --------
    >>> parse("3.35 TB/s", "B/s")
    3350000000000.0
    >>> parse("32Gbps", "B/s")
    4000000000.0
    >>> parse("104MB", "B")
    104000000.0
    """
    match = _QUANTITY.match(str(text))
    if match is None:
        raise SpecError(f"{what}: {text!r} is not a number with a unit; give for example '1.5{unit.removeprefix('1')}'")
    number = float(match[1])
    try:
        dimension, factor = unit_factor(match[2]) if match[2] else (unit, 1.0)
    except SpecError as error:
        raise SpecError(f"{what}: {error}") from None
    if dimension != unit:
        raise SpecError(
            f"{what}: {text!r} is in {dimension}, expected {unit}; give for example '1.5{unit.removeprefix('1')}'"
        )
    value = number * factor
    if not math.isfinite(value):
        raise SpecError(f"{what}: {text!r} is not a finite number")
    return value


def show(value: float, unit: str, digits: int = 4) -> str:
    """Return ``value`` with the decimal prefix that reads best.

    Examples
    --------
    >>> show(3.35e12, "B/s")
    '3.35 TB/s'
    >>> show(2.5e-5, "s")
    '25 µs'
    >>> show(6.656e-4, "m2")
    '665.6 mm²'
    """
    if unit in _SHOWN_AS:
        factor, shown = _SHOWN_AS[unit]
        return f"{value * factor:.{digits}g} {shown}"
    if unit == "B" and abs(value) < 0.5:
        return "0 B"
    carried = _UNITS.get(unit.partition("/")[0], ("", 1.0, {}))[2]
    small = "µ" in carried and (abs(value) < 1.0 or unit == "s")
    if len(carried) <= 2 or value == 0.0 or not math.isfinite(value):
        return f"{value:.{digits}g} {unit}".removesuffix(" 1").rstrip()
    table = _SMALL_PREFIXES if small else _SHOWN_PREFIXES
    scale, prefix = next((row for row in table if abs(value) >= row[0]), table[-1])
    return f"{value / scale:.{digits}g} {prefix}{unit}"
