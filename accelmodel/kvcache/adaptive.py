"""Cake together with requests that have no stored prefix, step by step (Cake, section on adaptive scheduling).

Adaptive: decode first, then ordinary prefill, then Cake's, which has what is left of the token budget; its
load front goes on meanwhile.  Default: first come, first served, so that Cake's prompt has the engine until
its fronts meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.named import ClusterLike, ModelLike, as_cluster, as_model
from accelmodel.inference.step import prepare, totals
from accelmodel.kvcache.checks import check_above_zero
from accelmodel.kvcache.policies import bandwidth_rate, loader
from accelmodel.kvcache.prompt import Prompt, attributes
from accelmodel.kvcache.traces import Array
from accelmodel.laws.kernels import two_fronts
from accelmodel.nomenclature import label
from accelmodel.specs.given import workload

if TYPE_CHECKING:
    import xarray as xr

MODES = ("default", "adaptive")
_MOST_STEPS = 1_000_000


@dataclass(frozen=True)
class Request:
    """A request without stored prefix: when it comes [s], its prompt, and tokens generated after the first."""

    arrival: float
    tokens: float
    decode: float = 0.0

    def __post_init__(self) -> None:
        check_above_zero("tokens of a request", self.tokens, "token")
        if not (0.0 <= self.arrival < math.inf and 0.0 <= self.decode < math.inf):
            raise SpecError("arrival and decode of a request must be finite and at least 0")


class _State(NamedTuple):
    """The engine between two steps; ``loaded`` is NaN until the fronts have met, ``cake`` until Cake's first token.

    Time [s], tokens of Cake's prompt that are computed (or there, once the fronts have met), tokens loaded, time to
    Cake's first token [s].
    """

    time: float = 0.0
    place: float = 0.0
    loaded: float = math.nan
    cake: float = math.nan


class _Others(NamedTuple):
    """The ordinary requests, changed in place: arrival [s], tokens left of prompt and decode, TTFT [s]."""

    arrival: Array
    left: Array
    decode: Array
    first: Array


def batch_times(model: ModelLike, cluster: ClusterLike, sizes: Sequence[float], **work: Any) -> tuple[Array, Array]:
    """Return step time against tokens in the batch from the step model: sizes [token] and times [s]."""
    import xarray as xr

    axis = xr.DataArray(np.array(sizes, dtype=float), dims="size", coords={"size": list(sizes)})
    model, cluster = as_model(model), as_cluster(cluster)
    steps = prepare(model, cluster, workload(phase="prefill", context=axis, **{"batch": 1.0, **work}))
    return np.array(sizes, dtype=float), np.asarray(totals(steps).step_time.values, dtype=float)


def load_front(prompt: Prompt) -> tuple[Array, Array]:
    """Return when each request of the loader ends [s], and the token its front is at then."""
    cost, rate = loader(prompt), bandwidth_rate(prompt)
    ends = [0.0]
    tokens = [float(prompt.stored)]
    time = 0.0
    left = float(prompt.stored)
    cursor = 0
    while left > 0.0 and math.isfinite(time):
        size = min(left, cost.io)
        done = prompt.stored - left
        amount = two_fronts.volume(done + size, cost) - two_fronts.volume(done, cost)
        time, cursor = two_fronts.transfer(time + cost.latency, amount, cursor, rate)
        left -= size
        ends.append(time)
        tokens.append(left)
    return np.array(ends), np.array(tokens)


def _look(state: _State, prompt: Prompt, back: tuple[Array, Array]) -> _State:
    """See whether the fronts have met, and whether Cake's prompt is done."""
    if math.isnan(state.loaded):
        ends, tokens = back
        front = float(tokens[np.searchsorted(ends, state.time, side="right") - 1])
        if state.place >= front - two_fronts.CRUMB:
            state = state._replace(loaded=prompt.stored - front, place=max(state.place, prompt.stored))
    if math.isnan(state.cake) and not math.isnan(state.loaded) and state.place >= prompt.tokens:
        state = state._replace(cake=state.time + (prompt.loading.last if state.loaded > 0.0 else 0.0))
    return state


def _shares(state: _State, others: _Others, prompt: Prompt, adaptive: bool, prefills: int) -> tuple[Array, float]:
    """Return the tokens each ordinary request has in the next step, and those of Cake's prompt."""
    here = others.arrival <= state.time
    decoding = np.flatnonzero(here & (others.left <= 0.0) & (others.decode > 0.0))[: int(prompt.computing.chunk)]
    tokens = np.zeros(len(others.left))
    tokens[decoding] = 1.0
    budget = prompt.computing.chunk - len(decoding)
    wants = prompt.tokens - state.place if math.isnan(state.cake) else 0.0
    own = 0.0 if adaptive else min(wants, budget)
    budget -= own
    waiting = np.flatnonzero(here & (others.left > 0.0))
    for i in waiting[np.argsort(others.arrival[waiting], kind="stable")][:prefills]:
        tokens[i] = min(others.left[i], budget)
        budget -= tokens[i]
    return tokens, (min(wants, budget) if adaptive else own)


def _step(state: _State, others: _Others, tokens: Array, own: float, took: float) -> _State:
    """Run one step that takes so long [s], and book what it did for the ordinary requests."""
    end = state.time + took
    prefilled = (others.left > 0.0) & (tokens > 0.0)
    others.decode[:] -= np.where(prefilled, 0.0, tokens)
    others.left[:] -= np.where(prefilled, tokens, 0.0)
    started = prefilled & (others.left <= 0.0)
    others.first[started] = end - others.arrival[started]
    return state._replace(time=end, place=state.place + own)


def _step_times(prompt: Prompt, curve: tuple[Array, Array]) -> Callable[[float, float, float], float]:
    """Return the time of a step [s] as a function of its tokens, Cake's among them, and the place of these [token]."""
    chunk, times = prompt.computing.chunk, prompt.computing.times

    def step(batch: float, own: float, place: float) -> float:
        deeper = float(two_fronts.step_time(times, place / chunk) - times[0])
        return float(np.interp(batch, *curve)) + own / chunk * deeper

    return step


def _run(
    prompt: Prompt, requests: Sequence[Request], curve: tuple[Array, Array], adaptive: bool, prefills: int
) -> tuple[_State, _Others, list[tuple[float, float, float]]]:
    """Run until all is done; return also start [s], tokens, and Cake's tokens of each step."""
    arrival, left, decode = (np.array([getattr(r, n) for r in requests]) for n in ("arrival", "tokens", "decode"))
    others = _Others(arrival, left, decode, np.full(len(requests), math.nan))
    back, times, log = load_front(prompt), _step_times(prompt, curve), []
    state = _State()
    for _ in range(_MOST_STEPS):
        state = _look(state, prompt, back)
        tokens, own = _shares(state, others, prompt, adaptive, prefills)
        if own + tokens.sum() > 0.0:
            log.append((state.time, own + float(tokens.sum()), own))
            slower = prompt.loading.slowdown if math.isnan(state.loaded) and prompt.stored > 0.0 else 1.0
            took = slower * times(own + float(tokens.sum()), own, state.place)
            state = _step(state, others, tokens, own, took)
            continue
        done = not math.isnan(state.cake)
        events = arrival if done else np.concatenate([arrival, back[0][np.isfinite(back[0])]])
        coming = events[events > state.time]
        if done and not len(coming):
            return state, others, log
        if not len(coming):
            raise SpecError("the bandwidth trace ends before the prompt is done; give a longer one, or hold it")
        state = state._replace(time=float(coming.min()))
    raise SpecError(f"the requests take over {_MOST_STEPS} engine steps; give fewer or shorter ones")


def adaptive_scheduling(
    prompt: Prompt,
    requests: Sequence[Request | tuple[float, ...]],
    curve: tuple[Array | Sequence[float], Array | Sequence[float]],
    *,
    prefills: int = 1,
) -> xr.Dataset:
    """Compare default and adaptive scheduling of Cake's prompt among ordinary requests.

    Parameters
    ----------
    prompt : Prompt
        Comes at time 0.  Its share of the budget is what the others leave; ``utilisation`` is not used.
    requests : sequence of Request or tuple
        Others, without stored prefix: arrival [s], tokens of the prompt and tokens generated after the first [token].
    curve : tuple of ndarray
        Tokens in a batch [token], rising, and time of such a step at the start of a prompt [s]; held level
        outside: its first time is the floor.
    prefills : int
        Ordinary prompts that a step may take; 1 is what the paper's Figure 6 shows (derived).

    Returns
    -------
    xarray.Dataset
        Over ``mode`` (default, adaptive): ``cake_ttft`` [s], ``finish`` [s], ``throughput`` [token/s] of all
        tokens, ``request_ttft`` (mode, request) [s], ``mean_request_ttft`` [s]; ``step_start`` [s],
        ``step_tokens``, ``step_cake_tokens`` (mode, step), NaN behind the last step.

    Raises
    ------
    SpecError
        If a value is not allowed, or the bandwidth trace ends before the prompt is done.

    Notes
    -----
    Source: Cake, arXiv 2410.03065, section on adaptive scheduling.
    A step takes the time of its batch, and for Cake's tokens what their position adds.  Ordinary requests are
    short: what their positions add is left out.

    Examples
    --------
    >>> from accelmodel.kvcache.prompt import Computing, Loading
    >>> tier = Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.0)
    >>> prompt = Prompt(1024, 1024, Computing(np.array([0.05, 0.06])), tier)
    >>> found = adaptive_scheduling(prompt, [(0.0, 100.0), (0.01, 200.0)], ([1, 512], [0.01, 0.05]))
    >>> bool(found.mean_request_ttft.sel(mode="adaptive") <= found.mean_request_ttft.sel(mode="default"))
    True
    """
    import xarray as xr

    others = [each if isinstance(each, Request) else Request(*each) for each in requests]

    sizes, times = (np.asarray(part, dtype=float) for part in curve)
    if len(sizes) != len(times) or not len(sizes) or (np.diff(sizes) <= 0.0).any() or not (times > 0.0).all():
        raise SpecError("step time against batch tokens needs rising sizes and times above 0, as many of each")
    if prefills < 1:
        raise SpecError("prefills must be at least 1")
    runs = [_run(prompt, others, (sizes, times), mode == "adaptive", prefills) for mode in MODES]
    work = prompt.tokens + sum(r.tokens + r.decode for r in others)
    steps = np.full((len(runs), max(len(log) for _, _, log in runs), 3), math.nan)
    for i, (_, _, log) in enumerate(runs):
        steps[i, : len(log)] = log
    finish = np.array([max(state.time, state.cake) for state, _, _ in runs])
    first = np.array([others.first for _, others, _ in runs])
    data = {
        "cake_ttft": ("mode", np.array([state.cake for state, _, _ in runs])),
        "finish": ("mode", finish),
        "throughput": ("mode", work / finish),
        "request_ttft": (("mode", "request"), first),
        "mean_request_ttft": ("mode", first.mean(axis=1) if len(others) else np.zeros(len(runs))),
        "step_start": (("mode", "step"), steps[..., 0]),
        "step_tokens": (("mode", "step"), steps[..., 1]),
        "step_cake_tokens": (("mode", "step"), steps[..., 2]),
    }
    return label(
        xr.Dataset(data, coords={"mode": list(MODES)}, attrs={**attributes(prompt=prompt), "prefills": prefills})
    )
