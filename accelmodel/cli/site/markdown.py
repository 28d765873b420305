"""Small things of Markdown: tables out, tables in, and how often a sign must be escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ROW = re.compile(r"^\|(.+)\|\s*$")
_RULE = re.compile(r"^[\s|:-]+$")


def cell(text: object) -> str:
    """Return a text as it may stand in a cell of a table: one line, no bars."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown.

    Examples
    --------
    >>> print(table(["a", "b"], [[1, "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    head = [f"| {' | '.join(columns)} |", f"|{'|'.join('---' for _ in columns)}|"]
    return "\n".join([*head, *(f"| {' | '.join(map(cell, row))} |" for row in rows)])


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Return heading → rows of the tables below it, a row as column → cell; ``One/Two`` for a heading in a heading.

    Examples
    --------
    >>> tables("## One\\n\\n| a | b |\\n|---|---|\\n| 1 | 2 |\\n")
    {'One': [{'a': '1', 'b': '2'}]}
    """
    found: dict[str, list[dict[str, str]]] = {}
    heading, columns = "", None
    for line in text.splitlines():
        row = _ROW.match(line)
        if line.startswith("## "):
            heading = line.removeprefix("## ").strip()
        elif line.startswith("### "):
            heading = f"{heading.partition('/')[0]}/{line.removeprefix('### ').strip()}"
        if row is None:
            columns = None
            continue
        cells = [each.strip() for each in re.split(r"(?<!\\)\|", row[1])]
        if columns is None:
            columns = cells
        elif not _RULE.match(line):
            found.setdefault(heading, []).append(dict(zip(columns, cells, strict=False)))
    return found


def words(cell_text: str) -> list[str]:
    """Return the names in backticks of a cell.

    Examples
    --------
    >>> words("`tile_m`, `tile_n`")
    ['tile_m', 'tile_n']
    """
    return re.findall(r"`([^`]+)`", cell_text)
