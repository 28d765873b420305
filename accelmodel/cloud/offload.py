"""Where the KV cache lies, and what that costs: nothing offloaded, InferSave, FlexGen, KVPR.

A policy is a function of what a batch needs and what a device and its host offer; numbers or arrays, all for one
device.  Device times hold the whole KV cache in device memory; policies add the host link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from accelmodel.cloud.infersave import Footprint, feasible, offload_ratio

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
    overlapped: bool  #: loads overlap with the computation


class Placed(NamedTuple):
    """What a policy makes of it: share of KV outside the device, times [s], whether it fits, time of loads [s]."""

    ratio: Number
    prefill: Number
    decode: Number
    fits: Number
    loads: Number


def combine(compute: Number, loads: Number, overlapped: bool) -> Number:
    """Time of computation and loads: the longer of them where they overlap, else their sum [s]."""
    return np.maximum(compute, loads) if overlapped else compute + loads


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
    return Placed(share, prefill, combine(need.decode, loads, offer.overlapped), fits, loads)


def kvpr(need: Need, offer: Offer, ratio: Number | None = None) -> Placed:
    """As InferSave, but part of the KV cache is made anew from hidden states, loaded first (KVPR, arXiv 2411.17089).

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
    return plain._replace(decode=combine(need.decode, loads, offer.overlapped), loads=loads)


def flexgen(need: Need, offer: Offer, ratio: Number | None = None) -> Placed:
    """Weights and KV cache spread over device, host and disk by the linear program of FlexGen (arXiv 2303.06865, 4.3).

    ``ratio`` is not read: the program chooses.  Each point is a program of its own.
    """
    points: Any = np.broadcast(*need, *offer[:-1])
    rows = []
    for numbers in points:
        needed, offered = numbers[: len(need)], numbers[len(need) :]
        rows.append(_program(Need._make(map(float, needed)), Offer._make((*map(float, offered), offer.overlapped))))
    columns = [np.array(column).reshape(points.shape) for column in zip(*rows, strict=True)]
    return Placed(*columns)


#: places of the unknowns: shares of weights and of KV cache on device, host and disk; times of prefill and step
_W_HOST = 1
_W_DISK = 2
_KV_HOST = 4
_KV_DISK = 5
_PREFILL = 6
_STEP = 7


def _program(need: Need, offer: Offer) -> tuple[float, ...]:
    """Solve one program: least prefill + steps x step, each as long as its longest of computation and transfers.

    What lies on disk passes through the host; without a disk nothing may lie there.
    """
    from scipy.optimize import linprog

    disk = 1.0 / offer.disk_rate if offer.disk_rate > 0.0 else 0.0
    weights, load, cache = need.weights, 1.0 / offer.load, need.kv_mean / offer.load
    moved = [
        (_PREFILL, {_W_HOST: weights * load, _W_DISK: weights * load}),
        (_PREFILL, {_KV_HOST: need.kv_prompt / offer.store, _KV_DISK: need.kv_prompt / offer.store}),
        (_PREFILL, {_W_DISK: weights * disk, _KV_DISK: need.kv_prompt * disk}),
        (_STEP, {_W_HOST: weights * load, _W_DISK: weights * load, _KV_HOST: cache, _KV_DISK: cache}),
        (_STEP, {_W_DISK: weights * disk, _KV_DISK: need.kv_mean * disk}),
    ]
    held = (offer.memory - need.activations, offer.host, offer.disk)
    above, limit = np.zeros((len(moved) + len(held), 8)), np.zeros(len(moved) + len(held))
    for row, (time, terms) in enumerate(moved):
        above[row, time] = -1.0
        for place, seconds in terms.items():
            above[row, place] = seconds
    for place, room in enumerate(held):
        row = len(moved) + place
        above[row, place], above[row, 3 + place], limit[row] = weights * 1e-9, need.kv * 1e-9, room * 1e-9
    whole = np.zeros((2, 8))
    whole[0, :3], whole[1, 3:6] = 1.0, 1.0
    share, on_disk = (0.0, 1.0), (0.0, 1.0 if disk else 0.0)
    found = linprog(
        np.array([0.0] * 6 + [1.0, float(need.steps)]), above, limit, whole, [1.0, 1.0],
        [share, share, on_disk, share, share, on_disk, (need.prefill, None), (need.decode, None)], method="highs",
    )  # fmt: skip
    if found.status != 0:
        return 1.0, float(need.prefill), float(need.decode), False, 0.0
    away = found.x[_W_HOST] + found.x[_W_DISK], found.x[_KV_HOST] + found.x[_KV_DISK]
    loads = (away[0] * weights + away[1] * need.kv_mean) * load
    return float(away[1]), float(found.x[_PREFILL]), float(found.x[_STEP]), True, float(loads)


POLICIES: dict[str, Callable[..., Placed]] = {"none": keep, "infersave": infersave, "flexgen": flexgen, "kvpr": kvpr}
