"""A device with other cores: what cores bring scales with them, all else stays."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs.base import field_units, value_of
from accelmodel.specs.cores import PER_CORE, with_clock, with_cores


@pytest.mark.parametrize(("changed", "field"), [(with_cores, "compute.cores"), (with_clock, "compute.clock")])
def test_half_of_it_brings_half_of_what_cores_bring(changed, field):
    device = am.load("device", "h100-sxm")
    half = changed(device, value_of(device, field) / 2.0)
    for name in field_units(type(device)):
        before = value_of(device, name)
        assert value_of(half, name) == (0.5 * before if name in (*PER_CORE, field) else before), name


def test_cores_that_no_chip_has_are_refused():
    with pytest.raises(SpecError, match="cores"):
        with_cores(am.load("device", "h100-sxm"), 0.5)
