"""What an answer says of where weights and KV cache of a device lie."""

from __future__ import annotations

from accelmodel.specs.hardware import Device
from accelmodel.specs.memories import none


def second_memory(device: Device) -> str:
    """Return what a device's second memory is called."""
    return device.tier.name or "second memory"


def told(device: Device) -> list[str]:
    """Return what an answer must say of where weights and KV cache lie; nothing where that is HBM."""
    notes = []
    if none(device.hbm.capacity):
        notes.append(
            "no [hbm]: weights and KV cache lie in its SRAM, at l2.bandwidth x hbm.share; what is called HBM is that"
        )
    tier = device.tier
    if tier.holds:
        what = {"kv": "keys and values lie", "weights": "weights of layers lie", "experts": "routed experts lie"}
        where = "" if none(tier.compute) else ", where attention of decode steps is computed"
        notes.append(
            f"{what[tier.holds]} in its {second_memory(device)}{where}; their bytes are counted with those of HBM"
        )
    return notes
