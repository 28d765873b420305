"""A study: the question that a design-space search answers, read from a TOML file.

``[space]`` axes of the chip; ``[workload]`` what it must serve; ``[software]`` what is chosen anew for
each chip and model; ``[constraints]`` what a chip must keep to; ``[study]`` chip, costs and objective.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from accelmodel.errors import SpecError, brief, inside, listed, unknown
from accelmodel.inference.policies import TECHNIQUES
from accelmodel.inference.request import BASELINE, PHASES
from accelmodel.laws.prefetch import RULES
from accelmodel.specs import facts
from accelmodel.specs.find import path_of, seen_from
from accelmodel.specs.formats import bits_of
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity
from accelmodel.units import parse

#: axis of a chip → unit of its values
AXES = {"l2_capacity": "B", "link_bandwidth": "B/s", "links": "1", "hbm_stacks": "1", "cores": "1"}
#: an axis by its dotted name → by the name that it has in results
AXIS_NAMES = {
    "l2.capacity": "l2_capacity",
    "hbm.stacks": "hbm_stacks",
    "compute.cores": "cores",
    "link.bandwidth": "link_bandwidth",
    "link.links": "links",
}
OBJECTIVES = ("throughput_per_area", "tokens_per_dollar")
_MAX_AXIS = 100_000
Positive = Annotated[int, Field(ge=1, le=10**9)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Range(_Table):
    """An axis as a range with a step, both ends included, or as a list of values."""

    first: str | None = Field(default=None, alias="from")
    to: str | None = None
    step: str | None = None
    values: list[str] | None = None

    def points(self, unit: str, name: str) -> npt.NDArray[np.float64]:
        """Return the values in SI, ascending; raises SpecError naming the axis."""
        if self.values is not None and (self.first, self.to, self.step) == (None, None, None):
            points = [parse(value, unit, what=name) for value in self.values]
        elif self.values is None and self.first and self.to and self.step:
            low, high, step = (parse(text, unit, what=name) for text in (self.first, self.to, self.step))
            if not (step > 0.0 and high >= low and (high - low) / step < _MAX_AXIS):
                raise SpecError(
                    f"{name}: from {low:g} to {high:g} step {step:g} is not an ascending range of under 1e5"
                )
            points = (low + step * np.arange(int((high - low) / step + 1e-9) + 1)).tolist()
        else:
            raise SpecError(f"{name}: give either values = [...] or from, to and step")
        if not points or min(points) <= 0.0 or len(set(points)) != len(points):
            raise SpecError(f"{name}: needs at least one value, all positive and different")
        if unit == "1" and not all(point.is_integer() for point in points):
            raise SpecError(f"{name}: counts things; give whole numbers")
        return np.array(sorted(points))


class Head(_Table):
    """Chip to start from, costs, objective, and how many chips Optuna may try."""

    title: str
    device: str
    bill: str
    objective: str = "throughput_per_area"
    trials: Positive = 512
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0


def _bits(given: Any) -> float:
    """Return bits that are given as a number or as the name of a format, which they keep."""
    if isinstance(given, list):
        raise ValueError(f"{brief(given)} is a list; a study has one precision: write a study for each")
    found: float = bits_of(given)
    Quantity(ge=0.0, le=64.0).check(found)
    return found


#: bits of a number, or a format; 0 is what a model's file states
_Bits = Annotated[float, PlainValidator(_bits)]


class Serving(_Table):
    """What every chip must serve: each model, batch and length counts alike (geometric mean)."""

    models: list[str] = Field(min_length=1)
    batch: list[Positive] = Field(min_length=1)
    context: list[Positive] = Field(min_length=1)
    phase: str = "end-to-end"
    weight_bits: _Bits = 0
    activation_bits: _Bits = 0
    kv_bits: _Bits = 0


class Software(_Table):
    """What software chooses for each chip and model: enumerated by the kernel, the best is taken.

    ``techniques`` are explored one by one, each with the parameters of this table that it takes.
    """

    techniques: list[str] = Field(default=[BASELINE, "preserve"], min_length=1)
    tp: list[Positive] = Field(min_length=1)
    threshold: list[Annotated[float, Field(ge=0.0, le=16.0)]] = Field(min_length=1)
    rule: list[str] = Field(min_length=1)


class Constraints(_Table):
    """What a chip must keep to; an absent line is no constraint."""

    die_area: str | None = None
    power: str | None = None
    price: str | None = None

    def limits(self) -> dict[str, float]:
        """Return figure → largest value allowed, in SI."""
        units = {"die_area": "m2", "power": "W", "price": "USD"}
        given = {name: getattr(self, name) for name in units}
        limits = {
            name: parse(text, units[name], what=f"constraints.{name}")
            for name, text in given.items()
            if text is not None
        }
        for name, limit in limits.items():
            if limit <= 0.0:
                raise SpecError(f"constraints.{name}: {given[name]!r} leaves nothing; give a limit above 0")
        return limits


class Study(_Table):
    """One design-space question; ``name`` is its file's stem and ``digest`` its content."""

    study: Head
    space: dict[str, Range]
    workload: Serving
    software: Software
    constraints: Constraints = Constraints()
    name: str = ""
    digest: str = ""

    @property
    def techniques(self) -> list[str]:
        """Names of the techniques that are explored; the baseline is among them."""
        return self.software.techniques

    @property
    def candidate(self) -> str:
        """The technique that answers of one number speak of: PRESERVE, or where it is not explored the last one."""
        others = [name for name in self.techniques if name != BASELINE]
        return "preserve" if "preserve" in others else [BASELINE, *others][-1]

    def axes(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return axis → values in SI."""
        return {name: axis.points(AXES[name], f"space.{name}") for name, axis in self.space.items()}


def _named(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a study's content with axes by their names, and with what it names as seen from here."""
    found = dict(content)
    if isinstance(space := content.get("space"), dict):
        found["space"] = {}
        for name, axis in space.items():
            # l2.capacity = { … } in TOML is a table inside a table
            inner = isinstance(axis, dict) and all(isinstance(each, dict) for each in axis.values()) and axis
            for field, each in inner.items() if inner else [("", axis)]:
                full = f"{name}.{field}" if field else name
                axis_name = AXIS_NAMES.get(full, full)
                if axis_name in found["space"]:
                    raise SpecError(f"{path}: space.{axis_name} stands twice, also as {full}; leave one out")
                found["space"][axis_name] = each
    for table, field, kind in (("study", "device", "device"), ("study", "bill", "bill")):
        if isinstance(part := content.get(table), dict) and isinstance(part.get(field), str):
            found[table] = {**found[table], field: seen_from(path, kind, part[field])}
    serving = content.get("workload")
    if isinstance(serving, dict) and isinstance(models := serving.get("models"), list):
        seen = [seen_from(path, "model", name) if isinstance(name, str) else name for name in models]
        found["workload"] = {**serving, "models": seen}
    return found


def _check_names(study: Study) -> None:
    """Raise SpecError naming the field if a specification is not there, or a choice is given twice."""
    named = [("device", "study.device", study.study.device), ("bill", "study.bill", study.study.bill)]
    named += [("model", "workload.models", name) for name in study.workload.models]
    for kind, field, name in named:
        try:
            load(kind, name)
        except SpecError as error:
            raise inside(field, error) from None
    serving, software = study.workload, study.software
    for field, given in (
        ("workload.models", serving.models),
        ("workload.batch", serving.batch),
        ("workload.context", serving.context),
        ("software.techniques", software.techniques),
        ("software.tp", software.tp),
        ("software.threshold", software.threshold),
        ("software.rule", software.rule),
    ):
        if len(set(given)) != len(given):
            raise SpecError(f"{field}: {given} holds a value twice; give each once")


def _check(study: Study, path: str) -> Study:
    checks: list[tuple[str, Any, Any]] = [
        *(("axis", name, AXES) for name in study.space),
        ("objective", study.study.objective, OBJECTIVES),
        ("phase", study.workload.phase, PHASES),
        *(("technique", name, TECHNIQUES) for name in study.techniques),
        *(("admission rule", rule, RULES) for rule in study.software.rule),
    ]
    for what, given, allowed in checks:
        if given not in allowed:
            raise SpecError(f"{path}: {unknown(what, given, allowed)}")
    try:
        if not study.space:
            raise SpecError("space: needs at least one axis")
        if BASELINE not in study.techniques:
            raise SpecError(f"software.techniques: add {BASELINE!r}, the baseline that gains are measured against")
        study.axes()
        study.constraints.limits()
        _check_names(study)
    except SpecError as error:
        place = facts.places(Path(path), "study")(str(error).partition(":")[0])
        raise inside(place, error) from None
    return study


def study_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a study's file.

    Examples
    --------
    >>> sorted(study_schema()["properties"])
    ['constraints', 'software', 'space', 'study', 'workload']
    """
    schema = Study.model_json_schema()
    for name in ("name", "digest"):
        schema["properties"].pop(name)
    rule = schema["properties"]["space"].pop("additionalProperties")
    axes = {name: {**rule, "description": f"axis of the chip, in {unit}"} for name, unit in AXES.items()}
    inside: dict[str, Any] = {}
    for full, name in AXIS_NAMES.items():
        part, _, field = full.partition(".")
        table = inside.setdefault(part, {"type": "object", "properties": {}, "additionalProperties": False})
        table["properties"][field] = axes[name]
    schema["properties"]["space"] |= {
        "properties": {**axes, **inside, **{full: axes[name] for full, name in AXIS_NAMES.items()}},
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "accelmodel study"}


def load_study(name: str = "preserve-l2", objective: str | None = None) -> Study:
    """Return a study by shipped name, by path, or by name in the working directory.

    Parameters
    ----------
    name : str
        What its file names as device, bill and models may be files of one's own beside it, by name or path from it.
    objective : {"throughput_per_area", "tokens_per_dollar"}, optional
        Replaces the study's own.

    Returns
    -------
    Study

    Raises
    ------
    SpecError
        If the name is unknown, or a key, unit or value of the file is wrong; names file and field.

    Examples
    --------
    >>> load_study("preserve-l2", objective="tokens_per_dollar").study.objective
    'tokens_per_dollar'
    """
    path = path_of("study", name)
    content, digest = facts.read_toml(path)
    try:
        study = Study.model_validate({**_named(content, path), "name": path.stem, "digest": digest})
    except pydantic.ValidationError as error:
        place = facts.places(path, "study")
        faults = [(".".join(str(part) for part in item["loc"]), item["msg"]) for item in error.errors()]
        raise listed([f"{place(name)}: {name}: {message}" for name, message in faults]) from None
    if objective:
        study = study.model_copy(update={"study": study.study.model_copy(update={"objective": objective})})
    return _check(study, str(path))
