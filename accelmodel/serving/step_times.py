"""Step times of one model on many machines at once: arrays in, arrays out, one call of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from accelmodel.inference.axes import table_array
from accelmodel.inference.machine import machine
from accelmodel.inference.operators import operator_table
from accelmodel.inference.routes import needed, routed
from accelmodel.inference.run import run_kernel
from accelmodel.inference.step import NONE
from accelmodel.laws.numeric import Array
from accelmodel.laws.types import ATTENTION, DETAIL, GIVEN, Operator
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Workload

if TYPE_CHECKING:
    import xarray as xr


def machines(clusters: list[Cluster]) -> Array:
    """Return machines as an array (field of Machine, 1, cluster)."""
    fields = [machine(cluster) for cluster in clusters]
    return np.array([[float(chip[name]) for chip in fields] for name in GIVEN])[:, None, :]


def _run(table: Array, clusters: list[Cluster], *, detail: bool = False) -> tuple[Array, Array]:
    """Return totals and detail of steps on each cluster; one whose collectives take routes is run by itself."""
    if not any(needed(cluster) for cluster in clusters):
        return run_kernel(table, machines(clusters), NONE, detail=detail)
    found = [run_kernel(routed(table, each), machines([each]), NONE, detail=detail) for each in clusters]
    totals, details = zip(*found, strict=True)
    return np.concatenate(totals, axis=-1), np.concatenate(details, axis=-1)


def axis(name: str, values: npt.ArrayLike) -> xr.DataArray:
    """Return values as a labelled axis, for a field of ``Workload``."""
    import xarray as xr

    numbers = np.asarray(values, float)
    return xr.DataArray(numbers, dims=name, coords={name: numbers})


def prepared(model: LanguageModel, work: Workload, axes: list[xr.DataArray]) -> Array:
    """Return the operator table over labelled axes as an array (column, row, points of the axes)."""
    return table_array(operator_table(model, work), {str(each.dims[0]): each.values for each in axes})


def device_times(model: LanguageModel, clusters: list[Cluster], work: Workload, axes: list[xr.DataArray]) -> Array:
    """Return the time of a step on the device, without its host.

    Parameters
    ----------
    model : LanguageModel
    clusters : list of Cluster
        Each with as many devices as ``work.tp``.
    work : Workload
        Its numeric fields may vary over the axes.
    axes : list of DataArray
        From ``axis``, in the order of the result.

    Returns
    -------
    ndarray (cluster, *axes)
        Time [s].

    Raises
    ------
    SpecError
        If the model cannot be cut as asked.
    """
    table = prepared(model, work, axes)
    totals, _ = _run(table, clusters)
    times: Array = totals[0].T.reshape(len(clusters), *(each.size for each in axes))
    return times


def split_times(
    model: LanguageModel, clusters: list[Cluster], work: Workload, axes: list[xr.DataArray]
) -> tuple[Array, Array]:
    """Return the time of attention and of all other operators, both as ``device_times`` does [s]."""
    table = prepared(model, work, axes)
    totals, detail = _run(table, clusters, detail=True)
    spent = detail[DETAIL.index("time")] * table[Operator._fields.index("count")][:, :, None]
    kinds = table[Operator._fields.index("kind")][:, 0]
    attention = spent[kinds == ATTENTION].sum(0)
    shape = len(clusters), *(each.size for each in axes)
    return attention.T.reshape(shape), (totals[0] - attention).T.reshape(shape)
