"""The figures of the timeline: which operators and prefetches overlap, and what waits in L2 meanwhile.

Each draws what its namesake in ``timeline_points`` computed, and computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelmodel.dse.studies.terms import technique_words
from accelmodel.report import style
from accelmodel.report.exploration_figures import COLLECTIVE, OPERATOR, colour
from accelmodel.report.style import INK, ON_LIGHT, ON_STRONG

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: share of the width from which a bar has room for its name across
_WIDE = 0.085
#: share of the width below which it has no room for its name at all
_NARROW = 0.017
#: row of the operator table → the word on its bar
_WORDS = {
    "attention_norm": "norm", "mlp_norm": "norm", "qkv_projection": "QKV", "rotary_and_cache": "rotary",
    "output_projection": "output", "mlp_up": "MLP up", "mlp_down": "MLP down", "mlp_activation": "activation",
}  # fmt: skip


def word(name: str) -> str:
    """Return an operator's name as people say it.

    Examples
    --------
    >>> word("all_reduce_into_mlp"), word("qkv_projection"), word("expert_up")
    ('all-reduce', 'QKV', 'expert up')
    """
    if "_into_" in name:
        return name.partition("_into_")[0].replace("_", "-")
    return _WORDS.get(name, name.replace("_", " "))


def _about(bar: dict[str, Any]) -> str:
    return str(bar["size"]) if "size" in bar else f"bound by {bar['bound']}"


def _bars(figure: go.Figure, lane: str, bars: list[dict[str, Any]], span: float, look: dict[str, Any]) -> None:
    """Add the bars of one lane: those with room carry their names across, the others upright."""
    for wide in (True, False):
        chosen = [bar for bar in bars if (bar["length"] >= _WIDE * span) == wide]
        if chosen:
            figure.add_bar(
                orientation="h",
                y=[lane] * len(chosen),
                base=[bar["start"] for bar in chosen],
                x=[bar["length"] for bar in chosen],
                text=[word(bar["name"]) if bar["length"] >= _NARROW * span else "" for bar in chosen],
                textangle=0 if wide else -90,
                textposition="inside",
                insidetextanchor="middle",
                constraintext="inside",
                textfont={"size": 13 if wide else 12, "color": look["ink"]},
                marker={"color": look["colour"], "line": {"color": "white", "width": 1}},
                width=0.78,
                showlegend=False,
                customdata=[[word(bar["name"]), bar["length"], _about(bar)] for bar in chosen],
                hovertemplate="%{customdata[0]}: %{customdata[1]:.1f} µs, %{customdata[2]}<extra></extra>",
            )


def figure_timeline(points: dict[str, Any]) -> go.Figure:
    """Draw the main lane of one layer under each technique, and the prefetch lane of those that prefetch."""
    span = max(points["total"].values())
    fetching = points["prefetches"]
    lanes = {technique: f"{technique_words(technique)}:<br>main lane" for technique in points["lanes"]}
    prefetch_lanes = {technique: f"{technique_words(technique)}:<br>prefetch lane" for technique in fetching}
    rows = [each[technique] for technique in lanes for each in (lanes, prefetch_lanes) if technique in each]
    figure = style.figure(
        160 + 80 * len(rows),
        narrow={"margin.l": 104, "yaxis.tickfont.size": 10, "xaxis.range": [0, span * 1.2], "font.size": 11},
        barmode="overlay",
        # a name that has no room in its bar is left out
        uniformtext={"mode": "hide", "minsize": 10},
        margin={"l": 150, "r": 24, "t": 48, "b": 64},
        xaxis=style.axis("Time since the layer began [µs]", range=[0, span * 1.09]),
        yaxis=style.axis(
            "", categoryarray=rows[::-1], showgrid=False, ticks="", range=[-0.5, len(rows) - 0.5], automargin=False
        ),
    )
    for technique, lane in lanes.items():
        bars = points["lanes"][technique]
        _bars(figure, lane, [b for b in bars if b["collective"]], span, {"colour": COLLECTIVE, "ink": ON_STRONG})
        _bars(figure, lane, [b for b in bars if not b["collective"]], span, {"colour": OPERATOR, "ink": ON_LIGHT})
        total = points["total"][technique]
        figure.add_annotation(
            x=total, y=lane, text=f"<b>{total:,.0f} µs</b>", showarrow=False, xanchor="left", xshift=6,
            font={"color": colour(technique), "size": 15},
        )  # fmt: skip
    for technique, pieces in fetching.items():
        _bars(figure, prefetch_lanes[technique], pieces, span, {"colour": colour(technique), "ink": ON_STRONG})
    named = {
        technique: "prefetch" if len(fetching) == 1 else f"prefetch {technique_words(technique)}"
        for technique in fetching
    }
    key = {"collective": COLLECTIVE, "operator": OPERATOR}
    key |= {name: colour(technique) for technique, name in named.items()}
    for name, shade in key.items():
        figure.add_scatter(
            x=[None], y=[rows[0]], mode="markers", name=name, marker={"symbol": "square", "size": 13, "color": shade}
        )
    return figure


def figure_occupancy(points: dict[str, Any]) -> go.Figure:
    """Draw the prefetched bytes that wait in L2 over the time of one layer, below what L2 can hold."""
    several = len(points["lines"]) > 1
    figure = style.figure(
        350,
        margin={"l": 150, "r": 24, "t": 24, "b": 64},
        showlegend=several,
        xaxis=style.axis("Time since the layer began [µs]", range=[0, points["end"] * 1.09]),
        yaxis=style.axis("Waiting in L2 [MB]", range=[0, points["usable"] * 1.2], automargin=False),
    )
    lines = [(points["usable"], f"usable L2: {points['usable']:.4g} MB of {points['capacity']:.4g} MB", "solid")]
    for technique, line in points["lines"].items():
        red, green, blue = (int(colour(technique)[at : at + 2], 16) for at in (1, 3, 5))
        figure.add_scatter(
            x=line["time"],
            y=line["waiting"],
            mode="lines",
            name=technique_words(technique),
            fill="tozeroy",
            fillcolor=f"rgba({red},{green},{blue},0.18)",
            line={"color": colour(technique), "width": 2.5},
            hovertemplate="%{x:.1f} µs: %{y:.1f} MB<extra></extra>",
        )
        if line["cap"] < points["usable"]:
            lines.append((line["cap"], f"prefetch threshold: {line['cap']:.4g} MB", "dot"))
    for level, text, dash in lines:
        figure.add_hline(y=level, line={"color": INK, "width": 1.5, "dash": dash})
        figure.add_annotation(
            x=1, xref="x domain", y=level, text=text, showarrow=False, xanchor="right", yanchor="bottom"
        )
    return figure
