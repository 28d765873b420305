"""The JSON schema (draft 2020-12) of a file of facts, from the data classes that read it and the meanings in
``hwspecs/README.md``: editors complete and check a TOML file by it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from accelmodel.errors import unknown
from accelmodel.laws.types import ALGORITHMS
from accelmodel.specs import facts
from accelmodel.specs.base import FieldType, field_types, part_tables, sections
from accelmodel.specs.cloud import FUSED, OVERLAPS, PLACES
from accelmodel.specs.derive import DERIVE
from accelmodel.specs.hardware import DIRECTIONS, FLAT, PRICE_KINDS, Device
from accelmodel.specs.link import CALLERS, LAUNCHES, TOPOLOGIES, Link
from accelmodel.specs.load import TYPES
from accelmodel.specs.memories import HELD
from accelmodel.specs.quantities import Quantity

DRAFT = "https://json-schema.org/draft/2020-12/schema"
#: word of a field → what it may be
WORDS = {
    "topology": TOPOLOGIES,
    "algorithms": ALGORITHMS,
    "direction": DIRECTIONS,
    "holds": HELD,
    "host": OVERLAPS,
    "loads": OVERLAPS,
    "collectives": CALLERS,
    "launch": LAUNCHES,
    "unfused": FUSED,
    "prompts": PLACES,
    "norm": ("rms", "layer"),
    "price_kind": PRICE_KINDS,
}
_TEXT = {"type": "string", "minLength": 1}
_RANGE = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 2,
    "maxItems": 2,
    "description": "[lowest, highest] plausible value, in the unit of the value",
}


@cache
def meanings() -> dict[str, dict[str, str]]:
    """Return what each field means, by kind of specification and dotted name, from the tables of the README."""
    found: dict[str, dict[str, str]] = {}
    kind = section = ""
    for line in (facts.root() / "README.md").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## (\w+)", line):
            kind, section = heading[1].lower(), ""
        elif heading := re.match(r"### `\[(\w+)\]`", line):
            section = f"{heading[1]}." if heading[1] != kind else ""
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            for name in re.findall(r"`(\w+)`", cells[0]):
                found.setdefault(kind, {})[f"{section}{name}"] = cells[-1].rstrip("| ").replace("`", "")
    return found


def _bounds(quantity: Quantity) -> str:
    """Return the bounds of a quantity in words; they hold in SI units, whatever unit a file uses."""
    parts = ["a whole number"] if quantity.whole else []
    parts += [f"above {quantity.gt:g}"] if quantity.gt is not None else []
    least = " or 0" if quantity.or_zero else ""
    parts += [f"at least {quantity.ge:g}{least}"] if quantity.ge is not None else []
    parts += [f"at most {quantity.le:g}"] if quantity.le is not None else []
    unit = "" if quantity.unit == "1" else f" {quantity.unit}"
    return f"{', '.join(parts)}{unit}"


def _value(name: str, kind: FieldType) -> dict[str, Any]:
    """Return the schema of the bare value of a field."""
    if kind.quantity is not None:
        plain = kind.quantity if kind.quantity.unit == "1" else Quantity()
        limits = {"exclusiveMinimum": plain.gt, "minimum": plain.ge, "maximum": plain.le}
        number = {"type": "number", **{key: limit for key, limit in limits.items() if limit is not None}}
        return {"anyOf": [{"enum": [0]}, number]} if plain.or_zero else number
    if kind.plain is bool:
        return {"type": "boolean"}
    if kind.plain == list[float]:
        return {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1}
    word = {"type": "string", **({"enum": list(WORDS[name])} if name in WORDS else {})}
    return word if kind.plain is str else {"type": "array", "items": word, "minItems": 1}


def fact_schema(name: str, kind: FieldType, meaning: str) -> dict[str, Any]:
    """Return the schema of one fact: a table with a value and its source, or a bare value in SI units."""
    value = _value(name.rpartition(".")[2], kind)
    properties: dict[str, Any] = {
        "value": value if kind.unit == "1" else {"type": "number"},
        "kind": {"enum": list(facts.KINDS[1:]), "description": "how firm it is"},
        "source": {**_TEXT, "description": "a key of sources.toml, or of [sources] in this file"},
        "locator": {**_TEXT, "description": "the place in that source, or the reason of an assumption"},
        "note": _TEXT,
    }
    text = meaning
    if kind.quantity is not None:
        properties["range"] = _RANGE
        text = f"{meaning} ({_bounds(kind.quantity)})"
    if kind.unit != "1" or kind.quantity is not None:
        properties["unit"] = {**_TEXT, "description": f"of the dimension {kind.unit}; prefixes and % are understood"}
    table = {
        "type": "object",
        "properties": properties,
        "required": ["value", *(["unit"] if kind.unit != "1" else [])],
        "additionalProperties": False,
    }
    return {"description": text, "anyOf": [table, *([value] if kind.unit == "1" else [])]}


def _table(description: str, properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _about() -> dict[str, Any]:
    """Return the tables that any file of facts may hold besides."""
    default = {"kind": {"enum": list(facts.KINDS[1:])}, "source": _TEXT, "locator": _TEXT}
    source = {"type": "object", "properties": {"title": _TEXT}, "additionalProperties": {"type": "string"}}
    return {
        "default": _table("used where a fact does not say", default),
        "sources": {
            "type": "object",
            "description": "sources that only this file needs",
            "additionalProperties": source,
        },
    }


def _heirs(kind: str) -> dict[str, Any]:
    """Return what the table of a device or architecture may say beside facts."""
    found: dict[str, Any] = {"like": {**_TEXT, "description": f"the {kind} whose values hold where none are given"}}
    if kind == "device":
        found["part"] = {**_TEXT, "description": "the device that software sees several of in this one"}
        found["uncalibrated"] = {"type": "boolean", "description": "what was fitted to that device is not taken"}
        found["architecture"] = {**_TEXT, "description": "its generation; a word of hwspecs/architectures/"}
    else:
        found["words"] = {"type": "array", "items": _TEXT, "description": "by what names it is known"}
    return found


def _part(word: str, part: Any) -> dict[str, Any]:
    """Return the schema of one table of a list, whose kind is that word."""
    sizes = {name: fact_schema(name, each, "") for name, each in field_types(part).items() if name != "kind"}
    described = " ".join((part.__doc__ or "").split())
    return _table(described, {"kind": {"const": word}, **sizes}, ["kind", "layers"])


def _level() -> dict[str, Any]:
    """Return the schema of one table ``[[level]]``: the fields of a link, all of which it may leave out."""
    known = meanings()["link"]
    fields = {n: fact_schema(n, each, known.get(n, "")) for n, each in field_types(Link).items() if n != "name"}
    own = {
        "name": {**_TEXT, "description": "what it is called, such as node or rack"},
        "link": {**_TEXT, "description": "the link whose values hold where it gives none"},
        "node": {"type": "boolean", "description": "whether a collective library takes it for a node"},
    }
    return _table("one level of a cluster, from the innermost on", {**own, **fields})


#: tables that a file must have, where that is not the one of its kind
_TABLES = {"link": [], "cluster": ["cluster", "level"]}


def file_schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a file of facts.

    Parameters
    ----------
    kind : str
        A kind of ``load``, or ``"architecture"``.

    Returns
    -------
    dict
        Draft 2020-12.  Bounds hold in SI units, so only fields without a unit carry them as numbers; the description
        says all.

    Raises
    ------
    SpecError
        If there is no such kind.

    Examples
    --------
    >>> sorted(file_schema("memory")["properties"])
    ['default', 'memory', 'sources']
    """
    heirs = kind in ("device", "architecture")
    if kind not in TYPES and not heirs:
        raise unknown("kind of file", kind, (*TYPES, "architecture"))
    spec_type = Device if heirs else TYPES[kind][1]
    known = meanings().get("device" if heirs else kind, {})
    fields = {name: each for name, each in field_types(spec_type).items() if name != "name"}
    schemas = {name: fact_schema(name, each, known.get(name, "")) for name, each in fields.items()}
    tables: dict[str, Any] = {}
    for section in sections(spec_type):
        inner = {name.partition(".")[2]: each for name, each in schemas.items() if name.startswith(f"{section}.")}
        tables[section] = _table(f"section {section} of the {kind}", inner)
    top = {name: each for name, each in schemas.items() if "." not in name}
    if heirs:
        plain = _heirs(kind)
        if "architecture" in plain:
            top["architecture"]["anyOf"].append(plain.pop("architecture"))
        old = {word: {**schemas[name], "deprecated": True} for word, name in FLAT.items()} if kind == "device" else {}
        top = {**plain, **top, **old}
    if kind == "architecture":
        rules = {
            name: fact_schema(name, FieldType(Quantity(unit, gt=0.0), float, False), known[f"derive.{name}"])
            for name, (unit, *_) in DERIVE.items()
        }
        tables["derive"] = _table("how what a data sheet leaves out follows from the rest", rules)
    if kind == "bill":
        top = {"like": {**_TEXT, "description": known["like"]}, **top}
    for table, kinds in part_tables(spec_type).items():
        tables[table] = {"type": "array", "items": {"oneOf": [_part(word, part) for word, part in kinds.items()]}}
    needed = [name for name, each in fields.items() if each.required and not heirs and kind != "bill"]
    if kind in ("link", "cluster"):
        tables["level"] = {"type": "array", "items": _level(), "minItems": 1}
    main = _table(f"one {kind}", {"name": {**_TEXT, "description": "else the name of the file"}, **top}, needed)
    return {
        "$schema": DRAFT,
        "title": f"accelmodel {kind}",
        **_table(f"a file of hwspecs/{kind}", {kind: main, **tables, **_about()}, _TABLES.get(kind, [kind])),
    }
