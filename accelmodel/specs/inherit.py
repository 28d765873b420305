"""What a device takes from its architecture and from the device that it is like.

From the farthest to the nearest: ``generic``, the architecture (which may be like another), the device that it is
``like``, its own file, its own fitted constants.  The nearest that states a field gives it.  What is not its own says
so (``Fact.inherited``): it was not measured on this chip, so residuals are not inherited, and neither is a price.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from accelmodel.errors import SpecError, listed
from accelmodel.specs import facts, find
from accelmodel.specs.derive import DERIVE, derived
from accelmodel.specs.facts import Fact, FactFile
from accelmodel.specs.hardware import Device
from accelmodel.specs.read import read

#: what holds for any chip, with wide ranges
GENERIC = "generic"
#: what is of one product and of no other
_OWN = ("price",)


@dataclass(frozen=True)
class Heritage:
    """A device's own file, its facts with those that it inherits, the digests of the others, and what to know."""

    own: FactFile
    facts: dict[str, Fact]
    digests: list[str]
    notes: tuple[str, ...]


def _key(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


@cache
def _words() -> dict[str, str]:
    """Return each word for an architecture, in small letters and digits, and the file that it stands for."""
    found = {}
    for name in find.available("architecture"):
        content, _ = facts.read_toml(find.path_of("architecture", name))
        for word in (name, *content.get("architecture", {}).get("words", ())):
            found[_key(word)] = name
    return found


def architecture_of(word: str) -> tuple[str, bool]:
    """Return the architecture file that a word stands for, and whether it is that one and not the closest.

    Case, blanks and hyphens do not count.  The closest has the same letters and the nearest number (CDNA 4 → cdna3);
    where there is none it is ``generic``.

    Examples
    --------
    >>> architecture_of("Blackwell RTX"), architecture_of("CDNA 4"), architecture_of("my own")
    (('blackwell-rtx', True), ('cdna3', False), ('generic', False))
    """
    words, key = _words(), _key(word)
    if key in words:
        return words[key], True
    letters, number = re.sub(r"\d", "", key), int("0" + re.sub(r"\D", "", key)[:9])
    alike = [each for each in words if re.sub(r"\d", "", each) == letters and letters]
    if not alike:
        return GENERIC, False
    return words[min(alike, key=lambda each: abs(int("0" + re.sub(r"\D", "", each)) - number))], False


def _architecture(path: Path, word: str) -> tuple[Path, bool]:
    """Return the file of an architecture as the file of a device names it, one beside it first; and if it is that."""
    own = Path(find.seen_from(path, "architecture", word)) if word else path
    if own != Path(word) and own.is_file() and find.kind_of(own) == "architecture":
        return own, True
    name, exact = architecture_of(word)
    return find.path_of("architecture", name), exact


def _line(kind: str, path: Path) -> list[FactFile]:
    """Return the files of all that an architecture or device is like, the farthest first, itself last.

    Raises
    ------
    SpecError
        If the line goes in a circle, or a file of it is missing or wrong; what is wrong in the last is left to the
        caller.
    """
    extra = ("derive",) if kind == "architecture" else ()
    files: list[FactFile] = []
    while True:
        if path in (file.path for file in files):
            names = " -> ".join(file.path.stem for file in reversed(files))
            raise SpecError(f"{files[-1].path}: like: {names} goes in a circle; end it")
        file = read(kind, Device, path, extra=extra)
        if "architecture" in file.head and _architecture(path, file.head["architecture"])[1]:
            file = replace(file, faults={name: text for name, text in file.faults.items() if name != "architecture"})
        if files or f"[{kind}]" in file.faults:
            _sound(file)
        files.insert(0, file)
        if "like" not in file.head:
            return files
        path = find.path_of(kind, find.seen_from(path, kind, file.head["like"]))


@cache
def _shipped_line(path: Path) -> list[FactFile]:
    return _line("architecture", path)


def _sound(file: FactFile) -> FactFile:
    if file.faults:
        raise refused(file)
    return file


def refused(file: FactFile) -> SpecError:
    """Return the error that says what is wrong in a file; where its table is missing, only that."""
    missing = {name: text for name, text in file.faults.items() if text.startswith("needs a table")}
    return listed([f"{file.path}: {name}: {text}" for name, text in (missing or file.faults).items()])


def fitted_facts(path: Path) -> FactFile | None:
    """Return the constants that were fitted to a device or architecture; they stand beside its file."""
    beside = find.calibrated_path(path)
    return read("device", Device, beside, ("residual",)) if beside.is_file() else None


def _word(files: list[FactFile]) -> str:
    """Return the word for the architecture that the nearest of some files gives."""
    for file in reversed(files):
        fact = file.facts.get("architecture")
        word = file.head.get("architecture", fact.value if fact else "")
        if isinstance(word, str) and word:
            return word
    return ""


def _inherited(layers: list[tuple[FactFile, str]], fitted: bool) -> tuple[dict[str, Fact], list[str]]:
    """Return the facts of some files, each from the last that states it and marked so; and their digests.

    What was fitted to a file is left out where a nearer one says ``uncalibrated``.
    """
    taken: list[tuple[FactFile, str]] = []
    for file, origin in reversed(layers):
        more = fitted_facts(file.path) if fitted else None
        taken += [(more, origin)] if more is not None else []
        taken.append((file, origin))
        fitted = fitted and not file.head.get("uncalibrated", False)
    found: dict[str, Fact] = {}
    digests = []
    for file, origin in reversed(taken):
        digests.append(_sound(file).digest)
        marked = {name: replace(fact, inherited=origin) for name, fact in file.facts.items()}
        found |= {name: fact for name, fact in marked.items() if name not in _OWN}
    return found, digests


def inherit(path: Path, fitted: bool) -> Heritage:
    """Return what the file of a device says, over what it inherits.

    Parameters
    ----------
    path : Path
    fitted : bool
        Take constants that were fitted to the architecture or to the device that it is like, unless its file says
        ``uncalibrated``.

    Raises
    ------
    SpecError
        If a file behind it is wrong or missing; what is wrong in its own is in ``own.faults``.
    """
    *line, own = _line("device", path)
    word = _word([*line, own])
    start, exact = _architecture(own.path, word)
    family = _shipped_line(start) if find.is_shipped(start) else _line("architecture", start)
    layers = [(_sound(file), f"architecture {file.path.stem}") for file in family]
    layers += [(file, file.name) for file in line]
    found, digests = _inherited(layers, fitted and not own.head.get("uncalibrated", False))
    rules = {name: found.pop(f"derive.{name}") for name in DERIVE if f"derive.{name}" in found}
    stated = {**found, **own.facts}
    if not word:
        stated.pop("architecture", None)
    elif "architecture" in own.facts and "architecture" in found and _key(found["architecture"].value) == _key(word):
        known = found["architecture"].value
        stated["architecture"] = replace(own.facts["architecture"], value=known)  # "hopper" is Hopper
    stated |= derived(stated, rules)
    notes = () if find.is_shipped(own.path) else _notes(word, start.stem, exact, stated)
    return Heritage(own, stated, digests, notes)


def _notes(word: str, name: str, exact: bool, facts: dict[str, Fact]) -> tuple[str, ...]:
    """Return what a reader must know of a device that takes values from elsewhere."""
    notes = []
    if word and not exact:
        of = "any chip, with wide ranges" if name == GENERIC else f"{name}, the closest"
        notes.append(f"architecture {word!r} is not known, its constants are those of {of}")
    origins: dict[str, list[str]] = {}
    for field, fact in facts.items():
        if fact.inherited and field not in ("vendor", "architecture"):
            origins.setdefault(fact.inherited, []).append(field)
    notes += [
        f"{len(fields)} values from {origin}, not measured on this chip: {', '.join(fields)}"
        for origin, fields in origins.items()
    ]
    return tuple(notes)
