"""Fitting what a framework's own kernels of products do otherwise, over all devices at once.

A library's constants are relative to those of the device, so that one set serves all of them.  Only training rows
are seen (``silicon.training``), as many of each device, so that each counts the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np

from accelmodel import accuracy, calibration, kernels, measured_products, silicon
from accelmodel.library import cluster, load, override
from accelmodel.specs import KernelLibrary

#: constant → span in which it makes sense
CONSTANTS = {
    "matrix_factor": (0.3, 1.3),
    "slice_factor": (0.5, 10.0),
    "passes": (0.3, 6.0),
    "row_time": (1e-11, 2e-8),
}
#: training rows of each device
ROWS = 1500


def fit(library: KernelLibrary, devices: Iterable[str] | None = None) -> KernelLibrary:
    """Return the library with the constants that fit the training rows of devices best.

    Parameters
    ----------
    library : KernelLibrary
        Gives framework, precision and what is not fitted.
    devices : iterable of str, optional
        Those that constants were fitted to, unless given.

    Notes
    -----
    As ``calibration.solve``: soft-L1 least squares of the logarithmic error.  The files of ``hwspecs/kernels`` were
    fitted with the constants of the devices in place: ``fit(load("library", name))``.
    """
    from scipy.optimize import least_squares

    parts = []
    for name in accuracy.fitted() if devices is None else devices:
        chip = cluster(load("device", name))
        frame, _ = silicon.rows(chip.device, "matmul")
        ours = frame["source"].str.startswith(library.framework) & (frame["bits"] == library.bits)
        frame = frame[np.asarray(silicon.training(frame, "matmul")) & ours]
        if len(frame):
            frame = frame.sample(min(len(frame), ROWS), random_state=0)
            warm = measured_products.warmth(frame, calibration.columns("matmul", frame), chip.device)
            m, n, k, time = (frame[column].to_numpy(dtype=float) for column in ("m", "n", "k", "time"))
            parts.append((m, n, k, chip, warm, time))

    def moved(x: np.ndarray) -> KernelLibrary:
        return cast(KernelLibrary, override(library, **dict(zip(CONSTANTS, map(float, np.exp(x)), strict=True))))

    def errors(x: np.ndarray) -> np.ndarray:
        near = moved(x)
        return np.concatenate(
            [np.log(kernels.library_times(m, n, k, near, chip, warm) / time) for m, n, k, chip, warm, time in parts]
        )

    low, high = np.log(list(CONSTANTS.values())).T
    start = np.clip(np.log([max(getattr(library, name), 1e-12) for name in CONSTANTS]), low + 0.1, high - 0.1)
    found = least_squares(
        errors, start, bounds=(low, high), loss="soft_l1", f_scale=calibration.SOFT, diff_step=calibration.STEP,
        max_nfev=30,
    )  # fmt: skip
    return moved(found.x)
