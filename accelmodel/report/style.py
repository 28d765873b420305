"""The common look of figures: colours, type, axes."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK, FAINT = "#222222", "#555555"
GRID, PAPER = "#e6e6e6", "white"
#: what is written on a light and on a strong colour, in the dark as well
ON_LIGHT, ON_STRONG = "#1f1f1f", "#fefefe"
#: a line that is seen on a light colour and on paper of either kind
MIDDLE = "#707070"
#: colour → on a dark screen; those that are not here can be seen on both
DARK = {
    INK: "#e8e8e8",
    FAINT: "#a6a9ae",
    GRID: "#34373c",
    PAPER: "#16181b",
    "#0072b2": "#2f93d6",
    "#6b6b6b": "#a8a8a8",
    "#009e73": "#1fb98d",
    "#000000": "#f0f0f0",
    "#7b4b2a": "#b98258",
}
#: decades that an axis spans at least → the digits that are written in each
_DIGITS = ((3.0, (1.0,)), (1.0, (1.0, 2.0, 5.0)), (0.0, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def figure(height: int, *, narrow: dict[str, Any] | None = None, **layout: Any) -> go.Figure:
    """Return an empty figure of a height [px].

    ``narrow`` is what of the layout is another on a narrow screen, by dotted names.
    """
    import plotly.graph_objects as go

    small = {"margin.l": 44, "margin.r": 8, "font.size": 12, **(narrow or {})}

    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "font": {"family": FONT, "size": 14, "color": INK},
            "paper_bgcolor": PAPER,
            "plot_bgcolor": PAPER,
            "meta": {"narrow": small},
            "margin": {"l": 80, "r": 24, "t": 48, "b": 64},
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
            "hoverlabel": {"font": {"family": FONT}},
            **layout,
        }
    )


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return the look of an axis."""
    return {
        "title": {"text": title, "standoff": 12},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": FAINT,
        "showline": True,
        "ticks": "outside",
        "tickcolor": FAINT,
        "automargin": True,
        **more,
    }


def log_axis(title: str, values: Collection[float], **more: Any) -> dict[str, Any]:
    """Return the look of a logarithmic axis for values above 0: plotly writes 20 as a small 2 between 10 and 100.

    Examples
    --------
    >>> log_axis("batch", [8, 256])["ticktext"]
    ['5', '10', '20', '50', '100', '200', '500']
    """
    low, high = math.log10(min(values)), math.log10(max(values))
    digits = next(digits for decades, digits in _DIGITS if high - low >= decades)
    ticks = [digit * 10.0**place for place in range(math.floor(low), math.ceil(high) + 1) for digit in digits]
    within = [tick for tick in ticks if 0.5 * 10.0**low <= tick <= 2.0 * 10.0**high]
    return axis(title, type="log", tickvals=within, ticktext=[f"{tick:,.10g}" for tick in within], **more)
