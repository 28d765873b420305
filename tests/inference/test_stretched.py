"""Errors of kinds of operators along an axis: each point as if it were asked alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.intervals import KINDS
from accelmodel.inference.step import prepare, totals
from accelmodel.inference.stretched import stretched


@pytest.fixture(scope="module")
def inputs():
    work = am.workload(phase="decode", batch=[1, 4], context=4096, tp=8)
    chip = am.override(am.load("device", "ascend-910b2"), {"l2.capacity": xr.DataArray([8e6, 104e6], dims="draw")})
    return prepare(am.load("model", "llama-3-8b"), am.cluster(chip), work)


def test_each_point_of_an_axis_is_as_if_asked_alone(inputs):
    factors = {
        "matmul": xr.DataArray([0.7, 1.3], dims="draw"),
        "collective": xr.DataArray([2.0, 0.5, 1.0], dims="other"),
    }
    together = totals(stretched(inputs, factors), "preserve").step_time
    assert set(together.dims) == {"batch", "draw", "other"}
    for i, matmul in enumerate(factors["matmul"].values):
        for j, collective in enumerate(factors["collective"].values):
            alone = stretched(inputs, {"matmul": float(matmul), "collective": float(collective)})
            expected = totals(alone, "preserve").step_time.isel(draw=i)
            found = together.isel(draw=i, other=j).transpose("batch")
            np.testing.assert_allclose(found, expected.transpose("batch"), rtol=1e-12)


def test_all_kinds_twice_as_long_are_a_step_twice_as_long(inputs):
    plain, twice = totals(inputs), totals(stretched(inputs, dict.fromkeys(KINDS, 2.0)))
    np.testing.assert_allclose(twice.step_time, 2.0 * plain.step_time, rtol=1e-12)


def test_factors_of_one_change_nothing(inputs):
    same = totals(stretched(inputs, dict.fromkeys(KINDS, xr.DataArray([1.0, 1.0], dims="draw"))), "preserve")
    np.testing.assert_array_equal(
        same.step_time.transpose("batch", "draw"), totals(inputs, "preserve").step_time.transpose("batch", "draw")
    )


def test_a_kind_that_is_not_known_is_refused(inputs):
    with pytest.raises(SpecError, match="unknown kind of operator 'matmuls', did you mean 'matmul'"):
        stretched(inputs, {"matmuls": 2.0})
