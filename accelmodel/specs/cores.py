"""A device with other cores: another number of the same kind, or another clock."""

from __future__ import annotations

from typing import Any

from accelmodel.laws.numeric import Number
from accelmodel.specs.base import value_of
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Device

#: what cores bring
PER_CORE = (
    "compute.peak_16bit", "compute.peak_8bit_int", "compute.peak_8bit_float", "compute.peak_6bit",
    "compute.peak_4bit", "compute.peak_4bit_int", "compute.vector_rate", "l2.bandwidth",
)  # fmt: skip


def with_cores(device: Device, cores: Number | str) -> Device:
    """Return the device with another number of cores of the same kind; what cores provide scales with them."""
    more = override(device, {"compute.cores": cores}).compute.cores / device.compute.cores
    return _scaled(device, more, {"compute.cores": cores})


def with_clock(device: Device, clock: Number | str) -> Device:
    """Return the device at another clock; what cores provide scales with it."""
    faster = override(device, {"compute.clock": clock}).compute.clock / device.compute.clock
    return _scaled(device, faster, {"compute.clock": clock})


def _scaled(device: Device, factor: Number, changes: dict[str, Any]) -> Device:
    return override(device, {**changes, **{name: value_of(device, name) * factor for name in PER_CORE}})
