"""The figures of Cake: fronts that meet, time to first token over bandwidth and share, speed-ups beside the paper's.

``*_points`` return numbers, ``figure_*`` only draw them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.kvcache.evaluate import (
    ALWAYS,
    Inputs,
    bandwidth_words,
    constant_grid,
    curves_of,
    front_points,
    points_of,
    regime,
)
from accelmodel.kvcache.traces import Array
from accelmodel.report import style
from accelmodel.report.style import FAINT, GRID, INK, ON_LIGHT
from accelmodel.units import show

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: of Okabe and Ito, which colour-blind readers can tell apart
COMPUTE, LOAD, BOTH = "#d55e00", "#0072b2", "#009e73"
PAPER = "#9a9a9a"
#: regime → number on the map, name, pale colour
REGIMES = {
    "compute": (0, "computing alone does", "#f6cfb5"),
    "both": (1, "both pay", "#b5e3d3"),
    "load": (2, "loading alone does", "#b8d6ea"),
}
#: bandwidths [Gibit/s] and shares of the map
BANDWIDTHS = np.geomspace(1.0, 256.0, 65)
SHARES = np.linspace(0.05, 1.0, 39)
GIBPS = 2.0**30 / 8.0


def fronts_points(inputs: Inputs) -> dict[str, Any]:
    """Return the positions of both fronts for the longest prompt at the first rates asked for, and the rates."""
    one = replace(
        inputs,
        tokens=[max(inputs.tokens)],
        bandwidth=inputs.bandwidth[:1],
        utilisation=inputs.utilisation[:1],
        kv_bits=inputs.kv_bits[:1],
    )
    found = front_points(one, curves_of(one))[0]
    traces = {"bandwidth": inputs.bandwidth_trace, "share": inputs.budget_trace}
    rates = {}
    for name, trace in traces.items():
        if trace is not None:
            until = np.searchsorted(trace.time, found["meet_time_s"], side="right")
            rates[name] = (
                [*trace.time[:until].tolist(), found["meet_time_s"]],
                [
                    *trace.value[:until].tolist(),
                    float(trace.value[until - 1]),
                ],
            )
    return {**found, "rates": rates}


def figure_fronts(points: dict[str, Any]) -> go.Figure:
    """Draw both fronts over time until they meet, and below them the rates where they change."""
    rates = points["rates"]
    lanes = len(rates)
    figure = style.figure(
        460 + 130 * lanes, xaxis=style.axis("Time [s]", rangemode="tozero", anchor=f"y{lanes + 1}" if lanes else "y")
    )
    bottom = 0.24 * lanes
    top = {"range": [0, points["tokens"] * 1.03], "domain": [bottom + (0.05 if lanes else 0.0), 1.0], "tickformat": ","}
    figure.update_layout(yaxis=style.axis("Position in the prompt [tokens]", **top))
    for name, key, colour in (("compute front", "compute", COMPUTE), ("load front", "load", LOAD)):
        row = points[key]
        figure.add_scatter(
            x=[each["time_s"] for each in row],
            y=[each["token"] for each in row],
            name=name,
            mode="lines",
            line={"color": colour, "width": 2.5, "shape": "hv"},
            hovertemplate="%{x:.3f} s: token %{y:,.0f}<extra>" + name + "</extra>",
        )
    x, y = points["meet_time_s"], points["meet_token"]
    figure.add_scatter(
        x=[x], y=[y], mode="markers", name="they meet", marker={"color": INK, "size": 10},
        hovertemplate="they meet at %{x:.3f} s, token %{y:,.0f}<extra></extra>",
    )  # fmt: skip
    figure.add_annotation(x=x, y=y, text=f"<b>{show(x, 's', 3)}</b>", ax=-46, ay=-30, arrowhead=0, arrowcolor=INK)
    words = {"bandwidth": ("Gibit/s", 1.0 / GIBPS, LOAD), "share": ("share", 1.0, COMPUTE)}
    for lane, (name, (at, value)) in enumerate(rates.items()):
        unit, factor, colour = words[name]
        domain = [0.24 * (lanes - 1 - lane), 0.24 * (lanes - 1 - lane) + 0.17]
        axis = style.axis(unit, domain=domain, rangemode="tozero", nticks=4)
        figure.update_layout({f"yaxis{lane + 2}": axis})
        figure.add_scatter(
            x=at, y=[each * factor for each in value], yaxis=f"y{lane + 2}", showlegend=False, mode="lines",
            line={"color": colour, "width": 1.5, "shape": "hv"}, fill="tozeroy",
            hovertemplate="%{x:.3f} s: %{y:.3g} " + unit + "<extra></extra>",
        )  # fmt: skip
    return figure


def surface_points(inputs: Inputs) -> dict[str, Any]:
    """Return time to first token and regime over bandwidth and share, for the longest prompt at constant rates."""
    wide = replace(
        inputs, bandwidth=(BANDWIDTHS * GIBPS).tolist(), utilisation=SHARES.tolist(), kv_bits=inputs.kv_bits[:1],
        bandwidth_trace=None, budget_trace=None,
    )  # fmt: skip
    bits, tokens = wide.precisions[0], float(max(inputs.tokens))
    found = constant_grid(wide, curves_of(wide)[bits], tokens, bits).isel(device=0, tokens=0, kv_bits=0)
    ttft: dict[str, Array] = {
        name: found.ttft.sel(policy=name).transpose("utilisation", "bandwidth").values for name in ALWAYS
    }
    crossover = found.crossover_bandwidth.values / GIBPS
    return {
        "tokens": int(tokens),
        "bandwidth": BANDWIDTHS,
        "share": SHARES,
        "ttft": ttft["cake"],
        "regime": regime(ttft),
        "crossover": np.where(np.isfinite(crossover), crossover, np.nan),
        "lost": ttft["cake"] / np.minimum(ttft["compute_only"], ttft["load_only"]),
        "asked": [(at["bandwidth_bytes_per_s"] / GIBPS, at["utilisation"]) for at in points_of(inputs)],
    }


def _labels(points: dict[str, Any], height: Array, levels: Array) -> list[tuple[float, float, str]]:
    """Return place and text of each contour where it crosses the diagonal of the map."""
    rows, columns = height.shape
    along = [(round(t * (rows - 1)), round(t * (columns - 1))) for t in np.linspace(0.02, 0.98, 200)]
    found = []
    for level in levels:
        row, column = along[int(np.argmin([abs(height[at] - level) for at in along]))]
        if abs(height[row, column] - level) < 0.1:
            found.append(
                (float(np.log10(points["bandwidth"][column])), float(points["share"][row]), f"{2.0**level:g} s")
            )
    return found


def figure_surface(points: dict[str, Any]) -> go.Figure:
    """Draw the regimes as areas, time to first token as contours, and the crossover of the two single resources."""
    ticks = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    figure = style.figure(
        520,
        xaxis=style.axis(
            "Bandwidth [Gibit/s]", type="log", tickvals=ticks, range=[0.0, float(np.log10(256.0))], showgrid=False
        ),
        yaxis=style.axis("Share of the token budget", range=[0.05, 1.0], tickformat=".0%", showgrid=False),
    )
    numbers = np.vectorize(lambda name: REGIMES[name][0])(points["regime"])
    steps = [
        edge for i, (_, _, colour) in enumerate(REGIMES.values()) for edge in ([i / 3, colour], [(i + 1) / 3, colour])
    ]
    figure.add_heatmap(
        x=points["bandwidth"], y=points["share"], z=numbers, zmin=-0.5, zmax=2.5, colorscale=steps, showscale=False,
        customdata=np.dstack([points["ttft"], points["lost"]]),
        hovertemplate="%{x:.3g} Gibit/s, share %{y:.0%}: %{customdata[0]:.3f} s, "
        "%{customdata[1]:.3f} of the better single one<extra></extra>",
    )  # fmt: skip
    # on a logarithmic scale, since plotly places even contours only
    height = np.log2(points["ttft"])
    levels = np.arange(np.ceil(height.min()), np.floor(height.max()) + 1.0)
    figure.add_contour(
        x=points["bandwidth"], y=points["share"], z=height, showscale=False, hoverinfo="skip", showlegend=False,
        contours={"coloring": "none", "start": levels[0], "end": levels[-1], "size": 1.0},
        line={"color": ON_LIGHT, "width": 1},
    )  # fmt: skip
    for x, y, text in _labels(points, height, levels):
        figure.add_annotation(
            x=x,
            y=y,
            text=text,
            showarrow=False,
            font={"size": 12, "color": ON_LIGHT},
            bgcolor="rgba(255,255,255,0.8)",
            borderpad=1,
        )
    for _, name, colour in REGIMES.values():
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name,
            marker={"color": colour, "size": 13, "symbol": "square", "line": {"color": FAINT, "width": 1}},
        )  # fmt: skip
    figure.add_scatter(
        x=points["crossover"], y=points["share"], mode="lines", name="loading as fast as computing",
        line={"color": style.MIDDLE, "width": 2.5, "dash": "dash"},
        hovertemplate="crossover at %{x:.3g} Gibit/s, share %{y:.0%}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[x for x, _ in points["asked"]], y=[y for _, y in points["asked"]], mode="markers", name="asked for",
        marker={"color": style.MIDDLE, "size": 9, "symbol": "circle-open", "line": {"width": 2}}, cliponaxis=False,
        hoverinfo="skip",
    )  # fmt: skip
    return figure


def rows_points(data: dict[str, Any]) -> dict[str, Any]:
    """Return Cake's speed-ups of the rows of an answer."""
    several = {name: len({row[name] for row in data["rows"]}) > 1 for name in ("tokens", "utilisation", "kv_bits")}
    labels = []
    for row in data["rows"]:
        parts = [bandwidth_words(row["bandwidth_bytes_per_s"])]
        parts += [f"{row['tokens']:,} tokens"] * several["tokens"] + [f"{row['utilisation']:.0%}"] * several[
            "utilisation"
        ]
        parts += [f"{row['kv_bits']:g} bit"] * several["kv_bits"]
        labels.append("<br>".join(parts))
    speedups = {way: [row[f"speedup_over_{way}"] for row in data["rows"]] for way in ("compute", "load")}
    best = [
        min(row["ttft_s"]["compute_only"], row["ttft_s"]["load_only"]) / row["ttft_s"]["oracle"] for row in data["rows"]
    ]
    return {"labels": labels, **speedups, "best": best}


def figure_rows(points: dict[str, Any]) -> go.Figure:
    """Draw the speed-ups of the rows asked for, on a logarithmic scale from 1 up or down."""
    ticks = [0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000]
    figure = style.figure(
        420, barmode="group", bargap=0.3 if len(points["labels"]) > 3 else 0.75,
        xaxis=style.axis("", type="category", showgrid=False),
        yaxis=style.axis("Speed-up of Cake [×]", type="log", tickvals=ticks, ticktext=[f"{x:g}" for x in ticks]),
    )  # fmt: skip
    for name, way, colour in (("over computing alone", "compute", COMPUTE), ("over loading alone", "load", LOAD)):
        figure.add_bar(
            x=points["labels"], y=[value - 1.0 for value in points[way]], base=1.0, name=name,
            marker={"color": colour}, customdata=points[way],
            hovertemplate="%{x}: %{customdata:.2f}×<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.add_hline(y=1.0, line={"color": INK, "width": 1})
    every = [*points["compute"], *points["load"], 1.0]
    figure.update_yaxes(range=[float(np.log10(min(every) * 0.9)), float(np.log10(max(every) * 1.1))])
    return figure


def figure_paper(cells: list[dict[str, Any]]) -> go.Figure:
    """Draw cells of Table 3 as bars, published grey beside the model's colour, one panel per hardware."""
    from plotly.subplots import make_subplots

    hardware = list(dict.fromkeys(cell["hardware"] for cell in cells))
    ways = (("compute", "over computing", COMPUTE), ("load", "over loading", LOAD))
    figure = make_subplots(
        rows=2, cols=len(hardware), shared_yaxes=True, shared_xaxes=True, horizontal_spacing=0.015,
        vertical_spacing=0.05, subplot_titles=[*hardware, *[""] * len(hardware)],
    )  # fmt: skip
    figure.update_layout(style.figure(640, barmode="group", bargap=0.25, bargroupgap=0.0).layout)
    for row, (way, title, colour) in enumerate(ways, 1):
        for column, name in enumerate(hardware, 1):
            own = sorted((c for c in cells if c["hardware"] == name), key=lambda c: (c["utilisation"], c["gibps"]))
            groups = [[f"{c['utilisation']:.4g}" for c in own], [f"{c['gibps']:g}" for c in own]]
            sides = (("published", f"over_{way}", PAPER), (f"model, {title}", f"model_over_{way}", colour))
            for label, key, fill in sides:
                figure.add_bar(
                    x=groups, y=[c[key] - 1.0 for c in own], base=1.0, name=label, legendgroup=label,
                    marker_color=fill, customdata=[c[key] for c in own],
                    showlegend=column == 1 and (label != "published" or row == 1), row=row, col=column,
                    hovertemplate=f"{name}, share and Gibit/s %{{x}}: %{{customdata:.2f}}×<extra>{label}</extra>",
                )  # fmt: skip
    figure.update_xaxes(showline=True, linecolor=FAINT, tickfont={"size": 10}, dividercolor=GRID, tickangle=90)
    figure.update_yaxes(type="log", gridcolor=GRID, linecolor=FAINT, showline=True, tickvals=[1, 2, 3, 5, 10, 20])
    for row, (_, title, _) in enumerate(ways, 1):
        figure.update_yaxes(title={"text": f"Speed-up {title} [×]", "standoff": 8}, row=row, col=1)
    figure.update_xaxes(title={"text": "bandwidth [Gibit/s] by share of the budget", "standoff": 4}, row=2, col=2)
    figure.update_layout(legend={"y": 1.07}, margin={"t": 90, "l": 70, "r": 10, "b": 70})
    return figure
