"""A chip as a point of a design space: what an axis changes in the device, and what the chip costs.

Rates scale with what provides them: matrix, vector and L2 rates with cores, HBM bandwidth and capacity
with stacks, link bandwidth with links x bandwidth of one.
"""

from __future__ import annotations

from typing import Any

from accelmodel.dse.bill import bill
from accelmodel.dse.parts import Parts
from accelmodel.errors import SpecError
from accelmodel.laws.numeric import Number
from accelmodel.specs.base import value_of
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.memories import none

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


def design(parts: Parts, **axes: Number) -> tuple[Cluster, dict[str, Number]]:
    """Return the cluster of a chip, and its figures: area [m²], power [W], price [USD].

    Parameters
    ----------
    parts : Parts
    **axes
        ``cores`` [1], ``l2_capacity`` [B], ``hbm_stacks`` [1], ``links`` [1], ``link_bandwidth`` of one
        link [B/s]; floats or DataArrays.  What is not given stays as in the reference device.

    Returns
    -------
    tuple of (Cluster, dict)
        The figures are those of ``dse.bill``.  Area of a link grows with its bandwidth.
    """
    device, link = parts.device, parts.link
    cores, l2 = axes.get("cores", device.compute.cores), axes.get("l2_capacity", device.l2.capacity)
    stacks, links = axes.get("hbm_stacks", device.hbm.stacks), axes.get("links", link.links)
    lane = link.bandwidth / link.links
    one = axes.get("link_bandwidth", lane)
    lanes = links * one / lane
    chip = override(
        with_cores(device, cores),
        {
            "l2.capacity": l2,
            "hbm.stacks": stacks,
            "hbm.bandwidth": _of_stacks(device, device.hbm.bandwidth, stacks),
            "hbm.capacity": _of_stacks(device, device.hbm.capacity, stacks),
        },
    )
    wires = override(link, bandwidth=links * one, links=links)
    return cluster(chip, link=wires), bill(parts, cores, l2, stacks, lanes)


def _of_stacks(device: Device, whole: Number, stacks: Number) -> Number:
    """Return what so many stacks bring of what all of a device bring; a device without stacks keeps it."""
    if none(device.hbm.stacks):
        if not none(stacks):
            raise SpecError(f"hbm_stacks: {device.name} has no stacks of HBM; leave this axis out")
        return whole
    # along an axis some may be without: a range of stacks that begins at "not known"
    without = (device.hbm.stacks == 0.0) * 1.0
    return whole * (stacks + without) / (device.hbm.stacks + without)


def within(values: Any, limits: dict[str, float]) -> Any:
    """Return where all figures keep to their limits."""
    ok: Any = True
    for name, limit in limits.items():
        ok = ok & (values[name] <= limit)
    return ok
