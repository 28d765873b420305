"""The affine correction of times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.cloud.ctcf import apply, fit, mean_error
from accelmodel.cloud.infersave import Ctcf
from accelmodel.errors import SpecError


@given(st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
@settings(max_examples=30)
def test_affine_fit_finds_the_line_and_agrees_with_numpy(alpha, beta):
    x = np.array([0.5, 1.0, 2.0, 4.0])
    pair = fit(x, alpha * x + beta)
    assert (pair.alpha, pair.beta) == pytest.approx((alpha, beta), abs=1e-9)
    noisy = alpha * x + beta + np.array([0.1, -0.2, 0.05, 0.02])
    assert tuple(fit(x, noisy)) == pytest.approx(tuple(np.polyfit(x, noisy, 1)), abs=1e-9)


def test_affine_fit_needs_two_points():
    with pytest.raises(SpecError, match="at least two unlike points"):
        fit([1.0, 1.0], [1.0, 2.0])
    assert mean_error(apply(Ctcf(2.0, 1.0), [1.0]), [2.0]) == pytest.approx(0.5)
