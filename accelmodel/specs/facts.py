"""Sourced values: reading ``hwspecs`` TOML, where every number says where it comes from.

A file holds one table of facts.  A fact is ``{ value, unit, kind, source, locator }``; ``source`` is
a key of ``hwspecs/sources.toml``.  What is ``assumed`` or ``calibrated`` also carries a ``range``.
A ``[default]`` table may give ``kind``, ``source`` and ``locator`` once for all facts of its file;
a bare number is then a fact with unit ``"1"``.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.units import unit_factor

#: from the firmest to the weakest; an answer is as firm as the weakest fact behind it
KINDS = ("given", "datasheet", "measured", "paper", "derived", "price", "calibrated", "assumed")
_RANGED = ("calibrated", "assumed")
#: locator of a value that a caller gave in place of what is known
GIVEN = "given by the caller"
_KEYS = {"value", "unit", "kind", "source", "locator", "range", "note"}
_MAX_FILE_BYTES = 1 << 20


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
    """

    value: Any
    unit: str
    kind: str
    source: str
    locator: str
    range: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class FactFile:
    """The facts of one file.  ``digest`` identifies its exact content."""

    path: str
    table: str
    name: str
    facts: Mapping[str, Fact]
    digest: str


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
        If the file cannot be read, is larger than 1 MiB, is not UTF-8 or not TOML (which also
        forbids duplicate keys).
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise SpecError(f"{path}: larger than 1 MiB; a specification is a few kB")
        raw = path.read_bytes()
        return tomllib.loads(raw.decode()), hashlib.sha256(raw).hexdigest()[:16]
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except SpecError:
        raise
    except (ValueError, RecursionError) as error:  # also a number too long to read, a path that no file can have
        raise SpecError(f"{path}: is not valid TOML: {error}") from None


@cache
def sources() -> dict[str, dict[str, str]]:
    """Return ``sources.toml``: key → title, url, licence, retrieved."""
    table, _ = read_toml(root() / "sources.toml")
    return table


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{where}: {brief(value)} is not a number; write for example value = 40")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SpecError(f"{where}: {brief(value)} is not a finite number")
    return number


def _range(given: Any, factor: float, value: float, where: str) -> tuple[float, float]:
    if not isinstance(given, list) or len(given) != 2:
        raise SpecError(f"{where}: range must be [lowest, highest], in the unit of the value")
    low, high = (_number(end, f"{where}.range") * factor for end in given)
    if not low <= value <= high:
        raise SpecError(f"{where}: value {value:g} lies outside its range {low:g} to {high:g} (SI)")
    return low, high


def read_fact(entry: Any, default: Mapping[str, Any], where: str, extra: Iterable[str] = ()) -> Fact:
    """Return the fact written as ``entry``, a table or a bare value, in SI.

    ``extra`` names sources that the caller's own file brings along (``[sources]``).

    Raises
    ------
    SpecError
        Names the file and field, and says what is missing or not allowed.
    """
    entry = dict(entry) if isinstance(entry, Mapping) else {"value": entry}
    if stray := set(entry) - _KEYS:
        raise SpecError(f"{where}: {unknown('key', sorted(stray)[0], _KEYS)}")
    merged = {**default, **entry}
    if missing := {"value", "kind", "source", "locator"} - set(merged):
        raise SpecError(f"{where}: missing {', '.join(sorted(missing))}; every value says where it comes from")
    for key in ("unit", "kind", "source", "locator", "note"):
        if not isinstance(merged.get(key, ""), str):
            raise SpecError(f"{where}: {key} must be text, not {brief(merged[key])}")
    kind, source, value = merged["kind"], merged["source"], merged["value"]
    if kind not in KINDS[1:]:
        raise SpecError(f"{where}: {unknown('kind', kind, KINDS[1:])}")
    if source not in sources() and source not in extra:
        raise SpecError(f"{where}: source {source!r} is not in sources.toml; add it there or under [sources]")
    note, locator = merged.get("note", ""), merged["locator"]
    if isinstance(value, str | list | bool):
        return Fact(value, "1", kind, source, locator, None, note)
    try:
        dimension, factor = unit_factor(merged.get("unit", "1"))
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None
    number = _number(value, where) * factor
    span = None
    if "range" in merged:
        span = _range(merged["range"], factor, number, where)
    elif kind in _RANGED:
        raise SpecError(f"{where}: a value of kind {kind!r} needs a range = [lowest, highest]")
    return Fact(number, dimension, kind, source, locator, span, note)


def read_facts(path: Path, table: str, others: Iterable[str] = ()) -> FactFile:
    """Return the facts of one file.

    Parameters
    ----------
    path : Path
        A TOML file with the tables ``[table]``, and optionally ``[default]`` and ``[sources]``.
    table : str
        Name of the table that holds the facts, such as ``"device"``.
    others : iterable of str
        Tables that the file may hold besides, and that the caller reads.

    Raises
    ------
    SpecError
        If the file is not what it must be; names file, field and remedy.
    """
    content, digest = read_toml(path)
    allowed = [table, "default", "sources", *others]
    for key in content:
        if key not in allowed:
            raise SpecError(f"{path}: {unknown('table', key, allowed)}")
    parts = [content.get(key, {}) for key in (table, "default", "sources")]
    if not all(isinstance(part, dict) for part in parts) or not parts[0]:
        raise SpecError(f"{path}: needs a table [{table}] of facts")
    body, default, own_sources = parts
    if stray := set(default) - {"kind", "source", "locator"}:
        raise SpecError(f"{path}: [default] {unknown('key', sorted(stray)[0], ['kind', 'source', 'locator'])}")
    name = body.get("name", path.stem)
    if not isinstance(name, str) or not name:
        raise SpecError(f"{path}: name must be text")
    facts = {
        field: read_fact(entry, default, f"{path}: {field}", own_sources)
        for field, entry in body.items()
        if field != "name"
    }
    return FactFile(str(path), table, name, facts, digest)


def given(fact: Fact | None, value: Any, unit: str, where: str = GIVEN) -> Fact:
    """Return the fact that replaces ``fact`` when a caller overrides it."""
    blank = Fact(value, unit, "given", "user", where)
    return blank if fact is None else replace(fact, value=value, kind="given", source="user", locator=where, range=None)


def weakest(kinds: Iterable[str]) -> str:
    """Return the least firm of some kinds of fact.

    Examples
    --------
    >>> weakest(["datasheet", "assumed", "measured"])
    'assumed'
    """
    return max(kinds, key=KINDS.index, default="given")
