"""Serving as users meet it: time to first token, time per token and latency at a percentile.

An event simulation of continuous batching (``laws.kernels.batching``), driven by an arrival rate (open loop) or by
a number of users who each wait for their answer (closed loop); and ``steady``, the closed form of its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.hosted import host_rules
from accelmodel.inference.speculation import draft_of, tokens_per_step
from accelmodel.laws.kernels.batching import Rules, Times, Traffic, curve, serve, step_time, surface
from accelmodel.laws.numeric import Array, Number
from accelmodel.serving.step_times import axis, split_times
from accelmodel.specs.cloud import Engine
from accelmodel.specs.given import workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Workload

#: axes of the table of decode steps
_AXES = ("batch", "context")
#: ``speculative``, ``acceptance`` and ``draft`` of a workload; empty where nothing drafts
Drafts: TypeAlias = Mapping[str, Any]
#: share of the requests at the beginning, and at the end of a closed loop, that are not counted
WARM_UP = 0.1


@dataclass(frozen=True)
class Served:
    """What became of the requests: times of arrival, first and last token [s]; gaps between tokens [s]."""

    traffic: Traffic
    first: Array
    finish: Array
    gaps: Array


def _lengths(tokens: npt.ArrayLike, requests: int) -> npt.NDArray[np.int64]:
    # a copy of its own: the kernel would be compiled anew for arrays that cannot be written
    return np.array(np.broadcast_to(np.asarray(tokens, np.int64), requests))


def open_loop(rate: float, requests: int, prompt: npt.ArrayLike, answer: npt.ArrayLike, seed: int = 1) -> Traffic:
    """Return Poisson arrivals of ``rate`` requests a second; lengths are one number or one for each request."""
    if not rate > 0.0:
        raise SpecError(f"rate {rate:g} requests/s must be above 0; give for example 2.0")
    waits = np.random.default_rng(seed).exponential(1.0 / rate, requests)
    return Traffic(np.cumsum(waits), _lengths(prompt, requests), _lengths(answer, requests))


def closed_loop(users: int, requests: int, prompt: npt.ArrayLike, answer: npt.ArrayLike) -> Traffic:
    """Return the requests of users who each send the next one as soon as an answer is complete."""
    if not 0 < users <= requests:
        raise SpecError(f"users {users} must be from 1 to the {requests} requests")
    arrival = np.where(np.arange(requests) < users, 0.0, np.inf)
    return Traffic(arrival, _lengths(prompt, requests), _lengths(answer, requests))


def powers(most: float) -> Array:
    """Return 1, 2, 4, … up to the first that reaches ``most``; at least two of them."""
    return cast(Array, 2.0 ** np.arange(max(int(np.ceil(np.log2(max(most, 1.0)))), 1) + 1))


def step_tables(
    model: LanguageModel, clusters: list[Cluster], sequences: float, context: float, tokens: float, **work: float
) -> list[Times]:
    """Return the tables of step times that the simulation reads, one for each cluster.

    Parameters
    ----------
    model : LanguageModel
    clusters : list of Cluster
    sequences, context, tokens : float
        The most sequences at once [1], tokens of one of them, and tokens of one step [token]; beyond them the
        tables go on as straight lines.
    **work
        Other fields of ``Workload``: ``tp`` and bits.
    """
    batches, lengths = axis("batch", powers(sequences)), axis("context", powers(context))
    sizes, news = axis("size", powers(max(tokens, sequences))), axis("new", powers(min(tokens, context)))
    # a prompt of which nothing is there yet, then 2, 4, … tokens
    befores = axis("before", np.where(powers(context) > 1.0, powers(context), 0.0))
    step = workload(phase="decode", batch=batches, context=lengths, **work)
    decode, lean = split_times(model, clusters, step, [batches, lengths])
    _, wide = split_times(model, clusters, workload(phase="prefill", batch=1, context=sizes, **work), [sizes])
    # the matmuls of a step of few tokens are those of decoding, of many those of a prompt
    other = np.concatenate([lean[:, : sizes.size, 0], wide[:, batches.size :]], axis=1)
    part = workload(phase="prefill", batch=1, context=news + befores, prefix=befores + 0.0 * news, **work)
    prompts, _ = split_times(model, clusters, part, [news, befores])
    # contiguous: the kernel would be compiled anew for strided tables
    return [Times(*map(np.ascontiguousarray, each)) for each in zip(other, decode, prompts, strict=True)]


def with_drafts(
    model: LanguageModel, clusters: list[Cluster], engine: Engine, tables: list[Times], drafts: Drafts, **work: Any
) -> list[Times]:
    """Return tables of ``step_tables``, as ``under`` the engine, whose decode steps verify drafted tokens.

    What such a step takes beyond other operators on as many tokens, the passes of the draft among it, stands where
    attention alone did.
    """
    batches, lengths = (
        axis(name, 2.0 ** np.arange(n)) for name, n in zip(_AXES, tables[0].decode_attention.shape, strict=True)
    )
    step = workload(phase="decode", batch=batches, context=lengths, **work, **drafts)
    share = float(engine.efficiency)
    attention, rest = (each / share for each in split_times(model, clusters, step, [batches, lengths]))
    rows = np.asarray(batches) * (1.0 + float(drafts["speculative"]))
    found = []
    for table, own, others in zip(tables, attention, rest, strict=True):
        plain = np.array([curve(table.other, float(tokens)) for tokens in rows])[:, None]
        drafted = float(engine.attention_factor) * own + others - plain
        found.append(table._replace(decode_attention=np.ascontiguousarray(drafted)))
    return found


def rules_of(engine: Engine, layers: Number, room: Number, drafts: Drafts | None = None) -> Rules:
    """Return the engine's rules for a model of ``layers`` layers and KV cache for ``room`` tokens, and its drafts."""
    rules = host_rules(engine, layers)._replace(
        max_num_seqs=int(engine.max_num_seqs), room=float(room),
        max_num_batched_tokens=int(engine.max_num_batched_tokens), patience=int(engine.patience),
        apart=engine.prompts == "apart",
    )  # fmt: skip
    if not drafts:
        return rules
    return rules._replace(rows=rows_of(drafts), yields=yielded(drafts))


def layers_run(model: LanguageModel, drafts: Drafts) -> Number:
    """Return the layers that a decode step runs, those of its draft in each pass: what a host launches.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> layers_run(load("model", "llama-3-8b"), {"speculative": 3.0, "acceptance": 0.5, "draft": "eagle"})
    35.0
    """
    if not drafts:
        return model.layers
    draft = draft_of(model, Workload("decode", 1.0, 1.0, **drafts))
    return model.layers + (drafts["speculative"] * draft.model.layers if draft else 0.0)


def rows_of(drafts: Drafts | None) -> int:
    """Return the tokens of each sequence that a decode step works on: its next one, and those drafted [token].

    Examples
    --------
    >>> rows_of({"speculative": 3.0}), rows_of(None)
    (4, 1)
    """
    return 1 + int(drafts["speculative"]) if drafts else 1


def yielded(drafts: Drafts | None) -> float:
    """Return the tokens that a decode step is expected to yield for each sequence [token].

    Examples
    --------
    >>> yielded({"speculative": 1.0, "acceptance": 0.5}), yielded(None)
    (1.5, 1.0)
    """
    return float(tokens_per_step(Workload("decode", 1.0, 1.0, **drafts))) if drafts else 1.0


def under(engine: Engine, times: Times) -> Times:
    """Return the tables as the engine's own attention makes them, and as its steps take the kernels one after another.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> alone = Times(np.ones(2), np.ones((2, 2)), np.ones((2, 2)))
    >>> [float(each.max()) for each in under(load("engine", "tgis"), alone)]
    [1.0, 10.0, 1.0]
    """
    slower = 1.0 / float(engine.efficiency)
    attention = times.decode_attention * float(engine.attention_factor)
    return Times(times.other * slower, attention * slower, times.prompt_attention * slower)


def simulate(times: Times, rules: Rules, traffic: Traffic, *, gaps: bool = True) -> Served:
    """Return what becomes of the requests on one server; without the gaps between tokens unless they are wanted.

    Raises
    ------
    Infeasible
        If the longest request does not fit the KV cache, so that it would wait for ever.
    """
    longest = int((traffic.prompt + traffic.answer).max())
    if longest > rules.room:
        raise Infeasible(
            f"a request of {longest} tokens does not fit the KV cache of {max(rules.room, 0.0):.0f} tokens; "
            "shorten it, or take more devices or fewer bits"
        )
    traffic = traffic._replace(arrival=traffic.arrival.astype(float))
    first, finish = (np.zeros(len(traffic.arrival)) for _ in range(2))
    between = np.empty((2, int(traffic.answer.sum()) if gaps else 0))
    count = serve(traffic, times, rules, first, finish, between)
    time, alike = between[:, :count]
    return Served(traffic, first, finish, np.repeat(time, alike.astype(np.int64)))


def summary(served: Served, percentile: float = 50.0) -> dict[str, float]:
    """Return what users see at a percentile, after warming up.

    Returns
    -------
    dict
        ``ttft_s``, ``tpot_s`` (mean of a request between its first and last token), ``latency_s``, ``gap_s``
        (between any two tokens) at the percentile; ``requests_per_s``, ``tokens_per_s`` (output).
    """
    count = len(served.finish)
    counted = slice(int(count * WARM_UP), count - int(count * WARM_UP))
    arrival, answer = served.traffic.arrival[counted], served.traffic.answer[counted]
    first, finish = served.first[counted], served.finish[counted]
    between = (finish - first) / np.maximum(answer - 1, 1)
    middle = served.gaps[int(len(served.gaps) * WARM_UP) :]
    span = float(finish.max() - arrival.min())
    return {
        "ttft_s": float(np.percentile(first - arrival, percentile)),
        "tpot_s": float(np.percentile(between, percentile)),
        "latency_s": float(np.percentile(finish - arrival, percentile)),
        "gap_s": float(np.percentile(middle, percentile)) if len(middle) else 0.0,
        "requests_per_s": len(first) / span,
        "tokens_per_s": float(answer.sum()) / span,
    }


def steady(times: Times, rules: Rules, users: float, prompt: float, answer: float) -> dict[str, float]:
    """Return the mean of a closed loop in closed form, prompts in steps of their own.

    Each answer takes ``answer - 1`` decode steps of all users, and every user's prompt interrupts all others once:
    cycle = T_prompts + (answer - 1) T_decode, for ``users`` requests, T_decode that of a token: with drafts of a step,
    over the tokens it yields.  Exact in the mean when requests are alike and prompts do not wait for one another.
    """
    together = min(users, rules.max_num_seqs, rules.room // (prompt + answer))
    decode = surface(times.decode_attention, together, prompt + answer / 2.0)
    decode += curve(times.other, together * rules.rows)
    decode = step_time(decode, together, 0.0, together * rules.rows, rules) / rules.yields
    alone = surface(times.prompt_attention, prompt, 1.0) + curve(times.other, prompt)
    alone = step_time(alone, 0.0, 1.0, prompt, rules)
    cycle = together * alone + (answer - 1.0) * decode
    stalled = decode + (together - 1.0) * alone / max(answer - 1.0, 1.0)
    return {"requests_per_s": together / cycle, "tpot_s": stalled, "decode_s": decode, "prompt_s": alone}
