"""What else one could do with a stored prefix: splits, plans over layers, and the least that any plan takes.

All at constant rates.  ``finish`` holds the starts of the engine's steps on the prompt, and the end of the
last [s]; ``k`` of them fill the stored prefix.  Tokens behind the prefix are computed at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.laws.jit import inner_kernel, parallel_kernel, prange
from accelmodel.laws.kernels.two_fronts import (
    STEP,
    Engine,
    Loader,
    arrival,
    count,
    describe,
    fill_steps,
    load_time,
    loaded_by,
    meet_after,
    steps_time,
    volume,
)

#: policies in the order of the kernel's output, behind ``two_fronts.MEETING``
POLICY_TIMES = (
    "compute_only", "load_only", "fixed_split", "planned_split", "oracle", "layerwise", "token_layer",
)  # fmt: skip


@inner_kernel
def crossing(finish: Any, per_step: float, loader: Loader) -> int:
    """Return the fewest steps that take at least as long as loading the rest."""
    low, high = 0, count(loader.stored, per_step)
    while low < high:
        middle = (low + high) // 2
        if finish[middle] >= load_time(loader.stored - middle * per_step, loader):
            high = middle
        else:
            low = middle + 1
    return low


@inner_kernel
def split_time(steps: int, finish: Any, per_step: float, loader: Loader) -> float:
    """Time of a split decided in advance: so many steps are computed, the rest of the prefix is loaded [s]."""
    return max(finish[steps], load_time(loader.stored - steps * per_step, loader))


@inner_kernel
def best_split(finish: Any, per_step: float, loader: Loader) -> int:
    """Return the best number of steps of ``split_time``: one of the two about the crossing."""
    n = crossing(finish, per_step, loader)
    if n > 0 and split_time(n - 1, finish, per_step, loader) <= split_time(n, finish, per_step, loader):
        return n - 1
    return n


@inner_kernel
def layers_of_step(n: int, finish: Any, per_step: float, loader: Loader, layers: float) -> float:
    """Layers of step ``n`` that are worth computing after the whole steps before it, by bisection."""
    tokens, cost = min(per_step, loader.stored - n * per_step), finish[n + 1] - finish[n]
    low, high = 0.0, layers
    while low < high:
        middle = (low + high) // 2.0
        left = loader.stored - n * per_step - middle / layers * tokens
        if finish[n] + middle / layers * cost >= load_time(left, loader):
            high = middle
        else:
            low = middle + 1.0
    return low


@inner_kernel
def token_layer_part(n: int, finish: Any, per_step: float, loader: Loader, layers: float) -> float:
    """Return the best share of step ``n`` in whole layers: one of the two about the crossing."""
    most = layers_of_step(n, finish, per_step, loader, layers)
    less = max(most - 1.0, 0.0)
    tokens, cost = min(per_step, loader.stored - n * per_step), finish[n + 1] - finish[n]
    left = loader.stored - n * per_step
    upper = max(finish[n] + most / layers * cost, load_time(left - most / layers * tokens, loader))
    lower = max(finish[n] + less / layers * cost, load_time(left - less / layers * tokens, loader))
    return (less if lower <= upper else most) / layers


@inner_kernel
def token_layer_time(finish: Any, per_step: float, loader: Loader, layers: float) -> tuple[float, float]:
    """Time of CacheFlow's token x layer plan, and steps that it computes, the last in part [s], [1].

    Source: CacheFlow, arXiv 2604.25080.  Its dynamic programme decides how many layers of each chunk are
    computed.  Where later chunks cost no less than earlier ones an exchange of cells never makes the plan
    worse, so that all chunks but one are whole; the bisection finds that one and its layers.  Its pipeline
    stages and its contention between requests are not modelled.
    """
    n = crossing(finish, per_step, loader)
    if n == 0:
        return split_time(0, finish, per_step, loader), 0.0
    part = token_layer_part(n - 1, finish, per_step, loader, layers)
    tokens, cost = min(per_step, loader.stored - (n - 1) * per_step), finish[n] - finish[n - 1]
    left = loader.stored - (n - 1) * per_step - part * tokens
    return max(finish[n - 1] + part * cost, load_time(left, loader)), n - 1 + part


@inner_kernel
def pipeline_time(load: float, compute: float, layers: float) -> float:
    """Time of layer-wise overlapped loading: layer l + 1 is loaded while layer l is computed [s].

    Source: LMCache, arXiv 2510.09665, and the pipeline of HCache (EuroSys 2025).  Two stages over equal
    layers: the longer one whole, and one layer of the other.  Assumes that all layers are alike.
    """
    return max(load + compute / layers, load / layers + compute)


@inner_kernel
def fluid_load(tokens: float, loader: Loader) -> float:
    """Time to load ``tokens`` if requests could be cut at will: at most ``load_time`` [s]."""
    return volume(tokens, loader) + max(tokens, 0.0) * loader.latency / loader.io


@inner_kernel
def least_time(cheapest: Any, per_step: float, loader: Loader, rest: float) -> float:
    """Return the least time that any plan takes, tail apart: the oracle [s].

    Dynamic programming over chunks finds, for each number of chunks, the least compute time of that many:
    without waiting between the fronts this is the sum of the cheapest, ``cheapest`` [s].  The last chunk may be cut at
    will (in tokens or layers), requests too, and the ``rest`` of the prompt [s] may run beside the loading.
    Hence a lower bound; plans of whole chunks lie above it by at most a step and a request.
    """
    low, high = 0, count(loader.stored, per_step)
    while low < high:
        middle = (low + high) // 2
        if cheapest[middle] + rest >= fluid_load(loader.stored - middle * per_step, loader):
            high = middle
        else:
            low = middle + 1
    if low == 0:
        return max(rest, fluid_load(loader.stored, loader))
    before = fluid_load(loader.stored - (low - 1) * per_step, loader)
    after = fluid_load(loader.stored - low * per_step, loader)
    cost = cheapest[low] - cheapest[low - 1]
    part = min(max((before - cheapest[low - 1] - rest) / (cost + before - after), 0.0), 1.0)
    return cheapest[low - 1] + rest + part * cost


@inner_kernel
def cheapest_sums(finish: Any, k: int) -> Any:
    """Return the sums of the 0, 1, … cheapest of the first ``k`` steps [s]."""
    costs = np.empty(k)
    for i in range(k):
        costs[i] = finish[i + 1] - finish[i]
    costs.sort()
    sums = np.zeros(k + 1)
    for i in range(k):
        sums[i + 1] = sums[i] + costs[i]
    return sums


@inner_kernel
def policies_at(
    finish: Any, cheapest: Any, per_step: float, loader: Loader, suffix: float, setting: Any, out: Any
) -> None:
    """Fill ``out`` with MEETING and POLICY_TIMES of one prompt.

    ``finish`` are the ends of steps beside a load, ``slowdown`` times those of steps alone; ``suffix`` is the time of
    the tokens behind the stored prefix, when steps start at its end [s].
    """
    _, _, _, layers, tail, slowdown = setting
    last, stored = finish.shape[0] - 1, loader.stored
    k = count(stored, per_step)
    compute_only = finish[last] / slowdown
    if stored <= 0.0:
        describe(compute_only, 0.0, 0.0, 0.0, out)
        out[5:] = compute_only
        return
    met = meet_after(finish, per_step, loader)
    loaded = loaded_by(finish[met], stored - (met - 1) * per_step, loader)
    after = (finish[last] - finish[met]) / slowdown if met * per_step >= stored else suffix
    # a load that brings nothing takes nothing from the engine either
    both = finish[met] + after + tail if loaded > 0.0 else compute_only
    describe(both, met * per_step, stored, loaded, out)
    all_loaded = load_time(stored, loader)
    half = min(count(0.5 * stored, per_step), k)
    planned = split_time(best_split(finish, per_step, loader), finish, per_step, loader)
    two = token_layer_time(finish, per_step, loader, layers)[0]
    out[5] = compute_only
    out[6] = arrival(stored, loader) + suffix + tail
    out[7] = compute_only if half == k else split_time(half, finish, per_step, loader) + suffix + tail
    out[8] = min(compute_only, planned + suffix + tail)
    out[9] = min(compute_only, least_time(cheapest, per_step, loader, suffix) + tail)
    out[10] = pipeline_time(all_loaded, suffix, layers) + tail
    out[11] = min(compute_only, two + suffix + tail)


@inner_kernel
def policies_of(engine: Engine, length: Any, per_step: float, rates: Any, costs: Any, setting: Any, out: Any) -> None:
    """Fill ``out`` (bandwidth, precision, figure) of one prompt, whose steps are added up once."""
    _, io, latency, _, _, slowdown = setting
    tokens, stored, reach = length[0], length[1], length[2]
    finish = np.empty(count(tokens, per_step) + 1)
    fill_steps(engine, per_step, 0.0, finish)
    cheapest = cheapest_sums(finish, count(stored, per_step))
    suffix = steps_time(engine, per_step, stored, tokens)
    # the oracle may know a plan that loads and computes apart: its steps are those alone
    finish *= slowdown
    for b in range(rates.shape[0]):
        for q in range(costs.shape[0]):
            token, near, fixed = costs[q, 0] / rates[b], costs[q, 1] / rates[b], costs[q, 2] / rates[b]
            loader = Loader(stored, io, latency, token, near, reach, fixed)
            policies_at(finish, cheapest, per_step, loader, suffix, setting, out[b, q])


def _deciding(curves: Any, lengths: Any, shares: Any, rates: Any, costs: Any, setting: Any, out: Any) -> float:
    """Time that the interpreter takes [s]: the steps of each prompt, and a few bisections at each rate."""
    steps = float(np.sum(lengths[:, 0]) * np.sum(1.0 / shares)) / setting[0]
    plans = len(lengths) * len(shares) * len(rates) * len(costs)
    return len(curves) * STEP * (2.0 * steps + 50.0 * plans)


@parallel_kernel(_deciding)
def policies_grid(curves: Any, lengths: Any, shares: Any, rates: Any, costs: Any, setting: Any, out: Any) -> None:
    """Fill a grid of prompts, devices and rates, on all cores.

    Parameters
    ----------
    curves : ndarray (device, chunk)
        Chunk times [s].
    lengths : ndarray (length, 3)
        Tokens of the prompt, those stored, and how far back of their end windows reach.
    shares : ndarray (share)
        Of the token budget [1].
    rates : ndarray (bandwidth)
        Bytes loaded in a second, latency apart [B/s].
    costs : ndarray (precision, 3)
        Bytes of each token, beyond that of each within reach, and of all once [B].
    setting : tuple of float
        Compute chunk [token], I/O chunk [token], latency [s], layers [1], tail [s], steps beside a load over steps
        alone [1].
    out : ndarray (device, length, share, bandwidth, precision, MEETING + POLICY_TIMES)
        Filled.
    """
    chunk = setting[0]
    devices, prompts, parts = curves.shape[0], lengths.shape[0], shares.shape[0]
    for job in prange(devices * prompts * parts):
        d, t, u = job // (prompts * parts), job // parts % prompts, job % parts
        policies_of(Engine(curves[d], chunk), lengths[t], shares[u] * chunk, rates, costs, setting, out[d, t, u])
