"""The accuracy table as rows of one form: published claims, and measured kernels where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accelmodel.calibration import hybrid
from accelmodel.errors import unknown
from accelmodel.measured import aiconfigurator
from accelmodel.specs.load import load
from accelmodel.validation import cake, engines, llmcompass, operators, runs, servers, unmeasured, volume
from accelmodel.validation import claims as validation
from accelmodel.validation.operators import SEEN
from accelmodel.validation.own_gpu import measured_rows

Progress = Callable[[str], None]
#: keys that every row has; None where a row says nothing of it
KEYS = (
    "claim", "source", "locator", "published", "model", "relative_error", "tolerance", "within", "calibrated_on_it",
    "device", "kind", "precision", "n", "median_ape", "mean_ape", "p90_ape", "bias", "roofline_median_ape", "split",
)  # fmt: skip
INSTALL = "measured kernels are not installed: pip install 'accelmodel[silicon]' adds their rows"


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(KEYS), **row}


def claim_rows() -> list[dict[str, Any]]:
    """Return a row for each published claim; it counts as one measurement."""
    rows = []
    for row in [*validation.validate(), *cake.validate()]:
        error = row["relative_error"]
        size = {"n": 1, "median_ape": abs(error), "mean_ape": abs(error), "p90_ape": abs(error), "bias": error}
        split = "calibrated" if row["calibrated_on_it"] else "validated"
        rows.append(_whole({"kind": "claim", **row, **size, "split": split}))
    return rows


def kernel_rows(*, transfer: bool = False, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return a row for each device, kind of operator, precision and source on held-out rows."""
    found = operators.table(transfer=transfer, progress=progress)
    for row in found:
        row["claim"] = f"{row['device']} {row['kind']} {row['precision']}"
        row["relative_error"] = row["bias"]
    return [_whole(row) for row in found]


def own_rows() -> list[dict[str, Any]]:
    """Return a row for each kind of measurement that a GPU at hand would give, measured or not."""
    return [_whole(row) for row in measured_rows()]


def operator_rows() -> list[dict[str, Any]]:
    """Return a row for each series of operators that the repository holds."""
    return [_whole({**row, "claim": f"{row['device']} {row['source']}"}) for row in llmcompass.rows()]


def run_rows() -> list[dict[str, Any]]:
    """Return a row for each series of whole runs that the repository holds."""
    return [_whole({**row, "claim": f"{row['device']} {row['quantity']}, {row['model']}"}) for row in runs.rows()]


def hybrid_rows(progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the leave-one-out error of law times interpolated residual, for matmuls of every measured device."""
    found: list[dict[str, Any]] = []
    for name in aiconfigurator.SYSTEMS:
        if progress:
            progress(name)
        found += [_whole(row) for row in hybrid.leave_one_out(load("device", name), "matmul")]
    return found


def _region() -> dict[str, Any]:
    """Return for which of the constants that are not public all claims of PRESERVE hold."""
    region = validation.region()
    holds = region.holds.transpose("start_up", "l2_usable", "sram_area")
    points = [
        {"start_up_s": float(a), "l2_usable": float(b), "sram_area_m2_per_byte": float(c)}
        for a in holds.start_up
        for b in holds.l2_usable
        for c in holds.sram_area
        if bool(holds.sel(start_up=a, l2_usable=b, sram_area=c))
    ]
    volumes = [
        {
            "prior": prior,
            "kernels_drawn": kernels,
            "draws": volume.DRAWS,
            "shares": volume.volume(prior=prior, kernels=kernels),
        }
        for prior in volume.PRIORS
        for kernels in (False, True)
    ]
    return {"tested": int(holds.size), "holds": len(points), "points": points, "volumes": volumes}


def _claims(progress: Progress | None) -> dict[str, Any]:
    if progress:
        progress("published claims")
    rows = [*claim_rows(), *operator_rows(), *run_rows(), *own_rows()]
    if progress:
        progress("constants for which all claims of PRESERVE hold")
    return {"rows": rows, "region": _region()}


def _transfer(progress: Progress | None) -> dict[str, Any]:
    factors = unmeasured.uncalibrated(progress)
    # "untuned" is what earlier versions called it
    return {"rows": kernel_rows(transfer=True, progress=progress), "uncalibrated": factors, "untuned": factors}


def _end_to_end(progress: Progress | None) -> dict[str, Any]:
    rows = []
    for row in servers.table(progress):
        apart = ", disaggregated" if row["mode"] == "disaggregated" else ""
        rows.append(_whole({**row, "claim": f"{row['model']}, {row['quantity']}{apart}"}))
    rows += [_whole({**row, "claim": row["kind"]}) for row in engines.table(progress)]
    return {"rows": rows}


#: question → its answer; each alone, beside the whole table
QUESTIONS: dict[str, Callable[[Progress | None], dict[str, Any]]] = {
    "transfer": _transfer,
    "end_to_end": _end_to_end,
    "hybrid": lambda progress: {"rows": hybrid_rows(progress)},
    "claims": _claims,
}


def validate(*chosen: str, progress: Progress | None = None) -> dict[str, Any]:
    """Return what ``accelmodel validate`` shows.

    Parameters
    ----------
    *chosen : {"transfer", "end_to_end", "hybrid", "claims"}
        Measured kernels with constants of other devices; whole servers; law times interpolated residual; published
        claims.  None: the claims, and measured kernels on held-out rows where they are installed.
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    dict
        ``rows`` with ``KEYS`` and more, ``region`` (None unless claims are among the rows) and ``notes``; with
        ``transfer`` also ``uncalibrated``: the factors of the prediction between which nine tenths of rows lie.

    Raises
    ------
    SpecError
        If there is no such question, or measured rows are asked for and not installed.

    Examples
    --------
    >>> [row["claim"] for row in validate("claims")["rows"] if not row["within"]]  # doctest: +SKIP
    """
    for name in chosen:
        if name not in QUESTIONS:
            raise unknown("question of validate", name, QUESTIONS)
    found: dict[str, Any] = {"rows": [], "region": None, "notes": []}
    for name in chosen or ("claims",):
        part = QUESTIONS[name](progress)
        found = {**found, **part, "rows": [*found["rows"], *part["rows"]]}
    if not chosen and aiconfigurator.installed():
        found["rows"] += kernel_rows(progress=progress)
    elif not chosen:
        found["notes"] = [INSTALL]
    return found


#: column → heading of the accuracy table
_ACCURACY = (
    "device", "kind", "precision", "source", "rows", "median", "mean", "p90", "bias", "roofline", "80 % + 3 us",
)  # fmt: skip


def _standing(row: dict[str, Any]) -> str:
    """Return in brackets what a source is to the constants, where no part of it was held out for them."""
    if row["split"] == SEEN:
        return f" ({SEEN})"
    return "" if row["fitted_source"] else " (not fitted)"


def accuracy_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return the accuracy of kernels as text, one list for each row."""
    return [
        [
            row["device"],
            row["kind"],
            row["precision"],
            row["source"] + _standing(row),
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
