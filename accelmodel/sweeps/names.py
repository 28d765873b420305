"""What a sweep may fix or vary, by name: fields of specifications and of workloads, and the words that name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.base import field_types
from accelmodel.specs.hardware import FLAT, Device, Storage
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.link import Link
from accelmodel.specs.names import canonical, dotted, flat
from accelmodel.specs.quantities import Quantity
from accelmodel.specs.workload import Workload
from accelmodel.units import parse

#: part that has fields of its own → what it is; a field without a part before it is the device's
SPECS: dict[str, type] = {
    "device": Device,
    "link": Link,
    "scale_out": Link,
    "model": LanguageModel,
    "tier": Storage,
}
#: part → kind of specification that its word names
KINDS = {"model": "model", "device": "device", "link": "link", "scale_out": "link", "tier": "storage"}
#: units whose numbers need no unit beside them: what is counted
PLAIN = ("1", "token", "bit")


@dataclass(frozen=True)
class Field:
    """One thing that a sweep may fix or vary.

    Attributes
    ----------
    part : str
        Of what it is a field: a key of ``SPECS``, or "" for what the question itself asks.
    name : str
        Its dotted name there.
    quantity : Quantity, optional
        Unit and bounds; none of a word.
    words : tuple of str
        What the word may be, where that is a closed list.
    whole : bool
        Whether each value is a question of its own, which no compiled loop runs over.
    default : float or str, optional
        Its value where none is given.
    optional : bool
        Whether it may be left out without a default.
    """

    part: str
    name: str
    quantity: Quantity | None = None
    words: tuple[str, ...] = ()
    whole: bool = False
    default: float | str | None = None
    optional: bool = False

    @property
    def full(self) -> str:
        """The name by which a file calls it."""
        return f"{self.part}.{self.name}" if self.part not in ("", "device") else self.name

    @property
    def dim(self) -> str:
        """The name of its axis: one word."""
        word = flat(SPECS["device"], self.name) if self.part == "device" else self.full
        return word.replace(".", "_")

    @property
    def unit(self) -> str:
        """The SI unit; "1" for words."""
        return self.quantity.unit if self.quantity else "1"

    def value(self, given: Any, where: str, bare: bool = False) -> float | str:
        """Return one value in SI, or a word; SpecError naming ``where`` if it is not allowed.

        ``bare`` numbers are taken to be in SI; else a quantity with a unit needs it.
        """
        if self.quantity is None:
            if not isinstance(given, str) or not given:
                raise SpecError(f"{where}: must be a name, not {brief(given)}")
            if self.words and given not in self.words:
                raise SpecError(f"{where}: {unknown(self.name, given, self.words)}")
            return given
        number = self.number(given, where, bare)
        try:
            return float(self.quantity.check(number))
        except ValueError as error:
            raise SpecError(f"{where}: {error}") from None

    def number(self, given: Any, where: str, bare: bool = False) -> float:
        """Return a number in SI, whatever its size; SpecError naming ``where`` if it is none."""
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise SpecError(f"{where}: must be a number, not {brief(given)}")
        try:
            number = float(given)
        except OverflowError:
            raise SpecError(f"{where}: {brief(given)} is too large") from None
        except ValueError:
            return parse(str(given), self.unit, what=where)
        if self.unit not in PLAIN and not bare:
            raise SpecError(f"{where}: {brief(given)} has no unit; write it in quotes, with one of {self.unit}")
        return number


def plain(name: str, quantity: Quantity | None = None, **more: Any) -> Field:
    """Return a field of the question itself."""
    return Field("", name, quantity, **more)


def of_workload(names: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return numeric fields of a workload, by name → default (None where one must be given)."""
    types = field_types(Workload)
    return tuple(plain(name, types[name].quantity, default=default) for name, default in names.items())


def finder(fields: tuple[Field, ...], parts: tuple[str, ...]) -> Callable[[str], Field]:
    """Return what finds a field by name among those of a question and of some specifications."""
    own = {each.full: each for each in fields}

    def find(name: str) -> Field:
        if name in own:
            return own[name]
        part, dot, rest = name.partition(".")
        if dot and part in parts and not (part == "device" and canonical(Device, name)):
            return _of_spec(part, dotted(SPECS[part], rest))
        if "device" in parts and (found := canonical(Device, name)) is not None:
            return _of_spec("device", found)
        known = {f"{each}.{field}" for each in parts if each != "device" for field in field_types(SPECS[each])}
        flat_names = {*field_types(Device), *FLAT} if "device" in parts else set()
        error = unknown("axis or field", name, {*own, *known, *flat_names})
        raise SpecError(f"{str(error).partition(' Allowed:')[0]} See accelmodel schema sweep")

    return find


def _of_spec(part: str, name: str) -> Field:
    """Return a numeric field of a specification; SpecError where it is a word or a list."""
    kind = field_types(SPECS[part])[name]
    found = Field(part, name, kind.quantity)
    if kind.quantity is None:
        raise SpecError(f"{found.full}: is no number, so it cannot be swept; write a file that says it")
    return replace(found, whole=part in ("model", "tier"))
