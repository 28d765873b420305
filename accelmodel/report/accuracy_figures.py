"""The figures of an accuracy report: predicted against measured times, and how errors are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration import fit as calibration
from accelmodel.measured import aiconfigurator as silicon
from accelmodel.report.style import FAINT, axis
from accelmodel.report.style import figure as blank
from accelmodel.specs.load import cluster, load
from accelmodel.validation import kernels as accuracy

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: rows drawn of each device and kind: enough to see the cloud, few enough for a page that opens at once
DRAWN = 400
#: Okabe and Ito
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000", "#999999", "#b8a500")
#: relative errors at which the share of rows is told
ERRORS = np.geomspace(0.005, 2.0, 80)


def kernel_points(kind: str) -> dict[str, dict[str, Any]]:
    """Return held-out rows of one kind by device: measured, predicted and roofline times [s], of fitted sources."""
    found = {}
    for name in silicon.SYSTEMS:
        device = load("device", name)
        frame, _ = silicon.rows(device, kind)
        if frame.empty:
            continue
        held = frame[~np.asarray(silicon.training(frame, kind)) & calibration.is_fitted(kind, frame)]
        if held.empty:
            continue
        found[name] = {
            "measured": held["time"].to_numpy(),
            "predicted": calibration.predict(kind, held, cluster(device)),
            "roofline": accuracy.roofline(kind, held, device),
        }
    return found


def figure_parity(points: dict[str, dict[str, Any]]) -> go.Figure:
    """Draw predicted against measured times, a sample of each device's rows, with the line where they agree."""
    figure = blank(
        460,
        xaxis=axis("Measured [µs]", type="log", exponentformat="none"),
        yaxis=axis("Predicted [µs]", type="log", exponentformat="none"),
    )
    low, high = np.inf, 0.0
    for colour, (name, part) in zip(COLOURS, points.items(), strict=False):
        step = max(len(part["measured"]) // DRAWN, 1)
        x, y = part["measured"][::step] * 1e6, part["predicted"][::step] * 1e6
        low, high = min(low, float(x.min())), max(high, float(x.max()))
        figure.add_scatter(
            x=x.round(2), y=y.round(2), mode="markers", name=name, marker={"size": 4, "color": colour, "opacity": 0.6}
        )
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": FAINT, "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
    return figure


def figure_errors(points: dict[str, dict[str, Any]]) -> go.Figure:
    """Draw the share of rows within an error: the laws in colour, the plain roofline of the same rows dotted."""
    figure = blank(
        420,
        xaxis=axis("Relative error of at most", type="log", tickformat=".0%", tickvals=[0.01, 0.05, 0.1, 0.5, 1.0]),
        yaxis=axis("Share of rows", tickformat=".0%", range=[0, 1]),
    )
    for colour, (name, part) in zip(COLOURS, points.items(), strict=False):
        for key, dash in (("predicted", "solid"), ("roofline", "dot")):
            error = np.abs(part[key] / part["measured"] - 1.0)
            share = np.searchsorted(np.sort(error), ERRORS) / len(error)
            figure.add_scatter(
                x=ERRORS.round(4), y=share.round(4), mode="lines", name=name, legendgroup=name,
                showlegend=key == "predicted", line={"color": colour, "dash": dash, "width": 2},
            )  # fmt: skip
    return figure
