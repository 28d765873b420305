"""Finding, reading and overriding specifications.

``load("device", "a100-sxm-80gb")`` or ``load("device", "./my-chip.toml")`` reads one, checked, with the
source of every value; ``override`` replaces fields by numbers, by text with a unit, or by labelled axes.
What was fitted to measurements stands in a file beside, ``NAME.calibrated.toml``, and takes the place of
the same fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, overload

import pydantic

from accelmodel.errors import SpecError, unknown
from accelmodel.specs import facts, huggingface
from accelmodel.specs.base import Residual, Spec
from accelmodel.specs.cloud import Engine, Instance, KernelLibrary
from accelmodel.specs.facts import Fact
from accelmodel.specs.hardware import BillOfMaterials, Cluster, Device, Link, Process, Storage
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.quantities import Quantity, labelled
from accelmodel.specs.workload import Fields, Workload
from accelmodel.units import parse

#: kind of spec → (folder of hwspecs, type)
TYPES: dict[str, tuple[str, type[Spec]]] = {
    "device": ("devices", Device),
    "link": ("links", Link),
    "model": ("models", LanguageModel),
    "process": ("processes", Process),
    "bill": ("bills", BillOfMaterials),
    "storage": ("storage", Storage),
    "instance": ("instances", Instance),
    "engine": ("engines", Engine),
    "library": ("kernel_libraries", KernelLibrary),
}
#: what comes after the name of a specification in the name of the file of its fitted constants
_FITTED = ".calibrated"
S = TypeVar("S")


def _build(spec_type: type[S], values: Mapping[str, Any], where: str) -> S:
    try:
        return spec_type(**values)
    except pydantic.ValidationError as error:
        lines = []
        for item in error.errors():
            name = ".".join(str(part) for part in item["loc"]) or "value"
            message = item["msg"].removeprefix("Value error, ")
            if item["type"] == "unexpected_keyword_argument":
                message = str(unknown("key", name, field_units(spec_type)))
            elif item["type"] in ("missing_argument", "missing"):
                message = "is missing; add it"
            lines.append(f"{where}: {name}: {message}")
        raise SpecError("; ".join(lines)) from None


def field_units(spec_type: Any) -> dict[str, str]:
    """Return the SI unit of each field of a spec; ``"1"`` for words and counts."""
    hints = typing.get_type_hints(spec_type, include_extras=True)
    units = {}
    for name in (f.name for f in dataclasses.fields(spec_type)):
        notes = [note for note in getattr(hints[name], "__metadata__", ()) if isinstance(note, Quantity)]
        units[name] = notes[0].unit if notes else "1"
    return {name: unit for name, unit in units.items() if name not in ("facts", "digest", "residuals")}


def _with_axes(spec_type: Any, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return fields given in Python, lists and arrays for numbers as labelled axes; files hold numbers alone."""
    found = dict(given)
    for name in given.keys() & _numeric(spec_type):
        try:
            found[name] = labelled(name, given[name])
        except ValueError as error:
            raise SpecError(f"{where}: {name}: {error}") from None
    return found


@cache
def _numeric(spec_type: Any) -> frozenset[str]:
    hints = typing.get_type_hints(spec_type, include_extras=True)
    return frozenset(name for name, hint in hints.items() if getattr(hint, "__metadata__", ()))


def calibrated_path(path: Path) -> Path:
    """Return where the fitted constants of a specification stand: beside its file."""
    return path.with_name(f"{path.stem}{_FITTED}.toml")


def _from_file(kind: str, path: Path, fitted: bool = True) -> Spec:
    _, spec_type = TYPES[kind]
    file = facts.read_facts(path, kind)
    found, digest = dict(file.facts), file.digest
    residuals: tuple[Residual, ...] = ()
    beside = calibrated_path(path)
    if fitted and beside.is_file():
        more = facts.read_facts(beside, kind, ("residual",))
        found = {**found, **more.facts}
        digest = hashlib.sha256(f"{digest}{more.digest}".encode()).hexdigest()[: len(digest)]
        residuals = _residuals(beside)
    units = field_units(spec_type)
    for name, fact in found.items():
        if name not in units:
            raise SpecError(f"{path}: {unknown('key', name, units)}")
        if isinstance(fact.value, float) and fact.unit != units[name]:
            raise SpecError(f"{path}: {name} is in {fact.unit}, expected {units[name]}; correct its unit")
    values = {name: fact.value for name, fact in found.items()}
    about = {"name": file.name, "facts": found, "digest": digest, "residuals": residuals}
    return _build(spec_type, {**values, **about}, str(path))


def _residuals(path: Path) -> tuple[Residual, ...]:
    """Return the tables ``[[residual]]`` of a file."""
    entries = facts.read_toml(path)[0].get("residual", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SpecError(f"{path}: residual must be tables [[residual]]")
    return tuple(_build(Residual, entry, f"{path}: residual") for entry in entries)


def _from_huggingface(path: Path) -> LanguageModel:
    values, digest = huggingface.read_config(path)
    sourced = {name: Fact(value, "1", "given", "user", str(path)) for name, value in values.items()}
    return _build(
        LanguageModel, {**values, "name": path.parent.name or path.stem, "facts": sourced, "digest": digest}, str(path)
    )


def available(kind: str) -> list[str]:
    """Return the names that ``load(kind, ...)`` knows, sorted.

    Parameters
    ----------
    kind : {"device", "link", "model", "process", "bill", "storage", "instance", "engine", "library"}

    Returns
    -------
    list of str

    Raises
    ------
    SpecError
        If there is no such kind; the closest match is named.

    Examples
    --------
    >>> available("device")[:2]
    ['a100-sxm-40gb', 'a100-sxm-80gb']
    """
    if kind not in TYPES:
        raise unknown("kind of specification", kind, TYPES)
    stems = (path.stem for path in (facts.root() / TYPES[kind][0]).glob("*.toml"))
    return sorted(stem for stem in stems if not stem.endswith(_FITTED))


@overload
def load(kind: Literal["device"], name: str, *, fitted: bool = ...) -> Device: ...
@overload
def load(kind: Literal["link"], name: str, *, fitted: bool = ...) -> Link: ...
@overload
def load(kind: Literal["model"], name: str, *, fitted: bool = ...) -> LanguageModel: ...
@overload
def load(kind: Literal["process"], name: str, *, fitted: bool = ...) -> Process: ...
@overload
def load(kind: Literal["bill"], name: str, *, fitted: bool = ...) -> BillOfMaterials: ...
@overload
def load(kind: Literal["storage"], name: str, *, fitted: bool = ...) -> Storage: ...
@overload
def load(kind: Literal["instance"], name: str, *, fitted: bool = ...) -> Instance: ...
@overload
def load(kind: Literal["engine"], name: str, *, fitted: bool = ...) -> Engine: ...
@overload
def load(kind: Literal["library"], name: str, *, fitted: bool = ...) -> KernelLibrary: ...
@overload
def load(kind: str, name: str, *, fitted: bool = ...) -> Any: ...
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
    if name in _names(kind):
        return _shipped(kind, name, fitted)
    path = path_of(kind, name)
    if path.suffix == ".json" and kind == "model":
        return _from_huggingface(path)
    return _from_file(kind, path, fitted)


def path_of(kind: str, name: str) -> Path:
    """Return the file that a name or a path stands for: a shipped name, a path, or ``NAME.toml`` where one is run.

    Raises
    ------
    SpecError
        If it is none of these.
    """
    if name in _names(kind):
        return facts.root() / TYPES[kind][0] / f"{name}.toml"
    if Path(name).suffix in (".toml", ".json") or "/" in name:
        return Path(name)
    for own in Path().glob("*.toml"):
        if own.stem == name:
            return own
    raise unknown(kind, name, available(kind))


@cache
def _names(kind: str) -> frozenset[str]:
    return frozenset(available(kind))


@cache
def _shipped(kind: str, name: str, fitted: bool) -> Spec:
    return _from_file(kind, path_of(kind, name), fitted)


def override(spec: S, **changes: Any) -> S:
    """Return the spec with some fields replaced; text is parsed in the field's unit.

    Parameters
    ----------
    spec : Spec
        Left as it is.
    **changes
        Field → float in SI, text such as ``"104MB"``, or what adds a labelled axis: a list or array (the axis has the
        field's name), or a DataArray.

    Returns
    -------
    Spec
        Of the same type, with the facts of the new values, and without residuals: what was measured of one chip says
        less of another.

    Raises
    ------
    SpecError
        If the field is unknown or its value not allowed.

    Examples
    --------
    >>> chip = override(load("device", "a100-sxm-80gb"), l2_capacity="104MB", hbm_bandwidth=[2e12, 3e12])
    >>> chip.l2_capacity, chip.hbm_bandwidth.dims
    (104000000.0, ('hbm_bandwidth',))
    """
    units = field_units(type(spec))
    fields: dict[str, Any] = {f.name: getattr(spec, f.name) for f in dataclasses.fields(typing.cast(Any, spec))}
    sourced = dict(fields.get("facts", {}))
    for name, value in _with_axes(type(spec), changes, getattr(spec, "name", "")).items():
        if name not in units:
            raise unknown(f"field of {type(spec).__name__}", name, units)
        if isinstance(value, str) and not isinstance(fields[name], str):
            value = parse(value, units[name], what=name)
        fields[name] = value
        sourced[name] = facts.given(sourced.get(name), value, units[name])
    if "facts" in fields:
        # what was measured of one chip says less of another
        fields |= {"facts": sourced, "residuals": ()}
    return _build(type(spec), fields, getattr(spec, "name", type(spec).__name__))


def cluster(
    device: Device | str,
    devices: float | None = None,
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
    chip = load("device", device) if isinstance(device, str) else device
    inner, outer = link or chip.link, scale_out or chip.scale_out
    inner = load("link", inner) if isinstance(inner, str) else inner
    outer = load("link", outer) if isinstance(outer, str) else outer
    count = devices if devices is not None else inner.devices
    return _build(
        Cluster,
        {"device": chip, "link": inner, "scale_out": outer, "devices": count},
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
    return _build(Workload, _with_axes(Workload, fields, "workload"), "workload")


def provenance(*specs: Any) -> list[dict[str, Any]]:
    """Return where each value behind some specifications comes from.

    Parameters
    ----------
    *specs : Spec
        Devices, links, models …

    Returns
    -------
    list of dict
        One for each fact: ``spec``, ``field``, ``value`` and ``range`` in SI, ``unit``, ``kind``, ``source`` (a key of
        ``sources.toml``), ``locator``, ``note``.

    Examples
    --------
    >>> row = next(row for row in provenance(load("device", "h100-sxm")) if row["field"] == "hbm_capacity")
    >>> row["value"], row["unit"], row["kind"]
    (80000000000.0, 'B', 'datasheet')
    """
    rows = []
    for spec in specs:
        for name, fact in spec.facts.items():
            rows.append({"spec": spec.name, "field": name, **dataclasses.asdict(fact)})
    return rows
