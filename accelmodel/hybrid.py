"""The law times an interpolated residual, where measured tables of that very device are installed.

A law knows how a time grows, a table knows what a library does with a shape; their ratio is interpolated between the
nearest measured shapes.  Only between measured shapes of one source and precision: outside them it is the law's own
error that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel import calibration, silicon
from accelmodel.accuracy import PRECISIONS, statistics
from accelmodel.errors import SpecError
from accelmodel.library import cluster
from accelmodel.specs import Cluster, Device

if TYPE_CHECKING:
    import pandas as pd

#: nearest shapes that are averaged
NEIGHBOURS = 6
#: squared distance [octave²] added to all, so that a measured shape does not stand alone
SOFT = 1e-3


def _places(kind: str, frame: pd.DataFrame) -> Any:
    """Return shapes as points: octaves of each size; a window of 0 lies far from all others."""
    sizes = frame[list(silicon.SHAPES[kind])].to_numpy(dtype=float)
    return np.log2(np.where(sizes > 0.0, sizes, 2.0**-40))


def interpolated(values: Any, known: Any, wanted: Any, *, leave_out: bool = False) -> Any:
    """Return values at wanted points, averaged over the nearest known points by inverse squared distance.

    Parameters
    ----------
    values : ndarray (known point,)
    known, wanted : ndarray (point, dimension)
    leave_out : bool
        The wanted points are the known ones, each seen from the others.
    """
    from scipy.spatial import KDTree

    count = min(NEIGHBOURS, len(known) - leave_out)
    if count < 1:
        raise SpecError(f"{len(known)} measured shapes are too few to interpolate between; measure more")
    distance, near = KDTree(known).query(wanted, k=count + leave_out)
    distance, near = np.atleast_2d(distance.T).T, np.atleast_2d(near.T).T
    if leave_out:
        distance, near = distance[:, 1:], near[:, 1:]
    weights = 1.0 / (distance**2 + SOFT)
    return np.sum(weights * values[near], axis=1) / np.sum(weights, axis=1)


def predict(kind: str, frame: pd.DataFrame, chip: Cluster, table: pd.DataFrame) -> Any:
    """Return the times of the rows of a frame [s]: the law's, times the residual interpolated from a measured table.

    Parameters
    ----------
    kind : str
        A key of ``silicon.SHAPES``.
    frame : DataFrame
        Wanted shapes.
    chip : Cluster
    table : DataFrame
        Measured rows of one source and precision, with ``time`` [s].
    """
    residual = np.log(table["time"].to_numpy() / calibration.predict(kind, table, chip))
    more = interpolated(residual, _places(kind, table), _places(kind, frame))
    return calibration.predict(kind, frame, chip) * np.exp(more)


def leave_one_out(device: Device, kind: str) -> list[dict[str, Any]]:
    """Return the error of the hybrid where each row is predicted from all others, by source and precision.

    Beside it the error of the law alone, and of interpolating times without a law.
    """
    frame, _ = silicon.rows(device, kind)
    found = []
    for (source, bits), group in frame.groupby(["source", "bits"]):
        if len(group) <= NEIGHBOURS:
            continue
        places, time = _places(kind, group), group["time"].to_numpy()
        law = calibration.predict(kind, group, cluster(device))
        residual = interpolated(np.log(time / law), places, places, leave_out=True)
        plain = interpolated(np.log(time), places, places, leave_out=True)
        found.append(
            {
                "device": device.name,
                "kind": kind,
                "precision": PRECISIONS[bits],
                "source": source,
                **statistics(law * np.exp(residual), time),
                "law_median_ape": statistics(law, time)["median_ape"],
                "table_median_ape": statistics(np.exp(plain), time)["median_ape"],
                "split": "leave one out",
            }
        )
    return found
