"""What a chip is judged by: a name, a unit, which way is better, and a law on the figures of a chip in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from accelmodel.errors import unknown

Direction: TypeAlias = Literal["maximise", "minimise"]


@dataclass(frozen=True)
class Objective:
    """One figure that chips are compared by.

    Attributes
    ----------
    unit : str
        Of its values.
    direction : {"maximise", "minimise"}
    words : str
        What it is, as a reader says it.
    law : callable
        The figures of a chip in use → its value.
    by : {"rate", "joules", "ttft", "tpot"}
        What software minimises or maximises inside a chip to be best by it.
    """

    unit: str
    direction: Direction
    words: str
    law: Callable[[Mapping[str, Any]], Any]
    by: str = "rate"


def _of(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda figures: figures[name]


#: tokens that money is counted by
MILLION = 1e6
#: figure that chips are compared by → what it is
OBJECTIVES = {
    "throughput": Objective("token/s", "maximise", "tokens/s a device", _of("throughput")),
    "throughput_per_area": Objective(
        "token/(s m2)", "maximise", "tokens/s per die area", lambda f: f["throughput"] / f["die_area"]
    ),
    "tokens_per_dollar": Objective(
        "token/USD", "maximise", "tokens per dollar", lambda f: f["throughput"] / f["dollars_per_s"]
    ),
    "dollars_per_million_tokens": Objective(
        "USD/Mtoken", "minimise", "dollars per million tokens", lambda f: MILLION * f["dollars_per_s"] / f["throughput"]
    ),
    "tokens_per_joule": Objective(
        "token/J", "maximise", "tokens per joule", lambda f: 1.0 / f["joules_per_token"], "joules"
    ),
    "joules_per_token": Objective("J/token", "minimise", "joules per token", _of("joules_per_token"), "joules"),
    "ttft": Objective("s", "minimise", "time to first token", _of("ttft"), "ttft"),
    "tpot": Objective("s", "minimise", "time per output token", _of("tpot"), "tpot"),
    "die_area": Objective("m2", "minimise", "die area", _of("die_area")),
    "power": Objective("W", "minimise", "power", _of("power")),
    "price": Objective("USD", "minimise", "price of a chip", _of("price")),
    "carbon": Objective("kg", "minimise", "embodied carbon of a chip", _of("carbon")),
}
#: what may be limited: the objectives, and what can be built
LIMITED = {
    **OBJECTIVES,
    "shoreline": Objective("1", "minimise", "edge that interfaces need over the edge of the dies", _of("shoreline")),
    "reticle": Objective("1", "minimise", "largest die over the reticle", _of("reticle")),
}
#: objectives of money and energy: over a mix the mean is that of what a token costs
OF_ENERGY = {"tokens_per_joule", "joules_per_token"}
OF_TRAFFIC = {"tokens_per_dollar", "dollars_per_million_tokens", *OF_ENERGY}


def objective(name: str) -> Objective:
    """Return an objective by name; SpecError with the closest match if there is none.

    Examples
    --------
    >>> objective("tpot").direction
    'minimise'
    """
    if name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def sign(name: str) -> float:
    """Return 1 where more of an objective is better, -1 where less is."""
    return 1.0 if LIMITED[name].direction == "maximise" else -1.0


def better(name: str, one: float, other: float) -> bool:
    """Whether the first value of an objective is better than the second.

    Examples
    --------
    >>> better("throughput", 2.0, 1.0), better("tpot", 2.0, 1.0)
    (True, False)
    """
    return sign(name) * one > sign(name) * other


def gain(name: str, one: float, other: float) -> float:
    """Return how many times better the first value of an objective is than the second [1].

    Examples
    --------
    >>> gain("throughput", 2.0, 1.0), gain("tpot", 2.0, 1.0)
    (2.0, 0.5)
    """
    return one / other if sign(name) > 0.0 else other / one


def regret(name: str, found: float, best: float) -> float:
    """Return the share of the best objective that a search missed [1]; 0 where it found the best or better."""
    return max(0.0, 1.0 - gain(name, found, best))
