"""The accuracy table with pictures: one HTML file that opens offline."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel import __version__, output
from accelmodel.calibration import fit
from accelmodel.measured import aiconfigurator
from accelmodel.report import html
from accelmodel.report.style import FAINT, axis, log_axis
from accelmodel.report.style import figure as blank
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load
from accelmodel.validation import operators, table

if TYPE_CHECKING:
    import plotly.graph_objects as go

BODY = Template("""<main>
<header>
<p class="study">Accuracy</p>
<h1>$headline</h1>
<p class="lead">Errors are those of rows and claims that no constant was fitted to, unless the table says otherwise.</p>
</header>
$sections
$tables
</main>
<footer><p>$made</p></footer>
""")
#: kind → what its heading says
SHOWN = {
    "matmul": "Matmuls",
    "prefill attention": "Attention in prefill",
    "decode attention": "Attention in decode",
    "all-reduce": "All-reduce (NCCL)",
}


def headline(data: dict[str, Any]) -> str:
    """Return the answer in one sentence."""
    matmuls = [row for row in data["rows"] if row["kind"] == "matmul" and row.get("fitted_source")]
    claims = [row for row in data["rows"] if row["kind"] == "claim"]
    if not matmuls:
        return f"{sum(bool(row['within']) for row in claims)} of {len(claims)} published claims are met."
    ends = [f"{end(row['median_ape'] for row in matmuls):.1%}" for end in (min, max)]
    chips = len({row["device"] for row in matmuls})
    return f"Matmuls of {chips} chips are met within {ends[0]} to {ends[1]} (median)."


def write_report(data: dict[str, Any], path: Path) -> Path:
    """Write the tables of an answer of ``validate``, and of measured kernels parity plots and how errors spread."""
    made = []
    for title, columns, cells in table.parts(data):
        rows = [[escape(cell) for cell in row] for row in cells]
        made.append(
            f'<h2>{escape(title)}</h2>\n<div class="scroll">{html.table(columns, rows, range(4, len(columns)))}</div>'
        )
    sections = []
    for kind, title in SHOWN.items() if aiconfigurator.installed() else ():
        points = kernel_points(kind)
        name = kind.replace(" ", "-")
        sections += [
            html.section(name, title, "Held-out rows of the fitted sources; a sample of each device's.",
                          figure_parity(points)),
            html.section(f"{name}-errors", f"{title}: how errors are distributed",
                          "Solid: the law. Dotted: the plain roofline on the same rows.",
                          figure_errors(points)),
        ]  # fmt: skip
    body = BODY.substitute(
        headline=escape(headline(data)), tables="\n".join(made), sections="\n".join(sections),
        made=escape(f"accelmodel {__version__}; measured kernels: aiconfigurator-core (Apache-2.0)."),
    )  # fmt: skip
    return output.write(path, html.page("Accuracy", body), "--report")


#: rows drawn of each device and kind: enough to see the cloud, few enough for a page that opens at once
DRAWN = 400


#: Okabe and Ito, and two more
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000", "#999999", "#b8a500", "#7b4b2a")


#: relative errors at which the share of rows is told
ERRORS = np.geomspace(0.005, 2.0, 80)


def kernel_points(kind: str) -> dict[str, dict[str, Any]]:
    """Return held-out rows of one kind by device: measured, predicted and roofline times [s], of fitted sources."""
    found = {}
    for name in aiconfigurator.SYSTEMS:
        device = load("device", name)
        frame, _ = aiconfigurator.rows(device, kind)
        if frame.empty:
            continue
        held = frame[~np.asarray(aiconfigurator.training(frame, kind)) & fit.is_fitted(kind, frame)]
        if held.empty:
            continue
        found[name] = {
            "measured": held["time"].to_numpy(),
            "predicted": fit.predict(kind, held, cluster(device)),
            "roofline": operators.bare_times(kind, held, device),
        }
    return found


def figure_parity(points: dict[str, dict[str, Any]]) -> go.Figure:
    """Draw predicted against measured times, a sample of each device's rows, with the line where they agree."""
    figure = blank(460)
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
    ends = (low, high)
    return figure.update_layout(xaxis=log_axis("Measured [µs]", ends), yaxis=log_axis("Predicted [µs]", ends))


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
