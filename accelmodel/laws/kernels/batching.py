"""Continuous batching, step by step: the event simulation of one server, compiled since a step needs the one before.

Compiled, 2,000 requests of 256 tokens take some 5 ms; the same code as plain Python some 1,000 times as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelmodel.laws.jit import kernel, law


class Traffic(NamedTuple):
    """Requests in order: arrival [s] (infinite: when an earlier one has finished), tokens in and out."""

    arrival: Any
    prompt: Any
    answer: Any


class Times(NamedTuple):
    """Time of a step on the device, in parts; every axis holds powers of two from 1 up [s]."""

    other: Any  #: all but attention, over the tokens of the step
    decode_attention: Any  #: over sequences x mean context
    prompt_attention: Any  #: of one prompt, over its new tokens x tokens there before (0, then 1, 2, 4, …)


class Rules(NamedTuple):
    """How the engine makes up a step, and what its host adds."""

    max_num_seqs: int  #: sequences at once
    room: float  #: tokens of KV cache that the device holds
    max_num_batched_tokens: (
        int  #: tokens of a step that mixes prompts with decoding; 0: whole prompts in steps of their own
    )
    patience: int  #: decode steps before waiting prompts interrupt decoding; 0: at once
    fixed: float  #: time of the host in each step [s]
    each: float  #: time of the host for each sequence of a decode step [s]
    prompt: float  #: time of the host for each prompt that a step finishes [s]
    overlapped: bool  #: the fixed time runs beside the device
    entry: float = 0.0  #: time between a request's arrival and the queue: network, event loop [s]
    entry_token: float = 0.0  #: time of the host for a token of a prompt before the queue, request by request [s/token]
    gather: int = 0  #: decode steps that a waiting prompt lets pass, for others to join it
    apart: bool = False  #: prompts take steps of their own even where ``max_num_batched_tokens`` limits them
    poll: int = 0  #: decode steps between looks at the queue; it is also looked at after a step with prompts


#: decode step at which a sequence ends whose prompt is not computed
NEVER = 2**62


@law
def place(x: float) -> tuple[int, float]:
    """Index of the power of two below x >= 1, and how far x is on the way to the next."""
    index = int(np.floor(np.log2(x)))
    return index, x / 2.0**index - 1.0


@law
def curve(table: Any, x: float) -> float:
    """Value at x of a table over powers of two, linear between them; 0 at x = 0."""
    if x < 1.0:
        return 0.0
    i, part = place(x)
    i, part = (i, part) if i < table.shape[0] - 1 else (table.shape[0] - 2, x / 2.0 ** (table.shape[0] - 2) - 1.0)
    return table[i] * (1.0 - part) + table[i + 1] * part


@law
def surface(table: Any, x: float, y: float) -> float:
    """Value at (x, y) of a table over powers of two on both axes; 0 at x = 0."""
    if x < 1.0:
        return 0.0
    i, part = place(x)
    i, part = (i, part) if i < table.shape[0] - 1 else (table.shape[0] - 2, x / 2.0 ** (table.shape[0] - 2) - 1.0)
    return curve(table[i], max(y, 1.0)) * (1.0 - part) + curve(table[i + 1], max(y, 1.0)) * part


@law
def step_time(device: float, sequences: float, prompts: float, rules: Rules) -> float:
    """Time of a step with its host [s]: launches add to the device's time, or run beside it."""
    base = np.maximum(device, rules.fixed) if rules.overlapped else device + rules.fixed
    return base + rules.each * sequences + rules.prompt * prompts


class Slots(NamedTuple):
    """The sequences at work, in order of admission; those whose prompts are not computed are the last of them."""

    who: Any  #: request
    done: Any  #: tokens of its prompt that are computed
    ends: Any  #: decode step that completes its answer, counted from the start
    last: Any  #: time of its last token [s]


@law
def enter(ready: Any, r: int, traffic: Traffic, rules: Rules) -> None:
    """Set when a request that has arrived is in the queue: the host reads one prompt after another [s]."""
    before = ready[r - 1] if r > 0 else 0.0
    ready[r] = np.maximum(traffic.arrival[r] + rules.entry, before) + rules.entry_token * traffic.prompt[r]


@law
def release(ready: Any, released: int, now: float, traffic: Traffic, rules: Rules) -> int:
    """Let the next request arrive, if there is one; return how many have come."""
    if released == ready.shape[0]:
        return released
    traffic.arrival[released] = now
    enter(ready, released, traffic, rules)
    return released + 1


@law
def admit(
    slots: Slots, traffic: Traffic, rules: Rules, ready: Any, active: int, queue: int, used: float, now: float
) -> tuple[int, int, float]:
    """Admit waiting requests in order while slots and KV cache last; return active, queue and KV cache in use."""
    prompt, answer = traffic.prompt, traffic.answer
    while (
        queue < ready.shape[0] and ready[queue] <= now and active < rules.max_num_seqs
        and used + prompt[queue] + answer[queue] <= rules.room
    ):  # fmt: skip
        slots.who[active], slots.done[active], slots.ends[active] = queue, 0, NEVER
        used += prompt[queue] + answer[queue]
        active, queue = active + 1, queue + 1
    return active, queue, used


@law
def prompts(slots: Slots, begin: int, end: int, prompt: Any, times: Times, budget: int) -> tuple[int, int, float]:
    """Compute prompts from one slot to another; tokens, prompts that it finishes, time of their attention [s]."""
    tokens, finished, device = 0, 0, 0.0
    for s in range(begin, end):
        r = slots.who[s]
        taken = min(prompt[r] - slots.done[s], budget - tokens)
        if taken == 0:
            break
        device += surface(times.prompt_attention, taken, slots.done[s] + 1.0)
        slots.done[s] += taken
        tokens += taken
        finished += 1 if slots.done[s] == prompt[r] else 0
    return tokens, finished, device


@law
def begin(slots: Slots, s: int, now: float, tick: int, traffic: Traffic, first: Any) -> None:
    """Give a sequence its first token, with the end of its prompt."""
    r = slots.who[s]
    first[r], slots.last[s], slots.ends[s] = now, now, tick + traffic.answer[r] - 1


@law
def note(slots: Slots, decoding: int, now: float, gaps: Any, written: int) -> int:
    """Write the times between tokens of a decode step that ends now; return how many are written."""
    for s in range(decoding):
        gaps[written + s], slots.last[s] = now - slots.last[s], now
    return written + decoding


@law
def move(slots: Slots, s: int, to: int) -> None:
    """Move a sequence to another slot."""
    slots.who[to], slots.done[to], slots.ends[to], slots.last[to] = (
        slots.who[s], slots.done[s], slots.ends[s], slots.last[s],
    )  # fmt: skip


@kernel
def serve(traffic: Traffic, times: Times, rules: Rules, first: Any, finish: Any, gaps: Any) -> int:
    """Serve requests in order of arrival; return how many gaps between tokens were written.

    A request is admitted when KV cache for its whole length is free: no preemption.

    Parameters
    ----------
    traffic, times, rules
        See there.  Arrivals rise; those that are infinite (closed loop) are filled in.  The first token of an answer
        comes with the end of its prompt.
    first, finish : ndarray (request)
        Filled with the times of the first and the last token [s].
    gaps : ndarray (tokens of all answers, or none)
        Filled with the times between tokens of a sequence [s], unless it is empty.
    """
    prompt, answer, count = traffic.prompt, traffic.answer, traffic.arrival.shape[0]
    whole = np.zeros(rules.max_num_seqs, np.int64)
    slots = Slots(whole, whole.copy(), whole.copy(), np.zeros(rules.max_num_seqs))
    active, pending, queue, ended, written, since, held, looked, now, used = 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0
    ready, released = np.full(count, np.inf), int(np.searchsorted(traffic.arrival, np.inf))
    for r in range(released):
        enter(ready, r, traffic, rules)
    mixed, tick, soonest, there = rules.max_num_batched_tokens > 0 and not rules.apart, 0, NEVER, 0.0
    while ended < count:
        decoding = active - pending
        if decoding == 0 or (since >= rules.patience and held >= rules.gather and looked >= rules.poll):
            before, (active, queue, used) = queue, admit(slots, traffic, rules, ready, active, queue, used, now)
            pending, looked = active - decoding, 0
            since, held = (0, 0) if queue > before else (since, held)
        if active == 0:
            now = max(now, ready[queue])
            continue
        held = held + 1 if queue < count and ready[queue] <= now else 0
        budget = max(rules.max_num_batched_tokens - decoding * mixed, 1) if rules.max_num_batched_tokens > 0 else NEVER
        tokens, finished, device = prompts(slots, decoding, active, prompt, times, budget)
        decodes, looked = decoding > 0 and (mixed or tokens == 0), looked + 1 if tokens == 0 else rules.poll
        if decodes:
            tokens, since, tick, there = tokens + decoding, since + 1, tick + 1, there + decoding
            device += surface(times.decode_attention, decoding, there / decoding)
        now += step_time(device + curve(times.other, tokens), decoding if decodes else 0.0, finished, rules)
        written = note(slots, decoding, now, gaps, written) if decodes and gaps.shape[0] > 0 else written
        for s in range(decoding, decoding + finished):
            begin(slots, s, now, tick, traffic, first)
            there, soonest = there + prompt[slots.who[s]] + 1.0, min(soonest, slots.ends[s])
        pending -= finished
        if soonest > tick:
            continue
        keep, soonest = 0, NEVER
        for s in range(active):
            r = slots.who[s]
            if slots.ends[s] > tick:
                move(slots, s, keep)
                soonest, keep = min(soonest, slots.ends[s]), keep + 1
                continue
            finish[r], ended = now, ended + 1
            used, there = used - (prompt[r] + answer[r]), there - (prompt[r] + answer[r])
            released = release(ready, released, now, traffic, rules)
        active = keep
    return written
