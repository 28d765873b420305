"""Policies for a prompt whose KV cache is stored: each a function from ``Prompt`` to time to first token [s].

``POLICIES`` names them.  Rates may change over time.  Plans made in advance (``fixed_split``,
``planned_split``, ``token_layer``) know mean rates only and are then carried out at the true ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.kvcache.prompt import Prompt, attributes
from accelmodel.kvcache.traces import Array, Trace
from accelmodel.laws.kernels import two_front_policies, two_fronts
from accelmodel.laws.kernels.two_fronts import MEETING, Engine, Loader, Rate
from accelmodel.nomenclature import label

if TYPE_CHECKING:
    import xarray as xr

#: rows that a log of positions has at first; it grows as needed
_LOG_ROWS = 1024


class Meeting(NamedTuple):
    """How Cake goes: times [s] and tokens; ``waste`` are tokens that were both computed and loaded."""

    ttft: float
    meet_time: float
    meet_token: float
    computed_tokens: float
    loaded_tokens: float
    waste: float


def _rate(trace: Trace | None, constant: float) -> Rate:
    if trace is None:
        return Rate(np.zeros(1), np.array([float(constant)]), math.inf)
    return Rate(trace.time, trace.value, trace.end)


def _budget(prompt: Prompt) -> Rate:
    return _rate(prompt.computing.budget, prompt.computing.utilisation)


def bandwidth_rate(prompt: Prompt) -> Rate:
    """Return the stored bytes per second over time, not above what decompression and copies keep up with."""
    rate = _rate(prompt.loading.trace, prompt.loading.bandwidth)
    return Rate(rate.at, prompt.loading.rate_at(rate.value), rate.end)


def _engine(prompt: Prompt, beside: bool = False) -> Engine:
    """Return the engine of a prompt, alone or beside a load."""
    slower = prompt.loading.slowdown if beside else 1.0
    return Engine(prompt.computing.times * slower, float(prompt.computing.chunk))


def loader(prompt: Prompt, rate: float = 1.0) -> Loader:
    """Return the loader of a prompt: its costs in [s] at a ``rate`` [B/s], without one in [B], as traces need them."""
    load, stored = prompt.loading, float(prompt.stored)
    token, near, fixed = (cost / rate for cost in load.costs)
    return Loader(stored, load.io_chunk, load.latency, token, near, load.reach(stored), fixed)


def _finished(time: float, prompt: Prompt) -> float:
    """Return the time; raise SpecError where a trace ended before the work was done."""
    if math.isfinite(time):
        return time
    traces = [trace for trace in (prompt.computing.budget, prompt.loading.trace) if trace is not None]
    ends = " and ".join(f"{t.name} {'stays at 0' if t.hold else f'ends at {t.end:g} s'}" for t in traces)
    raise SpecError(f"{ends}: before the prompt is done; give a longer trace, or hold the last value")


def _compute(
    prompt: Prompt, place: float, start: float, target: float, whole: bool = True, beside: bool = False
) -> float:
    """Return when steps from token ``place`` at ``start`` reach ``target``, alone or beside a load [s]."""
    time, _ = two_fronts.run_steps(_engine(prompt, beside), float(place), start, float(target), whole, _budget(prompt))
    return _finished(time, prompt)


def _load(prompt: Prompt, tokens: float) -> float:
    """Return when ``tokens`` are loaded [s]."""
    cost = loader(prompt)
    return _finished(two_fronts.load_traced(float(tokens), cost, bandwidth_rate(prompt)), prompt)


def _steps(prompt: Prompt) -> tuple[Array, float]:
    """Return starts of the steps beside a load at mean rates, and end of the last [s]; tokens of a step."""
    per_step = prompt.computing.mean_share * prompt.computing.chunk
    finish = np.empty(two_fronts.count(prompt.tokens, per_step) + 1)
    two_fronts.fill_steps(_engine(prompt, beside=True), per_step, 0.0, finish)
    return finish, per_step


def _with_rest(prompt: Prompt, time: float, place: float) -> float:
    """Return the time to first token when the stored prefix is there at ``time``: the rest, then the tail [s]."""
    return _compute(prompt, max(place, prompt.stored), time, prompt.tokens) + prompt.loading.last


def compute_only(prompt: Prompt) -> float:
    """All tokens are computed, at the share of the budget that the prompt has [s].

    Source: Cake, section 5.1: vLLM with chunked prefill.  Optimistic where the engine adds time between steps.
    """
    return _compute(prompt, 0.0, 0.0, prompt.tokens)


def load_only(prompt: Prompt) -> float:
    """The stored prefix is loaded, then the rest computed [s].

    Source: Cake, section 5.1: LMCache.  Its load is one request after the other; optimistic where the tier
    slows down with small requests more than ``latency`` says.
    """
    if prompt.stored <= 0.0:
        return compute_only(prompt)
    return _with_rest(prompt, _load(prompt, prompt.stored), prompt.stored)


def _meet(prompt: Prompt, rows: int = 0) -> tuple[Meeting, Array, Array]:
    out = np.zeros(len(MEETING))
    computed, loaded = np.empty((rows, 2)), np.empty((rows, 2))
    cost = loader(prompt)
    steps, requests = two_fronts.meet_traced(
        _engine(prompt, beside=True), cost, _budget(prompt), bandwidth_rate(prompt), computed, loaded, out
    )
    if 0 < rows < max(steps, requests):
        return _meet(prompt, max(steps, requests))
    time, token, reached, got, waste = (float(value) for value in out)
    _finished(time, prompt)
    ttft = _with_rest(prompt, time, reached) if got > 0.0 else compute_only(prompt)
    meeting = Meeting(ttft, time, token, min(reached, prompt.tokens), got, waste)
    return meeting, computed[:steps], loaded[:requests]


def meet(prompt: Prompt) -> Meeting:
    """Return where and when the fronts of Cake meet, and what was done twice."""
    return _meet(prompt)[0]


def cake(prompt: Prompt) -> float:
    """Return the time to first token of Cake: both fronts at once, no plan, they stop where they meet.

    Parameters
    ----------
    prompt : Prompt

    Returns
    -------
    float
        Time to first token [s].

    Raises
    ------
    SpecError
        If a trace ends before the prompt is done.

    Notes
    -----
    Source: Cake, arXiv 2410.03065, appendices A and B.  Loses to the better single resource where a step is
    long against the whole: the step in flight must finish.  What was loaded of its chunk is then wasted.

    Examples
    --------
    >>> from accelmodel.kvcache.prompt import Computing, Loading
    >>> tier = Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.0)
    >>> prompt = Prompt(2048, 2048, Computing(np.array([0.05, 0.06, 0.07, 0.08])), tier)
    >>> cake(prompt) < min(compute_only(prompt), load_only(prompt))
    True
    """
    return meet(prompt).ttft


def fronts_over_time(prompt: Prompt) -> xr.Dataset:
    """Return the positions of both fronts of Cake over time.

    Parameters
    ----------
    prompt : Prompt

    Returns
    -------
    xarray.Dataset
        ``compute_time`` [s] and ``compute_token`` over ``step``, ``load_time`` [s] and ``load_token`` over
        ``request`` [token]; the first entry is the start.  Attributes: ``ttft`` and ``meet_time`` [s], ``meet_token``,
        ``computed_tokens``, ``loaded_tokens``, ``waste`` [token]; the prompt as JSON.

    Raises
    ------
    SpecError
        If a trace ends before the prompt is done.

    Examples
    --------
    >>> from accelmodel.kvcache.prompt import Computing, Loading
    >>> tier = Loading(kv_bytes=1e5, bandwidth=1e9, layers=32, tail=0.0)
    >>> found = fronts_over_time(Prompt(1024, 1024, Computing(np.array([0.05, 0.06])), tier))
    >>> found.load_token.values[0], found.compute_token.values[0]
    (np.float64(1024.0), np.float64(0.0))
    """
    import xarray as xr

    meeting, computed, loaded = _meet(prompt, _LOG_ROWS)
    front = np.vstack([[0.0, 0.0], computed])
    back = np.vstack([[0.0, prompt.stored], loaded])
    data = {
        "compute_time": ("step", front[:, 0]),
        "compute_token": ("step", np.minimum(front[:, 1], prompt.tokens)),
        "load_time": ("request", back[:, 0]),
        "load_token": ("request", back[:, 1]),
    }
    return label(xr.Dataset(data, attrs={**attributes(prompt=prompt), **meeting._asdict()}))


def _split_at(prompt: Prompt, tokens: float, whole: bool = True) -> float:
    """Return the time to first token when ``tokens`` are computed and the rest of the prefix loaded [s]."""
    if tokens >= prompt.stored:
        return compute_only(prompt)
    both = max(_compute(prompt, 0.0, 0.0, tokens, whole, beside=True), _load(prompt, prompt.stored - tokens))
    return _with_rest(prompt, both, prompt.stored)


def fixed_split(prompt: Prompt) -> float:
    """Half of the stored prefix is computed and half loaded, whatever the rates [s].

    A straw man that shows what knowing the rates is worth.  Rounded up to whole steps at the mean share.
    """
    per_step = prompt.computing.mean_share * prompt.computing.chunk
    return _split_at(prompt, two_fronts.count(0.5 * prompt.stored, per_step) * per_step)


def planned_split(prompt: Prompt) -> float:
    """The best split of whole steps for the mean rates, decided in advance [s].

    Needs what Cake does without: known rates.  At constant rates never slower than Cake, as nothing is done
    twice, nor than computing or loading alone; with traces it can be, as it does not react.
    """
    if not prompt.traced:
        return _constant(prompt, "planned_split")
    finish, per_step = _steps(prompt)
    steps = two_front_policies.best_split(finish, per_step, loader(prompt, prompt.loading.rate))
    return _split_at(prompt, steps * per_step)


def layerwise(prompt: Prompt) -> float:
    """Layer l + 1 is loaded while the tokens behind the prefix are computed in layer l [s].

    Source: ``laws.kernels.two_front_policies.pipeline_time``.  Without such tokens it is ``load_only``.
    Optimistic where a request covers all layers of a chunk.
    """
    if not prompt.traced or prompt.stored <= 0.0:
        return _constant(prompt, "layerwise") if not prompt.traced else compute_only(prompt)
    layers = prompt.loading.layers
    first, whole = _load(prompt, prompt.stored / layers), _load(prompt, prompt.stored)
    done = _compute(prompt, prompt.stored, first, prompt.tokens)
    return max(whole + (done - first) / layers, done) + prompt.loading.last


def token_layer(prompt: Prompt) -> float:
    """CacheFlow's plan over tokens and layers, made for the mean rates [s].

    Source: ``laws.kernels.two_front_policies.token_layer_time``.
    """
    if not prompt.traced:
        return _constant(prompt, "token_layer")
    finish, per_step = _steps(prompt)
    mean = loader(prompt, prompt.loading.rate)
    _, steps = two_front_policies.token_layer_time(finish, per_step, mean, float(prompt.loading.layers))
    return _split_at(prompt, steps * per_step, whole=False)


def _constant(prompt: Prompt, policy: str) -> float:
    """Return the time of one policy at constant rates from the grid's kernel [s]."""
    computing, load = prompt.computing, prompt.loading
    out = np.empty((1, 1, 1, 1, 1, len(MEETING) + len(two_front_policies.POLICY_TIMES)))
    of_load = (load.io_chunk, load.latency, load.layers, load.last, load.slowdown)
    setting = tuple(float(x) for x in (computing.chunk, *of_load))
    two_front_policies.policies_grid(
        computing.times[None],
        np.array([[prompt.tokens, prompt.stored, load.reach(prompt.stored)]], dtype=float),
        np.array([computing.utilisation], dtype=float),
        np.array([load.rate]),
        np.array([load.costs]),
        setting,
        out,
    )
    return float(out[0, 0, 0, 0, 0, len(MEETING) + two_front_policies.POLICY_TIMES.index(policy)])


def oracle(prompt: Prompt) -> float:
    """The least time that any plan can take, rates known in advance: a lower bound for all policies [s].

    Dynamic programming over chunks, see ``laws.kernels.two_front_policies.least_time``.  With traces also: each step
    may have the largest share of the budget on offer within a step's time before, each token the cheapest step
    about its place, and requests have no latency; the bound then lies up to a step lower.
    """
    if not prompt.traced:
        return _constant(prompt, "oracle")
    # a trace that ends too early for one policy may do for another
    known = [time for time in (_finite(cake, prompt), _finite(compute_only, prompt)) if time is not None]
    if not known:
        return cake(prompt)
    return min([_least_traced(prompt, max(known)) + prompt.loading.last, *known])


def _finite(policy: Callable[[Prompt], float], prompt: Prompt) -> float | None:
    try:
        return policy(prompt)
    except SpecError:
        return None


def _generous(budget: Rate, step: float, until: float) -> tuple[Array, Array]:
    """Return times and running sum of the budget, each value lasting ``step`` longer where that is more [s]."""
    ends = np.append(budget.at[1:], budget.end) + step
    cuts = np.unique(np.concatenate([budget.at, ends]))
    cuts = cuts[cuts < until]
    times = np.append(cuts, until)
    return times, np.append(0.0, np.cumsum(two_fronts.largest_within(budget, step, cuts) * np.diff(times)))


def _integral(rate: Rate) -> tuple[Array, Array]:
    """Return times and running sum of a rate; the last value goes on up to the end of the trace."""
    times = np.append(rate.at, min(rate.end, 1e9)) if rate.end > rate.at[-1] else rate.at
    return times, np.append(0.0, np.cumsum(rate.value[: len(times) - 1] * np.diff(times)))


def _tokens_of(size: float, prompt: Prompt) -> float:
    """Return how many tokens from the end of the prefix so many stored bytes hold [token]."""
    token, near, fixed = prompt.loading.costs
    left, reach = size - fixed, prompt.loading.reach(prompt.stored)
    if left < 0.0:
        return 0.0
    within = left / (token + near) if token + near > 0.0 else math.inf
    beyond = (left - reach * near) / token if token > 0.0 else math.inf
    return within if within <= reach else max(beyond, reach)


def _least_traced(prompt: Prompt, most: float) -> float:
    """Return the least time, tail apart, by bisection on time: can both lanes together do the work until then? [s]."""
    chunk, times = prompt.computing.chunk, prompt.computing.times
    beyond = np.append(times, two_fronts.step_time(times, float(len(times))))
    cheap = np.minimum(np.minimum(beyond[:-1], beyond[1:]), np.append(times[0], times[:-1]))
    edges = np.arange(len(times) + 1) * chunk
    inside = np.diff(np.clip(edges, 0.0, prompt.stored)) / chunk
    behind = np.diff(np.clip(edges, prompt.stored, prompt.tokens)) / chunk
    order = np.argsort(cheap)
    work = np.append(0.0, np.cumsum((inside * cheap)[order]))
    tokens = np.append(0.0, np.cumsum(inside[order] * chunk))
    rest = float(np.sum(behind * cheap))
    engine = _generous(_budget(prompt), float(beyond.max()), most)
    wire = _integral(bandwidth_rate(prompt))
    low, high = 0.0, most
    for _ in range(60):
        middle = 0.5 * (low + high)
        spare = np.interp(middle, *engine) - rest
        loaded = _tokens_of(float(np.interp(middle, *wire)), prompt)
        if spare >= 0.0 and np.interp(spare, work, tokens) + loaded >= prompt.stored:
            high = middle
        else:
            low = middle
    return low


#: name → time to first token of a prompt [s]
POLICIES: dict[str, Callable[[Prompt], float]] = {
    "compute_only": compute_only,
    "load_only": load_only,
    "cake": cake,
    "fixed_split": fixed_split,
    "planned_split": planned_split,
    "oracle": oracle,
    "layerwise": layerwise,
    "token_layer": token_layer,
}
