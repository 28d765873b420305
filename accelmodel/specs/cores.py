"""A device with another number of cores of the same kind."""

from __future__ import annotations

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
    scaled = {name: value_of(device, name) * more for name in PER_CORE}
    return override(device, {"compute.cores": cores, **scaled})
