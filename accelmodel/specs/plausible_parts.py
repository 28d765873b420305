"""What looks like a typing error in what chips are made of, joined by, rented as, or run.

As ``plausibility`` does of devices: each check holds numbers of one file against each other, and returns a note.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accelmodel import units
from accelmodel.laws.numeric import Number
from accelmodel.specs.cloud import Engine, Instance
from accelmodel.specs.hardware import Device, Storage
from accelmodel.specs.language_model import LanguageModel, mixers
from accelmodel.specs.layer_kinds import Grouped
from accelmodel.specs.link import GRIDS, Link
from accelmodel.specs.silicon import Memory, Phy, Process, Site

#: what one link and all links of a device move one way [B/s], of all that was announced and not quite twice beyond
_ONE_LINK = (0.5e9, 800e9)
_ALL_LINKS = 3e12
#: longest times of a link: through it, and of the software that drives it [s]
_LONGEST_HOP, _LONGEST_START = 2e-4, 2e-3
_LEAST_SHARE = 0.2
#: rates of a storage tier [B/s], and the longest time of a request or after the last [s]
_STORED = (1e6, 2e13)
_LONGEST_REQUEST = 10.0
#: sizes of a network relative to each other
_HEADS = (0.125, 8.0)
_FFN = (0.05, 64.0)
#: a device's share of a rented server: memory of the host [B], price [USD/s]
_LEAST_HOST = 1e9
_HOURLY = (0.01 / 3600.0, 200.0 / 3600.0)
#: longest times of an engine [s]
_LONGEST_LAYER, _LONGEST_PROMPT = 1e-2, 10.0

#: energy of a moved bit with both of its ends [J], and what a host beside one device takes [W] and costs [USD]
_PER_BIT = (0.05e-12, 100e-12)
_HOST_POWER, _HOST_PRICE = 5e3, 2e5
#: area of SRAM [m2/B], from 0.1 to 10 mm2/MB, and of wafers [USD]
_SRAM = (0.1e-12, 10e-12)
_WAFER = (500.0, 60e3)


def show(value: Number, unit: str) -> str:
    """What is looked at has no axes, it comes from a file."""
    return units.show(float(value), unit)


def _outside(name: str, value: Number, ends: tuple[float, float], unit: str) -> str:
    low, high = ends
    if low <= value <= high:
        return ""
    return f"{name} {show(value, unit)} lies outside {show(low, unit)} to {show(high, unit)}; check it and its unit"


def _above(name: str, value: Number, most: float, unit: str) -> str:
    return "" if value <= most else f"{name} {show(value, unit)} is above {show(most, unit)}; check it and its unit"


def of_link(link: Link) -> tuple[str, ...]:
    """Return what looks wrong in a link, a line each.

    Examples
    --------
    >>> from accelmodel.specs.given import override
    >>> from accelmodel.specs.load import load
    >>> of_link(override(load("link", "hccs-mesh-8"), links=3))
    ('links 3 join 8 devices of a mesh, each of which has one to each other: 7 at least; check links and devices',)
    """
    found = [
        _above("bandwidth", link.bandwidth, _ALL_LINKS, "B/s"),
        _outside("bandwidth of one link", link.bandwidth / link.links, _ONE_LINK, "B/s"),
        _above("hop_latency", link.hop_latency, _LONGEST_HOP, "s"),
        *(_above(name, getattr(link, name), _LONGEST_START, "s") for name in ("start_up", "rendezvous")),
        _above("exchange_start", link.exchange_start, _LONGEST_START, "s"),
        _wires(link),
    ]
    if link.share < _LEAST_SHARE:
        found.append(f"share {link.share:g} is below {_LEAST_SHARE:g}; give a share of 1, not percent")
    if link.devices < 2.0:
        found.append(f"devices {link.devices:g}: a link joins two at least; check it")
    return tuple(note for note in found if note)


def _wires(link: Link) -> str:
    """A device of a mesh has a link to each other one, and one of a torus two along each axis."""
    if link.topology == "mesh" and link.links < link.devices - 1.0:
        return (
            f"links {link.links:g} join {link.devices:g} devices of a mesh, each of which has one to each other: "
            f"{link.devices - 1.0:g} at least; check links and devices"
        )
    axes = sum(length > 1.0 for length in link.axes)
    if link.topology in GRIDS and link.links < axes:
        return f"links {link.links:g} are fewer than the {axes:g} axes of a {link.topology}; check links and axes"
    return ""


def of_join(device: Device, link: Link) -> tuple[str, ...]:
    """Return what looks wrong in a device and the link that joins it: no link is faster than the memory behind it.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> of_join(load("device", "h100-sxm"), load("link", "nvlink4-switch"))
    ()
    """
    if link.bandwidth <= device.memory.bandwidth:
        return ()
    return (
        f"memory {show(device.memory.bandwidth, 'B/s')} is slower than the link {link.name}, "
        f"{show(link.bandwidth, 'B/s')}; check hbm.bandwidth and the link's bandwidth",
    )


def of_storage(tier: Storage) -> tuple[str, ...]:
    """Return what looks wrong in a storage tier, a line each."""
    found = [
        _outside("bandwidth", tier.bandwidth, _STORED, "B/s"),
        *(_above(name, getattr(tier, name), _LONGEST_REQUEST, "s") for name in ("latency", "tail")),
    ]
    return tuple(note for note in found if note)


def of_model(model: LanguageModel) -> tuple[str, ...]:
    """Return what looks wrong in a model's sizes, a line each."""
    found = []
    for kind in mixers(model):
        if isinstance(kind, Grouped):
            width = float(kind.heads * kind.head_dim)
            if not _HEADS[0] <= width / model.hidden <= _HEADS[1]:
                found.append(
                    f"heads x head_dim is {width:g} beside hidden {model.hidden:g}; check heads, head_dim and hidden"
                )
                break
    if model.ffn and not _FFN[0] <= model.ffn / model.hidden <= _FFN[1]:
        found.append(f"ffn {model.ffn:g} is {model.ffn / model.hidden:.3g} times hidden {model.hidden:g}; check both")
    if model.window and model.max_context and model.window > model.max_context:
        found.append(f"window {model.window:g} is above max_context {model.max_context:g}; check both")
    return tuple(found)


def of_instance(instance: Instance) -> tuple[str, ...]:
    """Return what looks wrong in a rented server, a line each."""
    each = instance.price_per_hour / instance.devices
    found = [
        _above("load_bandwidth", instance.load_bandwidth, _ALL_LINKS, "B/s"),
        _above("store_bandwidth", instance.store_bandwidth, _ALL_LINKS, "B/s"),
    ]
    if instance.host_memory < _LEAST_HOST:
        found.append(f"host_memory {show(instance.host_memory, 'B')} is below {show(_LEAST_HOST, 'B')}; check its unit")
    if each and not _HOURLY[0] <= each <= _HOURLY[1]:
        found.append(
            f"price_per_hour is {each * 3600.0:.3g} USD/h a device, outside {_HOURLY[0] * 3600.0:g} to "
            f"{_HOURLY[1] * 3600.0:g}; check it and its unit"
        )
    return tuple(note for note in found if note)


def of_engine(engine: Engine) -> tuple[str, ...]:
    """Return what looks wrong in a serving engine, a line each."""
    found = [
        *(_above(name, getattr(engine, name), _LONGEST_LAYER, "s") for name in ("layer_time", "sequence_time")),
        _above("prompt_time", engine.prompt_time, _LONGEST_PROMPT, "s"),
    ]
    for name in ("gpu_memory_utilization", "host_memory_share"):
        if getattr(engine, name) < 0.05:
            found.append(f"{name} {getattr(engine, name):g} is below 0.05; give a share of 1, not percent")
    return tuple(note for note in found if note)


def of_moved(part: Memory | Phy) -> tuple[str, ...]:
    """Return what looks wrong in a stack of memory or a link at a die's edge: what a bit takes on its way."""
    per_bit = part.power / (8.0 * part.bandwidth)
    note = _outside("energy of a bit, power / bandwidth,", per_bit, _PER_BIT, "J")
    return (note.replace("it and its unit", "both and their units"),) if note else ()


def of_site(site: Site) -> tuple[str, ...]:
    """Return what looks wrong in a data centre, a line each."""
    found = [
        _above("host_power", site.host_power, _HOST_POWER, "W"),
        _above("host_price", site.host_price, _HOST_PRICE, "USD"),
    ]
    return tuple(note for note in found if note)


def of_process(process: Process) -> tuple[str, ...]:
    """Return what looks wrong in a silicon process, a line each."""
    found = [
        _outside("sram_area", process.sram_area, _SRAM, "m2/B"),
        _outside("wafer_price", process.wafer_price, _WAFER, "USD"),
    ]
    return tuple(note for note in found if note)


#: kind of file → what looks wrong in one of it
DOUBTS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "link": of_link,
    "storage": of_storage,
    "model": of_model,
    "instance": of_instance,
    "engine": of_engine,
    "memory": of_moved,
    "phy": of_moved,
    "site": of_site,
    "process": of_process,
}
