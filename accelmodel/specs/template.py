"""A file to fill in, from the nearest thing that is known."""

from __future__ import annotations

from typing import Any

from accelmodel.errors import SpecError, plain
from accelmodel.output import toml_string
from accelmodel.specs import facts
from accelmodel.specs.base import FieldType, field_types, value_of
from accelmodel.specs.find import available, path_of
from accelmodel.specs.hardware import Device
from accelmodel.specs.levels import level_entries
from accelmodel.specs.load import TYPES, load
from accelmodel.specs.quantities import Quantity
from accelmodel.specs.schema import meanings
from accelmodel.symbols import unit_factor
from accelmodel.units import show

#: what a data sheet of a device has
DATA_SHEET = (
    "vendor", "architecture", "process", "link", "scale_out", "bill", "die_area", "dies", "power", "price",
    "compute.cores", "compute.clock", "compute.peak_16bit", "compute.peak_8bit_float", "compute.peak_8bit_int",
    "compute.peak_6bit", "compute.peak_4bit", "compute.peak_4bit_int", "compute.vector_rate", "hbm.bandwidth",
    "hbm.capacity", "hbm.stacks", "hbm.generation", "l2.capacity", "l2.bandwidth", "l2.slice_capacity",
    "l2.slice_bandwidth", "die_to_die.bandwidth", "die_to_die.latency", "die_to_die.interleaved", "tier.name",
    "tier.holds", "tier.capacity", "tier.bandwidth", "tier.compute",
)  # fmt: skip
#: section → what its fields do not tell a newcomer
_HINTS = {
    "hbm": "any device memory, DDR and LPDDR too; of a chip that has SRAM alone bandwidth and capacity are 0: groq-lpu",
    "l2": "the last memory on the chip; slices only where its rate grows with its size",
    "die_to_die": "of several dies, or of sockets taken as one device; 0 where nothing limits what crosses, see rubin",
    "tier": "a second memory that holds one of three things, or none; see dimm-pim-a100, cxl-h100, flash-a100",
}
_SOURCE = """[default]
kind = "datasheet"
source = "data-sheet"
locator = "which page or table"

[sources.data-sheet]
title = {title}
"""


def _written(value: Any, unit: str) -> str:
    """Return a value as it stands in a file, its unit apart."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, list):
        return "[" + ", ".join(f"{each:g}" if isinstance(each, float) else toml_string(each) for each in value) + "]"
    if unit == "1":
        return f"{value:.10g}"
    number, _, shown = show(value, unit, 10).partition(" ")
    return f'{{ value = {number}, unit = "{shown.replace("²", "2").replace("µ", "u")}" }}'


def device_file(name: str, like: str) -> str:
    """Return a device's file with the fields of a data sheet, each commented out with the value of its neighbour.

    It loads as it is: what it does not state is that neighbour's, and is said to be.
    """
    near, known, units = load("device", like), meanings()["device"], field_types(Device)
    own, other = plain(name), plain(like)
    lines = [
        f"# {own}: a device like {other}.  Take away the # of a line and write what the data sheet says; a line that",
        f"# keeps it holds the value of {other}, which then stands for {own}; only a price is of",
        "# one product and never another's.  `accelmodel show` says what is whose.",
        "",
        _SOURCE.format(title=toml_string(f"Data sheet of {name}")),
        "[device]",
        f"like = {toml_string(like)}",
    ]
    section = ""
    for field in DATA_SHEET:
        part, _, short = field.rpartition(".")
        if part != section:
            lines += ["", f"[{part}]", *([f"# {_HINTS[part]}"] if part in _HINTS else [])]
            section = part
        value = value_of(near, field)
        lines.append(f"# {short} = {_written(value, units[field].unit)}  # {known[field]}")
    return "\n".join(lines) + "\n"


def _ranged(fact: facts.Fact | None, value: float, kind: FieldType) -> str:
    """Return a value that is only a neighbour's, with its range: its own, or from half to double."""
    low, high = fact.range if fact is not None and fact.range else (value / 2.0, value * 2.0)
    quantity = kind.quantity or Quantity()
    top = high if quantity.le is None else max(quantity.le, value)
    shown = "1" if kind.unit == "1" else show(value, kind.unit).partition(" ")[2].replace("²", "2").replace("µ", "u")
    factor = unit_factor(shown)[1]
    number, *ends = (float(f"{end / factor:.10g}") for end in (value, low, min(high, top)))
    unit = "" if kind.unit == "1" else f'unit = "{shown}", '
    return f"{{ value = {number:.10g}, {unit}range = [{min(ends[0], number):.10g}, {max(ends[1], number):.10g}] }}"


def copied_file(kind: str, name: str, like: str) -> str:
    """Return a file of any kind with all values of its neighbour, each marked as assumed."""
    near, known = load(kind, like), meanings().get(kind, {})
    own, other = plain(name), plain(like)
    lines = [
        f"# {own}: begun from {other}.  Write what is true of it, and from where you know: kind, source and locator.",
        "",
        '[default]\nkind = "assumed"\nsource = "neighbour"',
        f"locator = {toml_string(f'as {like}; not known of {name}')}\n",
        f"[sources.neighbour]\ntitle = {toml_string(f'{like} of accelmodel')}\n",
        f"[{kind}]",
    ]
    for field, each in field_types(type(near)).items():
        value = value_of(near, field)
        if field == "name" or (not each.required and field not in near.facts):
            continue
        is_word = not isinstance(value, float)
        text = _written(value, "1") if is_word else _ranged(near.facts.get(field), value, each)
        lines.append(f"{field} = {text}  # {known.get(field, '')}".rstrip(" #"))
    if kind == "cluster":
        for entry in level_entries(path_of(kind, like)):
            lines += ["", "[[level]]", *(f"{key} = {_as_given(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def _as_given(value: Any) -> str:
    """Return what stands in a level of a file: a word, a truth, or a fact without its source."""
    if not isinstance(value, dict):
        return _written(float(value) if type(value) in (int, float) else value, "1")
    kept = {key: value[key] for key in ("value", "unit", "range") if key in value}
    if type(kept["value"]) in (int, float):
        kept.setdefault("range", [kept["value"] / 2.0, kept["value"] * 2.0])
    parts = (f"{key} = {part if not isinstance(part, str) else toml_string(part)}" for key, part in kept.items())
    return f"{{ {', '.join(parts)} }}"


def new_file(kind: str, name: str, like: str) -> str:
    """Return the content of a file to fill in.

    Parameters
    ----------
    kind : str
        A kind of ``load``, or ``"study"``.
    name : str
        What it is to describe.
    like : str
        The nearest that is known, by name or path.

    Raises
    ------
    SpecError
        If ``like`` is empty or unknown.

    Examples
    --------
    >>> print(new_file("device", "mi325x", "mi300x").splitlines()[13])
    like = "mi300x"
    """
    if not like:
        raise SpecError(f"new {kind}: name the nearest with --like: {', '.join(available(kind))}")
    if kind == "device":
        return device_file(name, like)
    if kind in TYPES:
        return copied_file(kind, name, like)
    text = path_of(kind, like).read_text(encoding="utf-8")
    return f"# {plain(name)}: begun from {plain(like)}.\n{text}"
