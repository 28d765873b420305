"""What the measured products were: on which kernels they ran, and what of their weights was in L2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time as kernels
from accelmodel.laws.l2cache import resident_share
from accelmodel.measured import aiconfigurator as silicon
from accelmodel.specs.load import available, load
from accelmodel.specs.schema import Cluster, Device, KernelLibrary

if TYPE_CHECKING:
    import pandas as pd


def warmth(frame: pd.DataFrame, given: kernels.Columns, device: Device) -> Any:
    """Return the share of a product's HBM traffic that lies in L2 where a measurement goes round copies of the weights.

    As long as all copies fit, the weights are found there; activations that fit are never in HBM anyway.
    """
    held = np.vectorize(resident_share, otypes=[float])
    weights, used = np.asarray(given["weight_bytes"], dtype=float), float(device.l2_capacity * device.l2_usable)
    activations = np.asarray(given["input_bytes"] + given["output_bytes"], dtype=float)
    copies, ways = float(device.l2_copies), float(device.l2_ways)
    cold = activations * (1.0 - held(activations * copies, used, ways))
    return held(silicon.copies(frame) * weights * copies, used, ways) * weights / (weights + cold)


def library_of(source: str, bits: float) -> KernelLibrary | None:
    """Return whose kernels ran the products of a source at a precision, None if the best library's."""
    for name in available("library"):
        library: KernelLibrary = load("library", name)
        if source.startswith(library.framework) and bits == library.bits:
            return library
    return None


def times(frame: pd.DataFrame, given: kernels.Columns, chip: Cluster) -> Any:
    """Return the times of measured products as they were measured.

    Parameters
    ----------
    frame : DataFrame
        ``m``, ``n``, ``k``, ``bits`` and ``source``.
    given : mapping
        The columns of ``kernels.matmul`` for these rows.
    chip : Cluster
        Its axes follow the rows.

    Returns
    -------
    ndarray (row, *axes of the cluster)
        Times [s], each by the kernels of its source; those of a framework's own hold their quantisation.
    """
    warm = warmth(frame, given, chip.device)
    found, _ = kernels.time_columns({**given, "warm": warm}, chip)
    for (source, bits), group in frame.assign(place=np.arange(len(frame))).groupby(["source", "bits"]):
        own, library = group["place"].to_numpy(), library_of(source, bits)
        if library is not None:
            m, n, k = (group[name].to_numpy(dtype=float) for name in silicon.SHAPES["matmul"])
            found[own] = kernels.library_times(m, n, k, library, chip, warm[own])
    return found
