"""Finding and reading specifications.

``load("device", "a100-sxm-80gb")`` or ``load("device", "./my-chip.toml")`` reads one, checked, with the
source of every value.
What was fitted to measurements stands in a file beside, ``NAME.calibrated.toml``, and takes the place of
the same fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs import facts, files
from accelmodel.specs.base import Residual, Spec, field_units, need_spec, part_tables, value_of
from accelmodel.specs.build import build, checked, missing
from accelmodel.specs.cloud import Cpu, Engine, Instance, KernelLibrary
from accelmodel.specs.derive import DERIVE
from accelmodel.specs.facts import Fact
from accelmodel.specs.find import (
    FOLDERS,
    available,
    calibrated_path,
    is_cluster,
    is_shipped,
    model_file,
    path_of,
    seen_from,
)
from accelmodel.specs.hardware import ClusterFile, Device, Storage
from accelmodel.specs.inherit import inherit, origins, refused
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.levels import level_entries, read_levels
from accelmodel.specs.link import Link
from accelmodel.specs.names import FORMER
from accelmodel.specs.parts import read_parts
from accelmodel.specs.plausibility import READ, doubts
from accelmodel.specs.read import read
from accelmodel.specs.silicon import BillOfMaterials, Memory, Package, Phy, Process, Site

__all__ = ["TYPES", "available", "calibrated_path", "field_units", "load", "path_of", "provenance"]
_KINDS: dict[str, type[Spec]] = {
    "device": Device,
    "link": Link,
    "model": LanguageModel,
    "process": Process,
    "bill": BillOfMaterials,
    "memory": Memory,
    "phy": Phy,
    "package": Package,
    "site": Site,
    "storage": Storage,
    "instance": Instance,
    "cpu": Cpu,
    "engine": Engine,
    "library": KernelLibrary,
    "cluster": ClusterFile,
}
#: kinds whose files may tell of levels
_LEVELS = ("link", "cluster")
#: names of fields of earlier versions
_FORMER = {name for fields in FORMER.values() for name in fields}
#: how a specification is named: by name, or by path
Name: TypeAlias = "str | os.PathLike[str]"
#: kind of spec → (folder of hwspecs, type)
TYPES = {kind: (FOLDERS[kind], spec_type) for kind, spec_type in _KINDS.items()}


def _digest(digests: list[str]) -> str:
    """Return what identifies several files; of one, its own."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[: len(digests[0])]


def _from_file(kind: str, path: Path, fitted: bool = True) -> Spec:
    spec_type = _KINDS[kind]
    notes: tuple[str, ...] = ()
    if kind == "device":
        heritage = inherit(path, fitted)
        file = heritage.own
        found = heritage.facts
        digests = heritage.digests
        notes = heritage.notes
    else:
        levels = kind in _LEVELS and level_entries(path)
        file = read(kind, spec_type, path, (*part_tables(spec_type), *(["level"] if levels else [])))
        if kind == "link" and levels and not file.facts:
            # the levels say it all
            file = dataclasses.replace(file, faults={k: text for k, text in file.faults.items() if k != "[link]"})
        if f"[{kind}]" in file.faults:
            raise refused(file)
        found, digests = dict(file.facts), []
        notes = _renamed(file)
        if "like" in file.head:
            near, digests = _like(kind, file, (path,))
            found = {**near, **found}
        if levels and kind == "link":
            if file.faults:
                raise refused(file)
            return read_levels(path, found, partial(_link, fitted=fitted), file.digest)
    digests = [file.digest, *digests]
    residuals: tuple[Residual, ...] = ()
    beside = calibrated_path(path)
    if fitted and files.is_file(beside):
        more = read(kind, spec_type, beside, ("residual",))
        wrong = checked(spec_type, {name: fact.value for name, fact in more.facts.items()})[1]
        wrong = {name: text for name, text in wrong.items() if name in more.facts}
        more = dataclasses.replace(more, faults={**more.faults, **wrong})
        if more.faults:
            raise refused(more)
        found = {**found, **more.facts}
        digests.append(more.digest)
        residuals = _residuals(beside)
    if kind == "device":
        file = dataclasses.replace(file, faults={**_without_memory(found), **file.faults})
    found = {name: found[name] for name in field_units(spec_type) if name in found}
    if kind == "device" and not is_shipped(path):
        notes = (*notes, *origins(found))
    values = {name: fact.value for name, fact in found.items()}
    lists, sourced = read_parts(path, spec_type, values) if part_tables(spec_type) else ({}, {})
    values |= lists
    found |= sourced
    if kind == "cluster":
        if not levels:
            raise SpecError(f"{path}: needs tables [[level]], from the innermost on; see accelmodel schema cluster")
        values["node"] = read_levels(path, {}, partial(_link, fitted=fitted), file.digest)
    about = {"name": file.name, "facts": found, "digest": _digest(digests), "residuals": residuals, "notes": notes}
    follow = [field for _, field, *_ in DERIVE.values()]
    spec = build(spec_type, {**values, **about}, str(path), file.faults, follow, file.place)
    if isinstance(spec, Device):
        apart = _unjoined(spec) if not is_shipped(path) else ()
        spec = dataclasses.replace(spec, notes=(*notes, *apart, *implausible(spec)))
    return spec


def _like(kind: str, file: facts.FactFile, seen: tuple[Path, ...]) -> tuple[dict[str, Fact], list[str]]:
    """Return the facts of what a file is like, each marked by whose it is, and the digests of those files."""
    path = path_of(kind, seen_from(file.path, kind, file.head["like"]))
    if path in seen:
        raise SpecError(f"{file.path}: like: {' -> '.join(each.stem for each in (*seen, path))} is a circle; end it")
    near = read(kind, _KINDS[kind], path)
    if near.faults:
        raise refused(near)
    further, digests = _like(kind, near, (*seen, path)) if "like" in near.head else ({}, [])
    own = {name: dataclasses.replace(fact, inherited=path.stem) for name, fact in near.facts.items()}
    return {**further, **own}, [near.digest, *digests]


def _without_memory(found: Mapping[str, Fact]) -> dict[str, str]:
    """Return what is missing of a device's memory: one without it says how fast its SRAM is."""
    absent = [name for name in ("hbm.bandwidth", "hbm.capacity") if name not in found]
    if len(absent) == 2 and "l2.bandwidth" in found:
        return {}
    told = {name: missing(Device, name) for name in absent}
    if len(absent) == 2:
        told[absent[1]] += "; a chip without device memory states l2.bandwidth, that of its SRAM"
    return told


def _unjoined(device: Device) -> tuple[str, ...]:
    """Return the note on several dies of which no file says what joins them; of shipped ones the README says it."""
    if device.dies < 2.0 or device.die_to_die.bandwidth:
        return ()
    return (f"{device.dies:g} dies without [die_to_die]: what crosses between them is taken to cost nothing",)


def _link(name: str, fitted: bool) -> Link:
    """Return the link that a level begins from."""
    return load("link", name, fitted=fitted)


def _renamed(file: facts.FactFile) -> tuple[str, ...]:
    """Return notes on fields that a file calls by the name of an earlier version."""
    former = {now: spelt for now, spelt in file.spelt.items() if now in file.facts and spelt in _FORMER}
    return tuple(f"{spelt} is called {now} now; it was read as that" for now, spelt in former.items())


def implausible(device: Device) -> tuple[str, ...]:
    """Return what looks wrong in a device; a process that cannot be read only leaves out what needs it.

    Of a device with axes where the checks look nothing is said.
    """
    if any(hasattr(value_of(device, name), "dims") for name in READ):
        return ()
    try:
        return doubts(device, load("process", device.process))
    except SpecError as error:
        first = str(error).partition(" Allowed:")[0].splitlines()[0]
        return (*doubts(device, None), f"its die was not held against a reticle: {first}")


def _residuals(path: Path) -> tuple[Residual, ...]:
    """Return the tables ``[[residual]]`` of a file."""
    entries = facts.read_toml(path)[0].get("residual", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SpecError(f"{path}: residual must be tables [[residual]]")
    return tuple(build(Residual, entry, f"{path}: residual") for entry in entries)


def _from_huggingface(path: Path) -> LanguageModel:
    # what reads all families is loaded where a model needs it: shipped ones do not
    from accelmodel.specs.huggingface.read import read_config

    found = read_config(path)
    lists = part_tables(LanguageModel)
    sourced = {
        name: Fact(value, "1", "given", "user", str(path)) for name, value in found.values.items() if name not in lists
    }
    about = {"name": found.name, "facts": sourced, "digest": found.digest, "notes": found.notes}
    return build(LanguageModel, {**found.values, **about}, str(path))


@overload
def load(kind: Literal["device"], name: Name, *, fitted: bool = ...) -> Device: ...
@overload
def load(kind: Literal["link"], name: Name, *, fitted: bool = ...) -> Link: ...
@overload
def load(kind: Literal["model"], name: Name, *, fitted: bool = ...) -> LanguageModel: ...
@overload
def load(kind: Literal["process"], name: Name, *, fitted: bool = ...) -> Process: ...
@overload
def load(kind: Literal["bill"], name: Name, *, fitted: bool = ...) -> BillOfMaterials: ...
@overload
def load(kind: Literal["memory"], name: Name, *, fitted: bool = ...) -> Memory: ...
@overload
def load(kind: Literal["phy"], name: Name, *, fitted: bool = ...) -> Phy: ...
@overload
def load(kind: Literal["package"], name: Name, *, fitted: bool = ...) -> Package: ...
@overload
def load(kind: Literal["site"], name: Name, *, fitted: bool = ...) -> Site: ...
@overload
def load(kind: Literal["storage"], name: Name, *, fitted: bool = ...) -> Storage: ...
@overload
def load(kind: Literal["instance"], name: Name, *, fitted: bool = ...) -> Instance: ...
@overload
def load(kind: Literal["cpu"], name: Name, *, fitted: bool = ...) -> Cpu: ...
@overload
def load(kind: Literal["engine"], name: Name, *, fitted: bool = ...) -> Engine: ...
@overload
def load(kind: Literal["library"], name: Name, *, fitted: bool = ...) -> KernelLibrary: ...
@overload
def load(kind: Literal["cluster"], name: Name, *, fitted: bool = ...) -> ClusterFile: ...
@overload
def load(kind: str, name: Name, *, fitted: bool = ...) -> Any: ...
def load(kind: str, name: Name, *, fitted: bool = True) -> Any:
    """Return a specification by name or by path.

    Parameters
    ----------
    kind : {"device", "link", "model", "process", "bill", "memory", "phy", "package", "site", …}
        What to load: a key of ``TYPES``.
    name : str or path
        A shipped name, the path of a TOML file, for models the path of a ``config.json``, or ``my-chip`` for a
        ``my-chip.toml`` in the working directory.
    fitted : bool
        Take constants that were fitted to measurements in place of what was assumed.

    Returns
    -------
    Device, Link, LanguageModel, Process, BillOfMaterials, Memory, Phy, Package, Site, Storage, Instance, …
        Frozen, in SI units, with its facts.

    Raises
    ------
    SpecError
        If the name is unknown (the closest match is named), or the file is wrong.

    Examples
    --------
    >>> load("device", "a100-sxm-80gb").l2_capacity
    40000000.0
    """
    if str(kind) not in TYPES:
        raise unknown("kind of specification", kind, TYPES)
    if kind == "link" and isinstance(name, str) and is_cluster(name):
        return load("cluster", name, fitted=fitted).node
    if isinstance(name, os.PathLike):
        path, name = Path(name), ""
        path = model_file(path) if kind == "model" and files.is_folder(path) else path
    elif isinstance(name, str):
        path = path_of(kind, name)
    else:
        raise SpecError(f"{kind} {brief(name)}: is neither a name nor a path; give for example {available(kind)[0]!r}")
    if name in available(kind):
        return _shipped(kind, path, fitted)
    if path.suffix == ".json" and kind == "model":
        return _from_huggingface(path)
    return _from_file(kind, path, fitted)


@cache
def _shipped(kind: str, path: Path, fitted: bool) -> Spec:
    return _from_file(kind, path, fitted)


def provenance(*specs: Any) -> list[dict[str, Any]]:
    """Return where each value behind some specifications comes from.

    Parameters
    ----------
    *specs : Spec
        Devices, links, models …

    Returns
    -------
    list of dict
        One for each fact: ``spec``, ``field`` by its dotted name, ``value`` and ``range`` in SI, ``unit``, ``kind``,
        ``source`` (a key of ``sources.toml``), ``locator``, ``note``.

    Raises
    ------
    SpecError
        If one is a name and no specification.

    Examples
    --------
    >>> row = next(row for row in provenance(load("device", "h100-sxm")) if row["field"] == "hbm.capacity")
    >>> row["value"], row["unit"], row["kind"]
    (85520809984.0, 'B', 'measured')
    """
    rows = []
    for spec in specs:
        need_spec(spec)
        for name, fact in spec.facts.items():
            rows.append({"spec": spec.name, "field": name, **dataclasses.asdict(fact)})
    return rows
