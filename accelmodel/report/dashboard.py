"""The figures of the report that stand with a study's trials in a dashboard: the best along an axis, and the front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelmodel.dse.explore import Exploration
from accelmodel.report.exploration_figures import figure_curve
from accelmodel.report.exploration_points import curve_points
from accelmodel.report.front_figures import figure_front
from accelmodel.report.front_points import front_points

if TYPE_CHECKING:
    import plotly.graph_objects as go


#: where a dashboard leaves room for the legend: its tools stand above
_BELOW = {"orientation": "h", "x": 0.0, "y": -0.3, "yanchor": "top"}


def _titled(figure: go.Figure, title: str) -> go.Figure:
    heading = {"text": title, "x": 0.12, "xanchor": "left", "font": {"size": 14}}
    return figure.update_layout(title=heading, legend=_BELOW, margin={"b": 110})


def figures_of(exploration: Exploration) -> dict[str, go.Figure]:
    """Return name → figure, each small enough to be stored with the trials."""
    found = {}
    if curve := curve_points(exploration):
        lead = {**curve, "panels": curve["panels"][:1]}
        found["best"] = _titled(figure_curve(lead), "Best chip at each value")
    if front := front_points(exploration):
        found["front"] = _titled(figure_front(front), f"Not beaten on {' and '.join(front['objectives'])}")
    return found
