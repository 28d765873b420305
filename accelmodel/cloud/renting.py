"""Renting, as users ask it: which instance serves a workload at the least cost, and which fleet a mix of requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

from accelmodel.cloud.fleet import Bucket, fleet, read_mix
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market, Offers
from accelmodel.cloud.ranking import Inputs, Slo, precisions, ranking
from accelmodel.specs.cloud import Engine
from accelmodel.specs.given import spec_of
from accelmodel.specs.language_model import LanguageModel

#: engine of a static batch and of an arrival rate
STATIC, STREAM = "flexgen", "in-flight"
#: instances that an arrival rate may be spread over where nothing is said of it
MOST = 100


class Demand(TypedDict, total=False):
    """What is asked beyond shapes and service level: fields of ``ranking.Inputs``, and how the model is run.

    Either ``batch`` or ``rate``; ``offload``, ``memory_rule``, ``weight_bits`` and ``kv_bits`` as ``hosting.Setup``,
    the last two also as several to try.
    """

    batch: int
    rate: float
    requests: int
    percentile: float
    max_price: float
    most_instances: int
    time_model: str
    offload: str
    memory_rule: str
    weight_bits: float | Sequence[float]
    kv_bits: float | Sequence[float]


class Question(NamedTuple):
    """What ``ranking.ranking`` and the report of a ranking take."""

    inputs: Inputs
    offered: Offers
    setups: list[Setup]


def _several(bits: float | Sequence[float]) -> list[float]:
    return [float(each) for each in (bits if isinstance(bits, Sequence) else [bits])]


def question(
    model: str | LanguageModel,
    input_tokens: int,
    output_tokens: int,
    slo: Slo | None = None,
    *,
    market: Market | None = None,
    engine: str | Engine | None = None,
    **demand: Unpack[Demand],
) -> Question:
    """Return what ``rank_instances`` computes from; its parameters."""
    asked: dict[str, Any] = dict(demand)
    weight_bits, kv_bits = (_several(asked.pop(name, 16.0)) for name in ("weight_bits", "kv_bits"))
    policy, rule = asked.pop("offload", "infersave"), asked.pop("memory_rule", "")
    rate = asked.get("rate", 0.0)
    chosen = spec_of("engine", engine or (STREAM if rate else STATIC))
    asked["most_instances"] = asked.get("most_instances") or (MOST if rate else 1)
    inputs = Inputs(spec_of("model", model), input_tokens, output_tokens, slo or Slo(), **asked)
    setups = precisions(Setup(chosen, policy, memory_rule=rule), weight_bits, kv_bits)
    return Question(inputs, (market or Market()).offers(), setups)


def rank_instances(
    model: str | LanguageModel,
    input_tokens: int,
    output_tokens: int,
    slo: Slo | None = None,
    *,
    market: Market | None = None,
    engine: str | Engine | None = None,
    **demand: Unpack[Demand],
) -> dict[str, Any]:
    """Rank rented instances by what a workload costs on them, KV cache offloaded where it must be.

    Parameters
    ----------
    model : str or LanguageModel
    input_tokens, output_tokens : int
        Tokens of a prompt and of an answer [token].
    slo : Slo, optional
        Least throughput and longest times; none by default.
    market : Market, optional
        Regions, prices, and instances of one's own; the shipped instances in us-east-1 by default.
    engine : str or Engine, optional
        ``flexgen`` for a batch and ``in-flight`` for a rate by default.
    **demand
        See ``Demand``: ``batch`` requests at once or ``rate`` [1/s], and more.

    Returns
    -------
    dict
        ``rows``, the best first; ``choice``, the first of them; ``cheapest_tokens``, ``fewer_bits``, ``prices``.

    Raises
    ------
    SpecError
        If a name, price or value is not allowed, or both or neither of batch and rate are given.
    Infeasible
        If the model fits nowhere, or nothing on offer meets the service level: names the nearest miss.

    Examples
    --------
    >>> found = rank_instances("opt-2.7b", 128, 512, Slo(tps=400.0), batch=32)
    >>> found["choice"]["instance"]
    'g4dn.xlarge'
    """
    asked = question(model, input_tokens, output_tokens, slo, market=market, engine=engine, **demand)
    return ranking(*asked, date.today())


def plan_fleet(
    model: str | LanguageModel,
    mix: str | Path | Sequence[Bucket],
    slo: Slo | None = None,
    *,
    market: Market | None = None,
    engine: str | Engine = STREAM,
    max_price: float = math.inf,
    weight_bits: float = 16.0,
    kv_bits: float = 16.0,
) -> dict[str, Any]:
    """Combine instances into the fleet that serves a mix of request sizes at the least cost.

    Parameters
    ----------
    model : str or LanguageModel
    mix : path or sequence of Bucket
        Sizes of requests and how many of each arrive: a CSV with the columns input, output and rate, or its rows.
    slo : Slo, optional
        Longest times; none by default.
    market, engine
        As ``rank_instances``.
    max_price : float
        Of one instance [USD/h].
    weight_bits, kv_bits : float
        Precisions [bit].

    Returns
    -------
    dict
        ``counts`` {instance: n}, ``cost_usd_per_hour``, ``best_single``, ``saving``, ``buckets``; see ``fleet.fleet``.

    Raises
    ------
    SpecError
        If a name, price, file or value is not allowed.
    Infeasible
        If no instance on offer serves one of the sizes within the service level.

    Examples
    --------
    >>> found = plan_fleet("llama-3.1-8b", [Bucket(128, 128, 4.0)], Slo(tpot=0.06))
    >>> sum(found["counts"].values()) >= 1
    True
    """
    buckets = read_mix(Path(mix)) if isinstance(mix, str | Path) else list(mix)
    setup = Setup(spec_of("engine", engine), "none", float(weight_bits), float(kv_bits))
    return fleet(spec_of("model", model), (market or Market()).offers(), setup, buckets, slo or Slo(), max_price)
