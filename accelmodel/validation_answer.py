"""The accuracy table as rows of one form: published claims, and measured kernels where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accelmodel import accuracy, endtoend, hybrid, silicon, validation, validation_cake
from accelmodel.library import load
from accelmodel.measured import measured_rows

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
    for row in [*validation.validate(), *validation_cake.validate()]:
        error = row["relative_error"]
        size = {"n": 1, "median_ape": abs(error), "mean_ape": abs(error), "p90_ape": abs(error), "bias": error}
        split = "calibrated" if row["calibrated_on_it"] else "validated"
        rows.append(_whole({"kind": "claim", **row, **size, "split": split}))
    return rows


def kernel_rows(*, transfer: bool = False, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return a row for each device, kind of operator, precision and source on held-out rows."""
    found = accuracy.table(transfer=transfer, progress=progress)
    for row in found:
        row["claim"] = f"{row['device']} {row['kind']} {row['precision']}"
        row["relative_error"] = row["bias"]
    return [_whole(row) for row in found]


def own_rows() -> list[dict[str, Any]]:
    """Return a row for each kind of measurement that a GPU at hand would give, measured or not."""
    return [_whole(row) for row in measured_rows()]


def hybrid_rows(progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the leave-one-out error of law times interpolated residual, for products of every measured device."""
    found: list[dict[str, Any]] = []
    for name in silicon.SYSTEMS:
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
    return {"tested": int(holds.size), "holds": len(points), "points": points}


def answer(
    *,
    transfer: bool = False,
    hybrid: bool = False,
    end_to_end: bool = False,
    claims: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return what ``accelmodel validate`` shows.

    Parameters
    ----------
    transfer, hybrid, end_to_end : bool
        Only the measured kernels, predicted with constants of other devices or by the hybrid; only whole servers.
    claims : bool
        Only the published claims and own measurements.
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    dict
        ``rows`` with ``KEYS`` and more, ``region`` (None unless claims are among the rows) and ``notes``; with
        ``transfer`` also ``untuned``: the factors of the prediction between which nine tenths of rows lie.

    Raises
    ------
    SpecError
        If only measured kernels are asked for and they are not installed.
    """
    if transfer:
        rows = kernel_rows(transfer=True, progress=progress)
        return {"rows": rows, "region": None, "notes": [], "untuned": accuracy.untuned(progress)}
    if end_to_end:
        rows = [_whole({**row, "claim": f"{row['model']}, {row['quantity']}"}) for row in endtoend.table(progress)]
        return {"rows": rows, "region": None, "notes": []}
    if hybrid:
        return {"rows": hybrid_rows(progress), "region": None, "notes": []}
    rows = [*claim_rows(), *own_rows()]
    notes = []
    if not claims:
        if silicon.installed():
            rows += kernel_rows(progress=progress)
        else:
            notes.append(INSTALL)
    return {"rows": rows, "region": _region(), "notes": notes}
