"""What is believed of a constant before anything more is measured: a shape over its range.

The range is that of its fact; of the time of a kind of operator, the interval in which nine tenths of measured times
lie.  A constant whose range spans more than a factor of ten is drawn in its logarithm; one that counts things, among
the counts; one whose range goes from power of two to power of two, among powers of two.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from accelmodel.costs.parts import Parts, closing
from accelmodel.dse.studies.axes import AXES, role_of
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.intervals import KINDS, factors
from accelmodel.laws.numeric import Array
from accelmodel.specs.base import Spec, field_types
from accelmodel.specs.bits import told
from accelmodel.specs.facts import Fact
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import load
from accelmodel.specs.names import flat
from accelmodel.specs.quantities import Quantity
from accelmodel.specs.silicon import BillOfMaterials

#: a range whose ends lie further apart than this is drawn in its logarithm
DECADE = 10.0
#: rank correlation of constants of one kind: assumed, half of what they would have if one cause stood behind them all
TOGETHER = 0.5
#: unit → what constants of one part that have it are, which are large or small together
GROUPS = {"s": "fixed times", "m2": "areas", "W": "powers", "USD": "prices", "J/FLOP": "energies", "J/B": "energies"}
#: constants that are no times and are large where those are: what a kernel loses beside its operations
LOST = ("matmul.slice_clocks", "matmul.exposed", "attention.fill")
#: part of a constant that is the time of a kind of operator
TIME = "time"
#: standard normal and triangular quantile of 19 in 20: how far the ends of an interval lie from its middle
_NORMAL_END = 1.6448536269514722
_TRIANGLE_END = 1.0 - math.sqrt(0.1)

#: (shares, place of the likeliest value) from 0 to 1 → places from 0 to 1
Shape = Callable[[Array, float], Array]


def _uniform(share: Array, mode: float) -> Array:
    return share


def _triangular(share: Array, mode: float) -> Array:
    """Return places at which so much of a triangle lies below, whose top is at ``mode``."""
    rising = np.sqrt(share * mode)
    falling = 1.0 - np.sqrt((1.0 - share) * (1.0 - mode))
    return np.where(share < mode, rising, falling)


#: prior → how a constant lies in its range
PRIORS: dict[str, Shape] = {"uniform": _uniform, "triangular": _triangular}


@dataclass(frozen=True)
class Prior:
    """What is believed of one constant.

    Attributes
    ----------
    part, field : str
        Where it stands: ``device``, ``link`` …, and its dotted name there; of a residual ``time`` and its kind.
    kind : str
        Kind of its fact (``assumed``, ``measured`` …), or ``residual``.
    unit : str
    shape : str
        ``uniform`` or ``triangular``, or of a residual ``normal``.
    scale : str
        In what it has that shape: ``linear``, ``log``, ``counts`` or ``powers of two``.
    low, nominal, high : float
        Ends of its range and the value of today, in SI; of a residual that is normal the ends are those of nine tenths.
    group : str
        Constants of one group are large or small together; empty where it goes by itself.
    least : float
        Below this no such thing is built but for none at all: smaller draws are 0.
    """

    part: str
    field: str
    kind: str
    unit: str
    shape: str
    scale: str
    low: float
    nominal: float
    high: float
    group: str = ""
    least: float = 0.0

    @property
    def name(self) -> str:
        """Part and dotted field."""
        return f"{self.part}.{self.field}"

    @property
    def words(self) -> str:
        """The prior in words, such as ``uniform in the logarithm``."""
        return {
            "linear": self.shape,
            "log": "lognormal" if self.shape == "normal" else f"{self.shape} in the logarithm",
            "counts": f"{self.shape} among whole numbers",
            "powers of two": f"{self.shape} among powers of two",
        }[self.scale]

    def check(self) -> None:
        """Raise SpecError if there is no such shape or scale, or the value of today lies outside the range."""
        for what, given, allowed in (("shape", self.shape, (*PRIORS, "normal")), ("scale", self.scale, _SCALES)):
            if given not in allowed:
                raise SpecError(f"prior of {self.name}: {unknown(what, given, allowed)}")
        # the middle of residuals is another than the value of today
        inside = self.low <= self.high if self.shape == "normal" else self.low <= self.nominal <= self.high
        if not (inside and math.isfinite(self.low) and math.isfinite(self.high)):
            raise SpecError(
                f"prior of {self.name}: {self.nominal:g} is not in its range of {self.low:g} to {self.high:g} "
                f"{self.unit}; widen the range, or correct the value"
            )
        if self.scale in ("log", "powers of two") and self.low <= 0.0:
            raise SpecError(f"prior of {self.name}: {self.low:g} has no logarithm; take another scale")

    def quantile(self, share: Array) -> Array:
        """Return the values below which a constant lies with the given probabilities [1]."""
        if self.low == self.high:
            return np.full(np.shape(share), self.low)
        if self.shape == "normal":
            from scipy.special import ndtri

            middle, half = math.log(self.low * self.high) / 2.0, math.log(self.high / self.low) / 2.0
            return np.asarray(np.exp(middle + half / _NORMAL_END * ndtri(share)))
        inner, outer = _SCALES[self.scale]
        low, mode, high = inner(self.low), inner(self.nominal), inner(self.high)
        # of things that are counted each has a step of its own
        edge = 0.5 if self.scale in ("counts", "powers of two") else 0.0
        width = high - low + 2.0 * edge
        place = low - edge + width * PRIORS[self.shape](np.asarray(share), float((mode - low + edge) / width))
        if edge:
            place = np.clip(np.rint(place), low, high)
        found = np.clip(outer(place), self.low, self.high)
        return np.where(found < self.least, 0.0, found)


def _same(value: Any) -> Any:
    return value


#: scale → (to the scale, back)
_SCALES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "linear": (_same, _same),
    "log": (np.log, np.exp),
    "counts": (_same, _same),
    "powers of two": (np.log2, np.exp2),
}


def _scale(quantity: Quantity | None, low: float, nominal: float, high: float) -> str:
    """Return in what a constant is drawn."""
    if quantity is not None and quantity.whole:
        binary = all(each >= 1.0 and math.log2(each).is_integer() for each in (low, nominal, high))
        return "powers of two" if binary and high > 2.0 * low else "counts"
    return "log" if low > 0.0 and high / low > DECADE else "linear"


#: the order in which a device's constants are listed: what it computes, how, how much of it is reached, its memories
_ORDER = ("compute", "matmul", "attention", "compute.matrix_share", "hbm", "l2", "compute.launch_time")


def _place(name: str) -> int:
    """Return where a constant is listed, by its own name or its section's; what has neither comes last."""
    part = name if name in _ORDER else name.partition(".")[0]
    return _ORDER.index(part) if part in _ORDER else len(_ORDER)


def uncertain(parts: Parts) -> list[tuple[str, str, Fact]]:
    """Return (part, dotted field, fact) of every number behind a chip that has a range, of whatever it is made of.

    What two parts are made of alike (a process for two kinds of dies) stands once; what closes the die or the power of
    the device follows from the others.
    """
    found = []
    seen: list[tuple[type, str]] = []
    for each in fields(parts):
        spec = getattr(parts, each.name)
        if not isinstance(spec, Spec) or (type(spec), spec.name) in seen:
            continue
        seen.append((type(spec), spec.name))
        follow = closing(spec) if isinstance(spec, BillOfMaterials) else ()
        known = field_types(type(spec))
        for name in sorted(spec.facts, key=lambda name: _place(name) if isinstance(spec, Device) else 0):
            fact = spec.facts[name]
            ranged = fact.range is not None and fact.range[0] < fact.range[1]
            if name in known and name not in follow and ranged and isinstance(fact.value, float):
                found.append((each.name, name, fact))
    return found


def _of_fact(part: str, name: str, fact: Fact, quantity: Quantity | None, shape: str) -> Prior:
    low, high = fact.range or (fact.value, fact.value)
    kind = "fixed times" if name in LOST else GROUPS.get(fact.unit, "")
    least = quantity.ge if quantity is not None and quantity.or_zero and quantity.ge is not None else 0.0
    return Prior(
        part=part,
        field=name,
        kind=fact.kind,
        unit=fact.unit,
        shape=shape,
        scale=_scale(quantity, low, fact.value, high),
        low=low,
        nominal=fact.value,
        high=high,
        group=f"{kind} of the {part}" if kind else "",
        least=least,
    )


def _of_residual(kind: str, low: float, high: float, shape: str) -> Prior:
    """Return what is believed of the time of a kind of operator: nine tenths of it lie between two factors."""
    if shape == "triangular" and low < high:
        middle, half = math.sqrt(low * high), math.sqrt(high / low) ** (1.0 / _TRIANGLE_END)
        return Prior(TIME, kind, "residual", "1", shape, "log", middle / half, middle, middle * half)
    return Prior(TIME, kind, "residual", "1", "normal", "log", low, 1.0, high)


def need_prior(shape: str) -> None:
    """Raise SpecError if a shape of priors is unknown."""
    if shape not in PRIORS:
        raise unknown("prior", shape, PRIORS)


def priors(study: Study, parts: Parts, shape: str = "uniform") -> list[Prior]:
    """Return what is believed of everything uncertain behind a study: constants that have a range, and residuals.

    Parameters
    ----------
    study : Study
    parts : Parts
        Its reference chip, link, bill, process and whatever else it is made of; whatever carries facts is asked.
    shape : {"uniform", "triangular"}
        How a constant lies in its range; triangular ones have their top at the value of today.  Times of kinds of
        operators are lognormal beside uniform constants, and triangular in the logarithm beside triangular ones.

    Raises
    ------
    SpecError
        If the shape is unknown.

    Notes
    -----
    Ranges of constants: the facts' own.  Residuals: ``intervals.factors`` of the study's precisions.  A chip that was
    not measured is told wide rather than narrow: its residuals also hold what not knowing its constants does.
    """
    need_prior(shape)
    found = [
        _of_fact(part, name, fact, field_types(type(getattr(parts, part)))[name].quantity, shape)
        for part, name, fact in uncertain(parts)
    ]
    times = [_of_residual(kind, *pair, shape) for kind, pair in residuals(study, parts).items()]
    members = Counter(each.group for each in found)
    return [*(each if members[each.group] > 1 else replace(each, group="") for each in found), *times]


def residuals(study: Study, parts: Parts) -> dict[str, tuple[float, float]]:
    """Return kind of operator → factors between which nine tenths of its times lie, at a study's precisions."""
    asked = {name: getattr(study.workload, name) for name in ("weight_bits", "kv_bits")}
    # intervals are those of the first model's precisions, where the study says none
    bits = told([load("model", study.models[0])], asked)
    cluster = Cluster(parts.device, parts.link, parts.link, 1.0)
    ends = factors(cluster, bits=bits["weight_bits"], kv_bits=bits["kv_bits"])
    return {kind: (float(low), float(high)) for kind, (low, high) in zip(KINDS, ends, strict=True)}


#: axis of words → parts of a chip that its words name anew
_NAMED = {"process": ("process",), "site": ("site",), "link": ("link", "phy"), "hbm_generation": ("memory",)}


def replaced(prior: Prior, axes: Collection[str]) -> bool:
    """Whether an axis of the chips says what a constant is: it is the axis itself, or of a part that its words name.

    What a word names is taken as its file gives it.
    """
    for name in axes:
        if prior.part in _NAMED.get(name, ()):
            return True
        if name not in AXES and role_of(name).full in (prior.name, prior.name.removeprefix("device.")):
            return True
    return False


def named(prior: Prior, parts: Parts) -> str:
    """Return a constant's part and its field in one word, as the report and the JSON answer name it."""
    if prior.part == TIME:
        return prior.name
    return f"{prior.part}.{flat(type(getattr(parts, prior.part)), prior.field)}"
