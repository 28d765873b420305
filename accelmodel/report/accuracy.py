"""The accuracy table with pictures: one HTML file that opens offline."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from accelmodel import __version__
from accelmodel.measured import aiconfigurator as silicon
from accelmodel.report import accuracy_figures as figures_accuracy
from accelmodel.report import html as pages
from accelmodel.validation import cells as tables_kernels

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
DRAWN = {
    "matmul": "Matrix products",
    "prefill attention": "Attention in prefill",
    "decode attention": "Attention in decode",
    "all-reduce": "All-reduce (NCCL)",
}


def headline(data: dict[str, Any]) -> str:
    """Return the answer in one sentence."""
    products = [row for row in data["rows"] if row["kind"] == "matmul" and row.get("fitted_source")]
    claims = [row for row in data["rows"] if row["kind"] == "claim"]
    if not products:
        return f"{sum(bool(row['within']) for row in claims)} of {len(claims)} published claims are met."
    ends = [f"{end(row['median_ape'] for row in products):.1%}" for end in (min, max)]
    chips = len({row["device"] for row in products})
    return f"Matrix products of {chips} chips are met within {ends[0]} to {ends[1]} (median)."


def write_report(data: dict[str, Any], path: Path) -> Path:
    """Write the tables of an answer of ``validate``, and of measured kernels parity plots and how errors spread."""
    made = []
    for title, columns, cells in tables_kernels.parts(data):
        rows = [[escape(cell) for cell in row] for row in cells]
        made.append(
            f'<h2>{escape(title)}</h2>\n<div class="scroll">{pages.table(columns, rows, range(4, len(columns)))}</div>'
        )
    sections = []
    for kind, title in DRAWN.items() if silicon.installed() else ():
        points = figures_accuracy.kernel_points(kind)
        name = kind.replace(" ", "-")
        sections += [
            pages.section(name, title, "Held-out rows of the fitted sources; a sample of each device's.",
                          figures_accuracy.figure_parity(points)),
            pages.section(f"{name}-errors", f"{title}: how errors are distributed",
                          "Solid: the law. Dotted: the plain roofline on the same rows.",
                          figures_accuracy.figure_errors(points)),
        ]  # fmt: skip
    body = BODY.substitute(
        headline=escape(headline(data)), tables="\n".join(made), sections="\n".join(sections),
        made=escape(f"accelmodel {__version__}; measured kernels: aiconfigurator-core (Apache-2.0)."),
    )  # fmt: skip
    return pages.write(pages.page("Accuracy", body), path, "--report")
