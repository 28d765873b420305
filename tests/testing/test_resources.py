"""What more of a field is: every number of a device and a link is better, worse, or neither with a reason."""

from __future__ import annotations

import pytest

from accelmodel.specs.base import field_types
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.testing.resources import NEITHER, OF_DEVICE, OF_LINK, more, resources


@pytest.mark.parametrize(("kind", "signs"), [(Device, OF_DEVICE), (Link, OF_LINK)])
def test_every_number_is_a_resource_or_says_why_not(kind, signs):
    numbers = {name for name, each in field_types(kind).items() if each.quantity}
    assert numbers <= signs.keys() | NEITHER.keys()
    assert signs.keys() <= numbers
    assert not signs.keys() & NEITHER.keys()


def test_more_by_hand():
    chips = cluster("h100-sxm")
    assert more(chips, "device.hbm.bandwidth", 2.0) == {"device.hbm.bandwidth": 6.7e12}
    assert more(chips, "link.start_up", 4.0) == {"link.start_up": chips.link.start_up / 4.0}
    # shares end at 1
    assert more(chips, "device.l2.usable", 2.0) == {"device.l2.usable": 1.0}


def test_nothing_is_made_worse_by_its_bounds():
    chips = cluster(load("device", "h100-sxm"), link=override(load("link", "hccs-mesh-8"), barrier=0.5))
    assert more(chips, "link.barrier", 2.0) == {"link.barrier": 0.5}
    assert all(name.partition(".")[0] in ("device", "link", "scale_out") for name in resources(chips))
