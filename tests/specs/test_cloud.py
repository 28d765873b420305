"""Shipped instances name what is shipped."""

from __future__ import annotations

import pytest

from accelmodel.specs.load import available, load


@pytest.mark.parametrize("name", available("instance"))
def test_instance_names_a_device_and_a_link(name):
    instance = load("instance", name)
    assert instance.device in available("device")
    assert instance.link in available("link")
    assert load("link", instance.link).devices >= instance.devices
    assert bool(instance.disk) == bool(instance.disk_bandwidth)
