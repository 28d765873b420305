"""Names that are unknown are answered with those that were meant."""

from __future__ import annotations

import pytest

from accelmodel.errors import begun, unknown


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("h100", "'h100-sxm' or 'h100-pcie'"),
        ("H100-P", "'h100-pcie'"),
        ("h10-sxm", "'h100-sxm'"),
        ("l4", "'l4-x'"),
    ],
)
def test_who_was_meant(given, meant):
    assert f", did you mean {meant}?" in str(unknown("device", given, ["h100-sxm", "h100-pcie", "l4-x", "t4"]))


def test_nothing_and_too_many_mean_nobody():
    assert begun("", ["a"]) == []
    assert begun("a", [f"a{i}" for i in range(6)]) == []
    assert begun("a", [f"a{i}" for i in range(5)]) == [f"a{i}" for i in range(5)]
