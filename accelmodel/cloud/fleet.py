"""A fleet for a mix of request sizes: how many instances of each type cost least (Mélange, arXiv 2404.14527).

Each bucket of requests is cut into slices; an integer program gives slices to instance types so that no type is
loaded beyond the instances rented of it.  What a type serves of a bucket is predicted, not profiled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from accelmodel.cloud.hosting import DEGREES, Setup, standing
from accelmodel.cloud.offers import Offers, OffersLike, as_offers
from accelmodel.cloud.ranking import STREAM, Slo
from accelmodel.cloud.replicas import replicas
from accelmodel.errors import Infeasible, SpecError, brief
from accelmodel.inference.named import ModelLike, as_model
from accelmodel.inference.reading import reading
from accelmodel.laws.numeric import Array
from accelmodel.serving.serve import Replica
from accelmodel.serving.simulate import steady
from accelmodel.specs import files
from accelmodel.specs.cloud import Instance
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.units import show

#: slices of a bucket (Mélange, section 5.4, uses 8)
SLICES = 8
_MOST_BUCKETS = 1000


class Bucket(NamedTuple):
    """Requests of one size.

    Attributes
    ----------
    input, output : int
        Tokens of a prompt and of an answer [token].
    rate : float
        How many arrive [1/s].

    Examples
    --------
    >>> Bucket(512, 128, 2.5).rate
    2.5
    """

    input: int
    output: int
    rate: float


def read_mix(path: Path) -> list[Bucket]:
    """Return the buckets of a CSV file with the columns ``input``, ``output`` and ``rate``.

    Raises
    ------
    SpecError
        If the file cannot be read, has no rows, other columns, or values that are not above zero.
    """
    head, rows = files.read_table(path)
    if sorted(head) != ["input", "output", "rate"]:
        names = brief(",".join(head))
        raise SpecError(f"{path}: columns must be input,output,rate (tokens, tokens, requests/s), not {names}")
    if not 0 < len(rows) <= _MOST_BUCKETS:
        raise SpecError(f"{path}: has {len(rows)} buckets; give 1 to {_MOST_BUCKETS} lines such as 512,128,2.5")
    return [_bucket(row, f"{path}:{line}") for line, row in rows]


def _bucket(row: dict[str, str], where: str) -> Bucket:
    try:
        size = Bucket(int(row["input"]), int(row["output"]), float(row["rate"]))
    except ValueError:
        given = brief(",".join(row.values()))
        raise SpecError(
            f"{where}: {given} is not two whole numbers and a rate; write for example 512,128,2.5"
        ) from None
    if min(size.input, size.output) < 1 or max(size.input, size.output) > 10**7 or not 0.0 < size.rate < 1e9:
        raise SpecError(f"{where}: input and output must be 1 to 10 million tokens, and rate above 0 requests/s")
    return size


def best_rate(replica: Replica, bucket: Bucket, slo: Slo) -> float:
    """Return the most requests of a bucket that a replica serves within the service level [1/s]; 0 if none.

    The more users at once the higher the rate and the longer the time per token: the most users that keep to it are
    sought by halving, on the closed form ``serving.simulate.steady``.
    """

    def at(users: int) -> tuple[bool, float]:
        found = steady(replica.times, replica.rules, users, bucket.input, bucket.output)
        late = found["prompt_s"] + (bucket.output - 1.0) * found["tpot_s"]
        kept = [(found["tpot_s"], slo.tpot), (found["prompt_s"], slo.ttft), (late, slo.latency)]
        return all(limit is None or value <= limit for value, limit in kept), found["requests_per_s"]

    most = int(min(replica.rules.max_num_seqs, replica.rules.room // (bucket.input + bucket.output)))
    if most < 1 or not at(1)[0]:
        return 0.0
    low, high = 1, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle)[0] else (low, middle)
    return at(low)[1]


def rates(model: LanguageModel, instances: list[Instance], setup: Setup, mix: list[Bucket], slo: Slo) -> Array:
    """Return what each instance serves of each bucket alone [1/s], an array (bucket, instance), at its best degree."""
    found = np.zeros((len(mix), len(instances)))
    longest = max(bucket.input + bucket.output for bucket in mix)
    for tp in DEGREES:
        able = [i for i, each in enumerate(instances) if each.devices % tp == 0 and tp <= setup.heads(model)]
        if not able:
            continue
        for i, replica in zip(able, replicas(model, [instances[i] for i in able], setup, tp, longest), strict=True):
            copies = float(instances[i].devices) / tp
            for b, bucket in enumerate(mix):
                found[b, i] = max(found[b, i], copies * best_rate(replica, bucket, slo))
    return found


def cheapest(served: Array, wanted: Array, prices: Array) -> Array:
    """Return how many instances of each type to rent: the integer program of Mélange (section 5.3).

    Parameters
    ----------
    served : ndarray (bucket, type)
        Requests per second that one instance serves of a bucket alone; 0 where it cannot [1/s].
    wanted : ndarray (bucket)
        Requests per second that arrive [1/s].
    prices : ndarray (type)
        USD per hour.

    Returns
    -------
    ndarray (type)
        Instances.

    Notes
    -----
    Slices of one bucket are alike, so that their number on each type is an integer unknown; Mélange has a binary
    unknown for each slice, with the same optimum.  Loads of buckets on a type add up, which is exact for
    throughput and takes the service level of each bucket alone as that of the mix.

    Examples
    --------
    >>> cheapest(np.array([[1.0, 4.0], [0.0, 1.0]]), np.array([2.0, 1.0]), np.array([1.0, 5.0])).tolist()
    [2.0, 1.0]
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    buckets, types = served.shape
    pairs = [(b, g) for b in range(buckets) for g in range(types) if served[b, g] > 0.0]
    sums, loads = np.zeros((buckets, len(pairs) + types)), np.zeros((types, len(pairs) + types))
    for column, (b, g) in enumerate(pairs):
        sums[b, column] = 1.0
        loads[g, column] = wanted[b] / SLICES / served[b, g]
    loads[:, len(pairs) :] = -np.eye(types)
    cost = np.concatenate([np.zeros(len(pairs)), prices])
    highest = np.concatenate([np.full(len(pairs), float(SLICES)), np.full(types, np.inf)])
    found = milp(
        cost, integrality=np.ones(len(cost)), bounds=Bounds(np.zeros(len(cost)), highest),
        constraints=[LinearConstraint(sums, SLICES, SLICES), LinearConstraint(loads, -np.inf, 0.0)],
        options={"time_limit": 30.0, "mip_rel_gap": 1e-4},
    )  # fmt: skip
    if found.x is None:
        raise Infeasible(f"the integer program found no fleet ({found.message}); widen the offer or the service level")
    bought: Array = np.rint(found.x[len(pairs) :])
    return bought


def plan_fleet(
    model: ModelLike,
    mix: Sequence[Bucket] | str | Path,
    slo: Slo | None = None,
    *,
    setup: Setup | None = None,
    offered: OffersLike | None = None,
    max_price: float = math.inf,
) -> dict[str, Any]:
    """Return the cheapest fleet for a mix of requests, the best single type beside it, and the saving.

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
        What may be rented, instances of one's own included; the shipped on-demand prices in us-east-1 by default.
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
        If a name is unknown, or the file is not what it must be.
    Infeasible
        If a bucket is served by no type on offer within the service level.

    Notes
    -----
    Source: Mélange, arXiv 2404.14527, section 5; what a type serves of a bucket is predicted, not profiled, in the mean
    of a closed loop: bursts need more.

    Examples
    --------
    >>> mix = [Bucket(256, 128, 1.0), Bucket(1024, 64, 0.5)]
    >>> from accelmodel.cloud.offers import Market
    >>> few = Market(instances=["g5.xlarge", "g6.xlarge"], only=True)
    >>> found = plan_fleet("llama-3.1-8b", mix, Slo(tpot=0.1), offered=few)
    >>> found["cost_usd_per_hour"] <= found["best_single"]["cost_usd_per_hour"]
    True
    """
    spec, slo, setup = as_model(model), slo or Slo(), setup or Setup(load("engine", STREAM), "none")
    buckets = read_mix(Path(mix)) if isinstance(mix, str | Path) else [Bucket(*each) for each in mix]
    return _plan(spec, buckets, slo, setup, as_offers(offered), max_price)


def _plan(
    model: LanguageModel,
    mix: list[Bucket],
    slo: Slo,
    setup: Setup,
    offered: Offers,
    max_price: float,
) -> dict[str, Any]:
    pairs = [(each, price) for each, price in offered if price.per_hour <= max_price]
    if not pairs:
        raise Infeasible(f"no instance costs at most {max_price:g} USD/h; raise --max-price")
    kinds, prices = [each for each, _ in pairs], np.array([price.per_hour for _, price in pairs])
    served = rates(model, kinds, setup, mix, slo)
    wanted = np.array([bucket.rate for bucket in mix])
    for bucket, row in zip(mix, served, strict=True):
        if not row.any():
            asked = ", ".join(
                f"{name} {show(value, 's')}" for name, value in slo._asdict().items() if value is not None
            )
            raise Infeasible(
                f"no instance on offer serves requests of {bucket.input} + {bucket.output} tokens "
                f"within {asked or 'its memory'}; "
                "widen the SLO, use fewer bits, or offer larger instances"
            )
    counts = cheapest(served, wanted, prices)
    cost = float(counts @ prices)
    able = [g for g in range(len(kinds)) if served[:, g].all()]
    alone = {g: math.ceil(float((wanted / served[:, g]).sum()) - 1e-9) for g in able}
    single = min(able, key=lambda g: alone[g] * prices[g], default=None)
    best: dict[str, Any] | None = None
    if single is not None:
        whole = float(alone[single] * prices[single])
        best = {"instance": kinds[single].name, "count": alone[single], "cost_usd_per_hour": whole}
    return {
        "model": model.name,
        "engine": setup.engine.name,
        "counts": {kinds[g].name: int(n) for g, n in enumerate(counts) if n},
        "cost_usd_per_hour": cost,
        "best_single": best,
        "saving": 1.0 - cost / best["cost_usd_per_hour"] if best else None,
        "buckets": [
            {**bucket._asdict(), "served_per_s": {kinds[g].name: float(row[g]) for g, n in enumerate(counts) if n}}
            for bucket, row in zip(mix, served, strict=True)
        ],
        "read": reading(model, setup.bits),
        **standing(model, kinds, setup),
    }
