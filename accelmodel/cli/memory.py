"""What an answer says of a device's memory: what is held, what is kept back, and the share that an engine takes."""

from __future__ import annotations

from dataclasses import replace

from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device, usable_memory
from accelmodel.inference.placement import whole_heads
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.memories import none
from accelmodel.specs.quantities import Quantity, one
from accelmodel.specs.workload import Workload
from accelmodel.units import show


def with_share(cluster: Cluster, share: float | None) -> Cluster:
    """Return the cluster with as much of its memory kept back as an engine leaves that takes a share of it.

    Raises
    ------
    SpecError
        If the share is not above 0 and at most 1, or the device has no memory beside its SRAM.
    """
    if share is None:
        return cluster
    device = cluster.device
    if none(device.hbm.capacity):
        raise SpecError(f"memory share: {device.name} has no [hbm], and of its SRAM nothing is kept back; leave it out")
    usable = usable_memory(device, one("memory share", share, Quantity(gt=0.0, le=1.0)))
    return replace(cluster, device=override(device, {"hbm.reserved": device.hbm.capacity - usable}))


def memory_data(model: LanguageModel, work: Workload, device: Device) -> dict[str, float]:
    """Return what the fullest device of a step without axes holds, and what it has and keeps back [B]."""
    held = memory_per_device(whole_heads(model, device, work), work)
    found = {f"{name}_bytes": float(size) for name, size in held.items()}
    memory = device.memory
    return {**found, "capacity_bytes": float(memory.capacity), "reserved_bytes": float(memory.reserved)}


def memory_in_words(found: dict[str, float]) -> str:
    """Return what ``memory_data`` tells, in one line."""
    sizes = {name.removesuffix("_bytes"): size for name, size in found.items()}
    room = sizes.pop("capacity") - sizes.pop("reserved")
    parts = ", ".join(
        f"{name.replace('kv_', 'KV ').replace('_', ' ')} {show(size, 'B')}" for name, size in sizes.items()
    )
    return f"memory per device {show(sum(sizes.values()), 'B')} of {show(room, 'B')}: {parts}"
