"""Measured matmuls whose weights alone are narrow: int8 and int4 weights, activations and result at 16 bit.

The kernels of a framework are a library of their own, fitted to the training rows (``calibration.libraries``).  By the
law, of whose constants none is fitted to them, they hold ``matmul.convert_width``, which is derived, against kernels.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time
from accelmodel.inference.kernel_library import library_times
from accelmodel.measured import aiconfigurator
from accelmodel.measured.conditions import matmul_warmth
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import available, load

if TYPE_CHECKING:
    import pandas as pd

#: kind → columns that say what was run, besides ``bits``, those of a weight
SHAPES = {"weight-only matmul": aiconfigurator.SHAPES["matmul"]}
#: precision as named in the tables → bits of a weight
BITS = {"int8_wo": 8.0, "int4_wo": 4.0}
#: what a row of the accuracy table calls them
PRECISIONS = {8.0: "int8 weights", 4.0: "int4 weights"}


@cache
def rows(device: Device, kind: str) -> tuple[pd.DataFrame, int]:
    """Return the measured rows of a device, and how many were left out by the rules for matmuls."""
    parts = []
    for source, path in sources(device.name):
        frame = aiconfigurator.read(path)
        frame = frame[frame["dtype"].isin(BITS)]
        parts.append(aiconfigurator.median(frame, ["dtype", *SHAPES[kind]]).assign(source=source))
    found = aiconfigurator.joined([each for each in parts if len(each)], ("dtype", *SHAPES[kind]))
    found = found.assign(bits=found["dtype"].map(BITS).astype(float))
    if found.empty:
        return found, 0
    bad = np.asarray(aiconfigurator.impossible("matmul", found, device))
    return found[~bad].reset_index(drop=True), int(bad.sum())


def sources(device: str) -> list[tuple[str, Any]]:
    """Return (source, path) of every version: newer ones of a framework may leave such matmuls out."""
    return [each for versions in aiconfigurator.versions(device, "gemm", "gemm") for each in versions]


def training(kind: str, frame: pd.DataFrame) -> Any:
    """Return which rows the libraries may be fitted to."""
    return aiconfigurator.training(frame, "matmul")


def columns(frame: pd.DataFrame) -> operator_time.Columns:
    """Return the operators that rows describe, as a step has them."""
    m, n, k, bits = (frame[name].to_numpy(dtype=float) for name in (*SHAPES["weight-only matmul"], "bits"))
    return operator_time.matmul(m, n, k, 16.0, weights=bits)


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    given = columns(frame)
    moved = sum(np.asarray(given[name], dtype=float) for name in ("weight_bytes", "input_bytes", "output_bytes"))
    return given["flops"], moved, np.full(len(frame), 16.0)


def library_of(source: str, bits: float) -> KernelLibrary | None:
    """Return whose kernels ran the matmuls of a source with weights of so many bits; None if no library is known."""
    for name in available("library"):
        library: KernelLibrary = load("library", name)
        if source.startswith(library.framework) and bits == library.weights:
            return library
    return None


def by_law(frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the law [s]; weights go round copies, as of all matmuls there."""
    given = columns(frame)
    warm = matmul_warmth(frame, given, chip.device)
    return operator_time.time_columns({**given, "warm": warm}, chip)[0]


def predict(kind: str, frame: pd.DataFrame, chip: Cluster) -> Any:
    """Return the times of measured rows by the library of each source [s], by the law where none is known."""
    found, warm = by_law(frame, chip), matmul_warmth(frame, columns(frame), chip.device)
    for (source, bits), group in frame.assign(place=np.arange(len(frame))).groupby(["source", "bits"]):
        own, library = group["place"].to_numpy(), library_of(source, bits)
        if library is not None:
            m, n, k = (group[name].to_numpy(dtype=float) for name in SHAPES[kind])
            found[own] = library_times(m, n, k, library, chip, warm[own])
    return found
