"""What the commands share: types of options, and the printing of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from accelmodel.dse.chip import with_cores
from accelmodel.errors import SpecError, unknown
from accelmodel.specs.base import Spec, sections
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import FLAT, Cluster, Device, Link
from accelmodel.specs.load import field_units, load
from accelmodel.specs.names import canonical, dotted

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
DeviceName = Annotated[str, typer.Option("--device", help="Name, or path of a TOML file.")]
LinkName = Annotated[str | None, typer.Option("--link", help="Interconnect inside the node, name or path.")]
ModelName = Annotated[str, typer.Option("--model", help="Name, TOML file, or Hugging Face config.json.")]
WeightBits = Annotated[float, typer.Option("--weight-bits", help="Precision of weights.")]


def emit(data: dict[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")


@contextmanager
def answered(answer: Callable[[], None]) -> Iterator[None]:
    """Print the answer after the block, which writes files: also if it could not write them."""
    try:
        yield
    finally:
        answer()


_MOST = 10_000


def names(text: str) -> list[str]:
    """Return the names of a comma-separated list, in order, each once.

    Examples
    --------
    >>> names("llama-3-8b, qwen2-7b")
    ['llama-3-8b', 'qwen2-7b']
    """
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise SpecError(f"{text!r} names nothing; give for example a,b,c")
    return list(dict.fromkeys(found))


def counts(text: str, what: str) -> list[int]:
    """Return whole numbers: ``"1,3,8"``, or ``"1:64"`` for the powers of two from one to the other.

    Examples
    --------
    >>> counts("1:8", "batch")
    [1, 2, 4, 8]
    >>> counts("2,4", "tp")
    [2, 4]
    """
    try:
        if ":" in text:
            low, high = (int(end) for end in text.split(":"))
            found = [low << i for i in range(64) if low > 0 and low << i <= high]
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        raise SpecError(f"{what}: {text!r} is not whole numbers; write 1,2,4 or 1:64 (powers of two)") from None
    if not found or min(found) < 1 or len(found) > _MOST:
        raise SpecError(f"{what}: {text!r} must be numbers from 1 up, and a range must rise; write 1,2,4 or 1:64")
    return list(dict.fromkeys(found))


_OWN = "write a device file of your own (accelmodel new device) and give it with --device"
#: fields of a device that are names of other files, or of none → what to do instead of ``--set``
NAMED = {
    "link": "give it with --link",
    "scale_out": "set scale_out.bandwidth and its other numbers, or " + _OWN,
    "process": _OWN,
    "architecture": _OWN,
    "vendor": _OWN,
}


#: part of a cluster → what it is
KINDS: dict[str, type[Spec]] = {"device": Device, "link": Link, "scale_out": Link}


def _owner(name: str) -> tuple[str, str]:
    """Return which part of the cluster a ``--set`` name belongs to, and the field by its dotted name.

    ``l2.capacity`` and ``l2_capacity`` are the device's, ``link.share`` is the link's.
    """
    part, dot, field = name.partition(".")
    if dot and part in KINDS:
        return part, dotted(KINDS[part], field)
    if dot and part not in sections(Device):
        raise unknown("part", part, {*KINDS, *sections(Device)})
    found = {key: canonical(kind, name) for key, kind in KINDS.items()}
    owners = [(key, field) for key, field in found.items() if field is not None]
    if len(owners) == 1:
        return owners[0]
    device = {*field_units(Device), *FLAT}
    raise unknown("field", name, device | {f"{key}.{f}" for key, kind in KINDS.items() for f in field_units(kind)})


def _settings(settings: list[str], taken: list[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Return what ``--set`` changes: part of the cluster → field by its dotted name → text.

    ``taken`` are the fields that options of their own set already.
    """
    found: dict[str, dict[str, str]] = {part: {} for part in KINDS}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise SpecError(f"--set {setting!r}: write FIELD=VALUE, for example --set l2.usable=0.8")
        part, field = _owner(name.strip())
        if part == "device" and field in NAMED:
            raise SpecError(f"--set {setting!r}: {field} names a file whose numbers are read already; {NAMED[field]}")
        if field in found[part] or (part, field) in taken:
            raise SpecError(f"--set {setting!r}: {part}.{field} is set twice; set it once")
        found[part][field] = value.strip()
    return {part: changes for part, changes in found.items() if changes}


def hardware(
    device: str,
    devices: int | None,
    *,
    link: str | None = None,
    shortcuts: dict[str, str | None] | None = None,
    settings: list[str] | None = None,
) -> Cluster:
    """Return the cluster that the options describe.

    Parameters
    ----------
    device : str
        Name, or path of a TOML file.
    devices : int, optional
        How many; a full node by default.
    link : str, optional
        Name or path of the interconnect inside the node, if not the device's own.
    shortcuts : dict
        ``l2_capacity``, ``hbm_bandwidth``, ``hbm_capacity``, ``link_bandwidth``, ``cores`` … → text with unit.
    settings : list of str
        ``FIELD=VALUE``, ``device.FIELD=VALUE``, ``link.FIELD=VALUE`` or ``scale_out.FIELD=VALUE``; fields of a device
        by dotted name (``l2.capacity``) or in one word (``l2_capacity``).

    Raises
    ------
    SpecError
        If a name is unknown or a value not allowed.
    """
    chip: Device = load("device", device)
    wires: Link = load("link", link or chip.link)
    outer: Link = load("link", chip.scale_out)
    given = {name: text for name, text in (shortcuts or {}).items() if text is not None}
    twice = [_owner("link.bandwidth" if name == "link_bandwidth" else f"device.{name}") for name in given]
    changed = _settings(settings or [], twice)
    if "cores" in given:
        chip = with_cores(chip, given.pop("cores"))
    if "link_bandwidth" in given:
        wires = override(wires, bandwidth=given.pop("link_bandwidth"))
    targets: dict[str, Any] = {"device": override(chip, **given), "link": wires, "scale_out": outer}
    for part, changes in changed.items():
        targets[part] = override(targets[part], changes)
    return cluster(targets["device"], devices, link=targets["link"], scale_out=targets["scale_out"])
