"""How far predicted kernels are from measured ones, on rows that no constant was fitted to.

Beside the laws, on the same rows: the plain roofline (Williams et al., CACM 52(4), 2009), the roofline at 80 % of
HBM's bandwidth and 3 us that aiconfigurator falls back to, and the affine correction of a roofline fitted to
training rows (CTCF of InferSave, arXiv 2504.11816, section III).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration import fit
from accelmodel.calibration.errors import GENERATIONS, PRECISIONS, statistics, transferred
from accelmodel.cloud.ctcf import line
from accelmodel.laws.roofline import roofline
from accelmodel.measured import aiconfigurator, block_scales, experts, mla_and_moe, sparse, states, weight_only, wide_ep
from accelmodel.specs.given import cluster
from accelmodel.specs.hardware import Cluster, Device, dense_peaks
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

#: what the field takes of HBM's bandwidth, and adds [s]: aiconfigurator-core 0.12.0, mem_bw_empirical_scaling_factor
#: and mem_empirical_constant_latency
FIELD_SHARE, FIELD_TIME = 0.8, 3e-6
#: split of rows of a kind that no constant is fitted to: all of them count
NOT_FITTED = "not fitted"
#: of rows that a constant was read off, beside those that were fitted to others
SEEN = "seen by constants"
#: kind of a whole part of a layer, or of a kernel of one → the module that reads its tables, beside single kernels
LAYERS: dict[str, Any] = {
    kind: tables
    for tables in (mla_and_moe, experts, wide_ep, states, sparse, weight_only, block_scales)
    for kind in tables.SHAPES
}

Progress = Callable[[str], None]


def work(kind: str, frame: pd.DataFrame) -> tuple[Any, Any, Any]:
    """Return FLOP, bytes that must move at least once [B] and bits of the matrix unit, by row."""
    given = fit.columns(kind, frame)
    moved = sum(
        np.asarray(given.get(name, 0.0), dtype=float) for name in ("weight_bytes", "input_bytes", "output_bytes")
    )
    return given.get("flops", 0.0), moved, given.get("bits", 16.0)


def bus_bytes(frame: pd.DataFrame) -> Any:
    """Return the bytes that each device of a collective must send at least [B]."""
    times = np.where(frame["operation"] == 0, 2.0, 1.0) * (1.0 - 1.0 / frame["devices"])
    return (times * frame["elements"] * frame["bits"] / 8.0).to_numpy()


def bare_times(kind: str, frame: pd.DataFrame, device: Device, share: float = 1.0, more: float = 0.0) -> Any:
    """Return the roofline's times at a share of a bandwidth and with so much more on the memory's side [s].

    The bandwidth is HBM's, for collectives the link's, over which the bytes go that each device must send.
    """
    if "elements" in frame:
        return bus_bytes(frame) / (share * load("link", aiconfigurator.link_of(device)).bandwidth) + more
    flops, moved, bits = work(kind, frame)
    peak = (
        device.compute.vector_rate
        if kind == "quantise"
        else dense_peaks(device.compute, np.broadcast_to(bits, len(frame)))
    )
    return roofline(flops, peak, moved, share * device.hbm.bandwidth, more)


def rows_of(device: Device, kind: str, model: Cluster, split: str, measured: Any = None) -> Iterator[dict[str, Any]]:
    """Yield a row of the accuracy table for each source and precision of one kind of operator.

    Attention with a sliding window has rows of its own: other kernels compute it.
    ``model`` is what the laws see; peaks and measurements are those of ``device``.
    """
    frame, dropped = measured if measured is not None else aiconfigurator.rows(device, kind)
    train = np.asarray(aiconfigurator.training(frame, kind)) if len(frame) else np.zeros(0, dtype=bool)
    for (source, bits, windowed), group in frame.groupby(["source", "bits", aiconfigurator.windowed(frame)]):
        inside = train[group.index]
        held, seen = group[~inside], group[inside]
        if held.empty:
            continue
        time = held["time"].to_numpy()
        bare = bare_times(kind, held, device)
        field = bare_times(kind, held, device, FIELD_SHARE, FIELD_TIME)
        slope, intercept = line(bare_times(kind, seen, device), seen["time"].to_numpy())
        yield {
            "device": device.name,
            "kind": kind,
            "precision": PRECISIONS[bits] + (", window" if windowed else ""),
            "source": source,
            **statistics(fit.predict(kind, held, model), time),
            "roofline_median_ape": statistics(bare, time)["median_ape"],
            "roofline_mean_ape": statistics(bare, time)["mean_ape"],
            "field_median_ape": statistics(field, time)["median_ape"],
            "field_mean_ape": statistics(field, time)["mean_ape"],
            "affine_median_ape": statistics(slope * bare + intercept, time)["median_ape"],
            "fitted_source": bool(fit.is_fitted(kind, held).any()),
            "left_out": dropped,
            "split": split,
        }


def layer_rows(device: Device, kind: str, model: Cluster, split: str) -> Iterator[dict[str, Any]]:
    """Yield a row of the accuracy table for each source and precision of a kind of ``LAYERS``.

    On rows that no constant was fitted to: those held out, or all where nothing was.
    """
    tables = LAYERS[kind]
    frame, dropped = tables.rows(device, kind)
    words = getattr(tables, "PRECISIONS", PRECISIONS)
    seen = np.asarray(tables.training(kind, frame)) if len(frame) else np.zeros(0, dtype=bool)
    for (source, bits), group in frame[~seen].groupby(["source", "bits"]):
        time = group["time"].to_numpy()
        flops, moved, width = tables.work(kind, group)
        peak = np.where(
            width < 16.0, device.compute.peak_8bit_float or device.compute.peak_16bit, device.compute.peak_16bit
        )
        bare, field = (
            statistics(roofline(flops, peak, moved, share * device.hbm.bandwidth, more), time)
            for share, more in ((1.0, 0.0), (FIELD_SHARE, FIELD_TIME))
        )
        yield {
            "device": device.name,
            "kind": kind,
            "precision": words[bits],
            "source": source,
            **statistics(tables.predict(kind, group, model), time),
            "roofline_median_ape": bare["median_ape"],
            "roofline_mean_ape": bare["mean_ape"],
            "field_median_ape": field["median_ape"],
            "field_mean_ape": field["mean_ape"],
            "affine_median_ape": None,
            "fitted_source": bool(seen.any()),
            "left_out": dropped,
            "split": _split(kind, split, bool(seen.any())),
        }


def _split(kind: str, split: str, fitted: bool) -> str:
    """Return what a row of a kind of ``LAYERS`` is to the constants of its own device."""
    if split != NOT_FITTED:
        return split
    if kind in getattr(LAYERS[kind], "SEEN", ()):
        return SEEN
    return "held-out" if fitted else split


def table(*, transfer: bool = False, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the accuracy of the kernels of all measured devices on held-out rows.

    Parameters
    ----------
    transfer : bool
        Take each device's constants from the others of the nearest architecture instead of its own fit.
    progress : callable, optional
        Told the device.

    Returns
    -------
    list of dict
        ``device``, ``kind``, ``precision``, ``source``, ``n``, ``median_ape``, ``mean_ape``, ``p90_ape``, ``bias`` [1];
        the same of the plain roofline, of the field's and of the affine correction; ``split``; ``fitted_source``:
        whether training rows of this source and precision were fitted; ``left_out``: rows dropped by the stated rules.

    Raises
    ------
    SpecError
        If the measured tables are not installed.
    """
    found: list[dict[str, Any]] = []
    for name in aiconfigurator.SYSTEMS:
        if progress:
            progress(name)
        device = load("device", name)
        if transfer and device.architecture not in GENERATIONS:
            continue
        model, origin = transferred(device) if transfer else (cluster(device, link=aiconfigurator.link_of(device)), "")
        own = "held-out" if device.residuals else "never fitted"
        split = f"transfer from {origin}" if transfer else own
        for kind in aiconfigurator.SHAPES:
            found += rows_of(device, kind, model, split)
        for kind in LAYERS:
            found += layer_rows(device, kind, model, split if transfer else NOT_FITTED)
    return found
