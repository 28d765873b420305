"""Two lanes on one HBM, event by event: operators one after another, prefetches in graph order beside them.

An operator is its launch, then what it finds in L2, then what it reads from HBM; it ends no earlier than ``floor``
after its start.  While it reads from HBM the lane waits.
"""

from __future__ import annotations


def operator(
    backlog: float, launch: float, hot: float, cold: float, machine, floor: float = 0.0
) -> tuple[float, float]:
    """Return the time of one operator and the bytes the lane fetched beside it."""
    now = launch + hot / machine.l2_rate
    fetched = min(backlog, now * machine.hbm_rate)
    now += cold / machine.hbm_rate
    rest = max(floor - now, 0.0)
    fetched = min(backlog, fetched + rest * machine.hbm_rate)
    return now + rest, fetched


def window(
    collective: float, operators: list[tuple[float, float]], machine
) -> tuple[list[float], list[float], list[float]]:
    """Return time, hits and bytes fetched of each row: the collective, then operators (weights, admitted).

    The cache is so large that nothing is evicted.  The lane leaves out what its operator has begun to read.
    """
    total = sum(admitted for _, admitted in operators)
    progress = min(total, collective * machine.hbm_rate)
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


def admit(rule: str, sizes: list[float], cap: float) -> list[float]:
    """Return the bytes admitted of each operand, by the words of the rule."""
    if rule == "paper":
        granted = []
        for i, size in enumerate(sizes):
            granted.append(size if sum(sizes[: i + 1]) <= cap else 0.0)
        return granted
    if rule == "partial":
        return [min(size, max(cap - sum(sizes[:i]), 0.0)) for i, size in enumerate(sizes)]
    granted = [0.0] * len(sizes)
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        if sum(granted) + sizes[i] <= cap:
            granted[i] = sizes[i]
    return granted
