"""Devices that the package cannot calibrate by itself."""

from __future__ import annotations

import pytest

from accelmodel.errors import SpecError
from accelmodel.validation import calibrated


def test_a_device_that_nobody_measured_needs_measurements():
    with pytest.raises(SpecError, match="--measurements"):
        calibrated.calibrate("ascend-910b2", None, None)
