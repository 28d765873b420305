"""Step times of one model on many machines at once: arrays in, arrays out, one call of the kernel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelmodel.inference.axes import spread, table_array
from accelmodel.inference.kernel_library import Step, by_libraries, libraries_of, notes_of
from accelmodel.inference.machine import machine
from accelmodel.inference.placement import placed
from accelmodel.inference.precisions import precisions
from accelmodel.inference.routes import needed, routed
from accelmodel.inference.routing import exchanged
from accelmodel.inference.run import run_kernel
from accelmodel.inference.step import NONE
from accelmodel.inference.where import told
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


def prepared(
    model: LanguageModel, clusters: list[Cluster], work: Workload, axes: list[xr.DataArray]
) -> Iterator[tuple[Array, list[int]]]:
    """Yield operator tables over labelled axes (column, row, points of the axes), and the clusters that each is of.

    Devices that work at the same formats, whose weights and KV cache lie alike and which the same software runs, share
    one, but for matmuls on kernel libraries, which are relative to a chip.
    """
    alike: dict[tuple[Any, ...], list[int]] = {}
    for place, cluster in enumerate(clusters):
        kind = (str(precisions(model, work, cluster.device)), cluster.software, *told(cluster.device))
        alike.setdefault(kind, []).append(place)
    labels = {str(each.dims[0]): each.values for each in axes}
    shape = tuple(each.size for each in axes)
    alone, group = (np.broadcast_to(spread(value, labels), shape).ravel() for value in (1.0 - exchanged(work), work.ep))
    for places in alike.values():
        chip = clusters[places[0]]
        table = placed(model, chip.device, work, chip.software.unfused)
        step = Step(table_array(table, labels), table.names, alone, group)
        libraries = libraries_of(chip)
        for same in _of_one_chip(clusters, places):
            yield by_libraries(step, clusters[same[0]], libraries)[0], same


def kernels_said(model: LanguageModel, clusters: list[Cluster], work: Workload) -> list[str]:
    """Return what to say of the kernel libraries that matmuls of a step run on, of clusters alike once."""
    found: list[str] = []
    for chip in clusters:
        table = placed(model, chip.device, work, chip.software.unfused)
        one = np.ones(1)
        step = Step(table_array(table, {}), table.names, one, one)
        found += notes_of(by_libraries(step, chip, libraries_of(chip))[1])
    return list(dict.fromkeys(found))


def _of_one_chip(clusters: list[Cluster], places: list[int]) -> list[list[int]]:
    """Return the places of clusters, those of one chip together."""
    found: list[list[int]] = []
    for place in places:
        same = next((each for each in found if clusters[each[0]].device == clusters[place].device), None)
        if same is None:
            found.append([place])
        else:
            same.append(place)
    return found


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
    times = np.empty((len(clusters), math.prod(each.size for each in axes)))
    for table, places in prepared(model, clusters, work, axes):
        totals, _ = _run(table, [clusters[place] for place in places])
        times[places] = totals[0].T
    return times.reshape(len(clusters), *(each.size for each in axes))


def split_times(
    model: LanguageModel, clusters: list[Cluster], work: Workload, axes: list[xr.DataArray]
) -> tuple[Array, Array]:
    """Return the time of attention and of all other operators, both as ``device_times`` does [s]."""
    shape = len(clusters), *(each.size for each in axes)
    times = np.empty((2, shape[0], math.prod(shape[1:])))
    for table, places in prepared(model, clusters, work, axes):
        totals, detail = _run(table, [clusters[place] for place in places], detail=True)
        spent = detail[DETAIL.index("time")] * table[Operator._fields.index("count")][:, :, None]
        kinds = table[Operator._fields.index("kind")][:, 0]
        attention = spent[kinds == ATTENTION].sum(0)
        times[:, places] = attention.T, (totals[0] - attention).T
    return times[0].reshape(shape), times[1].reshape(shape)
