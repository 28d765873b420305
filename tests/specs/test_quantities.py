"""What a number may be: finite, within the bounds of its field, one or several; nothing else passes the border."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.errors import SpecError
from accelmodel.specs import quantities
from accelmodel.specs.base import field_types
from accelmodel.specs.load import TYPES
from accelmodel.specs.quantities import Quantity, one, several

#: what is no number, or none that a float holds
NO_NUMBERS = (
    math.nan, math.inf, -math.inf, 10**400, -(10**400), True, None, "1", "104MB", b"1", 1j, {}, object(), [1, "a"], [],
    [1, 10**400], [[1, 2], [3]], np.array(["a"]), np.array([[1, 2]]), np.float64("nan"), np.bool_(True),
    xr.DataArray([1.0, math.nan], dims="x"), xr.DataArray(["a"], dims="x"), xr.DataArray([], dims="x"),
)  # fmt: skip


@pytest.mark.parametrize("value", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
@pytest.mark.parametrize("read", [one, several])
def test_what_is_no_number_is_refused_in_a_line(read, value):
    with pytest.raises(SpecError) as told:
        read("batch", value, Quantity())
    assert str(told.value).startswith("batch: ")
    assert len(str(told.value)) < 250


def test_numbers_of_every_kind_pass():
    for value in (4, 4.0, np.int8(4), np.float32(4), np.array(4), xr.DataArray(4.0)):
        assert one("batch", value, Quantity(ge=1.0, whole=True)) == 4.0
    for values in ([1, 2], (1, 2), np.array([1, 2]), xr.DataArray([1, 2], dims="x")):
        assert several("batch", values, Quantity()).tolist() == [1.0, 2.0]
    with pytest.raises(SpecError, match="batch: .* is an axis; give one number"):
        one("batch", [1, 2], Quantity())


def test_every_value_of_an_axis_is_whole_or_refused():
    with pytest.raises(ValueError, match=r"1\.5 must be a whole number"):
        Quantity(whole=True).check(xr.DataArray([1.0, 1.5, 2.0], dims="x"))


def test_zero_is_nothing_where_it_may_be_and_less_than_the_least_is_refused():
    price = Quantity("USD", ge=1e-2, le=1e7, or_zero=True)
    assert price.check(0) == 0.0
    with pytest.raises(ValueError, match=r"0\.001 USD must be at least 0\.01 USD or 0"):
        price.check(1e-3)
    with pytest.raises(ValueError, match="must be at least"):
        price.check(xr.DataArray([0.0, 1e-3, 1.0], dims="x"))


@pytest.mark.parametrize("kind", TYPES)
def test_every_field_has_both_ends_and_no_rate_is_almost_nothing(kind):
    for name, field in field_types(TYPES[kind][1]).items():
        quantity = field.quantity
        if quantity is None:
            continue
        assert quantity.ge is not None, name
        assert quantity.le is not None, name
        if quantity.unit in ("B/s", "FLOP/s", "1/s"):
            assert quantity.ge >= 1e3, name
            with pytest.raises(ValueError, match="must be at least"):
                quantity.check(1e-300)


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers())
def test_what_passes_lies_within_the_bounds(value):
    quantity = Quantity("B/s", ge=1e3, le=1e18)
    try:
        found = quantity.check(value)
    except ValueError:
        assert not (abs(value) < 2**1023 and 1e3 <= float(value) <= 1e18)
    else:
        assert 1e3 <= found <= 1e18


def test_bounds_are_told_in_units_that_people_read():
    with pytest.raises(ValueError, match="^999 B/s must be at least 1 kB/s$"):
        quantities.Quantity("B/s", ge=1e3).check(999)
