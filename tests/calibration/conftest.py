"""A chip, and matmuls as it would run them if its constants were others: what a fit has to find."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import accelmodel as am
from accelmodel.calibration import fit as calibration


@pytest.fixture(scope="session")
def constants():
    return {"matrix_share": 0.7, "hbm_share": 0.8, "fill_time": 2e-6, "slice_clocks": 200.0}


@pytest.fixture(scope="module")
def chip(warm):
    return am.cluster(am.load("device", "h100-sxm", fitted=False))


@pytest.fixture(scope="module")
def matmuls(chip, constants):
    """Matmuls as a chip with the constants would run them, with an error of 2 %."""
    rng = np.random.default_rng(0)
    shapes = {name: 2.0 ** rng.integers(low, 14, 800) for name, low in (("m", 0), ("n", 6), ("k", 6))}
    frame = pd.DataFrame({**shapes, "bits": 16.0, "source": "given rows.csv"}).drop_duplicates(ignore_index=True)
    exact = calibration.predict("matmul", frame, calibration.placed(chip, constants))
    return frame.assign(time=exact * np.exp(rng.normal(0.0, 0.02, len(frame))))
