"""Rules: comparisons by value, nothing executed, what has no number is beyond."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.dse.studies.rules import read_rule
from accelmodel.errors import SpecError

VALUES = {"hbm_stacks": 6.0, "dies": 2.0, "cores": 100.0, "process": "n5", "price": 3000.0}


@pytest.mark.parametrize(
    ("text", "excess"),
    [
        ("hbm.stacks <= 2 * dies", 0.5),
        ("hbm.stacks <= 3 * dies", 0.0),
        ("2 <= dies <= 1", 1.0),
        ("price >= 6000", 0.5),
        ("price > 3000", 1e-12),
        ("process == 'n5'", 0.0),
        ("process != 'n5'", 1.0),
        ("process == 'n7' or cores >= 50", -1.0),
        ("process == 'n5' and cores >= 200", 0.5),
        ("max(cores, 1, 2) % 7 == 2", 0.0),
        ("abs(-cores) // 3 <= 33", 0.0),
        ("dies / 0 <= 1", 1e9),
    ],
)
def test_distances_by_hand(text, excess):
    assert float(read_rule("r", text, ["price"]).excess(VALUES)) == pytest.approx(excess)


@pytest.mark.parametrize(
    "text",
    [
        "", "hbm.stacks", "1 +", "hbm.stacks <= ", "__import__('os').system('true') == 0", "[1][0] <= 1",
        "cores.real <= 1",
        "(lambda: 1)() <= 1", "cores <= 'n5'", "cores if 1 else 2", "not cores <= 1", "wheels <= 4", "open('x') <= 1",
        "max(*[1, 2]) <= 3", "cores <= 1e200", "cores <= 1" + " + 1" * 300, "f'{cores}' == 'x'", "cores in (1, 2)",
        "True <= cores", "cores := 1",
    ],
)  # fmt: skip
def test_anything_else_is_refused_naming_the_rule(text):
    with pytest.raises(SpecError, match=r"^rules\.mine: "):
        read_rule("mine", text, ["price"])


@given(st.text(alphabet="acordse.0123456789<>=+-*/() 'n", max_size=40))
def test_any_text_is_a_rule_or_refused(text):
    try:
        rule = read_rule("r", text, ["price"])
    except SpecError:
        return
    assert np.isfinite(rule.excess({**dict.fromkeys(rule.names, 2.0), **VALUES}))


def test_over_chips():
    stacks = xr.DataArray([2.0, 4.0, 8.0], dims="design")
    found = read_rule("r", "hbm_stacks <= 2 * dies", []).excess({"hbm_stacks": stacks, "dies": 2.0})
    np.testing.assert_allclose(found, [-0.5, 0.0, 1.0])
