"""Names of answers have SI units and meanings, and no number that is not finite leaves."""

from __future__ import annotations

import json
import math
import re

import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.errors import Infeasible
from accelmodel.nomenclature import NOMENCLATURE, label, need_finite
from accelmodel.symbols import unit_factor


def test_units_of_the_nomenclature_are_si():
    """Bits and their likes count, and prices are those of a million tokens; below a slash may be a product."""
    for name, term in NOMENCLATURE.items():
        for symbol in re.split(r"[/ ()]+", term.unit):
            assert symbol in ("", "bit", "Mtoken") or unit_factor(symbol)[1] == 1.0, name
        assert term.meaning, name


def test_a_dataset_is_described_and_what_a_coordinate_says_stays():
    given = xr.DataArray([1.0, 2.0], dims="batch", coords={"batch": ("batch", [1, 2], {"units": "mine"}), "w": 3.0})
    found = label(xr.Dataset({"time": given * 2.0, "ttft": 1.0}))
    assert found.time.attrs == {"units": "s", "long_name": "time", "description": NOMENCLATURE["time"].meaning}
    assert found.ttft.attrs["units"] == "s"
    assert found.batch.attrs["units"] == "mine"
    assert found.batch.attrs["long_name"] == "batch"
    assert found.w.attrs == {}
    assert given.batch.attrs == {"units": "mine"}


def test_a_variable_without_an_entry_is_an_error():
    with pytest.raises(KeyError, match="dream"):
        label(xr.Dataset({"dream": 1.0}))


def test_no_number_that_is_not_finite_leaves_where_the_answer_is_feasible():
    data = {"time": ("batch", [1.0, math.nan]), "feasible": ("batch", [True, False])}
    assert label(xr.Dataset(data)).time.attrs["units"] == "s"
    with pytest.raises(Infeasible, match="time is nan: the question has no finite answer"):
        label(xr.Dataset({**data, "feasible": ("batch", [True, True])}))
    with pytest.raises(Infeasible, match="ttft is inf"):
        label(xr.Dataset({"ttft": math.inf}))


@given(st.recursive(st.floats() | st.none() | st.text() | st.booleans() | st.integers(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_the_guard_is_as_strict_as_json(answer):
    try:
        json.dumps(answer, allow_nan=False)
    except ValueError:
        with pytest.raises(Infeasible):
            need_finite(answer)
    else:
        need_finite(answer)
