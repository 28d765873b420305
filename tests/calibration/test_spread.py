"""Ends of intervals: nine tenths of all, each source alike, and none of them left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from accelmodel.calibration.spread import around, ends


def test_each_source_counts_the_same_whatever_its_rows():
    few, many = np.linspace(0.9, 1.1, 1001), np.linspace(0.9, 1.1, 100_001)
    for parts in ([few, many], [many, few]):
        assert ends(parts) == pytest.approx((0.91, 1.09), abs=1e-3)


def test_no_source_lies_beyond_an_end_with_more_than_it_may():
    """Nineteen sources that never err, and one that is always slow: nine tenths of all would leave it out."""
    exact, slow = np.ones(1000), np.linspace(1.8, 2.0, 1001)
    assert ends([*[exact] * 19, slow]) == pytest.approx((1.0, 1.985), abs=1e-3)
    assert ends([*[exact] * 39, slow], each=0.5) == pytest.approx((1.0, 1.9), abs=1e-3)


def test_few_rows_tell_less_of_the_ends():
    """Of ten rows the next one lies beyond the last on either side with probability 1/11, more than is left out."""
    assert ends([np.linspace(0.0, 1.0, 10)]) == (0.0, 1.0)


def test_residuals_are_told_by_precision():
    frame = pd.DataFrame({"bits": [8.0] * 50 + [16.0] * 50, "source": "one", "time": [2.0] * 50 + [3.0] * 50})
    eight, sixteen = around("matmul", frame, np.ones(100))
    assert (eight.bits, eight.lower, eight.upper, eight.rows) == (8.0, 2.0, 2.0, 50)
    assert (sixteen.bits, sixteen.lower, sixteen.upper) == (16.0, 3.0, 3.0)
