"""Constants of measured links, carried over to a chip whose link was not measured: what is the library's, what its own.

A collective library starts, and hands on a chunk, by chains of accesses of which each waits for the one before: to its
work, its peers' addresses, flags in its own memory and over the link.  They last so many clocks, whatever the link.  On
a chip of two dies they take ``CROSSING`` times as many: half of what is accessed lies on the other die.  Shares of
bandwidth are the library's and the protocol's, and carry over as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from accelmodel.calibration import fit
from accelmodel.specs.hardware import Cluster, Device

#: clocks of a chain of accesses on two dies over those on one: kernels that do nothing but start take 1.4 times as
#: long on a B200 as on an H100 or H200 (``launch_time`` of the three, fitted to kernels that use no link)
CROSSING = 1.5
#: constants that are a number of clocks
CLOCKED = ("link.start_up", "link.hop_latency")
#: constants of a link that say nothing of another topology
OF_WIRES = ("link.hop_latency", "link.share", "link.switch_share")


def clocks(device: Device) -> float:
    """Return clocks of a chain of accesses in a second, of a chip of one die [1/s].

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> clocks(load("device", "a100-sxm-80gb")) == load("device", "a100-sxm-80gb").compute.clock
    True
    """
    return float(device.compute.clock) / (CROSSING if np.asarray(device.dies).max() > 1.0 else 1.0)


def carried(device: Device, topology: str, name: str, others: Iterable[Cluster]) -> float | None:
    """Return a constant of a link by its name in ``fit.CONSTANTS``, from measured links, each of the same weight.

    None where they say nothing of it: of the wires of another topology, or of a switch that adds up where none does.
    """
    known = list({other.link.name: other for other in others}.values())
    if name in OF_WIRES and topology not in fit.TOPOLOGIES:
        return None
    if name == "link.switch_share":
        known = [other for other in known if "in-switch" in other.link.algorithms]
    if not known:
        return None
    values = np.array([fit.constant(other, name) for other in known])
    if name in CLOCKED:
        values = values * np.array([clocks(other.device) for other in known]) / clocks(device)
    return float(np.exp(np.mean(np.log(values))))
