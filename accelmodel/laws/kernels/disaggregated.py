"""Prompts and answers on servers of their own: prefill workers hand sequences over to decode workers.

A fluid between events: the sequences of a decode worker advance together, at the speed of a step of so many.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelmodel.laws.jit import kernel, law
from accelmodel.laws.kernels.batching import Traffic

#: decode worker of a sequence that has none yet
NOWHERE = -1
#: tokens left of a sequence whose answer is complete
COMPLETE = -1.0


class Sequences(NamedTuple):
    """What is known of each request."""

    first: Any  #: when its prompt ends [s]
    where: Any  #: its decode worker
    left: Any  #: tokens left to decode, a share of one included


@law
def compute(free: Any, ready: float, time: float) -> float:
    """Give a prompt to the prefill worker that is free first; return when it ends [s]."""
    worker = np.argmin(free)
    free[worker] = max(ready, free[worker]) + time
    return free[worker]


@law
def wait(r: int, now: float, sequences: Sequences, load: Any, step: Any) -> float:
    """Time until a sequence's prompt ends, or until its answer does at the present load of its worker [s]."""
    worker = sequences.where[r]
    return sequences.first[r] - now if worker == NOWHERE else sequences.left[r] * step[load[worker] - 1]


@law
def next_event(oldest: int, released: int, now: float, sequences: Sequences, load: Any, step: Any) -> tuple[int, float]:
    """Return the sequence whose prompt or answer ends next, and in how long [s]."""
    chosen = -1
    soonest = np.inf
    for r in range(oldest, released):
        if sequences.left[r] >= 0.0:
            time = wait(r, now, sequences, load, step)
            if time < soonest:
                chosen = r
                soonest = time
    return chosen, soonest


@law
def advance(oldest: int, released: int, chosen: int, time: float, sequences: Sequences, load: Any, step: Any) -> None:
    """Let all sequences but the chosen one decode for so long, each at the speed of its worker."""
    for r in range(oldest, released):
        worker = sequences.where[r]
        if worker != NOWHERE and sequences.left[r] >= 0.0 and r != chosen:
            sequences.left[r] = max(sequences.left[r] - time / step[load[worker] - 1], 0.0)


def _serving(traffic: Traffic, *_: Any) -> float:
    """Time that the interpreter takes [s]: two events a request, each a look at those under way."""
    return 2e-6 * len(traffic.arrival) ** 2


@kernel(_serving)
def serve_disaggregated(
    traffic: Traffic, computing: Any, step: Any, servers: Any, entry: float, first: Any, finish: Any
) -> None:
    """Serve a closed loop on two pools of workers.

    Each prefill worker computes one prompt after another, in order of arrival; the first token comes with its end.  The
    sequence then joins the decode worker with the fewest.  Not modelled: the KV cache's way between workers, which
    ``entry`` may stand for, prompts computed together, and memory that is full; all of them make requests wait longer.

    Parameters
    ----------
    traffic : Traffic
        Arrivals rise; those that are infinite are filled in.
    computing : ndarray (request)
        Time of each prompt on a prefill worker [s].
    step : ndarray (sequences)
        Time of a decode step of 1, 2, … sequences [s].
    servers : ndarray (2)
        Numbers of prefill and decode workers.
    entry : float
        Time between a request's arrival and the queue [s].
    first, finish : ndarray (request)
        Filled with the times of the first and the last token [s].
    """
    arrival = traffic.arrival
    free = np.zeros(servers[0])
    load = np.zeros(servers[1], np.int64)
    where = np.full(arrival.shape[0], NOWHERE)
    left = traffic.answer - 1.0
    sequences = Sequences(first, where, left)
    released = 0
    oldest = 0
    now = 0.0
    ended = 0
    while ended < arrival.shape[0]:
        while released < arrival.shape[0] and arrival[released] <= now:
            first[released] = compute(free, arrival[released] + entry, computing[released])
            released += 1
        chosen, time = next_event(oldest, released, now, sequences, load, step)
        advance(oldest, released, chosen, time, sequences, load, step)
        now += time
        if where[chosen] == NOWHERE:
            where[chosen] = np.argmin(load)
            load[where[chosen]] += 1
            continue
        finish[chosen] = now
        left[chosen] = COMPLETE
        load[where[chosen]] -= 1
        ended += 1
        while oldest < released and left[oldest] < 0.0:
            oldest += 1
        if released < arrival.shape[0]:
            arrival[released] = now
