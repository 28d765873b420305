"""What a number without a unit was most likely meant to have."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from accelmodel.symbols import _WRITTEN, meant, unit_factor, written


@given(st.sampled_from(sorted(_WRITTEN)), st.floats(1e-3, 1e6), st.floats(1e-12, 1e18))
def test_what_is_written_is_of_the_unit_and_nearest_to_what_it_is_now(unit, number, near):
    shown = written(number, unit, near)
    digits = f"{number:.12g}"
    assert shown.startswith(digits)
    dimension, factor = unit_factor(shown.removeprefix(digits))
    assert dimension == unit
    others = [unit_factor(each)[1] for each in _WRITTEN[unit][1]]
    assert abs(math.log(number * factor / near)) <= min(abs(math.log(number * each / near)) for each in others) + 1e-9


def test_other_letters_stand_for_nothing():
    assert meant(1.0, "parsec", "B") == ""
    assert meant(1.0, "tb/S", "B/s") == "1TB/s"
