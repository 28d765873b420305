"""How many instances an arrival rate needs, and what its users then see: continuous batching on each instance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from accelmodel.cloud.hosting import DEGREES, Setup, devices_of
from accelmodel.inference.kept import kept_bytes
from accelmodel.inference.precisions import need_fused
from accelmodel.serving.serve import REQUESTS, SEED, Replica, replicas_on
from accelmodel.serving.simulate import open_loop, simulate, summary
from accelmodel.specs.cloud import Instance
from accelmodel.specs.language_model import LanguageModel

#: rates between which the largest that meets the service level is sought: halvings of a factor 1000
_HALVINGS = 8


class AtRate(NamedTuple):
    """Instances needed, tensor-parallel degree, and what users see (nothing where not one request fits)."""

    copies: int
    tp: float
    reached: dict[str, float]
    short: float = 0.0


def replicas(model: LanguageModel, instances: list[Instance], setup: Setup, tp: int, longest: int) -> list[Replica]:
    """Return one replica of ``tp`` devices of each instance, for requests of up to ``longest`` tokens."""
    clusters = [devices_of(each, tp, setup.engine) for each in instances]
    hosts = [each.cpu for each in instances]
    return replicas_on(model, clusters, setup.engine, longest, setup.drafts, hosts, tp=float(tp), **setup.bits)


def seen(replica: Replica, rate: float, prompt: int, answer: int, percentile: float) -> dict[str, float]:
    """Return what users of one replica see at an arrival rate: ``serving.simulate.summary`` with total throughput."""
    served = simulate(replica.times, replica.rules, open_loop(rate, REQUESTS, prompt, answer, SEED), gaps=False)
    found = summary(served, percentile)
    return {
        "ttft_s": found["ttft_s"], "tpot_s": found["tpot_s"], "latency_s": found["latency_s"],
        "tps_output": found["tokens_per_s"], "tps_total": found["tokens_per_s"] * (prompt + answer) / answer,
        "running": found["tokens_per_s"] * summary(served)["tpot_s"],  # Little's law
    }  # fmt: skip


def largest_rate(replica: Replica, most: float, prompt: int, answer: int, percentile: float, met: Any) -> float:
    """Return the largest arrival rate up to ``most`` at which the service level is met [1/s]; 0 if at none.

    ``met`` tells it from what is seen, throughput apart, since a slower arrival is no fault of the server.
    """
    low, high = 0.0, most
    if not met(seen(replica, most / 1000.0, prompt, answer, percentile)):
        return 0.0
    low = most / 1000.0
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if met(seen(replica, middle, prompt, answer, percentile)) else (low, middle)
    return low


def at_rate(
    model: LanguageModel, instances: list[Instance], setup: Setup, prompt: int, answer: int, rate: float,
    met: Callable[[dict[str, float]], bool], limits: tuple[float, int],
) -> list[AtRate]:  # fmt: skip
    """Return for each instance how many of it serve ``rate`` requests a second, at its best degree.

    Parameters
    ----------
    met : callable
        Whether what users see meets the service level.
    limits : tuple
        Percentile at which users are asked, and the most instances of a kind.

    Notes
    -----
    Arrivals are spread evenly over instances and replicas, so that each sees Poisson arrivals of its share.
    """
    need_fused(setup.engine, model, setup.bits)
    percentile, most = limits
    best = [AtRate(1, 1.0, {}, math.inf) for _ in instances]
    longest = prompt + answer
    whole = float(kept_bytes(model, longest, setup.told(model)["kv_bits"]))
    for tp in DEGREES:
        able = [i for i, each in enumerate(instances) if each.devices % tp == 0 and tp <= setup.heads(model)]
        if not able:
            continue
        for i, replica in zip(able, replicas(model, [instances[i] for i in able], setup, tp, longest), strict=True):
            copies = int(instances[i].devices / tp)
            if replica.rules.room < longest:
                short = (1.0 - replica.rules.room / longest) * whole
                best[i] = best[i] if best[i].reached else min(best[i], AtRate(1, tp, {}, short), key=lambda x: x.short)
                continue
            best[i] = _better(
                best[i], _served(replica, copies, rate, (prompt, answer), met, (percentile, most, tp)), met
            )
    return best


def _served(
    replica: Replica, copies: int, rate: float, lengths: tuple[int, int], met: Any, limits: tuple[float, int, int]
) -> AtRate:  # fmt: skip
    """Return how many instances of ``copies`` replicas serve the rate, and what is seen then."""
    percentile, most, tp = limits

    def look(count: int) -> dict[str, float]:
        at = seen(replica, rate / (copies * count), *lengths, percentile)
        whole = {name: at[name] * copies * count for name in ("tps_output", "tps_total")}
        return at | whole | {"running": at["running"] * copies}

    reached = look(1)
    if met(reached) or most == 1:
        return AtRate(1, tp, reached)
    share = largest_rate(replica, rate / copies, *lengths, percentile, met)
    count = min(math.ceil(rate / (copies * share) - 1e-9), most) if share else most
    return AtRate(count, tp, look(count))


def _better(one: AtRate, other: AtRate, met: Any) -> AtRate:
    """The one that meets the service level, then on fewer instances, then with the shorter time per token."""
    if not one.reached:
        return other
    order = [(not met(each.reached), each.copies, each.reached["tpot_s"]) for each in (one, other)]
    return one if order[0] <= order[1] else other
