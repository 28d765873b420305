"""One step of a model on a cluster, operator by operator: the only caller of the laws on specifications."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.attributes import asked, behind, noted, of_technique, on_cluster, parts_of
from accelmodel.inference.axes import (
    Axes,
    axes_of,
    carried,
    machine_array,
    spread,
    table_array,
    with_coordinates,
)
from accelmodel.inference.intervals import factors, interval, kind_of
from accelmodel.inference.machine import machine
from accelmodel.inference.memory import memory_per_device
from accelmodel.inference.named import ClusterLike, ModelLike, WorkLike, as_cluster, as_model, as_workload
from accelmodel.inference.operators import OperatorTable, operator_table
from accelmodel.inference.policies import Technique, chosen, none
from accelmodel.laws.kernels import step
from accelmodel.laws.numeric import Array, Number, has_axes
from accelmodel.laws.types import ALGORITHMS, BOUNDS, COLLECTIVE, DETAIL, TOTALS, Operator, Policy
from accelmodel.specs.bits import settled
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.workload import Workload
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: the policy that does nothing beside the operators: the baseline is the same code path
NONE = none()
#: workload points x designs from which all cores are worth their start-up
_PARALLEL_FROM = 2000
_WORK_NUMBERS = tuple(f.name for f in fields(Workload) if f.name != "phase")
#: per-operator variable, and whether it adds up over the invocations of a row
_VARIABLES = {
    "time": True,
    "hbm_bytes": True,
    "l2_hit_bytes": True,
    "link_bytes": True,
    "admitted_bytes": True,
    "fetched_bytes": True,
    "l2_resident_bytes": False,
}


def run_kernel(table: Array, machines: Array, policy: Policy, *, detail: bool = False) -> tuple[Array, Array]:
    """Return totals (TOTALS, workload, design) and detail (DETAIL, row, workload, design) of whole steps.

    Parameters
    ----------
    table : ndarray (column of Operator, row, workload)
    machines : ndarray (field of Machine, workload or 1, design)
    policy : Policy
    detail : bool
        Also return each operator's figures; else that array is empty.
    """
    points = table.shape[2], machines.shape[2]
    totals = np.zeros((len(TOTALS), *points))
    shape = (len(DETAIL), table.shape[1], *points) if detail else (0, 0, 0, 0)
    details = np.zeros(shape)
    # once the parallel form is compiled it serves small questions too: compiling the serial one takes longer
    parallel = math.prod(points) >= _PARALLEL_FROM or bool(getattr(step.evaluate_parallel, "signatures", ()))
    whole = step.evaluate_parallel if parallel else step.evaluate
    whole(np.ascontiguousarray(table), np.ascontiguousarray(machines), policy, totals, details)
    return totals, details


def _check_fit(model: LanguageModel, cluster: Cluster, work: Workload) -> tuple[Number, Number]:
    """Return bytes needed on a device and whether they fit; raise Infeasible if no point does."""
    parts = memory_per_device(model, work)
    needed, capacity = sum(parts.values()), cluster.device.hbm.capacity
    if has_axes(cluster.devices):
        raise SpecError(
            f"devices vary over {', '.join(map(str, cluster.devices.dims))}: a step is timed on one number of devices, "
            "of which it uses tp x pp x dp; give the largest number, and an axis to tp, pp or dp"
        )
    used = np.max(np.asarray(work.tp * work.pp * work.dp))
    if used > cluster.devices:
        raise SpecError(
            f"tp x pp x dp = {used:g} exceeds the {cluster.devices:g} devices of the cluster; "
            "raise devices or lower a degree"
        )
    fits = needed <= capacity
    if not np.any(np.asarray(fits)):
        least = {name: float(np.min(np.asarray(part))) for name, part in parts.items()}
        listed = ", ".join(f"{name} {show(size, 'B')}" for name, size in least.items())
        raise Infeasible(
            f"{model.name} does not fit: a device needs at least {show(sum(least.values()), 'B')} ({listed}) and "
            f"{cluster.device.name} has {show(float(np.max(np.asarray(capacity))), 'B')}; "
            "raise tp or pp, or lower batch, context or the bits"
        )
    return needed, fits


@dataclass(frozen=True)
class Inputs:
    """A step prepared in numbers: what the kernel needs, and what puts labels on its answer."""

    model: LanguageModel
    cluster: Cluster
    work: Workload
    table: OperatorTable
    axes: Axes
    operators: Array
    machines: Array
    memory: Number
    fits: Number

    def column(self, name: str) -> Array:
        """Return a column of the operator table over (operator, *axes)."""
        values = self.operators[Operator._fields.index(name)]
        designs = self.machines.shape[2]
        return np.repeat(values[:, :, None], designs, axis=2).reshape(-1, *self.axes.shape)

    def over_work(self, value: Number) -> Array:
        """Return the value as an array over the axes of the workload."""
        shape = tuple(len(labels) for labels in self.axes.workload.values())
        return np.broadcast_to(spread(value, self.axes.workload), shape)

    def carried(self) -> xr.Coordinates | None:
        """Return what the caller put on the axes."""
        cluster = self.cluster
        return carried(self.work, self.model, cluster.device, cluster.link, cluster.scale_out)

    def over_axes(self, value: Number | Array) -> xr.DataArray:
        """Return the value as a DataArray over all axes."""
        import xarray as xr

        coords = {**self.axes.workload, **self.axes.machine}
        blank = xr.DataArray(np.zeros(self.axes.shape), dims=self.axes.names, coords=coords)
        return (blank + value).transpose(*self.axes.names)


def prepare(model: LanguageModel, cluster: Cluster, work: Workload) -> Inputs:
    """Return the inputs of the kernel as arrays, its labelled axes collected from workload, device and links.

    Raises
    ------
    SpecError, Infeasible
        As ``time_step``.
    """
    table = operator_table(model, work)
    needed, fits = _check_fit(model, cluster, work)
    chip = machine(cluster)
    varying = [value for column in table.columns.values() for value in column] + [
        getattr(work, n) for n in _WORK_NUMBERS
    ]
    over_work = axes_of(varying, {})
    axes = Axes(over_work, axes_of([*chip.values(), cluster.device.hbm.capacity], over_work))
    operators = table_array(table, axes.workload)
    return Inputs(model, cluster, settled(model, work), table, axes, operators, machine_array(chip, axes), needed, fits)


def totals(inputs: Inputs, technique: str | Technique = "none") -> xr.Dataset:
    """Return the numbers of ``total_time`` over the axes, of inputs that are prepared already."""
    import xarray as xr

    found, _ = run_kernel(inputs.operators, inputs.machines, chosen(technique).numbers)
    dims, coords = inputs.axes.names, {**inputs.axes.workload, **inputs.axes.machine}
    data = {
        name: (dims, values.reshape(inputs.axes.shape))
        for name, values in zip(("step_time", "prefetched_bytes", "hbm_bytes"), found, strict=True)
    }
    return xr.Dataset(data, coords=coords)


def total_time(
    model: ModelLike, cluster: ClusterLike, work: WorkLike, technique: str | Technique = "none"
) -> xr.Dataset:
    """Time whole prefill or decode steps: totals only, for questions with many points.

    Parameters
    ----------
    model, cluster, work, technique
        As ``time_step`` takes them.

    Returns
    -------
    xarray.Dataset
        Over the axes: ``step_time`` [s], ``prefetched_bytes`` and ``hbm_bytes`` [B] of one device.  The numbers are
        those of ``time_step``, without its operators, its interval and whether the model fits.

    Raises
    ------
    SpecError, Infeasible
        As ``time_step``.

    Examples
    --------
    >>> work = {"phase": "decode", "batch": [1, 2, 4], "context": 4096, "tp": 8}
    >>> result = total_time("llama-3-70b", "h100-sxm", work)
    >>> dict(result.sizes), result.step_time.attrs["units"]
    ({'batch': 3}, 's')
    """
    inputs, beside = prepare(as_model(model), as_cluster(cluster), as_workload(work)), chosen(technique)
    result = totals(inputs, beside).assign_attrs(attributes(inputs, beside))
    return with_coordinates(result, inputs.carried())


def time_step(
    model: ModelLike, cluster: ClusterLike, work: WorkLike, technique: str | Technique = "none"
) -> xr.Dataset:
    """Time one prefill or decode step, operator by operator.

    Parameters
    ----------
    model : str or LanguageModel
        Name, path of a TOML file or of a Hugging Face ``config.json``, or what ``load("model", ...)`` returns.
    cluster : str, Device or Cluster
        Name or path of a device, a device (one full node of it), or what ``cluster(...)`` returns.
    work : Workload or mapping
        What ``workload(...)`` returns, or its fields.  Numeric fields of the device, the links and the workload may
        be ``xarray.DataArray`` with labelled axes; the result carries them, with everything on their coordinates.  A
        list or an array is an axis that has the name of its field.
    technique : str or Technique
        What runs beside the operators: a name, or ``policy(name, ...)`` with parameters.

    Returns
    -------
    xarray.Dataset
        Over ``operator`` (and the axes): ``time`` [s], ``bound``, ``flops`` [FLOP], ``hbm_bytes``,
        ``l2_hit_bytes``, ``link_bytes``, ``admitted_bytes`` and ``fetched_bytes`` (by the prefetch lane
        beside the operator) [B], all over the ``count`` invocations of a row; ``l2_resident_bytes``
        (prefetched and waiting when one invocation ends) [B]; ``algorithm`` of collectives; ``count``;
        ``lower`` and ``upper`` [s], between which nine tenths of measured times lie (see ``intervals``).
        Without ``operator``: ``step_time`` [s], also as ``ttft`` or ``tpot``, with its ``step_time_lower`` and
        ``step_time_upper``; ``tokens_per_s``, ``prefetched_bytes``, ``memory_bytes`` [B], ``feasible``.

        Attributes, all text, JSON where they have parts: ``technique`` and ``technique_parameters``; ``model``,
        ``device``, ``link``, ``scale_out``, ``devices``; ``phase``, ``sizes``, ``degrees``, ``bits``; ``overrides``:
        what the caller gave in place of what is known; ``digests``, ``sources`` and ``weakest_fact`` of what stands
        behind it; ``notes``; ``accelmodel_version``.

    Raises
    ------
    SpecError
        If a name is unknown, a value not allowed, or the model cannot be cut as asked.
    Infeasible
        If it does not fit the device's memory at any point.

    Notes
    -----
    Operators follow one another, as in a captured graph of kernels; what an engine's host adds between steps is left
    out (see ``serve``), so that steps shorter than the host's work are told too short.  Routing of experts is uniform:
    optimistic for skewed routers.

    Examples
    --------
    >>> work = {"phase": "decode", "batch": 4, "context": 16384, "tp": 8}
    >>> result = time_step("llama-3-70b", "h100-sxm", work, technique="preserve")
    >>> result.attrs["technique"], result.attrs["device"], bool(result.feasible)
    ('preserve', 'h100-sxm', True)
    >>> bool(abs(result.time.sum() / result.step_time - 1.0) < 1e-9)
    True
    """
    return evaluate(prepare(as_model(model), as_cluster(cluster), as_workload(work)), technique)


def evaluate(inputs: Inputs, technique: str | Technique = "none") -> xr.Dataset:
    """Return what ``time_step`` returns, of inputs that are prepared already."""
    work, beside = inputs.work, chosen(technique)
    sums, detail = run_kernel(inputs.operators, inputs.machines, beside.numbers, detail=True)
    result = _operators_dataset(inputs, detail)
    over_axes = inputs.over_axes
    result["step_time"] = over_axes(sums[0].reshape(inputs.axes.shape))
    ends = _ends(inputs)
    kinds, times = inputs.column("kind"), result["time"].values
    for name, end, sign in (("lower", 0, 0), ("upper", 1, 1)):
        result[name] = (result["time"].dims, times * ends[kind_of(kinds), end])
        whole = interval(times, kinds, ends)[sign]
        result[f"step_time_{name}"] = over_axes(whole)
    result["prefetched_bytes"] = over_axes(sums[1].reshape(inputs.axes.shape))
    tokens = work.batch * (1.0 if work.phase == "decode" else work.context - work.prefix)
    result["tokens_per_s"] = over_axes(tokens / result["step_time"])
    result["tpot" if work.phase == "decode" else "ttft"] = result["step_time"]
    result["memory_bytes"] = over_axes(inputs.memory)
    result["feasible"] = over_axes(inputs.fits * 1.0) > 0.5
    result.attrs = attributes(inputs, beside)
    return with_coordinates(result, inputs.carried())


def _ends(inputs: Inputs) -> Any:
    """Return the factors between which measured times of each kind of operator lie, of the widest precision asked."""
    work = inputs.work
    bits = float(np.max(np.maximum(work.weight_bits, work.activation_bits)))
    return factors(inputs.cluster, work.phase, bits, float(np.max(work.kv_bits)))


def _operators_dataset(inputs: Inputs, detail: Array) -> xr.Dataset:
    """Put names and units on the kernel's figures of each operator."""
    import xarray as xr

    def of(name: str) -> Any:
        return detail[DETAIL.index(name)].reshape(-1, *inputs.axes.shape)

    def words(names: tuple[str, ...], codes: Any, absent: Any) -> Any:
        return np.array([*names, "none"])[np.where(absent, len(names), codes).astype(int)]

    count, kind = inputs.column("count"), inputs.column("kind")
    idle = (count == 0.0) | ((kind >= COLLECTIVE) & (inputs.column("ranks") <= 1.0))
    rows = ("operator", *inputs.axes.names)
    data = {name: (rows, of(name) * (count if summed else 1.0)) for name, summed in _VARIABLES.items()}
    data["flops"] = (rows, inputs.column("flops") * count)
    data["count"] = (rows, np.where(idle, 0.0, count))
    data["bound"] = (rows, words(BOUNDS, of("bound"), idle))
    data["algorithm"] = (rows, words(ALGORITHMS, of("algorithm"), idle | (of("algorithm") < 0.0)))
    coords = {"operator": list(inputs.table.names), **inputs.axes.workload, **inputs.axes.machine}
    return xr.Dataset(data, coords=coords)


def attributes(inputs: Inputs, technique: Technique) -> dict[str, str]:
    """Return what an answer must carry: version, names, digests, sources and the weakest kind of fact."""
    cluster = inputs.cluster
    return {
        **behind({"model": inputs.model, **parts_of(cluster)}),
        **of_technique(technique),
        **asked(inputs.work),
        "model": inputs.model.name,
        **on_cluster(cluster),
        "notes": "; ".join([*inputs.table.notes, *noted({"model": inputs.model, **parts_of(cluster)})]),
    }
