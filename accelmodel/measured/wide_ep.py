"""Measured experts of DeepSeek-V3 as SGLang deploys them over many devices: DeepGEMM between DeepEP's exchanges.

Timed on one device of the group, the exchange left out.  Prefill is in DeepEP's normal layout: copies are scattered to
their experts in tiles of 128 rows, multiplied, activated and rounded, multiplied, and summed.  Decode is in that of low
latency, which comes by expert and is summed on the way back.  Every expert gets as many tokens.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference.columns import STREAM, pointwise
from accelmodel.inference.kernel_library import expert_times
from accelmodel.inference.mlps import expert_matmul
from accelmodel.inference.operator_time import Columns, precision, time_columns
from accelmodel.inference.padding import LARGEST, tile_rows
from accelmodel.inference.rowwise import ACTIVATION_OPS
from accelmodel.measured import aiconfigurator
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

_SHAPE = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_ep_size")
#: columns that say what was run, besides ``bits``; tokens are those of all ranks
SHAPES = {"wide experts prefill": _SHAPE, "wide experts decode": _SHAPE}
_FILES = {"wide experts prefill": "wideep_context_moe", "wide experts decode": "wideep_generation_moe"}
_BITS = 8.0
#: the library whose kernels these are
LIBRARY = "deepgemm-experts-8bit"
#: bytes of a number on its way to an expert, with its share of a scale of 32 bit for 128
_SENT = 1.0 + 4.0 / 128.0
#: layers that were launched from the host tell of it alone up to so many times the shortest of their source
_HOST = 2.0


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device and kind, and how many were left out.

    Left out: routings drawn from a power law, of which it is not told what came to the device; prefill of fewer tokens
    than fill a tile of each expert; prefill that the launches from the host last as long as.
    """
    parts, left_out = [], 0
    for source, path in aiconfigurator.tables(device.name, "moe", _FILES[kind]):
        frame = aiconfigurator.read(path)
        even = frame["distribution"] == "uniform"
        left_out += int((~even).sum())
        found = aiconfigurator.median(frame[even], list(_SHAPE)).assign(source=f"{source}, DeepEP and DeepGEMM")
        if kind.endswith("prefill"):
            few = found["num_tokens"] * found["topk"] < LARGEST * found["num_experts"]
            waits = found["time"] < _HOST * found["time"].min()
            left_out += int((few | waits).sum())
            found = found[~(few | waits)]
        parts.append(found)
    frame = aiconfigurator.joined(parts, _SHAPE).assign(bits=_BITS)
    return frame.reset_index(drop=True), left_out


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return to which rows the kernels of experts were fitted: 70 % by a hash of the shape."""
    return aiconfigurator.hashed(*(frame[name] for name in _SHAPE)) < aiconfigurator.TRAINING


def _sizes(frame: pd.DataFrame) -> tuple[Any, ...]:
    """Return tokens, copies that come to the device, its experts that get any, and both widths."""
    tokens, hidden, inner, used, experts, ranks = (frame[name].to_numpy(dtype=float) for name in _SHAPE)
    copies = tokens * used / ranks
    return tokens, copies, np.minimum(experts / ranks, copies), hidden, inner


def matmuls(kind: str, frame: pd.DataFrame) -> tuple[Columns, Columns]:
    """Return the operators of both matmuls of the experts of a device, as a step has them."""
    _, copies, active, hidden, inner = _sizes(frame)
    held, part = copies / active, precision(_BITS)
    tile = LARGEST if kind.endswith("prefill") else tile_rows(held)
    tiles = {"groups": active * np.ceil(held / tile), "m": tile}
    up = expert_matmul(held, 2.0 * inner, hidden, part, active)
    down = expert_matmul(held, hidden, inner, part, active)
    return {**up, **tiles}, {**down, **tiles}


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    parts = matmuls(kind, frame)
    flops = sum(np.asarray(part["flops"]) for part in parts)
    names = ("weight_bytes", "input_bytes", "output_bytes")
    moved = sum(np.asarray(part[name], dtype=float) for part in parts for name in names)
    return flops, moved, np.full(len(frame), _BITS)


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the kernels of DeepGEMM and the passes around them [s]."""
    return times_on(kind, frame, chip, load("library", LIBRARY))


def times_on(kind: str, frame: pd.DataFrame, chip: Cluster, library: KernelLibrary) -> Any:
    """Return the times of measured rows by the kernels of a library and the passes around them [s].

    All tokens of the group were given to the device, which looks at each of them and writes a sum for each.
    """
    tokens, copies, _, hidden, inner = _sizes(frame)
    times = sum(expert_times(part, library, chip) for part in matmuls(kind, frame))
    times += time_columns(pointwise(copies * inner, ACTIVATION_OPS, 2.0 * STREAM, _BITS / 8.0), chip)[0]
    if kind.endswith("decode"):
        return times
    share = tokens / copies
    gathered = pointwise(copies * hidden, 1.0, _SENT * share, _BITS / 8.0)
    summed = pointwise(copies * hidden, 2.0, STREAM, STREAM * share)
    return times + library.expert_passes * sum(time_columns(each, chip)[0] for each in (gathered, summed))
