"""Tables about single operators, calibration and accuracy on a terminal and as Markdown."""

from __future__ import annotations

from typing import Any

from accelmodel.tables import print_table, say
from accelmodel.units import show


def print_kernels(rows: list[dict[str, Any]], title: str) -> None:
    """Print operators, one line each."""
    units = {"time_s": "s", "lower_s": "s", "upper_s": "s", "bytes": "B", "busbw_bytes_per_s": "B/s"}
    names = list(rows[0])
    print_table(
        title,
        [name.removesuffix("_s").removesuffix("_bytes_per") for name in names],
        [[show(row[n], units[n], 3) if n in units else str(row[n]) for n in names] for row in rows],
    )


#: column → heading of the accuracy table
_ACCURACY = (
    "device", "kind", "precision", "source", "rows", "median", "mean", "p90", "bias", "roofline", "80 % + 3 us",
)  # fmt: skip


def accuracy_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return the accuracy of kernels as text, one list for each row."""
    return [
        [
            row["device"],
            row["kind"],
            row["precision"],
            row["source"] + ("" if row["fitted_source"] else " (not fitted)"),
            f"{row['n']:,}",
            *(f"{row[name]:.1%}" for name in ("median_ape", "mean_ape", "p90_ape")),
            f"{row['bias']:+.1%}",
            f"{row['roofline_median_ape']:.0%}",
            f"{row['field_median_ape']:.0%}",
        ]
        for row in rows
    ]


def accuracy_markdown(rows: list[dict[str, Any]]) -> str:
    """Return the accuracy of kernels as Markdown."""
    lines = ["| " + " | ".join(_ACCURACY) + " |", "|" + "---|" * len(_ACCURACY)]
    return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in accuracy_cells(rows))]) + "\n"


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
    print_accuracy(data["rows"], "Error on rows that were not fitted")
    say(f"written to {', '.join(data['files'])}")
