"""What looks like a typing error in a device: notes beside an answer, never refusals.

Each check holds numbers of one file against each other; a chip may be odd and right.
"""

from __future__ import annotations

import math
import re
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
#: operations of a core and clock: from a vector unit to the widest array of a TPU, twice over [1]
_WIDTH = (2.0, 2.0**20)
#: operations of a core and clock at 16 bit by generation; lanes beyond which an Ampere is a GA102 [1]
_DENSE = {
    "Volta": 1024.0, "Turing": 1024.0, "Ampere": 2048.0, "Ada": 1024.0, "Hopper": 4096.0, "Blackwell": 8192.0,
    "Blackwell RTX": 1024.0,
}  # fmt: skip
_LANES = 192.0
#: names of cards that add up at 32 bit at half the rate, and generations of which there are some
_GEFORCE = re.compile(r"geforce|rtx[-_ ]?[3-5]0[5-9]0", re.IGNORECASE)
_HALVED = ("Ampere", "Ada", "Blackwell RTX")
#: energy that no chip goes below: an operation at 16 bit [J/FLOP], a byte of device memory [J/B]
_FLOP_ENERGY, _BYTE_ENERGY = 0.1e-12, 10e-12
#: power of a chip over its silicon [W/m2]: no cooler takes more
_MOST_HEAT = 4e6
#: operations a second over silicon, power and price, of all that was built and five times beyond
_PER_AREA = (0.01e18, 12e18)
_LEAST_PER_WATT = 5e9
_PER_DOLLAR = (0.5e9, 2e12)
#: operations per byte of memory: from SRAM alone to a matrix unit beside slow memory [FLOP/B]
_INTENSITY = (0.05, 1e4)
#: longest time that anything fixed on a chip takes [s]
_LONGEST = 1e-3
_TIMES = (
    "compute.launch_time", "matmul.split_time", "matmul.fill_time", "matmul.scaling_time", "matmul.group_fill",
    "matmul.expert_start", "matmul.expert_tile_time", "attention.time",
    "attention.tile_time", "attention.combine_time", "attention.gather_time", "die_to_die.latency",
)  # fmt: skip
#: smallest memory and last cache of anything that serves a model [B]
_LEAST_MEMORY, _LEAST_CACHE = 64e6, 32e3


def show(value: Number, unit: str) -> str:
    """Devices that are looked at have no axes, see ``doubts``."""
    return units.show(float(value), unit)


def _span(device: Device, name: str) -> tuple[float, float]:
    """Return the ends of a field's range, or twice its value."""
    fact = device.facts.get(name)
    value = value_of(device, name)
    return fact.range if fact is not None and fact.range else (value, value)


def _peak(device: Device, process: Process | None) -> str:
    """Matrix units are powers of two wide, none wider than a TPU's, so the peak is cores x clock x such a width."""
    compute = device.compute
    low, high = (peak / (compute.cores * compute.clock) for peak in _span(device, "compute.peak_16bit"))
    width = compute.peak_16bit / (compute.cores * compute.clock)
    nearest = 2.0 ** round(math.log2(width))
    if low * (1.0 - _POWER_OF_TWO) <= nearest <= high * (1.0 + _POWER_OF_TWO):
        least, most = _WIDTH
        if least <= width <= most:
            return ""
        return (
            f"peak_16bit {show(compute.peak_16bit, 'FLOP/s')} is {width:.4g} FLOP per core and clock, outside "
            f"{least:g} to {most:,.0f}; check its prefix, and cores and clock"
        )
    return (
        f"peak_16bit {show(compute.peak_16bit, 'FLOP/s')} / ({compute.cores:g} cores x {show(compute.clock, '1/s')}) "
        f"is {width:.4g} FLOP per core and clock, no power of two ({nearest:g}); check the three"
    )


def _dense(device: Device, process: Process | None) -> str:
    """A core of a known generation has a width; data sheets that count sparsity or 16-bit sums state twice that."""
    compute = device.compute
    most = _DENSE.get(device.architecture)
    if most is None:
        return ""
    # GA102 has twice the lanes of GA100 in a core, and half its matrix units
    lanes = compute.vector_rate / (compute.cores * compute.clock)
    most = most / 2.0 if device.architecture == "Ampere" and lanes > _LANES else most
    half = device.architecture in _HALVED and _GEFORCE.search(device.name) is not None
    width, allowed = compute.peak_16bit / (compute.cores * compute.clock), most / 2.0 if half else most
    if not allowed * (1.0 + _POWER_OF_TWO) < width <= 8.0 * allowed:  # farther off it is no matter of doubling
        return ""
    why = "with 32-bit sums, half of those with 16-bit sums on GeForce cards" if half else "without sparsity"
    return (
        f"peak_16bit {show(compute.peak_16bit, 'FLOP/s')} is {width:.4g} FLOP per core and clock, where "
        f"{device.architecture} has {allowed:g}; give dense peaks {why}"
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
    whole = compute.peak_8bit_int
    # a generation may keep integers as a stopgap, a fifteenth as fast as floats (B300)
    if whole and not compute.peak_16bit / 20.0 <= whole <= 4.0 * compute.peak_16bit * (1.0 + _POWER_OF_TWO):
        return (
            f"peak_8bit_int {show(whole, 'FLOP/s')} lies far from peak_16bit {show(compute.peak_16bit, 'FLOP/s')}; "
            "check both"
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


def _intensity(device: Device, process: Process | None) -> str:
    """Memory keeps up with computing, as far as any chip's does."""
    found = device.compute.peak_16bit / device.memory.bandwidth
    low, high = _INTENSITY
    if low <= found <= high:
        return ""
    return (
        f"peak_16bit {show(device.compute.peak_16bit, 'FLOP/s')} over the bandwidth of memory "
        f"{show(device.memory.bandwidth, 'B/s')} is {found:.3g} FLOP/B, outside {low:g} to {high:g}; check both"
    )


def _power(device: Device, process: Process | None) -> str:
    """A chip draws no less than its operations and its memory do, and no more than can be cooled."""
    compute, power = device.compute, device.power
    if not power:
        return ""
    moved = device.hbm.bandwidth * _BYTE_ENERGY
    least = compute.peak_16bit * _FLOP_ENERGY + moved
    if power < least:
        return (
            f"power {show(power, 'W')} is below what computing and memory draw at their peaks, at least "
            f"{show(least, 'W')}; check power, peak_16bit and hbm.bandwidth"
        )
    if compute.peak_16bit / power < _LEAST_PER_WATT or (device.die_area and power / device.die_area > _MOST_HEAT):
        return f"power {show(power, 'W')} is far above what such a chip draws; check power, peak_16bit and die_area"
    return ""


def _silicon(device: Device, process: Process | None) -> str:
    """What stands on a die fits it: its matrix units, and where the process is known its SRAM."""
    area = device.die_area
    if not area:
        return ""
    found = device.compute.peak_16bit / area
    low, high = _PER_AREA
    if not low <= found <= high:
        return (
            f"die_area {show(area, 'm2')} for {show(device.compute.peak_16bit, 'FLOP/s')} is "
            f"{show(found * 1e-6, 'FLOP/s')} per mm², outside {show(low * 1e-6, 'FLOP/s')} to "
            f"{show(high * 1e-6, 'FLOP/s')}; check die_area and peak_16bit"
        )
    return ""


def _price(device: Device, process: Process | None) -> str:
    """A price is of one chip, in dollars: not of an hour, nor in thousands."""
    if not device.price:
        return ""
    found = device.compute.peak_16bit / device.price
    low, high = _PER_DOLLAR
    if low <= found <= high:
        return ""
    return (
        f"price {show(device.price, 'USD')} is {show(found, 'FLOP/s')} per dollar, outside {show(low, 'FLOP/s')} to "
        f"{show(high, 'FLOP/s')}; give the price of one chip, not of an hour of it"
    )


def _times(device: Device, process: Process | None) -> str:
    """Nothing fixed on a chip takes a millisecond."""
    for name in _TIMES:
        value = value_of(device, name)
        if value > _LONGEST:
            return f"{name} {show(value, 's')} is above {show(_LONGEST, 's')}; check its unit"
    return ""


def _small(device: Device, process: Process | None) -> str:
    """A memory of bytes is one of megabytes."""
    for name, value, least in (
        ("hbm.capacity", device.hbm.capacity, _LEAST_MEMORY),
        ("l2.capacity", device.l2.capacity, _LEAST_CACHE),
    ):
        if 0.0 < value < least:
            return f"{name} {show(value, 'B')} is below {show(least, 'B')}; check its unit"
    if device.hbm.capacity and device.hbm.reserved > 0.5 * device.hbm.capacity:
        return f"hbm.reserved {show(device.hbm.reserved, 'B')} is over half of the memory; check its unit"
    return ""


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
    "l2.capacity", "l2.bandwidth", "die_to_die.bandwidth", "tier.capacity", "compute.peak_8bit_int", "power", "price",
    "hbm.reserved", *_TIMES,
)  # fmt: skip


#: what is held against what → the check; it returns a note, or nothing
CHECKS: dict[str, Callable[[Device, Process | None], str]] = {
    "peak against cores and clock": _peak,
    "peak against its generation": _dense,
    "clock": _clock,
    "steps of a core against its peak": _pace,
    "peaks at fewer bits": _narrow,
    "vector rate against the peak": _vector,
    "die area against the reticle": _die,
    "stacks against memory": _stacks,
    "cache against memory": _cache,
    "dies against what joins them": _joint,
    "second memory against the cache": _tier,
    "computing against memory": _intensity,
    "power against what draws it": _power,
    "silicon against what stands on it": _silicon,
    "price against the chip": _price,
    "fixed times": _times,
    "sizes of memories": _small,
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
