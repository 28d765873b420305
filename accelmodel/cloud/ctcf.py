"""Compute time calibration function of InferSave, equation (7): measured = alpha x predicted + beta, by least squares.

It repairs a constant factor and a constant overhead.  It cannot repair what is missing from the prediction: of
another model or another degree of parallelism it knows nothing, and a fit over few points may fall with size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelmodel.cloud.infersave import Ctcf
from accelmodel.errors import SpecError
from accelmodel.laws.numeric import Array


def line(predicted: Array, measured: Array) -> tuple[float, float]:
    """Return slope [1] and intercept [s] of measured over predicted times by ordinary least squares."""
    slope, intercept = np.polyfit(predicted, measured, 1)
    return float(slope), float(intercept)


def fit(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Ctcf:
    """Return the pair that minimises the sum of squared differences.

    Parameters
    ----------
    predicted, measured : array
        Times of at least two unlike points [s]; prefill and decode are to be fitted apart.

    Raises
    ------
    SpecError
        If there are fewer than two unlike predicted times.

    Examples
    --------
    >>> fit([1.0, 2.0, 3.0], [5.0, 7.0, 9.0])
    Ctcf(alpha=2.0, beta=3.0)
    """
    x = np.asarray(predicted, float)
    y = np.asarray(measured, float)
    if x.size != y.size or np.unique(x).size < 2:
        raise SpecError(f"{x.size} predicted and {y.size} measured times: give at least two unlike points, one for one")
    alpha, beta = line(x, y)
    return Ctcf(round(alpha, 12), round(beta, 12))


def apply(ctcf: Ctcf, predicted: npt.ArrayLike) -> Array:
    """Return calibrated times [s]."""
    times: Array = np.asarray(predicted, float)
    return ctcf.alpha * times + ctcf.beta


def mean_error(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> float:
    """Return the mean of |predicted / measured - 1| [1]."""
    return float(np.mean(np.abs(np.asarray(predicted, float) / np.asarray(measured, float) - 1.0)))
