"""How far predictions are from measurements, in five numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.measured import aiconfigurator as silicon
from accelmodel.specs.load import load

#: names of precisions
PRECISIONS = {16.0: "16 bit", 8.0: "8 bit", 4.0: "4 bit"}


def statistics(predicted: Any, measured: Any) -> dict[str, float]:
    """Return median, mean and 90th percentile of the absolute relative error, and the median signed one [1]."""
    error = np.asarray(predicted) / np.asarray(measured) - 1.0
    size = np.abs(error)
    return {
        "n": len(size),
        "median_ape": float(np.median(size)),
        "mean_ape": float(np.mean(size)),
        "p90_ape": float(np.quantile(size, 0.9)),
        "bias": float(np.median(error)),
    }


def fitted() -> list[str]:
    """Return the measured devices to whose kernels constants were fitted; the others are there to be predicted."""
    return [name for name in silicon.SYSTEMS if load("device", name).residuals]
