"""JSON schemas: derived from the classes, and every shipped file keeps to its own."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

import accelmodel as am
from accelmodel.dse.studies.schema import study_schema
from accelmodel.errors import SpecError
from accelmodel.specs import find, schema
from accelmodel.specs.base import field_types
from accelmodel.specs.hardware import Device

KINDS = [kind for kind in find.FOLDERS if kind not in ("study", "sweep")]


def faults(value: Any, rule: dict[str, Any], where: str = "") -> list[str]:
    """Return where a value breaks a schema: the few keywords that ours use."""
    if "$ref" in rule:
        return faults(value, DEFS[rule["$ref"].rpartition("/")[2]], where)
    if "anyOf" in rule:
        tried = [faults(value, each, where) for each in rule["anyOf"]]
        return min(tried, key=len)
    if "enum" in rule and value not in rule["enum"]:
        return [f"{where}: {value!r} is none of {rule['enum']}"]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "number": (int, float),
        "integer": int,
        "null": type(None),
    }
    if "type" in rule and not isinstance(value, kinds[rule["type"]]):
        return [f"{where}: {value!r} is no {rule['type']}"]
    found = []
    if isinstance(value, dict):
        found += [f"{where}: {name} is missing" for name in rule.get("required", []) if name not in value]
        for name, each in value.items():
            inner = rule.get("properties", {}).get(name, rule.get("additionalProperties", {}))
            found += [f"{where}.{name}: not allowed"] if inner is False else faults(each, inner, f"{where}.{name}")
    if isinstance(value, list) and "items" in rule:
        found += [fault for each in value for fault in faults(each, rule["items"], where)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        found += [f"{where}: {value} is too small"] if value < rule.get("minimum", value) else []
        found += [f"{where}: {value} is too large"] if value > rule.get("maximum", value) else []
    return found


DEFS = study_schema()["$defs"]
FILES = [(kind, name) for kind in KINDS for name in find.available(kind)]


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_a_shipped_file_keeps_to_its_schema(kind, name):
    content = tomllib.loads(find.path_of(kind, name).read_text(encoding="utf-8"))
    assert faults(content, schema.file_schema(kind), name) == []


@pytest.mark.parametrize("name", find.available("study"))
def test_a_shipped_study_keeps_to_its_schema(name):
    content = tomllib.loads(find.path_of("study", name).read_text(encoding="utf-8"))
    assert faults(content, study_schema(), name) == []
    assert faults({**content, "space": {"l3_capacity": {"values": ["1MB"]}}}, study_schema(), name)
    assert faults({**content, "study": {"title": 3}}, study_schema(), name)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("link", {"link": {}}),
        ("link", {"links": {}}),
        ("device", {"device": {"l3_capacity": 1}}),
        ("device", {"device": {}, "l2": {"ways": {"value": "many"}}}),
        ("device", {"device": {}, "l2": {"usable": 1.5}}),
        ("device", {"device": {}, "hbm": {"bandwidth": {"value": 3}}}),
    ],
)
def test_a_wrong_file_does_not(kind, content):
    assert faults(content, schema.file_schema(kind))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "architecture"])
def test_every_field_has_a_meaning_and_its_bounds(kind):
    whole = schema.file_schema(kind)
    spec_type = type(am.load(kind, find.available(kind)[0]))
    for name, field in field_types(spec_type).items():
        if name == "name":
            continue
        section, _, short = name.rpartition(".")
        described = whole["properties"][section or kind]["properties"][short]["description"]
        assert schema.meanings()[kind][name].strip() in described
        assert len(schema.meanings()[kind][name]) > 3
        if field.quantity is not None and field.quantity.le is not None:
            assert f"at most {field.quantity.le:g}" in described


def test_a_device_goes_by_old_names_and_says_that_they_are_old():
    properties = schema.file_schema("device")["properties"]["device"]["properties"]
    assert properties["l2_capacity"]["deprecated"] is True
    assert "deprecated" not in properties["die_area"]
    assert set(schema.file_schema("architecture")["properties"]) >= {"architecture", "derive", "l2"}


def test_what_is_required_is_what_loading_asks_for():
    required = set(schema.file_schema("link")["properties"]["link"]["required"])
    assert required == {"topology", "algorithms", "bandwidth", "links", "share", "hop_latency", "start_up", "devices"}
    assert "required" not in schema.file_schema("device")["properties"]["device"]
    assert field_types(Device)["compute.cores"].required


def test_an_unknown_kind_is_answered_with_the_closest():
    with pytest.raises(SpecError, match="did you mean 'device'"):
        schema.file_schema("devise")
