"""Laws and loops made from literal dicts and records, so that a variant is one law and one line.

Compiled code has to see each variant written out: a loop over a dict of functions does not compile, a list of
compiled functions is called through pointers and no longer vectorises, and ``Machine(*numbers)`` reads 40 times slower
than ``Machine(x[0, d], x[1, d], ...)``.  What one would otherwise write by hand is therefore made when the module is
imported: the ladder that takes the best of several laws, the ladder over kinds, the reader of a record's fields.
Measured in the step kernel, results equal the hand-written ones to the last bit at 0.99 to 1.01 of their speed.

What is made here has no file of its own and is not cached for itself: it is compiled into kernels that have one, and
their cache is named by the hash of all laws, these dicts included (``laws.jit``).  Compiled symbols are told apart by
their names, so each made function has one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

from accelmodel.laws.jit import law
from accelmodel.laws.types import ALGORITHMS

Law = Callable[..., Any]


def named(function: Law, *words: str) -> Law:
    """Give a made function a name of its own, from the names of what it was made of."""
    name = "_".join(words).replace("-", "_")
    function.__name__ = name
    function.__qualname__ = name
    return function


def reader(record: type[NamedTuple], *places: str) -> Law:
    """Return the law that reads a record from an array (field, \\*places): ``record_at(array, *places)``."""
    at = ", ".join(places)
    fields = ", ".join(f"array[{field}, {at}]" for field in range(len(record._fields)))
    name = f"{record.__name__.lower()}_at"
    scope: dict[str, Any] = {"record": record}
    exec(f"def {name}(array, {at}):\n    return record({fields})", scope)
    function: Law = scope[name]
    function.__doc__ = f"{record.__name__} at {at} of an array (field, {at})."
    return law(function)


class Way(NamedTuple):
    """What one algorithm needs to bring a message round a group of devices."""

    rank: float  #: what algorithms are chosen by, the least first: as a rule the time in all [s]
    start: float  #: fixed time [s]
    hops: float  #: latency of the transfers that follow one another [s]
    wire: float  #: time on the wire, filling included [s]
    shares: float  #: what a device sends, relative to the message [1]


def least(name: str, laws: Mapping[str, Law]) -> Law:
    """Return the law that takes the way of least rank, the first of those alike, and the code of its algorithm.

    Parameters
    ----------
    name : str
        Name of the law that is made.
    laws : mapping of str to law
        Algorithm → ``law(message, ranks, machine) -> Way``.

    Returns
    -------
    law
        ``(message, ranks, machine) -> (Way, index into ``ALGORITHMS``)``.
    """

    def only(algorithm: str) -> Law:
        way = laws[algorithm]
        code = float(ALGORITHMS.index(algorithm))

        def taken(message: float, ranks: float, machine: Any) -> tuple[Way, float]:
            return way(message, ranks, machine), code

        return law(named(taken, name, algorithm))

    def faster(best: Law, algorithm: str) -> Law:
        way = laws[algorithm]
        code = float(ALGORITHMS.index(algorithm))

        def taken(message: float, ranks: float, machine: Any) -> tuple[Way, float]:
            old, known = best(message, ranks, machine)
            new = way(message, ranks, machine)
            better = new.rank < old.rank
            found = Way(
                new.rank if better else old.rank,
                new.start if better else old.start,
                new.hops if better else old.hops,
                new.wire if better else old.wire,
                new.shares if better else old.shares,
            )
            return found, code if better else known

        return law(named(taken, name, "up_to", algorithm))

    first, *others = laws
    return reduce(faster, others, only(first))


def by_kind(name: str, laws: Mapping[float, Law], *arguments: str) -> Law:
    """Return ``name(kind, *arguments)``, not compiled yet, which calls the law of that kind, the last for the rest.

    A branch for each law and not for each kind: kinds that share a law share its code.
    """
    kinds: dict[str, list[float]] = {}
    scope: dict[str, Any] = {}
    for kind, each in laws.items():
        kinds.setdefault(each.__name__, []).append(kind)
        scope[each.__name__] = each
    given = ", ".join(arguments)
    *tested, last = kinds
    lines = [f"def {name}(kind, {given}):"]
    for word in tested:
        asked = " or ".join(f"kind == {kind!r}" for kind in kinds[word])
        lines += [f"    if {asked}:", f"        return {word}({given})"]
    lines.append(f"    return {last}({given})")
    exec("\n".join(lines), scope)
    function: Law = scope[name]
    return function
