"""A chip as the parameters of an Optuna trial, and back, in the units that a dashboard shows.

Sizes are stored in MB, rates in GB/s and times in ms, each with its unit in the name.  What comes back is the value of
the space that was meant, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.dse.studies.axes import Axis
from accelmodel.dse.studies.space import Group, groups
from accelmodel.dse.studies.study import Study

if TYPE_CHECKING:
    import optuna
    import xarray as xr

#: unit in SI → the unit that is shown, and how much of the first it is
SHOWN = {
    "B": ("MB", 1e6),
    "B/s": ("GB/s", 1e9),
    "m2": ("mm²", 1e-6),
    "s": ("ms", 1e-3),
    "1/s": ("GHz", 1e9),
    "FLOP/s": ("TFLOP/s", 1e12),
    "token/(s m2)": ("tokens/s/mm²", 1e6),
    "token/s": ("tokens/s", 1.0),
    "token/USD": ("tokens/USD", 1.0),
    "token/J": ("tokens/J", 1.0),
    "USD/s": ("USD/h", 1.0 / 3600.0),
    "1": ("", 1.0),
}
#: words of names that are no plain words
_WORDS = {
    "l2": "L2", "hbm": "HBM", "ttft": "TTFT", "tpot": "TPOT", "tp": "TP", "pp": "PP", "ep": "EP", "dp": "DP",
}  # fmt: skip
#: names that are told otherwise
_SHORT = {"l2_capacity": "l2", "dollars_per_s": "cost"}
#: the parameter that says which technique a trial is of
TECHNIQUE = "technique"
#: digits that a parameter keeps, and how many chips are listed to find one that was not tried
_DIGITS, _LISTED = 12, 200_000


def words_of(name: str) -> str:
    """Return the name of a quantity as it is read.

    Examples
    --------
    >>> words_of("l2_capacity"), words_of("hbm_stacks"), words_of("tpot.llama-3-8b")
    ('L2', 'HBM stacks', 'TPOT of llama-3-8b')
    """
    name, _, of = name.partition(".")
    name = _SHORT.get(name, name)
    words = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return f"{words} of {of}" if of else words


def labelled(name: str, unit: str) -> str:
    """Return a name with the unit that its values are shown in.

    Examples
    --------
    >>> labelled("l2_capacity", "B"), labelled("cores", "1")
    ('L2 [MB]', 'cores')
    """
    unit = SHOWN.get(unit, (unit, 1.0))[0]
    return f"{words_of(name)} [{unit}]" if unit else words_of(name)


def shown(value: float, unit: str, digits: int = _DIGITS) -> float:
    """Return a value in SI in the unit that is shown; a count comes out whole.

    Examples
    --------
    >>> shown(104e6, "B"), shown(24.0, "1")
    (104.0, 24)
    """
    found = float(f"{float(value) / SHOWN.get(unit, (unit, 1.0))[1]:.{digits}g}")
    return int(found) if unit == "1" and found.is_integer() else found


def is_number(value: Any) -> bool:
    """Whether a stored value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Parameter:
    """An axis of the space as Optuna knows it: ``choices`` is shown value → value in SI, empty where continuous."""

    axis: str
    label: str
    unit: str
    choices: dict[Any, Any]
    distribution: Any

    def back(self, value: Any) -> Any:
        """Return the value in SI that is meant; None if it is not in the space."""
        if not self.choices:
            inside = is_number(value) and self.distribution.low <= value <= self.distribution.high
            return float(value) * SHOWN.get(self.unit, (self.unit, 1.0))[1] if inside else None
        if isinstance(value, Hashable) and value in self.choices:
            return self.choices[value]
        near = [each for each in self.choices if is_number(each) and is_number(value) and _alike(each, value)]
        return self.choices[near[0]] if near else None


def _alike(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)


def _parameter(axis: Axis) -> Parameter:
    """Evenly spaced numbers become a range with a step, others categories; a range without a step stays one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.kind == "word":
        words = {str(value): str(value) for value in axis.values}
        return Parameter(axis.name, words_of(axis.name), "1", words, CategoricalDistribution(list(words)))
    label = labelled(axis.name, axis.unit)
    if axis.values is None:
        low, high = shown(axis.low, axis.unit), shown(axis.high, axis.unit)
        return Parameter(axis.name, label, axis.unit, {}, FloatDistribution(float(low), float(high), log=axis.log))
    choices = {shown(value, axis.unit): float(value) for value in axis.values}
    seen = list(choices)
    steps = np.diff(seen)
    if len(seen) < 2 or not np.allclose(steps, steps[0], rtol=1e-9, atol=0.0) or _uneven(seen, shown(steps[0], "1")):
        return Parameter(axis.name, label, axis.unit, choices, CategoricalDistribution(seen))
    step = shown(steps[0], "1")
    if all(isinstance(each, int) for each in [*seen, step]):
        return Parameter(axis.name, label, axis.unit, choices, IntDistribution(*_ints(seen), step=int(step)))
    ends = float(seen[0]), float(seen[-1])
    return Parameter(axis.name, label, axis.unit, choices, FloatDistribution(*ends, step=float(step)))


def _uneven(seen: list[float], step: float) -> bool:
    """Whether the last value is no whole number of steps from the first, as Optuna counts, in decimal digits."""
    first, last = Decimal(str(seen[0])), Decimal(str(seen[-1]))
    return bool((last - first) % Decimal(str(step)))


def _ints(seen: list[float]) -> tuple[int, int]:
    return int(seen[0]), int(seen[-1])


@dataclass(frozen=True)
class Space:
    """The space of a study as Optuna knows it.

    Attributes
    ----------
    study : Study
    parameters : dict of Parameter
        By what a dashboard calls them.
    groups : list of Group
        Axes with the values at which they are enumerated; those of which only the product counts together.
    chips : float
        How many there are; infinite where an axis has no steps.
    """

    study: Study
    parameters: dict[str, Parameter]
    groups: list[Group]
    chips: float

    @property
    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """What a sampler draws from."""
        return {label: each.distribution for label, each in self.parameters.items()}

    def key(self, params: Mapping[str, Any]) -> Hashable:
        """Return what tells chips apart, however the parameters were rounded."""
        values = {each.axis: each.back(params[label]) for label, each in self.parameters.items()}
        joint = next((group.values for group in self.groups if len(group.values) > 1), ())
        product = math.prod(values.pop(name) for name in joint)
        return (*values.values(), round(product, 3))

    def chips_of(self, params: Sequence[Mapping[str, Any]]) -> dict[str, xr.DataArray]:
        """Return the chips that trials stand for, as axes over ``design``."""
        import xarray as xr

        return {
            each.axis: xr.DataArray([each.back(row[label]) for row in params], dims="design")
            for label, each in self.parameters.items()
        }

    def params_of(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the parameters of a chip given by its axes in SI; None if it is not in the space."""
        found = {}
        for label, each in self.parameters.items():
            value = row.get(each.axis)
            value = value if value is None or isinstance(value, str) else shown(value, each.unit)
            if each.back(value) is None:
                return None
            found[label] = value
        return found

    def untried(self, tried: set[Hashable], random: np.random.Generator) -> dict[str, Any] | None:
        """Return a chip at random that is not among those tried; None where none was found."""
        shape = tuple(group.places for group in self.groups)
        count = math.prod(shape)
        order = random.permutation(count) if count <= _LISTED else random.integers(0, count, _LISTED)
        for place in order:
            index = np.unravel_index(place, shape)
            chip = [group.values.items() for group in self.groups]
            row = {name: each[i].item() for items, i in zip(chip, index, strict=True) for name, each in items}
            params = self.params_of(row)
            if params is not None and self.key(params) not in tried:
                return params
        return None


def space_of(study: Study) -> Space:
    """Return the space of a study as Optuna knows it."""
    axes = study.axes()
    found = [_parameter(axis) for axis in axes.values()]
    endless = any(axis.values is None for axis in axes.values())
    counted = groups(study)
    chips = math.inf if endless else math.prod(group.places for group in counted)
    return Space(study, {each.label: each for each in found}, counted, chips)
