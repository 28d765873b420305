"""Curves and traces from outside: measured chunk times, and rates that change over time.

A trace is a step function: ``value[i]`` holds from ``time[i]`` to ``time[i + 1]``, and the last row ends
it.  Its last value goes on only where ``hold`` says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.estimates import need_affordable
from accelmodel.specs import files
from accelmodel.specs.quantities import Quantity, one, several

Array = np.ndarray[Any, Any]
_VALUE = Quantity(ge=0.0, le=1e18)
#: column of a bandwidth trace → factor to B/s
BANDWIDTH = {"value": 1.0, "bandwidth_bytes_per_s": 1.0, "bandwidth_gibps": 2.0**30 / 8.0, "bandwidth_gbps": 1.25e8}


@dataclass(frozen=True)
class Trace:
    """A rate over time.

    Attributes
    ----------
    time : ndarray
        Increasing, from 0 [s].
    value : ndarray
        From that time on: bandwidth [B/s], or share of the token budget [1]; 0 is a pause.
    hold : bool
        The last value goes on for ever; else the trace ends at its last row.
    name : str
        File or kind, for messages.
    """

    time: Array
    value: Array
    hold: bool = False
    name: str = "trace"

    def __post_init__(self) -> None:
        time, value = (several(self.name, each, Quantity(le=1e18)) for each in (self.time, self.value))
        if time.ndim != 1 or time.shape != value.shape or not len(time):
            raise SpecError(f"{self.name}: needs as many times as values, at least one row")
        if time[0] != 0.0 or (np.diff(time) <= 0.0).any():
            raise SpecError(f"{self.name}: time_s must start at 0 and increase from row to row")
        if (value < 0.0).any():
            row = int(np.argmax(value < 0.0))
            raise SpecError(f"{self.name}: row {row + 1}: value {value[row]:g} is negative; a pause is 0")
        if not value[: None if self.hold or len(value) == 1 else -1].max() > 0.0:
            raise SpecError(f"{self.name}: all values are 0; nothing ever happens")
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "value", value)

    @property
    def end(self) -> float:
        """Time up to which the trace speaks [s]; infinite where the last value is held."""
        return math.inf if self.hold else float(self.time[-1])

    @property
    def mean(self) -> float:
        """Mean over the time the trace covers; the last value where that is all there is."""
        total = float(np.sum(self.value[:-1] * np.diff(self.time)))
        return total / float(self.time[-1]) if total > 0.0 else float(self.value[-1])


def _rows(path: str | Path, first: str, second: Sequence[str]) -> tuple[str, list[tuple[int, float, float]]]:
    """Read two columns of a CSV file, the second under one of some names; ``#`` starts a comment.

    Returns
    -------
    tuple
        Name of the second column, and (line, first, second) of each row.
    """
    header, table = files.read_table(Path(path))
    named = [name for name in second if name in header]
    if first not in header or len(named) != 1:
        raise SpecError(f"{path}: the first row must name {first!r} and one of {', '.join(map(repr, second))}")
    rows = []
    for line, row in table:
        try:
            pair = float(row[first]), float(row[named[0]])
        except ValueError:
            raise SpecError(f"{path}:{line}: {first} and {named[0]} must be numbers") from None
        if not all(math.isfinite(number) for number in pair):
            raise SpecError(f"{path}:{line}: {first} and {named[0]} must be finite")
        rows.append((line, *pair))
    if not rows:
        raise SpecError(f"{path}: has no rows below its header")
    return named[0], rows


def read_chunk_times(path: str | Path, chunks: int | None = None) -> Array:
    """Return measured prefill times by chunk [s].

    Parameters
    ----------
    path : str or Path
        CSV with the columns ``chunk_index`` (0, 1, 2 …) and ``time_s``; lines that start with ``#`` are comments.
    chunks : int, optional
        Chunks that the prompt needs; a shorter curve is refused.

    Raises
    ------
    SpecError
        Where the file has a gap, a time that is not above 0, or too few chunks.
    """
    _, rows = _rows(path, "chunk_index", ("time_s",))
    for expected, (line, index, time) in enumerate(rows):
        if index != expected:
            raise SpecError(f"{path}:{line}: chunk_index {index:g}, expected {expected}; fill the gap")
        if not time > 0.0:
            raise SpecError(f"{path}:{line}: time_s {time:g} must be above 0")
    if chunks is not None and len(rows) < chunks:
        raise SpecError(
            f"{path}:{rows[-1][0]}: ends at chunk {len(rows) - 1}, the prompt needs chunks 0 to {chunks - 1}; "
            "measure more chunks or ask for fewer tokens"
        )
    return np.array([time for _, _, time in rows])


def read_trace(path: str | Path, columns: Mapping[str, float] = BANDWIDTH, hold: bool = False) -> Trace:
    """Return a trace from a CSV file with ``time_s`` and one column of values.

    Parameters
    ----------
    path : str or Path
        Lines that start with ``#`` are comments.
    columns : mapping
        Allowed name of the column of values → factor that takes it to SI; those of bandwidths by default:
        ``bandwidth_bytes_per_s``, ``bandwidth_gbps``, ``bandwidth_gibps``, or ``value`` [B/s].
    hold : bool
        The last value goes on for ever.

    Returns
    -------
    Trace

    Raises
    ------
    SpecError
        Where times do not start at 0 or do not increase, or a value is negative.  A trace that ends before
        the work does is refused when it is used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "trace.csv"
    ...     _ = path.write_text("time_s,bandwidth_gbps\\n0,8\\n1,16\\n2,16\\n")
    ...     read_trace(path).mean
    1500000000.0
    """
    name, rows = _rows(path, "time_s", tuple(columns))
    for (_, before, _), (line, after, _) in itertools.pairwise(rows):
        if after <= before:
            raise SpecError(f"{path}:{line}: time_s {after:g} does not follow {before:g}; sort the rows")
    values = np.array([row[2] for row in rows]) * columns[name]
    return Trace(np.array([row[1] for row in rows]), values, hold, str(path))


def budget(chunk: float) -> dict[str, float]:
    """Return column of a budget trace → factor to a share of the token budget ``chunk`` [token]."""
    return {"value": 1.0, "utilisation": 1.0, "budget_tokens": 1.0 / chunk}


def random_trace(low: float, high: float, interval: float, duration: float, seed: int) -> Trace:
    """Return a seeded trace: a uniform draw from [low, high] every ``interval`` seconds up to ``duration``.

    Parameters
    ----------
    low, high : float
        Ends of what is drawn: bandwidth [B/s], or share of the token budget [1].
    interval, duration : float
        How long a value holds, and how long the trace is [s].
    seed : int

    Returns
    -------
    Trace

    Raises
    ------
    SpecError
        If the ends or the times are not in order.

    Notes
    -----
    Source: Cake, section on fluctuating resources: bandwidth and budget drawn at random between 0 and a most.

    Examples
    --------
    >>> trace = random_trace(1e9, 2e9, interval=1.0, duration=10.0, seed=1)
    >>> 1e9 <= trace.mean <= 2e9
    True
    """
    low, high = (one(name, value, _VALUE) for name, value in (("low", low), ("high", high)))
    interval, duration = (one(name, each, _VALUE) for name, each in (("interval", interval), ("duration", duration)))
    seed = int(one("seed", seed, Quantity(ge=0.0, le=2.0**32, whole=True)))
    if not 0.0 <= low <= high or not 0.0 < interval <= duration:
        raise SpecError(
            f"random trace: needs 0 <= low <= high and 0 < interval <= duration, "
            f"not {low:g}, {high:g}, {interval:g}, {duration:g}"
        )
    need_affordable("random trace", {"interval": math.ceil(duration / interval)}, seconds=1e-7, room=100.0)
    time = np.arange(0.0, duration + interval, interval)
    return Trace(time, np.random.default_rng(seed).uniform(low, high, len(time)), name=f"random trace (seed {seed})")


def constant_trace(value: float) -> Trace:
    """Return the trace that always has the same value."""
    return Trace(np.zeros(1), np.array([float(value)]), hold=True, name="constant")
