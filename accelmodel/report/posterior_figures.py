"""How sure the optimum is, and what decides it.  Draws a verdict, and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelmodel.dse.studies.terms import axis_words, technique_words, words
from accelmodel.report import style
from accelmodel.report.exploration_figures import HIGH, LOW, colour
from accelmodel.report.quantities import Shown
from accelmodel.report.style import FAINT, INK, PAPER

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: groups of constants that the figure of their influence shows at most, of each number of the answer
_MOST = 10
#: values of an axis that stand side by side at most
_FEW = 16
#: share of a variance, and width of a distribution, that can be seen [1]
_SEEN = 0.005


def figure_posterior(verdict: dict[str, Any], along: Shown) -> go.Figure:
    """Draw how likely the best chip is where along the axis, and how the gain is distributed."""
    gain = _spread(verdict["gain"])
    places = _Places(verdict, along)
    figure = style.figure(
        420,
        narrow={
            "height": 720, "xaxis.domain": [0.0, 1.0], "yaxis.domain": [0.6, 1.0], "xaxis2.domain": [0.0, 1.0],
            "yaxis2.domain": [0.0, 0.38], "xaxis2.anchor": "y2",
        } if gain is not None else None,
        barmode="group",
        bargap=0.1,
        xaxis=style.axis(
            f"Best {axis_words(verdict['axis'])}{f' [{along.unit}]' if along.unit else ''}",
            domain=[0.0, 1.0 if gain is None else 0.56], **places.look,
        ),
        yaxis=style.axis("Share of draws", tickformat=".0%", rangemode="tozero"),
    )  # fmt: skip
    for technique, best in verdict["best"].items():
        rows = best["along"]
        figure.add_bar(
            x=[places.at(row["value"]) for row in rows],
            y=[row["probability"] for row in rows],
            customdata=[[places.said(row["value"]), _more(row)] for row in rows],
            name=technique_words(technique),
            marker={"color": colour(technique)},
            hovertemplate="%{customdata[0]}: %{y:.1%}%{customdata[1]}<extra>" + technique_words(technique) + "</extra>",
        )  # fmt: skip
        if best["as_given"] is not None:
            _mark(figure, "x", "y", places.at(best["as_given"]), colour(technique))
    if gain is not None:
        figure.layout.xaxis2 = style.axis("Gain [×]", domain=[0.64, 1.0], anchor="y2")
        figure.layout.yaxis2 = style.axis("", tickformat=".0%", rangemode="tozero", anchor="x2")
        figure.add_bar(
            x=[(bar["from"] + bar["to"]) / 2.0 for bar in gain["bars"]],
            y=[bar["probability"] for bar in gain["bars"]],
            width=[bar["to"] - bar["from"] for bar in gain["bars"]],
            name="gain",
            marker={"color": LOW, "line": {"color": PAPER, "width": 0.5}},
            hovertemplate="%{x:.3f}×: %{y:.1%}<extra></extra>",
            xaxis="x2",
            yaxis="y2",
            showlegend=False,
        )
        if gain["as_given"] is not None:
            _mark(figure, "x2", "y2", gain["as_given"], INK)
    return figure


def _mark(figure: go.Figure, x: str, y: str, at: float, shade: str) -> None:
    """Draw where the answer lies with every constant as it is given."""
    # on paper, so that it is seen before a bar of its own colour
    for line in ({"color": PAPER, "width": 4}, {"color": shade, "width": 1.5, "dash": "dash"}):
        figure.add_shape(type="line", xref=x, yref=f"{y} domain", x0=at, x1=at, y0=0, y1=1, line=line)


def decided(verdict: dict[str, Any]) -> list[str]:
    """Return of which numbers of the answer a constant decides a share that can be seen."""
    seen = {row["of"] for row in verdict["sobol"] if row["total"] > _SEEN}
    moves = {"best": True, "gain": _spread(verdict["gain"]) is not None}
    return [name for name, moved in moves.items() if moved and name in seen]


def _spread(gain: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the distribution of the gain where it has one that can be seen."""
    if gain is None or not gain["bars"]:
        return None
    return gain if gain["bars"][-1]["to"] - gain["bars"][0]["from"] > _SEEN else None


def _more(row: dict[str, Any]) -> str:
    return "" if row["at_least"] is None else f"<br>so much or more: {row['at_least']:.1%}"


class _Places:
    """Where values of an axis stand: few of them side by side, whatever lies between; many on a scale."""

    def __init__(self, verdict: dict[str, Any], along: Shown) -> None:
        rows = [row["value"] for best in verdict["best"].values() for row in best["along"]]
        words = [value for value in rows if isinstance(value, str)]
        self.along = along
        self.values = list(dict.fromkeys(words)) if words else sorted(set(rows))
        self.apart = bool(words) or len(self.values) <= _FEW

    @property
    def look(self) -> dict[str, Any]:
        """What of the look of an axis this makes another."""
        if not self.apart:
            return {}
        ticks = [value if isinstance(value, str) else f"{value * self.along.factor:.4g}" for value in self.values]
        return {"tickvals": list(range(len(ticks))), "ticktext": ticks, "range": [-0.6, len(ticks) - 0.4]}

    def at(self, value: float | str) -> float:
        """Return where a value stands."""
        if isinstance(value, str) or value in self.values:
            return float(self.values.index(value)) if self.apart else float(value) * self.along.factor
        below = sum(other < value for other in self.values)
        return below - 0.5 if self.apart else value * self.along.factor

    def said(self, value: float | str) -> str:
        """Return a value with its unit."""
        return value if isinstance(value, str) else f"{value * self.along.factor:.4g} {self.along.unit}".strip()


def figure_influence(verdict: dict[str, Any]) -> go.Figure | None:
    """Draw what decides the best chip and the gain: total and first-order Sobol indices; None without any."""
    numbers = decided(verdict)
    if not numbers:
        return None
    titles = {"best": f"Best {axis_words(verdict['axis'])}", "gain": "Gain"}
    chosen = {name: [row for row in verdict["sobol"] if row["of"] == name][:_MOST][::-1] for name in numbers}
    rows = max(len(each) for each in chosen.values())
    wide = [[0.0, 1.0]] if len(numbers) == 1 else [[0.0, 0.36], [0.64, 1.0]]
    figure = style.figure(
        120 + 44 * rows,
        narrow={
            "height": 160 + 72 * rows, "xaxis.domain": [0.0, 1.0], "yaxis.domain": [0.58, 1.0],
            "xaxis2.domain": [0.0, 1.0], "yaxis2.domain": [0.0, 0.42],
        } if len(numbers) == 2 else None,
        barmode="group",
        margin={"l": 40, "r": 24, "t": 48, "b": 64},
    )  # fmt: skip
    for i, (name, domain) in enumerate(zip(numbers, wide, strict=True)):
        number = "" if i == 0 else "2"
        figure.layout[f"xaxis{number}"] = style.axis(
            f"{titles[name]}: share of variance", domain=domain, range=[0, 1.05], tickformat=".0%",
            anchor=f"y{number}",
        )  # fmt: skip
        figure.layout[f"yaxis{number}"] = style.axis("", showgrid=False, ticks="", anchor=f"x{number}")
        for key, shade, what in (("first", HIGH, "by itself"), ("total", LOW, "in company as well")):
            figure.add_bar(
                orientation="h",
                y=[_label(row["group"]) for row in chosen[name]],
                x=[max(row[key], 0.0) for row in chosen[name]],
                error_x={"array": [row[f"{key}_error"] for row in chosen[name]], "color": FAINT, "thickness": 1},
                name=what,
                legendgroup=what,
                showlegend=i == 0,
                marker={"color": shade},
                hovertemplate="%{y}: %{x:.1%}<extra>" + what + "</extra>",
                xaxis=f"x{number}",
                yaxis=f"y{number}",
            )
    return figure


def _label(group: str) -> str:
    """Return a group of constants in words, cut into two lines where it is long."""
    said = words(group) if "." in group else group
    middle = said.rfind(" ", 0, len(said) // 2 + 6)
    return said if len(said) < 24 or middle < 0 else f"{said[:middle]}<br>{said[middle + 1 :]}"
