"""The figures of the report.  Each draws what its namesake in ``exploration_points`` computed, and computes nothing.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; one colour per technique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelmodel.inference.policies import TECHNIQUES
from accelmodel.report import style
from accelmodel.report.style import INK, ON_LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: technique → its colour, and how one speaks of it; others take what is left of the palette, and their own name
COLOURS = {"none": "#6b6b6b", "fused": "#009e73", "preserve": "#0072b2"}
NAMES = {"none": "without prefetch", "fused": "with fused kernels", "preserve": "with prefetch"}
_SPARE = ("#cc79a7", "#e69f00", "#56b4e9", "#d55e00", "#b8a900")
#: technique → where the name of its best chip stands, from its star [px]
_CALLOUTS = {"none": (64, 64), "preserve": (-70, -48)}
DASHES = {"whole space": "solid", "L2 alone": "dash"}
PARTS = {
    "Cores": "#009e73", "L2": "#e69f00", "HBM interfaces": "#cc79a7", "Links": "#d55e00",
    "Rest of the die": "#c9c9c9", "Die": "#56b4e9", "HBM": "#cc79a7", "Package and test": "#c9c9c9",
}  # fmt: skip
COLLECTIVE, OPERATOR = "#d55e00", "#f0c35a"
LOW, HIGH = "#e69f00", "#009e73"


def colour(technique: str) -> str:
    """Return a technique's colour, the same in every figure."""
    others = [name for name in TECHNIQUES if name not in COLOURS]
    return COLOURS[technique] if technique in COLOURS else _SPARE[others.index(technique) % len(_SPARE)]


def spoken(technique: str) -> str:
    """Return how one speaks of what runs under a technique.

    Examples
    --------
    >>> spoken("preserve"), spoken("overlap")
    ('with prefetch', 'with overlap')
    """
    return NAMES.get(technique, f"with {technique}")


def figure_curve(points: dict[str, Any]) -> go.Figure:
    """Draw the objective over L2 size; whole space solid, L2 alone dashed; optima marked."""
    figure = style.figure(
        460,
        xaxis=style.axis("L2 capacity [MB]", rangemode="tozero"),
        yaxis=style.axis(f"{points['title']} [{points['unit']}]"),
    )
    for line in points["lines"]:
        shade, name = colour(line["technique"]), f"{spoken(line['technique'])}, {line['space']}"
        stroke = {"color": shade, "width": 2.5, "dash": DASHES[line["space"]]}
        hover = "%{x:.0f} MB: %{y:.4g}<extra>" + name + "</extra>"
        figure.add_scatter(x=line["l2"], y=line["value"], mode="lines", name=name, line=stroke, hovertemplate=hover)
        best = line["best"]
        figure.add_scatter(
            x=[best["l2"]],
            y=[best["value"]],
            mode="markers",
            marker={"color": shade, "size": 11, "line": {"color": "white", "width": 1.5}},
            showlegend=False,
            hovertemplate=f"best {name}: {best['label']}, %{{y:.4g}} {points['unit']}<extra></extra>",
        )
        figure.add_annotation(
            x=best["l2"], y=best["value"], text=f"<b>{best['label']}</b>", font={"color": shade, "size": 15},
            ax=34, ay=48 if name == "with prefetch, L2 alone" else -20, arrowhead=0, arrowcolor=shade,
        )  # fmt: skip
    return figure


def figure_speedup(points: dict[str, Any]) -> go.Figure:
    """Draw the speed-up over batch and length, one map per model behind a menu; blank where it does not fit."""
    grids = points["grids"]
    known = [x for grid in grids.values() for row in grid for x in row if x is not None]
    figure = style.figure(
        470,
        margin={"l": 80, "r": 24, "t": 64, "b": 64},
        xaxis=style.axis("Request length, prompt and answer [tokens]", type="category", showgrid=False),
        yaxis=style.axis("Batch [sequences]", type="category", showgrid=False),
    )
    for at, (name, grid) in enumerate(grids.items()):
        figure.add_heatmap(
            x=[f"{x:,}" for x in points["context"]],
            y=[f"{x:,}" for x in points["batch"]],
            z=grid,
            text=[["" if x is None else f"{x:.2f}" for x in row] for row in grid],
            texttemplate="%{text}",
            textfont={"color": ON_LIGHT},
            colorscale=[[0.0, "#f7fafc"], [1.0, "#4da3d4"]],
            zmin=1.0,
            zmax=max(known, default=2.0),
            visible=at == 0,
            xgap=2,
            ygap=2,
            name=name,
            colorbar={"title": {"text": "Speed-up [×]", "side": "right"}, "outlinewidth": 0, "tickformat": ".2f"},
            hovertemplate="batch %{y}, %{x} tokens: %{z:.3f}×<extra>%{fullData.name}</extra>",
        )
    buttons = [
        {"label": name, "method": "update", "args": [{"visible": [other == name for other in grids]}]} for name in grids
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.03, "yanchor": "bottom", "bgcolor": "white"}
    figure.update_layout(updatemenus=[menu])
    return figure


def _stack(figure: go.Figure, chips: list[str], parts: dict[str, list[float]], place: dict[str, Any]) -> None:
    """Add one row of stacked bars, with each part's number where it has room and the total at the end."""
    for name, values in parts.items():
        figure.add_bar(
            orientation="h",
            y=chips,
            x=values,
            name=name,
            text=[f"{value:,.0f}" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": ON_LIGHT},
            marker={"color": PARTS[name], "line": {"color": "white", "width": 1}},
            width=0.7,
            hovertemplate=f"{name}: %{{x:,.1f}} {place['unit']}<extra></extra>",
            xaxis=place["x"],
            yaxis=place["y"],
            legend=place["legend"],
        )
    for chip, total in zip(chips, place["totals"], strict=True):
        figure.add_annotation(
            x=total, y=chip, xref=place["x"], yref=place["y"], text=f"<b>{total:,.0f}</b>", showarrow=False,
            xanchor="left", xshift=6,
        )  # fmt: skip


def figure_cost(points: dict[str, Any]) -> go.Figure:
    """Draw area and price of the best chips by part, one above the other."""
    chips = [f"{spoken(technique)},<br>{space}, {l2}" for space, technique, l2 in points["chips"]]
    key = {"orientation": "h", "xanchor": "left", "x": 0.0, "yanchor": "bottom", "traceorder": "normal"}
    rows = {"showgrid": False, "ticks": "", "autorange": "reversed"}
    figure = style.figure(
        230 + 100 * len(chips),
        barmode="stack",
        uniformtext={"mode": "hide", "minsize": 11},
        margin={"l": 170, "r": 24, "t": 48, "b": 64},
        xaxis=style.axis("Die area [mm²]", anchor="y", range=[0, 1.1 * max(points["die_area"])]),
        yaxis=style.axis("", domain=[0.6, 1.0], **rows),
        xaxis2=style.axis(
            "Price of a device [USD]", anchor="y2", range=[0, 1.1 * max(points["total_price"])], tickformat=","
        ),
        yaxis2=style.axis("", domain=[0.0, 0.4], anchor="x2", **rows),
        legend={**key, "y": 1.01},
        legend2={**key, "y": 0.41},
    )
    area = {"x": "x", "y": "y", "unit": "mm²", "legend": "legend", "totals": points["die_area"]}
    price = {"x": "x2", "y": "y2", "unit": "USD", "legend": "legend2", "totals": points["total_price"]}
    _stack(figure, chips, points["area"], area)
    _stack(figure, chips, points["price"], price)
    return figure


def figure_pareto(points: dict[str, Any]) -> go.Figure:
    """Draw throughput per device against die area for the chips that no other beats on both."""
    figure = style.figure(460, xaxis=style.axis("Die area [mm²]"), yaxis=style.axis("Throughput per device [tokens/s]"))
    for technique, spots in points["fronts"].items():
        shade, name = colour(technique), spoken(technique)
        figure.add_scatter(
            x=[spot["area"] for spot in spots],
            y=[spot["throughput"] for spot in spots],
            text=[spot["chip"] for spot in spots],
            mode="lines+markers",
            name=f"front {name}",
            line={"color": shade, "width": 1.5, "shape": "hv"},
            marker={"color": shade, "size": 5},
            hovertemplate="%{x:.1f} mm², %{y:.1f} tokens/s<br>%{text}<extra>" + name + "</extra>",
        )
    for technique, best in points["best"].items():
        right, down = _CALLOUTS.get(technique, (96, 8))
        figure.add_scatter(
            x=[best["area"]],
            y=[best["throughput"]],
            mode="markers",
            showlegend=False,
            marker={"color": colour(technique), "size": 17, "symbol": "star", "line": {"color": "white", "width": 1}},
            hovertemplate=f"best {spoken(technique)}: {best['label']} of L2<br>{best['chip']}<extra></extra>",
        )
        figure.add_annotation(
            x=best["area"], y=best["throughput"], text=f"<b>best {spoken(technique)}<br>{best['label']} of L2</b>",
            font={"color": colour(technique)}, ax=right, ay=down, arrowcolor=colour(technique), arrowhead=0,
            align="left",
        )  # fmt: skip
    if points["limit"] is not None:
        figure.add_vline(x=points["limit"], line={"color": INK, "width": 1.5, "dash": "dot"})
        figure.add_annotation(
            x=points["limit"], y=0.02, yref="y domain", text=f"limit {points['limit']:.0f} mm²", showarrow=False,
            xanchor="right", xshift=-6, yanchor="bottom",
        )  # fmt: skip
    return figure


def figure_sensitivity(points: dict[str, Any], names: dict[str, str]) -> go.Figure:
    """Draw a tornado: best L2 with the candidate, and its gain, when one constant goes to each end of its range.

    ``names`` gives each constant in words.
    """
    bars = points["bars"][::-1]
    rows = [f"{names[bar['constant']]}<br>{bar['range']}" for bar in bars]
    figure = style.figure(
        130 + 44 * max(len(bars), 1),
        barmode="overlay",
        margin={"l": 230, "r": 24, "t": 48, "b": 64},
        xaxis=style.axis("Gain in the objective [×]", domain=[0.0, 0.47]),
        xaxis2=style.axis(
            f"Best L2 {spoken(points['technique'])} [MB]", domain=[0.53, 1.0], range=[0, 1.04 * points["axis"][1]]
        ),
        yaxis=style.axis("", showgrid=False, ticks="", tickfont={"size": 13}),
    )
    for axis, key, base in (("x", "gain", points["base"]["gain"]), ("x2", "l2", points["base"]["l2"])):
        for end, shade in enumerate((LOW, HIGH)):
            name = ("lowest value", "highest value")[end]
            figure.add_bar(
                orientation="h",
                y=rows,
                x=[bar[key][end] - base for bar in bars],
                base=base,
                name=name,
                showlegend=axis == "x",
                legendgroup=name,
                marker={"color": shade},
                width=0.6,
                xaxis=axis,
                customdata=[bar[key][end] for bar in bars],
                hovertemplate="%{customdata:.4g} at the " + name + "<extra></extra>",
            )
        ends = {"xref": axis, "yref": "y domain", "x0": base, "x1": base, "y0": 0, "y1": 1}
        figure.add_shape(type="line", line={"color": INK, "width": 1.5}, **ends)
    return figure


def figure_region(points: dict[str, Any]) -> go.Figure:
    """Draw how many SRAM densities satisfy all claims at once, and the set of constants that is shipped."""
    import numpy as np

    places = [list(range(len(points[axis]))) for axis in ("start_up", "usable")]
    at = points["calibrated"]
    figure = style.figure(
        440,
        xaxis=style.axis(
            "Start-up time of a collective [µs]", showgrid=False, tickmode="array", tickvals=places[0],
            ticktext=[f"{x:g}" for x in points["start_up"]],
        ),
        yaxis=style.axis(
            "Usable share of L2 [%]", showgrid=False, tickmode="array", tickvals=places[1],
            ticktext=[f"{x:g}" for x in points["usable"]],
        ),
    )  # fmt: skip
    figure.add_heatmap(
        x=places[0],
        y=places[1],
        z=points["counts"],
        text=[[str(x) if x else "" for x in row] for row in points["counts"]],
        texttemplate="%{text}",
        colorscale=[[0.0, "#f2f2f2"], [0.001, "#d6e6f2"], [1.0, "#0072b2"]],
        zmin=0,
        zmax=max(max(row) for row in points["counts"]) or 1,
        xgap=2,
        ygap=2,
        colorbar={
            "title": {"text": f"SRAM densities that hold [of {points['densities']}]", "side": "right"},
            "outlinewidth": 0,
        },
        hovertemplate="%{z} of " + str(points["densities"]) + " SRAM densities<extra></extra>",
    )
    figure.add_scatter(
        x=[float(np.interp(at["start_up"], points["start_up"], places[0]))],
        y=[float(np.interp(at["usable"], points["usable"], places[1]))],
        mode="markers",
        name=f"constants in use: {at['start_up']:.3g} µs, {at['usable']:.3g} %, {at['sram_area']}",
        showlegend=True,
        marker={"symbol": "square-open", "size": 40, "color": COLLECTIVE, "line": {"width": 3, "color": COLLECTIVE}},
        hoverinfo="skip",
    )
    return figure
