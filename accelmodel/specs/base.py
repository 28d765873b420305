"""What every specification carries: name, facts, digest, residuals."""

from __future__ import annotations

import copy
import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic.dataclasses import dataclass

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.laws.numeric import Number
from accelmodel.specs.facts import Fact
from accelmodel.specs.quantities import (
    Quantity,
)

T = TypeVar("T")

CONFIG = pydantic.ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, config=CONFIG)
class Residual:
    """How measured times of one kind of operator lie around the predicted ones.

    Nine tenths of them lie between ``lower`` and ``upper`` times the prediction [1]; from ``rows`` measurements.
    """

    kind: str
    bits: Annotated[Number, Quantity(ge=1.0, le=64.0)]
    lower: Annotated[Number, Quantity(ge=1e-3, le=100.0)]
    upper: Annotated[Number, Quantity(ge=1e-3, le=100.0)]
    rows: int

    def __post_init__(self) -> None:
        if self.kind not in RESIDUALS:
            raise unknown("kind of residual", self.kind, RESIDUALS)
        if self.lower > self.upper:
            raise ValueError(f"lower {self.lower:g} is above upper {self.upper:g}; exchange them")
        if self.rows < 1:
            raise ValueError(f"rows {self.rows} must be at least 1; calibrate again")


#: kinds of measured operators; ``inference.intervals`` says whose errors each stands for
RESIDUALS = (
    "matmul", "prefill attention", "decode attention", "quantise", "all-reduce", "all-gather", "reduce-scatter",
    "all-to-all", "custom all-reduce", "unsaid matmul", "weight-only matmul", "mla prefill", "mla decode", "moe",
    "unsaid moe", "recurrence", "unsaid matmul of a model",
)  # fmt: skip


@dataclass(frozen=True, config=CONFIG)
class Section:
    """A part of a specification with fields of its own, written as a table of its name."""


@dataclass(frozen=True, config=CONFIG)
class Spec:
    """What every specification carries: its name, its facts by field, the digest of its file, and its residuals.

    ``notes`` say what a reader must know of it before using an answer: what it took from elsewhere, what looks wrong.
    """

    name: str
    residuals: tuple[Residual, ...] = field(default=(), repr=False, compare=False, kw_only=True)
    facts: Mapping[str, Fact] = field(default_factory=dict, repr=False, compare=False, kw_only=True)
    digest: str = field(default="", repr=False, compare=False, kw_only=True)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False, kw_only=True)


#: what a specification carries beside its fields
ABOUT = ("facts", "digest", "residuals", "notes", "inside", "beyond", "node")


@dataclasses.dataclass(frozen=True)
class FieldType:
    """What one field of a specification may hold: a quantity with unit and bounds, or a plain type."""

    quantity: Quantity | None
    plain: Any
    required: bool

    @property
    def unit(self) -> str:
        """The SI unit; ``"1"`` for words and counts."""
        return self.quantity.unit if self.quantity else "1"


@cache
def _sections(spec_type: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(spec_type)
    return {
        name: kind
        for name, kind in ((f.name, hints[f.name]) for f in dataclasses.fields(spec_type))
        if isinstance(kind, type) and issubclass(kind, Section)
    }


def sections(spec_type: Any) -> dict[str, Any]:
    """Return the sections of a kind of specification by name; most have none."""
    return _sections(spec_type)


def part_tables(spec_type: Any) -> dict[str, dict[str, Any]]:
    """Return the fields of a kind of specification that are lists of parts: name → kind of part → its data class.

    In a file they are tables ``[[name]]`` with a ``kind``; most specifications have none.
    """
    return {f.name: f.metadata["parts"] for f in dataclasses.fields(spec_type) if "parts" in f.metadata}


@cache
def _field_types(spec_type: Any) -> dict[str, FieldType]:
    hints = typing.get_type_hints(spec_type, include_extras=True)
    parts = sections(spec_type)
    found: dict[str, FieldType] = {}
    for each in dataclasses.fields(spec_type):
        if each.name in parts:
            inner = _field_types(parts[each.name])
            found |= {f"{each.name}.{name}": kind for name, kind in inner.items()}
        elif each.name not in ABOUT and each.name not in part_tables(spec_type):
            notes = getattr(hints[each.name], "__metadata__", ())
            quantity = next((note for note in notes if isinstance(note, Quantity)), None)
            required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            found[each.name] = FieldType(quantity, hints[each.name], required)
    return found


def field_types(spec_type: Any) -> dict[str, FieldType]:
    """Return what each field of a kind of specification may hold, by dotted name (``l2.capacity``), in order."""
    return _field_types(spec_type)


@cache
def _field_units(spec_type: Any) -> dict[str, str]:
    return {name: kind.unit for name, kind in _field_types(spec_type).items()}


def field_units(spec_type: Any) -> dict[str, str]:
    """Return the SI unit of each field of a spec by dotted name; ``"1"`` for words and counts."""
    return _field_units(spec_type)


def value_of(spec: Any, name: str) -> Any:
    """Return the value of a field by its dotted name."""
    for step in name.split("."):
        spec = getattr(spec, step)
    return spec


def with_values(spec: T, values: Mapping[str, Any]) -> T:
    """Return a copy of a specification with other values by dotted name, as they are: for arithmetic, not for users."""
    changed = copy.copy(spec)
    for name, value in values.items():
        section, _, inner = name.partition(".")
        held = with_values(getattr(changed, section), {inner: value}) if inner else value
        object.__setattr__(changed, section, held)
    return changed


def need_spec(value: Any) -> None:
    """Raise SpecError where a name stands in place of what it names."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise SpecError(f"{brief(value)} is no specification; load it first, for example load('device', 'h100-sxm')")
