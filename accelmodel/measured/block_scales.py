"""Measured matmuls of fp8 weights with a scale for each block of 128 x 128, by DeepGEMM's kernels as SGLang calls them.

Activations come at 16 bit and are rounded by a kernel of its own, which is part of the time.  The library
``deepgemm-8bit`` is fitted to the training rows, by the split of all matmuls.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time
from accelmodel.inference.kernel_library import library_times
from accelmodel.measured import aiconfigurator
from accelmodel.measured.conditions import matmul_warmth
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

#: kind → columns that say what was run, besides ``bits``
SHAPES = {"block-scaled matmul": aiconfigurator.SHAPES["matmul"]}
#: the library whose kernels these are
LIBRARY = "deepgemm-8bit"
_DTYPE, _BITS = "fp8_block", 8.0


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device, and how many were left out: by the rules for matmuls, or other kernels."""
    parts, left_out = [], 0
    framework = load("library", LIBRARY).framework
    for source, path in aiconfigurator.tables(device.name, "gemm", "gemm"):
        frame = aiconfigurator.read(path)
        frame = frame[frame["dtype"] == _DTYPE]
        ours = frame["kernel_source"].str.contains(framework.lower(), regex=False)
        left_out += int((~ours).sum())
        found = aiconfigurator.median(frame[ours], ["dtype", *SHAPES[kind]])
        parts.append(found.assign(source=f"{framework} in {source}"))
    frame = aiconfigurator.joined([each for each in parts if len(each)], ("dtype", *SHAPES[kind])).assign(bits=_BITS)
    if frame.empty:
        return frame, left_out
    bad = np.asarray(aiconfigurator.impossible("matmul", frame, device))
    return frame[~bad].reset_index(drop=True), left_out + int(bad.sum())


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return which rows the library may be fitted to."""
    return aiconfigurator.training(frame, "matmul")


def columns(frame: pd.DataFrame) -> operator_time.Columns:
    """Return the operators that rows describe, as a step has them."""
    m, n, k = (frame[name].to_numpy(dtype=float) for name in aiconfigurator.SHAPES["matmul"])
    return operator_time.matmul(m, n, k, _BITS)


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    given = columns(frame)
    moved = sum(np.asarray(given[name], dtype=float) for name in ("weight_bytes", "input_bytes", "output_bytes"))
    return given["flops"], moved, np.full(len(frame), _BITS)


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the library [s]; weights go round copies, as of all matmuls there."""
    m, n, k = (frame[name].to_numpy(dtype=float) for name in aiconfigurator.SHAPES["matmul"])
    warm = matmul_warmth(frame, columns(frame), chip.device)
    return library_times(m, n, k, load("library", LIBRARY), chip, warm)
