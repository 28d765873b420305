"""The figures of the report.  Each draws what its namesake in ``exploration_points`` computed, and computes nothing.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; one colour per technique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelmodel.dse.studies.terms import technique_words
from accelmodel.inference.policies import TECHNIQUES
from accelmodel.report import style
from accelmodel.report.style import INK, ON_LIGHT, PAPER

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: technique → its colour; others take what is left of the palette
COLOURS = {"none": "#6b6b6b", "fused": "#009e73", "preserve": "#0072b2"}
_SPARE = ("#cc79a7", "#e69f00", "#56b4e9", "#d55e00", "#b8a900")
DASHES = {"whole space": "solid", "alone": "dash"}
ALONE = "nothing else changed"
PARTS = {
    "Cores": "#009e73",
    "L2": "#e69f00",
    "HBM interfaces": "#cc79a7",
    "Links": "#d55e00",
    "Links between dies": "#b8a900",
    "Rest of the die": "#c9c9c9",
    "Dies": "#56b4e9",
    "Base dies": "#9cc9e3",
    "Stacked SRAM": "#e69f00",
    "HBM": "#cc79a7",
    "Package": "#c9c9c9",
    "Test": "#dedede",
    "Lost in assembly": "#8f8f8f",
}
COLLECTIVE, OPERATOR = "#d55e00", "#f0c35a"
LOW, HIGH = "#e69f00", "#009e73"


def colour(technique: str) -> str:
    """Return a technique's colour, the same in every figure."""
    others = [name for name in TECHNIQUES if name not in COLOURS]
    return COLOURS[technique] if technique in COLOURS else _SPARE[others.index(technique) % len(_SPARE)]


def _panels(count: int) -> list[dict[str, Any]]:
    """Return where so many panels lie, two in a row, the first as wide as both."""
    if count == 1:
        return [{"x": [0.0, 1.0], "y": [0.0, 1.0]}]
    rows = 1 + -(-(count - 1) // 2)
    gap = 0.36 / rows
    height = (1.0 + gap) / rows
    places = [{"x": [0.0, 1.0], "y": [1.0 - height + gap, 1.0]}]
    for i in range(count - 1):
        low = 1.0 - (2 + i // 2) * height + gap
        alone = i == count - 2 and i % 2 == 0
        across = [0.0, 1.0] if alone else [0.0, 0.42] if i % 2 == 0 else [0.58, 1.0]
        places.append({"x": across, "y": [max(low, 0.0), low + height - gap]})
    return places


def _narrow_panels(count: int) -> dict[str, Any]:
    """Return where panels lie one below the other."""
    gap = 0.3 / count
    height = (1.0 + gap) / count
    found: dict[str, Any] = {"height": 120 + 300 * count}
    for i in range(count):
        number = "" if i == 0 else str(i + 1)
        top = 1.0 - i * height
        found |= {f"xaxis{number}.domain": [0.0, 1.0], f"yaxis{number}.domain": [max(top - height + gap, 0.0), top]}
    return found


def figure_curve(points: dict[str, Any]) -> go.Figure:
    """Draw the objective over each axis; the whole space solid, one axis alone dashed; optima marked."""
    panels = points["panels"]
    rows = 1 if len(panels) == 1 else 1 + len(panels) // 2
    figure = style.figure(130 + 290 * rows, narrow=_narrow_panels(len(panels)))
    seen: set[str] = set()
    _best_named(figure, panels[0]["lines"])
    for i, (panel, place) in enumerate(zip(panels, _panels(len(panels)), strict=True)):
        number = "" if i == 0 else str(i + 1)
        kind = {"type": "category"} if panel["word"] else {}
        title = f"{points['title']}<br>[{points['unit']}]"
        figure.layout[f"xaxis{number}"] = style.axis(panel["label"], domain=place["x"], anchor=f"y{number}", **kind)
        figure.layout[f"yaxis{number}"] = style.axis(title, domain=place["y"], anchor=f"x{number}")
        for line in panel["lines"]:
            name = technique_words(line["technique"]) + (f", {ALONE}" if line["space"] == "alone" else "")
            _curve(figure, line, name, {"x": f"x{number}", "y": f"y{number}", "unit": points["unit"],
                                        "key": name not in seen, "mark": panel["word"]})  # fmt: skip
            seen.add(name)
    return figure


def _best_named(figure: go.Figure, lines: list[dict[str, Any]]) -> None:
    """Write at the optima of the first panel what they are, once where several are the same."""
    named: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if line["best"] is not None:
            named.setdefault((line["space"], line["best"]["label"]), []).append(line)
    for (space, label), own in named.items():
        shade = colour(own[0]["technique"]) if len(own) == 1 else INK
        figure.add_annotation(
            x=own[-1]["best"]["x"], y=own[-1]["best"]["y"], text=f"<b>{label}</b>", font={"color": shade, "size": 15},
            ax=34, ay=40 if space == "alone" else -22, arrowhead=0, arrowcolor=shade,
        )  # fmt: skip


def _curve(figure: go.Figure, line: dict[str, Any], name: str, place: dict[str, Any]) -> None:
    """Add a line to its panel, and its optimum."""
    shade = colour(line["technique"])
    figure.add_scatter(
        x=line["x"],
        y=line["y"],
        mode="lines+markers" if place["mark"] or len(line["x"]) < 6 else "lines",
        name=name,
        legendgroup=name,
        showlegend=place["key"],
        line={"color": shade, "width": 2.5, "dash": DASHES[line["space"]]},
        hovertemplate="%{x}: %{y:.4g} " + place["unit"] + "<extra>" + name + "</extra>",
        xaxis=place["x"],
        yaxis=place["y"],
    )
    best = line["best"]
    if best is None:
        return
    figure.add_scatter(
        x=[best["x"]],
        y=[best["y"]],
        mode="markers",
        marker={"color": shade, "size": 11, "line": {"color": PAPER, "width": 1.5}},
        showlegend=False,
        hovertemplate=f"best {name}: {best['label']}, %{{y:.4g}} {place['unit']}<extra></extra>",
        xaxis=place["x"],
        yaxis=place["y"],
    )


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
            zmax=max([1.05, *known]),
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
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.03, "yanchor": "bottom", "bgcolor": PAPER}
    if len(grids) > 1:
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
            marker={"color": PARTS[name], "line": {"color": PAPER, "width": 1}},
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
    chips = [
        f"{technique_words(technique)},<br>{ALONE if space == 'alone' else space}, {lead}"
        for space, technique, lead in points["chips"]
    ]
    key = {"orientation": "h", "xanchor": "left", "x": 0.0, "yanchor": "bottom", "traceorder": "normal"}
    rows = {"showgrid": False, "ticks": "", "autorange": "reversed"}
    figure = style.figure(
        230 + 100 * len(chips),
        narrow={
            "font.size": 11,
            "height": 400 + 110 * len(chips),
            "margin.l": 10,
            "yaxis.tickfont.size": 10,
            "yaxis2.tickfont.size": 10,
            "xaxis.range": [0, 1.25 * max(points["die_area"])],
            "xaxis2.range": [0, 1.3 * max(points["total_price"])],
            "yaxis.domain": [0.6, 0.96],
            "legend.y": 0.97,
            "yaxis2.domain": [0.0, 0.34],
            "legend2.y": 0.35,
        },
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


def figure_sensitivity(points: dict[str, Any], names: dict[str, str]) -> go.Figure:
    """Draw a tornado: the best value of the axis and the gain, when one constant goes to each end of its range.

    ``names`` gives each constant in words.
    """
    bars, gained = points["bars"][::-1], points["gained"]
    rows = [f"{names[bar['constant']]}<br>{bar['range']}" for bar in bars]
    figure = style.figure(
        130 + 44 * len(bars),
        narrow={
            "font.size": 10,
            "yaxis.tickfont.size": 10,
            "xaxis.domain": [0.0, 0.44],
            "xaxis2.domain": [0.56, 1.0],
            "xaxis.title.text": "Gain",
            "xaxis2.title.text": "Best",
        } if gained else {"font.size": 10, "yaxis.tickfont.size": 10},
        barmode="overlay",
        margin={"l": 230, "r": 24, "t": 48, "b": 64},
        yaxis=style.axis("", showgrid=False, ticks="", tickfont={"size": 13}),
    )  # fmt: skip
    best = style.axis(f"Best {points['label']}", domain=[0.53 if gained else 0.0, 1.0], range=_around(points["axis"]))
    if gained:
        figure.update_layout(xaxis=style.axis("Gain [×]", domain=[0.0, 0.47]), xaxis2=best)
    else:
        figure.update_layout(xaxis=best)
    numbers = [("x2", "best"), ("x", "gain")] if gained else [("x", "best")]
    for axis, key in numbers:
        base = points["base"][key]
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


def _around(ends: list[float]) -> list[float]:
    """Return the range of a drawing around the ends of an axis."""
    room = 0.04 * (ends[1] - ends[0]) or 0.04 * abs(ends[1])
    return [ends[0] - room, ends[1] + room]


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
