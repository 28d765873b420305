"""Reading lists of parts: tables ``[[attention]]`` and ``[[mlp]]`` of a model, each with a kind and its own sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief, listed, unknown
from accelmodel.specs import facts
from accelmodel.specs.base import part_tables
from accelmodel.specs.build import build
from accelmodel.specs.facts import Fact

#: field of a part → field of the whole that holds where a table does not say
_INHERITED = {
    **{name: name for name in ("heads", "kv_heads", "head_dim", "qkv_bias", "output_bias", "qk_norm", "gated")},
    "width": "ffn",
    "sinks": "attention_sinks",
}


def read_parts(path: Path, spec_type: type, whole: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Fact]]:
    """Return the lists of parts that a file tells, and the facts behind them as ``attention.0.heads``.

    Parameters
    ----------
    path : Path
    spec_type : type
        Whose lists they are.
    whole : mapping
        Values of the specification itself: what a table leaves out is the field of that name.

    Raises
    ------
    SpecError
        If a table has no kind, a key or value that its kind does not take, or lacks one.
    """
    content, _ = facts.read_toml(path)
    lists: dict[str, Any] = {}
    sourced: dict[str, Fact] = {}
    for name, kinds in part_tables(spec_type).items():
        entries = content.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SpecError(f"{path}: {name} must be tables [[{name}]], not {brief(entries)}")
        parts = []
        for place, entry in enumerate(entries):
            part, found = _part(f"{path}: [[{name}]] {place + 1}", entry, kinds, content, whole)
            parts.append(part)
            sourced |= {f"{name}.{place}.{key}": fact for key, fact in found.items()}
        if parts:
            lists[name] = tuple(parts)
    return lists, sourced


def _part(
    where: str, entry: dict[str, Any], kinds: Mapping[str, Any], content: Mapping[str, Any], whole: Mapping[str, Any]
) -> tuple[Any, dict[str, Fact]]:
    """Return one part, what it leaves out being that of the whole, and its facts."""
    kind = entry.get("kind", "")
    if not isinstance(kind, str) or kind not in kinds:
        raise SpecError(f"{where}: {unknown('kind', kind, kinds)}")
    names = [each.name for each in dataclasses.fields(kinds[kind])]
    found: dict[str, Fact] = {}
    faults = []
    for key, value in entry.items():
        if key == "kind":
            continue
        if key not in names:
            faults.append(f"{where}: {unknown('key', key, names)}")
            continue
        try:
            fact = facts.read_fact(value, content.get("default", {}), content.get("sources", {}))
        except SpecError as error:
            faults.append(f"{where}: {key}: {error}")
            continue
        if fact.unit != "1":
            faults.append(f"{where}: {key}: is in {fact.unit}, and is a number; leave the unit out")
        found[key] = fact
    if faults:
        raise listed(faults)
    inherited = {name: whole[field] for name, field in _INHERITED.items() if name in names and field in whole}
    return build(
        kinds[kind], {**inherited, "kind": kind, **{key: fact.value for key, fact in found.items()}}, where
    ), found
