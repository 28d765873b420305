"""InferSave (arXiv 2504.11816): the cheapest instance that meets a throughput, KV cache partly in host memory.

The paper in its four stages, each a law of numbers or arrays: requirements (the ``Task``), memory (how much of
the KV cache must go to the host), time (equations 4 to 7), choice (equations 1 to 3).  What the released code
does otherwise is a rule of its own.  Times here know no memory bandwidth of the device; ``physical`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

#: a float or an array of one value for each instance, batch, …
Number = Any
HOUR = 3600.0


class Task(NamedTuple):
    """Stage 1: what is asked.  ``batch`` requests at once, of ``input`` and ``output`` tokens each."""

    batch: Number
    input: Number
    output: Number


class Shape(NamedTuple):
    """What the equations read of a model: n, h1, h2, heads, parameters and bytes per element."""

    layers: Number
    hidden: Number
    ffn: Number
    heads: Number
    parameters: Number
    bytes: Number


class Server(NamedTuple):
    """What the equations read of an instance: memory [B], peak [FLOP/s], host link [B/s]."""

    memory: Number
    flops: Number
    to_host: Number
    from_host: Number


class Footprint(NamedTuple):
    """Bytes that a task takes on the device, and the bytes that it has [B]."""

    fixed: Number
    kv: Number
    available: Number


# stage 2: memory


def kv_cache(shape: Shape, task: Task) -> Number:
    """KV cache of a batch at full length [B]: 2 BS (L_in + L_out) h1 b n.

    The paper prints the number of heads where the hidden size must stand; its code has the hidden size.
    """
    return 2.0 * task.batch * (task.input + task.output) * shape.hidden * shape.bytes * shape.layers


def algorithm_1(shape: Shape, task: Task, memory: Number) -> Footprint:
    """The paper's Algorithm 1: weights, activations 2 (L_in + L_out) BS h1, and the rest for KV cache."""
    activations = 2.0 * (task.input + task.output) * task.batch * shape.hidden
    fixed = shape.parameters * shape.bytes + activations
    return Footprint(fixed, kv_cache(shape, task), memory - fixed)


#: of the released code: share of memory it dares to use.  Its default is 0.8 and its command line's 0.87; 0.85 is
#: the only one of 0.80, 0.85, 0.87 and 0.90 that gives the ratios of Table VI
SAFETY = 0.85
#: of the released code: bytes of each device that it does not count
RESERVED = 1e9


def released_code(shape: Shape, task: Task, memory: Number, safety: float = SAFETY) -> Footprint:
    """The released code's rule: rough weights, 15 % for activations, 1.2 x scores in fp32, a safety factor."""
    h1, h2 = shape.hidden, shape.ffn
    weights = (h1 * h1 + shape.layers * (4.0 * h1 * h1 + 2.0 * h1 * h2)) * shape.bytes
    scores = task.batch * shape.heads * task.input * (task.input + task.output) * 4.0
    buffer = 1.2 * np.maximum(scores, task.batch * h2 * 4.0)
    fixed = 1.15 * weights + buffer
    return Footprint(fixed, kv_cache(shape, task), (memory - RESERVED) * safety - fixed)


def offload_ratio(need: Footprint) -> Number:
    """Share C of the KV cache that goes to the host [1]: 1 - available / KV, from 0 to 1."""
    return np.clip(1.0 - need.available / need.kv, 0.0, 1.0)


def cautious_ratio(need: Footprint) -> Number:
    """As the released code: C times 1.6, rounded up to tenths."""
    return np.ceil(np.round(10.0 * np.minimum(1.0, 1.6 * offload_ratio(need)), 9)) / 10.0


def feasible(need: Footprint, layers: Number) -> Number:
    """Whether the fixed part and the KV cache of one layer fit (cases 1 and 3 of Algorithm 1)."""
    return need.available >= np.where(offload_ratio(need) > 0.0, need.kv / layers, 0.0)


#: the rule that has a safety factor
RELEASED = "released-code"
#: name → (footprint, ratio): the paper's rule, and that of the released code
MEMORY_RULES: dict[str, tuple[Callable[..., Footprint], Callable[[Footprint], Number]]] = {
    "algorithm-1": (algorithm_1, offload_ratio),
    RELEASED: (released_code, cautious_ratio),
}


def memory_rule(name: str, safety: float = 0.0) -> tuple[Callable[..., Footprint], Callable[[Footprint], Number]]:
    """Return footprint and ratio of a rule of ``MEMORY_RULES``; a ``safety`` factor is of the released code's [1].

    Examples
    --------
    >>> memory_rule("algorithm-1")[0] is algorithm_1
    True
    """
    footprint, ratio = MEMORY_RULES[name]
    return (partial(footprint, safety=safety) if safety else footprint), ratio


# stage 3: time


class Ctcf(NamedTuple):
    """Compute time calibration function, equation (7): alpha x time + beta [s]."""

    alpha: float = 1.0
    beta: float = 0.0


def prefill_layer(shape: Shape, task: Task, server: Server, ratio: Number, ctcf: Ctcf = Ctcf()) -> Number:  # noqa: B008
    """Time of one layer of the prefill [s], equation (5): the store of KV cache overlaps with the computation."""
    h1, h2 = shape.hidden, shape.ffn
    linear = task.batch * (8.0 * task.input * h1 * h1 + 4.0 * task.input * h1 * h2)
    attention = 4.0 * task.batch * task.input * task.input * h1
    stored = ratio * 2.0 * (task.input + 1.0) * h1 * shape.bytes * task.batch
    compute = (linear + attention) / server.flops
    return np.maximum(ctcf.alpha * compute + ctcf.beta, stored / server.to_host)


def decode_layer(
    shape: Shape, task: Task, server: Server, ratio: Number, ctcf: Ctcf = Ctcf(), grown: str = "output"  # noqa: B008
) -> Number:  # fmt: skip
    """Time of one layer of a mean decode step [s], equation (6): the load of KV cache comes before the computation.

    Parameters
    ----------
    grown : {"output", "two"}
        Elements per sequence and hidden unit that equation (6) adds to the offloaded prompt: L_out as printed, which
        charges the answer in full for any C above 0; or 2, as the released code does.

    Notes
    -----
    Without offloading nothing is transferred: the code says so, the equation does not.
    """
    h1, h2 = shape.hidden, shape.ffn
    linear = task.batch * (8.0 * h1 * h1 + 4.0 * h1 * h2)
    attention = 4.0 * task.batch * (task.input + task.output / 2.0) * h1
    answer = {"output": task.output, "two": 2.0}[grown]
    loaded = np.where(ratio > 0.0, ratio * 2.0 * (task.input + 1.0) + answer, 0.0) * h1 * shape.bytes * task.batch
    compute = (linear + attention) / server.flops
    return ctcf.alpha * compute + ctcf.beta + loaded / server.from_host


def as_published(
    shape: Shape, task: Task, server: Server, ratio: Number, ctcf: tuple[Ctcf, Ctcf] = (Ctcf(), Ctcf())
) -> tuple[Number, Number]:
    """Time of the prefill and of one decode step [s], equation (4): the sums over the layers.

    Optimistic without a fitted ``ctcf``: no memory bandwidth limits a decode step, so that small batches look
    2.6 to 12 times too fast on OPT-2.7B.
    """
    prefill = prefill_layer(shape, task, server, ratio, ctcf[0]) * shape.layers
    return prefill, decode_layer(shape, task, server, ratio, ctcf[1]) * shape.layers


# stage 4: choice


def end_to_end(prefill: Number, decode: Number, task: Task) -> Number:
    """Time of a batch from prompt to last token [s]: prefill and L_out - 1 decode steps."""
    return prefill + decode * (task.output - 1.0)


def total_tps(task: Task, seconds: Number) -> Number:
    """Throughput of equation (1) [token/s]: input and output tokens both count."""
    return task.batch * (task.input + task.output) / seconds


def billed_hours(tokens: Number, tps: Number) -> Number:
    """Hours paid for: whole ones, at least one; the inner value of equation (2) rounded up."""
    return np.maximum(np.ceil(np.round(tokens / (tps * HOUR), 9)), 1.0)


def cost_efficiency(tokens: Number, tps: Number, slo: Number, price: Number) -> Number:
    """Equation (3) [token/USD per billed hour]: what is beyond the SLO earns nothing.

    Parameters
    ----------
    tokens : float
        Input and output tokens of the whole job [token].
    tps, slo : float
        Throughput reached and asked for, both by equation (1) [token/s].
    price : float
        Of the instance [USD/h].

    Examples
    --------
    A batch of 32 requests of 640 tokens takes less than an hour anywhere, so that only the price decides:

    >>> cost_efficiency(20480.0, 620.17, 400.0, 0.71) > cost_efficiency(20480.0, 802.19, 400.0, 1.167)
    np.True_
    """
    effective = np.minimum(tps, slo)
    return effective * HOUR / (billed_hours(tokens, effective) * price)


def order(efficiency: Number, tps: Number, met: Number) -> list[int]:
    """Return the indices of the candidates, best first: those that meet the SLO by efficiency, ties by throughput."""
    return sorted(range(len(met)), key=lambda i: (not met[i], -float(efficiency[i]), -float(tps[i])))
