"""Cake (arXiv 2410.03065): compute the KV cache of a prompt from the front, load it from the back, at once.

A ``Prompt`` is what is asked: ``Computing`` says how fast chunks are computed, ``Loading`` how fast they are
read.  ``kvcache.policies`` answers it policy by policy (with traces too), ``kvcache.grid.ttft_grid`` answers a grid of
constant rates in one kernel call, ``kvcache.adaptive.adaptive_scheduling`` shares the engine with other requests.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Unpack

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.kept import kept
from accelmodel.inference.named import ClusterLike, ModelLike, as_cluster, as_model
from accelmodel.inference.step import prepare, totals
from accelmodel.kvcache.checks import check_above_zero, check_reach, check_steps
from accelmodel.kvcache.traces import Array, Trace
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Storage
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity, one
from accelmodel.specs.workload import Cut

SHARE = Quantity(ge=1e-6, le=1.0)
_KEPT = Quantity(ge=0.0, le=1e18)
_SLOWDOWN = Quantity(ge=1.0, le=10.0)
_TIME, _COMPRESSION, _TOKENS = (
    Quantity("s", ge=0.0, le=1e6),
    Quantity(ge=1.0, le=1e6),
    Quantity("token", ge=0.0, le=1e12),
)


@dataclass(frozen=True)
class Computing:
    """How the front computes.

    Attributes
    ----------
    times : ndarray
        Time of a full engine step at chunk 0, 1, 2 … [s].
    chunk : float
        Token budget of a step [token].
    utilisation : float
        Share of the budget that this prompt has, in (0, 1] [1].  A step costs what a full step costs.
    budget : Trace, optional
        That share over time instead [1].

    Raises
    ------
    SpecError
        If a value is not allowed.

    Examples
    --------
    >>> Computing(np.array([0.05, 0.06, 0.07]), utilisation=0.5).mean_share
    0.5
    """

    times: Array
    chunk: float = 512.0
    utilisation: float = 1.0
    budget: Trace | None = None

    def __post_init__(self) -> None:
        times = np.ascontiguousarray(self.times, dtype=float)
        if times.ndim != 1 or not len(times) or not (np.isfinite(times) & (times > 0.0)).all():
            raise SpecError("chunk times must be finite numbers above 0, one for each chunk [s]")
        check_above_zero("compute chunk", self.chunk, "token")
        if self.budget is not None and self.budget.value.max() > 1.0:
            raise SpecError(
                f"{self.budget.name}: a share of the budget is at most 1, not {self.budget.value.max():g}; "
                "a file may give tokens in a column budget_tokens"
            )
        one("utilisation", self.utilisation, SHARE)
        object.__setattr__(self, "times", times)

    @property
    def mean_share(self) -> float:
        """Share of the budget, averaged over its trace if it has one [1]."""
        return self.utilisation if self.budget is None else self.budget.mean


@dataclass(frozen=True)
class Loading:
    """How the back loads.

    Attributes
    ----------
    kv_bytes : float
        KV cache of one token over all layers, as the device needs it [B].
    window_bytes : float
        Part of it of layers with a window, which need the last ``window`` tokens of the prefix alone [B].
    window : float
        How far these look back [token]; where they are ``chunked``, no further than the start of their last chunk.
    state_bytes : float
        What layers with a state keep of a prefix however long it is: loaded first, with any of it [B].
    bandwidth : float
        Of the storage tier [B/s]; infinite is allowed.
    layers : float
        Layers of the model [1].
    tail : float, optional
        Time from the last chunk to the first token, where anything was loaded; one step of the engine, its first,
        by default [s].
    latency : float
        Of each request of one I/O chunk [s].
    io_chunk : float
        Tokens of one request [token].
    compression : float
        Bytes needed / bytes stored, at least 1 [1].
    decompression_rate : float
        Bytes out per second [B/s]; it overlaps with the transfer, so that the slower one counts.
    trace : Trace, optional
        Bandwidth over time instead [B/s].
    copy_rate : float
        At which each request is then copied to where the engine needs it [B/s]; infinite by default.
    slowdown : float
        Time of the engine's steps beside a load over that of steps alone [1].

    Raises
    ------
    SpecError
        If a value is not allowed.

    Examples
    --------
    >>> Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.0, io_chunk=100).chunk_time
    0.01
    """

    kv_bytes: float
    bandwidth: float
    layers: float
    tail: float | None = None
    latency: float = 0.0
    io_chunk: float = 128.0
    compression: float = 1.0
    decompression_rate: float = math.inf
    trace: Trace | None = None
    window_bytes: float = 0.0
    window: float = 0.0
    chunked: bool = False
    state_bytes: float = 0.0
    copy_rate: float = math.inf
    slowdown: float = 1.0

    def __post_init__(self) -> None:
        for name, unit in (
            ("kv_bytes", "B"), ("bandwidth", "B/s"), ("layers", "1"), ("io_chunk", "token"),
            ("decompression_rate", "B/s"), ("copy_rate", "B/s"),
        ):  # fmt: skip
            if name != "kv_bytes" or not self.state_bytes:
                check_above_zero(name, getattr(self, name), unit, infinite=unit == "B/s")
        for name in ("window_bytes", "window", "state_bytes"):
            one(name, getattr(self, name), _KEPT)
        if self.window_bytes > one("kv_bytes", self.kv_bytes, _KEPT):
            raise SpecError(f"window_bytes {self.window_bytes:g} is a part of kv_bytes {self.kv_bytes:g}; lower it")
        if (self.window_bytes or self.chunked) and not self.window:
            raise SpecError("window_bytes and chunked need a window above 0 tokens; give it")
        for name in ("tail", "latency") if self.tail is not None else ("latency",):
            one(name, getattr(self, name), _TIME)
        one("compression", self.compression, _COMPRESSION)
        one("slowdown", self.slowdown, _SLOWDOWN)
        kept = ("trace", "chunked") if self.tail is not None else ("trace", "chunked", "tail")
        for name in (field.name for field in fields(self) if field.name not in kept):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def stored_bytes(self) -> float:
        """Bytes that one token of all layers takes in storage [B]."""
        return self.kv_bytes / self.compression

    @property
    def costs(self) -> tuple[float, float, float]:
        """Stored bytes of each token, beyond that of each within the window, and of all once [B]."""
        parts = (self.kv_bytes - self.window_bytes, self.window_bytes, self.state_bytes)
        token, near, fixed = (part / self.compression for part in parts)
        return token, near, fixed

    def reach(self, stored: float) -> float:
        """Return how far windows look back from the end of a prefix of ``stored`` tokens [token]."""
        if self.chunked and stored > 0.0:
            return (stored - 1.0) % self.window + 1.0
        return min(self.window, stored)

    def stored_size(self, stored: float) -> float:
        """Return the bytes that a prefix of so many tokens takes in storage, what nobody needs again left out [B]."""
        token, near, fixed = self.costs
        return stored * token + self.reach(stored) * near + fixed if stored > 0.0 else 0.0

    @property
    def rate(self) -> float:
        """Stored bytes per second at constant rates, latency apart [B/s]."""
        return float(self.rate_at(self.bandwidth if self.trace is None else self.trace.mean))

    def rate_at(self, bandwidth: Any) -> Any:
        """Return the stored bytes per second, latency apart, at a bandwidth: fetched, then copied [B/s]."""
        fetched = np.minimum(bandwidth, self.rate_limit)
        return fetched / (1.0 + fetched * self.compression / self.copy_rate) if self.copy_rate < math.inf else fetched

    def after(self, first: float) -> Loading:
        """Return the load in front of an engine whose first step takes so long [s], which is the tail unless given."""
        return self if self.tail is not None else replace(self, tail=float(first))

    @property
    def last(self) -> float:
        """Time from the last chunk to the first token, 0 where it is not known yet [s]."""
        return self.tail or 0.0

    @property
    def rate_limit(self) -> float:
        """Stored bytes per second that decompression keeps up with [B/s]."""
        return self.decompression_rate / self.compression

    @property
    def token_time(self) -> float:
        """Time to load one token of all layers at constant rates, without latency [s]."""
        return self.stored_bytes / self.rate

    @property
    def chunk_time(self) -> float:
        """Time of one I/O chunk at constant rates [s]."""
        return self.latency + self.io_chunk * self.token_time


@dataclass(frozen=True)
class Prompt:
    """A prompt whose KV cache is stored, in part or whole.

    Attributes
    ----------
    tokens, stored : float
        Its length, and how many of its first tokens lie in storage [token].
    computing : Computing
        How chunks are computed from the front.
    loading : Loading
        How chunks are loaded from the back.

    Raises
    ------
    SpecError
        If a value is not allowed, or the chunk times do not reach the end of the prompt.

    Examples
    --------
    >>> tier = Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.0)
    >>> Prompt(1024, 1024, Computing(np.array([0.05, 0.06])), tier).traced
    False
    """

    tokens: float
    stored: float
    computing: Computing
    loading: Loading

    def __post_init__(self) -> None:
        check_above_zero("tokens", self.tokens, "token")
        if not one("stored", self.stored, _TOKENS) <= self.tokens:
            raise SpecError(f"stored prefix {self.stored:g} must lie between 0 and the {self.tokens:g} tokens")
        object.__setattr__(self, "loading", self.loading.after(float(self.computing.times[0])))
        check_reach(self.computing.times, self.tokens, self.computing.chunk)
        check_steps(self.tokens, self.computing.chunk * self.computing.mean_share)

    @property
    def traced(self) -> bool:
        """Whether a rate changes over time."""
        return self.computing.budget is not None or self.loading.trace is not None


def _told(value: Any) -> Any:
    """Return a value for JSON: parts as they are, a trace by its name, a curve by its length, no end as a word."""
    if is_dataclass(value) and not isinstance(value, Trace):
        return {field.name: _told(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Trace):
        return value.name
    if isinstance(value, np.ndarray):
        return f"{value.size} chunks"
    return value if value is None or math.isfinite(value) else str(value)


def attributes(**asked: Prompt | Loading) -> dict[str, str]:
    """Return what an answer about a stored KV cache says of the question: version, and each part as JSON."""
    from accelmodel import __version__

    return {"accelmodel_version": __version__, **{name: json.dumps(_told(part)) for name, part in asked.items()}}


def chunk_times(
    model: ModelLike, cluster: ClusterLike, tokens: float, chunk: float = 512.0, **cut: Unpack[Cut]
) -> Array:
    """Return the time of each chunked-prefill step of a prompt from the step model.

    Parameters
    ----------
    model : str or LanguageModel
    cluster : str, Device or Cluster
    tokens : float
        Length of the prompt [token]; its last chunk is a full one that ends with it.
    chunk : float
        Token budget of a step [token].
    **cut
        ``tp``, ``pp``, ``ep``, ``dp``, ``weight_bits``, ``activation_bits``, ``kv_bits`` as in ``workload``.

    Returns
    -------
    ndarray
        Time of chunk 0, 1, 2 … [s].

    Raises
    ------
    SpecError, Infeasible
        As ``time_step``; Infeasible also where the whole context does not fit the device.

    Notes
    -----
    A step costs what its device takes; what an engine's host adds between steps is left out.

    Examples
    --------
    >>> times = chunk_times("llama-3-8b", "a100-sxm-80gb", tokens=2048, chunk=512)
    >>> len(times), bool(times[-1] > times[0])
    (4, True)
    """
    import xarray as xr

    check_above_zero("tokens", tokens, "token")
    check_above_zero("compute chunk", chunk, "token")
    check_steps(tokens, chunk)
    for name, value in cut.items():
        one(name, value, Quantity(ge=1.0, le=1e9, or_zero=name.endswith("_bits")))
    starts = np.arange(math.ceil(tokens / chunk)) * chunk
    ends = xr.DataArray(np.minimum(starts + chunk, tokens), dims="position", coords={"position": starts})
    before = np.maximum(ends - chunk, 0.0)
    fields: dict[str, Any] = {"phase": "prefill", "batch": 1.0, **cut}
    model, cluster = as_model(model), as_cluster(cluster)
    # along an axis what does not fit is marked, one step alone is refused
    prepare(model, cluster, workload(context=float(tokens), prefix=float(before[-1]), **fields))
    steps = prepare(model, cluster, workload(context=ends, prefix=before, **fields))
    return np.asarray(totals(steps).step_time.values, dtype=float)


def loading(model: ModelLike, storage: str | Storage, *, kv_bits: float = 0.0, **fields: Any) -> Loading:
    """Return how the KV cache of a model is read from a storage tier.

    Parameters
    ----------
    model : str or LanguageModel
    storage : str or Storage
        A tier or its name; brings bandwidth [B/s], latency [s], tail [s], copy rate [B/s] and slowdown [1]; each may be
        given in ``fields`` instead.
    kv_bits : float
        Precision of the cache [bit]; 0, the default, is what the model's file states.
    **fields
        Other fields of ``Loading``: ``io_chunk``, ``compression``, ``decompression_rate``, ``trace`` …

    Returns
    -------
    Loading

    Raises
    ------
    SpecError
        If a name is unknown or a value not allowed.

    Examples
    --------
    >>> loading("llama-3-8b", "nvme").kv_bytes
    131072.0
    """
    model = as_model(model)
    kv_bits = kv_bits or float(model.precision.kv)
    storage = load("storage", storage) if isinstance(storage, str) else storage
    tier = {
        "bandwidth": storage.bandwidth,
        "latency": storage.latency,
        "tail": storage.tail if storage.tail >= 0.0 else None,
        "copy_rate": storage.copy_rate or math.inf,
        "slowdown": storage.slowdown,
    }
    found = kept(model, kv_bits)
    cache = {
        "kv_bytes": float(found.token + found.near),
        "window_bytes": float(found.near),
        "window": float(found.reach),
        "chunked": found.chunked,
        "state_bytes": float(found.fixed),
    }
    return Loading(**{**cache, "layers": model.layers, **tier, **fields})
