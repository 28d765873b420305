"""The facts of one file under the names of today, whatever names it uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from accelmodel.errors import SpecError, brief
from accelmodel.specs import facts, find
from accelmodel.specs.base import Spec, field_types, field_units, sections
from accelmodel.specs.facts import Fact, FactFile
from accelmodel.specs.names import FORMER_FIELDS, canonical, no_field, said, word
from accelmodel.symbols import written
from accelmodel.units import parse, show

#: kind of specification → fields that name another one, and of what kind it is
NAMES = {
    "device": {"process": "process", "link": "link", "scale_out": "link", "bill": "bill", "hbm.generation": "memory"},
    "architecture": {
        "process": "process",
        "link": "link",
        "scale_out": "link",
        "bill": "bill",
        "hbm.generation": "memory",
    },
    "bill": {"package": "package", "base_process": "process"},
    "package": {"die_to_die": "phy"},
    "link": {"phy": "phy"},
    "instance": {"device": "device", "link": "link", "cpu": "cpu"},
    "engine": {"cpu": "cpu"},
    "cluster": {"device": "device"},
}


def read(
    kind: str, spec_type: type[Spec], path: Path, others: Iterable[str] = (), extra: Iterable[str] = ()
) -> FactFile:
    """Return the facts of one file by dotted name, with what is wrong with them.

    Parameters
    ----------
    kind : str
        Name of its main table.
    spec_type : type
        Whose fields they are.
    path : Path
    others : iterable of str
        Tables that the file may hold besides, and that the caller reads.
    extra : iterable of str
        Sections that the kind has not, whose facts pass as they are.

    Raises
    ------
    SpecError
        If the file cannot be read.
    """
    file = facts.read_facts(path, kind, others, (*sections(spec_type), *extra))
    units, found, faults = field_units(spec_type), {}, dict(file.faults)
    spelt: dict[str, str] = {}
    for name, fact in file.facts.items():
        if name in FORMER_FIELDS.get(spec_type.__name__, ()):
            continue
        if name.partition(".")[0] in extra:
            found[name] = fact
            continue
        now = canonical(spec_type, name)
        if now is not None and now not in spelt:
            spelt[now] = name
        if now is None:
            faults[name] = str(no_field(spec_type, name, "key"))
        elif now in found:
            faults[name] = f"stands twice, also by another name ({now}); leave one out"
        elif isinstance(fact.value, str) and field_types(spec_type)[now].quantity:
            faults[now] = _as_table(fact.value, units[now])
        elif isinstance(fact.value, float) and fact.unit != units[now]:
            faults[now] = _other_unit(fact, units[now])
        else:
            found[now] = _seen_from(kind, path, now, replace(fact, value=word(spec_type, fact.value)))
    for name in faults:
        spelt.setdefault(canonical(spec_type, name) or name, name)
    faults = _together(spec_type, faults)
    renamed = {canonical(spec_type, name) or name: text for name, text in faults.items()}
    return replace(file, facts=found, faults=renamed, spelt=spelt)


def _together(spec_type: type[Spec], faults: dict[str, str]) -> dict[str, str]:
    """Return what is wrong with the names of no field that mean the same in one line, at the first of them."""
    alike: dict[str, list[str]] = {}
    for name, text in faults.items():
        if text.startswith("unknown ") and (meant := said(spec_type, name)):
            alike.setdefault(meant, []).append(name)
    found = {name: text for name, text in faults.items() if not any(name in names for names in alike.values())}
    for meant, (first, *others) in alike.items():
        beside = f", as {', '.join(others)}" if others else ""
        found[first] = f"unknown{beside}: {meant}"
    return found


def _as_table(text: str, unit: str) -> str:
    """Return what to say of text where a file holds a number."""
    try:
        value = parse(text, unit)
    except SpecError:
        return f"{brief(text)} is text, no number; write for example value = 40"
    number, _, symbol = show(value, unit, 12).partition(" ")
    part = f', unit = "{symbol.replace("²", "2").replace("µ", "u")}"' if symbol else ""
    return f"{brief(text)} is text, no number: write {{ value = {number}{part} }} and where it is from"


def _other_unit(fact: Fact, unit: str) -> str:
    """Return what to say of a fact in another unit than its field's."""
    if fact.unit != "1":
        return f"is in {fact.unit}, expected {unit}; correct its unit"
    number, likely = f"{fact.value:.12g}", written(fact.value, unit)
    return f'has no unit: write {{ value = {number}, unit = "{likely.removeprefix(number)}" }} and where it is from'


def _seen_from(kind: str, path: Path, name: str, fact: Fact) -> Fact:
    """Return a fact that names another specification as it reads from the working directory."""
    other = NAMES.get(kind, {}).get(name)
    if other is None or not isinstance(fact.value, str):
        return fact
    return replace(fact, value=find.seen_from(path, other, fact.value))
