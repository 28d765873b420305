"""Two lanes on one HBM, event by event: operators one after another, prefetches in graph order beside them.

An operator is its launch, then what it finds in L2, then what it reads from HBM; it ends no earlier than ``floor``
after its start.  While it reads from HBM the lane waits.
"""

from __future__ import annotations

from itertools import combinations


def operator(
    backlog: float, launch: float, hot: float, cold: float, machine, floor: float = 0.0
) -> tuple[float, float]:
    """Return the time of one operator and the bytes the lane fetched beside it."""
    copied = machine.hbm_rate * machine.prefetch_share
    now = launch + hot / machine.l2_rate
    fetched = min(backlog, now * copied)
    now += cold / machine.hbm_rate
    rest = max(floor - now, 0.0)
    fetched = min(backlog, fetched + rest * copied)
    return now + rest, fetched


def window(
    collective: float, operators: list[tuple[float, float]], machine
) -> tuple[list[float], list[float], list[float]]:
    """Return time, hits and bytes fetched of each row: the collective, then operators (weights, admitted).

    The cache is so large that nothing is evicted.  The lane leaves out what its operator has begun to read.
    """
    total = sum(admitted for _, admitted in operators)
    progress = min(total, collective * machine.hbm_rate * machine.prefetch_share)
    times, hits, fetched = [collective], [0.0], [progress]
    position = 0.0
    for weights, admitted in operators:
        hot = min(max(progress - position, 0.0), admitted)
        position += admitted
        progress = max(progress, position)
        time, beside = operator(total - progress, machine.launch, hot, weights - hot, machine)
        progress += beside
        times.append(time)
        hits.append(hot)
        fetched.append(beside)
    return times, hits, fetched


def plans(rule: str, sizes: list[float], cap: float) -> list[list[float]]:
    """Return the bytes of each operand in every plan that a rule weighs, by its words."""
    places = range(len(sizes))
    if rule == "partial":
        return [[min(size, max(cap - sum(sizes[:i]), 0.0)) for i, size in enumerate(sizes)]]
    if rule == "paper":
        sets = [places[: i + 1] for i in places]
    else:
        sets = [each for count in places for each in combinations(places, count + 1)]
    found = [[size if i in each else 0.0 for i, size in enumerate(sizes)] for each in sets]
    return [plan for plan in found if sum(plan) <= cap]


def best(collective: float, sizes: list[float], rule: str, cap: float, machine) -> float:
    """Return the time of a window by the fastest plan of a rule, which costs its fixed time, or by none."""
    none = sum(window(collective, [(size, 0.0) for size in sizes], machine)[0])
    found = [
        machine.prefetch_start + sum(window(collective, list(zip(sizes, plan, strict=True)), machine)[0])
        for plan in plans(rule, sizes, cap)
    ]
    return min([none, *found])
