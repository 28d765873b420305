"""What a question costs, told before it starts: rows, time and memory; beyond a limit it is refused."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from accelmodel.errors import SpecError
from accelmodel.units import show

#: longest that one question may take [s]: a sweep that takes longer is written to disk and resumed
MOST_SECONDS = 6.0 * 3600.0
#: part of the machine's memory that one question may take [1], and what that is where the machine does not tell [B]
_SHARE = 0.5
_UNKNOWN_MEMORY = 8e9
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def memory() -> float:
    """Return how much of this machine's memory one question may take [B]."""
    try:
        return _SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _SHARE * _UNKNOWN_MEMORY


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> duration(0.2), duration(100.0), duration(7e5)
    ('1 s', '2 min', '8 d')
    """
    scale, unit = next(((scale, unit) for scale, unit in _SPANS if seconds >= 1.5 * scale), (1.0, "s"))
    return f"{max(1.0, round(seconds / scale)):,.0f} {unit}"


def need_affordable(what: str, axes: Mapping[str, int], *, seconds: float, room: float) -> None:
    """Raise SpecError if a product of lists is more than this machine can answer at once.

    Parameters
    ----------
    what : str
        The command or function.
    axes : mapping
        Axis → how many values it has [1]; the rows are their product.
    seconds : float
        Time of a row [s].
    room : float
        Memory of a row [B].

    Raises
    ------
    SpecError
        With the rows, the time, the memory and the limits.

    Examples
    --------
    >>> need_affordable("matmul", {"m": 10, "n": 10}, seconds=2e-5, room=1e3)
    >>> need_affordable("matmul", {"m": 10000, "n": 10000, "k": 10000}, seconds=2e-5, room=0.0)
    Traceback (most recent call last):
    ...
    accelmodel.errors.SpecError: matmul: m 10,000 x n 10,000 x k 10,000 are 1e+12 rows, about 231 d; at most 6 h; \
give shorter lists
    """
    rows = math.prod(axes.values())
    over = []
    if rows * seconds > MOST_SECONDS:
        over.append((duration(rows * seconds), duration(MOST_SECONDS)))
    if rows * room > memory():
        over.append((show(rows * room, "B", 2), f"{show(memory(), 'B', 2)} of memory"))
    if over:
        product = " x ".join(f"{name} {count:,}" for name, count in axes.items() if count > 1)
        needed, most = (" and ".join(words) for words in zip(*over, strict=True))
        raise SpecError(f"{what}: {product} are {rows:.3g} rows, about {needed}; at most {most}; give shorter lists")
