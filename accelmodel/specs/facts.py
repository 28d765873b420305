"""Sourced values: reading ``hwspecs`` TOML, where every number says where it comes from.

A file holds one table of facts.  A fact is ``{ value, unit, kind, source, locator }``; ``source`` is
a key of ``hwspecs/sources.toml``.  What is ``assumed`` or ``calibrated`` also carries a ``range``.
A ``[default]`` table may give ``kind``, ``source`` and ``locator`` once for all facts of its file;
a bare number is then a fact with unit ``"1"``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs import files
from accelmodel.symbols import unit_factor

#: from the firmest to the weakest; an answer is as firm as the weakest fact behind it
KINDS = ("given", "datasheet", "measured", "paper", "derived", "price", "calibrated", "assumed")
_RANGED = ("calibrated", "assumed")
#: locator of a value that a caller gave in place of what is known
GIVEN = "given by the caller"
#: what ``Fact.inherited`` begins with where a value is that of the device's architecture
ARCHITECTURE = "architecture "
_KEYS = {"value", "unit", "kind", "source", "locator", "range", "note"}


@dataclass(frozen=True)
class Fact:
    """One sourced value, in SI.

    Attributes
    ----------
    value : float or str
        Value in SI units, or a word.
    unit : str
        SI unit; ``"1"`` for counts and words.
    kind : str
        One of ``KINDS``.
    source, locator : str
        Key into ``sources.toml``, and the place within that source.
    range : tuple of (float, float), optional
        Lowest and highest plausible value in SI; always there for assumed and calibrated facts.
    note : str
        Anything a reader must know before using the value.
    inherited : str
        The architecture or device that it was taken from; empty where it stands in the file itself.
    """

    value: Any
    unit: str
    kind: str
    source: str
    locator: str
    range: tuple[float, float] | None = None
    note: str = ""
    inherited: str = ""

    @property
    def standing(self) -> str:
        """Its kind; what another device has, or was fitted to it, is assumed of this one.

        What its own architecture states is known of it, but for what was measured.
        """
        own = self.inherited.startswith(ARCHITECTURE) and self.kind not in ("measured", "calibrated")
        return "assumed" if self.inherited and not own else self.kind


@dataclass(frozen=True)
class FactFile:
    """The facts of one file by dotted name.

    ``head`` holds what its table says beside facts, ``faults`` what is wrong with each field, ``digest`` identifies
    its exact content.  ``table`` is its main one, and ``spelt`` tells how the file writes a name that goes by several.
    """

    path: Path
    name: str
    facts: Mapping[str, Fact]
    digest: str
    head: Mapping[str, Any]
    faults: Mapping[str, str]
    table: str
    spelt: Mapping[str, str] = field(default_factory=dict)

    def place(self, name: str) -> str:
        """Return ``PATH:LINE`` of a field, or the path where the file has none of that name."""
        return places(self.path, self.table, self.spelt)(name)


@cache
def root() -> Path:
    """Return the folder that holds ``hwspecs``: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_hwspecs", package.parent / "hwspecs"):
        if (folder / "sources.toml").is_file():
            return folder
    raise SpecError(
        f"hwspecs not found beside {package.parent.name} nor in {package.name}/_hwspecs; reinstall accelmodel"
    )


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Return the content of a TOML file and the first 16 hex digits of its SHA-256.

    Raises
    ------
    SpecError
        If the file cannot be read, is no plain file, larger than 1 MiB, not UTF-8 or not TOML (which also
        forbids duplicate keys); with the line.
    """
    raw = files.read_bytes(path)
    return files.parse_toml(path, files.as_text(path, raw)), hashlib.sha256(raw).hexdigest()[:16]


@cache
def sources() -> dict[str, dict[str, str]]:
    """Return ``sources.toml``: key → title, url, licence, retrieved."""
    table, _ = read_toml(root() / "sources.toml")
    return table


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{brief(value)} is not a number; write for example value = 40")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SpecError(f"{brief(value)} is not a finite number")
    return number


def _range(given: Any, factor: float, value: float) -> tuple[float, float]:
    if not isinstance(given, list) or len(given) != 2:
        raise SpecError("range must be [lowest, highest], in the unit of the value")
    low, high = (_number(end) * factor for end in given)
    if not low <= value <= high:
        raise SpecError(f"value {value:g} lies outside its range {low:g} to {high:g} (SI)")
    return low, high


def read_fact(entry: Any, default: Mapping[str, Any], extra: Iterable[str] = ()) -> Fact:
    """Return the fact written as ``entry``, a table or a bare value, in SI.

    ``extra`` names sources that the caller's own file brings along (``[sources]``).

    Raises
    ------
    SpecError
        Says what is missing or not allowed.
    """
    entry = dict(entry) if isinstance(entry, Mapping) else {"value": entry}
    if stray := set(entry) - _KEYS:
        raise unknown("key", sorted(stray)[0], _KEYS)
    merged = {**default, **entry}
    if missing := {"value", "kind", "source", "locator"} - set(merged):
        raise SpecError(f"missing {', '.join(sorted(missing))}; every value says where it comes from")
    for key in ("unit", "kind", "source", "locator", "note"):
        if not isinstance(merged.get(key, ""), str):
            raise SpecError(f"{key} must be text, not {brief(merged[key])}")
    kind, source, value = merged["kind"], merged["source"], merged["value"]
    if kind not in KINDS[1:]:
        raise unknown("kind", kind, KINDS[1:])
    if source not in sources() and source not in extra:
        raise SpecError(f"source {source!r} is not in sources.toml; add it there or under [sources]")
    note, locator = merged.get("note", ""), merged["locator"]
    if isinstance(value, str | list | bool):
        return Fact(value, "1", kind, source, locator, None, note)
    dimension, factor = unit_factor(merged.get("unit", "1"))
    number = _number(value) * factor
    span = None
    if "range" in merged:
        span = _range(merged["range"], factor, number)
    elif kind in _RANGED:
        raise SpecError(f"a value of kind {kind!r} needs a range = [lowest, highest]")
    return Fact(number, dimension, kind, source, locator, span, note)


#: what a table may say of itself beside facts, by the table
_HEAD = {
    "device": ("name", "like", "part", "uncalibrated"),
    "architecture": ("name", "like", "words"),
    "bill": ("name", "like"),
}
_DEFAULT = ("kind", "source", "locator")


def _entries(content: Mapping[str, Any], table: str, sections: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield each fact of a file by dotted name: of its table, of its sections, and of sections inside the table."""
    body = content.get(table, {})
    for name, entry in body.items():
        if name in sections and isinstance(entry, dict):
            yield from ((f"{name}.{field}", each) for field, each in entry.items())
        elif name not in _HEAD.get(table, ("name",)):
            yield name, entry
    for section in sections:
        yield from ((f"{section}.{field}", each) for field, each in content.get(section, {}).items())


def _shape(content: Mapping[str, Any], table: str, others: Iterable[str], sections: Iterable[str]) -> dict[str, str]:
    """Return what is wrong with the tables of a file, by table."""
    allowed = [table, *sections, "default", "sources", *others]
    faults = {f"[{key}]": str(unknown("table", key, allowed)) for key in content if key not in allowed}
    for key in (table, *sections, "default", "sources"):
        if not isinstance(content.get(key, {}), dict):
            faults[f"[{key}]"] = f"must be a table [{key}], not {brief(content[key])}"
    if not any(content.get(key) for key in (table, *sections)):
        held = [key for key in content if key not in allowed]
        other = f"; it holds [{held[0]}]" if held else ""
        faults[f"[{table}]"] = f"needs a table [{table}] of facts{other}"
    default = content.get("default", {})
    if isinstance(default, dict) and (stray := set(default) - set(_DEFAULT)):
        faults["[default]"] = str(unknown("key", sorted(stray)[0], _DEFAULT))
    head = content.get(table, {})
    if isinstance(head, dict):
        for key in {"name", "like", "part"} & {*_HEAD.get(table, ("name",))}:
            if not isinstance(head.get(key, "x"), str) or not head.get(key, "x"):
                faults[key] = f"must be text, not {brief(head[key])}"
        if not isinstance(head.get("uncalibrated", False), bool):
            faults["uncalibrated"] = "must be true or false"
    return faults


def read_facts(path: Path, table: str, others: Iterable[str] = (), sections: Iterable[str] = ()) -> FactFile:
    """Return the facts of one file, with what is wrong with them.

    Parameters
    ----------
    path : Path
        A TOML file with the tables ``[table]``, and optionally ``[default]`` and ``[sources]``.
    table : str
        Name of the table that holds the facts, such as ``"device"``.
    others : iterable of str
        Tables that the file may hold besides, and that the caller reads.
    sections : iterable of str
        Tables that hold facts of a part, such as ``"l2"``.

    Returns
    -------
    FactFile
        With a fault for each field that is wrong; the caller adds its own, and refuses with all of them.

    Raises
    ------
    SpecError
        If the file cannot be read or is not TOML.
    """
    content, digest = read_toml(path)
    sections = tuple(sections)
    faults = _shape(content, table, others, sections)
    content = {key: part for key, part in content.items() if f"[{key}]" not in faults or key == table}
    body = content.get(table, {}) if isinstance(content.get(table, {}), dict) else {}
    head = {key: body[key] for key in _HEAD.get(table, ("name",)) if key in body and key not in faults}
    if isinstance(body.get("architecture"), str):
        head["architecture"] = body["architecture"]  # a word alone needs no source: its file has one
    found: dict[str, Fact] = {}
    for key, entry in _entries({**content, table: body}, table, sections):
        if key in found:
            faults[key] = "stands twice; leave one out"
            continue
        try:
            found[key] = read_fact(entry, content.get("default", {}), content.get("sources", {}))
        except SpecError as error:
            faults[key] = str(error)
    return FactFile(path, str(head.get("name", path.stem)), found, digest, head, faults, table)


def places(path: Path, table: str, spelt: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """Return what tells where a field stands: ``PATH:LINE``, or the path where the file has none of that name.

    The lines are looked up when the first is asked for: only errors need them.

    Parameters
    ----------
    path : Path
    table : str
        The file's main table, which the names leave out.
    spelt : mapping, optional
        Name → how the file writes it, of names that go by several.
    """

    @cache
    def lines() -> Mapping[str, int]:
        try:
            found = files.toml_lines(files.as_text(path, files.read_bytes(path)))
        except SpecError:  # gone since
            return {}
        return {key.removeprefix(f"{table}."): line for key, line in found.items()} | found

    return lambda name: files.at(path, (spelt or {}).get(name, name), lines())


def given(fact: Fact | None, value: Any, unit: str, where: str = GIVEN) -> Fact:
    """Return the fact that replaces ``fact`` when a caller overrides it."""
    blank = Fact(value, unit, "given", "user", where)
    return (
        blank
        if fact is None
        else replace(fact, value=value, kind="given", source="user", locator=where, range=None, inherited="")
    )


def weakest(kinds: Iterable[str]) -> str:
    """Return the least firm of some kinds of fact.

    Examples
    --------
    >>> weakest(["datasheet", "assumed", "measured"])
    'assumed'
    """
    return max(kinds, key=KINDS.index, default="given")
