"""Lines over one axis of a sweep, as a page that opens offline."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from accelmodel import output
from accelmodel.errors import SpecError, unknown
from accelmodel.report import html
from accelmodel.report.style import axis, figure, log_axis
from accelmodel.sweeps.figure import MOST_LINES
from accelmodel.units import show

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

#: an axis whose ends differ by more is logarithmic
_LOG_FROM = 30.0
#: distinct in lightness too, so that they can be told apart without colour
_COLOURS = ("#0b5394", "#c0504d", "#3d8b37", "#8e5ea2", "#d98c00", "#4aa3a2", "#7f6000", "#222222")
_DASHES = ("solid", "dash", "dot")
#: names of lines that a wide window holds side by side
_IN_A_ROW = 3
#: what is written in capitals in a name
_ABBREVIATED = ("l2", "hbm", "kv", "tp", "pp", "ep", "dp", "ttft", "tpot", "io", "sram")
#: prefixes of a unit on an axis, the largest first
_PREFIXES = (
    (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"),
)  # fmt: skip
_SCALED = ("B", "B/s", "s", "FLOP/s", "token/s", "W")
#: unit → what it is divided by on an axis, and how it is then called
_NAMED = {"USD/token": (1e-6, "USD per million tokens"), "token/(s m2)": (1e6, "tokens/s/mm²")}


class Line(TypedDict):
    """One line of a figure: its name, its place on the axes of lines, and its points in SI."""

    name: str
    place: tuple[int, ...]
    x: list[Any]
    y: list[float]


def line_points(
    result: xr.Dataset, y: str, x: str, lines: Sequence[str] = (), at: Mapping[str, Any] | None = None
) -> list[Line]:
    """Return the lines of a figure: ``y`` over ``x`` for each value of the axes ``lines``; see ``draw``."""
    if y not in result.data_vars:
        raise unknown("variable", y, map(str, result.data_vars))
    values = result[y]
    if "feasible" in result and y != "feasible":
        values = values.where(result["feasible"])
    for name in (x, *lines, *(at or {})):
        if name not in values.dims:
            raise unknown(f"axis of {y}", name, map(str, values.dims))
    for name, place in (at or {}).items():
        try:
            values = values.sel({name: place})
        except KeyError:
            raise SpecError(f"{name} has no value {place!r}; choose one that was swept") from None
    left = [str(name) for name in values.dims if name not in (x, *lines) and values.sizes[name] > 1]
    if left:
        raise SpecError(f"{left[0]} has several values; name it among the lines, or choose one with at")
    values = values.isel({name: 0 for name in values.dims if name not in (x, *lines)})
    count = math.prod(values.sizes[name] for name in lines)
    if count > MOST_LINES:
        raise SpecError(f"{count} lines are too many to read; at most {MOST_LINES}, choose values with at")
    found: list[Line] = []
    for each in itertools.product(*(range(values.sizes[name]) for name in lines)):
        one = values.isel(dict(zip(lines, each, strict=True))).load()
        words = ", ".join(_words(one[name]) for name in lines)
        kept = one.notnull().values
        found.append({"name": words, "place": each, "x": one[x].values[kept].tolist(), "y": one.values[kept].tolist()})
    return found


def _words(label: xr.DataArray) -> str:
    """Return a label of an axis in words, with the name of the axis where it is a number."""
    value = label.item()
    if isinstance(value, str):
        return value
    unit = label.attrs.get("units", "1")
    return f"{_named(label)} {show(float(value), unit)}"


def _scale(values: list[float], unit: str) -> tuple[float, str]:
    """Return what a unit is divided by on an axis, and how it is then called."""
    if unit in _NAMED:
        return _NAMED[unit]
    largest = max((abs(value) for value in values), default=0.0)
    if unit not in _SCALED or not largest:
        return 1.0, "" if unit == "1" else unit
    return next(((factor, prefix + unit) for factor, prefix in _PREFIXES if largest >= factor), (1.0, unit))


def _axis(name: str, unit: str, values: list[Any]) -> tuple[float, dict[str, Any]]:
    """Return the scale and the look of an axis."""
    if not values or isinstance(values[0], str):
        return 1.0, axis(name, type="category")
    low, high = min(values), max(values)
    logarithmic = low > 0.0 and high / low > _LOG_FROM
    # over decades the prefix of the middle is read best, else that of the largest
    factor, shown = _scale([math.sqrt(low * high)] if logarithmic else values, unit)
    title = f"{name} [{shown}]" if shown else name
    if logarithmic:
        return factor, log_axis(title, (low / factor, high / factor))
    return factor, axis(title, rangemode="tozero")


def line_figure(result: xr.Dataset, y: str, x: str, lines: list[Line]) -> go.Figure:
    """Draw lines of ``line_points``."""
    import plotly.graph_objects as go

    across = [value for line in lines for value in line["x"]]
    up = [value for line in lines for value in line["y"]]
    wide, x_axis = _axis(_named(result[x]), result[x].attrs.get("units", "1"), across)
    tall, y_axis = _axis(_named(result[y]), result[y].attrs.get("units", "1"), up)
    rows = math.ceil(len(lines) / _IN_A_ROW) if len(lines) > 1 else 0
    drawn = figure(
        480 + 22 * rows,
        xaxis=x_axis,
        yaxis=y_axis,
        showlegend=rows > 0,
        # below, so that a narrow window has the whole width for the figure
        legend={"orientation": "h", "x": 0.0, "xanchor": "left", "y": -0.2, "yanchor": "top"},
    )
    for line, (colour, dash) in zip(lines, _strokes(lines), strict=True):
        places = line["x"] if wide == 1.0 else (np.array(line["x"]) / wide).tolist()
        drawn.add_trace(
            go.Scatter(
                x=places,
                y=(np.array(line["y"]) / tall).tolist(),
                name=line["name"] or _named(result[y]),
                mode="lines+markers" if len(places) <= 40 else "lines",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"size": 6},
            )
        )
    return drawn


def _strokes(lines: list[Line]) -> list[tuple[str, str]]:
    """Return colour and dash of each line: a colour for each value of the first axis, where dashes do for the rest."""
    rests = list(dict.fromkeys(line["place"][1:] for line in lines))
    firsts = {line["place"][:1] for line in lines}
    if len(rests) <= len(_DASHES) and len(firsts) <= len(_COLOURS):
        found = [((*line["place"], 0)[0], rests.index(line["place"][1:])) for line in lines]
    else:
        found = [(i % len(_COLOURS), i // len(_COLOURS)) for i in range(len(lines))]
    return [(_COLOURS[colour], _DASHES[dash]) for colour, dash in found]


def _begun(text: str) -> str:
    """Return text with a capital first."""
    return text[:1].upper() + text[1:]


def _named(variable: xr.DataArray) -> str:
    """Return the name of a variable as it is written: ``l2_capacity`` is L2 capacity."""
    words = str(variable.attrs.get("long_name", variable.name)).replace("_", " ").split(" ")
    return " ".join(word.upper() if word in _ABBREVIATED else word for word in words)


def draw(
    result: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    y: str,
    x: str,
    lines: Sequence[str] = (),
    at: Mapping[str, Any] | None = None,
    title: str = "",
) -> Path:
    """Draw a variable of an answer as lines over one of its axes, and write the page.

    Parameters
    ----------
    result : xarray.Dataset
        What ``sweep`` returns, or any answer over axes.  Points that are not ``feasible`` are left out.
    path : path
        HTML page to write; it opens offline.
    y, x : str
        Variable, and the axis below it.
    lines : sequence of str
        Axes of which each value has a line of its own.
    at : mapping, optional
        Axis → the value at which the rest is drawn.
    title : str
        Heading of the page.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    SpecError
        If a name is unknown, an axis with several values is neither drawn nor placed, or it cannot be written.

    Examples
    --------
    >>> import accelmodel as am, tempfile
    >>> found = am.total_time("llama-3-8b", "h100-sxm", {"phase": "decode", "batch": [1, 8], "context": [512, 4096]})
    >>> draw(found, f"{tempfile.mkdtemp()}/step.html", y="step_time", x="context", lines=["batch"]).name
    'step.html'
    """
    points = line_points(result, y, x, lines, at)
    if not any(line["y"] for line in points):
        raise SpecError(f"{y}: no point of the figure is feasible; choose other values with at")
    heading = title or f"{_named(result[y])} over {_named(result[x])}"
    text = f"{result[y].attrs.get('description', _named(result[y]))}, over {_named(result[x])}."
    picture = line_figure(result, y, x, points)
    made = html.section("sweep", _begun(_named(result[y])), _begun(text), picture)
    body = f"<main>\n<header><h1>{escape(heading)}</h1></header>\n{made}\n</main>"
    return output.write(Path(path), html.page(escape(heading), body), "--figure")
