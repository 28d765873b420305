"""The JSON schema of a study's file."""

from __future__ import annotations

from typing import Any

from accelmodel.dse.studies.axes import AXES, COME_OUT, PARTS, axis_name, role_of
from accelmodel.dse.studies.objectives import OBJECTIVES
from accelmodel.dse.studies.study import Study
from accelmodel.specs.base import field_types
from accelmodel.specs.hardware import Device
from accelmodel.specs.names import flat


def axis_names() -> dict[str, list[str]]:
    """Return the name that each axis has in results → its names in a file."""
    numbers = [name for name, kind in field_types(Device).items() if kind.quantity and name not in COME_OUT]
    given = [*AXES, *(role.full for role in AXES.values()), *numbers, *(flat(Device, name) for name in numbers)]
    for part, spec in PARTS.items():
        fields = [name for name, kind in field_types(spec).items() if kind.quantity]
        given += [f"{part}{sign}{name}" for name in fields for sign in (".", "_")]
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(given):
        found.setdefault(axis_name(name), []).append(name)
    return found


def study_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a study's file.

    Examples
    --------
    >>> sorted(study_schema()["properties"])
    ['constraints', 'mix', 'rules', 'software', 'space', 'study', 'workload']
    """
    schema = Study.model_json_schema()
    for name in ("name", "digest"):
        schema["properties"].pop(name)
    rule = schema["properties"]["space"].pop("additionalProperties")
    flats: dict[str, Any] = {}
    inside: dict[str, Any] = {}
    for name, spellings in axis_names().items():
        role = role_of(name)
        what = f"name of kind {role.words}" if role.words else f"in {role.unit}"
        axis = {**rule, "description": f"axis of the chip, {what}"}
        for given in spellings:
            flats[given] = axis
            part, dot, field = given.partition(".")
            if dot:
                table = inside.setdefault(part, {"type": "object", "properties": {}, "additionalProperties": False})
                table["properties"][field] = axis
    # a section may be an axis of words as well: process = { values = [...] }
    both = {name: {"anyOf": [flats[name], inside[name]]} for name in flats.keys() & inside.keys()}
    schema["properties"]["space"] |= {
        "properties": {**flats, **inside, **both},
        "additionalProperties": False,
        "minProperties": 1,
    }
    words = {"enum": list(OBJECTIVES)}
    head = schema["$defs"]["Head"]["properties"]
    head["objective"] = {"anyOf": [words, {"type": "null"}], "default": None}
    head["objectives"] = {"anyOf": [{"type": "array", "items": words}, {"type": "null"}], "default": None}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "accelmodel study"}
