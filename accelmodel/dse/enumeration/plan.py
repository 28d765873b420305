"""How many chips are looked at: all, some at random, or none; what that takes is told before it is begun."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.blocks import arrays_of, blocks_of
from accelmodel.dse.enumeration.blocksize import bytes_of, steps_of
from accelmodel.dse.enumeration.chips import continuous, sample, whole
from accelmodel.dse.enumeration.harvest import wanted
from accelmodel.dse.studies.space import size
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError
from accelmodel.estimates import MOST_SECONDS, duration, memory
from accelmodel.inference.run import cores
from accelmodel.units import show

#: what may be looked at
WAYS = ("auto", "all", "sample", "none")
#: longest that all chips are looked at where nobody says how much [s], and the chips of a sample then
AUTO_SECONDS, SAMPLE = 600.0, 100_000
#: chips up to which time is counted by steps, and the time of one [s]
_COUNTED, _STEP = 2**15, 5e-7
#: chips that are timed where there are more: a few, and enough to see what one more takes
_FEW, _MANY = 2**11, 2**14


@dataclass(frozen=True)
class Estimate:
    """What looking at chips takes: chips, time within a factor of three [s], memory [B]."""

    chips: int
    seconds: float
    bytes: float

    def words(self) -> str:
        """Return it in words.

        Examples
        --------
        >>> Estimate(1_000_000, 4.0, 5e8).words()
        '1,000,000 chips, about 4 s and 500 MB of memory'
        """
        return f"{self.chips:,} chips, about {duration(self.seconds)} and {show(self.bytes, 'B', 3)} of memory"


@dataclass(frozen=True)
class Plan:
    """How chips are looked at: ``way`` of ``WAYS`` but ``auto``, how many, and what that takes."""

    way: str
    count: int
    expected: Estimate


def asked(text: str) -> tuple[str, int | None]:
    """Return the way and, of a sample, how many chips.

    Raises
    ------
    SpecError
        If it is none of the ways, or no whole number of chips.

    Examples
    --------
    >>> asked("sample=5000"), asked("all")
    (('sample', 5000), ('all', None))
    """
    way, equals, count = text.partition("=")
    if way not in WAYS or (equals and way != "sample"):
        raise SpecError(f"enumerate: {text!r} is none of {', '.join(WAYS)}; a sample has a size: sample=10000")
    if not equals:
        return way, None
    try:
        number = float(count)
    except ValueError:
        number = 0.0
    if not (number.is_integer() and 1 <= number <= 1e9):
        raise SpecError(f"enumerate: {text!r}: a sample has 1 to 1e9 chips, such as sample=10000")
    return way, int(number)


def estimate(study: Study, parts: Parts, chips: int | None = None) -> Estimate:
    """Return what looking at so many chips takes, of all by default; where there are many some are timed for it."""
    total = size(study) if chips is None else chips
    source = whole(study)
    at_once = min(total, math.prod(source.lengths)) * (1 if source.chunks == 1 else cores())
    room = at_once * bytes_of(study)
    if total <= _COUNTED:
        return Estimate(total, total * steps_of(study) * _STEP, room)
    few, many = _timed(study, parts, _FEW), _timed(study, parts, _MANY)
    return Estimate(total, few + max(many - few, 0.1 * many) / (_MANY - _FEW) * total, room)


def _timed(study: Study, parts: Parts, count: int) -> float:
    """Return how long so many chips take [s]: the quicker of two calls, the first of which may compile."""
    source = sample(study, count, 0, count)
    blocks = blocks_of(study, parts, wanted(study), source)
    taken = []
    for _ in range(2):
        begun = time.perf_counter()
        for number in range(source.chunks):
            arrays_of(blocks, number)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def planned(study: Study, parts: Parts, way: str, *, kept: bool = False, scheduler: bool = False) -> Plan:
    """Return how chips are looked at, and how many; refuse what would take too long.

    Raises
    ------
    SpecError
        With the estimate, if it is over the limits.
    """
    name, count = asked(way)
    total = size(study)
    if name == "none":
        return Plan(name, 0, Estimate(0, 0.0, 0.0))
    if name != "sample":
        expected = estimate(study, parts)
        if name == "all" or kept or scheduler or expected.seconds <= AUTO_SECONDS:
            _need(study, expected, kept=kept, scheduler=scheduler)
            return Plan("all", total, expected)
    number = SAMPLE if count is None else count
    number = number if continuous(study) else min(number, total)
    expected = estimate(study, parts, number)
    _need(study, expected, kept=kept, scheduler=scheduler)
    return Plan("sample", number, expected)


def _need(study: Study, expected: Estimate, *, kept: bool, scheduler: bool) -> None:
    """Raise SpecError if looking at chips takes more than this machine has, or longer than anyone waits."""
    remedy = "narrow an axis, draw some with --enumerate sample, or leave it out with --enumerate none"
    if expected.bytes > memory():
        raise SpecError(
            f"study {study.name}: {expected.words()}, of which {show(memory(), 'B', 2)} may be taken; {remedy}"
        )
    if expected.seconds > MOST_SECONDS and not (kept or scheduler):
        raise SpecError(
            f"study {study.name}: {expected.words()}, at most {duration(MOST_SECONDS)}; {remedy}, or give --keep, so "
            "that it may go on after an end, or a --scheduler with workers"
        )
