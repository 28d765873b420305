"""What all reports share: an HTML page that opens offline, its tables, and the sections with a figure each."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelmodel import __version__
from accelmodel.report.style import DARK
from accelmodel.units import show

if TYPE_CHECKING:
    import jinja2
    import plotly.graph_objects as go

_HERE = Path(__file__).parent


def table(columns: list[str], rows: Iterable[list[str]], numeric: range) -> str:
    """Return an HTML table of cells that are HTML already; on a narrow screen each row becomes a card."""

    def row(cells: list[str], tag: str) -> str:
        made = []
        for i, cell in enumerate(cells):
            kind = " class=n" if i in numeric else ""
            of = f' data-of="{columns[i]}"' if tag == "td" and i and "<" not in columns[i] else ""
            made.append(f"<{tag}{kind}{of}>{cell}</{tag}>")
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return f'<table class="cards"><thead>{row(columns, "th")}</thead>\n<tbody>\n{body}\n</tbody></table>'


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


def section(name: str, title: str, text: str, figure: go.Figure | None, points: Sequence[str] = ()) -> str:
    """Return a section of a page: heading, text, a list of points where there are any, figure where there is one.

    The text says to who cannot see it what the figure shows; text that is marked as HTML stays as it is.
    """
    from markupsafe import escape

    listed = "".join(f"<li>{escape(point)}</li>" for point in points)
    head = f"<section>\n<h2>{escape(title)}</h2>\n<p>{escape(text)}</p>\n{listed and f'<ul>{listed}</ul>'}"
    if figure is None:
        return f"{head}\n</section>"
    place = f"figure-{name}"
    buttons = "".join(
        f'<button type="button" data-format="{kind}" data-of="{place}">{kind.upper()}</button>'
        for kind in ("png", "svg")
    )
    return (
        f'{head}<figure><div id="{place}" role="img" aria-label="{escape(title)}. {escape(text)}"></div>\n'
        f'<script type="text/plain" data-figure="{place}">{packed(figure.to_json())}</script>\n'
        f"<figcaption>{buttons}</figcaption></figure>\n</section>"
    )


def undrawn(title: str, reason: str) -> str:
    """Return a section of a page whose figure there is not, and why."""
    return f"<section>\n<h2>{escape(title)}</h2>\n<p>Not drawn: {escape(reason)}.</p>\n</section>"


def packed(text: str) -> str:
    """Return a text compressed, as letters that no page mistakes for its own: ``page.js`` unpacks it.

    Examples
    --------
    >>> len(packed("L2 that pays " * 100)) < 50
    True
    """
    # a page reads "<" and "&" as its own, and base 85 uses neither "/" nor ":"
    letters = base64.b85encode(zlib.compress(text.encode(), 9)).decode()
    return letters.replace("<", "/").replace("&", ":")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return packed(get_plotlyjs())


def environment() -> jinja2.Environment:
    """Return what fills in the templates beside this module; everything is escaped that is not marked as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)


def page(title: str, body: str) -> str:
    """Return a page with the common style and all that its figures need; title and body are HTML."""
    from markupsafe import Markup

    return (
        environment()
        .get_template("page.html")
        .render(
            version=__version__,
            title=Markup(title),
            body=Markup(body),
            dark=DARK,
            plotly=Markup(_plotly()),
            script=Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        )
    )
