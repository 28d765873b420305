"""A slow twin of the meeting fronts: a heap of events, two threads, and the set of tokens that are there.

Written from the two listings of the paper's appendix A, in exact fractions, without any formula of the kernel.
"""

from __future__ import annotations

import heapq
from fractions import Fraction

STEP_ENDS, CHUNK_ARRIVES = 1, 0  # what is there at the end of a step is seen by it


def value_at(trace, time):
    """Value of a trace [(time, value), ...] at a time; the last one holds."""
    return [value for start, value in trace if start <= time][-1]


def moved(trace, start, amount):
    """When ``amount`` has passed at the rate of the trace, from ``start`` on; None if never."""
    time = start
    starts = [t for t, _ in trace] + [None]
    for (_, rate), end in zip(trace, starts[1:], strict=True):
        if end is not None and end <= time:
            continue
        if rate > 0 and (end is None or time + amount / rate <= end):
            return time + amount / rate
        if end is None:
            return None
        amount -= rate * (end - time)
        time = end
    return None


def cost_at(curve, place):
    """Time of a full step at a place [chunk], on the straight line between two chunks or beyond the last."""
    if len(curve) == 1:
        return curve[0]
    i = min(place.numerator // place.denominator, len(curve) - 2)
    return curve[i] + (place - i) * (curve[i + 1] - curve[i])


def run(curve, chunk, stored, io, latency, token_bytes, shares, rates, near=0, reach=0, fixed=0):
    """Return (time, tokens computed, tokens loaded) when both threads have ended, all in fractions.

    The last ``reach`` tokens have ``near`` bytes more each, and ``fixed`` bytes come with the first request; there
    tokens and chunks are whole numbers.
    """
    curve = [Fraction(t) for t in curve]
    chunk, stored, io = Fraction(chunk), Fraction(stored), Fraction(io)
    latency, token_bytes = Fraction(latency), Fraction(token_bytes)
    shares = [(Fraction(t), Fraction(v)) for t, v in shares]
    rates = [(Fraction(t), Fraction(v)) for t, v in rates]
    resident: list[tuple[Fraction, Fraction]] = []  # intervals of tokens that were loaded
    events: list[tuple[Fraction, int, Fraction, Fraction]] = []
    compute_ptr, io_ptr = Fraction(0), stored

    def fetch(now):
        size = min(io, io_ptr)
        amount = size * token_bytes
        if near:
            places = range(int(io_ptr - size), int(io_ptr))
            amount += sum(Fraction(near) for place in places if place >= stored - reach)
        if io_ptr == stored:
            amount += Fraction(fixed)
        done = moved(rates, now + latency, amount)
        if done is not None:
            heapq.heappush(events, (done, CHUNK_ARRIVES, io_ptr - size, io_ptr))

    def prefill(now):
        """Start a step, or return True where the next token is resident or none is left."""
        if compute_ptr >= stored or any(low <= compute_ptr < high for low, high in resident):
            return True
        gain = value_at(shares, now) * chunk
        heapq.heappush(events, (now + cost_at(curve, compute_ptr / chunk), STEP_ENDS, compute_ptr, compute_ptr + gain))
        return False

    if stored > 0:
        fetch(Fraction(0))
    # chunks that need no time are there before the first step looks
    while events and events[0][0] == 0:
        _, _, low, high = heapq.heappop(events)
        resident.append((low, high))
        io_ptr = low
        if io_ptr > compute_ptr:
            fetch(Fraction(0))
    if prefill(Fraction(0)):
        return Fraction(0), compute_ptr, stored - io_ptr
    while True:
        now, what, low, high = heapq.heappop(events)
        if what == CHUNK_ARRIVES:
            resident.append((low, high))
            io_ptr = low
            if compute_ptr < io_ptr:
                fetch(now)
            continue
        compute_ptr = high
        if prefill(now):
            return now, compute_ptr, stored - io_ptr


def best_cells(costs, tokens, token_time, layers):
    """Least time over all plans that compute some number of layers of each chunk, by trying every one of them."""
    best = None
    plans = [()]
    for _ in costs:
        plans = [(*plan, depth) for plan in plans for depth in range(layers + 1)]
    for plan in plans:
        compute = sum(cost * depth / layers for cost, depth in zip(costs, plan, strict=True))
        load = sum(size * token_time * (layers - d) / layers for size, d in zip(tokens, plan, strict=True))
        best = max(compute, load) if best is None else min(best, max(compute, load))
    return best
