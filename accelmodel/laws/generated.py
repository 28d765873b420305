"""Laws and loops made from literal dicts and records, so that a variant is one law and one line.

Compiled code has to see each variant written out: a loop over a dict of functions does not compile, a list of
compiled functions is called through pointers and no longer vectorises, and ``Machine(*numbers)`` reads 40 times slower
than ``Machine(x[0, d], x[1, d], ...)``.  What one would otherwise write by hand is therefore made when the module is
imported: the ladder that takes the best of several laws, the ladder over kinds, the reader of a record's fields.
Measured in the step kernel: equal to the hand-written ones to the last bit, at 0.98 to 1.02 of their time (0.88 where
matmuls are fused), and compiled in 5 to 8 % more.

What is made here has no file of its own and is not cached for itself: it is compiled into kernels that have one, and
their cache is named by the hash of all laws, these dicts included (``laws.jit``).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from accelmodel.laws.jit import law
from accelmodel.laws.prepared import DERIVED
from accelmodel.laws.types import ALGORITHMS, Machine

Law = Callable[..., Any]


def written(name: str, lines: list[str], scope: dict[str, Any]) -> Law:
    """Return the function of that name that the lines define; what they call is in ``scope``."""
    exec("\n".join(lines), scope)
    function: Law = scope[name]
    return function


def reader(record: type[NamedTuple], *places: str, name: str = "", only: tuple[str, ...] = ()) -> Law:
    r"""Return the law that reads a record from an array (field, \*places): ``record_at(array, *places)``.

    Parameters
    ----------
    record : type of NamedTuple
    *places : str
        What the array is over beside fields.
    name : str
        Of the law, where it is another one.
    only : tuple of str
        Fields that are read, into a record of no others: all, if it is empty.  Fewer take less time to compile, and of
        more than a hundred a loop does not vectorise.
    """
    at = ", ".join(places)
    word = name or f"{record.__name__.lower()}_at"
    read = tuple(field for field in record._fields if field in only or not only)
    fields = ", ".join(f"array[{record._fields.index(field)}, {at}]" for field in read)
    scope = {"record": namedtuple(f"Part_{word}", read) if only else record}
    function = written(word, [f"def {word}(array, {at}):", f"    return record({fields})"], scope)
    function.__doc__ = f"{record.__name__} at {at} of an array (field, {at})."
    return law(function)


def fields_read(record: type[NamedTuple], *laws: Law) -> tuple[str, ...]:
    """Return the fields of a record by whose names laws, and what they call, read anything."""
    read: set[str] = set()
    seen: set[Law] = set()
    waiting = list(laws)
    while waiting:
        function = waiting.pop()
        if function in seen or not isinstance(function, FunctionType):
            continue
        seen.add(function)
        read.update(function.__code__.co_names)
        waiting += [function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__]
    return tuple(field for field in record._fields if field in read)


def deriver(name: str) -> Law:
    """Return ``name(machines, varies, width)``, not compiled yet: a loop for each law by which fields are derived."""
    places = Machine._fields.index
    pairs: dict[str, list[tuple[int, int]]] = {}
    for target, (law_of, source) in DERIVED.items():
        pairs.setdefault(law_of.__name__, []).append((places(source), places(target)))
    scope: dict[str, Any] = by_name({target: law_of for target, (law_of, _) in DERIVED.items()})
    lines = [f"def {name}(machines, varies, width):"]
    for word, found in pairs.items():
        scope[f"{word}_of"] = np.array(found)
        lines += [
            f"    for pair in range({len(found)}):",
            f"        source, target = {word}_of[pair, 0], {word}_of[pair, 1]",
            "        if varies[source]:",
            "            for j in range(width):",
            f"                machines[target, j] = {word}(machines[source, j])",
        ]
    return written(name, lines, scope)


class AlgorithmCost(NamedTuple):
    """What one algorithm needs to bring a message round a group of devices, and its place among the others.

    The place is called ``order``: a rank is a device of the group.
    """

    order: float  #: what algorithms are chosen by, the least first: as a rule the time in all [s]
    start: float  #: fixed time [s]
    hops: float  #: latency of the transfers that follow one another [s]
    wire: float  #: time on the wire, filling included [s]
    shares: float  #: what a device sends, relative to the message [1]


def least(
    name: str,
    laws: Mapping[str, Law],
    given: tuple[str, ...] = ("message", "ranks", "machine"),
    *,
    weigh: Law | None = None,
    beside: tuple[str, ...] = (),
) -> Law:
    """Return the law that takes the cost of least order, the first of those alike, and the code of its algorithm.

    Parameters
    ----------
    name : str
        Name of the law that is made.
    laws : mapping of str to law
        Algorithm → ``law(*given) -> AlgorithmCost``.
    given : tuple of str
        What the laws are called with.
    weigh : law, optional
        ``(AlgorithmCost, *beside) -> order``, where it is another than theirs.
    beside : tuple of str
        What it depends on.

    Returns
    -------
    law
        ``(*given, *beside) -> (AlgorithmCost, index into ALGORITHMS)``.

    Raises
    ------
    ValueError
        If an algorithm has no field in ``Machine``, by which it is offered and named.
    """
    for algorithm in laws:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm {algorithm!r} of {name} is not offered by any machine: give Machine its field")
    scope = {"AlgorithmCost": AlgorithmCost, **by_name(laws)}
    if weigh is not None:
        scope["weigh"] = weigh

    def order(cost: str) -> str:
        return f"{cost}.order" if weigh is None else f"weigh({', '.join((cost, *beside))})"

    first, *others = laws
    called = ", ".join(given)
    lines = [
        f"def {name}({', '.join((*given, *beside))}):",
        f"    best = {laws[first].__name__}({called})",
        f"    code, least = {float(ALGORITHMS.index(first))}, {order('best')}",
    ]
    chosen = ", ".join(f"other.{field} if better else best.{field}" for field in AlgorithmCost._fields)
    for algorithm in others:
        lines += [
            f"    other = {laws[algorithm].__name__}({called})",
            f"    mine = {order('other')}",
            "    better = mine < least",
            "    least = mine if better else least",
            f"    best = AlgorithmCost({chosen})",
            f"    code = {float(ALGORITHMS.index(algorithm))} if better else code",
        ]
    return law(written(name, [*lines, "    return best, code"], scope))


def by_kind(name: str, laws: Mapping[float, Law], *arguments: str) -> Law:
    """Return ``name(kind, *arguments)``, not compiled yet, which calls the law of that kind, the last for the rest."""
    given = ", ".join(arguments)
    scope = by_name(laws)
    lines = [f"def {name}(kind, {given}):"]
    for condition, word in branches(laws, "kind"):
        lines += [f"    {condition}:", f"        return {word}({given})"]
    return written(name, lines, scope)


def branches(laws: Mapping[float, Law], kind: str) -> list[tuple[str, str]]:
    """Return the condition and the law of each branch: one for each law and not for each kind that shares it."""
    kinds: dict[str, list[float]] = {}
    for each, law_of_kind in laws.items():
        kinds.setdefault(law_of_kind.__name__, []).append(each)
    words = list(kinds)
    tests = [" or ".join(f"{kind} == {each!r}" for each in kinds[word]) for word in words[:-1]]
    conditions = [f"{'elif' if place else 'if'} {test}" for place, test in enumerate(tests)]
    return list(zip([*conditions, "else" if conditions else "if True"], words, strict=True))


def by_name(laws: Mapping[Any, Law]) -> dict[str, Any]:
    """Return laws by their names, which made code calls them by.

    Raises
    ------
    ValueError
        If two of them share one: the last would be called for both.
    """
    found: dict[str, Any] = {}
    for key, each in laws.items():
        if found.setdefault(each.__name__, each) is not each:
            raise ValueError(f"the law of {key!r} has the name of another one, {each.__name__!r}: rename one of them")
    return found
