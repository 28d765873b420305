"""From facts to frozen data: every field checked, and all that is wrong said at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import pydantic

from accelmodel.errors import listed
from accelmodel.specs.base import field_types, sections
from accelmodel.specs.names import no_field

S = TypeVar("S")


def _faults(spec_type: Any, error: pydantic.ValidationError, prefix: str = "") -> dict[str, str]:
    """Return what pydantic found wrong, by dotted name."""
    found = {}
    for item in error.errors():
        within = ".".join(str(part) for part in item["loc"])
        name = f"{prefix}{within}" if within or not prefix else prefix.removesuffix(".")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "unexpected_keyword_argument":
            message = str(no_field(spec_type, name, "key"))
        elif item["type"] in ("missing_argument", "missing"):
            message = missing(spec_type, name)
        found[name] = message
    return found


def missing(spec_type: type, name: str) -> str:
    """Return what to say of a field that is not there."""
    section, dot, _ = name.rpartition(".")
    unit = field_types(spec_type)[name].unit if name in field_types(spec_type) else "1"
    where = f" under [{section}]" if dot else ""
    measured = {"1": "", "1/s": ", in Hz"}.get(unit, f", in {unit}")
    return f"is missing; add it{where}{measured}"


def checked(spec_type: type[S], values: Mapping[str, Any]) -> tuple[S | None, dict[str, str]]:
    """Return the specification of some values by dotted name, and what is wrong with each; None if anything is."""
    parts = sections(spec_type)
    faults: dict[str, str] = {}
    whole = {name: value for name, value in values.items() if name.partition(".")[0] not in parts or "." not in name}
    for section, kind in parts.items():
        inner = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{section}.")}
        if section in whole and not inner:
            continue
        try:
            whole[section] = kind(**inner)
        except pydantic.ValidationError as error:
            faults |= _faults(spec_type, error, f"{section}.")
    try:
        return spec_type(**whole), faults
    except pydantic.ValidationError as error:
        found = _faults(spec_type, error)
        return None, {**{name: text for name, text in found.items() if name not in parts}, **faults}


def build(
    spec_type: type[S],
    values: Mapping[str, Any],
    where: str,
    others: Mapping[str, str] | None = None,
    follow: Collection[str] = (),
    place: Callable[[str], str] | None = None,
) -> S:
    """Return the specification of some values by dotted name.

    Parameters
    ----------
    spec_type : type
    values : mapping
        Dotted name → SI float, word, list or labelled axis; sections may be given whole.
    where : str
        What the errors name.
    others : mapping
        What was found wrong before, by name; such a field is not called missing.
    follow : collection of str
        Fields that follow from others once these are there, and are then not missing.
    place : callable, optional
        Where a field stands by its name, in place of ``where``.

    Raises
    ------
    SpecError
        A line for each field that is wrong, ten at most and a count of the rest.
    """
    spec, faults = checked(spec_type, values)
    faults = {**faults, **(others or {})}
    first = {name: text for name, text in faults.items() if name not in follow or name in values}
    faults = first or faults
    if faults or spec is None:
        raise listed(
            [": ".join(filter(None, (place(name) if place else where, name, text))) for name, text in faults.items()]
        )
    return spec
