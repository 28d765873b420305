"""Where the KV cache lies, and what that costs: nothing offloaded, InferSave, FlexGen, KVPR.

A policy is a function of what a batch needs and what a device and its host offer; numbers or arrays, all for one
device.  Device times hold the whole KV cache in device memory; policies add the host link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from accelmodel.techniques.infersave import Footprint, feasible, offload_ratio

#: a float or an array
Number = Any


class Need(NamedTuple):
    """What a batch needs of one device."""

    prefill: Number  #: time of the prefill, host included [s]
    decode: Number  #: mean time of a decode step, host included [s]
    weights: Number  #: bytes of weights [B]
    activations: Number  #: most bytes of activations [B]
    kv: Number  #: bytes of KV cache at full length [B]
    kv_mean: Number  #: its mean over the decode steps [B]
    kv_prompt: Number  #: its size after the prefill [B]
    hidden: Number  #: size of the hidden states of all layers / size of the KV cache [1]
    recompute: Number  #: time to make the KV cache of the mean step from hidden states [s]
    layers: Number  #: layers
    steps: Number  #: decode steps


class Offer(NamedTuple):
    """What one device and its share of the host offer."""

    memory: Number  #: usable device memory [B]
    host: Number  #: usable host memory [B]
    disk: Number  #: local disk [B]
    load: Number  #: host to device [B/s]
    store: Number  #: device to host [B/s]
    disk_rate: Number  #: disk to host and back; 0 where there is none [B/s]
    beside: bool  #: loads run beside the computation


class Placed(NamedTuple):
    """What a policy makes of it: share of KV outside the device, times [s], whether it fits, time of loads [s]."""

    ratio: Number
    prefill: Number
    decode: Number
    fits: Number
    loads: Number


def combine(compute: Number, loads: Number, beside: bool) -> Number:
    """Time of computation and loads: the longer of them beside one another, else their sum [s]."""
    return np.maximum(compute, loads) if beside else compute + loads


def footprint(need: Need, offer: Offer) -> Footprint:
    """Return fixed bytes, KV cache and what is left for it [B]."""
    fixed = need.weights + need.activations
    return Footprint(fixed, need.kv, offer.memory - fixed)


def keep(need: Need, offer: Offer, ratio: Number | None = None) -> Placed:
    """Nothing is offloaded; it fits or it does not."""
    room = footprint(need, offer)
    nothing = 0.0 * room.available
    return Placed(nothing, need.prefill + nothing, need.decode + nothing, room.available >= need.kv, nothing)


def infersave(need: Need, offer: Offer, ratio: Number | None = None) -> Placed:
    """A share of each layer's KV cache lies in host memory and is loaded in each step (arXiv 2504.11816, section IV).

    Parameters
    ----------
    ratio : float or array, optional
        The share [1]; what does not fit the device by default.
    """
    room = footprint(need, offer)
    share = offload_ratio(room) if ratio is None else ratio + 0.0 * room.available
    held = (1.0 - share) * need.kv <= room.available * (1.0 + 1e-9)
    fits = feasible(room, need.layers) & held & (share * need.kv <= offer.host)
    loads = share * need.kv_mean / offer.load
    prefill = np.maximum(need.prefill, share * need.kv_prompt / offer.store)
    return Placed(share, prefill, combine(need.decode, loads, offer.beside), fits, loads)


def kvpr(need: Need, offer: Offer, ratio: Number | None = None) -> Placed:
    """As InferSave, but part of the KV cache is made anew from hidden states, which are loaded first (arXiv 2411.17089).

    Notes
    -----
    Of the offloaded tokens a share p comes as hidden states and is recomputed while the KV cache of the rest is loaded:
    p h k + max(p r, (1 - p) k), k the time to load all as KV cache, h the size of hidden states relative to it, r the
    time to recompute all.  Its least is at p = k / (k + r) when h < 1, else at p = 0, which is InferSave: with
    grouped queries the KV cache is the smaller of the two.  Optimistic: recomputation is taken to be free of launches.
    """
    plain = infersave(need, offer, ratio)
    again = plain.ratio * need.recompute
    part = np.where(need.hidden < 1.0, plain.loads / np.maximum(plain.loads + again, 1e-30), 0.0)
    loads = part * need.hidden * plain.loads + np.maximum(part * again, (1.0 - part) * plain.loads)
    return plain._replace(decode=combine(need.decode, loads, offer.beside), loads=loads)


def flexgen(need: Need, offer: Offer, ratio: Number | None = None) -> Placed:
    """Shares of weights and KV cache in device, host and disk by FlexGen's linear program (arXiv 2303.06865, section 4.3).

    ``ratio`` is not read: the program chooses.  Each point is a program of its own.
    """
    points = np.broadcast(*need, *offer[:-1])
    rows = [_program(Need(*p[: len(need)]), Offer(*p[len(need) :], offer.beside)) for p in points]  # type: ignore[attr-defined]
    columns = [np.array(column).reshape(points.shape) for column in zip(*rows, strict=True)]
    return Placed(*columns)


#: order of the unknowns: shares of weights, then of KV cache, on device, host and disk; times of prefill and step
_WEIGHTS, _KV, _PREFILL, _STEP = slice(0, 3), slice(3, 6), 6, 7


def _program(need: Need, offer: Offer) -> tuple[float, ...]:
    """Solve one program: least prefill + steps x step, each the longest of computation and transfers beside it.

    What lies on disk passes through the host; without a disk nothing may lie there.
    """
    from scipy.optimize import linprog

    disk = 1.0 / offer.disk_rate if offer.disk_rate > 0.0 else 0.0
    over = np.zeros((9, 8))
    limit = np.zeros(9)
    over[0, [_PREFILL]], limit[0] = -1.0, -need.prefill
    over[1, [_STEP]], limit[1] = -1.0, -need.decode
    for row, kv, time, link in ((2, need.kv_prompt, _PREFILL, offer.store), (3, need.kv_mean, _STEP, offer.load)):
        over[row, [4, 5]], over[row, time] = kv / link, -1.0
        weights = need.weights / offer.load
        if row == 3:
            over[row, [1, 2]] = weights
        over[row + 2, [2, 5]], over[row + 2, time] = np.array([need.weights, kv]) * disk, -1.0
    for row, place, room in ((6, 0, offer.memory - need.activations), (7, 1, offer.host), (8, 2, offer.disk)):
        over[row, [place, 3 + place]], limit[row] = [need.weights, need.kv], room
    equal = np.zeros((2, 8))
    equal[0, _WEIGHTS], equal[1, _KV] = 1.0, 1.0
    cost = np.array([0, 0, 0, 0, 0, 0, 1.0, float(need.steps)])
    shares = [(0.0, 1.0), (0.0, 1.0), (0.0, 1.0 if disk else 0.0)]
    scale = np.array([need.prefill, need.decode, *[max(need.prefill, 1e-9), max(need.decode, 1e-9)] * 2, *[1e9] * 3])
    found = linprog(
        cost, A_ub=over / scale[:, None], b_ub=limit / scale, A_eq=equal, b_eq=[1.0, 1.0],
        bounds=[*shares, *shares, (0.0, None), (0.0, None)], method="highs",
    )  # fmt: skip
    if found.status != 0:
        return 1.0, float(need.prefill), float(need.decode), False, 0.0
    weights, kv = found.x[_WEIGHTS], found.x[_KV]
    outside = weights[1] + weights[2], kv[1] + kv[2]
    loads = (outside[0] * need.weights + outside[1] * need.kv_mean) / offer.load
    return float(outside[1]), float(found.x[_PREFILL]), float(found.x[_STEP]), True, float(loads)


POLICIES: dict[str, Callable[..., Placed]] = {"none": keep, "infersave": infersave, "flexgen": flexgen, "kvpr": kvpr}
