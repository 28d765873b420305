"""Finding, reading and overriding specifications.

``load("device", "a100-sxm-80gb")`` or ``load("device", "./my-chip.toml")`` reads one, checked, with the
source of every value; ``override`` replaces fields by numbers, by text with a unit, or by labelled axes.
What was fitted to measurements stands in a file beside, ``NAME.calibrated.toml``, and takes the place of
the same fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, Unpack, cast, overload

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs import facts, huggingface
from accelmodel.specs.base import Residual, Spec, field_types, field_units, need_spec, sections, value_of
from accelmodel.specs.build import build
from accelmodel.specs.cloud import Engine, Instance, KernelLibrary
from accelmodel.specs.derive import DERIVE
from accelmodel.specs.facts import Fact
from accelmodel.specs.find import FOLDERS, available, calibrated_path, is_shipped, path_of
from accelmodel.specs.hardware import BillOfMaterials, Cluster, Device, Link, Process, Storage
from accelmodel.specs.inherit import inherit, origins, refused
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.names import dotted, flat, word
from accelmodel.specs.plausibility import READ, doubts
from accelmodel.specs.quantities import Values, labelled
from accelmodel.specs.read import read
from accelmodel.specs.workload import Fields, Workload
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
S = TypeVar("S")
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
    if kind == "device" and not is_shipped(path):
        notes = (*notes, *origins(found))
    values = {name: fact.value for name, fact in found.items()}
    about = {"name": file.name, "facts": found, "digest": _digest(digests), "residuals": residuals, "notes": notes}
    spec = build(spec_type, {**values, **about}, str(path), file.faults, [field for _, field, *_ in DERIVE.values()])
    if isinstance(spec, Device):
        spec = dataclasses.replace(spec, notes=(*notes, *_doubts(spec)))
    return spec


def _doubts(device: Device) -> tuple[str, ...]:
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


def _with_notes_of_today(before: Device, after: Device) -> Device:
    """Return a changed device with the notes that its values and facts give, in place of those before the change."""
    taken = origins(before.facts)
    said = {*taken, *_doubts(before)}
    kept = tuple(note for note in before.notes if note not in said)
    heir = origins(after.facts) if set(taken) <= set(before.notes) else ()  # shipped devices do not say it
    notes = (*kept, *heir, *_doubts(after))
    return after if notes == after.notes else dataclasses.replace(after, notes=notes)


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
def load(kind: Literal["storage"], name: Name, *, fitted: bool = ...) -> Storage: ...
@overload
def load(kind: Literal["instance"], name: Name, *, fitted: bool = ...) -> Instance: ...
@overload
def load(kind: Literal["engine"], name: Name, *, fitted: bool = ...) -> Engine: ...
@overload
def load(kind: Literal["library"], name: Name, *, fitted: bool = ...) -> KernelLibrary: ...
@overload
def load(kind: str, name: Name, *, fitted: bool = ...) -> Any: ...
def load(kind: str, name: Name, *, fitted: bool = True) -> Any:
    """Return a specification by name or by path.

    Parameters
    ----------
    kind : {"device", "link", "model", "process", "bill", "storage", "instance", "engine", "library"}
        What to load.
    name : str or path
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
    if isinstance(name, os.PathLike):
        path, name = Path(name), ""
        path = path / "config.json" if kind == "model" and path.is_dir() else path
    elif isinstance(name, str):
        path = path_of(kind, name)
    else:
        raise SpecError(f"{kind} {brief(name)}: is neither a name nor a path; allowed: {', '.join(available(kind))}")
    if name in available(kind):
        return _shipped(kind, path, fitted)
    if path.suffix == ".json" and kind == "model":
        return _from_huggingface(path)
    return _from_file(kind, path, fitted)


@cache
def _shipped(kind: str, path: Path, fitted: bool) -> Spec:
    return _from_file(kind, path, fitted)


def _with_axes(spec_type: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a caller gave, lists and arrays for numbers as labelled axes; a file holds one number a field."""
    found = dict(values)
    for name, kind in field_types(spec_type).items():
        if name in found and kind.quantity:
            try:
                found[name] = labelled(flat(spec_type, name), found[name])
            except ValueError as error:
                raise SpecError(f"{where}: {name}: {error}") from None
    return found


def override(spec: S, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> S:
    """Return the spec with some fields replaced; text is parsed in the field's unit.

    Parameters
    ----------
    spec : Spec
        Left as it is.
    changes : mapping, optional
        Dotted name of a field → float in SI, text such as ``"104MB"``, or what adds a labelled axis: a list or array
        (the axis has the field's name), or a DataArray.
    **fields
        The same by names of one word.

    Returns
    -------
    Spec
        Of the same type, with the facts and notes of the new values, and without residuals: what was measured of one
        chip says less of another.

    Raises
    ------
    SpecError
        If a field is unknown or given twice, or its value not allowed.

    Examples
    --------
    >>> chip = load("device", "a100-sxm-80gb")
    >>> override(chip, {"l2.capacity": "104MB"}) == override(chip, l2_capacity=104e6)
    True
    >>> override(chip, hbm_bandwidth=[2e12, 3e12]).hbm.bandwidth.dims
    ('hbm_bandwidth',)
    """
    need_spec(spec)
    spec_type = type(spec)
    units, parts = field_units(spec_type), sections(spec_type)
    sourced = dict(getattr(spec, "facts", {}))
    values: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for name, value in [*(changes or {}).items(), *fields.items()]:
        field = dotted(spec_type, name)
        if field in spelt:
            raise SpecError(f"{field}: is given twice, as {spelt[field]} and as {name}; leave one out")
        spelt[field] = name
        if isinstance(value, str) and not isinstance(value_of(spec, field), str):
            value = parse(value, units[field], what=name)
        values[field] = word(spec_type, value)
        sourced[field] = facts.given(sourced.get(field), value, units[field])
    whole = {f.name: getattr(spec, f.name) for f in dataclasses.fields(cast(Any, spec_type))}
    for section in {name.partition(".")[0] for name in values} & parts.keys():
        kept = whole.pop(section)
        for each in dataclasses.fields(kept):
            whole[f"{section}.{each.name}"] = getattr(kept, each.name)
    if "facts" in whole:
        # what was measured of one chip says less of another
        whole |= {"facts": sourced, "residuals": ()}
    where = getattr(spec, "name", spec_type.__name__)
    changed = build(spec_type, {**whole, **_with_axes(spec_type, values, where)}, where)
    if isinstance(spec, Device) and isinstance(changed, Device):
        return cast(S, _with_notes_of_today(spec, changed))
    return changed


def cluster(
    device: Device | str,
    devices: Values | None = None,
    link: Link | str | None = None,
    scale_out: Link | str | None = None,
) -> Cluster:
    """Return the cluster a device usually stands in, as many devices as asked or one full node.

    Parameters
    ----------
    device : Device or str
        Itself, its name, or the path of its file.
    devices : float, optional
        How many; a full node by default [1].
    link, scale_out : Link or str, optional
        What joins devices inside a node, and between nodes; the device's own by default.

    Returns
    -------
    Cluster

    Raises
    ------
    SpecError
        If a name is unknown or a value not allowed.

    Examples
    --------
    >>> cluster("h100-sxm").devices
    8.0
    >>> cluster("h100-sxm", devices=16, link="nvlink4-switch").devices
    16.0
    """
    if not isinstance(device, str | Device):
        raise SpecError(f"device must be a name, a path as text or load('device', name), not {brief(device)}")
    chip = load("device", device) if isinstance(device, str) else device
    inner, outer = link or chip.link, scale_out or chip.scale_out
    for what, each in (("link", inner), ("scale_out", outer)):
        if not isinstance(each, str | Link):
            raise SpecError(f"{what} must be a name, a path as text or load('link', name), not {brief(each)}")
    inner = load("link", inner) if isinstance(inner, str) else inner
    outer = load("link", outer) if isinstance(outer, str) else outer
    return build(
        Cluster,
        {
            "device": chip,
            "link": inner,
            "scale_out": outer,
            "devices": inner.devices if devices is None else labelled("devices", devices),
        },
        f"cluster of {chip.name}",
    )


def workload(**fields: Unpack[Fields]) -> Workload:
    """Return what is asked of a cluster in one step, checked.

    Parameters
    ----------
    phase : {"prefill", "decode"}
    batch : float
        Sequences in the step, over all data-parallel ranks and pipeline stages [1].
    context : float
        Tokens each sequence has when the step ends [token].
    prefix : float
        Tokens of each prompt whose KV is already there (chunked prefill) [token]; 0 by default.
    tp, pp, ep, dp : float
        Degrees of tensor, pipeline and expert parallelism and of data-parallel attention [1]; 1 by default.
    weight_bits, activation_bits, kv_bits : float
        Precisions [bit]; 16 by default.

    Returns
    -------
    Workload
        A list or an array for a number is a labelled axis of that name; a DataArray brings its own.

    Raises
    ------
    SpecError
        If a field is unknown or missing, or a value not allowed.

    Examples
    --------
    >>> work = workload(phase="decode", batch=[1, 2, 4], context=4096, tp=8)
    >>> work.batch.dims, work.kv_bits
    (('batch',), 16.0)
    """
    return build(Workload, _with_axes(Workload, fields, "workload"), "workload")


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
    (80000000000.0, 'B', 'datasheet')
    """
    rows = []
    for spec in specs:
        need_spec(spec)
        for name, fact in spec.facts.items():
            rows.append({"spec": spec.name, "field": name, **dataclasses.asdict(fact)})
    return rows
