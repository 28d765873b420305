"""The figures of an instance report.  Each draws what its namesake in ``points_instances`` computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelmodel.report.style import FAINT, INK, axis
from accelmodel.report.style import figure as blank

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
