"""Levels of a cluster, from the innermost on: tables ``[[level]]`` of a link's or a cluster's file.

Each begins from a link's file that it names with ``link``, or from the table ``[link]`` of its own file, and states
what is different.  One of them is the node, the domain that a collective library takes for one: it becomes the link of
a cluster, those before it lie inside, those after it beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief, listed
from accelmodel.specs import facts, find
from accelmodel.specs.base import field_types, field_units
from accelmodel.specs.build import build
from accelmodel.specs.facts import Fact
from accelmodel.specs.link import Link
from accelmodel.specs.names import canonical, no_field

#: what a level says beside the fields of a link
_ABOUT = ("name", "link", "node")
#: fields that may differ from those of the file that a level begins from, its measured errors staying what they are
_SIZES = {"devices", "slice"}
_MOST = 16


def level_entries(path: Path) -> list[dict[str, Any]]:
    """Return the tables ``[[level]]`` of a file; SpecError where they are something else."""
    found = facts.read_toml(path)[0].get("level", [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise SpecError(f"{path}: level must be tables [[level]], not {brief(found)}")
    return found


def read_levels(path: Path, base: Mapping[str, Fact], named: Callable[[str], Link], digest: str) -> Link:
    """Return the node's link of a file with tables ``[[level]]``, the other levels inside it and beyond.

    Parameters
    ----------
    path : Path
    base : mapping of str to Fact
        What holds of every level that does not begin from a file.
    named : callable
        Link of a name or path.
    digest : str
        Of the file.

    Raises
    ------
    SpecError
        If a level lacks a field, has one that no link has, or does not join more devices than the one before.
    """
    content, _ = facts.read_toml(path)
    entries = level_entries(path)
    if len(entries) > _MOST:
        raise SpecError(f"{path}: {len(entries):,} tables [[level]]; at most {_MOST}")
    links = [_level(path, place, entry, content, base, named) for place, entry in enumerate(entries, 1)]
    for before, after in pairwise(links):
        if not after.devices > before.devices:
            raise SpecError(
                f"{path}: {after.name}: devices {after.devices:g} must be above the {before.devices:g} of "
                f"{before.name}; write [[level]] from the innermost on, each with all devices that it joins"
            )
        if after.devices % before.devices:
            raise SpecError(
                f"{path}: {after.name}: devices {after.devices:g} must be a multiple of the {before.devices:g} of "
                f"{before.name}: a level joins whole ones of the level before"
            )
    links = _told_apart(links, entries)
    place = _node(path, entries)
    return replace(links[place], digest=digest, inside=tuple(links[:place]), beyond=tuple(links[place + 1 :]))


def _told_apart(links: list[Link], entries: list[dict[str, Any]]) -> list[Link]:
    """Return levels that begin from one file under the names that their tables give them."""
    names = [link.name for link in links]
    return [
        replace(link, name=f"{link.name} {entry.get('name', place)}") if names.count(link.name) > 1 else link
        for place, (link, entry) in enumerate(zip(links, entries, strict=True), 1)
    ]


def _node(path: Path, entries: list[dict[str, Any]]) -> int:
    """Return which level is the node: that which says so, or is called so, or the last but one."""
    marked = [place for place, entry in enumerate(entries) if entry.get("node")]
    if len(marked) > 1:
        raise SpecError(f"{path}: node = true stands in {len(marked)} tables [[level]]; one of them is the node")
    names = [entry["name"] for entry in entries if entry.get("name")]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(
                f"{path}: name {brief(name)} stands in {names.count(name)} tables [[level]]; name each once"
            )
    called = [place for place, entry in enumerate(entries) if entry.get("name") == "node"]
    return (marked or called or [max(len(entries) - 2, 0)])[0]


def _fact(entry: Any, name: str, content: Mapping[str, Any]) -> Fact:
    """Return a fact of a level, in the unit of its field."""
    fact = facts.read_fact(entry, content.get("default", {}), content.get("sources", {}))
    unit = field_units(Link)[name]
    if isinstance(fact.value, str) and field_types(Link)[name].quantity:
        raise SpecError(f"{brief(fact.value)} is text, no number; write for example value = 40")
    if isinstance(fact.value, float) and fact.unit != unit:
        raise SpecError(f"is in {fact.unit}, expected {unit}; correct its unit")
    return fact


def _begun(where: str, name: str, named: Callable[[str], Link]) -> Link:
    """Return the link that a level begins from, whose file has no levels: none begins from itself."""
    try:
        path = find.path_of("link", name)
    except SpecError as error:
        raise SpecError(f"{where}: link: {error}") from None
    if find.is_cluster(name) or level_entries(path):
        raise SpecError(f"{where}: link {brief(name)} has levels of its own; name the file of one link")
    return named(name)


def _level(
    path: Path, place: int, entry: dict[str, Any], content: Mapping[str, Any], base: Mapping[str, Fact],
    named: Callable[[str], Link],
) -> Link:  # fmt: skip
    """Return one level: what it begins from, and what it states."""
    where = f"{path}: [[level]] {place}"
    name, begun = entry.get("name", ""), entry.get("link", "")
    if not isinstance(name, str) or not isinstance(begun, str) or not isinstance(entry.get("node", False), bool):
        raise SpecError(f"{where}: name and link are words, node is true or false")
    from_file = _begun(where, find.seen_from(path, "link", begun), named) if begun else None
    own: dict[str, Fact] = {}
    faults = []
    for key, value in entry.items():
        if key in _ABOUT:
            continue
        field = canonical(Link, key)
        if field is None:
            faults.append(f"{where}: {no_field(Link, key, 'key')}")
            continue
        try:
            own[field] = _fact(value, field, content)
        except SpecError as error:
            faults.append(f"{where}: {key}: {error}")
    if faults:
        raise listed(faults)
    found = {**(from_file.facts if from_file else base), **own}
    about = {
        "name": begun or name or f"{path.stem} level {place}",
        "facts": found,
        "residuals": from_file.residuals if from_file and set(own) <= _SIZES else (),
        "digest": from_file.digest if from_file else "",
        "notes": from_file.notes if from_file else (),
    }
    return build(Link, {**{field: fact.value for field, fact in found.items()}, **about}, where)
