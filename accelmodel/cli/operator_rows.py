"""Answers about single operators as rows: what the commands print."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.calibration import file as calibration_file
from accelmodel.calibration import fit as calibration
from accelmodel.calibration import libraries as calibration_kernels
from accelmodel.cli.hardware import counts
from accelmodel.errors import SpecError, unknown
from accelmodel.inference import operator_time as kernels
from accelmodel.inference.intervals import factors, kind_of
from accelmodel.measured import aiconfigurator as silicon
from accelmodel.specs.load import calibrated_path, cluster, field_units, load, path_of
from accelmodel.specs.schema import Cluster, Device, Link
from accelmodel.units import parse
from accelmodel.validation import kernels as accuracy

PRECISIONS = (16.0, 8.0, 4.0)


def _timed(columns: kernels.Columns, chip: Cluster, shapes: list[dict[str, Any]], **asked: Any) -> list[dict[str, Any]]:
    """Return rows: the shape, then ``time_s``, ``lower_s``, ``upper_s`` and ``bound``."""
    times, bounds = kernels.time_columns(columns, chip)
    low, high = factors(chip, **asked)[int(kind_of(columns["kind"]))]
    words = kernels.bound_names(bounds)
    return [
        {**shape, "time_s": float(t), "lower_s": float(t * low), "upper_s": float(t * high), "bound": str(word)}
        for shape, t, word in zip(shapes, times, words, strict=True)
    ]


def _grid(**axes: list[int]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return all combinations as rows and as arrays."""
    shapes = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    return shapes, [np.array([shape[name] for shape in shapes], dtype=float) for name in axes]


def matmul_rows(device: str, m: str, n: str, k: str, bits: float, library: str | None = None) -> list[dict[str, Any]]:
    """Return rows ``{m, n, k, time_s, lower_s, upper_s, bound}``; SpecError where an input is not allowed.

    Products of a ``library`` are at its precision and hold the quantisation of their activations; what bounds them is
    told of the product by the law.
    """
    own = load("library", library) if library else None
    bits = float(own.bits) if own else bits
    if bits not in PRECISIONS:
        raise SpecError(f"--bits {bits:g}: products are modelled at 16, 8 and 4 bit; give one of them")
    chip = cluster(load("device", device))
    shapes, (rows, across, depth) = _grid(m=counts(m, "--m"), n=counts(n, "--n"), k=counts(k, "--k"))
    found = _timed(kernels.matmul(rows, across, depth, bits), chip, shapes, bits=bits)
    if own:
        times = kernels.library_times(rows, across, depth, own, chip)
        for row, time in zip(found, times, strict=True):
            longer = float(time) / row["time_s"]
            row.update({name: row[name] * longer for name in ("time_s", "lower_s", "upper_s")})
    return found


def attention_rows(device: str, phase: str, batch: str, context: str, shape: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows ``{batch, context, time_s, lower_s, upper_s, bound}``; SpecError where an input is not allowed."""
    if phase not in ("prefill", "decode"):
        raise unknown("phase", phase, ("prefill", "decode"))
    heads, kv_heads = float(shape["heads"]), float(shape["kv_heads"])
    if heads % kv_heads:
        raise SpecError(f"--heads {heads:g} must be a multiple of --kv-heads {kv_heads:g}; change one of them")
    if not 1.0 <= shape["kv_bits"] <= 64.0:
        raise SpecError(f"--kv-bits {shape['kv_bits']:g} must be from 1 to 64 bit")
    chip = cluster(load("device", device))
    shapes, (sequences, tokens) = _grid(batch=counts(batch, "--batch"), context=counts(context, "--context"))
    asked = kernels.attention(
        phase, sequences, heads, kv_heads, float(shape["head_dim"]), tokens,
        window=float(shape["window"]), kv_bits=float(shape["kv_bits"]),
    )  # fmt: skip
    return _timed(asked, chip, shapes, phase=phase, kv_bits=float(shape["kv_bits"]))


def sizes(text: str) -> list[float]:
    """Return byte counts: ``"64KB,1MB"``, or ``"1KB:1GB"`` doubling from one to the other.

    Examples
    --------
    >>> sizes("1KB:4KB")
    [1000.0, 2000.0, 4000.0]
    """
    if ":" not in text:
        found = [parse(part, "B", what="--bytes") for part in text.split(",")]
    else:
        low, high = (parse(end, "B", what="--bytes") for end in text.split(":", 1))
        found = [low * 2.0**i for i in range(64) if low * 2.0**i <= high]
    if not found or not min(found) > 0.0:
        raise SpecError(f"--bytes {text!r} must be above 0 B, and a range must rise; write 64KB,1MB or 1KB:1GB")
    return found


def collective_rows(device: str, link: str | None, kind: str, size: str, devices: int) -> list[dict[str, Any]]:
    """Return rows ``{bytes, devices, time_s, lower_s, upper_s, bound, busbw_bytes_per_s}``.

    ``busbw_bytes_per_s`` is the bus bandwidth of nccl-tests: bytes that each device must send over the time.
    """
    if kind not in kernels.COLLECTIVES:
        raise unknown("collective", kind, kernels.COLLECTIVES)
    chip = load("device", device)
    whole = cluster(chip, float(devices), link=load("link", link) if link else None)
    shapes = [{"bytes": each, "devices": devices} for each in sizes(size)]
    asked = kernels.collective(kind, np.array([shape["bytes"] for shape in shapes]), float(devices))
    share = (2.0 if kind == "all-reduce" else 1.0) * (devices - 1.0) / devices
    rows = _timed(asked, whole, shapes)
    return [{**row, "busbw_bytes_per_s": share * row["bytes"] / row["time_s"]} for row in rows]


def calibrate(
    device: str, measurements: Path | None, output: Path | None, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Fit a device's constants, write them, and return what was fitted and how far it holds on held-out rows."""
    base = load("device", device, fitted=False)
    path = output or calibrated_path(path_of("device", device))
    own = measurements is not None
    if not own and base.name not in silicon.SYSTEMS:
        raise SpecError(
            f"{base.name} is not among the measured devices ({', '.join(silicon.SYSTEMS)}); "
            "give --measurements rows.csv with the columns kind, the shape, bits and time_s"
        )
    measured = calibration.read_csv(measurements) if measurements else calibration.measured_rows(base)
    chip = cluster(base, link=load("link", base.link, fitted=False))
    fits = calibration.calibrate(chip, measured, progress)
    fitted = calibration.calibrated(chip, fits)
    source, today = ("user" if own else "aiconfigurator-core"), datetime.date.today().isoformat()
    files = [path]
    calibration_file.write(path, calibration_file.text(base, "device", fits, source, today))
    if any(name.startswith("link.") for fit in fits for name in fit.values):
        files.append(calibrated_path(path.parent / base.link if output else path_of("link", base.link)))
        calibration_file.write(files[1], calibration_file.text(chip.link, "link", fits, source, today))
    rows = [
        row for kind, frame in measured.items() for row in accuracy.rows_of(base, kind, fitted, "held-out", (frame, 0))
    ]
    return {"device": base.name, "files": [str(each) for each in files], "constants": _constants(fits), "rows": rows}


def calibrate_library(name: str, output: Path | None, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Fit a framework's own products over all fitted devices, write them, and return what was fitted."""
    library, path = load("library", name), output or path_of("library", name)
    found, spans, told = calibration_kernels.fit(library, progress)
    calibration_file.write(path, calibration_kernels.text(found, spans, told, datetime.date.today().isoformat()))
    units = field_units(type(library))
    constants = {
        field: {"value": getattr(found, field), "unit": units[field], "range": list(span), "fitted_to": told}
        for field, span in spans.items()
    }
    return {"device": name, "files": [str(path)], "constants": constants, "rows": []}


def _constants(fits: list[calibration.Fit]) -> dict[str, Any]:
    units = {**field_units(Device), **{f"link.{name}": unit for name, unit in field_units(Link).items()}}
    return {
        name: {"value": value, "unit": units[name], "range": list(fit.spans[name]), "fitted_to": fit.kind}
        for fit in fits
        for name, value in fit.values.items()
    }
