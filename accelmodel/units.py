"""Quantities at the border: text with a unit in, SI floats inside, text with a prefix out.

``GB`` is 10**9 bytes and ``GiB`` is 2**30 bytes, always; ``Gbps`` is 10**9 bit/s and ``Gibps``
2**30 bit/s.  Bits become bytes, areas become m², and everything inside the package is an SI float.
The grammar is small on purpose: one number, one unit, at most one ``/``.
"""

from __future__ import annotations

import math
import re

from accelmodel.errors import SpecError, brief
from accelmodel.symbols import UNITS, meant, unit_factor, written

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


def parse(text: str | float, unit: str, *, what: str = "quantity", near: float = 0.0) -> float:
    """Return the SI value of ``text``.

    Parameters
    ----------
    text : str or float
        A number with a unit, such as ``"3.35 TB/s"``; a float is in SI.  Text needs a unit, where ``unit`` is one and
        the number not 0.
    unit : str
        The SI unit expected, such as ``"B/s"``; another dimension is an error.
    what : str
        Name used in the error message.
    near : float
        What it is now, by which an error tells the unit that was most likely meant [unit].

    Returns
    -------
    float
        Value in SI units.

    Raises
    ------
    SpecError
        If it is no finite number, or its unit is missing, unknown or of another dimension.

    Examples
    --------
    >>> parse("3.35 TB/s", "B/s")
    3350000000000.0
    >>> parse("32Gbps", "B/s")
    4000000000.0
    >>> parse("104MB", "B")
    104000000.0
    >>> parse("104", "B", what="--l2", near=40e6)
    Traceback (most recent call last):
    ...
    accelmodel.errors.SpecError: --l2: '104' has no unit: write 104MB
    """
    shown, example = brief(text), "1.5" if unit == "1" else written(1.5, unit, near)
    match = _QUANTITY.match(text if isinstance(text, str) else _in_digits(text))
    if match is None:
        raise SpecError(
            f"{what}: {shown} is not a number{' with a unit' * (unit != '1')}; give for example '{example}'"
        )
    number, symbol = float(match[1]), match[2]
    if not math.isfinite(number):
        raise SpecError(f"{what}: {shown} is not a finite number")
    if isinstance(text, str) and not symbol and unit != "1" and number:
        raise SpecError(f"{what}: {shown} has no unit: write {written(number, unit, near)}")
    try:
        dimension, factor = unit_factor(symbol) if symbol else (unit, 1.0)
    except SpecError as error:
        likely = meant(number, symbol, unit)
        wrong = f"{shown}: unknown unit {brief(symbol)}: write {likely}" if likely else error
        raise SpecError(f"{what}: {wrong}") from None
    if dimension != unit:
        raise SpecError(f"{what}: {shown} is in {dimension}, expected {unit}; give for example '{example}'")
    value = number * factor
    if not math.isfinite(value):
        raise SpecError(f"{what}: {shown} is not a finite number")
    return value


def _in_digits(value: object) -> str:
    """Return a number as text, whatever kind of number it is; empty where it is none."""
    try:
        return "" if isinstance(value, bool | str) else repr(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return ""


def show(value: float, unit: str, digits: int = 4) -> str:
    """Return ``value`` with the decimal prefix that reads best.

    Parameters
    ----------
    value : float
        In SI.
    unit : str
        Its SI unit, such as ``"B/s"``.
    digits : int
        Significant digits.

    Returns
    -------
    str

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
    carried = UNITS.get(unit.partition("/")[0], ("", 1.0, {}))[2]
    small = "µ" in carried and (abs(value) < 1.0 or unit == "s")
    if len(carried) <= 2 or value == 0.0 or not math.isfinite(value):
        return f"{value:.{digits}g} {unit}".removesuffix(" 1").rstrip()
    table = _SMALL_PREFIXES if small else _SHOWN_PREFIXES
    scale, prefix = next((row for row in table if abs(value) >= row[0]), table[-1])
    return f"{value / scale:.{digits}g} {prefix}{unit}"
