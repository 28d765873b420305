"""What a data sheet leaves out and its other numbers tell: rates that cores bring each clock, or that go with another.

An architecture says under ``[derive]`` what one core does in a clock, or how one rate goes with another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from accelmodel.specs.facts import ARCHITECTURE, Fact

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
    "static_per_power": ("1", "energy.static", "W", ("power",), lambda share, power: share * power),
    "hbm_way": (
        "J/B", "energy.hbm", "J/B", ("memory.power", "memory.bandwidth"), lambda way, power, rate: way + power / rate,
    ),
    "slice_latency": (
        "s", "matmul.slice_clocks", "1", ("compute.clock",), lambda latency, clock: latency * clock,
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
_CLOSER = ("hbm_way", "slice_latency")
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
    for name, (_, field, unit, behind, law) in DERIVE.items():
        if field in found or name not in rules or not behind_is_there(facts, behind):
            continue
        rule, numbers = rules[name], [facts[each].value for each in behind]
        if _settled(name, field, law(rule.value, *numbers), facts):
            continue
        low, high = rule.range or (rule.value, rule.value)
        found[field] = replace(
            rule,
            value=law(rule.value, *numbers),
            unit=unit,
            kind="assumed",
            locator=f"{name} {rule.value:g} with {', '.join(behind)} of this device; {rule.locator}",
            range=(law(low, *numbers), law(high, *numbers)),
        )
    return found


def behind_is_there(facts: Mapping[str, Fact], behind: tuple[str, ...]) -> bool:
    """Tell whether all that a rule reads is there, as numbers."""
    return all(each in facts and isinstance(facts[each].value, float) for each in behind)
