"""Conditions under which others measured, as the laws must meet them: what lay in L2, and what else was timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time
from accelmodel.inference.kernel_library import library_times
from accelmodel.laws.l2cache import resident_share
from accelmodel.measured import aiconfigurator
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.load import available, load

if TYPE_CHECKING:
    import pandas as pd


#: share of the bandwidth at which new keys and values go to the paged cache (prefill of vLLM: 0.4 on H100 and B200,
#: 0.65 on A100, 0.8 on L40S)
WRITING = 0.6


def held(touched: Any, device: Device) -> Any:
    """Return the share of bytes that a measurement finds in L2 which touches as many [B] time after time."""
    # a table repeats a few sizes: each is looked at once
    sizes, places = np.unique(np.asarray(touched, dtype=float), return_inverse=True)
    shares = np.vectorize(resident_share, otypes=[float])
    return shares(sizes, float(device.l2.capacity * device.l2.usable), float(device.l2.ways))[places]


def writing(size: Any, found: Any, device: Device) -> Any:
    """Return the time to write ``size`` bytes to the paged cache, of which a share is found in L2 [s]."""
    pace = found / device.l2.bandwidth + (1.0 - found) / (device.hbm.bandwidth * device.hbm.share)
    return np.asarray(size, dtype=float) * pace / WRITING


def cache_write(frame: pd.DataFrame, found: Any, device: Device) -> Any:
    """Return the time in which new keys and values go to the paged cache before attention is computed [s].

    The measured calls of prefill begin with it; those of TensorRT-LLM rotate the queries too.  ``found`` is the share
    of their bytes that lies in L2.
    """
    width = frame["batch"] * frame["head_dim"] * frame["context"]
    rotated = frame["source"].str.startswith("TensorRT-LLM") * frame["heads"] * 4.0
    return writing(width * (2.0 * frame["kv_heads"] * (2.0 + frame["bits"] / 8.0) + rotated), found, device)


def attention_warmth(given: operator_time.Columns, device: Device) -> Any:
    """Return the share of its bytes that attention finds in L2 where a measurement repeats it on the same data."""
    return held(
        sum(np.asarray(given[name], dtype=float) for name in ("weight_bytes", "input_bytes", "output_bytes")), device
    )


def matmul_warmth(frame: pd.DataFrame, given: operator_time.Columns, device: Device) -> Any:
    """Return the share of a matmul's HBM traffic that lies in L2 where a measurement goes round copies of the weights.

    As long as all copies fit, the weights are found there; activations that fit are never in HBM anyway.
    """
    weights = np.asarray(given["weight_bytes"], dtype=float)
    activations = np.asarray(given["input_bytes"] + given["output_bytes"], dtype=float)
    copies = float(device.l2.copies)
    cold = activations * (1.0 - held(activations * copies, device))
    return held(aiconfigurator.copies(frame) * weights * copies, device) * weights / (weights + cold)


def library_of(source: str, bits: float) -> KernelLibrary | None:
    """Return whose kernels ran the matmuls of a source at a precision, None if the best library's."""
    for name in available("library"):
        library: KernelLibrary = load("library", name)
        if library.matrix_factor and source.startswith(library.framework) and bits == library.bits:
            return library
    return None


def matmul_times(frame: pd.DataFrame, given: operator_time.Columns, chip: Cluster) -> Any:
    """Return the times of measured matmuls as they were measured.

    Parameters
    ----------
    frame : DataFrame
        ``m``, ``n``, ``k``, ``bits`` and ``source``.
    given : mapping
        The columns of ``operator_time.matmul`` for these rows.
    chip : Cluster
        Its axes follow the rows.

    Returns
    -------
    ndarray (row, *axes of the cluster)
        Times [s], each by the kernels of its source; those of a framework's own hold their quantisation.
    """
    warm = matmul_warmth(frame, given, chip.device)
    found, _ = operator_time.time_columns({**given, "warm": warm}, chip)
    for (source, bits), group in frame.assign(place=np.arange(len(frame))).groupby(["source", "bits"]):
        own, library = group["place"].to_numpy(), library_of(source, bits)
        if library is not None:
            m, n, k = (group[name].to_numpy(dtype=float) for name in aiconfigurator.SHAPES["matmul"])
            found[own] = library_times(m, n, k, library, chip, warm[own])
    return found
