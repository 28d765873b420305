"""What the commands share: types of options, and the printing of JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from accelmodel import __version__
from accelmodel.cli.completion import name_of, one_of
from accelmodel.cli.spelling import spelling
from accelmodel.errors import SpecError, brief, unknown
from accelmodel.nomenclature import need_finite
from accelmodel.specs.base import Spec, sections, value_of
from accelmodel.specs.cores import with_cores
from accelmodel.specs.formats import FORMATS, bits_of
from accelmodel.specs.given import cluster, override
from accelmodel.specs.hardware import FLAT, Cluster, Device
from accelmodel.specs.link import CALLERS, LAUNCHES, Link
from accelmodel.specs.load import field_units, load
from accelmodel.specs.names import canonical, dotted
from accelmodel.units import parse

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
DeviceName = Annotated[
    str,
    typer.Option("--device", help="Name such as h100-sxm, or a TOML file.", autocompletion=name_of("device")),
]
LinkName = Annotated[
    str | None,
    typer.Option(
        "--link",
        help="Interconnect inside the node, name such as nvlink4-switch, or a TOML file; the device's own by default.",
        autocompletion=name_of("link"),
    ),
]
ScaleOutName = Annotated[
    str | None,
    typer.Option(
        "--scale-out",
        help="Network between nodes, name such as infiniband-ndr400, or a TOML file; the device's own by default.",
        autocompletion=name_of("link"),
    ),
]
ClusterName = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Device and all levels of links, name such as gb200-nvl72, or a TOML file; --device takes another device.",
        autocompletion=name_of("cluster"),
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="Name such as llama-3-70b, a TOML file, or a Hugging Face config.json.",
        autocompletion=name_of("model"),
    ),
]


def _by(default: str) -> Any:
    text = (
        "Whose kernels exchange small messages: engine, library or symmetric-memory, an engine's through a memory that "
        f"all devices see; by default {default}."
    )
    return typer.Option("--by", help=text, autocompletion=one_of(*CALLERS))


def _launch(default: str) -> Any:
    text = f"How kernels that exchange are launched: graph or eager, each by the host; by default {default}."
    return typer.Option("--launch", help=text, autocompletion=one_of(*LAUNCHES))


_OR_INTERVAL = ", and the interval holds the others"
By = Annotated[str, _by(f"engine{_OR_INTERVAL}")]
Launch = Annotated[str, _launch(f"graph{_OR_INTERVAL}")]
CollectiveBy = Annotated[str, _by(f"library{_OR_INTERVAL}")]
EngineBy = Annotated[str, _by("what --engine does")]
EngineLaunch = Annotated[str, _launch("what --engine does")]
_OWN_BITS = "what the model's file states, or 16, by default."


def read_bits(text: str) -> float:
    """Return the bits that an option says, as a number or as the name of a format."""
    return _read(text, activations=False)


def read_activation_bits(text: str) -> float:
    """Return the bits of activations, whose formats may take fewer than those of weights."""
    return _read(text, activations=True)


def _read(text: str, activations: bool) -> float:
    try:
        found: float = bits_of(text, activations=activations)
    except SpecError:
        write = spelling(text) or f"give one, or a format: {', '.join(FORMATS)}"
        raise SpecError(f"{brief(text)} is no number of bits and no format; {write}") from None
    if not found >= 1.0:
        raise SpecError(f"{brief(text)} is not allowed; give 1 bit or more, or a format: {', '.join(FORMATS)}")
    return found


def _bits_option(what: str, of: str, such: str, default: str, read: Callable[[str], float] = read_bits) -> Any:
    text = f"Precision of {of}, such as {such}; {default}"
    return typer.Option(f"--{what}-bits", parser=read, metavar="BITS", help=text)


WeightBits = Annotated[float | None, _bits_option("weight", "weights", "8, 4.25 or fp8", _OWN_BITS)]
ActivationBits = Annotated[
    float | None, _bits_option("activation", "activations", "8 or int8", _OWN_BITS, read_activation_bits)
]
KvBits = Annotated[float | None, _bits_option("kv", "the KV cache", "8", _OWN_BITS)]
_PAPER_BITS = "what the model's file states, or 8, by default."
PaperWeightBits = Annotated[float | None, _bits_option("weight", "weights", "16, 4.25 or fp8", _PAPER_BITS)]
PaperActivationBits = Annotated[
    float | None, _bits_option("activation", "activations", "16 or int8", _PAPER_BITS, read_activation_bits)
]
PaperKvBits = Annotated[float | None, _bits_option("kv", "the KV cache", "16", _PAPER_BITS)]


def asked_bits(**bits: float | None) -> dict[str, float]:
    """Return the precisions that were asked for; what is left out is what the model's file states."""
    return {name: value for name, value in bits.items() if value is not None}


def emit(data: dict[str, Any]) -> None:
    """Print one JSON document, with the version that answered."""
    data = {**data, "accelmodel_version": __version__}
    sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")


def answer(data: dict[str, Any], as_json: bool, printed: Callable[[dict[str, Any]], None]) -> None:
    """Print the answer of a command, as JSON or for people; every command ends here.

    Raises
    ------
    Infeasible
        If a number in it is not finite.
    """
    need_finite(data)
    if as_json:
        emit(data)
    else:
        printed(data)


@contextmanager
def answered(data: dict[str, Any], as_json: bool, printed: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Print the answer of a command after the block, which writes files: also if it could not write them.

    Raises
    ------
    Infeasible
        If a number in it is not finite, before anything is written.
    """
    need_finite(data)
    try:
        yield
    finally:
        answer(data, as_json, printed)


_MOST = 10_000
#: largest whole number of an option
_LARGEST = 10**9


def names(text: str) -> list[str]:
    """Return the names of a comma-separated list, in order, each once.

    Examples
    --------
    >>> names("llama-3-8b, qwen2-7b")
    ['llama-3-8b', 'qwen2-7b']
    """
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise SpecError(f"{brief(text)} names nothing; give for example a,b,c")
    if len(found) > _MOST:
        raise SpecError(f"a list of {len(found):,} names; at most {_MOST:,}")
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
            found = [low << i for i in range(_LARGEST.bit_length()) if 0 < low << i <= min(high, _LARGEST)]
            found = [] if high > _LARGEST else found
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        ends = (spelling(part) for part in re.split("[:,]", text) if not part.strip().isdecimal())
        write = spelling(text, many=True) or next(filter(None, ends), "write 1,2,4 or 1:64 (powers of two)")
        raise SpecError(f"{what}: {brief(text)} is not whole numbers; {write}") from None
    if not found or min(found) < 1 or max(found) > _LARGEST:
        allowed = f"numbers from 1 up to {_LARGEST:,}, and a range must rise"
        raise SpecError(f"{what}: {brief(text)} must be {allowed}; write 1,2,4 or 1:64")
    if len(found) > _MOST:
        raise SpecError(f"{what}: a list of {len(found):,} numbers; at most {_MOST:,}")
    return list(dict.fromkeys(found))


_OWN = "write a device file of your own (accelmodel new device) and give it with --device"
#: fields of a device that are names of other files, or of none → what to do instead of ``--set``
NAMED = {
    "link": "give it with --link",
    "scale_out": "give it with --scale-out, or set scale_out.bandwidth and its other numbers",
    "process": _OWN,
    "architecture": _OWN,
    "vendor": _OWN,
}


#: field of a device → its option, where that has another name
_OPTIONS = {"l2_capacity": "--l2"}
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
            raise SpecError(f"--set {brief(setting)}: write FIELD=VALUE, for example --set l2.usable=0.8")
        part, field = _owner(name.strip())
        if part == "device" and field in NAMED:
            raise SpecError(
                f"--set {brief(setting)}: {field} names a file whose numbers are read already; {NAMED[field]}"
            )
        if field in found[part] or (part, field) in taken:
            raise SpecError(f"--set {brief(setting)}: {part}.{field} is set twice; set it once")
        found[part][field] = value.strip()
    return {part: changes for part, changes in found.items() if changes}


def _shortcut(name: str, text: str, spec: Spec) -> float:
    """Return what an option of a field says, in SI."""
    field = dotted(type(spec), "bandwidth" if isinstance(spec, Link) else name)
    now, unit = value_of(spec, field), field_units(type(spec))[field]
    return parse(text, unit, what=_OPTIONS.get(name, f"--{name.replace('_', '-')}"), near=now)


def is_given(asked_for: typer.Context, name: str) -> bool:
    """Return whether an option stands on the command line, be it at the value that it has by default."""
    source = asked_for.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def of_cluster(named: str | None, device: str, given: bool, link: str | None) -> tuple[str, str | None]:
    """Return the device and the link of a cluster that is named, another device where one is given as well.

    Parameters
    ----------
    named : str, optional
        Name or path of a cluster's file.
    device : str
    given : bool
        Whether a device was asked for; else it is that of the cluster.
    link : str, optional
    """
    if named is None:
        return device, link
    if link is not None:
        raise SpecError("--cluster brings its links along; leave out --link, or --cluster")
    found = load("cluster", named)
    return (device if given else found.device), named


def hardware(
    device: str,
    devices: int | None,
    *,
    link: str | None = None,
    scale_out: str | None = None,
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
    scale_out : str, optional
        Name or path of the network between nodes, if not the device's own.
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
    known = cluster(device, link=link, scale_out=scale_out)
    chip, wires, outer = known.device, known.link, known.scale_out
    texts = {name: text for name, text in (shortcuts or {}).items() if text is not None}
    twice = [_owner("link.bandwidth" if name == "link_bandwidth" else f"device.{name}") for name in texts]
    changed = _settings(settings or [], twice)
    given = {name: _shortcut(name, text, wires if name == "link_bandwidth" else chip) for name, text in texts.items()}
    if "cores" in given:
        chip = with_cores(chip, given.pop("cores"))
    if "link_bandwidth" in given:
        wires = override(wires, bandwidth=given.pop("link_bandwidth"))
    targets: dict[str, Any] = {"device": override(chip, **given), "link": wires, "scale_out": outer}
    for part, changes in changed.items():
        targets[part] = override(targets[part], changes)
    return cluster(targets["device"], devices, link=targets["link"], scale_out=targets["scale_out"])
