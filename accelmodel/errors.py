"""The two ways an answer is refused: the input is wrong, or physics says no."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class SpecError(ValueError):
    """A file, a field or an option is wrong; the message says where, what is allowed and the remedy.

    Examples
    --------
    >>> raise unknown("device", "h100-sxn", ["h100-sxm", "mi300x"])
    Traceback (most recent call last):
    ...
    accelmodel.errors.SpecError: unknown device 'h100-sxn', did you mean 'h100-sxm'? Allowed: h100-sxm, mi300x
    """


class Infeasible(ValueError):
    """The input is well formed but cannot exist: it does not fit, or no choice meets the constraints.

    Examples
    --------
    >>> issubclass(Infeasible, ValueError) and not issubclass(Infeasible, SpecError)
    True
    """


def unknown(what: str, given: object, allowed: Iterable[str]) -> SpecError:
    """Return the error for a name that is not in a closed list, with the closest match."""
    names = sorted(allowed)
    small = {name.lower(): name for name in reversed(names)}
    text = str(given).lower()
    close = begun(text, small) or get_close_matches(text, small, n=1, cutoff=0.5)
    hint = f", did you mean {' or '.join(repr(small[each]) for each in close)}?" if close else "."
    return SpecError(f"unknown {what} {given!r}{hint} Allowed: {', '.join(names)}")


def begun(text: str, names: Iterable[str], most: int = 5) -> list[str]:
    """Return the names that begin with a text, whatever their case, the shortest first; none where there are many.

    Examples
    --------
    >>> begun("h100", ["a100-pcie", "h100-pcie", "h100-sxm"])
    ['h100-sxm', 'h100-pcie']
    """
    low = text.lower()
    found = sorted(
        (name for name in names if text and name.lower().startswith(low)), key=lambda name: (len(name), name)
    )
    return found if len(found) <= most else []


def listed(lines: Sequence[str], most: int = 10) -> SpecError:
    """Return one error that says several things, a line each, and how many are left out.

    Examples
    --------
    >>> str(listed(["a: is missing", "b: is missing", "c: is missing"], most=2))
    'a: is missing\\nb: is missing\\nand 1 more'
    """
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return SpecError("\n".join([*lines[:most], *more]))


def brief(value: object) -> str:
    """Return what was given as short text, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number too long to print, a list too deep
        return f"a {type(value).__name__} that is too large"
    return text if len(text) <= 60 else f"{text[:57]}..."
