"""The question of a sweep, read from a TOML file or a mapping: what is fixed, what varies, and what is asked of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import BaseModel, ConfigDict

from accelmodel.errors import SpecError, brief, listed, unknown
from accelmodel.specs import facts
from accelmodel.specs.find import path_of, seen_from
from accelmodel.specs.load import load
from accelmodel.sweeps.calls import Command
from accelmodel.sweeps.commands import COMMANDS
from accelmodel.sweeps.names import KINDS, Field, finder

#: values on one axis
MOST_VALUES = 10_000_000
#: axes of a grid
MOST_AXES = 24
#: parts whose word follows from the device where none is given
_OF_DEVICE = ("link", "scale_out")
_TABLES = ("sweep", "fixed", "axes")
_RANGE = {"values", "from", "to", "step", "points", "scale"}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Figure(_Table):
    """A picture beside the numbers: ``y`` over ``x``, a line for each value of ``lines``, at one place of the rest."""

    y: str
    x: str
    lines: list[str] = []
    at: dict[str, Any] = {}
    file: str = ""


class Head(_Table):
    """What is asked, and where the answer goes."""

    command: str
    title: str = ""
    output: str = ""
    chunk: Annotated[int, pydantic.Field(ge=1, le=10**9)] | None = None
    figure: Figure | None = None


class Range(_Table):
    """An axis: a list of values, or both ends and either a step or how many points."""

    values: list[Any] | None = pydantic.Field(default=None, min_length=1)
    first: Any = pydantic.Field(default=None, alias="from")
    to: Any = None
    step: Any = None
    points: Annotated[int, pydantic.Field(ge=2, le=MOST_VALUES)] | None = None
    scale: Literal["linear", "log"] = "linear"

    def along(self, field: Field, where: str, bare: bool) -> npt.NDArray[Any]:
        """Return the values of the axis, in SI or words; SpecError naming ``where``."""
        ends = (self.first, self.to)
        if self.values is not None:
            if any(each is not None for each in (*ends, self.step, self.points)):
                raise SpecError(f"{where}: give either values = [...], or from and to")
            found = [field.value(each, where, bare) for each in self.values]
        elif field.quantity is None:
            raise SpecError(f"{where}: names have no range; give a list of them")
        elif None in ends or (self.step is None) == (self.points is None):
            raise SpecError(f"{where}: give a list, or from, to and either step or points")
        else:
            return self._range(field, where, bare)
        if len(set(found)) != len(found):
            raise SpecError(f"{where}: holds a value twice; give each once")
        return np.array(found, dtype=object if field.quantity is None else float)

    def _range(self, field: Field, where: str, bare: bool) -> npt.NDArray[Any]:
        low, high = (field.number(each, where, bare) for each in (self.first, self.to))
        if not high > low:
            raise SpecError(f"{where}: from {brief(self.first)} to {brief(self.to)} does not rise")
        if self.scale == "log" and (self.step is not None or not low > 0.0):
            raise SpecError(f"{where}: a log scale has points, not a step, and starts above 0")
        if self.step is not None:
            step = field.number(self.step, where, bare)
            count = math.floor((high - low) / step + 1e-9) + 1 if step > 0.0 else math.inf
            if not count <= MOST_VALUES:
                raise SpecError(
                    f"{where}: step {brief(self.step)} gives over {MOST_VALUES:,} values; take a larger one"
                )
            values = low + step * np.arange(count)
        else:
            values = (np.geomspace if self.scale == "log" else np.linspace)(low, high, self.points or 2)
        if field.quantity is not None and field.quantity.whole:
            values = np.unique(np.round(values))
        for end in (values[0], values[-1]):
            field.value(float(end), where, True)
        if len(values) > 2 and not (np.diff(values) > 0.0).all():
            raise SpecError(f"{where}: has points closer than numbers can be; take fewer")
        return values


class Asked(_Table):
    """The three tables of a file."""

    sweep: Head
    fixed: dict[str, Any] = {}
    axes: dict[str, Range] = pydantic.Field(min_length=1)


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of the grid: its field, its values in SI or words, and how a caller cut it into chunks, if so.

    ``beside`` are other names of its places: name → unit and values.
    """

    field: Field
    values: npt.NDArray[Any]
    chunks: tuple[int, ...] = ()
    beside: Mapping[str, tuple[str, npt.NDArray[Any]]] = dataclasses.field(default_factory=dict)

    @property
    def dim(self) -> str:
        """The name of its dimension."""
        return self.field.dim


@dataclass(frozen=True, eq=False)
class Question:
    """A grid over axes, and what is asked of each point.

    ``specs`` holds (part, word) → specification, read once: what is edited while a sweep runs does not mix with it.
    """

    head: Head
    axes: tuple[Axis, ...]
    fixed: Mapping[Field, Any]
    specs: Mapping[tuple[str, str], Any]
    name: str

    @property
    def command(self) -> Command:
        """What is asked of each point."""
        return COMMANDS[self.head.command]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def dims(self) -> tuple[str, ...]:
        """The name of each axis."""
        return tuple(axis.dim for axis in self.axes)

    @property
    def points(self) -> int:
        """How many points the grid has."""
        return math.prod(self.shape)


def flattened(table: Any, prefix: str = "") -> dict[str, Any]:
    """Return the entries of a table by dotted name: ``l2.capacity = ...`` in TOML is a table inside a table."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and not set(value) & _RANGE:
            found |= flattened(value, f"{name}.")
        else:
            found[name] = value
    return found


def _axis_entry(value: Any) -> Any:
    """Return an axis as a range: a list of values, and in Python an array or a labelled array of one dimension."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    elif hasattr(value, "values") and not isinstance(value, Mapping):
        value = value.values.tolist()
    if isinstance(value, tuple):
        value = list(value)
    return {"values": value} if isinstance(value, list) else value


def _faults(error: pydantic.ValidationError, where: str) -> SpecError:
    """Return all that pydantic found wrong, a line each, with the closest match of a key that is not known."""
    allowed = {(): _TABLES, ("sweep",): Head.model_fields, ("sweep", "figure"): Figure.model_fields}
    lines = []
    for item in error.errors():
        place = tuple(str(part) for part in item["loc"])
        known = allowed.get(place[:-1], _RANGE)
        message = item["msg"]
        if item["type"] == "extra_forbidden":
            message = str(unknown("key", place[-1], known))
        lines.append(f"{where}: {'.'.join(place)}: {message}")
    return listed(lines)


def read(content: Mapping[str, Any], where: str, beside: Path | None = None, bare: bool = False) -> Question:
    """Return the question that the three tables of a file or a mapping ask.

    Parameters
    ----------
    content : mapping
        ``sweep``, ``fixed`` and ``axes``.
    where : str
        What the errors name.
    beside : Path, optional
        The file, from which names of other files are seen.
    bare : bool
        Whether numbers without a unit are in SI, as in Python; a file says its units.

    Raises
    ------
    SpecError
        A line for each key, name, unit or value that is wrong.
    """
    tables = dict(content)
    chunks: dict[str, tuple[int, ...]] = {}
    for table in ("fixed", "axes"):
        if isinstance(tables.get(table), Mapping):
            tables[table] = flattened(tables[table])
    if isinstance(tables.get("axes"), Mapping):
        for name, value in tables["axes"].items():
            if getattr(value, "chunks", None):
                chunks[name] = value.chunks[0]
        tables["axes"] = {name: _axis_entry(value) for name, value in tables["axes"].items()}
    try:
        asked = Asked.model_validate(tables)
    except pydantic.ValidationError as error:
        raise _faults(error, where) from None
    if asked.sweep.command not in COMMANDS:
        raise SpecError(f"{where}: sweep.{unknown('command', asked.sweep.command, COMMANDS)}")
    fields, faults = _named(asked, COMMANDS[asked.sweep.command], where)
    axes, fixed = _valued(asked, fields, where, bare, faults, chunks)
    if not faults:
        _complete(fixed, axes, COMMANDS[asked.sweep.command], where, faults)
    specs = {} if faults else _specs(fixed, axes, beside, where, faults)
    if faults:
        raise listed(faults)
    found = Question(asked.sweep, tuple(axes), fixed, specs, beside.stem if beside else "sweep")
    if len(axes) > MOST_AXES:
        raise SpecError(f"{where}: axes: {len(axes)} are too many; at most {MOST_AXES}, fix the others")
    return found


def _named(asked: Asked, command: Command, where: str) -> tuple[dict[str, Field], list[str]]:
    """Return each name with its field, and what is wrong with the others."""
    find = finder(command.fields, command.parts)
    fields: dict[str, Field] = {}
    faults: list[str] = []
    spelt: dict[tuple[str, str], str] = {}
    for table, names in (("fixed", asked.fixed), ("axes", asked.axes)):
        for name in names:
            try:
                field = find(name)
            except SpecError as error:
                faults.append(f"{where}: {table}.{name}: {error}")
                continue
            key = (field.part, field.name)
            if key in spelt:
                faults.append(f"{where}: {table}.{name}: is given twice, also as {spelt[key]}; leave one out")
            spelt[key] = f"{table}.{name}"
            fields[f"{table}.{name}"] = field
    return fields, faults


def _valued(
    asked: Asked,
    fields: Mapping[str, Field],
    where: str,
    bare: bool,
    faults: list[str],
    chunks: Mapping[str, tuple[int, ...]],
) -> tuple[list[Axis], dict[Field, Any]]:
    """Return axes and fixed values in SI; what is wrong is added to ``faults``."""
    axes: list[Axis] = []
    fixed: dict[Field, Any] = {}
    for full, field in fields.items():
        table, _, name = full.partition(".")
        place = f"{where}: {full}"
        try:
            if table == "fixed":
                fixed[field] = field.value(asked.fixed[name], place, bare)
            else:
                axes.append(Axis(field, asked.axes[name].along(field, place, bare), chunks.get(name, ())))
        except SpecError as error:
            faults.append(str(error))
    return axes, fixed


def _complete(fixed: dict[Field, Any], axes: list[Axis], command: Command, where: str, faults: list[str]) -> None:
    """Add defaults to what is fixed, and what is missing to ``faults``."""
    given = {(each.part, each.name) for each in (*fixed, *(axis.field for axis in axes))}
    for field in command.fields:
        if (field.part, field.name) in given:
            continue
        if field.default is not None:
            fixed[field] = field.default
        elif not field.optional:
            unit = "" if field.unit == "1" else f", in {field.unit}"
            faults.append(f"{where}: fixed.{field.full}: is missing; add it under [fixed] or [axes]{unit}")


def _specs(
    fixed: Mapping[Field, Any], axes: list[Axis], beside: Path | None, where: str, faults: list[str]
) -> dict[tuple[str, str], Any]:
    """Return the specifications that words name, and those that devices name, by part and word."""
    words: dict[str, list[str]] = {}
    for field, value in fixed.items():
        if field.part == "" and field.name in KINDS and value:
            words[field.name] = [value]
    for axis in axes:
        if axis.field.part == "" and axis.field.name in KINDS:
            words[axis.field.name] = list(axis.values)
    found: dict[tuple[str, str], Any] = {}
    for part, names in words.items():
        for name in names:
            seen = name if beside is None else seen_from(beside, KINDS[part], name)
            try:
                found[part, name] = load(KINDS[part], seen)
            except SpecError as error:
                faults += [f"{where}: {part}: {line}" for line in str(error).splitlines()]
    for device in [spec for (part, _), spec in found.items() if part == "device"]:
        for part in _OF_DEVICE:
            name = getattr(device, part)
            if part not in words and (part, name) not in found:
                found[part, name] = load("link", name)
    return found


def sweep_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a sweep's file; names of fields are those of ``accelmodel docs``.

    Examples
    --------
    >>> sorted(sweep_schema()["properties"])
    ['axes', 'fixed', 'sweep']
    """
    schema = Asked.model_json_schema()
    head = schema["$defs"]["Head"]["properties"]
    head["command"] |= {"enum": list(COMMANDS), "description": "what is asked of each point"}
    axis = schema["properties"]["axes"].pop("additionalProperties")
    listed_values = {"type": "array", "minItems": 1, "description": "the values of the axis"}
    # l2.capacity = { … } in TOML is a table inside a table
    inside = {"type": "object", "additionalProperties": {"anyOf": [axis, listed_values]}}
    schema["properties"]["axes"]["additionalProperties"] = {"anyOf": [axis, listed_values, inside]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "accelmodel sweep"}


def load_sweep(name: str) -> Question:
    """Return the question of a file: a shipped name, a path, or a name in the working directory.

    Raises
    ------
    SpecError
        If there is no such file, or a key, unit or value in it is wrong; names file and field.

    Examples
    --------
    >>> load_sweep("l2-that-pays").dims
    ('technique', 'l2_capacity', 'batch')
    """
    path = path_of("sweep", name)
    content, _ = facts.read_toml(path)
    return read(content, str(path), path)
