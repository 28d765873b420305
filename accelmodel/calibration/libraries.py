"""Fitting what a framework's own kernels of matmuls do otherwise, over all devices at once.

A library's constants are relative to those of the device, so that one set serves all of them.  Only training rows
are seen (``aiconfigurator.training``), as many of each device, so that each counts the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from accelmodel.calibration import errors as accuracy
from accelmodel.calibration import expert_kernels
from accelmodel.calibration import fit as calibration
from accelmodel.calibration.file import DIGITS
from accelmodel.errors import SpecError, plain
from accelmodel.inference.kernel_library import library_times
from accelmodel.measured import aiconfigurator, block_scales, weight_only
from accelmodel.measured.conditions import matmul_warmth
from accelmodel.output import toml_string
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import field_units, load

#: constant → span in which it makes sense
CONSTANTS = {
    "matrix_factor": (0.3, 1.3),
    "slice_factor": (0.5, 10.0),
    "passes": (0.3, 6.0),
    "row_time": (1e-11, 2e-8),
}
#: those of a library whose weights alone are narrow: it quantises nothing
OF_NARROW_WEIGHTS = {
    "slice_factor": (0.5, 10.0),
    "start": (1e-7, 1e-4),
    "split_time": (1e-6, 1e-3),
}
#: training rows of each device
ROWS = 1500
#: parts of the rows that are fitted apart where one device alone has any
PARTS = 5


class Rows(NamedTuple):
    """Measured matmuls of one device: sizes, what was in L2, and times [s]."""

    chip: Cluster
    m: Any
    n: Any
    k: Any
    warm: Any
    time: Any

    def at(self, places: Any) -> Rows:
        """Return some of the rows."""
        return Rows(self.chip, *(column[places] for column in self[1:]))


def training_rows(library: KernelLibrary, devices: Iterable[str] | None = None) -> dict[str, Rows]:
    """Return training rows of a library by device, those that constants were fitted to unless given."""
    found = {}
    for name in accuracy.fitted() if devices is None else devices:
        chip = cluster(load("device", name))
        frame = _measured(chip.device, library)
        ours = frame["source"].astype(str).str.startswith(library.framework) & (
            frame["bits"] == (library.weights or library.bits)
        )
        frame = frame[np.asarray(aiconfigurator.training(frame, "matmul")) & ours]
        if len(frame):
            frame = frame.sample(min(len(frame), ROWS), random_state=0)
            given = weight_only.columns(frame) if library.weights else calibration.columns("matmul", frame)
            warm = matmul_warmth(frame, given, chip.device)
            m, n, k, time = (frame[column].to_numpy(dtype=float) for column in ("m", "n", "k", "time"))
            found[name] = Rows(chip, m, n, k, warm, time)
    return found


def constants(library: KernelLibrary) -> dict[str, tuple[float, float]]:
    """Return the constants of a library and the span in which each makes sense; one that never splits has no price."""
    narrow = {name: span for name, span in OF_NARROW_WEIGHTS.items() if library.split_time or name != "split_time"}
    if library.weights:
        return narrow
    return CONSTANTS if library.matrix_factor else expert_kernels.CONSTANTS


def _measured(device: Device, library: KernelLibrary) -> Any:
    """Return the measured matmuls of a device, those whose weights have a scale for each block among them.

    Of weights that alone are narrow where the library is for these.
    """
    if library.weights:
        return weight_only.rows(device, "weight-only matmul")[0]
    parts = [
        aiconfigurator.rows(device, "matmul")[0],
        *(block_scales.rows(device, kind)[0] for kind in block_scales.SHAPES),
    ]
    return aiconfigurator.joined([each for each in parts if len(each)], ("bits", *aiconfigurator.SHAPES["matmul"]))


def solve(library: KernelLibrary, parts: list[Rows]) -> KernelLibrary:
    """Return the library with the constants that fit rows best.

    As ``calibration.fit.solve``: soft-L1 least squares of the logarithmic error.
    """
    from scipy.optimize import least_squares

    spans = constants(library)

    def moved(x: np.ndarray) -> KernelLibrary:
        return override(library, **dict(zip(spans, map(float, np.exp(x)), strict=True)))

    def errors(x: np.ndarray) -> np.ndarray:
        near = moved(x)
        times = (library_times(part.m, part.n, part.k, near, part.chip, part.warm) for part in parts)
        return np.concatenate([np.log(time / part.time) for time, part in zip(times, parts, strict=True)])

    low, high = np.log(list(spans.values())).T
    start = np.clip(np.log([max(getattr(library, name), 1e-12) for name in spans]), low + 0.1, high - 0.1)
    found = least_squares(
        errors, start, bounds=(low, high), loss="soft_l1", f_scale=calibration.SOFT, diff_step=calibration.STEP,
        max_nfev=30,
    )  # fmt: skip
    return moved(found.x)


def fit(
    library: KernelLibrary, progress: Callable[[str], None] | None = None
) -> tuple[KernelLibrary, dict[str, tuple[float, float]], str]:
    """Fit a library to training rows of all fitted devices.

    Parameters
    ----------
    library : KernelLibrary
        Gives framework, precision, what is not fitted, and where to start.
    progress : callable, optional
        Told what is being fitted.

    Returns
    -------
    tuple
        The fitted library; the span of each constant over the devices alone, or over ``PARTS`` of the rows where one
        device has any; and which rows they were.

    Raises
    ------
    SpecError
        If nobody measured it, or measurements are not installed.
    """
    rows = training_rows(library) if library.matrix_factor else {}
    if not library.matrix_factor:
        found, spans, told = expert_kernels.fit(library, accuracy.fitted(), PARTS, progress)
        if spans:
            return found, spans, told
    if not rows:
        raise SpecError(f"{library.name} was measured on none of {', '.join(accuracy.fitted())}; it cannot be fitted")
    if progress:
        progress(f"{library.name}: {', '.join(rows)}")
    found = solve(library, list(rows.values()))
    alone = list(rows.values())
    if len(alone) == 1:
        fold = np.arange(len(alone[0].m)) % PARTS
        alone = [alone[0].at(fold == part) for part in range(PARTS)]
    others = [solve(found, [part]) for part in alone]
    spans = {
        name: (
            min(getattr(each, name) for each in (found, *others)),
            max(getattr(each, name) for each in (found, *others)),
        )
        for name in constants(library)
    }
    over = "each of them alone" if len(rows) > 1 else f"{PARTS} parts of them"
    told = f"{sum(len(part.m) for part in rows.values())} training rows of {', '.join(rows)}; range over {over}"
    return found, spans, told


def _in_toml(value: Any, scale: float) -> str:
    """Return a word, a list of words or a number as TOML has it."""
    if isinstance(value, list):
        return f"[{', '.join(toml_string(each) for each in value)}]"
    return toml_string(value) if isinstance(value, str) else f"{value * scale:g}"


def text(library: KernelLibrary, spans: Mapping[str, tuple[float, float]], told: str, date: str) -> str:
    """Return the content of a library's file; what is not fitted keeps its source."""
    units = field_units(KernelLibrary)
    bits = f"of weights of {library.weights:g} bit" if library.weights else f"at {library.bits:g} bit"
    whose = "" if library.matrix_factor else " of experts"
    called = "call" if " and " in library.framework else "calls"
    lines = [
        f"# Matmuls{whose} {bits} by the kernels that {plain(library.framework)} {called}.",
        "",
        "[library]",
    ]
    for name, fact in library.facts.items():
        if name not in spans:
            scale, unit = (1e6, 'unit = "us", ') if units[name] == "s" else (1.0, "")
            value = _in_toml(fact.value, scale)
            ends = f", range = [{fact.range[0] * scale:g}, {fact.range[1] * scale:g}]" if fact.range else ""
            source = f'{unit}kind = "{fact.kind}", source = {toml_string(fact.source)}, '
            source += f"locator = {toml_string(fact.locator)}{ends}"
        else:
            scale = 1e9 if units[name] == "s" else 1.0
            low, middle, high = (
                float(f"{end * scale:.{DIGITS}g}") for end in (spans[name][0], getattr(library, name), spans[name][1])
            )
            value = repr(middle)
            unit = 'unit = "ns", ' if units[name] == "s" else ""
            source = f'{unit}kind = "calibrated", source = "aiconfigurator-core", locator = "{date}, {told}", '
            source += f"range = [{low!r}, {high!r}]"
        lines.append(f"{name} = {{ value = {value}, {source} }}")
    return "\n".join(lines) + "\n"
