"""Constants that files take over from fits: lines are found by section, values come in the unit of the file."""

from __future__ import annotations

import numpy as np
import pytest

from accelmodel.calibration import taken_over
from accelmodel.errors import SpecError
from accelmodel.measured import aiconfigurator
from accelmodel.specs.base import value_of
from accelmodel.specs.find import path_of
from accelmodel.specs.load import load

TEXT = """[attention]
time = { value = 7.8, unit = "us", kind = "assumed", range = [3, 13] }

[rows]
time = { value = 1, unit = "us", kind = "assumed", range = [1, 2] }
"""


def test_a_line_is_found_by_its_section():
    found = taken_over.stated(TEXT, "rows.time", 1.5e-6)
    assert found == TEXT.replace("value = 1,", "value = 1.5,")


def test_a_range_follows_a_value_that_left_it():
    found = taken_over.stated(TEXT, "attention.time", 2e-6)
    assert 'time = { value = 2, unit = "us", kind = "assumed", range = [2, 13] }' in found
    given = taken_over.stated(TEXT, "attention.time", 5e-6, (4e-6, 6e-6))
    assert "value = 5," in given
    assert "range = [4, 6]" in given


def test_a_field_that_is_not_stated_is_named():
    with pytest.raises(SpecError, match=r"matmul\.fill_time is not stated"):
        taken_over.stated(TEXT, "matmul.fill_time", 1e-6)


def test_factors_take_their_place_by_kind_and_new_ones_come_first():
    text = '# head\n\n[[residual]]\nkind = "row"\nlower = 0.8\nupper = 1.4\n'
    assert "lower = 0.7\n" in taken_over.told(text, {"row": (0.7, 1.4)})
    both = taken_over.told(text, {"mla decode": (0.5, 2.0)})
    assert both.count("[[residual]]") == 2
    assert 'kind = "row"\nlower = 0.8' in both


@pytest.mark.parametrize("place", taken_over.TAKEN, ids="/".join)
def test_files_hold_what_fits_show(place):
    """A refit that was not carried on by ``accelmodel calibrate --shared`` is found here."""
    text = path_of(*place).read_text(encoding="utf-8")
    for field, value in taken_over.values(*place).items():
        assert taken_over.stated(text, field, value) == text, field


def test_experts_of_devices_are_those_of_a_library():
    library = load("library", taken_over.EXPERTS)
    for name in taken_over.EXPERT_FIELDS:
        device = value_of(load("device", "h100-sxm"), f"matmul.{name}")
        assert float(device) == pytest.approx(float(getattr(library, name)), rel=1e-3), name


@pytest.mark.skipif(not aiconfigurator.installed(), reason="pip install 'accelmodel[silicon]'")
def test_matmuls_over_heads_are_fitted_to_what_is_stated(warm):
    found, (low, high) = taken_over.group_fill()
    assert low <= found <= high
    assert found == pytest.approx(float(np.asarray(load("device", "h100-sxm").matmul.group_fill)), rel=0.01)
