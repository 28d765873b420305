"""The numbers behind the figures of an instance report.  Plain lists; ``figures_instances`` only draws them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.cloud.hosting import Setup, devices_of, host
from accelmodel.cloud.infersave import HOUR, Task
from accelmodel.cloud.ranking import Question, candidates
from accelmodel.inference.step import time_step
from accelmodel.specs.load import load, override, workload
from accelmodel.specs.prices import Price

#: instances that a break-down shows at most
MOST = 12
#: ratio of prices from which two names have room
LABELS_APART = 1.6
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
CONTEXTS = [256, 512, 1024, 2048, 4096, 8192, 16384]
#: what bounds an operator → part of the break-down
PARTS = {
    "compute": "Compute", "hbm": "Device memory", "l2": "Device memory", "link": "Links between GPUs",
    "latency": "Launches",
}  # fmt: skip


def cost_points(question: Question, data: dict[str, Any]) -> dict[str, Any]:
    """Return hourly price and performance of each row that fits, those on the Pareto front, the SLO and the choice.

    Performance is throughput [token/s] for a batch, and time per token [ms] for an arrival rate, which sets the
    throughput.
    """
    chosen, by_time = data["choice"], bool(question.rate)
    spots = [
        {
            "choice": row is chosen,
            "label": row["instance"] if row is chosen else "",
            "instance": row["instance"],
            "gpu": f"{row['gpus']} x {row['gpu']}",
            "bits": f"{row['detail']['weight_bits']:g}/{row['detail']['kv_bits']:g}",
            "reached": row["tpot_s"] * 1e3 if by_time else row["tps_total"],
            "price": row["price_usd_per_hour"] * row["detail"]["instances"],
            "feasible": row["feasible"],
        }
        for row in data["rows"]
        if row["tps_total"]
    ]
    better = -1.0 if by_time else 1.0
    front: list[dict[str, Any]] = []
    for spot in sorted(spots, key=lambda each: (each["price"], -better * each["reached"])):
        if not front or better * spot["reached"] > better * front[-1]["reached"]:
            front.append(spot)
    labelled = chosen["price_usd_per_hour"] * chosen["detail"]["instances"]
    for spot in front:
        if spot["price"] > LABELS_APART * labelled:
            spot["label"], labelled = spot["instance"], spot["price"]
    slo = question.slo.tpot * 1e3 if by_time and question.slo.tpot else None if by_time else question.slo.tps
    told = f"Time per output token, percentile {question.percentile:g} [ms]"
    title = told if by_time else "Input and output tokens per second"
    return {"spots": spots, "front": front, "slo": slo, "title": title, "by_time": by_time}


def step_points(question: Question, data: dict[str, Any], setup: Setup) -> dict[str, Any]:
    """Return what a decode step in the middle of the answer spends on each instance [ms], by part.

    Operators count to what bounds them; the host adds its launches, and what it loads over its link.
    """
    batch = question.batch or 1
    task = Task(float(batch), float(question.input), float(question.output))
    shown = [row for row in data["rows"] if row["tps_total"]]
    names = list(dict.fromkeys(row["instance"] for row in shown))[:MOST]
    instances = [load("instance", name) for name in names]
    found = host(question.model, instances, task, setup).isel(batch=0)
    parts: dict[str, list[float]] = {
        name: [0.0] * len(names) for name in (*dict.fromkeys(PARTS.values()), "Engine on the host", "Host link")
    }
    for i, instance in enumerate(instances):
        tp = int(found.tp.values[i]) or 1
        shared = float(np.ceil(batch / (instance.devices / tp)))
        context = round(question.input + question.output / 2.0)
        work = workload(phase="decode", batch=shared, context=context, tp=tp, **setup.bits)
        # room for all of it: what is offloaded leaves the device's own time as it is
        roomy = replace(joined := devices_of(instance, tp), device=override(joined.device, hbm_capacity=1e18))
        step = time_step(question.model, roomy, work)
        for time, bound, name in zip(step.time.values, step.bound.values, step.operator.values, strict=True):
            factor = (
                float(setup.engine.attention_factor) if name.startswith("attention") and "norm" not in name else 1.0
            )
            if bound in PARTS:
                parts[PARTS[str(bound)]][i] += float(time) * factor * 1e3
        parts["Engine on the host"][i] = float(found.host.values[i]) * 1e3
        parts["Host link"][i] = float(found.loads.values[i]) * 1e3
    return {"instances": names, "parts": parts, "batch": batch, "beside": setup.engine.host == "beside"}


def winner_points(question: Question, offered: dict[str, Price], setup: Setup) -> dict[str, Any]:
    """Return the instance with the cheapest tokens for each batch and prompt length, and what a million cost [USD]."""
    pairs = [(each, price) for each, price in candidates(offered) if price.per_hour <= question.max_price]
    instances = [each for each, _ in pairs]
    prices = np.array([price.per_hour for _, price in pairs])[:, None]
    contexts = [
        c for c in CONTEXTS if not question.model.max_context or c + question.output <= question.model.max_context
    ]
    costs, winners = [], []
    for context in contexts:
        task = Task(np.array(BATCHES, float), float(context), float(question.output))
        found = host(question.model, instances, task, setup)
        cost = np.where(found.feasible.values > 0.5, prices / HOUR / found.tps_total.values * 1e6, np.inf)
        best = cost.argmin(0)
        least = cost.min(0)
        costs.append([float(x) if np.isfinite(x) else None for x in least])
        winners.append([instances[b].name if np.isfinite(x) else "" for b, x in zip(best, least, strict=True)])
    return {"batch": BATCHES, "context": contexts, "cost": costs, "winner": winners}
