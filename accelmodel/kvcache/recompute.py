"""Keys and values rebuilt from activations: fewer bytes to load, two projections to compute.

KVPR does it for part of the context in each layer of a decode step, HCache for a whole prompt, layer by layer.  Both
hold what Cake's policies do not: activations.  They are therefore not bound by its oracle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelmodel.kvcache.checks import check_above_zero
from accelmodel.laws.kernels.two_front_policies import pipeline_time


def _check(**given: float) -> None:
    """Raise SpecError unless all are above 0, and all but ``bandwidth`` and ``rate`` finite."""
    for name, value in given.items():
        check_above_zero(name, value, "", infinite=name in ("bandwidth", "rate"))


class Recomputation(NamedTuple):
    """KVPR's plan for one layer of a decode step: tokens recomputed, time [s], and time if all is loaded [s]."""

    tokens: int
    time: float
    load_time: float


def partial_recomputation(
    batch: float, context: float, hidden: float, kv_width: float, number_bytes: float, bandwidth: float, rate: float
) -> Recomputation:
    """Return how many tokens' KV to recompute from their activations in each layer of a decode step.

    KVPR (arXiv 2411.17089): ``min over l of t_X(l) + max(t_rec(l), t_KV(l))`` with
    ``t_X = b l h p / B``, ``t_rec = 4 b l h w / F``, ``t_KV = 2 b (s - l) w p / B``; w is h without grouped heads.
    The sum is this package's reading of the paper (assumed).  Optimistic where the link does not reach B in both
    transfers, or where the device computes anything else meanwhile.

    Parameters
    ----------
    batch, context : float
        Sequences b, and tokens s of each [1], [token].
    hidden, kv_width : float
        Width of an activation h, and of a key (KV heads x head size) w [1].
    number_bytes : float
        Bytes p of a number [B].
    bandwidth, rate : float
        Of the link B [B/s], and of the device F [FLOP/s].

    Returns
    -------
    Recomputation
        ``tokens`` to recompute [token], ``time`` and ``load_time``, if all is loaded [s].

    Raises
    ------
    SpecError
        If a value is not above 0.

    Examples
    --------
    >>> found = partial_recomputation(8, 1024, 4096, 4096, 2.0, bandwidth=25e9, rate=3e14)
    >>> found.time < found.load_time
    True
    """
    _check(batch=batch, context=context, hidden=hidden, kv_width=kv_width, number_bytes=number_bytes)
    _check(bandwidth=bandwidth, rate=rate)
    tokens: Any = np.arange(int(context) + 1)
    sent = batch * tokens * hidden * number_bytes / bandwidth
    rebuilt = 4.0 * batch * tokens * hidden * kv_width / rate
    loaded = 2.0 * batch * (context - tokens) * kv_width * number_bytes / bandwidth
    total = sent + np.maximum(rebuilt, loaded)
    best = int(np.argmin(total))
    return Recomputation(best, float(total[best]), float(total[0]))


class Restoration(NamedTuple):
    """HCache's time for a prompt, what loading and rebuilding alone take of it, and time to load the KV cache [s]."""

    time: float
    load_time: float
    rebuild_time: float
    kv_load_time: float


def hidden_states(
    tokens: float, layers: float, hidden: float, kv_width: float, number_bytes: float, bandwidth: float, rate: float
) -> Restoration:
    """Return the time to restore the KV cache of a prompt from its hidden states.

    HCache (EuroSys 2025): in each layer ``N h p / B`` to load and ``4 N h w / F`` to rebuild keys and values, layer
    l + 1 loaded while layer l is rebuilt; w is h without grouped heads.  Half of the bytes of KV where w is h; more
    bytes than KV, and so never worth it, where ``2 w <= h``.  Its mix with token recomputation is left out.  Optimistic
    where the link does not reach B; projections are taken at one rate for all sizes.

    Parameters
    ----------
    tokens, layers : float
        Stored tokens N [token], and layers [1].
    hidden, kv_width : float
        Width of a hidden state h, and of a key (KV heads x head size) w [1].
    number_bytes : float
        Bytes p of a number [B].
    bandwidth, rate : float
        Of the link B [B/s], and of the device F [FLOP/s].

    Returns
    -------
    Restoration
        ``time`` of the pipeline, ``load_time`` and ``rebuild_time`` of its halves; ``kv_load_time`` without it [s].

    Raises
    ------
    SpecError
        If a value is not above 0.

    Examples
    --------
    >>> found = hidden_states(4096, 32, 4096, 4096, 2.0, bandwidth=4e9, rate=3e14)
    >>> found.time < found.kv_load_time
    True
    """
    _check(tokens=tokens, layers=layers, hidden=hidden, kv_width=kv_width, number_bytes=number_bytes)
    _check(bandwidth=bandwidth, rate=rate)
    load = layers * tokens * hidden * number_bytes / bandwidth
    rebuild = layers * 4.0 * tokens * hidden * kv_width / rate
    whole = layers * tokens * 2.0 * kv_width * number_bytes / bandwidth
    return Restoration(float(pipeline_time(load, rebuild, layers)), load, rebuild, whole)
