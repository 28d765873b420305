"""Prompts and answers on servers of their own: prefill workers hand sequences over to decode workers.

A fluid between events: the sequences of a decode worker advance together, at the speed of a step of so many.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.laws.jit import kernel
from accelmodel.laws.kernels.batching import Traffic


@kernel
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
    arrival, answer = traffic.arrival, traffic.answer
    free, load = np.zeros(servers[0]), np.zeros(servers[1], np.int64)
    where, left = np.full(arrival.shape[0], -1), answer - 1.0
    released, oldest, now, ended = 0, 0, 0.0, 0
    while ended < arrival.shape[0]:
        while released < arrival.shape[0] and arrival[released] <= now:
            worker = np.argmin(free)
            free[worker] = max(arrival[released] + entry, free[worker]) + computing[released]
            first[released] = free[worker]
            released += 1
        pace, chosen = np.inf, -1
        for r in range(oldest, released):
            if left[r] >= 0.0:
                wait = first[r] - now if where[r] < 0 else left[r] * step[load[where[r]] - 1]
                if wait < pace:
                    pace, chosen = wait, r
        for r in range(oldest, released):
            if where[r] >= 0 and left[r] >= 0.0 and r != chosen:
                left[r] = max(left[r] - pace / step[load[where[r]] - 1], 0.0)
        now += pace
        if where[chosen] < 0:
            where[chosen] = np.argmin(load)
            load[where[chosen]] += 1
            continue
        finish[chosen], left[chosen] = now, -1.0
        load[where[chosen]] -= 1
        ended += 1
        while oldest < released and left[oldest] < 0.0:
            oldest += 1
        if released < arrival.shape[0]:
            arrival[released] = now
