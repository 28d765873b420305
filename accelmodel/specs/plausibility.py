"""What looks like a typing error in a device: notes beside an answer, never refusals.

Each check holds numbers of one file against each other; a chip may be odd and right.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from accelmodel import units
from accelmodel.laws.numeric import Number
from accelmodel.specs.base import value_of
from accelmodel.specs.hardware import Device
from accelmodel.specs.silicon import Process

#: how far the operations of a core and clock may lie from a power of two [1]
_POWER_OF_TWO = 0.06
#: what one stack of HBM to HBM4 holds [B] and moves [B/s]
_STACK_CAPACITY = (1e9, 69e9)
_STACK_BANDWIDTH = (100e9, 2.8e12)
_CLOCK = (0.2e9, 5e9)


def show(value: Number, unit: str) -> str:
    """Devices that are looked at have no axes, see ``doubts``."""
    return units.show(float(value), unit)


def _span(device: Device, name: str) -> tuple[float, float]:
    """Return the ends of a field's range, or twice its value."""
    fact = device.facts.get(name)
    value = value_of(device, name)
    return fact.range if fact is not None and fact.range else (value, value)


def _peak(device: Device, process: Process | None) -> str:
    """Matrix units are powers of two wide, so the peak is cores x clock x such a width."""
    compute = device.compute
    low, high = (peak / (compute.cores * compute.clock) for peak in _span(device, "compute.peak_16bit"))
    width = compute.peak_16bit / (compute.cores * compute.clock)
    nearest = 2.0 ** round(math.log2(width))
    if low * (1.0 - _POWER_OF_TWO) <= nearest <= high * (1.0 + _POWER_OF_TWO):
        return ""
    return (
        f"peak_16bit {show(compute.peak_16bit, 'FLOP/s')} / ({compute.cores:g} cores x {show(compute.clock, '1/s')}) "
        f"is {width:.4g} FLOP per core and clock, no power of two ({nearest:g}); check the three"
    )


def _clock(device: Device, process: Process | None) -> str:
    low, high = _CLOCK
    if low <= device.compute.clock <= high:
        return ""
    return f"clock {show(device.compute.clock, '1/s')} lies outside {low / 1e9:g} to {high / 1e9:g} GHz; check its unit"


def _narrow(device: Device, process: Process | None) -> str:
    """A matrix unit is not slower at half the bits, and at most four times as fast; twice, as a rule."""
    compute = device.compute
    peaks = (
        ("peak_8bit_float", compute.peak_8bit_float, 4.0),
        ("peak_6bit", compute.peak_6bit, 16.0),
        ("peak_4bit", compute.peak_4bit, 16.0),
        ("peak_4bit_int", compute.peak_4bit_int, 16.0),
    )
    for name, peak, most in peaks:
        low, high = compute.peak_16bit, most * compute.peak_16bit
        if peak and not low <= peak <= high * (1.0 + _POWER_OF_TWO):
            return (
                f"{name} {show(peak, 'FLOP/s')} lies outside {show(low, 'FLOP/s')} to {show(high, 'FLOP/s')}; check it"
            )
    return ""


def _vector(device: Device, process: Process | None) -> str:
    compute = device.compute
    if compute.vector_rate <= compute.peak_16bit:
        return ""
    return (
        f"vector_rate {show(compute.vector_rate, 'FLOP/s')} is above peak_16bit {show(compute.peak_16bit, 'FLOP/s')}; "
        "check both"
    )


def _die(device: Device, process: Process | None) -> str:
    """No die is larger than what a stepper exposes at once."""
    one = device.die_area / device.dies
    if process is None or one <= process.reticle_area:
        return ""
    return (
        f"a die of {show(one, 'm2')} ({show(device.die_area, 'm2')} / {device.dies:g} dies) is larger than the reticle "
        f"of {process.name}, {show(process.reticle_area, 'm2')}; check die_area and dies"
    )


def _stacks(device: Device, process: Process | None) -> str:
    """A stack of HBM holds and moves what one of its generations does."""
    hbm = device.hbm
    if not hbm.stacks or not hbm.capacity:
        return ""
    for value, (low, high), unit in (
        (hbm.capacity / hbm.stacks, _STACK_CAPACITY, "B"),
        (hbm.bandwidth / hbm.stacks, _STACK_BANDWIDTH, "B/s"),
    ):
        if not low <= value <= high:
            return (
                f"a stack of HBM with {show(value, unit)} lies outside {show(low, unit)} to {show(high, unit)}; "
                "check hbm.stacks, hbm.capacity and hbm.bandwidth"
            )
    return ""


def _pace(device: Device, process: Process | None) -> str:
    """The shortest step of a core leaves it the time to compute a whole tile at its peak, or none reaches that."""
    compute, tiles = device.compute, device.matmul
    whole = 2.0 * tiles.tile_m * tiles.tile_n * tiles.tile_k * compute.cores * compute.clock / compute.peak_16bit
    if tiles.slice_clocks <= whole * (1.0 + _POWER_OF_TWO):
        return ""
    return (
        f"a core takes {tiles.slice_clocks:g} clocks (slice_clocks) for {tiles.tile_m:g} x {tiles.tile_n:g} x "
        f"{tiles.tile_k:g}, which its peak does in {whole:.3g}: no matrix product reaches more than "
        f"{whole / tiles.slice_clocks:.1%} of peak_16bit; check cores, slice_clocks and tile_m, tile_n, tile_k"
    )


def _joint(device: Device, process: Process | None) -> str:
    """Several dies are joined by something, and what joins dies joins several."""
    if device.die_to_die.bandwidth and device.dies < 2.0:
        return "die_to_die.bandwidth is given and dies is 1: nothing crosses; check dies"
    return ""


def _tier(device: Device, process: Process | None) -> str:
    """A second memory is larger than the cache before it."""
    tier = device.tier
    if not tier.holds or tier.capacity > device.l2.capacity:
        return ""
    return (
        f"tier.capacity {show(tier.capacity, 'B')} is not above l2.capacity {show(device.l2.capacity, 'B')}; check both"
    )


def _cache(device: Device, process: Process | None) -> str:
    """A cache is smaller and faster than the memory behind it."""
    l2, hbm = device.l2, device.hbm
    if not hbm.capacity:
        return ""
    if l2.capacity > hbm.capacity:
        return f"l2.capacity {show(l2.capacity, 'B')} is above hbm.capacity {show(hbm.capacity, 'B')}; check both"
    if l2.bandwidth < hbm.bandwidth:
        return (
            f"l2.bandwidth {show(l2.bandwidth, 'B/s')} is below hbm.bandwidth {show(hbm.bandwidth, 'B/s')}; check both"
        )
    return ""


#: all fields that the checks read
READ = (
    "die_area", "dies", "compute.cores", "compute.clock", "compute.peak_16bit", "compute.peak_8bit_float",
    "compute.peak_6bit", "compute.peak_4bit", "compute.peak_4bit_int", "compute.vector_rate", "hbm.capacity",
    "matmul.tile_m", "matmul.tile_n", "matmul.tile_k", "matmul.slice_clocks", "hbm.bandwidth", "hbm.stacks",
    "l2.capacity", "l2.bandwidth", "die_to_die.bandwidth", "tier.capacity",
)  # fmt: skip


#: what is held against what → the check; it returns a note, or nothing
CHECKS: dict[str, Callable[[Device, Process | None], str]] = {
    "peak against cores and clock": _peak,
    "clock": _clock,
    "steps of a core against its peak": _pace,
    "peaks at fewer bits": _narrow,
    "vector rate against the peak": _vector,
    "die area against the reticle": _die,
    "stacks against memory": _stacks,
    "cache against memory": _cache,
    "dies against what joins them": _joint,
    "second memory against the cache": _tier,
}


def doubts(device: Device, process: Process | None) -> tuple[str, ...]:
    """Return what looks wrong in a device, a line each.

    Parameters
    ----------
    device : Device
        All of whose values are floats.
    process : Process, optional
        The silicon node that it is made on; without it the die is not looked at.

    Examples
    --------
    >>> from accelmodel.specs.given import override
    >>> from accelmodel.specs.load import load
    >>> n7 = load("process", "n7")
    >>> doubts(load("device", "a100-sxm-80gb"), n7)
    ()
    >>> doubts(override(load("device", "a100-sxm-80gb"), die_area="8260mm2"), n7)[0][:47]
    'a die of 8260 mm² (8260 mm² / 1 dies) is larger'
    """
    found = (check(device, process) for check in CHECKS.values())
    return tuple(note for note in found if note)
