"""Our own measurements on one GPU against the laws: matmuls, L2 occupancy, and prefetching during a collective.

The runs lie in ``hwspecs/measured``, written by ``python -m accelmodel.benchmarks.gpu``.  Nothing is fitted to them
here.  Where there are none, the accuracy table says "not measured".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.machine import machine
from accelmodel.inference.run import run_kernel
from accelmodel.inference.step import NONE
from accelmodel.laws.l2cache import resident_share
from accelmodel.laws.prefetch import RULES
from accelmodel.laws.roofline import roofline, stream_time
from accelmodel.laws.types import ALL_REDUCE, MATMUL, Machine, Operator, Policy
from accelmodel.measured.rawtable import BITS, Run, operators_of, runs
from accelmodel.specs.facts import root
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Device
from accelmodel.specs.load import load

#: rows of these kinds come from the raw tables
KINDS = ("matmul-cold", "matmul-hot", "bandwidth", "occupancy", "preserve", "preserve-evict-last", "preserve-speedup")
HOW = "run: python -m accelmodel.benchmarks.gpu --device NAME --out hwspecs/measured/NAME"
#: a collective so long that every prefetch ends within it [s]
_ENDLESS = 1.0
_NO_PRECISION = "-"


class Point(NamedTuple):
    """One measured row beside what the laws and the plain roofline say, in the same unit."""

    kind: str
    precision: str
    measured: float
    model: float
    roofline: float


def matmul(m: float, n: float, k: float, precision: str) -> Operator:
    """Return the matmul (m, k) x (k, n) whose weights a technique may prefetch."""
    bits = float(BITS[precision])
    weights = n * k * bits / 8.0
    sizes = {"weight_bytes": weights, "input_bytes": m * k * bits / 8.0, "output_bytes": m * n * 2.0}
    work = {"bits": bits, "flops": 2.0 * m * n * k, "prefetch_bytes": weights}
    return Operator(kind=MATMUL, m=m, n=n, k=k, **sizes, **work)


def window_time(
    operators: list[Operator], chip: Machine, collective: float = 0.0, message: float = 0.0, prefetch: float = 0.0
) -> float:
    """Time a collective and the operators after it with the step kernel [s].

    Parameters
    ----------
    operators : list of Operator
    chip : Machine
    collective : float
        How long the collective lasts; without one nothing is prefetched [s].
    message : float
        Bytes it reads and bytes it writes [B].
    prefetch : float
        First bytes of the operators' weights that are prefetched beside it, in order [B].

    Returns
    -------
    float
        From the start of the collective to the end of the last operator [s].
    """
    lasting = chip._replace(start_up=collective, direct_start_up=collective, hop=0.0, link_rate=np.finfo(float).max)
    opener = [Operator(kind=ALL_REDUCE, message_bytes=message, ranks=2.0)] if collective > 0.0 else []
    policy = Policy(RULES["partial"], prefetch / chip.l2_bytes, 0.0) if prefetch > 0.0 else NONE
    table = np.array([*opener, *operators], dtype=float).T[:, :, None]
    totals, _ = run_kernel(table, np.array(lasting, dtype=float)[:, None, None], policy)
    return float(totals[0, 0, 0])


def bare_time(operators: Iterable[Operator], device: Device) -> float:
    """Return the time of operators by peak rate and peak HBM bandwidth alone [s]; every byte comes from HBM."""
    wide = float(device.compute.peak_16bit)
    narrow = float(device.compute.peak_8bit_float) or wide
    total = 0.0
    for op in operators:
        moved = op.weight_bytes + op.input_bytes + op.output_bytes
        total += float(roofline(op.flops, wide if op.bits > 8.0 else narrow, moved, float(device.hbm.bandwidth)))
    return total


def matmul_points(rows: list[dict[str, Any]], chip: Machine, device: Device) -> Iterator[Point]:
    """Yield matmuls with weights from HBM, and with weights that a prefetch without end has brought into L2."""
    for row in rows:
        op = matmul(row["m"], row["n"], row["k"], row["precision"])
        if row["cache"] == "hot":
            model = window_time([op], chip, _ENDLESS, prefetch=op.weight_bytes) - _ENDLESS
        else:
            model = window_time([op], chip)
        yield Point(f"matmul-{row['cache']}", row["precision"], row["time_s"], model, bare_time([op], device))


def bandwidth_points(rows: list[dict[str, Any]], chip: Machine, device: Device) -> Iterator[Point]:
    """Yield launches that read a footprint over and over: what the occupancy law leaves in L2 at L2's rate."""
    for row in rows:
        size, passes = float(row["footprint_bytes"]), row["passes"]
        hot = size * resident_share(size, chip.l2_bytes, chip.l2_ways)
        model = chip.launch + passes * stream_time(hot, size - hot, 1.0 / chip.l2_rate, 1.0 / chip.hbm_rate)
        yield Point("bandwidth", _NO_PRECISION, row["time_s"], model, passes * size / float(device.hbm.bandwidth))


def occupancy_points(rows: list[dict[str, Any]], chip: Machine, device: Device) -> Iterator[Point]:
    """Yield reads of a probe after others were read, between its own fastest and slowest, which are taken as measured.

    Thus the occupancy law is held apart from the rates.  The probe's time is that of a round less that of
    the others alone; its stack distance is the others and the probe.

    Raises
    ------
    SpecError
        If a round is not longer than the others alone.
    """
    alone = {0: 0.0} | {row["others_bytes"]: row["time_s"] for row in rows if not row["probe_bytes"]}
    both = [row for row in rows if row["probe_bytes"] and row["others_bytes"] in alone]
    both.sort(key=lambda row: row["others_bytes"])
    times = [row["time_s"] - alone[row["others_bytes"]] for row in both]
    if any(time <= 0.0 for time in times):
        raise SpecError("reread: a round with the probe is no longer than the others alone; measure again")
    for row, time in list(zip(both, times, strict=True))[1:-1]:
        probe = float(row["probe_bytes"])
        share = resident_share(row["others_bytes"] + probe, chip.l2_bytes, chip.l2_ways)
        model = times[-1] - share * (times[-1] - times[0])
        yield Point("occupancy", _NO_PRECISION, time, model, probe / float(device.hbm.bandwidth))


def preserve_points(rows: list[dict[str, Any]], chip: Machine, device: Device) -> Iterator[Point]:
    """Yield windows whose operators do not wait for the prefetch, and their speed-up over those without.

    How long the stand-in lasts is taken from its rows without operators.  Windows without a stand-in are
    plain matmuls, one after the other.
    """
    lasts = {_stand_in(row): row["time_s"] for row in rows if row["operators"] == "none"} | {("none", 0.0, 0): 0.0}
    plain: dict[Any, tuple[float, float]] = {}
    for row in sorted(rows, key=lambda row: row["prefetch_bytes"]):
        stand_in = _stand_in(row)
        if row["operators"] == "none" or row["join"] != "after" or stand_in not in lasts:
            continue
        ops = [matmul(row["m"], n, k, row["precision"]) for n, k in operators_of(row["operators"])]
        collective, message, prefetch = lasts[stand_in], float(row["message_bytes"]), float(row["prefetch_bytes"])
        model = window_time(ops, chip, collective, message, prefetch)
        kind = "preserve" if row["hint"] == "normal" else "preserve-evict-last"
        yield Point(kind, row["precision"], row["time_s"], model, collective + bare_time(ops, device))
        window = (row["precision"], row["m"], row["operators"], stand_in)
        if prefetch == 0.0:
            plain[window] = row["time_s"], model
        elif kind == "preserve" and window in plain:
            time, before = plain[window]
            yield Point("preserve-speedup", row["precision"], time / row["time_s"], before / model, 1.0)


def _stand_in(row: dict[str, Any]) -> tuple[str, float, int]:
    return row["stand_in"], row["duration_s"], row["message_bytes"]


#: table → what compares it with the laws
POINTS: dict[str, Callable[[list[dict[str, Any]], Machine, Device], Iterator[Point]]] = {
    "matmul": matmul_points,
    "bandwidth": bandwidth_points,
    "reread": occupancy_points,
    "preserve": preserve_points,
}


def points(run: Run) -> list[Point]:
    """Return every measured row of a run beside the laws; rows without a time are left out.

    Raises
    ------
    SpecError
        If the device has no specification, or rows contradict one another.
    """
    device = load("device", run.header["device"])
    chip = Machine(**{name: float(value) for name, value in machine(cluster(device)).items()})
    found: list[Point] = []
    for name, rows in run.tables.items():
        found += POINTS[name]([row for row in rows if row["time_s"] is not None], chip, device)
    return found


def errors_of(found: list[Point]) -> dict[str, Any]:
    """Return n; median, mean and 90th percentile of the absolute error; mean signed error; the roofline's median."""
    measured, model, plain = (np.array([getattr(p, name) for p in found]) for name in ("measured", "model", "roofline"))
    error = np.abs(model / measured - 1.0)
    return {
        "n": len(found),
        "median_ape": float(np.median(error)),
        "mean_ape": float(np.mean(error)),
        "p90_ape": float(np.quantile(error, 0.9)),
        "bias": float(np.mean(model / measured - 1.0)),
        "roofline_median_ape": float(np.median(np.abs(plain / measured - 1.0))),
    }


_NO_ERRORS = {"n": 0, **dict.fromkeys(("median_ape", "mean_ape", "p90_ape", "bias", "roofline_median_ape"))}


def measured_rows(folder: Path | None = None) -> list[dict[str, Any]]:
    """Return the rows of the accuracy table that stand on our own measurements.

    Parameters
    ----------
    folder : Path, optional
        Where the runs are; ``hwspecs/measured`` by default.

    Returns
    -------
    list of dict
        One for each run, kind and precision: ``device``, ``kind``, ``precision``, ``source`` (folder of the run),
        ``split`` (``all``: no constant is fitted to them here), ``n``, ``median_ape``, ``mean_ape``, ``p90_ape``,
        ``bias``, ``roofline_median_ape`` [1], ``status`` ``measured``, ``note``.  For each kind of which no run has
        a row, one with ``status`` ``not measured``, ``n`` 0, errors None, and the command to run in ``note``.

    Raises
    ------
    SpecError
        If a run is damaged; names file, line and column.
    """
    base = folder or root() / "measured"
    rows: list[dict[str, Any]] = []
    for run in runs(base):
        found = points(run)
        for kind, precision in dict.fromkeys((point.kind, point.precision) for point in found):
            errors = errors_of([point for point in found if (point.kind, point.precision) == (kind, precision)])
            source = run.folder.relative_to(base.parent).as_posix()
            named = {"device": run.header["device"], "kind": kind, "precision": precision, "source": source}
            rows.append({**named, "split": "all", **errors, "status": "measured", "note": ""})
    missing = [kind for kind in KINDS if all(row["kind"] != kind for row in rows)]
    blank = {"device": "", "precision": _NO_PRECISION, "source": "", "split": "all"}
    return rows + [{**blank, "kind": kind, **_NO_ERRORS, "status": "not measured", "note": HOW} for kind in missing]
