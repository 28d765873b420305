"""Symbols of units: what each is in SI, and which a number without one was most likely meant to have."""

from __future__ import annotations

import math

from accelmodel.errors import SpecError, brief

_DECIMAL = {
    "": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3,
    "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
}  # fmt: skip
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_LARGE = {name: factor for name, factor in _DECIMAL.items() if factor >= 1.0}

#: unit symbol → (dimension, factor to SI, prefixes it may carry)
UNITS: dict[str, tuple[str, float, dict[str, float]]] = {
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
    "Wh": ("J", 3600.0, {"": 1.0, "k": 1e3, "M": 1e6}),
    "m2": ("m2", 1.0, {"": 1.0}),
    "cm2": ("m2", 1e-4, {"": 1.0}),
    "mm2": ("m2", 1e-6, {"": 1.0}),
    "um2": ("m2", 1e-12, {"": 1.0}),
    "m": ("m", 1.0, {"": 1.0}),
    "mm": ("m", 1e-3, {"": 1.0}),
    "g": ("kg", 1e-3, {"": 1.0, "m": 1e-3, "k": 1e3}),
    "USD": ("USD", 1.0, {"": 1.0, "k": 1e3}),
    "token": ("token", 1.0, _LARGE),
    "1": ("1", 1.0, {"": 1.0}),
    "%": ("1", 0.01, {"": 1.0}),
}
#: names that people write for a unit of rate
_ALIASES = {
    "bps": "b/s", "Bps": "B/s", "FLOPS": "FLOP/s", "FLOPs": "FLOP", "OPS": "OP/s", "tokens": "token",
}  # fmt: skip
#: SI unit → what is usual of it, and the units that people write; others are written as they are
_WRITTEN: dict[str, tuple[float, tuple[str, ...]]] = {
    "B": (1e9, ("kB", "MB", "GB", "TB")),
    "B/s": (1e11, ("MB/s", "GB/s", "TB/s")),
    "FLOP/s": (1e14, ("GFLOP/s", "TFLOP/s", "PFLOP/s")),
    "s": (0.1, ("ns", "us", "ms", "s", "h")),
    "1/s": (1e9, ("MHz", "GHz")),
    "W": (100.0, ("W",)),
    "m": (0.1, ("mm",)),
    "m2": (1e-4, ("mm2",)),
    "m2/B": (1e-12, ("mm2/MB",)),
    "1/m2": (1e3, ("1/cm2",)),
    "USD/B": (1e-8, ("USD/GB",)),
    "USD/s": (1e-3, ("USD/h",)),
    "USD/J": (1e-8, ("USD/kWh", "USD/MJ")),
    "W/B": (1e-7, ("W/MB",)),
    "J/FLOP": (1e-12, ("pJ/FLOP",)),
    "J/B": (1e-10, ("pJ/B",)),
    "USD/m2": (1e4, ("USD/mm2",)),
    "kg": (1.0, ("g", "kg")),
    "kg/m2": (1e4, ("kg/cm2",)),
    "kg/B": (1e-10, ("g/GB", "kg/GB")),
    "kg/J": (1e-7, ("g/kWh", "kg/MJ")),
}


def _factor(symbol: str) -> tuple[str, float]:
    """Return the dimension and SI factor of one unit symbol without a slash."""
    for base, (dimension, scale, prefixes) in UNITS.items():
        if symbol.endswith(base) and symbol[: len(symbol) - len(base)] in prefixes:
            return dimension, scale * prefixes[symbol[: len(symbol) - len(base)]]
    raise SpecError(f"unknown unit {brief(symbol)}; examples of units: GB, GiB, GB/s, Gbps, TFLOP/s, us, mm2, W, USD")


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


def written(number: float, unit: str, near: float = 0.0) -> str:
    """Return a number with the unit that its writer most likely meant.

    Parameters
    ----------
    number : float
        As written, without a unit.
    unit : str
        The SI unit of what it stands for.
    near : float
        What that is now, or is usually [unit].

    Examples
    --------
    >>> written(104, "B", near=40e6), written(3350, "B/s", near=2e12), written(3.35, "B/s", near=2e12)
    ('104MB', '3350GB/s', '3.35TB/s')
    """
    usual, units = _WRITTEN.get(unit, (1.0, (unit,)))
    aim = math.log(near if near > 0.0 else usual) - math.log(abs(number) or 1.0)
    best = min(units, key=lambda each: abs(math.log(unit_factor(each)[1]) - aim))
    return f"{number:.12g}{best}"


def meant(number: float, symbol: str, unit: str) -> str:
    """Return a number with the unit that a symbol, which is none, most likely stands for; empty where it is like none.

    Examples
    --------
    >>> meant(104, "mb", "B"), meant(104, "M", "B"), meant(104, "parsec", "B")
    ('104MB', '104MB', '')
    """
    for each in _WRITTEN.get(unit, (1.0, (unit,)))[1]:
        if symbol.lower() in (each.lower(), each.removesuffix(unit).lower()):
            return f"{number:.12g}{each}"
    return ""
