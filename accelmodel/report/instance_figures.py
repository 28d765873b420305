"""The figures of an instance report: ``*_points`` return numbers, ``figure_*`` only draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.cloud.hosting import Setup, host
from accelmodel.cloud.infersave import HOUR, Task
from accelmodel.cloud.offers import Offers
from accelmodel.cloud.ranking import Inputs
from accelmodel.cloud.steps import DeviceStep, sequences, steps_of
from accelmodel.inference.hosted import host_rules, on_cpu
from accelmodel.laws.kernels.batching import launches
from accelmodel.report.style import FAINT, ON_LIGHT, axis, log_axis
from accelmodel.report.style import figure as blank
from accelmodel.specs.cloud import Instance

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Okabe and Ito, then lighter ones of the same hues
PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8a8a8a", "#7fb8d8", "#f2cf80",
    "#7fceb9", "#e5bcd3",
)  # fmt: skip
PART_COLOURS = {
    "Compute": "#009e73", "Device memory": "#cc79a7", "Links between GPUs": "#56b4e9", "Launches": "#f0c35a",
    "Engine on the host": "#8a8a8a", "Host link": "#d55e00", "Waiting and others' prompts": "#b9a3d6",
}  # fmt: skip
MET, MISSED = "#0072b2", "#b5b5b5"
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
#: parts of the break-down beside the device
ENGINE, HOST_LINK, WAITING = "Engine on the host", "Host link", "Waiting and others' prompts"
#: what performance is measured by → title of its axis
_TITLES = {
    "tps_total": "Input and output tokens per second",
    "tpot": "Time per output token",
    "ttft": "Time to first token",
}


def figure_cost(points: dict[str, Any]) -> go.Figure:
    """Draw hourly cost against throughput, the SLO as a line, the Pareto front joined; misses are grey."""
    heights = [spot["price"] for spot in points["spots"]]
    widths = [*(spot["reached"] for spot in points["spots"]), points["slo"] or points["spots"][0]["reached"]]
    figure = blank(480, xaxis=log_axis(points["title"], widths), yaxis=log_axis("USD per hour", heights))
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
            textfont={"size": 12, "color": ON_LIGHT},
            customdata=[[spot["instance"], spot["gpu"], spot["bits"]] for spot in spots],
            hovertemplate="%{customdata[0]} (%{customdata[1]}, %{customdata[2]} bit): %{x:.4g}, "
            "%{y:.4g} USD/h<extra></extra>",
        )  # fmt: skip
    if points["slo"]:
        figure.add_scatter(
            x=[points["slo"]] * 2, y=[min(heights), max(heights)], mode="lines", name="SLO", hoverinfo="skip",
            line={"color": "#d55e00", "width": 2},
        )  # fmt: skip
    return figure


def figure_step(points: dict[str, Any], time: str) -> go.Figure:
    """Draw a time of each instance, ``ttft`` or ``tpot``, as a bar of its parts."""
    names = points["instances"]
    titles = {"ttft": "Time to first token [ms]", "tpot": "Time per output token [ms]"}
    figure = blank(
        140 + 34 * len(names), barmode="stack", xaxis=axis(titles[time]),
        yaxis=axis("", autorange="reversed", showgrid=False), margin={"l": 150, "r": 24, "t": 64, "b": 64},
    )  # fmt: skip
    for part, values in points[time].items():
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


def measures(inputs: Inputs) -> list[str]:
    """Return what performance is measured by: a rate sets the throughput, so that times are what differs."""
    if inputs.rate:
        return ["tpot", "ttft"]
    return ["tps_total", *(name for name in ("tpot", "ttft") if getattr(inputs.slo, name))]


def drawn(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that say something of an instance: not those that stand for the most that may be rented."""
    return [row for row in data["rows"] if row["tps_total"] and not row["detail"]["capped"]]


def cost_points(inputs: Inputs, data: dict[str, Any], measure: str = "") -> dict[str, Any]:
    """Return hourly price and performance of each row that fits, those on the Pareto front, the SLO and the choice.

    ``measure`` is one of ``measures``, the first of them by default: throughput [token/s], or a time [ms].
    """
    measure = measure or measures(inputs)[0]
    chosen, by_time = data["choice"], measure != "tps_total"
    spots = [
        {
            "choice": row is chosen,
            "label": row["instance"] if row is chosen else "",
            "instance": row["instance"],
            "gpu": f"{row['gpus']} x {row['gpu']}",
            "bits": f"{row['detail']['weight_bits']:g}/{row['detail']['kv_bits']:g}",
            "reached": row[f"{measure}_s"] * 1e3 if by_time else row["tps_total"],
            "price": row["price_usd_per_hour"] * row["detail"]["instances"],
            "feasible": row["feasible"],
        }
        for row in drawn(data)
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
    asked = getattr(inputs.slo, measure.removesuffix("_total"))
    slo = asked * 1e3 if by_time and asked else asked
    at = f", percentile {inputs.percentile:g}" if inputs.rate else ""
    title = f"{_TITLES[measure]}{at} [ms]" if by_time else _TITLES[measure]
    return {"spots": spots, "front": front, "slo": slo, "title": title, "by_time": by_time}


def step_points(inputs: Inputs, offered: Offers, data: dict[str, Any], setup: Setup) -> dict[str, Any]:
    """Return what the times to first token and per output token of each instance are made of [ms], by part.

    Of a batch, ``ttft`` is its prefill and ``tpot`` a decode step in the middle of the answer; operators count to what
    bounds them, and the host adds its launches and what it loads over its link.  Of a rate, steps are those of one
    prompt and of the mean number of requests that are decoded at once; the rest of the times that users see is
    waiting.
    """
    told = setup.told(inputs.model)
    bits = (told["weight_bits"], told["kv_bits"])
    rows = {
        row["instance"]: row for row in drawn(data) if (row["detail"]["weight_bits"], row["detail"]["kv_bits"]) == bits
    }
    names = list(rows)[:MOST]
    known = {instance.name: instance for instance, _ in offered}
    times: dict[str, dict[str, list[float]]] = {name: {part: [] for part in PART_COLOURS} for name in ("ttft", "tpot")}
    for name in names:
        whole = _parts_of_rate if inputs.rate else _parts_of_batch
        for time, parts in whole(inputs, known[name], rows[name], setup).items():
            for part, values in times[time].items():
                values.append(parts.get(part, 0.0) * 1e3)
    return {"instances": names, **times, "overlapped": setup.engine.host == "overlapped"}


def _on_device(step: DeviceStep) -> dict[str, float]:
    """Return the time of a step on the device by part of the break-down [s]."""
    parts = dict.fromkeys(PARTS.values(), 0.0)
    for bound, time in step.parts.items():
        parts[PARTS[bound]] += time
    return parts


def _parts_of_batch(
    inputs: Inputs, instance: Instance, row: dict[str, Any], setup: Setup
) -> dict[str, dict[str, float]]:
    """Return what the prefill and a decode step of a batch spend on an instance [s]."""
    lengths = inputs.input, inputs.output
    task = Task(float(inputs.batch), float(inputs.input), float(inputs.output))
    found = host(inputs.model, [instance], task, setup).isel(instance=0, batch=0)
    at = {"tp": float(found.tp) or 1.0, "batch": float(inputs.batch)}
    first, later = (_on_device(step) for step in steps_of(inputs.model, instance, setup, lengths, at))
    rest = HOST_LINK if row["offload_ratio"] else ENGINE
    first |= {rest: max(float(found.prefill) - sum(first.values()), 0.0)}
    return {"ttft": first, "tpot": later | {ENGINE: float(found.host), HOST_LINK: float(found.loads)}}


def _parts_of_rate(
    inputs: Inputs, instance: Instance, row: dict[str, Any], setup: Setup
) -> dict[str, dict[str, float]]:
    """Return what the times that users see under a rate are made of on an instance [s]."""
    tp, running = row["detail"]["tp"], row["detail"]["batch"]
    at = {"tp": tp, "batch": running, "prompts": 1.0}
    steps = steps_of(inputs.model, instance, setup, (inputs.input, inputs.output), at)
    first, later = (_on_device(step) for step in steps)
    rules = host_rules(on_cpu(setup.engine, instance.cpu), inputs.model.layers)
    together = sequences(instance, tp, running)
    later |= {ENGINE: float(launches(together, rules) + rules.step + rules.each * together)}
    for parts, seen in ((first, row["ttft_s"]), (later, row["tpot_s"])):
        parts[WAITING] = max(seen - sum(parts.values()), 0.0)
    return {"ttft": first, "tpot": later}


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
