"""A unit that is a thousand times too large is doubted in what chips are made of; nothing that ships is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelmodel.specs.load import available, load
from accelmodel.specs.plausible_parts import DOUBTS

KINDS = ("memory", "phy", "site", "process")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_ships_is_doubted(kind):
    for name in available(kind):
        assert DOUBTS[kind](load(kind, name)) == ()


@pytest.mark.parametrize(
    ("kind", "name", "field", "factor"),
    [
        ("memory", "hbm3e", "power", 1e3),
        ("memory", "hbm3e", "bandwidth", 1e3),
        ("phy", "phy-nvlink4", "bandwidth", 1e3),
        ("site", "data-centre", "host_power", 1e3),
        ("process", "n4", "sram_area", 1e2),
        ("process", "n4", "wafer_price", 1e-2),
    ],
)
def test_a_wrong_unit_is_doubted(kind, name, field, factor):
    spec = load(kind, name)
    (note,) = DOUBTS[kind](replace(spec, **{field: factor * getattr(spec, field)}))
    assert field in note or "power and bandwidth" in note or "power / bandwidth" in note
