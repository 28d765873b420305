"""How numbers are written in reports: in the units that people use, and what objectives and axes are called there."""

from __future__ import annotations

from typing import NamedTuple

from accelmodel.dse.studies.objectives import OBJECTIVES
from accelmodel.dse.studies.study import Study
from accelmodel.dse.studies.terms import spelled
from accelmodel.units import show

#: SI unit → (unit it is shown in, factor from SI), where a decimal prefix does not read well
_READABLE = {
    "m2/B": ("mm²/MB", 1e12),
    "USD/B": ("USD/GB", 1e9),
    "W/B": ("W/MB", 1e6),
    "USD/J": ("USD/kWh", 3.6e6),
    "1/m2": ("per cm²", 1e-4),
    "1/s": ("GHz", 1e-9),
    "m2": ("mm²", 1e6),
}
_YEAR = 365.25 * 86400.0
#: SI unit → (unit along an axis of a figure, factor from SI)
_ALONG = {
    "B": ("MB", 1e-6),
    "B/s": ("GB/s", 1e-9),
    "1/s": ("GHz", 1e-9),
    "m2": ("mm²", 1e6),
    "s": ("ms", 1e3),
    "FLOP/s": ("TFLOP/s", 1e-12),
    "USD/Mtoken": ("USD", 1.0),
    "1": ("", 1.0),
}
#: objective → (what it is called, the unit it is shown in, factor from SI)
_OBJECTIVES = {
    "throughput": ("Throughput", "tokens/s per device", 1.0),
    "throughput_per_area": ("Performance per area", "tokens/s per mm²", 1e-6),
    "tokens_per_dollar": ("Performance per cost", "million tokens per USD", 1e-6),
    "dollars_per_million_tokens": ("Cost of tokens", "USD per million tokens", 1.0),
    "tokens_per_joule": ("Performance per energy", "tokens/J", 1.0),
    "joules_per_token": ("Energy of tokens", "J per token", 1.0),
    "ttft": ("Time to first token", "ms", 1e3),
    "tpot": ("Time per output token", "ms", 1e3),
    "die_area": ("Die area", "mm²", 1e6),
    "power": ("Power", "W", 1.0),
    "price": ("Price of a chip", "USD", 1.0),
    "carbon": ("Embodied carbon", "kg CO₂e", 1.0),
    "shoreline": ("Edge of the dies that interfaces take", "%", 100.0),
    "reticle": ("Largest die, of the reticle", "%", 100.0),
    "memory": ("Memory taken", "%", 100.0),
}
#: axis → what it is called, where its name alone does not say
_AXES = {
    "l2_capacity": "L2 capacity",
    "hbm_stacks": "HBM stacks",
    "hbm_generation": "HBM generation",
    "link_bandwidth": "Bandwidth of a link",
    "link_budget": "Link budget",
    "scale_out": "Network",
}


class Shown(NamedTuple):
    """How a number is shown: what it is called, the unit that people use, and the factor to it from SI."""

    title: str
    unit: str
    factor: float

    @property
    def label(self) -> str:
        """Title and unit, as an axis of a figure has them."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title

    def words(self, value: float) -> str:
        """Return a value in SI as it is shown, with its unit."""
        return f"{value * self.factor:.4g} {self.unit}".strip()


def objective(name: str) -> Shown:
    """Return how an objective is shown.

    Examples
    --------
    >>> objective("tpot").label, objective("die_area").words(6.656e-4)
    ('Time per output token [ms]', '665.6 mm²')
    """
    if name in _OBJECTIVES:
        return Shown(*_OBJECTIVES[name])
    known = OBJECTIVES[name]
    return Shown(known.words.capitalize(), known.unit, 1.0)


def limit_title(name: str) -> str:
    """Return what a limit is of, in words.

    Examples
    --------
    >>> limit_title("tpot.llama-3-70b"), limit_title("memory")
    ('time per output token of llama-3-70b', 'memory taken')
    """
    figure, _, of = name.partition(".")
    title = objective(figure).title.lower()
    return f"{title} of {of}" if of else title


def axis(study: Study, name: str) -> Shown:
    """Return how the values of an axis of a study are shown.

    Examples
    --------
    >>> from accelmodel.dse.studies.study import load_study
    >>> axis(load_study("preserve-l2"), "l2_capacity").label
    'L2 capacity [MB]'
    """
    known = study.axes()
    plain = known[name].unit if name in known else "B/s" if name == "link_budget" else "1"
    unit, factor = _ALONG.get(plain, (plain, 1.0))
    title = _AXES.get(name, spelled(name))
    title = title[:1].upper() + title[1:]
    return Shown(title, unit, factor)


def worded(value: float, unit: str, digits: int = 3) -> str:
    """Return a quantity in SI as people write it.

    Examples
    --------
    >>> worded(5.722e-13, "m2/B")
    '0.572 mm²/MB'
    >>> worded(126230400.0, "s")
    '4 years'
    >>> worded(1.8e-5, "s")
    '18 µs'
    """
    if unit in _READABLE:
        shown, factor = _READABLE[unit]
        return f"{value * factor:.{digits}g} {shown}"
    if unit == "s" and value >= _YEAR:
        return f"{value / _YEAR:.{digits}g} years"
    if unit == "USD" and abs(value) >= 1000.0:
        return f"{value:,.0f} USD"
    return show(value, unit, digits)


def spanned(low: float, high: float, unit: str) -> str:
    """Return a range as people write it, its unit once where both ends have the same.

    Examples
    --------
    >>> spanned(1e-5, 1.5e-4, "s"), spanned(5e-7, 5e-6, "s")
    ('10 – 150 µs', '500 ns – 5 µs')
    """
    first, last = worded(low, unit), worded(high, unit)
    same = first.partition(" ")[2] == last.partition(" ")[2]
    return f"{first.partition(' ')[0] if same else first} – {last}"
