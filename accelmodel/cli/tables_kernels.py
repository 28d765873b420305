"""Tables about single operators, calibration and accuracy on a terminal and as Markdown."""

from __future__ import annotations

from typing import Any

from accelmodel.cli.terminal import print_table, say
from accelmodel.units import show
from accelmodel.validation.cells import _ACCURACY, accuracy_cells, parts


def print_kernels(rows: list[dict[str, Any]], title: str) -> None:
    """Print operators, one line each."""
    units = {"time_s": "s", "lower_s": "s", "upper_s": "s", "bytes": "B", "busbw_bytes_per_s": "B/s"}
    names = list(rows[0])
    print_table(
        title,
        [name.removesuffix("_s").removesuffix("_bytes_per") for name in names],
        [[show(row[n], units[n], 3) if n in units else str(row[n]) for n in names] for row in rows],
    )


def print_accuracy(rows: list[dict[str, Any]], title: str) -> None:
    """Print the accuracy of kernels; the columns from median to bias are the laws', the last two others'."""
    print_table(title, list(_ACCURACY), accuracy_cells(rows))


def print_calibration(data: dict[str, Any]) -> None:
    """Print fitted constants and how far they hold on held-out rows."""
    cells = [
        [name, show(each["value"], each["unit"]), " to ".join(show(end, each["unit"]) for end in each["range"]),
         each["fitted_to"]]
        for name, each in data["constants"].items()
    ]  # fmt: skip
    print_table(f"Constants of {data['device']}", ["constant", "value", "range", "fitted to"], cells)
    if data["rows"]:
        print_accuracy(data["rows"], "Error on rows that were not fitted")
    say(f"written to {', '.join(data['files'])}")


def print_validation(data: dict[str, Any]) -> None:
    """Print the tables of an answer of ``validate``."""
    for title, columns, cells in parts(data):
        print_table(title, columns, cells)
    if data["region"]:
        share = f"{data['region']['holds']} of {data['region']['tested']}"
        say(f"all claims of PRESERVE hold at once in {share} sets of the unpublished constants")
    for note in data["notes"]:
        say(note)
