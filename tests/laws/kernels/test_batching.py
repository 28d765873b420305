"""Tables of step times between the sizes that they hold."""

from __future__ import annotations

import numpy as np

from accelmodel.laws.kernels.batching import curve, surface


def test_tables_are_linear_between_powers_of_two_and_beyond():
    table = np.array([1.0, 2.0, 4.0, 8.0])
    assert [curve(table, x) for x in (0.0, 1.0, 1.5, 3.0, 6.0, 16.0)] == [0.0, 1.0, 1.5, 3.0, 6.0, 16.0]
    both = np.outer(table, table)
    assert surface(both, 3.0, 6.0) == 18.0
    assert surface(both, 0.0, 6.0) == 0.0
