"""Fitting the kernels of routed experts that a framework calls, over all devices at once.

Four constants say how they differ from other matmuls: what each kernel takes beside its launch, what a core takes to
begin a tile, the matrix rate that they sustain, and what gathering and summing of copies take beyond their bytes.  Only
training rows are seen (``measured.experts.training``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from accelmodel.calibration import fit as calibration
from accelmodel.measured import experts, wide_ep
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load

#: constant → span in which it makes sense
CONSTANTS = {
    "expert_start": (1e-8, 1e-4),
    "expert_tile_time": (1e-9, 2e-5),
    "expert_share": (0.1, 1.5),
    "expert_passes": (0.5, 3.0),
}
#: logarithmic error from which it is counted linearly: drawn routings and untuned kernels scatter more than matmuls
SOFT = 0.1


class Rows(NamedTuple):
    """Measured experts of one device, and how a library times them."""

    chip: Cluster
    kind: str
    frame: Any

    def times(self, library: KernelLibrary) -> Any:
        """Return the times by a library [s]."""
        if self.kind in wide_ep.SHAPES:
            return wide_ep.times_on(self.kind, self.frame, self.chip, library)
        return experts.times_on(self.frame, self.chip, library)

    def at(self, places: Any) -> Rows:
        """Return some of the rows."""
        return Rows(self.chip, self.kind, self.frame[places])


def training_rows(library: KernelLibrary, devices: Iterable[str]) -> dict[str, list[Rows]]:
    """Return training rows of a library by device."""
    found: dict[str, list[Rows]] = {}
    for name in devices:
        chip = cluster(load("device", name))
        for tables in (experts, wide_ep):
            for kind in tables.SHAPES:
                frame, _ = tables.rows(chip.device, kind)
                if frame.empty:
                    continue
                own = _runs(library, tables, frame) & np.asarray(tables.training(kind, frame))
                if own.any():
                    found.setdefault(name, []).append(Rows(chip, kind, frame[own]))
    return found


def _runs(library: KernelLibrary, tables: Any, frame: Any) -> Any:
    """Return which rows ran on a library."""
    if tables is wide_ep:
        return np.full(len(frame), library.name == wide_ep.LIBRARY)
    sources = {source: library.runs(source) for source in frame["source"].unique()}
    return (frame["source"].map(sources) & (frame["bits"] == library.bits)).to_numpy(dtype=bool)


def solve(library: KernelLibrary, parts: list[Rows]) -> KernelLibrary:
    """Return the library with the constants that fit rows best, as ``calibration.libraries.solve``."""
    from scipy.optimize import least_squares

    def moved(x: np.ndarray) -> KernelLibrary:
        return override(library, **dict(zip(CONSTANTS, map(float, np.exp(x)), strict=True)))

    def errors(x: np.ndarray) -> np.ndarray:
        near = moved(x)
        return np.concatenate([np.log(part.times(near) / part.frame["time"].to_numpy()) for part in parts])

    low, high = np.log(list(CONSTANTS.values())).T
    start = np.clip(np.log([max(getattr(library, name), 1e-12) for name in CONSTANTS]), low + 0.1, high - 0.1)
    found = least_squares(
        errors, start, bounds=(low, high), loss="soft_l1", f_scale=SOFT, diff_step=calibration.STEP, max_nfev=30
    )
    return moved(found.x)


def fit(
    library: KernelLibrary, devices: Iterable[str], folds: int, progress: Callable[[str], None] | None = None
) -> tuple[KernelLibrary, dict[str, tuple[float, float]], str]:
    """Fit a library's experts; as ``calibration.libraries.fit``, which says what is returned.

    Parameters
    ----------
    library : KernelLibrary
    devices : iterable of str
    folds : int
        Parts of the rows that are fitted apart where one device alone has any.
    progress : callable, optional
        Told what is being fitted.
    """
    rows = training_rows(library, devices)
    if not rows:
        return library, {}, ""
    if progress:
        progress(f"{library.name}: {', '.join(rows)}")
    every = [part for parts in rows.values() for part in parts]
    found = solve(library, every)
    alone = list(rows.values())
    if len(alone) == 1:
        alone = [[part.at(np.arange(len(part.frame)) % folds == fold) for part in every] for fold in range(folds)]
    others = [found, *(solve(found, parts) for parts in alone)]
    spans = {
        name: (min(getattr(each, name) for each in others), max(getattr(each, name) for each in others))
        for name in CONSTANTS
    }
    over = "each of them alone" if len(rows) > 1 else f"{folds} parts of them"
    told = f"{sum(len(part.frame) for part in every)} training rows of {', '.join(rows)}; range over {over}"
    return found, spans, told
