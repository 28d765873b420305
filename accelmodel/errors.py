"""The two ways an answer is refused: the input is wrong, or physics says no."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches

#: names that an error lists, and letters that it repeats of what was given
_MOST_NAMES = 10
_MOST_LETTERS = 60


class SpecError(ValueError):
    """A file, a field or an option is wrong; the message says where, what is allowed and the remedy.

    Examples
    --------
    >>> raise unknown("device", "h100-sxn", ["h100-sxm", "mi300x"])
    Traceback (most recent call last):
    ...
    accelmodel.errors.SpecError: unknown device 'h100-sxn', did you mean 'h100-sxm'? Allowed: h100-sxm, mi300x
    """

    #: what is wrong, a line each, where it is several things
    lines: tuple[str, ...] = ()


class Infeasible(ValueError):
    """The input is well formed but cannot exist: it does not fit, or no choice meets the constraints.

    Examples
    --------
    >>> issubclass(Infeasible, ValueError) and not issubclass(Infeasible, SpecError)
    True
    """


def unknown(what: str, given: object, allowed: Iterable[str]) -> SpecError:
    """Return the error for a name that is not in a closed list, with the closest match; of many names the closest."""
    names = sorted(allowed)
    text = (given if isinstance(given, str) else brief(given))[:_MOST_LETTERS].lower()
    small = {name.lower(): name for name in reversed(names)}
    close = begun(text, small) or get_close_matches(text, small, n=1, cutoff=0.5)
    hint = f", did you mean {' or '.join(repr(small[each]) for each in close)}?" if close else "."
    more = ""
    if len(names) > _MOST_NAMES:
        more = f" and {len(names) - _MOST_NAMES} more"
        names = sorted(names, key=lambda name: -SequenceMatcher(None, name.lower(), text).ratio())[:_MOST_NAMES]
    return SpecError(f"unknown {what} {brief(given)}{hint} Allowed: {', '.join(names)}{more}")


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
    error = SpecError("\n".join([*lines[:most], *more]))
    error.lines = (*lines[:most], *more)
    return error


def inside(where: str, error: SpecError) -> SpecError:
    """Return an error with the place in which the file that it speaks of was named, before each of its lines."""
    return listed([f"{where}: {line}" for line in error.lines or [str(error)]], most=len(error.lines) or 1)


def brief(value: object) -> str:
    """Return what was given as short text, whatever it is; at most a line of it is repeated."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number too long to print, a list too deep
        return f"a {type(value).__name__} that is too large"
    if "\n" in text:  # as arrays are shown
        text = " ".join(text.split())
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def plain(text: str) -> str:
    """Return text that is safe on a terminal and in a comment of a file: what ends a line is written as an escape.

    So is what a terminal would obey, or not show: control characters, among them those that begin escape sequences,
    and the invisible ones that turn the direction of writing.

    Examples
    --------
    >>> plain("a\\x1b[31mb\\u202ec, 5 µs")
    'a\\\\x1b[31mb\\\\u202ec, 5 µs'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
