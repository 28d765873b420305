"""Step times of one model on many machines at once: arrays in, arrays out, one call of the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.laws.vectors import DETAIL, Machine
from accelmodel.library import workload
from accelmodel.operators import OperatorTable, operator_table
from accelmodel.specs import Cluster, LanguageModel
from accelmodel.step import NONE, machine, run_kernel, table_array

Array = Any


def machines(clusters: list[Cluster]) -> Array:
    """Return machines as an array (field of Machine, 1, cluster)."""
    fields = [machine(cluster) for cluster in clusters]
    return np.array([[float(chip[name]) for chip in fields] for name in Machine._fields])[:, None, :]


def posed(model: LanguageModel, phase: str, batch: Array, context: Array, **work: float) -> tuple[OperatorTable, Array]:
    """Return the operator table over batch x context, and it as an array (column, row, batch x context)."""
    import xarray as xr

    axes = {"batch": np.asarray(batch, float), "context": np.asarray(context, float)}
    labelled = {name: xr.DataArray(values, dims=name, coords={name: values}) for name, values in axes.items()}
    table = operator_table(model, workload(phase=phase, **labelled, **work))
    return table, table_array(table, axes)


def device_times(
    model: LanguageModel, clusters: list[Cluster], phase: str, batch: Array, context: Array, **work: float
) -> Array:
    """Return the time of a step on the device, without its host.

    Parameters
    ----------
    model : LanguageModel
    clusters : list of Cluster
        Each with as many devices as ``tp``.
    phase : {"prefill", "decode"}
    batch, context : array of float
        Sequences [1] and tokens of each when the step ends [token].
    **work
        Other fields of ``Workload``: ``tp``, ``prefix``, bits.

    Returns
    -------
    ndarray (cluster, batch, context)
        Time [s].

    Raises
    ------
    SpecError
        If the model cannot be cut as asked.
    """
    _, table = posed(model, phase, batch, context, **work)
    totals, _ = run_kernel(table, machines(clusters), NONE)
    return totals[0].T.reshape(len(clusters), len(batch), len(context))


def split_times(
    model: LanguageModel, clusters: list[Cluster], phase: str, batch: Array, context: Array, **work: float
) -> tuple[Array, Array]:
    """Return the time of attention and of all other operators, both as ``device_times`` does [s]."""
    names, table = posed(model, phase, batch, context, **work)
    totals, detail = run_kernel(table, machines(clusters), NONE, detail=True)
    count = table[1][:, :, None]
    spent = detail[DETAIL.index("time")] * count
    rows = [i for i, name in enumerate(names.names) if name.split("_")[0] == "attention" and "norm" not in name]
    attention = spent[rows].sum(0)
    shape = len(clusters), len(batch), len(context)
    return attention.T.reshape(shape), (totals[0] - attention).T.reshape(shape)
