"""The figures of an instance report: ``*_points`` return numbers, ``figure_*`` only draw them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.cloud.hosting import Setup, devices_of, host
from accelmodel.cloud.infersave import HOUR, Task
from accelmodel.cloud.offers import Offers
from accelmodel.cloud.ranking import Inputs
from accelmodel.inference.step import time_step
from accelmodel.report.style import FAINT, INK, axis
from accelmodel.report.style import figure as blank
from accelmodel.specs.given import override, workload

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Okabe and Ito, then lighter ones of the same hues
PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8a8a8a", "#7fb8d8", "#f2cf80",
    "#7fceb9", "#e5bcd3",
)  # fmt: skip
PART_COLOURS = {
    "Compute": "#009e73", "Device memory": "#cc79a7", "Links between GPUs": "#56b4e9", "Launches": "#f0c35a",
    "Engine on the host": "#8a8a8a", "Host link": "#d55e00",
}  # fmt: skip
MET, MISSED = "#0072b2", "#b5b5b5"


def figure_cost(points: dict[str, Any]) -> go.Figure:
    """Draw hourly cost against throughput, the SLO as a line, the Pareto front joined; misses are grey."""
    figure = blank(480, xaxis=axis(points["title"], type="log"), yaxis=axis("USD per hour", type="log"))
    front = points["front"]
    figure.add_scatter(
        x=[spot["reached"] for spot in front], y=[spot["price"] for spot in front], mode="lines", name="Pareto front",
        line={"color": FAINT, "width": 1.5, "dash": "dot"}, hoverinfo="skip",
    )  # fmt: skip
    for met, name, colour in ((True, "meets the SLO", MET), (False, "misses it", MISSED)):
        spots = [spot for spot in points["spots"] if spot["feasible"] is met]
        figure.add_scatter(
            x=[spot["reached"] for spot in spots], y=[spot["price"] for spot in spots], mode="markers+text", name=name,
            marker={"color": colour, "size": [15 if spot["choice"] else 9 for spot in spots]},
            text=[spot["label"] for spot in spots], textposition="top right" if points["by_time"] else "top left",
            textfont={"size": 12, "color": INK},
            customdata=[[spot["instance"], spot["gpu"], spot["bits"]] for spot in spots],
            hovertemplate="%{customdata[0]} (%{customdata[1]}, %{customdata[2]} bit): %{x:.4g}, "
            "%{y:.4g} USD/h<extra></extra>",
        )  # fmt: skip
    if points["slo"]:
        heights = [spot["price"] for spot in points["spots"]]
        figure.add_scatter(
            x=[points["slo"]] * 2, y=[min(heights), max(heights)], mode="lines", name="SLO", hoverinfo="skip",
            line={"color": "#d55e00", "width": 2},
        )  # fmt: skip
    return figure


def figure_step(points: dict[str, Any]) -> go.Figure:
    """Draw a decode step of each instance as a bar of its parts."""
    names = points["instances"]
    figure = blank(
        140 + 34 * len(names), barmode="stack", xaxis=axis("Time of a decode step [ms]"),
        yaxis=axis("", autorange="reversed", showgrid=False), margin={"l": 150, "r": 24, "t": 64, "b": 64},
    )  # fmt: skip
    for part, values in points["parts"].items():
        if any(values):
            hover = "%{y}: %{x:.3g} ms<extra>" + part + "</extra>"
            figure.add_bar(
                x=values, y=names, orientation="h", name=part, marker_color=PART_COLOURS[part], hovertemplate=hover
            )
    return figure


def figure_winner(points: dict[str, Any]) -> go.Figure:
    """Draw the cheapest instance over batch and prompt length, coloured, with what a million tokens cost."""
    names = list(dict.fromkeys(name for row in points["winner"] for name in row if name))
    figure = blank(
        480, xaxis=axis("Batch [requests]", type="category", showgrid=False),
        yaxis=axis("Prompt [tokens]", type="category", showgrid=False),
    )  # fmt: skip
    index = [[names.index(name) if name else None for name in row] for row in points["winner"]]
    steps = max(len(names), 1)
    colours = [PALETTE[i % len(PALETTE)] for i in range(steps)]
    scale = [[edge, colour] for i, colour in enumerate(colours) for edge in (i / steps, (i + 1) / steps)]
    figure.add_heatmap(
        x=[f"{x:,}" for x in points["batch"]], y=[f"{x:,}" for x in points["context"]], z=index, colorscale=scale,
        zmin=-0.5, zmax=steps - 0.5, showscale=False, xgap=2, ygap=2,
        text=[["" if x is None else f"{x:.2g}" for x in row] for row in points["cost"]], texttemplate="%{text}",
        customdata=points["winner"],
        hovertemplate="batch %{x}, %{y} tokens: %{customdata}, %{text} USD per million tokens<extra></extra>",
    )  # fmt: skip
    for name, colour in zip(names, colours, strict=False):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name, marker={"color": colour, "size": 12, "symbol": "square"}
        )
    return figure


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


def cost_points(inputs: Inputs, data: dict[str, Any]) -> dict[str, Any]:
    """Return hourly price and performance of each row that fits, those on the Pareto front, the SLO and the choice.

    Performance is throughput [token/s] for a batch, and time per token [ms] for an arrival rate, which sets the
    throughput.
    """
    chosen, by_time = data["choice"], bool(inputs.rate)
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
    slo = inputs.slo.tpot * 1e3 if by_time and inputs.slo.tpot else None if by_time else inputs.slo.tps
    times = f"Time per output token, percentile {inputs.percentile:g} [ms]"
    title = times if by_time else "Input and output tokens per second"
    return {"spots": spots, "front": front, "slo": slo, "title": title, "by_time": by_time}


def step_points(inputs: Inputs, offered: Offers, data: dict[str, Any], setup: Setup) -> dict[str, Any]:
    """Return what a decode step in the middle of the answer spends on each instance [ms], by part.

    Operators count to what bounds them; the host adds its launches, and what it loads over its link.
    """
    batch = inputs.batch or 1
    task = Task(float(batch), float(inputs.input), float(inputs.output))
    shown = [row for row in data["rows"] if row["tps_total"]]
    names = list(dict.fromkeys(row["instance"] for row in shown))[:MOST]
    known = {instance.name: instance for instance, _ in offered}
    instances = [known[name] for name in names]
    found = host(inputs.model, instances, task, setup).isel(batch=0)
    parts: dict[str, list[float]] = {
        name: [0.0] * len(names) for name in (*dict.fromkeys(PARTS.values()), "Engine on the host", "Host link")
    }
    for i, instance in enumerate(instances):
        tp = int(found.tp.values[i]) or 1
        shared = float(np.ceil(batch / (instance.devices / tp)))
        context = round(inputs.input + inputs.output / 2.0)
        work = workload(phase="decode", batch=shared, context=context, tp=tp, **setup.bits)
        # room for all of it: what is offloaded leaves the device's own time as it is
        roomy = replace(joined := devices_of(instance, tp), device=override(joined.device, hbm_capacity=1e18))
        step = time_step(inputs.model, roomy, work)
        for time, bound, name in zip(step.time.values, step.bound.values, step.operator.values, strict=True):
            factor = (
                float(setup.engine.attention_factor) if name.startswith("attention") and "norm" not in name else 1.0
            )
            if bound in PARTS:
                parts[PARTS[str(bound)]][i] += float(time) * factor * 1e3
        parts["Engine on the host"][i] = float(found.host.values[i]) * 1e3
        parts["Host link"][i] = float(found.loads.values[i]) * 1e3
    return {"instances": names, "parts": parts, "batch": batch, "overlapped": setup.engine.host == "overlapped"}


def winner_points(inputs: Inputs, offered: Offers, setup: Setup) -> dict[str, Any]:
    """Return the instance with the cheapest tokens for each batch and prompt length, and what a million cost [USD]."""
    pairs = [(each, price) for each, price in offered if price.per_hour <= inputs.max_price]
    instances = [each for each, _ in pairs]
    prices = np.array([price.per_hour for _, price in pairs])[:, None]
    contexts = [c for c in CONTEXTS if not inputs.model.max_context or c + inputs.output <= inputs.model.max_context]
    costs, winners = [], []
    for context in contexts:
        task = Task(np.array(BATCHES, float), float(context), float(inputs.output))
        found = host(inputs.model, instances, task, setup)
        cost = np.where(found.feasible.values > 0.5, prices / HOUR / found.tps_total.values * 1e6, np.inf)
        best = cost.argmin(0)
        least = cost.min(0)
        costs.append([float(x) if np.isfinite(x) else None for x in least])
        winners.append([instances[b].name if np.isfinite(x) else "" for b, x in zip(best, least, strict=True)])
    return {"batch": BATCHES, "context": contexts, "cost": costs, "winner": winners}
