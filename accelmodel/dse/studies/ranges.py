"""An axis as a study's file writes it: a range with a step, a range without, a list of values or of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accelmodel.dse.studies.axes import MOST, PLACES, Axis, Role, axis_name, check_values, number, role_of, spread
from accelmodel.errors import SpecError, inside, unknown
from accelmodel.specs.load import load


class Table(BaseModel):
    """A table of a study's file: every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def faults(error: ValidationError, tables: Mapping[str, type[Table] | None]) -> list[tuple[str, str]]:
    """Return each field that is wrong, and what is wrong with it; of a key that there is not, which there are.

    ``tables`` are those of the file; one of free keys is None.
    """
    found = []
    for item in error.errors():
        *above, key = (str(part) for part in item["loc"])
        name, said = ".".join([*above, key]), item["msg"]
        table = tables.get(above[0]) if above else None
        if item["type"] == "extra_forbidden" and (table or not above):
            known = [field.alias or each for each, field in table.model_fields.items()] if table else list(tables)
            said = str(unknown("key" if table else "table", key, known))
            found.append((name, ": ".join([*([".".join(above)] if above else []), said])))
        else:
            found.append((name, f"{name}: {said}"))
    return found


class Range(Table):
    """``values``, or ``from`` and ``to``, both ends included, with ``step`` or without: then anything between."""

    first: str | int | float | None = Field(default=None, alias="from")
    to: str | int | float | None = None
    step: str | int | float | None = None
    values: list[str | int | float] | None = None
    log: bool = False
    places: int | None = Field(default=None, ge=2, le=MOST)

    def axis(self, given: str) -> Axis:
        """Return the axis; raises SpecError naming it by what its file calls it."""
        role, name, where = role_of(given), axis_name(given), f"space.{given}"
        if role.words:
            return Axis(name, role.full, "word", "1", self._words(role, where))
        low, high, points = self._points(role, where)
        places = self.places or PLACES
        return Axis(name, role.full, role.kind, role.unit, points, low, high, self.log, places)

    def _words(self, role: Role, where: str) -> list[str]:
        if self.values is None or (self.first, self.to, self.step, self.places) != (None,) * 4:
            raise SpecError(f"{where}: is a word; give values = [...], names of kind {role.words}")
        if not self.values or len(set(self.values)) != len(self.values):
            raise SpecError(f"{where}: needs at least one value, all different")
        for value in self.values:
            if not isinstance(value, str):
                raise SpecError(f"{where}: {value!r} is no word; give names of kind {role.words}")
            try:
                load(role.words, value)
            except SpecError as error:
                raise inside(where, error) from None
        return [str(value) for value in self.values]

    def _points(self, role: Role, where: str) -> tuple[float, float, npt.NDArray[np.float64] | None]:
        """Return both ends and all values in SI, ascending; None for the values where anything between may be."""
        unit = role.unit
        if self.values is not None and (self.first, self.to, self.step, self.places) == (None,) * 4:
            places = [f"{where}.values.{i}" if not isinstance(v, str) else where for i, v in enumerate(self.values)]
            given = [_number(value, unit, place) for value, place in zip(self.values, places, strict=True)]
            points = check_values(where, role, given)
            return float(points[0]), float(points[-1]), points
        if self.values is not None or self.first is None or self.to is None:
            raise SpecError(f"{where}: give either values = [...] or from, to and step (no step: anything between)")
        low, high = (_number(text, unit, where) for text in (self.first, self.to))
        if self.step is None and role.kind != "integer":
            if not high > low:
                raise SpecError(f"{where}: from {low:g} to {high:g} is not an ascending range")
            check_values(where, role, [low, high])
            if self.log and low <= 0.0:
                raise SpecError(f"{where}: log needs a range above 0")
            return low, high, None if self.places is None else check_values(where, role, self._spread(low, high))
        step = 1.0 if self.step is None else _number(self.step, unit, where)
        if self.log or self.places is not None:
            raise SpecError(f"{where}: log and places are of a range without step; leave them or the step out")
        if not (step > 0.0 and high >= low and (high - low) / step < MOST):
            raise SpecError(f"{where}: from {low:g} to {high:g} step {step:g} is not an ascending range of under 1e5")
        points = check_values(where, role, (low + step * np.arange(int((high - low) / step + 1e-9) + 1)).tolist())
        return float(points[0]), float(points[-1]), points

    def _spread(self, low: float, high: float) -> list[float]:
        return [float(each) for each in spread(low, high, self.places or PLACES, self.log)]


def _number(value: str | float, unit: str, where: str) -> float:
    return number(value if isinstance(value, str) else repr(value), unit, where)


def flattened(space: dict[str, Any]) -> dict[str, Any]:
    """Return the axes of a file by the names that it writes, tables inside tables as dotted names.

    ``l2.capacity = { … }`` in TOML is a table inside a table.

    Examples
    --------
    >>> flattened({"l2": {"capacity": {"values": ["8MB"]}}, "cores": {"values": ["8"]}})
    {'l2.capacity': {'values': ['8MB']}, 'cores': {'values': ['8']}}
    """
    found: dict[str, Any] = {}
    for name, axis in space.items():
        inner = isinstance(axis, dict) and bool(axis) and all(isinstance(each, dict) for each in axis.values())
        found |= {f"{name}.{key}": each for key, each in flattened(axis).items()} if inner else {name: axis}
    return found
