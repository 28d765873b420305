"""Renting, as users ask it: which instance serves a workload at the least cost, and which fleet a mix of requests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypedDict, Unpack

from accelmodel.cloud.fleet import Bucket, fleet, read_mix
from accelmodel.cloud.hosting import Setup
from accelmodel.cloud.offers import Market, Offers, candidates
from accelmodel.cloud.ranking import Inputs, Slo, ranking
from accelmodel.inference.named import ModelLike, as_model
from accelmodel.specs.load import load
from accelmodel.specs.prices import Price

#: engine of a static batch and of an arrival rate
STATIC, STREAM = "flexgen", "in-flight"
#: what stands for an offer: a market, or the price of each instance by name
OffersLike = Market | Mapping[str, Price]


class Load(TypedDict, total=False):
    """What is asked of instances beyond the shape of a request; see ``rank_instances``."""

    batch: int
    rate: float
    requests: int
    percentile: float
    max_price: float
    most_instances: int
    time_model: str


def as_offers(given: OffersLike | None) -> Offers:
    """Return the instances on offer with their prices; the shipped ones in us-east-1 where nothing is given."""
    if isinstance(given, Mapping):
        return candidates(given)
    return (given or Market()).offers()


def rank_instances(
    model: ModelLike,
    *,
    input: int,
    output: int,
    slo: Slo | None = None,
    setups: Sequence[Setup] | None = None,
    offered: OffersLike | None = None,
    today: date | None = None,
    **asked: Unpack[Load],
) -> dict[str, Any]:
    """Rank cloud instances by cost for a workload and a service level, KV cache offloaded where it must be.

    Parameters
    ----------
    model : str or LanguageModel
    input, output : int
        Tokens of each prompt and of each answer [token].
    slo : Slo, optional
        Least throughput [token/s] and longest times [s]; none by default.
    setups : sequence of Setup, optional
        Engines, offloading policies and precisions to try; one by default, at 16 bit.
    offered : Market or mapping of str to Price, optional
        What may be rented, instances of one's own included; the shipped on-demand prices in us-east-1 by default.
    today : date, optional
        On which prices are called stale.
    **asked
        Either ``batch`` requests at a time, ``requests`` in all, or ``rate`` requests per second [1/s], whose times
        are taken at ``percentile``; ``max_price`` of an instance [USD/h]; ``most_instances`` that share the load (1);
        ``time_model``: ``"physical"`` or ``"as-published"``.

    Returns
    -------
    dict
        ``choice`` and ``rows``, the best first, with price, throughput, times, cost and reason; ``cheapest_tokens``,
        ``fewer_bits``, ``prices``.

    Raises
    ------
    SpecError
        If a name or a price is unknown, or not one of ``batch`` and ``rate`` is given.
    Infeasible
        If the model fits nowhere or nothing meets the service level: names the nearest miss and what would meet it.

    Notes
    -----
    Source: InferSave, arXiv 2504.11816: four stages; cost efficiency by its equation 3.

    Examples
    --------
    >>> few = Market(instances=["g4dn.xlarge", "g5.xlarge"], only=True)
    >>> found = rank_instances("opt-2.7b", input=128, output=32, batch=4, offered=few)
    >>> found["choice"]["feasible"], len(found["rows"])
    (True, 2)
    """
    chosen = list(setups) if setups else [Setup(load("engine", STREAM if asked.get("rate") else STATIC))]
    inputs = Inputs(as_model(model), input, output, slo or Slo(), **asked)
    return ranking(inputs, as_offers(offered), chosen, today or date.today())


def plan_fleet(
    model: ModelLike,
    mix: Sequence[Bucket] | str | Path,
    slo: Slo | None = None,
    *,
    setup: Setup | None = None,
    offered: OffersLike | None = None,
    max_price: float = math.inf,
) -> dict[str, Any]:
    """Return the cheapest fleet for a mix of requests, the best single type, and the saving over it.

    Parameters
    ----------
    model : str or LanguageModel
    mix : sequence of Bucket, or str or Path
        Sizes of requests and how many of each arrive, or a CSV file with the columns ``input``, ``output``, ``rate``.
    slo : Slo, optional
        Longest ``ttft``, ``tpot`` and ``latency`` [s]; none by default.
    setup : Setup, optional
        Engine and precisions; continuous batching at 16 bit by default.
    offered : Market or mapping of str to Price, optional
        As ``rank_instances``.
    max_price : float
        Of one instance [USD/h].

    Returns
    -------
    dict
        ``counts`` {instance: n}, ``cost_usd_per_hour``, ``best_single`` {instance, count, cost_usd_per_hour} or None
        where no type serves every bucket, ``saving`` over it [1], ``buckets`` with the rates behind it.

    Raises
    ------
    SpecError
        If a name or a price is unknown, or the file is not what it must be.
    Infeasible
        If a bucket is served by no type on offer within the service level.

    Notes
    -----
    Source: Mélange, arXiv 2404.14527, section 5; what a type serves of a bucket is predicted, not profiled, in the
    mean of a closed loop: bursts need more.

    Examples
    --------
    >>> few = Market(instances=["g5.xlarge", "g6.xlarge"], only=True)
    >>> plan_fleet("llama-3.1-8b", [Bucket(256, 128, 1.0)], Slo(tpot=0.1), offered=few)["counts"]
    {'g6.xlarge': 1}
    """
    buckets = read_mix(Path(mix)) if isinstance(mix, str | Path) else [Bucket(*each) for each in mix]
    chosen = setup or Setup(load("engine", STREAM), "none")
    return fleet(as_model(model), as_offers(offered), chosen, buckets, slo or Slo(), max_price)
