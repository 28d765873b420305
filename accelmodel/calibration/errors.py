"""How far predictions are from measurements, in five numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration import fit
from accelmodel.calibration.carried import carried
from accelmodel.laws.energy import moved_joules, stated_energy, sustained_clock
from accelmodel.measured import aiconfigurator
from accelmodel.measured.aiconfigurator import link_of
from accelmodel.specs.derive import left
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import load

if TYPE_CHECKING:
    pass

#: names of precisions
PRECISIONS = {16.0: "16 bit", 8.0: "8 bit", 4.0: "4 bit"}


def statistics(predicted: Any, measured: Any) -> dict[str, float]:
    """Return median, mean and 90th percentile of the absolute relative error, and the median signed one [1]."""
    error = np.asarray(predicted) / np.asarray(measured) - 1.0
    size = np.abs(error)
    return {
        "n": len(size),
        "median_ape": float(np.median(size)),
        "mean_ape": float(np.mean(size)),
        "p90_ape": float(np.quantile(size, 0.9)),
        "bias": float(np.median(error)),
    }


def fitted() -> list[str]:
    """Return the measured devices to whose kernels constants were fitted; the others are there to be predicted."""
    return [name for name in aiconfigurator.SYSTEMS if load("device", name).residuals]


#: generations of one maker, in order: the nearest is one step away; cards without tensor memory stand by themselves
GENERATIONS = ("Turing", "Ampere", "Ada", "Blackwell RTX", "Hopper", "Blackwell")


#: share of the matrix peak that kernels reach where power is ample, and the least energy of an operation that a chip
#: which sustains its clock is taken to show [J/FLOP]
EFFICIENCY, _LEAST_ENERGY = 0.95, 1e-15

#: constants that depend on the generation little: where it has no other fitted device, all others stand for it
LATENCIES = ("attention_time", "attention_tile_time", "combine_time")


def _nearest(device: Device, others: list[Cluster]) -> list[Cluster]:
    """Return those of the same generation, else of the one before, else of the one after, and so on."""
    place = GENERATIONS.index(device.architecture)

    def distance(other: Cluster) -> float:
        steps = GENERATIONS.index(other.device.architecture) - place
        return abs(steps) + (0.5 if steps > 0 else 0.0)

    nearest = min(distance(other) for other in others)
    return [other for other in others if distance(other) == nearest]


def _beside(device: Device, others: list[Cluster]) -> list[Cluster]:
    """Return those of the same generation, else of the nearest before and of the nearest after."""
    place = GENERATIONS.index(device.architecture)
    steps = [GENERATIONS.index(other.device.architecture) - place for other in others]
    if 0 in steps:
        return [other for other, step in zip(others, steps, strict=True) if step == 0]
    before, after = max((s for s in steps if s < 0), default=None), min((s for s in steps if s > 0), default=None)
    return [other for other, step in zip(others, steps, strict=True) if step in (before, after)]


def _of_limit(device: Device) -> tuple[Any, ...]:
    """Return what the clock under a power limit follows from: rate and clock, energy of bytes and what is left."""
    tiles = device.matmul
    moved = moved_joules((tiles.tile_m, tiles.tile_n, tiles.multicast), device.energy.l2, device.energy.hbm)
    rate = EFFICIENCY * device.compute.peak_16bit
    return rate, device.compute.clock, moved, left(float(device.power), float(device.energy.static))


def _sustained(device: Device, others: list[Device]) -> float:
    """Return the share of the matrix peak that a device sustains where an operation takes the energy that others show.

    The mean over generations, as the energy falls from one to the next.

    A share is of a chip under its own limit and tells little of another; the energy of an operation behind it does.
    """
    shown: dict[str, list[float]] = {}
    for other in others:
        rate, clock, moved, available = _of_limit(other)
        share = min(float(other.compute.matrix_share) / EFFICIENCY, 1.0)
        energy = max(float(stated_energy(rate, clock, share, moved, available)), _LEAST_ENERGY)
        shown.setdefault(other.architecture, []).append(np.log(energy))
    rate, clock, moved, available = _of_limit(device)
    energy = float(np.exp(np.mean([np.mean(each) for each in shown.values()])))
    return EFFICIENCY * float(sustained_clock(rate, clock, energy, moved, available))


def transferred(device: Device) -> tuple[Cluster, str]:
    """Return a device with the constants of others of the nearest architecture instead of its own, and their names.

    The nearest are the fitted devices of the same generation, else of the one before, else of the one after; of
    several the geometric mean is taken, of the share of the matrix peak that of the energy behind it.  ``LATENCIES``
    are those of the same generation, else of all other devices.
    Constants of its link are those of all other measured links, moved to its clock and dies (``carried``), but where
    a device of the same generation was measured, and this one was not.
    """
    bare = cluster(load("device", device.name, fitted=False), link=load("link", link_of(device), fitted=False))
    measured = (load("device", name) for name in fitted() if name != device.name)
    others = [cluster(other, link=link_of(other)) for other in measured]
    foreign = [other for other in others if other.link.name != bare.link.name or not device.residuals]
    switched = [other for other in foreign if other.link.topology in fit.TOPOLOGIES]
    near, linked = _nearest(device, others), _nearest(device, switched)
    related = near[0].device.architecture == device.architecture
    same = linked[0].device.architecture == device.architecture
    means = {}
    told = (name for fields in fit.CONSTANTS.values() for name in fields if name != fit.CONTENTION)
    for name in told:
        if name.startswith("link."):
            found = carried(device, bare.link.topology, name, linked if same else switched)
            if found is not None:
                means[name] = found
            continue
        own = [fit.constant(other, name) for other in (others if name in LATENCIES and not related else near)]
        means[name] = float(np.exp(np.mean(np.log(own))))
    means["matrix_share"] = _sustained(bare.device, [each.device for each in _beside(device, others)])
    return fit.placed(bare, means), ", ".join(other.device.name for other in near)
