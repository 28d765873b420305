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
from pydantic import BaseModel, ConfigDict, Field

from accelmodel.errors import SpecError, unknown
from accelmodel.inference.policies import TECHNIQUES
from accelmodel.inference.request import BASELINE, PHASES
from accelmodel.laws.prefetch import RULES
from accelmodel.specs import facts
from accelmodel.specs.load import load
from accelmodel.units import parse

#: axis of a chip → unit of its values
AXES = {"l2_capacity": "B", "link_bandwidth": "B/s", "links": "1", "hbm_stacks": "1", "cores": "1"}
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


class Serving(_Table):
    """What every chip must serve: each model, batch and length counts alike (geometric mean)."""

    models: list[str] = Field(min_length=1)
    batch: list[Positive] = Field(min_length=1)
    context: list[Positive] = Field(min_length=1)
    phase: str = "end-to-end"
    weight_bits: Positive = 16
    activation_bits: Positive = 16
    kv_bits: Positive = 16


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


def _check_names(study: Study) -> None:
    """Raise SpecError naming the field if a specification is not there, or a choice is given twice."""
    named = [("device", "study.device", study.study.device), ("bill", "study.bill", study.study.bill)]
    named += [("model", "workload.models", name) for name in study.workload.models]
    for kind, field, name in named:
        try:
            load(kind, name)
        except SpecError as error:
            raise SpecError(f"{field}: {error}") from None
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
        raise SpecError(f"{path}: {error}") from None
    return study


def _folder() -> Path:
    return facts.root() / "studies"


def study_path(name: str) -> Path:
    """Return the file of a study: a shipped name, a path, or ``NAME.toml`` in the working directory.

    Raises
    ------
    SpecError
        If it is none of these; the closest shipped name is given.
    """
    shipped, own = _folder() / f"{name}.toml", Path(f"{name}.toml")
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    if shipped.is_file() or own.is_file():
        return shipped if shipped.is_file() else own
    raise unknown("study", name, [each.stem for each in _folder().glob("*.toml")])


def _holds(path: Path, kind: str) -> bool:
    """Tell whether a file has the table of a kind of specification; one that cannot be read says so when it is."""
    try:
        return path.is_file() and kind in facts.read_toml(path)[0]
    except SpecError:
        return True


def _seen_from(path: Path, kind: str, name: str) -> str:
    """Return what a name in a study stands for: a path from its folder, a file beside it, else the name as it is."""
    if name.endswith((".toml", ".json")) or "/" in name:
        return str(path.parent / name)
    own, config = path.parent / f"{name}.toml", path.parent / name / "config.json"
    if path.parent == _folder():
        return name
    if _holds(own, kind):
        return str(own)
    return str(config) if kind == "model" and config.is_file() else name


def _resolved(study: Study, path: Path) -> Study:
    """Return the study with the files of one's own that it names as paths."""
    head, models = study.study, study.workload.models
    found = {"device": _seen_from(path, "device", head.device), "bill": _seen_from(path, "bill", head.bill)}
    served = study.workload.model_copy(update={"models": [_seen_from(path, "model", name) for name in models]})
    return study.model_copy(update={"study": head.model_copy(update=found), "workload": served})


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
    path = study_path(name)
    content, digest = facts.read_toml(path)
    try:
        study = Study.model_validate({**content, "name": path.stem, "digest": digest})
    except pydantic.ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise SpecError(f"{path}: " + "; ".join(lines)) from None
    if objective:
        study = study.model_copy(update={"study": study.study.model_copy(update={"objective": objective})})
    return _check(_resolved(study, path), str(path))
