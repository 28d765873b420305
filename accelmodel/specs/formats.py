"""Formats of narrow numbers: what they take in memory, and which matrix unit of a chip works on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from accelmodel.errors import unknown
from accelmodel.laws.numeric import Number, has_axes, least, most
from accelmodel.specs.hardware import Compute

#: what a matrix unit works at where nothing narrower is asked or offered [bit]
HIGH = 16.0


@dataclass(frozen=True)
class Format:
    """A way to write numbers.

    Attributes
    ----------
    bits : float
        Of a number, without scales [bit].
    weight, activation : float
        What one takes in memory, scales and zeros included [bit].
    peak : str
        Field of ``Compute`` that says how fast a matrix unit works on it; empty where none does.
    integer : bool
    """

    bits: float
    weight: float
    activation: float
    peak: str
    integer: bool = False


FORMATS = {
    "bf16": Format(16.0, 16.0, 16.0, "peak_16bit"),
    "fp16": Format(16.0, 16.0, 16.0, "peak_16bit"),
    "fp8": Format(8.0, 8.0, 8.0, "peak_8bit_float"),
    "mxfp8": Format(8.0, 8.25, 8.25, "peak_8bit_float"),
    "int8": Format(8.0, 8.0, 8.0, "peak_8bit_int", integer=True),
    "fp6": Format(6.0, 6.0, 6.0, "peak_6bit"),
    "mxfp6": Format(6.0, 6.25, 6.25, "peak_6bit"),
    "fp4": Format(4.0, 4.0, 4.0, "peak_4bit"),
    "mxfp4": Format(4.0, 4.25, 4.25, "peak_4bit"),
    "nvfp4": Format(4.0, 4.5, 4.5, "peak_4bit"),
    # groups of 128 with a scale of 16 bit and a zero
    "int4": Format(4.0, 4.15625, 4.0, "peak_4bit_int", integer=True),
    # blocks of 64 with a scale of 32 bit
    "nf4": Format(4.0, 4.5, 4.5, ""),
}
#: bits that matrix units work at → what they may be there, the first of those alike being taken
_AT = {8.0: ("fp8", "int8"), 6.0: ("fp6",), 4.0: ("fp4", "int4")}
#: bits → next that a chip is asked for where it has no unit at them
_WIDER = {4.0: 8.0, 6.0: 8.0, 8.0: HIGH}


class Bits(float):
    """A number of bits that was given as the name of a format, which it keeps."""

    word: str = ""


def bits_of(value: Any, *, activations: bool = False) -> Any:
    """Return what is given for bits: a name of a format as its bits in memory, scales included; all else as it is.

    Raises
    ------
    SpecError
        If text is neither a number nor the name of a format.

    Examples
    --------
    >>> bits_of("mxfp4"), bits_of("mxfp4").word, bits_of("4.25"), bits_of(8)
    (4.25, 'mxfp4', 4.25, 8)
    """
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    try:
        return float(text)
    except ValueError:
        form = format_of(text)
    found = Bits(form.activation if activations else form.weight)
    found.word = text
    return found


class Words(NamedTuple):
    """Formats of weights and activations by their names, empty where nobody says one."""

    weights: str = ""
    activations: str = ""


class Worked(NamedTuple):
    """How a matrix unit works on some weights: at which bits, on integers or not, and which format that is."""

    bits: Number
    integer: Number
    names: dict[float, str]  #: bits of the numbers → format that a chip takes for them


def format_of(word: str) -> Format:
    """Return the format of a name; SpecError where there is none."""
    if word not in FORMATS:
        raise unknown("format of numbers", word, FORMATS)
    return FORMATS[word]


def plain_bits(bits: Number) -> Number:
    """Return the bits of numbers whose scales, or whose few neighbours at other bits, are counted with them.

    Examples
    --------
    >>> [plain_bits(bits) for bits in (4.25, 6.25, 8.002, 16.0)]
    [4.0, 6.0, 8.0, 16.0]
    """
    return 4.0 + 2.0 * (bits > 5.25) + 2.0 * (bits > 6.75) + 8.0 * (bits > 10.0)


def worked(weights: Number, activations: Number, words: Words, compute: Compute | None = None) -> Worked:
    """Return how a matrix unit works on weights and activations of so many bits.

    The wider of the two is what it works at, and the other one is widened.  A named format that the chip has no unit
    for, or one slower than that of 16 bit, is worked on at 16 bit, as engines do; bits without a name take the fastest
    that the chip has at them, or at the next that it has.

    Parameters
    ----------
    weights, activations : float
        Bits in memory.
    words : Words
    compute : Compute, optional
        Of the chip; without it every format has a unit of its own.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> a100 = load("device", "a100-sxm-80gb").compute
    >>> worked(8.0, 8.0, Words(), a100).names, worked(8.0, 8.0, Words("fp8"), a100).names
    ({8.0: 'int8'}, {8.0: 'bf16'})
    """
    asked = plain_bits(most(weights, activations))
    bits: Number = 0.0
    integer: Number = 0.0
    names = {}
    for width in _present(asked):
        name = _chosen(width, words, compute)
        names[width] = name
        here = (asked == width) * 1.0
        bits = bits + here * FORMATS[name].bits
        integer = integer + here * FORMATS[name].integer
    return Worked(bits, integer, names)


def narrowness(weights: Number, bits: Number) -> Number:
    """Return the bits of a weight in memory over those that the matrix unit works at, 1 where scales exceed it."""
    return least(weights / bits, 1.0)


def _present(asked: Number) -> list[float]:
    return [float(width) for width in np.unique(np.asarray(asked.values if has_axes(asked) else asked))]


def _chosen(width: float, words: Words, compute: Compute | None) -> str:
    """Return the format that numbers of a width are worked on in."""
    if width == HIGH:
        return "bf16"
    known = [word for word in (words.activations, words.weights) if word in FORMATS and FORMATS[word].bits < HIGH]
    named = next((word for word in known if FORMATS[word].bits == width), "")
    if not named and any(not FORMATS[word].integer for word in known):
        # numbers of other bits beside floats are floats
        named = _AT[width][0]
    if named:
        return _without_scales(named) if compute is None or _offered(compute, FORMATS[named].peak) else "bf16"
    if compute is None:
        return _AT[width][0]
    offered = [name for name in _AT[width] if _offered(compute, FORMATS[name].peak)]
    if offered:
        return max(offered, key=lambda name: _peak(compute, FORMATS[name].peak))
    return _chosen(_WIDER[width], words, compute)


def _without_scales(name: str) -> str:
    """Return the format of a matrix unit that a format with scales of its own runs on."""
    form = FORMATS[name]
    return next((each for each in _AT.get(form.bits, ()) if FORMATS[each].peak == form.peak), "bf16")


def _peak(compute: Compute, field: str) -> float:
    value: Any = getattr(compute, field) if field else 0.0
    return float(np.max(np.asarray(value)))


def _offered(compute: Compute, field: str) -> bool:
    """Whether a chip has a matrix unit for a format that is not slower than that of 16 bit."""
    return _peak(compute, field) >= _peak(compute, "peak_16bit")
