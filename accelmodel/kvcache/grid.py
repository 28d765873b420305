"""Cake and its rivals over prompts, bandwidths, shares of the engine and precisions, in one kernel call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.estimates import need_affordable
from accelmodel.kvcache.checks import check_above_zero, check_reach, check_steps
from accelmodel.kvcache.prompt import SHARE, Loading, attributes
from accelmodel.kvcache.traces import Array
from accelmodel.laws.kernels import two_front_policies
from accelmodel.laws.kernels.two_fronts import MEETING
from accelmodel.nomenclature import label
from accelmodel.specs.quantities import Quantity, one, several

if TYPE_CHECKING:
    import xarray as xr

#: policies of the grid, Cake first as the kernel writes it
NAMES = ("cake", *two_front_policies.POLICY_TIMES)
AXES = ("device", "tokens", "bandwidth", "utilisation", "kv_bits")
#: precision at which the bytes of ``Loading`` are given to ``ttft_grid`` [bit]
BASE_BITS = 16.0


def _check(curves: Mapping[str, Any], axes: Mapping[str, Array], chunk: float) -> Array:
    """Return the curves as one array (device, chunk); raise SpecError where an axis is not allowed."""
    for name, unit in (("tokens", "token"), ("bandwidth", "B/s"), ("kv_bits", "1")):
        for value in axes[name]:
            check_above_zero(name, float(value), unit, infinite=name == "bandwidth")
    for share in axes["utilisation"]:
        one("utilisation", float(share), SHARE)
    check_above_zero("compute chunk", chunk, "token")
    if not curves or not all(len(axis) for axis in axes.values()):
        raise SpecError("a grid needs at least one device and one value on each axis")
    most = float(axes["tokens"].max())
    check_steps(most, chunk * float(axes["utilisation"].min()))
    rows = []
    for name, curve in curves.items():
        times = several(f"chunk times of {name}", curve, Quantity("s", ge=0.0, le=1e6))
        if times.ndim != 1 or not (np.isfinite(times) & (times > 0.0)).all():
            raise SpecError(f"{name}: chunk times must be finite numbers above 0 [s]")
        check_reach(times, most, chunk)
        rows.append(times)
    # one length for the kernel; beyond its last chunk a curve goes on in a straight line, as ``step_time`` would
    longest = max(map(len, rows))
    return np.array([_extended(row, longest) for row in rows])


def _numbers(name: str, values: Any) -> Array:
    """Return an axis; a bandwidth may be infinite."""
    if name == "bandwidth" and isinstance(values, list | tuple) and math.inf in values:
        return np.array([math.inf if value == math.inf else one(name, value, Quantity("B/s")) for value in values])
    return several(name, values, Quantity())


def _extended(times: Array, length: int) -> Array:
    slope = times[-1] - times[-2] if len(times) > 1 else 0.0
    return np.append(times, np.maximum(times[-1] + slope * np.arange(1, length - len(times) + 1), 1e-9))


def uniform_bound(compute: Any, load: Any, stages: float = 1.0) -> Any:
    """Return the least time of computing and loading at once where every token costs the same [s].

    ``T = Tc Tl / (Tc + Tl) / stages``.  Source: CacheFlow, arXiv 2604.25080: each pipeline stage computes and loads its
    own layers.  Later chunks cost more than earlier ones, so that real prompts lie below it where compute works from
    the front; chunks, requests and the tail lift them above.

    Parameters
    ----------
    compute, load : float or array
        Time to compute, and to load, all of the prompt on one stage [s].
    stages : float
        Pipeline stages, each with its own path to the storage [1].
    """
    return compute * load / (compute + load) / stages


def ttft_grid(
    curves: Mapping[str, Any],
    loading: Loading,
    *,
    tokens: Sequence[float],
    bandwidth: Sequence[float],
    utilisation: Sequence[float] = (1.0,),
    kv_bits: Sequence[float] = (BASE_BITS,),
    chunk: float = 512.0,
    stored: float | None = None,
) -> xr.Dataset:
    """Return times to first token of all policies over a grid of constant rates.

    Parameters
    ----------
    curves : mapping
        Device → time of each chunk [s], as from ``chunk_times`` or ``read_chunk_times``.
    loading : Loading
        All of it but bandwidth; ``kv_bytes`` and ``window_bytes`` at 16 bit.
    tokens, bandwidth, utilisation, kv_bits : sequence of float
        Axes [token], [B/s], [1], [bit].
    chunk : float
        Token budget of a step [token].
    stored : float, optional
        Tokens from the start of each prompt that lie in storage; all by default [token].

    Returns
    -------
    xarray.Dataset
        Over (device, tokens, bandwidth, utilisation, kv_bits): ``ttft`` [s] (also over ``policy``),
        ``meet_token``, ``computed_tokens``, ``loaded_tokens``, ``waste`` [token], ``speedup_over_compute``,
        ``speedup_over_load`` [1] of Cake, ``uniform_bound`` [s]: Tc Tl / (Tc + Tl), exact for uniform costs;
        ``crossover_bandwidth`` [B/s], above which loading alone beats computing alone, infinite where it never does.

    Raises
    ------
    SpecError
        Where a value is not allowed or a curve does not reach the longest prompt.

    Notes
    -----
    Source: Cake, arXiv 2410.03065, figures 7 to 9; the policies are those of ``kvcache.policies`` at constant rates.

    Examples
    --------
    >>> tier = Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.0)
    >>> found = ttft_grid({"mine": [0.05, 0.06]}, tier, tokens=[512, 1024], bandwidth=[1e9, 4e9])
    >>> bool((found.ttft.sel(policy="oracle") <= found.ttft.sel(policy="cake")).all())
    True
    """
    axes = {"tokens": tokens, "bandwidth": bandwidth, "utilisation": utilisation, "kv_bits": kv_bits}
    arrays = {name: _numbers(name, values) for name, values in axes.items()}
    need_affordable("grid", {name: len(values) for name, values in arrays.items()}, seconds=1e-6, room=300.0)
    table = _check(curves, arrays, chunk)
    shortest = float(arrays["tokens"].min())
    if stored is not None and not one("stored", stored, Quantity("token", ge=0.0)) <= shortest:
        raise SpecError(f"stored prefix {stored:g} must lie between 0 and the {shortest:g} tokens")
    prefix = arrays["tokens"] if stored is None else np.full_like(arrays["tokens"], stored)
    lengths = np.stack([arrays["tokens"], prefix, [loading.reach(float(each)) for each in prefix]], axis=1)
    token, near, fixed = loading.costs
    scales = arrays["kv_bits"] / BASE_BITS
    costs = np.stack([token * scales, near * scales, np.full_like(scales, fixed)], axis=1)
    rates = loading.rate_at(arrays["bandwidth"])
    shape = (len(table), len(lengths), len(arrays["utilisation"]), len(rates), len(costs))
    out = np.empty((*shape, len(MEETING) + len(two_front_policies.POLICY_TIMES)))
    for curve, filled in zip(table, out, strict=True):
        tail = loading.after(float(curve[0])).last
        load = (loading.io_chunk, loading.latency, loading.layers, tail, loading.slowdown)
        setting = tuple(float(x) for x in (chunk, *load))
        shares = arrays["utilisation"]
        two_front_policies.policies_grid(curve[None], lengths, shares, rates, costs, setting, filled[None])
    coords = {"device": list(curves), **{name: arrays[name] for name in AXES[1:]}}
    return _dataset(np.moveaxis(out, 2, 3), coords, lengths[:, 1:], costs, loading)


def _dataset(out: Array, coords: dict[str, Any], lengths: Array, costs: Array, loading: Loading) -> xr.Dataset:
    """Put names and units on the kernel's figures (device, tokens, bandwidth, utilisation, kv_bits, figure)."""
    import xarray as xr

    times = {"cake": out[..., 0]} | {
        name: out[..., len(MEETING) + i] for i, name in enumerate(two_front_policies.POLICY_TIMES)
    }
    compute, load, both = times["compute_only"], times["load_only"], times["cake"]
    limit = coords["tokens"][None, :, None, None, None]
    done = dict(zip(MEETING[1:], np.moveaxis(out[..., 1:5], -1, 0), strict=True))
    done["computed_tokens"] = np.minimum(done["computed_tokens"], limit)
    stored, reach = lengths.T
    tokens = stored[None, :, None, None, None]
    wire = np.array(coords["bandwidth"])[None, None, :, None, None]
    waits = np.ceil(tokens / loading.io_chunk) * loading.latency
    sizes = np.outer(stored, costs[:, 0]) + np.outer(reach, costs[:, 1]) + np.outer(stored > 0.0, costs[:, 2])
    size = sizes[None, :, None, None, :]
    alone = size / loading.rate_at(wire) + waits
    with np.errstate(invalid="ignore", divide="ignore"):
        bound = np.where(tokens > 0.0, uniform_bound(compute, alone), compute)
        spare = (compute - load + alone - waits)[:, :, 0]
        copied = size[:, :, 0] * loading.compression / loading.copy_rate
        needed = np.where(spare > copied, size[:, :, 0] / (spare - copied), np.inf)
    crossover = np.where((needed > 0.0) & (needed <= loading.rate_limit), needed, np.inf)
    data: dict[str, Any] = {"ttft": (("policy", *AXES), np.stack([times[name] for name in NAMES]))}
    data |= {name: (AXES, value) for name, value in done.items()}
    data["speedup_over_compute"] = (AXES, compute / both)
    data["speedup_over_load"] = (AXES, load / both)
    data["uniform_bound"] = (AXES, bound)
    over = tuple(name for name in AXES if name != "bandwidth")
    data["crossover_bandwidth"] = (over, crossover)
    return label(xr.Dataset(data, coords={"policy": list(NAMES), **coords}, attrs=attributes(loading=loading)))
