"""Ranges of a study's file: steps, anything between, integers, words; what is none is refused by its name."""

from __future__ import annotations

import numpy as np
import pytest

from accelmodel.dse.studies.ranges import Range, flattened
from accelmodel.errors import SpecError


@pytest.mark.parametrize(
    ("axis", "given", "values"),
    [
        ("l2.capacity", {"values": ["8MB", "4MB"]}, [4e6, 8e6]),
        ("l2.capacity", {"from": "8MB", "to": "10MB", "step": "1MB"}, [8e6, 9e6, 10e6]),
        ("cores", {"from": 4, "to": 7}, [4, 5, 6, 7]),
        ("cores", {"values": [24, "16"]}, [16, 24]),
        ("matmul.exposed", {"from": 0, "to": 1, "step": 0.5}, [0.0, 0.5, 1.0]),
        ("l2.capacity", {"from": "1MB", "to": "100MB", "log": True, "places": 3}, [1e6, 1e7, 1e8]),
    ],
)
def test_values(axis, given, values):
    found = Range.model_validate(given).axis(axis)
    np.testing.assert_allclose(found.values, values)
    assert (found.low, found.high) == (pytest.approx(values[0]), pytest.approx(values[-1]))


def test_without_a_step_anything_between_may_be():
    found = Range.model_validate({"from": "1us", "to": "100us", "log": True}).axis("link.start_up")
    assert found.values is None
    assert found.log
    assert (found.low, found.high) == (pytest.approx(1e-6), pytest.approx(1e-4))
    assert len(found.grid) == found.places


def test_words_stay_in_their_order():
    found = Range.model_validate({"values": ["n7", "n5"]}).axis("process")
    assert (found.kind, found.values, found.grid) == ("word", ["n7", "n5"], ["n7", "n5"])


@pytest.mark.parametrize(
    ("axis", "given", "says"),
    [
        ("process", {"values": ["n7", "n55"]}, "space.process: unknown process 'n55'"),
        ("process", {"from": "n5", "to": "n7"}, "space.process: is a word"),
        ("process", {"values": ["n7", "n7"]}, "all different"),
        ("process", {"values": [7]}, "is no word"),
        ("l2.capacity", {"values": [8e6]}, "space.l2.capacity.values.0: '8000000.0' has no unit"),
        ("l2.capacity", {"from": "8MB", "to": "4MB"}, "not an ascending range"),
        ("l2.capacity", {"from": "8MB", "to": "16MB", "step": "1MB", "log": True}, "log and places are of a range"),
        ("matmul.exposed", {"from": 0.5, "to": 2.0}, "at most 1"),
        ("matmul.exposed", {"from": 0, "to": 1.0, "log": True}, "log needs a range above 0"),
        ("cores", {"from": 1.5, "to": 3}, "give whole numbers"),
        ("dies", {"values": ["2MB"]}, "space.dies: '2MB' is in B, expected 1"),
    ],
)
def test_what_is_no_range_is_refused(axis, given, says):
    with pytest.raises(SpecError) as caught:
        Range.model_validate(given).axis(axis)
    assert says in str(caught.value)


def test_tables_inside_tables_are_dotted_names():
    found = flattened({"link": {"inside": {"1": {"share": {"values": [0.5]}}}}, "process": {"values": ["n5"]}})
    assert found == {"link.inside.1.share": {"values": [0.5]}, "process": {"values": ["n5"]}}
