"""Constants that files of other chips take over from fits, so that a refit reaches what was not measured.

A file of an architecture, or of a chip beside a measured one, states what the nearest fitted chips show.  Such lines
are written anew: the value, and the range where the value left it; source and words stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from accelmodel.calibration.errors import fitted
from accelmodel.calibration.file import DIGITS
from accelmodel.calibration.fit import SOFT
from accelmodel.errors import SpecError
from accelmodel.measured import mla_and_moe
from accelmodel.specs.base import value_of
from accelmodel.specs.given import cluster, override
from accelmodel.specs.load import load, path_of

#: what a chip of another die takes whatever its size: launch and pipelines are fitted together, neither tells alone
_STARTS = ("compute.launch_time", "matmul.fill_time")
_ATTENTION = ("attention.softmax_width", "attention.time", "attention.tile_time", "attention.combine_time")
_HOPPER = ("h100-sxm", "h200-sxm")
#: what a library says of its kernels of experts
EXPERT_FIELDS = ("expert_start", "expert_tile_time", "expert_share")
#: (kind, name) of a file → (chips whose geometric mean it takes, fields), one after another
TAKEN: dict[tuple[str, str], tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    ("architecture", "nvidia"): (
        (("a100-sxm-80gb",), ("matmul.fill_time", *_ATTENTION)),
        (("a100-sxm-80gb", "l40s"), ("matmul.slice_clocks",)),
    ),
    ("architecture", "ampere"): ((("a100-sxm-80gb",), _ATTENTION),),
    ("architecture", "ada"): ((("l40s",), (*_STARTS, *_ATTENTION)),),
    ("device", "l4"): ((("l40s",), ("compute.launch_time", *_ATTENTION)),),
    ("architecture", "hopper"): ((_HOPPER, (*_STARTS, "matmul.slice_clocks", *_ATTENTION)),),
    ("device", "h100-pcie"): ((_HOPPER, _ATTENTION),),
    ("architecture", "blackwell"): ((("b200-sxm",), (*_STARTS, "matmul.slice_clocks", "hbm.share", *_ATTENTION)),),
    ("device", "gb200"): ((("b200-sxm",), ("attention.softmax_width",)),),
    ("architecture", "blackwell-rtx"): ((("l40s",), (*_STARTS, *_ATTENTION)),),
}
#: field of a file → how many times what the chips show: Blackwell Ultra has exponentials at twice the rate of a B200
TIMES = {("blackwell", "attention.softmax_width"): 2.0}
#: library whose kernels of experts stand for those of devices
EXPERTS = "tensorrt-llm-experts-16bit"
#: files that say the same of experts and of matmuls over heads
_OF_GROUPS = (("architecture", "nvidia"), ("architecture", "generic"))
#: span in which the time to fill the pipelines of several matmuls makes sense [s]
GROUP_FILL = (1e-8, 1e-5)
_UNITS = {"us": 1e6, "ns": 1e9}


def group_fill() -> tuple[float, tuple[float, float]]:
    """Return ``matmul.group_fill`` that fits training rows of MLA's matmuls over heads best, of all measured GPUs.

    Each device counts the same.

    Returns
    -------
    tuple
        The value, and the lowest and highest over devices alone [s].
    """
    from scipy.optimize import minimize_scalar

    frames = {}
    for name in fitted():
        frame, _ = mla_and_moe.rows(load("device", name), "mla products")
        if len(frame):
            frames[name] = frame[mla_and_moe.training("mla products", frame)]

    def solved(names: Iterable[str]) -> float:
        def loss(logarithm: float) -> float:
            total = 0.0
            for name in names:
                chip = cluster(override(load("device", name), **{"matmul.group_fill": float(np.exp(logarithm))}))
                error = np.log(mla_and_moe.predict("mla products", frames[name], chip) / frames[name]["time"])
                total += float(np.mean(np.sqrt(1.0 + (error / SOFT) ** 2)))
            return total

        return float(np.exp(minimize_scalar(loss, bounds=np.log(GROUP_FILL), method="bounded").x))

    alone = [solved([name]) for name in frames]
    return solved(frames), (min(alone), max(alone))


def values(kind: str, name: str) -> dict[str, float]:
    """Return what a file of ``TAKEN`` takes over, by field."""
    found = {}
    for chips, fields in TAKEN[kind, name]:
        for field in fields:
            shown = [float(value_of(load("device", chip), field)) for chip in chips]
            found[field] = TIMES.get((name, field), 1.0) * float(np.exp(np.mean(np.log(shown))))
    return found


def stated(text: str, field: str, value: float, span: tuple[float, float] | None = None) -> str:
    """Return the text of a file in which a field has another value, and a range that holds it.

    Parameters
    ----------
    text : str
        A TOML file with one fact a line.
    field : str
        As ``matmul.fill_time``.
    value : float
        In SI.
    span : tuple of float, optional
        What the range becomes; without it today's, as far as the value does not leave it.

    Raises
    ------
    SpecError
        If the file does not state the field.

    Examples
    --------
    >>> stated('[hbm]\\nshare = { value = 0.9, kind = "assumed", range = [0.8, 0.95] }', "hbm.share", 0.7512)
    '[hbm]\\nshare = { value = 0.7512, kind = "assumed", range = [0.7512, 0.95] }'
    """
    section, _, name = field.rpartition(".")
    lines, table = text.split("\n"), ""
    for place, line in enumerate(lines):
        head = re.match(r"\[(\w+)\]", line)
        table = head[1] if head else table
        if table == section and line.startswith(f"{name} = {{ value = "):
            lines[place] = _restated(line, value, span)
            return "\n".join(lines)
    raise SpecError(f"{field} is not stated in this file, which should take it over from fitted chips")


def _restated(line: str, value: float, span: tuple[float, float] | None) -> str:
    unit = re.search(r'unit = "(\w+)"', line)
    scale = _UNITS.get(unit[1], 1.0) if unit else 1.0

    def rounded(number: float) -> float:
        return float(f"{number * scale:.{DIGITS}g}")

    ends = re.search(r"range = \[([^,]+), ([^\]]+)\]", line)
    if ends:
        low, high = map(rounded, span) if span else (float(ends[1]), float(ends[2]))
        low, high = min(low, rounded(value)), max(high, rounded(value))
        line = line.replace(ends[0], f"range = [{low:g}, {high:g}]")
    return re.sub(r"value = [^,]+,", f"value = {rounded(value):g},", line, count=1)


def files(progress: Callable[[str], None] | None = None) -> dict[Path, str]:
    """Return the files that take constants over, as they are to be written.

    Parameters
    ----------
    progress : callable, optional
        Told what is being fitted.
    """
    found = {path_of(*each): path_of(*each).read_text(encoding="utf-8") for each in (*TAKEN, *_OF_GROUPS)}
    for each in TAKEN:
        for field, value in values(*each).items():
            found[path_of(*each)] = stated(found[path_of(*each)], field, value)
    if progress:
        progress("matmuls over heads, all devices")
    (fill, span), library = group_fill(), load("library", EXPERTS)
    for each in _OF_GROUPS:
        text = found[path_of(*each)]
        text = stated(text, "matmul.group_fill", fill, span if each[1] == "nvidia" else None)
        for name in EXPERT_FIELDS:
            text = stated(text, f"matmul.{name}", float(getattr(library, name)))
        found[path_of(*each)] = text
    return found


def told(text: str, factors: Mapping[str, tuple[float, float]]) -> str:
    """Return the text of ``uncalibrated.toml`` with other factors, by kind; kinds that are not given stay.

    Examples
    --------
    >>> told('kind = "row"\\nlower = 0.8\\nupper = 1.4\\n', {"row": (0.75, 1.5)})
    'kind = "row"\\nlower = 0.75\\nupper = 1.5\\n'
    """
    for kind, ends in factors.items():
        low, high = (f"{end:.3g}" for end in ends)
        entry = f'kind = "{kind}"\nlower = {low}\nupper = {high}\n'
        text, times = re.subn(rf'kind = "{kind}"\nlower = .+\nupper = .+\n', entry, text)
        if not times:
            text = text.replace("\n[[residual]]\n", f"\n[[residual]]\n{entry}\n[[residual]]\n", 1)
    return text
