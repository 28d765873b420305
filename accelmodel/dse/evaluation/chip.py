"""A chip as a point of a design space: what an axis changes in the device, and what the chip costs.

Rates scale with what provides them: matrix, vector and L2 rates with cores and clock, HBM bandwidth and capacity
with stacks and their generation, link bandwidth with links x bandwidth of one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.costs.bill import bill
from accelmodel.costs.parts import Parts, parts_of
from accelmodel.dse.evaluation.powered import with_dies, with_part
from accelmodel.dse.studies.axes import AXES, PARTS, level_of, role_of
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError
from accelmodel.laws.numeric import Number, most
from accelmodel.specs.base import field_types, value_of, with_values
from accelmodel.specs.cores import with_clock, with_cores
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import load
from accelmodel.specs.memories import none
from accelmodel.specs.silicon import Memory


def parts_of_study(study: Study) -> Parts:
    """Return the parts of the study's reference chip.

    Raises
    ------
    SpecError
        If a part is not known; of a study at selling prices also where nobody says what the device sells at.
    """
    head = study.study
    parts = parts_of(head.device, head.bill or "", site=head.site)
    if head.price != "selling":
        return parts
    device = parts.device
    if none(device.price) or device.price_kind != "selling":
        raise SpecError(f'study.price: what {device.name} sells at is not known; take "bill", or add its price')
    return replace(parts, markup=device.price / design(parts)[1]["price"])


def named(kind: str, words: Any) -> Any:
    """Return what a word names; of words along an axis, one whose numbers lie along it."""
    if not hasattr(words, "dims"):
        return load(kind, str(words))
    different, places = np.unique(words.values.astype(str), return_inverse=True)
    each = [load(kind, str(word)) for word in different]
    fields = [name for name, field in field_types(type(each[0])).items() if field.quantity]
    numbers = {name: np.array([value_of(spec, name) for spec in each], dtype=float) for name in fields}
    return with_values(
        each[0], {name: words.copy(data=values[places].reshape(words.shape)) for name, values in numbers.items()}
    )


def design(parts: Parts, devices: float | None = None, **axes: Any) -> tuple[Cluster, dict[str, Number]]:
    """Return the cluster of a chip, and its figures: area [m²], power [W], price [USD], carbon [kg].

    Parameters
    ----------
    parts : Parts
    devices : float, optional
        Of the cluster; a full node by default [1].
    **axes
        Axes by their names in results, such as ``cores`` [1], ``l2_capacity`` [B], ``hbm_stacks`` [1], ``links`` [1],
        ``link_bandwidth`` of one link [B/s]; floats, words or DataArrays of them.  What is not given stays as in the
        reference device.

    Returns
    -------
    tuple of (Cluster, dict)
        The figures are those of ``costs.bill``.  Area of a link grows with its bandwidth.  At another clock the power
        of cores goes with it, at one voltage: optimistic above that of the reference.
    """
    parts = _with_fields(_with_words(parts, axes), axes)
    device, link = parts.device, parts.link
    cores, l2 = axes.get("cores", device.compute.cores), axes.get("l2_capacity", device.l2.capacity)
    stacks, links = axes.get("hbm_stacks", device.hbm.stacks), axes.get("links", link.links)
    dies, stacked = axes.get("dies", device.dies), axes.get("stacked_sram", 0.0)
    lane = link.bandwidth / link.links
    one = axes.get("link_bandwidth", lane)
    lanes = links * one / lane
    chip = override(
        with_cores(device, cores),
        {
            "l2.capacity": l2 + stacked,
            "hbm.stacks": stacks,
            "hbm.bandwidth": _of_stacks(device, device.hbm.bandwidth, stacks),
            "hbm.capacity": _of_stacks(device, device.hbm.capacity, stacks),
            **({"dies": dies} if "dies" in axes else {}),
        },
    )
    if "dies" in axes:
        chip = with_dies(chip, parts, dies)
    if "clock" in axes:
        chip = with_clock(chip, axes["clock"])
        drawn = parts.bill.core_power * (axes["clock"] / device.compute.clock)
        parts = replace(parts, bill=with_values(parts.bill, {"core_power": drawn}))
    wires = override(link, bandwidth=links * one, links=links)
    out = _network(chip, wires, axes)
    return (
        cluster(chip, devices, link=wires, scale_out=out),
        bill(parts, cores, l2, stacks, lanes, dies=dies, stacked=stacked),
    )


def _network(chip: Device, wires: Link, axes: dict[str, Any]) -> Link | None:
    """Return what an axis makes of the links between nodes; None where none does."""
    fields = _fields(axes).get("scale_out")
    word = axes.get("scale_out")
    if word is None and fields is None:
        return None
    usual = wires.beyond[0] if wires.beyond else load("link", chip.scale_out)
    return override(usual if word is None else load("link", str(word)), fields or {})


def _with_words(parts: Parts, axes: dict[str, Any]) -> Parts:
    """Return the parts with those that words on axes name."""
    for name in ("process", "site"):
        if name in axes:
            parts = replace(parts, **{name: named(name, axes[name])})
    if "link" in axes:
        link = load("link", str(axes["link"]))
        phy = load("phy", link.phy) if link.phy else None
        parts = replace(parts, link=link, phy=phy, device=with_part(parts.device, "link", parts.phy, phy))
    for name in filter(level_of, axes):
        parts = replace(parts, link=_with_level(parts.link, name, axes[name]))
    return _with_generation(parts, axes["hbm_generation"]) if "hbm_generation" in axes else parts


def _with_level(link: Link, name: str, value: Any) -> Link:
    """Return the link with another number in one of its levels."""
    side, place, field = level_of(name) or ("", 0, "")
    levels = list(getattr(link, side))
    if place >= len(levels):
        raise SpecError(f"{name}: {link.name} has {len(levels)} levels {side}; leave this axis out")
    levels[place] = override(levels[place], {field: value})
    return with_values(link, {side: tuple(levels)})


def _with_generation(parts: Parts, words: Any) -> Parts:
    """Return the parts with other stacks: each brings as much more as its generation does than that of the device."""
    before = parts.memory
    if before is None:
        raise SpecError(f"hbm_generation: {parts.device.name} has no HBM; leave this axis out")
    return _with_memory(parts, before, named("memory", words))


def _with_memory(parts: Parts, before: Memory, after: Memory) -> Parts:
    """Return the parts with other stacks in place of those before."""
    hbm = parts.device.hbm
    brings = {
        "hbm.bandwidth": hbm.bandwidth * (after.bandwidth / before.bandwidth),
        "hbm.capacity": hbm.capacity * (after.capacity / before.capacity),
        "energy.hbm": _with_stacks(parts.device.energy.hbm, before, after),
    }
    device = with_part(override(parts.device, brings), "hbm", before, after)
    return replace(parts, device=device, memory=after)


def _with_stacks(joules: Any, before: Memory, after: Memory) -> Any:
    """Return the energy of a byte with other stacks [J/B]; its way over the die stays."""
    if none(joules):
        return joules
    # more than nothing, which would say that it is not known
    return most(joules + after.power / after.bandwidth - before.power / before.bandwidth, 1e-12)


def _with_fields(parts: Parts, axes: dict[str, Any]) -> Parts:
    """Return the parts with the fields that are axes by themselves."""
    found = _fields(axes)
    for part, fields in found.items():
        if part == "scale_out":
            continue
        before = getattr(parts, part)
        if before is None:
            raise SpecError(f"{part}.{next(iter(fields))}: {parts.device.name} has no {part}; leave this axis out")
        after = override(before, fields)
        if part == "phy":
            parts = replace(parts, device=with_part(parts.device, "link", before, after))
        parts = _with_memory(parts, before, after) if part == "memory" else replace(parts, **{part: after})
    return parts


def _fields(axes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return part → dotted name of a field → its value, of the axes that are a field each."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in axes.items():
        if name in AXES or level_of(name):
            continue
        part, dot, field = role_of(name).full.partition(".")
        own = bool(dot) and part in PARTS
        found.setdefault(part if own else "device", {})[field if own else role_of(name).full] = value
    return found


def value_on(parts: Parts, cluster: Cluster, axis: str) -> Any:
    """Return what an axis is on a chip that does not vary over it."""
    device, link = cluster.device, cluster.link
    own: dict[str, Any] = {
        "link_bandwidth": link.bandwidth / link.links,
        "links": link.links,
        "stacked_sram": 0.0,
        "process": parts.process.name,
        "site": parts.site.name,
        "link": link.name,
        "scale_out": cluster.scale_out.name,
    }
    if axis in own:
        return own[axis]
    if level := level_of(axis):
        side, place, name = level
        return value_of(getattr(link, side)[place], name)
    part, dot, field = role_of(axis).full.partition(".")
    if dot and part in PARTS:
        return value_of(link if part == "link" else getattr(cluster if part == "scale_out" else parts, part), field)
    return value_of(device, role_of(axis).full)


def _of_stacks(device: Device, whole: Number, stacks: Number) -> Number:
    """Return what so many stacks bring of what all of a device bring; a device without stacks keeps it."""
    if none(device.hbm.stacks):
        if not none(stacks):
            raise SpecError(f"hbm_stacks: {device.name} has no stacks of HBM; leave this axis out")
        return whole
    # along an axis some may be without: a range of stacks that begins at "not known"
    without = (device.hbm.stacks == 0.0) * 1.0
    return whole * (stacks + without) / (device.hbm.stacks + without)
