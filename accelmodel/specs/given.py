"""What a caller gives: overridden fields, clusters, workloads; lists and arrays become labelled axes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar, Unpack, cast

import numpy as np

from accelmodel.errors import SpecError, brief
from accelmodel.laws.numeric import Number
from accelmodel.specs import facts
from accelmodel.specs.base import field_types, field_units, need_spec, sections, value_of
from accelmodel.specs.build import build
from accelmodel.specs.find import is_cluster
from accelmodel.specs.formats import Bits, bits_of
from accelmodel.specs.hardware import Cluster, ClusterFile, Device
from accelmodel.specs.inherit import origins
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.link import Link
from accelmodel.specs.load import implausible, load
from accelmodel.specs.names import dotted, flat, word
from accelmodel.specs.quantities import Quantity, Values, checked, labelled
from accelmodel.specs.workload import Fields, Workload
from accelmodel.units import parse

S = TypeVar("S")


def _with_notes_of_today(before: Device, after: Device) -> Device:
    """Return a changed device with the notes that its values and facts give, in place of those before the change."""
    taken = origins(before.facts)
    said = {*taken, *implausible(before)}
    kept = tuple(note for note in before.notes if note not in said)
    heir = origins(after.facts) if set(taken) <= set(before.notes) else ()  # shipped devices do not say it
    notes = (*kept, *heir, *implausible(after))
    return after if notes == after.notes else dataclasses.replace(after, notes=notes)


def _listed(text: str, field: str) -> list[Any]:
    """Return a list that is written with commas, such as ``ring,tree`` or ``4,4``."""
    parts = [part.strip() for part in text.replace("x", ",").split(",")] if field != "algorithms" else text.split(",")
    try:
        return [part.strip() if field == "algorithms" else float(part) for part in parts]
    except ValueError:
        raise SpecError(f"{field}: {brief(text)} is no list of numbers; write for example {field}=4,4") from None


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
        now = value_of(spec, field)
        if isinstance(value, str) and isinstance(now, list):
            value = _listed(value, field)
        elif isinstance(value, str) and not isinstance(now, str):
            value = parse(value, units[field], what=name, near=now if isinstance(now, float) else 0.0)
        values[field] = word(spec_type, value)
        sourced[field] = facts.given(sourced.get(field), value, units[field])
    whole = {f.name: getattr(spec, f.name) for f in dataclasses.fields(cast(Any, spec_type))}
    for section in {name.partition(".")[0] for name in values} & parts.keys():
        kept = whole.pop(section)
        for each in dataclasses.fields(kept):
            whole[f"{section}.{each.name}"] = getattr(kept, each.name)
    if "facts" in whole:
        # what was measured of one chip says less of another, and of it as much however it is called
        kept = spec_type is Link and set(values) <= {"by", "launch"}
        whole |= {"facts": sourced, "residuals": whole["residuals"] if kept else ()}
    where = getattr(spec, "name", spec_type.__name__)
    changed = build(spec_type, {**whole, **_with_axes(spec_type, values, where)}, where)
    if isinstance(spec, Device) and isinstance(changed, Device):
        return cast(S, _with_notes_of_today(spec, changed))
    return changed


def _node(link: Link) -> Number:
    """Return how many devices a full node has, or the slice of it in use."""
    return math.prod(link.slice) if link.slice else link.devices


def _as_link(what: str, given: object) -> Link:
    """Return the link that a name, a path or a link stands for."""
    if isinstance(given, Link):
        return given
    if isinstance(given, str):
        return load("link", given)
    raise SpecError(f"{what} must be a name, a path as text or load('link', name), not {brief(given)}")


def _device_of(known: ClusterFile) -> Device:
    """Return the device that a cluster's file names."""
    try:
        return load("device", known.device)
    except SpecError as error:
        raise SpecError(f"{known.name}: device: {error}") from None


def _need_joined(devices: Number, links: tuple[Link, ...]) -> None:
    """Raise SpecError where there are more devices than any level joins."""
    most, joined = float(np.max(np.asarray(devices))), [float(np.max(np.asarray(link.devices))) for link in links]
    if most > max(joined):
        last = links[-1]
        raise SpecError(
            f"devices {most:g}: {last.name} joins {joined[-1]:g}; give fewer, or a network with more "
            f"(scale_out.devices, or devices of the last [[level]])"
        )


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
        Itself, its name, or the path of its file; or those of a cluster, which brings its links along.
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
    known = load("cluster", device) if isinstance(device, str) and is_cluster(device) else None
    chip = _device_of(known) if known else load("device", device) if isinstance(device, str) else device
    inner = _as_link("link", link if link is not None else (known.node if known else chip.link))
    beyond = inner.beyond
    outer = _as_link("scale_out", scale_out if scale_out is not None else (beyond[0] if beyond else chip.scale_out))
    if scale_out is not None and (outer.inside or outer.beyond):
        raise SpecError(
            f"scale_out {outer.name} is one of {len(outer.levels)} levels of its file; give the file of one link, or "
            "all levels in a cluster's file"
        )
    # along an axis of link.devices, the fullest node: a step is timed on one number of devices
    full = float(np.max(np.asarray(_node(inner))))
    count = full if devices is None else checked("devices", devices, Quantity())
    _need_joined(count, (inner, outer, *beyond[1:]))
    return build(
        Cluster,
        {
            "device": chip,
            "link": inner,
            "scale_out": outer,
            "devices": count,
            "beyond": beyond[1:],
        },
        f"cluster of {chip.name}",
    )


def workload(**fields: Unpack[Fields]) -> Workload:
    """Return what is asked of a cluster in one step, checked.

    Parameters
    ----------
    phase : {"prefill", "decode", "mixed"}
        ``mixed`` is decode beside part of a prompt.
    batch : float
        Sequences in the step, over all data-parallel ranks and pipeline stages [1].
    context : float
        Tokens each sequence has when the step ends [token].
    prefix : float
        Tokens of each prompt whose KV is already there (chunked prefill) [token]; 0 by default.
    prefill_tokens : float
        Of a mixed step: tokens of prompts beside the sequences of ``batch``, over all data-parallel ranks and pipeline
        stages as that is, of one prompt on each of them [token]; 0 by default.
    speculative : float
        Tokens that are drafted for each sequence and verified beside its next one [token]; 0, no draft, by default.
    acceptance : float
        Share of drafted tokens that are taken, of those whose predecessors all were [1]; 0 by default.
    draft : str or LanguageModel
        What drafts: ``"mtp"`` (the model's own modules that predict further tokens), ``"eagle"``, ``"n-gram"``, else a
        model; by default ``"mtp"`` where the model has such modules, else ``"eagle"``.
    tp, pp, ep, dp : float
        Degrees of tensor, pipeline and expert parallelism and of data-parallel attention [1]; 1 by default.
    weight_bits, activation_bits, kv_bits : float or str
        Precisions [bit], or a format by its name (``"fp8"``, ``"int8"``, ``"mxfp4"`` …); what the model's file states,
        or 16, by default.
    redundant_experts, imbalance, two_batch, exchange : float
        How tokens come to experts: see ``Workload`` [1].

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
    >>> work.batch.dims, work.tp
    (('batch',), 8.0)
    """
    return build(Workload, _with_axes(Workload, _named_bits(fields), "workload"), "workload")


def _named_bits(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a workload with formats that are given for bits as bits and formats."""
    found = dict(fields)
    draft = found.get("draft", "")
    if not isinstance(draft, str | LanguageModel):
        raise SpecError(f"draft must be one name or a model, not {brief(draft)}; ask once for each, or sweep it")
    for name in {"weight_bits", "activation_bits", "kv_bits"} & found.keys():
        if isinstance(found[name], list | tuple) and any(isinstance(each, str) for each in found[name]):
            raise SpecError(
                f"{name}: formats are no axis, {brief(found[name])}; ask once for each, or sweep weight_format or "
                "activation_format"
            )
        found[name] = bits_of(found[name], activations=name == "activation_bits")
        # a cache is read at its bits, whatever they mean
        if isinstance(found[name], Bits) and name != "kv_bits":
            found.setdefault(name.replace("bits", "format"), found[name].word)
    return found
