"""Tables of a study's file that are of the study alone: its head, software's choices, and limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from accelmodel.costs.parts import SITE
from accelmodel.dse.studies.mix import Limit, Positive
from accelmodel.dse.studies.objectives import LIMITED
from accelmodel.dse.studies.ranges import Table
from accelmodel.errors import SpecError
from accelmodel.inference.request import BASELINE
from accelmodel.units import parse


class Head(Table):
    """Chip to start from, costs, objectives, and how many chips Optuna may try."""

    title: str
    device: str
    bill: str | None = None
    objective: str | None = None
    objectives: list[str] | None = None
    axis: str | None = None
    claims: str = ""
    price: Literal["bill", "selling"] = "bill"
    site: str = SITE
    trials: Positive = 1024
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0


class Software(Table):
    """What software chooses for each chip and model: enumerated by the kernel, the best is taken.

    ``techniques`` are explored one by one, each with the parameters of this table that it takes, else with its own.
    ``tp`` left out is any power of two within a node, ``batch`` that of ``[workload]``.
    """

    techniques: list[str] = Field(default=[BASELINE, "preserve"], min_length=1)
    batch: list[Positive] | None = Field(default=None, min_length=1)
    tp: list[Positive] | None = Field(default=None, min_length=1)
    pp: list[Positive] = Field(default=[1], min_length=1)
    ep: list[Positive] = Field(default=[1], min_length=1)
    dp: list[Positive] = Field(default=[1], min_length=1)
    devices: Positive | None = None
    threshold: list[Annotated[float, Field(ge=0.0, le=16.0)]] | None = Field(default=None, min_length=1)
    rule: list[str] | None = Field(default=None, min_length=1)


class Constraints(Table):
    """What a chip must keep to, of any objective: at most, or at least where more is better; an absent line is none.

    ``shoreline`` and ``reticle`` are shares of what can be built, 1 where left out.  ``ttft`` and ``tpot`` are one
    limit, or a table of one for each model.
    """

    throughput: Limit | None = None
    throughput_per_area: Limit | None = None
    tokens_per_dollar: Limit | None = None
    dollars_per_million_tokens: Limit | None = None
    tokens_per_joule: Limit | None = None
    joules_per_token: Limit | None = None
    ttft: Limit | dict[str, Limit] | None = None
    tpot: Limit | dict[str, Limit] | None = None
    die_area: Limit | None = None
    power: Limit | None = None
    price: Limit | None = None
    carbon: Limit | None = None
    shoreline: Limit | None = None
    reticle: Limit | None = None

    def limits(self) -> dict[str, float]:
        """Return figure → limit in SI; of a limit for one model ``tpot.MODEL``.

        What cannot be built is excluded unless a study says otherwise: more edge than there is, and where the area is
        not limited either dies beyond the reticle.
        """
        given: dict[str, Any] = {"shoreline": 1.0}
        if self.die_area is None:
            given["reticle"] = 1.0
        for name in LIMITED:
            value = getattr(self, name)
            if value is not None:
                given |= {f"{name}.{m}": v for m, v in value.items()} if isinstance(value, dict) else {name: value}
        return {name: limit_of(name, text) for name, text in given.items()}


def limit_of(name: str, text: Limit, where: str = "constraints.") -> float:
    unit = LIMITED[name.partition(".")[0]].unit
    found = _read(text, unit, f"{where}{name}")
    if found <= 0.0:
        raise SpecError(f"{where}{name}: {text!r} leaves nothing; give a limit above 0")
    return found


def _read(text: Limit, unit: str, where: str) -> float:
    """Return a limit in the unit of its objective; money of a million tokens also in USD alone."""
    if unit != "USD/Mtoken":
        return parse(text, unit, what=where)
    if isinstance(text, str) and "/" in text:
        return parse(text, "USD/token", what=where) * 1e6
    return parse(text, "USD", what=where)
