"""What a device takes from its architecture and from the device that it is like.

From the farthest to the nearest: ``generic``, the architecture (which may be like another), the device that it is
``like``, its own file, its own fitted constants.  The nearest that states a field gives it.  What is not its own says
so (``Fact.inherited``): it was not measured on this chip, so residuals are not inherited, and neither is a price, and
a constant that was fitted to another device takes a wider range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from accelmodel.errors import SpecError, listed
from accelmodel.specs import facts, files, find
from accelmodel.specs.architecture import (
    GENERIC,
    architecture_file,
    known_architectures,
    plain,
)
from accelmodel.specs.base import field_types
from accelmodel.specs.build import checked
from accelmodel.specs.derive import DERIVE, derived, under_its_power
from accelmodel.specs.facts import Fact, FactFile
from accelmodel.specs.hardware import Device
from accelmodel.specs.quantities import Quantity
from accelmodel.specs.read import read
from accelmodel.specs.silicon import Memory

#: what is of one product and of no other
_OWN = ("price",)
#: makers whose kernels are chosen by the name of the generation
_BY_GENERATION = ("NVIDIA",)
#: kinds of fact that hold for the device that was measured
_FITTED = ("calibrated", "measured")
#: how far such a fact may lie off for another device, where no architecture says it [1]
_SPREAD = 0.3


@dataclass(frozen=True)
class Heritage:
    """A device's own file, its facts with those that it inherits, the digests of the others, and what to know."""

    own: FactFile
    facts: dict[str, Fact]
    digests: list[str]
    notes: tuple[str, ...]


def _named(file: FactFile) -> str:
    """Return the word for its architecture that a file gives; empty where it gives none."""
    fact = file.facts.get("architecture")
    word = file.head.get("architecture", fact.value if fact else "")
    return word if isinstance(word, str) else ""


def _with_architecture(file: FactFile) -> FactFile:
    """Return a device's file with what is wrong with its word for the architecture; a known word needs no source."""
    try:
        exact = architecture_file(file.path, _named(file))[1]
    except SpecError as error:
        return replace(file, faults={**file.faults, "architecture": str(error)})
    if not exact or "architecture" not in file.head:
        return file
    return replace(file, faults={name: text for name, text in file.faults.items() if name != "architecture"})


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
        if kind == "device" and _named(file):
            file = _with_architecture(file)
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
    return listed([f"{file.place(name)}: {name}: {text}" for name, text in (missing or file.faults).items()])


def fitted_facts(path: Path) -> FactFile | None:
    """Return the constants that were fitted to a device or architecture; they stand beside its file."""
    beside = find.calibrated_path(path)
    return read("device", Device, beside, ("residual",)) if files.is_file(beside) else None


def _word(files: list[FactFile]) -> str:
    """Return the word for the architecture that the nearest of some files gives."""
    return next((word for word in map(_named, reversed(files)) if word), "")


def _in_parts(own: FactFile) -> tuple[str, ...]:
    """Return the note on a device that software sees as several; raises SpecError where no file describes one."""
    if "part" not in own.head or "part" in own.faults:
        return ()
    part = find.path_of("device", find.seen_from(own.path, "device", own.head["part"])).stem
    return (f"software sees several devices in it, and its dies' way to one another is not counted: {part} is one",)


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
        found = under_its_power(found, file.facts) | {n: fact for n, fact in marked.items() if n not in _OWN}
    return found, digests


def _spans(family: list[FactFile]) -> dict[str, tuple[float, float]]:
    """Return the range of each field that an architecture states, from the nearest file that states one."""
    return {
        name: fact.range
        for file in family
        for name, fact in file.facts.items()
        if fact.range and fact.kind not in _FITTED
    }


def _widened(name: str, fact: Fact, span: tuple[float, float] | None) -> Fact:
    """Return a constant that was fitted to another device, or measured of it, with the range it has for this one.

    Its own range says how well it is known of that device.  Of another one less is known: what its architecture, or
    any chip, may have; where no file says that, 30 % to either side, which is a judgement.
    """
    if fact.kind not in _FITTED or fact.inherited.startswith(facts.ARCHITECTURE) or not isinstance(fact.value, float):
        return fact
    ends = sorted((fact.value * (1.0 - _SPREAD), fact.value * (1.0 + _SPREAD)))
    quantity = field_types(Device)[name].quantity or Quantity()
    if quantity.whole:
        ends = [float(math.floor(ends[0])), float(math.ceil(ends[1]))]
    low, high = span or ends
    low, high = min(low, *(fact.range or (fact.value,))), max(high, *(fact.range or (fact.value,)))
    least = quantity.ge if quantity.ge is not None else low
    most = quantity.le if quantity.le is not None else high
    return replace(fact, range=(max(low, least), min(high, most)))


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
    start, exact = _start(own, word)
    family = _shipped_line(start) if find.is_shipped(start) else _line("architecture", start)
    layers = [(_sound(file), f"{facts.ARCHITECTURE}{file.path.stem}") for file in family]
    layers += [(file, file.name) for file in line]
    found, digests = _inherited(layers, fitted and not own.head.get("uncalibrated", False))
    if not find.is_shipped(own.path):  # a shipped file was written with the ranges in view that it takes
        spans = _spans(family)
        found = {name: _widened(name, fact, spans.get(name)) for name, fact in found.items()}
    rules = {name: found.pop(f"derive.{name}") for name in DERIVE if f"derive.{name}" in found}
    stated = {**under_its_power(found, own.facts), **own.facts}
    if not word:
        stated.pop("architecture", None)
    elif exact and "architecture" in stated and "architecture" in found:
        stated["architecture"] = _generation(stated["architecture"], family)
    if no_memory(stated):  # what a cache before HBM draws says nothing of a chip that has SRAM alone
        rules = {name: rule for name, rule in rules.items() if DERIVE[name][1] != "l2.bandwidth"}
    memory = _of_memory(stated)
    stated |= derived({**stated, **(memory.facts if memory else {})}, rules)
    digests += [memory.digest] if memory else []
    if word and start.stem == GENERIC and not exact and "vendor" not in stated and "vendor" not in own.faults:
        said = f"is missing; add it, or a known architecture, which {word!r} is not: {', '.join(known_architectures())}"
        own = replace(own, faults={**own.faults, "vendor": said})
    if find.is_shipped(own.path):
        return Heritage(own, stated, digests, _in_parts(own))
    notes = (*_in_parts(own), *_unknown(word, start.stem, exact), *_mixed(own, line, start))
    return Heritage(own, stated, digests, notes)


def _generation(own: Fact, family: list[FactFile]) -> Fact:
    """Return the word for an architecture as its file has it: "hopper" is Hopper, and so is "GH100".

    Of other makers a word may be of one chip ("TPU v4"), which is then kept.
    """
    known, vendor = (family[-1].facts.get(name) for name in ("architecture", "vendor"))
    if known is None or vendor is None:
        return own
    same = plain(known.value) == plain(own.value) or vendor.value in _BY_GENERATION
    return replace(own, value=known.value) if same else own


def _of_memory(stated: Mapping[str, Fact]) -> FactFile | None:
    """Return the file of the generation of memory that a device names, its facts as ``memory.power`` …."""
    named = stated.get("hbm.generation")
    if named is None or not named.value or not find.is_known("memory", named.value):
        return None
    file = _memory(find.path_of("memory", named.value))
    return replace(file, facts={f"memory.{name}": fact for name, fact in file.facts.items()})


def _memory(path: Path) -> FactFile:
    return _shipped_memory(path) if find.is_shipped(path) else _read_memory(path)


def _read_memory(path: Path) -> FactFile:
    file = read("memory", Memory, path)
    wrong = checked(Memory, {"name": file.name, **{name: fact.value for name, fact in file.facts.items()}})[1]
    return _sound(replace(file, faults={**wrong, **file.faults}))


@cache
def _shipped_memory(path: Path) -> FactFile:
    return _read_memory(path)


def no_memory(stated: Mapping[str, Fact]) -> bool:
    """Whether facts tell of no device memory: neither its bandwidth nor its capacity, or both as 0."""
    return not any(stated[name].value for name in ("hbm.bandwidth", "hbm.capacity") if name in stated)


def _start(own: FactFile, word: str) -> tuple[Path, bool]:
    """Return the architecture to begin from; where its word is at fault any, as the file is refused for it."""
    if "architecture" in own.faults and _named(own):
        return find.path_of("architecture", GENERIC), True
    return architecture_file(own.path, word)


def _unknown(word: str, name: str, exact: bool) -> tuple[str, ...]:
    """Return the note on a word for an architecture that is not known."""
    if exact or not word:
        return ()
    of = "any chip, with wide ranges" if name == GENERIC else f"{name}, the closest"
    known = ", ".join(known_architectures())
    return (f"architecture {word!r} is not known, its constants are those of {of}; known: {known}",)


def _mixed(own: FactFile, line: list[FactFile], start: Path) -> tuple[str, ...]:
    """Return the note on a device that is like one of another architecture; both are taken, so both are named."""
    if not line or not _named(own):
        return ()
    near = line[-1]
    other, _ = architecture_file(near.path, _word(line))
    if other == start:
        return ()
    return (
        f"architecture {start.stem} and like {near.name}, which is {other.stem}, disagree: what is stated of or fitted "
        f"to {near.name} is taken from there, the rest from {start.stem}",
    )


def origins(facts: Mapping[str, Fact]) -> tuple[str, ...]:
    """Return the notes on what a device takes from elsewhere, one for each file that it takes from."""
    taken: dict[str, list[str]] = {}
    for field, fact in facts.items():
        if fact.inherited and field not in ("vendor", "architecture"):
            taken.setdefault(fact.inherited, []).append(field)
    return tuple(
        f"{len(fields)} value{'s' if len(fields) > 1 else ''} from {origin}, not measured on this chip: "
        f"{', '.join(fields)}"
        for origin, fields in taken.items()
    )
