"""What a data sheet leaves out and its other numbers tell: rates that cores bring each clock, or that go with another.

An architecture says under ``[derive]`` what one core does in a clock, or how one rate goes with another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import numpy as np

from accelmodel.laws.energy import STATED_AT, VOLTAGE_FLOOR, moved_joules, sustained_clock
from accelmodel.specs.facts import ARCHITECTURE, Fact

#: what a device reached under its own power limit
_REACHED = "compute.matrix_share"
#: of a power limit, what is taken to be left for computing at the least
_LEAST_LEFT = 0.05
#: up to which a rate of a data sheet over one that follows from its other numbers is rounding [1]
_ROUNDED = 1.02
#: most that a chip is taken to sustain of its stated matrix peak [1]
MOST_SHARE = 1.1
#: what is not known where no file states it, which limits and takes nothing
_UNKNOWN = ("power", "energy.static", "energy.l2", "energy.hbm", "derive.vector_per_clock")
#: what the clock under a power limit follows from, beside the efficiency of kernels and the energy of an operation
_CLOCK = (
    "derive.vector_per_clock", "compute.vector_rate", "compute.cores", "power", "energy.static", "compute.peak_16bit",
    "compute.clock", "matmul.tile_m", "matmul.tile_n", "matmul.multicast", "energy.l2", "energy.hbm",
)  # fmt: skip


def left(power: float, static: float) -> float:
    """Return what a power limit leaves beside power at rest [W]; without one, more than any chip takes."""
    return max(power - static, _LEAST_LEFT * power) if power > 0.0 else np.inf


def boosted(vector_per_clock: float, vector_rate: float, cores: float, clock: float) -> float:
    """Return how far the clock goes above that at which the matrix peak is stated [1].

    Data sheets state the vector rate at the highest clock, and the matrix rate at a lower one where all matrix units
    together would draw more than the board may.
    """
    found = vector_rate / (vector_per_clock * cores * clock) if vector_per_clock > 0.0 else 1.0
    return found if found > _ROUNDED else 1.0


def clock_left(
    efficiency: float, flop: float, lanes: float, vector: float, cores: float, power: float, static: float,
    peak: float, clock: float, *more: float,
) -> float:  # fmt: skip
    """Return the clock that a power limit leaves a large matrix product, over that of the stated peak [1].

    ``lanes``, ``vector``, ``cores``: see ``boosted``; ``more``: rows and columns of a tile and cores that share a fetch
    [1], energy of a byte of L2 and of HBM [J/B].
    """
    moved = moved_joules(more[:3], *more[3:])  # type: ignore[arg-type]
    boost = boosted(lanes, vector, cores, clock)
    return boost * float(sustained_clock(efficiency * peak * boost, clock * boost, flop, moved, left(power, static)))


def _share(efficiency: float, flop: float, *rest: float) -> float:
    return min(efficiency * clock_left(efficiency, flop, *rest), MOST_SHARE)


def _operation(flop: float, efficiency: float, *rest: float) -> float:
    """Return the energy of an operation at the clock that a large product sustains [J/FLOP]."""
    clock = rest[_CLOCK.index("compute.clock")]
    full = boosted(rest[0], rest[1], rest[2], clock)
    voltage = max(clock_left(efficiency, flop, *rest), full * VOLTAGE_FLOOR) * clock / STATED_AT
    return flop * voltage**2


#: name under ``[derive]`` → its unit, the field that follows, that field's unit, those it follows from, and how
DERIVE: dict[str, tuple[str, str, str, tuple[str, ...], Callable[..., float]]] = {
    "vector_per_clock": (
        "FLOP", "compute.vector_rate", "FLOP/s", ("compute.cores", "compute.clock"), lambda one, n, f: one * n * f,
    ),
    "vector_per_peak": (
        "1", "compute.vector_rate", "FLOP/s", ("compute.peak_16bit",), lambda share, peak: share * peak,
    ),
    "l2_per_clock": ("B", "l2.bandwidth", "B/s", ("compute.cores", "compute.clock"), lambda one, n, f: one * n * f),
    "l2_per_hbm": ("1", "l2.bandwidth", "B/s", ("hbm.bandwidth",), lambda ratio, rate: ratio * rate),
    "row_per_l2": (
        "1", "rows.width", "B", ("l2.bandwidth", "compute.cores", "compute.clock"),
        lambda share, rate, n, f: share * rate / (n * f),
    ),
    "static_per_power": ("1", "energy.static", "W", ("power",), lambda share, power: share * power),
    "hbm_way": (
        "J/B", "energy.hbm", "J/B", ("memory.power", "memory.bandwidth"), lambda way, power, rate: way + power / rate,
    ),
    "efficiency": (
        "1", "compute.matrix_share", "1", ("derive.flop_energy", *_CLOCK), _share,
    ),
    "flop_energy": (
        "J/FLOP", "energy.flop_16bit", "J/FLOP", ("derive.efficiency", *_CLOCK), _operation,
    ),
    "slice_latency": (
        "s", "matmul.slice_clocks", "1", ("compute.clock",), lambda latency, clock: latency * clock,
    ),
    "store_per_read": (
        "1", "matmul.store_width", "B", ("l2.bandwidth", "compute.cores", "compute.clock"),
        lambda share, rate, n, f: share * rate / (n * f),
    ),
    "slice_per_tile": (
        "1", "matmul.slice_clocks", "1",
        ("matmul.tile_m", "matmul.tile_n", "matmul.tile_k", "compute.peak_16bit", "compute.cores", "compute.clock"),
        lambda share, m, n, k, peak, cores, clock: share * 2.0 * m * n * k * cores * clock / peak,
    ),
}  # fmt: skip
#: names whose field any chip has, as the cores of others do it: what follows is the most that it may be
_CEILINGS = ("slice_per_tile",)
#: names whose field any chip has where what it follows from is not known
_CLOSER = ("hbm_way", "efficiency", "flop_energy", "slice_latency", "store_per_read")
#: rules that another reads, and whose range is then its own as well
_JUDGED = ("derive.efficiency", "derive.flop_energy")
#: of whom such a field is
_ANY_CHIP = f"{ARCHITECTURE}generic"


def _settled(name: str, field: str, value: float, facts: Mapping[str, Fact]) -> bool:
    """Whether a field is there already and keeps its value."""
    if name not in (*_CEILINGS, *_CLOSER) or field not in facts:
        return field in facts
    if name in _CLOSER:
        return facts[field].inherited != _ANY_CHIP
    return facts[field].inherited != _ANY_CHIP or facts[field].value <= value


def derived(facts: Mapping[str, Fact], rules: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return the facts that are missing and follow from others; by the clock where an architecture says how.

    Parameters
    ----------
    facts : mapping
        Of a device, by dotted name, and of its memory as ``memory.power`` ….
    rules : mapping
        Of its architecture, by a name of ``DERIVE``.

    Returns
    -------
    dict
        Facts of kind ``assumed``, with the range of the architecture's number.
    """
    found: dict[str, Fact] = {}
    known = {**{f"derive.{name}": rule for name, rule in rules.items()}, **facts}
    blank = {name: replace(rule, value=0.0, range=None) for name in _UNKNOWN for rule in rules.values()}
    for name, (_, field, unit, behind, law) in DERIVE.items():
        told = {**blank, **known} if behind[-len(_CLOCK) :] == _CLOCK else known
        if field in found or name not in rules or not behind_is_there(told, behind):
            continue
        rule, numbers = rules[name], [told[each].value for each in behind]
        value = law(rule.value, *numbers)
        if _settled(name, field, value, facts):
            continue
        ends = [law(*each) for each in product(_ends(rule), *(_known_ends(each, told[each]) for each in behind))]
        found[field] = known[field] = replace(
            rule,
            value=value,
            unit=unit,
            kind="assumed",
            locator=f"{name} {rule.value:g} with {', '.join(behind)} of this device; {rule.locator}",
            range=(min(ends), max(ends)),
        )
    return found


def _ends(rule: Fact) -> tuple[float, ...]:
    return rule.range or (rule.value,)


def _known_ends(name: str, fact: Fact) -> tuple[float, ...]:
    """Return what a number behind may be: of a judgement of another rule both ends of its range, else itself."""
    return _ends(fact) if name in _JUDGED else (fact.value,)


def behind_is_there(facts: Mapping[str, Fact], behind: tuple[str, ...]) -> bool:
    """Tell whether all that a rule reads is there, as numbers."""
    return all(each in facts and isinstance(facts[each].value, float) for each in behind)


def under_its_power(found: dict[str, Fact], own: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return what is inherited without a share of the matrix rate that another device reached under another limit."""
    share, power = found.get(_REACHED), found.get("power")
    foreign = share is not None and not share.inherited.startswith(ARCHITECTURE)
    other = power is not None and "power" in own and own["power"].value != power.value
    return {name: fact for name, fact in found.items() if not (foreign and other and name == _REACHED)}
