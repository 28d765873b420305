"""Axes of a design space: which numbers and words of a chip may vary, under which names, over which values.

Any numeric field of device, link, network, bill and process is an axis by its dotted name.  Those of ``AXES`` do more
than one field: cores bring their rates along, stacks their bandwidth and capacity.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.base import field_types
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link
from accelmodel.specs.names import canonical, flat, no_field
from accelmodel.specs.quantities import Quantity
from accelmodel.specs.silicon import BillOfMaterials, Memory, Package, Phy, Process, Site
from accelmodel.units import parse

Kind: TypeAlias = Literal["number", "integer", "word"]
#: most values of an axis, and at how many places one without steps is looked at where a space is enumerated
MOST, PLACES = 100_000, 17


_PLAIN = Quantity()


@dataclass(frozen=True)
class Role:
    """What an axis is: dotted name, unit and bounds of its values, or the kind of file that its words name."""

    full: str
    quantity: Quantity = _PLAIN
    words: str = ""

    @property
    def kind(self) -> Kind:
        """What values are."""
        return "word" if self.words else "integer" if self.quantity.whole else "number"

    @property
    def unit(self) -> str:
        """The SI unit; ``"1"`` for words and counts."""
        return self.quantity.unit


_BYTES, _RATE, _COUNT = Quantity("B", gt=0.0, le=1e18), Quantity("B/s", gt=0.0, le=1e18), Quantity(ge=1.0, whole=True)
#: axis that changes more than one field → what it is
AXES = {
    "l2_capacity": Role("l2.capacity", _BYTES),
    "link_bandwidth": Role("link.bandwidth", _RATE),
    "links": Role("link.links", _COUNT),
    "hbm_stacks": Role("hbm.stacks", _COUNT),
    "cores": Role("compute.cores", _COUNT),
    "clock": Role("compute.clock", Quantity("1/s", ge=1e3, le=1e12)),
    "dies": Role("dies", _COUNT),
    "stacked_sram": Role("stacked_sram", Quantity("B", ge=0.0, le=1e18)),
    "hbm_generation": Role("hbm.generation", words="memory"),
    "process": Role("process", words="process"),
    "site": Role("site", words="site"),
    "link": Role("link", words="link"),
    "scale_out": Role("scale_out", words="link"),
}
#: section before a dotted name → whose field it is; without one it is the device's
PARTS: dict[str, type] = {
    "link": Link,
    "scale_out": Link,
    "bill": BillOfMaterials,
    "process": Process,
    "memory": Memory,
    "phy": Phy,
    "package": Package,
    "site": Site,
}
#: figures of a device that follow from its axes
COME_OUT = ("die_area", "power", "price")
_BY_FULL = {role.full: name for name, role in AXES.items()}
#: a level inside the link or beyond the network, the first is the innermost: link.inside.1.bandwidth
_LEVEL = re.compile(r"link[._](inside|beyond)[._]([1-9]\d?)[._](\w+)")


def axis_name(given: str) -> str:
    """Return the name that an axis has in results, by any of its names.

    Raises
    ------
    SpecError
        If nothing of a chip is called so.

    Examples
    --------
    >>> axis_name("l2.capacity"), axis_name("hbm.bandwidth"), axis_name("link.start_up"), axis_name("compute.cores")
    ('l2_capacity', 'hbm_bandwidth', 'link_start_up', 'cores')
    """
    return _found(given)[0]


def level_of(name: str) -> tuple[str, int, str] | None:
    """Return side, place from 0 on and field of an axis that is a level's; None of any other.

    Examples
    --------
    >>> level_of("link_inside_1_bandwidth"), level_of("link_bandwidth")
    (('inside', 0, 'bandwidth'), None)
    """
    found = _LEVEL.fullmatch(name)
    return None if found is None else (found[1], int(found[2]) - 1, str(canonical(Link, found[3])))


def role_of(given: str) -> Role:
    """Return what an axis is, by any of its names; SpecError if nothing of a chip is called so."""
    return _found(given)[1]


def _found(given: str) -> tuple[str, Role]:
    if given in AXES or given in _BY_FULL:
        name = _BY_FULL.get(given, given)
        return name, AXES[name]
    if level := _LEVEL.fullmatch(given):
        field = canonical(Link, level[3])
        if field is None:
            raise no_field(Link, level[3], "axis of a level")
        full = f"link.{level[1]}.{level[2]}.{field}"
        return full.replace(".", "_"), _role(given, Link, full, field)
    for part, spec in PARTS.items():
        for sign in (".", "_"):
            if not given.startswith(f"{part}{sign}"):
                continue
            field = given[len(part) + 1 :]
            if canonical(spec, field) is not None:
                return f"{part}_{field}", _role(given, spec, f"{part}.{field}", field)
            if sign == ".":
                raise no_field(spec, field, f"axis of {part}")
    field = canonical(Device, given) or ""
    if field in COME_OUT:
        raise SpecError(f"{field} is what a chip comes out at, no axis; limit it under [constraints]")
    if field in _BY_FULL:
        return _BY_FULL[field], AXES[_BY_FULL[field]]
    if not field:
        raise _no_axis(given)
    return flat(Device, field), _role(given, Device, field, field)


def _role(given: str, spec: type, full: str, field: str) -> Role:
    quantity = field_types(spec)[field].quantity
    if quantity is None:
        raise SpecError(f"axis {brief(given)} is no number; words that may vary are {', '.join(_WORDS)}")
    return Role(full, quantity)


_WORDS = [name for name, role in AXES.items() if role.words]


def _no_axis(given: str) -> SpecError:
    error = unknown("axis", given, dict.fromkeys([*AXES, *_BY_FULL]))
    if "did you mean" in str(error):
        return error
    try:
        return no_field(Device, given, "axis")
    except SpecError as other:
        return other


@dataclass(frozen=True)
class Axis:
    """One axis of a study.

    Attributes
    ----------
    name, full : str
        As results call it (``l2_capacity``), and dotted (``l2.capacity``).
    kind : {"number", "integer", "word"}
    unit : str
        Of its values, SI.
    values : ndarray, list of str or None
        Ascending numbers, or words in the order given; None where anything between ``low`` and ``high`` may be.
    low, high : float
        Ends; NaN of words.
    log : bool
        Whether equal ratios, and not equal steps, count alike.
    places : int
        At how many values one without steps is enumerated.
    """

    name: str
    full: str
    kind: Kind
    unit: str
    values: Any
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    places: int = PLACES

    @property
    def grid(self) -> Any:
        """Values at which it is enumerated: all that it has, or evenly spread ones where it has no steps."""
        if self.values is not None:
            return self.values
        return spread(self.low, self.high, self.places, self.log)


def spread(low: float, high: float, places: int, log: bool) -> npt.NDArray[np.float64]:
    """Return evenly spread values, both ends exact.

    Examples
    --------
    >>> spread(1.0, 100.0, 3, True).tolist()
    [1.0, 10.0, 100.0]
    """
    found = np.geomspace(low, high, places) if log else np.linspace(low, high, places)
    found[0], found[-1] = low, high
    return np.asarray(found)


def number(text: str | float, unit: str, name: str) -> float:
    """Return a value of an axis in SI; one without a unit is allowed only of what has none."""
    return parse(text if isinstance(text, str) else f"{text!r}", unit, what=name)


def check_values(name: str, role: Role, points: list[float]) -> npt.NDArray[np.float64]:
    """Return the values of an axis ascending; raise SpecError naming it where one is not allowed."""
    zero = role.quantity.or_zero or (role.quantity.ge == 0.0)
    if not points or (min(points) <= 0.0 and not (zero and min(points) == 0.0)) or len(set(points)) != len(points):
        raise SpecError(f"{name}: needs at least one value, all positive and different")
    if role.kind == "integer" and not all(point.is_integer() for point in points):
        raise SpecError(f"{name}: counts things; give whole numbers")
    try:
        return role.quantity.check_all(np.array(sorted(points)))
    except ValueError as error:
        raise SpecError(f"{name}: {error}") from None
