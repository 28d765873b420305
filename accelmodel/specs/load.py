"""Finding, reading and overriding specifications.

``load("device", "a100-sxm-80gb")`` or ``load("device", "./my-chip.toml")`` reads one, checked, with the
source of every value; ``override`` replaces fields by numbers, by text with a unit, or by labelled axes.
What was fitted to measurements stands in a file beside, ``NAME.calibrated.toml``, and takes the place of
the same fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts, huggingface
from accelmodel.specs.base import Residual, Spec, field_units, sections, value_of
from accelmodel.specs.build import build
from accelmodel.specs.cloud import Engine, Instance, KernelLibrary
from accelmodel.specs.derive import DERIVE
from accelmodel.specs.facts import Fact
from accelmodel.specs.find import FOLDERS, available, calibrated_path, path_of
from accelmodel.specs.hardware import BillOfMaterials, Cluster, Device, Link, Process, Storage
from accelmodel.specs.inherit import inherit, refused
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.names import dotted, word
from accelmodel.specs.plausibility import doubts
from accelmodel.specs.read import read
from accelmodel.specs.workload import Workload
from accelmodel.units import parse

__all__ = [
    "TYPES", "available", "calibrated_path", "cluster", "field_units", "load", "override", "path_of", "provenance",
    "workload",
]  # fmt: skip
_KINDS: dict[str, type[Spec]] = {
    "device": Device,
    "link": Link,
    "model": LanguageModel,
    "process": Process,
    "bill": BillOfMaterials,
    "storage": Storage,
    "instance": Instance,
    "engine": Engine,
    "library": KernelLibrary,
}
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
        file, found, digests, notes = heritage.own, heritage.facts, heritage.digests, heritage.notes
    else:
        file = read(kind, spec_type, path)
        if f"[{kind}]" in file.faults:
            raise refused(file)
        found, digests = dict(file.facts), []
    digests = [file.digest, *digests]
    residuals: tuple[Residual, ...] = ()
    beside = calibrated_path(path)
    if fitted and beside.is_file():
        more = read(kind, spec_type, beside, ("residual",))
        if more.faults:
            raise refused(more)
        found = {**found, **more.facts}
        digests.append(more.digest)
        residuals = _residuals(beside)
    found = {name: found[name] for name in field_units(spec_type) if name in found}
    values = {name: fact.value for name, fact in found.items()}
    about = {"name": file.name, "facts": found, "digest": _digest(digests), "residuals": residuals, "notes": notes}
    spec = build(spec_type, {**values, **about}, str(path), file.faults, [field for _, field, *_ in DERIVE.values()])
    if isinstance(spec, Device):
        spec = dataclasses.replace(spec, notes=(*notes, *_doubts(spec)))
    return spec


def _doubts(device: Device) -> tuple[str, ...]:
    """Return what looks wrong in a device; a process that cannot be read only leaves out what needs it."""
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
    values, digest = huggingface.read_config(path)
    sourced = {name: Fact(value, "1", "given", "user", str(path)) for name, value in values.items()}
    return build(
        LanguageModel, {**values, "name": path.parent.name or path.stem, "facts": sourced, "digest": digest}, str(path)
    )


def load(kind: str, name: str, *, fitted: bool = True) -> Any:
    """Return a specification by name or by path.

    Parameters
    ----------
    kind : {"device", "link", "model", "process", "bill", "storage", "instance", "engine", "library"}
        What to load.
    name : str
        A shipped name, the path of a TOML file, for models the path of a ``config.json``, or ``my-chip`` for a
        ``my-chip.toml`` in the working directory.
    fitted : bool
        Take constants that were fitted to measurements in place of what was assumed.

    Returns
    -------
    Device, Link, LanguageModel, Process, BillOfMaterials, Storage, Instance, Engine or KernelLibrary
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
    if kind not in TYPES:
        raise unknown("kind of specification", kind, TYPES)
    path = path_of(kind, name)
    if name in available(kind):
        return _shipped(kind, path, fitted)
    if path.suffix == ".json" and kind == "model":
        return _from_huggingface(path)
    return _from_file(kind, path, fitted)


@cache
def _shipped(kind: str, path: Path, fitted: bool) -> Spec:
    return _from_file(kind, path, fitted)


def override(spec: Any, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> Any:
    """Return the spec with some fields replaced; text is parsed in the field's unit.

    Parameters
    ----------
    spec : Spec
        Left as it is.
    changes : mapping, optional
        Dotted name of a field → float in SI, text such as ``"104MB"``, or DataArray that adds a labelled axis.
    **fields
        The same by names of one word.

    Raises
    ------
    SpecError
        If a field is unknown or its value not allowed.

    Examples
    --------
    >>> chip = load("device", "a100-sxm-80gb")
    >>> override(chip, {"l2.capacity": "104MB"}) == override(chip, l2_capacity=104e6)
    True
    """
    spec_type = type(spec)
    units, parts = field_units(spec_type), sections(spec_type)
    sourced = dict(getattr(spec, "facts", {}))
    values: dict[str, Any] = {}
    for name, value in {**(changes or {}), **fields}.items():
        field = dotted(spec_type, name)
        if isinstance(value, str) and not isinstance(value_of(spec, field), str):
            value = parse(value, units[field], what=name)
        values[field] = word(spec_type, value)
        sourced[field] = facts.given(sourced.get(field), value, units[field])
    whole = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    for section in {name.partition(".")[0] for name in values} & parts.keys():
        kept = whole.pop(section)
        for each in dataclasses.fields(kept):
            whole[f"{section}.{each.name}"] = getattr(kept, each.name)
    if "facts" in whole:
        # what was measured of one chip says less of another
        whole |= {"facts": sourced, "residuals": ()}
    return build(spec_type, {**whole, **values}, getattr(spec, "name", spec_type.__name__))


def cluster(
    device: Device, devices: float | None = None, link: Link | None = None, scale_out: Link | None = None
) -> Cluster:
    """Return the cluster a device usually stands in, as many devices as asked or one full node."""
    inner = link or load("link", device.link)
    outer = scale_out or load("link", device.scale_out)
    return build(
        Cluster,
        {
            "device": device,
            "link": inner,
            "scale_out": outer,
            "devices": devices if devices is not None else inner.devices,
        },
        f"cluster of {device.name}",
    )


def workload(**fields: Any) -> Workload:
    """Return a checked Workload; raises SpecError where its constructor would raise pydantic's error."""
    return build(Workload, fields, "workload")


def provenance(*specs: Any) -> list[dict[str, Any]]:
    """Return one row for each fact behind some specs: spec, field, value, unit, kind, source, locator, range."""
    rows = []
    for spec in specs:
        for name, fact in spec.facts.items():
            rows.append({"spec": spec.name, "field": name, **dataclasses.asdict(fact)})
    return rows
