"""What a design takes of energy: that of its reference, but for what the files of its own parts say.

A byte of another memory, or of another link, takes as much more as its stack or PHY draws for it at full rate; so does
one that crosses between more dies.  Power at rest goes with the design's power, and that is the limit it keeps to.
"""

from __future__ import annotations

from typing import Any

from accelmodel.costs.parts import Parts
from accelmodel.errors import SpecError
from accelmodel.laws.numeric import Number, most
from accelmodel.laws.packaging import crossing
from accelmodel.specs.base import with_values
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.memories import none
from accelmodel.specs.silicon import Memory, Phy


def of_part(part: Memory | Phy) -> Number:
    """Return what a byte takes in a stack and its PHY, or in both ends of a link, at full rate [J/B].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> round(of_part(load("memory", "hbm3e")) * 1e12, 1)
    30.9
    """
    return part.power / part.bandwidth


def with_part(device: Device, field: str, before: Memory | Phy | None, after: Memory | Phy | None) -> Device:
    """Return the device with the energy of a byte, ``hbm`` or ``link``, as another memory or link takes it.

    The way over the die is left as it is; what is not known stays so.
    """
    taken = getattr(device.energy, field)
    if before is None or after is None or none(taken):
        return device
    return _with_energy(device, field, taken + of_part(after) - of_part(before))


def with_dies(device: Device, parts: Parts, dies: Number) -> Device:
    """Return the device with the energy of a byte of memory as it crosses between so many dies, not of base dies."""
    taken = device.energy.hbm
    if none(taken) or not none(parts.bill.base_dies):
        return device
    more = crossing(1.0, dies) - crossing(1.0, parts.device.dies)
    return _with_energy(device, "hbm", taken + more * of_part(parts.joint))


def _with_energy(device: Device, field: str, value: Any) -> Device:
    return with_values(device, {f"energy.{field}": most(value, 0.0)})


def limited(cluster: Cluster, reference: Parts, power: Number) -> Cluster:
    """Return the cluster with the power that its bill states as its limit, and its power at rest in proportion.

    Parameters
    ----------
    cluster : Cluster
    reference : Parts
        The chip that the design starts from.
    power : float or DataArray
        Of the design by its bill [W].

    Raises
    ------
    SpecError
        If the energy of the device is not known.
    """
    device, energy = reference.device, cluster.device.energy
    if none(energy.flop_16bit):
        raise SpecError(f"device {device.name}: energy is not known, so no joules per token; add [energy] to its file")
    static = energy.static * (power / device.power)
    return with_values(cluster, {"device": with_values(cluster.device, {"power": power, "energy.static": static})})
