"""Two fronts that meet: one computes chunks from the front of a prompt, one loads chunks from its back.

Source: Cake, arXiv 2410.03065, appendices A and B.  The compute front advances by steps; before each it looks
whether its next token is already there, and then ends.  The load front retreats by I/O chunks and ends at the
compute front.  A step in flight finishes; a fetch in flight is dropped (the paper does not say).  Positions are
tokens, times seconds.  A step at position p costs what a full step costs there, whatever share of it is ours.

Validity: one prompt, one engine, one loader, no contention between them (measured in the paper: 0.6 to 1.4 %).
Where both share a bus the result is optimistic.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from accelmodel.laws.jit import inner_kernel, kernel, law, parallel_kernel, prange

#: part of a chunk that counts as nothing: positions are sums of rounded matmuls
CRUMB = 1e-9
#: engine steps after which a run with traces is given up: a budget that stays at nothing
MOST_STEPS = 10_000_000
#: time that the interpreter takes for a step of one of the fronts, or a row of a trace [s]
STEP = 3e-6
#: what a meeting tells, in the order of the kernels' outputs
MEETING = ("time", "meet_token", "computed_tokens", "loaded_tokens", "waste")


class Engine(NamedTuple):
    """Time of a full step at chunk 0, 1, 2 … [s], and tokens of a chunk."""

    times: Any
    chunk: float


class Loader(NamedTuple):
    """Tokens stored, tokens of an I/O chunk, latency of a request [s], and costs ([s], with traces [B]).

    Costs are of each ``token``, beyond that of each of the last tokens within ``reach`` (``near``: layers with a window
    need no others), and once for all (``fixed``: states, which the first request brings).
    """

    stored: float
    io: float
    latency: float
    token: float
    near: float
    reach: float
    fixed: float


class Rate(NamedTuple):
    """A step function: ``value[i]`` from ``at[i]`` [s] on, up to ``end`` [s]."""

    at: Any
    value: Any
    end: float


@law
def count(tokens: float, size: float) -> int:
    """Chunks of ``size`` that hold ``tokens``."""
    return max(math.ceil(tokens / size - CRUMB), 0)


@law
def step_time(times: Any, place: float) -> float:
    """Time of a full step that starts at ``place`` [chunk], linear between measured chunks and beyond the last [s]."""
    last = times.shape[0] - 1
    if last == 0:
        return times[0]
    i = min(int(place), last - 1)
    return max(times[i] + (place - i) * (times[i + 1] - times[i]), CRUMB)


@law
def volume(tokens: float, loader: Loader) -> float:
    """Cost of the last ``tokens`` of the prefix, requests apart."""
    if tokens <= 0.0:
        return 0.0
    return loader.fixed + tokens * loader.token + min(tokens, loader.reach) * loader.near


@law
def arrival(tokens: float, loader: Loader) -> float:
    """Time until the load front has passed ``tokens`` from the end, in whole I/O chunks of the prefix [s]."""
    chunks = count(tokens, loader.io)
    return chunks * loader.latency + volume(min(chunks * loader.io, loader.stored), loader)


@law
def load_time(tokens: float, loader: Loader) -> float:
    """Time to load exactly ``tokens``, the last request being short [s]."""
    return count(tokens, loader.io) * loader.latency + volume(tokens, loader)


@law
def loaded_by(time: float, most: float, loader: Loader) -> float:
    """Tokens that lie at ``time`` behind the load front; it ends at the compute front, ``most`` from the end."""
    chunks = float(count(min(most, loader.stored), loader.io))
    if arrival(chunks * loader.io, loader) > time:
        # the cost of chunks is the lesser of two lines, one through the window and one beyond it
        left, far = time - loader.fixed, loader.latency + loader.io * loader.token
        within, beyond = far + loader.io * loader.near, left - loader.reach * loader.near
        inside = left / within if within > 0.0 else 0.0
        outside = beyond / far if far > 0.0 else 0.0
        chunks = max(min(chunks - 1.0, math.floor(max(inside, outside) + CRUMB)), 0.0)
    return min(chunks * loader.io, loader.stored)


@law
def fill_steps(engine: Engine, per_step: float, start: float, finish: Any) -> None:
    """Fill ``finish`` with the starts of consecutive steps from token ``start``, and the end of the last [s]."""
    total = 0.0
    finish[0] = 0.0
    for k in range(finish.shape[0] - 1):
        total += step_time(engine.times, (start + k * per_step) / engine.chunk)
        finish[k + 1] = total


@law
def steps_time(engine: Engine, per_step: float, start: float, end: float) -> float:
    """Time of the steps that take a prompt from token ``start`` to token ``end`` [s]."""
    total = 0.0
    for k in range(count(end - start, per_step)):
        total += step_time(engine.times, (start + k * per_step) / engine.chunk)
    return total


@law
def meet_after(finish: Any, per_step: float, loader: Loader) -> int:
    """Steps that the compute front does before it meets the load front, by bisection.

    It is the first k with ``k per_step >= io_ptr(finish[k])``: the left side grows and the right side falls.
    """
    low, high = 0, count(loader.stored, per_step)
    while low < high:
        middle = (low + high) // 2
        if arrival(loader.stored - middle * per_step, loader) <= finish[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@law
def describe(time: float, reached: float, stored: float, loaded: float, out: Any) -> None:
    """Write a meeting: time, its token, tokens computed (the last step may pass the prefix), loaded, done twice."""
    out[0] = time
    out[1] = min(reached, stored)
    out[2] = reached
    out[3] = loaded
    out[4] = max(min(reached, stored) + loaded - stored, 0.0)


def _meeting_many(curves: Any, curve: Any, given: Any, out: Any) -> float:
    """Time that the interpreter takes for them [s]: no more steps than the stored tokens have."""
    return STEP * float(np.sum(given[:, 2] / (given[:, 0] * given[:, 1])))


@parallel_kernel(_meeting_many)
def meet_many(curves: Any, curve: Any, given: Any, out: Any) -> None:
    """Where the fronts of many prompts meet at constant rates (Cake, appendix A), each on its own curve.

    A loop that ends at the meeting: shorter than summing all steps and bisecting where each curve is used once.

    Parameters
    ----------
    curves : ndarray (curve, chunk)
        Chunk times [s].
    curve : ndarray of int (decision)
        Which curve each decision has.
    given : ndarray (decision, 7)
        Share of the budget [1], compute chunk, stored tokens and I/O chunk [token], latency, time of a token and
        tail [s].
    out : ndarray (decision, MEETING)
        Filled; the time includes the tail where anything was loaded.
    """
    for d in prange(given.shape[0]):
        times, share, tail = curves[curve[d]], given[d, 0], given[d, 6]
        per_step = share * given[d, 1]
        loader = Loader(given[d, 2], given[d, 3], given[d, 4], given[d, 5], 0.0, 0.0, 0.0)
        last = count(loader.stored, per_step)
        time, k = 0.0, 0
        while k < last and arrival(loader.stored - k * per_step, loader) > time:
            time += step_time(times, k * share)
            k += 1
        loaded = loaded_by(time, loader.stored - (k - 1) * per_step, loader)
        describe(time + (tail if loaded > 0.0 else 0.0), k * per_step, loader.stored, loaded, out[d])


@inner_kernel
def transfer(start: float, amount: float, cursor: int, rate: Rate) -> tuple[float, int]:
    """When ``amount`` has passed at a rate given over time, from ``start`` on; infinite where the trace ends first.

    ``cursor`` is the row of the trace to look from; the row reached is returned with the time.
    """
    time, left, i = start, amount, cursor
    last = rate.at.shape[0] - 1
    while i < last and rate.at[i + 1] <= time:
        i += 1
    while i < last:
        if left <= rate.value[i] * (rate.at[i + 1] - time):
            return (time + left / rate.value[i] if left > 0.0 else time), i
        left -= rate.value[i] * (rate.at[i + 1] - time)
        time = rate.at[i + 1]
        i += 1
    if left > 0.0:
        time = time + left / rate.value[i] if rate.value[i] > 0.0 else math.inf
    return (time if time <= rate.end else math.inf), i


def _looking(rate: Rate, span: float, times: Any) -> float:
    """Time that the interpreter takes for the values within each span [s]."""
    within = np.searchsorted(rate.at, times, side="right") - np.searchsorted(rate.at, times - span)
    return 0.1 * STEP * float(np.sum(within + 2))


@kernel(_looking)
def largest_within(rate: Rate, span: float, times: Any) -> Any:
    """Return the largest value that a rate had at any moment from ``span`` before each of some rising times on [s]."""
    out = np.zeros(times.shape[0])
    last, first = rate.at.shape[0] - 1, 0
    for k in range(times.shape[0]):
        while first < last and rate.at[first + 1] + span <= times[k]:
            first += 1
        i = first
        while i <= last and rate.at[i] <= times[k]:
            if i < last or times[k] < rate.end + span:
                out[k] = max(out[k], rate.value[i])
            i += 1
    return out


def _loading(tokens: float, loader: Loader, rate: Rate) -> float:
    """Time that the interpreter takes for the requests, and the trace that they cross [s]."""
    return STEP * (tokens / loader.io + len(rate.at))


@kernel(_loading)
def load_traced(tokens: float, loader: Loader, rate: Rate) -> float:
    """Time to load exactly ``tokens`` at a rate given over time, the last request being short [s]."""
    time, left, i = 0.0, tokens, 0
    while left > CRUMB * loader.io:
        amount = volume(tokens - left + min(left, loader.io), loader) - volume(tokens - left, loader)
        time, i = transfer(time + loader.latency, amount, i, rate)
        left -= loader.io
    return time


def _steps_of(tokens: float, engine: Engine, budget: Rate) -> float:
    """Return about how many steps compute so many tokens, at the mean share of the budget."""
    share = max(float(np.mean(budget.value)), CRUMB)
    return min(tokens / (share * engine.chunk), MOST_STEPS) + len(budget.at)


def _running(engine: Engine, place: float, start: float, target: float, whole: bool, budget: Rate) -> float:
    """Time that the interpreter takes for the steps [s]."""
    return STEP * _steps_of(target - place, engine, budget)


@kernel(_running)
def run_steps(
    engine: Engine, place: float, start: float, target: float, whole: bool, budget: Rate
) -> tuple[float, float]:
    """Run steps from token ``place`` at time ``start`` until ``target``, with a share of the budget over time.

    The share is what it is when a step starts.  Unless ``whole``, the last step costs only the part it needs.

    Returns
    -------
    tuple of float
        Time [s], infinite where the trace ends first; token reached.
    """
    time, i = start, 0
    for _ in range(MOST_STEPS):
        if place >= target - CRUMB * engine.chunk:
            return time, place
        while i < budget.at.shape[0] - 1 and budget.at[i + 1] <= time:
            i += 1
        if time >= budget.end or (budget.value[i] <= 0.0 and i == budget.at.shape[0] - 1):
            break
        gain = budget.value[i] * engine.chunk
        part = 1.0 if whole or gain <= target - place else (target - place) / gain
        time += part * step_time(engine.times, place / engine.chunk)
        place += part * gain
    return math.inf, place


def _meeting(engine: Engine, loader: Loader, budget: Rate, rate: Rate, *_: Any) -> float:
    """Time that the interpreter takes for one prompt, both fronts [s]."""
    requests = loader.stored / loader.io + len(rate.at)
    return STEP * (_steps_of(loader.stored, engine, budget) + requests)


@kernel(_meeting)
def meet_traced(
    engine: Engine, loader: Loader, budget: Rate, rate: Rate, computed: Any, loaded: Any, out: Any
) -> tuple[int, int]:
    """As ``meet_many`` for one prompt, bandwidth [B/s] and share of the budget given over time; ``out`` has no tail.

    ``computed`` and ``loaded`` (event, 2) receive time and position of each front while they have rows; the
    numbers of events are returned.  Time is infinite where a trace ends before the fronts meet.
    """
    time = 0.0
    place = 0.0
    ahead = 0.0
    front = loader.stored
    i, k, n = 0, 0, 0
    crumb, io = CRUMB * loader.io, loader.io
    ready, j = transfer(loader.latency, volume(min(io, front), loader), 0, rate)
    while True:
        while front > ahead + crumb and ready <= time:
            front = max(front - io, 0.0)
            if n < loaded.shape[0]:
                loaded[n, 0], loaded[n, 1] = ready, front
            n += 1
            if front > crumb:
                done = loader.stored - front
                amount = volume(done + min(io, front), loader) - volume(done, loader)
                ready, j = transfer(ready + loader.latency, amount, j, rate)
        if place >= front - CRUMB * engine.chunk:
            break
        while i < budget.at.shape[0] - 1 and budget.at[i + 1] <= time:
            i += 1
        stuck = budget.value[i] <= 0.0 and i == budget.at.shape[0] - 1 and ready == math.inf
        if time >= budget.end or stuck or k >= MOST_STEPS:
            time = math.inf
            break
        time += step_time(engine.times, place / engine.chunk)
        ahead = place
        place += budget.value[i] * engine.chunk
        if k < computed.shape[0]:
            computed[k, 0], computed[k, 1] = time, place
        k += 1
    describe(time, place, loader.stored, loader.stored - front, out)
    return k, n


def _meeting_traced(engine: Engine, given: Any, budgets: Rate, rates: Rate, out: Any) -> float:
    """Time that the interpreter takes for many prompts, of which the first is like the others [s]."""
    loader = Loader(given[0, 0], given[0, 1], given[0, 2], given[0, 3], 0.0, 0.0, 0.0)
    budget = Rate(budgets.at[0], budgets.value[0], budgets.end)
    rate = Rate(rates.at[0], rates.value[0], rates.end)
    return len(given) * _meeting(engine, loader, budget, rate)


@parallel_kernel(_meeting_traced)
def meet_traced_many(engine: Engine, given: Any, budgets: Rate, rates: Rate, out: Any) -> None:
    """Decide many prompts on one engine, each with its own row of budgets and of rates (decision, time).

    ``given`` (decision, 4) is stored tokens, I/O chunk [token], latency [s], bytes of a token [B].
    """
    for d in prange(given.shape[0]):
        nothing = np.empty((0, 2))
        loader = Loader(given[d, 0], given[d, 1], given[d, 2], given[d, 3], 0.0, 0.0, 0.0)
        budget = Rate(budgets.at[d], budgets.value[d], budgets.end)
        rate = Rate(rates.at[d], rates.value[d], rates.end)
        meet_traced(engine, loader, budget, rate, nothing, nothing, out[d])
