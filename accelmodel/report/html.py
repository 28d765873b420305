"""What all reports share: an HTML page that opens offline, its tables, and the sections with a figure each."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from accelmodel import __version__
from accelmodel.units import show

if TYPE_CHECKING:
    import plotly.graph_objects as go

TEMPLATE = "page.html"


def table(columns: list[str], rows: Iterable[list[str]], numeric: range) -> str:
    """Return an HTML table of cells that are HTML already."""

    def row(cells: list[str], tag: str) -> str:
        made = (f"<{tag}{' class=n' if i in numeric else ''}>{cell}</{tag}>" for i, cell in enumerate(cells))
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(columns, 'th')}</thead>\n<tbody>\n{body}\n</tbody></table>"


def _number(value: float, unit: str) -> str:
    return show(value, unit, 3) if unit else f"{value:.3g}"


def claim_table(rows: list[dict[str, Any]]) -> str:
    """Return the accuracy table as HTML."""
    made = []
    for row in rows:
        name, _, unit = row["claim"].partition(" [")
        unit = unit.removesuffix("]")
        verdict = "within" if row["within"] else '<span class="missed">missed</span>'
        made.append(
            [
                escape(name),
                escape(_number(row["published"], unit)),
                escape(_number(row["model"], unit)),
                f"{row['relative_error']:+.1%}".replace("-", "−"),
                f"± {100.0 * row['tolerance']:.3g}%",
                verdict,
                "calibration" if row["calibrated_on_it"] else "validation",
                escape(row["source"]),
            ]
        )
    columns = ["Claim", "Published", "Model", "Error", "Tolerance", "Verdict", "Kind of check", "Source"]
    return table(columns, made, range(1, 5))


def section(name: str, title: str, text: str, figure: go.Figure) -> str:
    """Return a section of a page: heading, text, figure."""
    drawn = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        include_mathjax=False,
        div_id=f"figure-{name}",
        config={"displayModeBar": False, "responsive": True},
    )
    return f"<section>\n<h2>{escape(title)}</h2>\n<p>{escape(text)}</p>\n<figure>{drawn}</figure>\n</section>"


def undrawn(title: str, reason: str) -> str:
    """Return a section of a page whose figure there is not, and why."""
    return f"<section>\n<h2>{escape(title)}</h2>\n<p>Not drawn: {escape(reason)}.</p>\n</section>"


def page(title: str, body: str) -> str:
    """Return a page with the common style and all that its figures need; title and body are HTML."""
    from plotly.offline import get_plotlyjs

    template = Template((Path(__file__).parent / TEMPLATE).read_text(encoding="utf-8"))
    return template.substitute(version=__version__, title=title, plotly=get_plotlyjs(), body=body)
