"""The accuracy table as cells of text, and as Markdown."""

from __future__ import annotations

from typing import Any

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


_CLAIMS = ["claim", "published", "model", "error", "tolerance", "within", "role"]


def claim_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return published claims as text, one list for each."""
    return [
        [
            row["claim"],
            f"{row['published']:.4g}",
            f"{row['model']:.4g}",
            f"{row['relative_error']:+.1%}",
            f"{100.0 * row['tolerance']:.3g}%",
            "yes" if row["within"] else "no",
            "calibrated" if row["calibrated_on_it"] else "validated",
        ]
        for row in rows
    ]


#: column → heading of what no law of its own is compared with
_SHORT = ("device", "kind", "precision", "source", "rows", "median", "mean", "p90", "bias", "split")


def short_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return rows of errors as text; what was not measured says so."""
    made = []
    for row in rows:
        errors = [row[name] for name in ("median_ape", "mean_ape", "p90_ape")]
        shown = ["not measured"] * 3 if errors[0] is None else [f"{error:.1%}" for error in errors]
        bias = "" if row["bias"] is None else f"{row['bias']:+.1%}"
        count = "" if not row["n"] else f"{row['n']:,}"
        kind = f"{row['kind']} {row['quantity']} {row['model']}" if row.get("quantity") else row["kind"]
        kind += " disaggregated" if row.get("mode") == "disaggregated" else ""
        words = [str(word or "") for word in (row["device"], kind, row["precision"], row["source"])]
        made.append([*words, count, *shown, bias, str(row["split"] or "")])
    return made


def parts(data: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return the tables of an answer of ``validate``: title, columns, cells; empty ones are left out."""
    rows = data["rows"]
    claims = [row for row in rows if row["kind"] == "claim"]
    kernels = [row for row in rows if row.get("field_median_ape") is not None]
    others = [row for row in rows if row["kind"] != "claim" and row.get("field_median_ape") is None]
    found = [
        ("Measured kernels", list(_ACCURACY), accuracy_cells(kernels)),
        ("Published claims", _CLAIMS, claim_cells(claims)),
        ("Other measurements", list(_SHORT), short_cells(others)),
    ]
    return [part for part in found if part[2]]


def validation_markdown(data: dict[str, Any]) -> str:
    """Return the tables of an answer of ``validate`` as Markdown."""
    made = []
    for title, columns, cells in parts(data):
        lines = [f"## {title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        made.append("\n".join([*lines, *("| " + " | ".join(row) + " |" for row in cells)]))
    return "\n\n".join(made) + "\n"
