"""The ranking of instances as an answer: rows, choice, what fewer bits save."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any, TypedDict, Unpack

import numpy as np

from accelmodel.cloud.hosting import Setup, standing
from accelmodel.cloud.infersave import HOUR, billed_hours
from accelmodel.cloud.offers import Offers, OffersLike, as_offers
from accelmodel.cloud.ranking import STATIC, STREAM, Inputs, Row, Slo, efficiency, rank
from accelmodel.cloud.steps import bound_of, engine_span, sequences, span, steps_of
from accelmodel.errors import unknown
from accelmodel.inference.named import ModelLike, as_model
from accelmodel.inference.reading import reading
from accelmodel.serving.simulate import rows_of
from accelmodel.specs.load import load
from accelmodel.specs.prices import stale


def row_data(inputs: Inputs, row: Row, today: date) -> dict[str, Any]:
    """Return a row as JSON-ready data; what goes beyond the ranking stands under ``detail``."""
    met, fits = not row.misses, row.misses[:1] != (("memory", math.inf),)
    reached = {name: value if math.isfinite(value) and fits else None for name, value in row.reached.items()}
    dear = row.copies * row.price.per_hour
    cost = dear / HOUR / row.reached["tps_total"] * 1e6 if fits and row.reached["tps_total"] > 0.0 else None
    hours = None
    if fits and not inputs.rate:
        jobs = max(inputs.requests, inputs.batch) * (inputs.input + inputs.output)
        hours = float(billed_hours(jobs, row.reached["tps_total"]))
    return {
        "instance": row.instance.name,
        "gpu": load("device", row.instance.device).name,
        "gpus": int(row.instance.devices),
        "price_usd_per_hour": row.price.per_hour,
        "offload_ratio": round(row.ratio, 6),
        "tps_total": reached["tps_total"],
        "tps_output": reached["tps_output"],
        "ttft_s": reached["ttft_s"],
        "tpot_s": reached["tpot_s"],
        "cost_usd_per_million_tokens": cost,
        "cost_efficiency": efficiency(inputs, row) if fits else None,
        "feasible": met,
        "reason": row.reason,
        "detail": {
            "instances": row.copies,
            "capped": fits and bool(row.misses) and row.copies == inputs.most_instances > 1,
            "tp": int(row.tp),
            **row.setup.told(inputs.model),
            "latency_s": reached["latency_s"],
            "billed_hours": hours,
            "job_cost_usd": hours * dear if hours else None,
            "price_region": row.price.region,
            "price_kind": row.price.kind,
            "price_date": row.price.day.isoformat(),
            "price_stale": stale(row.price, today),
            **_steps(inputs, row, fits),
        },
    }


#: times of a row that have an interval
_SPANS = ("ttft", "tpot")


def _steps(inputs: Inputs, row: Row, fits: bool) -> dict[str, Any]:
    """Return the requests decoded at once on an instance, what bounds a decode step of them, and intervals of a batch.

    Under a rate the times hold waiting and other users' prompts, whose error nobody knows: they have no interval.
    """
    ends: dict[str, float | None] = {f"{name}_{end}_s": None for name in _SPANS for end in ("lower", "upper")}
    if not fits:
        return {"batch": None, "bound": None, **ends}
    at = row.reached
    if inputs.time_model != "physical":
        return {"batch": at["running"], "bound": None, **ends}
    asked = {"tp": row.tp, "batch": at["running"]}
    first, later = steps_of(inputs.model, row.instance, row.setup, (inputs.input, inputs.output), asked)
    if inputs.rate:
        return {"batch": at["running"], "bound": bound_of(later, later.time, 0.0), **ends}
    many = sequences(row.instance, int(row.tp), at["running"])
    drawn = (0.0, many, many * inputs.input), (many, 0.0, many * rows_of(row.setup.drafts))
    engine = [
        engine_span(inputs.model, row.instance, row.setup, step, asked)
        for step, asked in zip((first, later), drawn, strict=True)
    ]
    spans = {"ttft": span(first, at["ttft_s"], engine[0]), "tpot": span(later, at["tpot_s"], engine[1])}
    ends = {f"{name}_{end}_s": spans[name][i] for name in _SPANS for i, end in enumerate(("lower", "upper"))}
    return {"batch": at["running"], "bound": bound_of(later, at["tpot_s"], at["loads_s"]), **ends}


def less_bits(inputs: Inputs, rows: list[Row]) -> dict[str, Any] | None:
    """Return what fewer bits save: the best row of all against the best at the most bits; None without a choice."""
    met = [row for row in rows if not row.misses]
    bits_of = {id(row): tuple(row.setup.told(inputs.model).values()) for row in rows}
    most = max(bits_of.values())
    full = [row for row in met if bits_of[id(row)] == most]
    if len(set(bits_of.values())) < 2 or not met:
        return None
    chosen = met[0]
    bits = chosen.setup.told(inputs.model)
    if not full:
        return {**bits, "saving": None, "instance_at_most_bits": None}
    saving = 1.0 - chosen.copies * chosen.price.per_hour / (full[0].copies * full[0].price.per_hour)
    return {**bits, "saving": saving, "instance_at_most_bits": full[0].instance.name}


def _cheapest_tokens(data: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The row whose tokens cost least at full load, if not the choice: InferSave pays for no speed beyond the SLO."""
    least = min((row for row in data if row["feasible"]), key=lambda row: row["cost_usd_per_million_tokens"])
    if least is data[0]:
        return None
    return {name: least[name] for name in ("instance", "price_usd_per_hour", "cost_usd_per_million_tokens")}


def precisions(setup: Setup, weight_bits: list[float], kv_bits: list[float]) -> list[Setup]:
    """Return a setup for each pair of precisions."""
    return [replace(setup, weight_bits=w, kv_bits=k) for w in weight_bits for k in kv_bits]


class Load(TypedDict, total=False):
    """What is asked of instances beyond the shape of a request; see ``rank_instances``."""

    batch: int
    rate: float
    requests: int
    percentile: float
    max_price: float
    most_instances: int
    time_model: str


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
        Engines, offloading policies, precisions and drafts to try; one by default, at what the model's file states.
    offered : Market or mapping of str to Price, optional
        What may be rented, instances of one's own included; the shipped on-demand prices in us-east-1 by default.
    today : date, optional
        On which prices are called stale.
    **asked
        Either ``batch`` requests at a time, ``requests`` in all, or ``rate`` requests per second [1/s], whose times are
        told at ``percentile``; ``max_price`` of an instance [USD/h]; ``most_instances`` that share the load (1);
        ``time_model``: ``"physical"`` or ``"as-published"``.

    Returns
    -------
    dict
        ``choice`` and ``rows``, the best first, with price, throughput, times, cost and reason; ``cheapest_tokens``,
        ``fewer_bits``, ``prices``.

    Raises
    ------
    SpecError
        If a name is unknown, or not one of ``batch`` and ``rate`` is given.
    Infeasible
        If the model fits nowhere or nothing meets the service level: names the nearest miss and what would meet it.

    Notes
    -----
    Source: InferSave, arXiv 2504.11816: four stages; cost efficiency by its equation 3.

    Examples
    --------
    >>> from accelmodel.cloud.offers import Market
    >>> few = Market(instances=["g4dn.xlarge", "g5.xlarge"], only=True)
    >>> found = rank_instances("opt-2.7b", input=128, output=32, batch=4, offered=few)
    >>> found["choice"]["feasible"], len(found["rows"])
    (True, 2)
    """
    for name in asked:
        if name not in Load.__annotations__:
            raise unknown("argument of rank_instances", name, Load.__annotations__)
    rate = asked.get("rate", 0.0)
    chosen = list(setups) if setups else [Setup(load("engine", STREAM if rate else STATIC))]
    inputs = Inputs(as_model(model), input, output, slo or Slo(), **asked)
    return ranking(inputs, as_offers(offered), chosen, today or date.today())


def ranking(inputs: Inputs, offered: Offers, setups: list[Setup], today: date) -> dict[str, Any]:
    """Return ranking and choice as JSON-ready data."""
    rows = rank(inputs, offered, setups)
    data = [row_data(inputs, row, today) for row in rows]
    old = sorted(row["instance"] for row in data if row["detail"]["price_stale"])
    return {
        "model": inputs.model.name,
        "time_model": inputs.time_model,
        "engine": setups[0].engine.name,
        "read": reading(inputs.model, rows[0].setup.bits),
        "tps_total_counts": "input and output tokens, as InferSave counts",
        "rows": data,
        "choice": data[0],
        "cheapest_tokens": _cheapest_tokens(data),
        "fewer_bits": less_bits(inputs, rows),
        "prices": {
            "oldest": min(row["detail"]["price_date"] for row in data),
            "stale": len(np.unique(old)),
            "note": "stale prices are older than 180 days; give current ones with --prices" if old else "",
        },
        **standing(inputs.model, [each for each, _ in offered], *setups),
    }
