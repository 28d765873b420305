"""The figures that stand with a study's trials in a dashboard: the best along an axis, and the front over die area."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelmodel.dse.explore import Exploration
from accelmodel.dse.search.parameters import labelled, shown
from accelmodel.dse.studies.objectives import OBJECTIVES
from accelmodel.dse.studies.terms import technique_words
from accelmodel.report import style
from accelmodel.report.exploration_figures import colour

if TYPE_CHECKING:
    import plotly.graph_objects as go


#: where a dashboard leaves room for the legend: its tools stand above
_BELOW = {"orientation": "h", "x": 0.0, "y": -0.3, "yanchor": "top"}


def _titled(figure: go.Figure, title: str) -> go.Figure:
    heading = {"text": title, "x": 0.12, "xanchor": "left", "font": {"size": 14}}
    return figure.update_layout(title=heading, legend=_BELOW, margin={"b": 110})


def figures_of(exploration: Exploration) -> dict[str, go.Figure]:
    """Return name → figure, each small enough to be stored with the trials."""
    found = {"front": figure_front(exploration)}
    if exploration.study.axis is not None:
        found = {"best": figure_best(exploration), **found}
    return found


def figure_best(exploration: Exploration) -> go.Figure:
    """Draw the best headline objective at each value of the study's axis, of all chips that keep to the limits."""
    study = exploration.study
    unit = OBJECTIVES[study.headline].unit
    axis = study.axes()[str(study.axis)]
    figure = style.figure(
        420, xaxis=style.axis(labelled(axis.name, axis.unit)), yaxis=style.axis(labelled(study.headline, unit))
    )
    for technique, (values, best) in exploration.every.curve.items():
        figure.add_scatter(
            x=[shown(value, axis.unit) for value in values],
            y=[shown(value, unit) if value > 0.0 else None for value in best],
            mode="lines+markers",
            name=technique_words(technique),
            line={"color": colour(technique), "width": 2.5},
        )
    return _titled(figure, "Best chip at each value")


def figure_front(exploration: Exploration) -> go.Figure:
    """Draw throughput per device against die area for the chips that no other beats on both."""
    axes = exploration.study.axes().values()
    figure = style.figure(
        420, xaxis=style.axis(labelled("die_area", "m2")), yaxis=style.axis(labelled("throughput", "token/s"))
    )
    for technique, rows in exploration.every.front.items():
        chips = [
            ", ".join(f"{labelled(axis.name, axis.unit)} {_cell(row[axis.name], axis.unit)}" for axis in axes)
            for row in rows
        ]
        figure.add_scatter(
            x=[shown(row["die_area"], "m2") for row in rows],
            y=[shown(row["throughput"], "token/s") for row in rows],
            text=chips,
            mode="lines+markers",
            name=technique_words(technique),
            line={"color": colour(technique), "width": 1.5, "shape": "hv"},
            hovertemplate="%{x:.1f} mm², %{y:.1f} tokens/s<br>%{text}<extra>" + technique_words(technique) + "</extra>",
        )
    return _titled(figure, "Throughput for die area")


def _cell(value: float | str, unit: str) -> str:
    return value if isinstance(value, str) else f"{shown(value, unit):g}"
