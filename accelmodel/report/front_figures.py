"""Fronts and parallel coordinates.  Each draws what its namesake in ``front_points`` computed, and computes nothing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from accelmodel.dse.studies.terms import technique_words
from accelmodel.report import style
from accelmodel.report.exploration_figures import colour
from accelmodel.report.style import FAINT, GRID, INK, PAPER

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: marker of a technique on a front whose colour says the third objective
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")


def figure_front(points: dict[str, Any]) -> go.Figure:
    """Draw two objectives along axes, the third where there is one in the colour; stars mark the best chips."""
    three = len(points["labels"]) == 3
    figure = style.figure(
        500 if three else 460,
        xaxis=style.axis(points["labels"][0]),
        yaxis=style.axis(points["labels"][1]),
        **({"coloraxis": _third(points)} if three else {}),
    )
    for i, (technique, spots) in enumerate(points["fronts"].items()):
        shade, name = colour(technique), technique_words(technique)
        third = [spot["at"][2] for spot in spots] if three else None
        marker = {"size": 8, "symbol": _SYMBOLS[i % len(_SYMBOLS)], "line": {"color": shade, "width": 1.5}}
        marker |= {"color": third, "coloraxis": "coloraxis"} if three else {"color": shade, "size": 5}
        figure.add_scatter(
            x=[spot["at"][0] for spot in spots],
            y=[spot["at"][1] for spot in spots],
            customdata=third,
            text=[spot["chip"] for spot in spots],
            mode="markers" if three else "lines+markers",
            name=f"front {name}",
            line={"color": shade, "width": 1.5, "shape": "hv"},
            marker=marker,
            hovertemplate=_hover(points, three) + "<extra>" + name + "</extra>",
        )
    for technique, best in points["best"].items():
        figure.add_scatter(
            x=[best["at"][0]],
            y=[best["at"][1]],
            mode="markers",
            name=f"best {technique_words(technique)}",
            marker={"color": colour(technique), "size": 17, "symbol": "star", "line": {"color": PAPER, "width": 1}},
            hovertemplate=f"best {technique_words(technique)}<br>{best['chip']}<extra></extra>",
        )
    dotted = {"color": INK, "width": 1.5, "dash": "dot"}
    if points["limits"][0] is not None:
        figure.add_vline(x=points["limits"][0], line=dotted)
    if points["limits"][1] is not None:
        figure.add_hline(y=points["limits"][1], line=dotted)
    return figure


def _third(points: dict[str, Any]) -> dict[str, Any]:
    return {
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": points["labels"][2], "side": "right"}, "outlinewidth": 0, "thickness": 14},
    }


def _hover(points: dict[str, Any], three: bool) -> str:
    first = f"{points['labels'][0]} %{{x:.4g}}<br>{points['labels'][1]} %{{y:.4g}}"
    return first + (f"<br>{points['labels'][2]} %{{customdata:.4g}}" if three else "") + "<br>%{text}"


def figure_parallel(points: dict[str, Any]) -> go.Figure:
    """Draw each chip as a line over axes and objectives; the best ones thick, in front."""
    columns = points["columns"]
    places = list(range(len(columns)))
    wide = 96 // len(columns)
    figure = style.figure(
        460,
        narrow={"font.size": 10, "xaxis.tickangle": -60, "xaxis.ticktext": [column["label"] for column in columns]},
        margin={"l": 24, "r": 24, "t": 64, "b": 110},
        xaxis=style.axis(
            "", tickvals=places, ticktext=[_lines(column["label"], wide) for column in columns], showgrid=True,
            ticks="", range=[-0.5, len(columns) - 0.5], gridcolor=GRID, tickangle=0, tickfont={"size": 12},
        ),
        yaxis={"visible": False, "range": [-0.1, 1.1]},
    )  # fmt: skip
    seen: set[str] = set()
    for line in sorted(points["lines"], key=lambda each: bool(each["best"])):
        name = f"{'best' if line['best'] else 'front'} {technique_words(line['technique'])}"
        shade = colour(line["technique"])
        figure.add_scatter(
            x=places,
            y=line["y"],
            mode="lines",
            name=name,
            legendgroup=name,
            showlegend=name not in seen,
            opacity=1.0 if line["best"] else 0.45,
            line={"color": shade, "width": 4 if line["best"] else 1.2},
            hovertemplate=f"{line['chip']}<extra>{name}</extra>",
        )
        seen.add(name)
    for place, column in enumerate(columns):
        for y, end in ((-0.07, "low"), (1.07, "high")):
            figure.add_annotation(x=place, y=y, text=column[end], showarrow=False, font={"size": 11, "color": FAINT})
    return figure


def _lines(label: str, wide: int) -> str:
    """Return a label cut into lines of about so many letters."""
    return "<br>".join(line for part in label.split("<br>") for line in textwrap.wrap(part, max(wide, 8)))
