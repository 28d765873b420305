"""numpy's functions under the names that say what they take: what comes in along axes goes out along them."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from accelmodel.laws import numeric

AXIS = xr.DataArray([1.5, 4.0], dims="batch", coords={"batch": [1, 2]})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (numeric.ceil(AXIS), [2.0, 4.0]),
        (numeric.rint(AXIS), [2.0, 4.0]),
        (numeric.sqrt(AXIS * AXIS), [1.5, 4.0]),
        (numeric.least(AXIS, 2.0), [1.5, 2.0]),
        (numeric.most(2.0, AXIS), [2.0, 4.0]),
    ],
)
def test_axes_stay(found, expected):
    xr.testing.assert_identical(found, xr.DataArray(expected, dims="batch", coords={"batch": [1, 2]}))


def test_a_float_gives_a_float():
    assert isinstance(numeric.ceil(1.5), float)
    assert numeric.least(3.0, 2.0) == 2.0
    assert numeric.most(3.0, 2.0) == 3.0


def test_only_an_axis_has_axes():
    assert numeric.has_axes(AXIS)
    assert not numeric.has_axes(1.0)
    assert not numeric.has_axes(np.array([1.0]))


def test_a_specification_is_read_without_xarray():
    code = (
        "import sys; from accelmodel.specs.load import load; load('device', 'h100-sxm'); print('xarray' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"
