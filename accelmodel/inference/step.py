"""One step of a model on a cluster, operator by operator: the only caller of the laws on specifications."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.axes import Axes, _spread, axes_of, machine_array, table_array
from accelmodel.inference.intervals import factors, interval, kind_of
from accelmodel.inference.machine import machine
from accelmodel.inference.memory import memory_per_device
from accelmodel.inference.operators import OperatorTable, operator_table
from accelmodel.laws.kernels import step
from accelmodel.laws.prefetch import NO_PREFETCH
from accelmodel.laws.types import BOUNDS, COLLECTIVE, COLLECTIVES, DETAIL, TOTALS, Operator, Policy
from accelmodel.specs.facts import weakest
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.quantities import Number
from accelmodel.specs.workload import Workload
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: the policy that does nothing beside the operators: the baseline is the same code path
NONE = Policy(NO_PREFETCH, 1.0, 0.0)
#: workload points x designs from which all cores are worth their start-up
_PARALLEL_FROM = 2000
_WORK_NUMBERS = tuple(f.name for f in fields(Workload) if f.name != "phase")
#: per-operator variable, its unit, and whether it adds up over the invocations of a row
_VARIABLES = (
    ("time", "s", True),
    ("hbm_bytes", "B", True),
    ("l2_hit_bytes", "B", True),
    ("link_bytes", "B", True),
    ("admitted_bytes", "B", True),
    ("fetched_bytes", "B", True),
    ("l2_resident_bytes", "B", False),
)


def run_kernel(table: Any, machines: Any, policy: Policy, *, detail: bool = False) -> tuple[Any, Any]:
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
    parallel = math.prod(points) >= _PARALLEL_FROM or getattr(step.evaluate_parallel, "signatures", ())
    whole = step.evaluate_parallel if parallel else step.evaluate
    whole(np.ascontiguousarray(table), np.ascontiguousarray(machines), policy, totals, details)
    return totals, details


def _check_fit(model: LanguageModel, cluster: Cluster, work: Workload) -> tuple[Number, Number]:
    """Return bytes needed on a device and whether they fit; raise Infeasible if no point does."""
    parts = memory_per_device(model, work)
    needed, capacity = sum(parts.values()), cluster.device.hbm.capacity
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
    operators: Any
    machines: Any
    memory: Number
    fits: Number

    def column(self, name: str) -> Any:
        """Return a column of the operator table over (operator, *axes)."""
        values = self.operators[Operator._fields.index(name)]
        designs = self.machines.shape[2]
        return np.repeat(values[:, :, None], designs, axis=2).reshape(-1, *self.axes.shape)

    def over_work(self, value: Number) -> Any:
        """Return the value as an array over the axes of the workload."""
        shape = tuple(len(labels) for labels in self.axes.workload.values())
        return np.broadcast_to(_spread(value, self.axes.workload), shape)

    def over_axes(self, value: Any) -> Any:
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
    return Inputs(model, cluster, work, table, axes, operators, machine_array(chip, axes), needed, fits)


def total_time(inputs: Inputs, policy: Policy = NONE) -> xr.Dataset:
    """Return ``step_time`` [s], ``prefetched_bytes`` and ``hbm_bytes`` [B] of whole steps over the axes."""
    import xarray as xr

    totals, _ = run_kernel(inputs.operators, inputs.machines, policy)
    dims, coords = inputs.axes.names, {**inputs.axes.workload, **inputs.axes.machine}
    units = {"step_time": "s", "prefetched_bytes": "B", "hbm_bytes": "B"}
    data = {
        name: (dims, totals[i].reshape(inputs.axes.shape), {"units": unit})
        for i, (name, unit) in enumerate(units.items())
    }
    return xr.Dataset(data, coords=coords)


def time_step(
    model: LanguageModel, cluster: Cluster, work: Workload, policy: Policy = NONE, technique: str = "none"
) -> xr.Dataset:
    """Time one prefill or decode step, operator by operator.

    Parameters
    ----------
    model : LanguageModel
    cluster : Cluster
    work : Workload
        Numeric fields of the device, the links and the workload may be ``xarray.DataArray`` with labelled
        axes; the result carries them.
    policy : Policy
        What a technique does beside the operators; ``techniques.policy(name)`` returns it.
    technique : str
        Its name, for the attributes.

    Returns
    -------
    xarray.Dataset
        Over ``operator`` (and the axes): ``time`` [s], ``bound``, ``flops`` [FLOP], ``hbm_bytes``,
        ``l2_hit_bytes``, ``link_bytes``, ``admitted_bytes`` and ``fetched_bytes`` (by the prefetch lane
        beside the operator) [B], all over the ``count`` invocations of a row; ``l2_resident_bytes``
        (prefetched and waiting when one invocation ends) [B]; ``algorithm`` of collectives; ``count``;
        ``lower`` and ``upper`` [s], between which nine tenths of measured times lie (see ``uncertainty``).
        Without ``operator``: ``step_time`` [s], also as ``ttft`` or ``tpot``, with its ``step_time_lower`` and
        ``step_time_upper``; ``tokens_per_s``,
        ``prefetched_bytes``, ``memory_bytes`` [B], ``feasible``.

    Raises
    ------
    SpecError
        If the model cannot be cut as asked.
    Infeasible
        If it does not fit the device's memory at any point.
    """
    return evaluate(prepare(model, cluster, work), policy, technique)


def evaluate(inputs: Inputs, policy: Policy = NONE, technique: str = "none") -> xr.Dataset:
    """Return what ``time_step`` returns, of inputs that are prepared already."""
    work = inputs.work
    totals, detail = run_kernel(inputs.operators, inputs.machines, policy, detail=True)
    result = _operators_dataset(inputs, detail)
    over_axes = inputs.over_axes
    result["step_time"] = over_axes(totals[0].reshape(inputs.axes.shape)).assign_attrs(units="s")
    ends = _ends(inputs)
    kinds, times = inputs.column("kind"), result["time"].values
    for name, end, sign in (("lower", 0, 0), ("upper", 1, 1)):
        result[name] = (result["time"].dims, times * ends[kind_of(kinds), end], {"units": "s"})
        whole = interval(times, kinds, ends)[sign]
        result[f"step_time_{name}"] = over_axes(whole).assign_attrs(units="s")
    result["prefetched_bytes"] = over_axes(totals[1].reshape(inputs.axes.shape)).assign_attrs(units="B")
    tokens = work.batch * (1.0 if work.phase == "decode" else work.context - work.prefix)
    result["tokens_per_s"] = over_axes(tokens / result["step_time"]).assign_attrs(units="token/s")
    result["tpot" if work.phase == "decode" else "ttft"] = result["step_time"]
    result["memory_bytes"] = over_axes(inputs.memory).assign_attrs(units="B")
    result["feasible"] = (over_axes(inputs.fits * 1.0) > 0.5).assign_attrs(units="1")
    result.attrs = attributes(inputs, technique)
    return result


def _ends(inputs: Inputs) -> Any:
    """Return the factors between which measured times of each kind of operator lie, of the widest precision asked."""
    work = inputs.work
    bits = float(np.max(np.maximum(work.weight_bits, work.activation_bits)))
    return factors(inputs.cluster, work.phase, bits, float(np.max(work.kv_bits)))


def _operators_dataset(inputs: Inputs, detail: Any) -> xr.Dataset:
    """Put names and units on the kernel's figures of each operator."""
    import xarray as xr

    def of(name: str) -> Any:
        return detail[DETAIL.index(name)].reshape(-1, *inputs.axes.shape)

    def words(names: tuple[str, ...], codes: Any, absent: Any) -> Any:
        return np.array([*names, "none"])[np.where(absent, len(names), codes).astype(int)]

    count, kind = inputs.column("count"), inputs.column("kind")
    idle = (count == 0.0) | ((kind >= COLLECTIVE) & (inputs.column("ranks") <= 1.0))
    rows = ("operator", *inputs.axes.names)
    data = {name: (rows, of(name) * (count if summed else 1.0), {"units": unit}) for name, unit, summed in _VARIABLES}
    data["flops"] = (rows, inputs.column("flops") * count, {"units": "FLOP"})
    data["count"] = (rows, np.where(idle, 0.0, count), {"units": "1"})
    data["bound"] = (rows, words(BOUNDS, of("bound"), idle), {"units": "1"})
    data["algorithm"] = (rows, words(COLLECTIVES, of("algorithm"), idle | (of("algorithm") < 0.0)), {"units": "1"})
    coords = {"operator": list(inputs.table.names), **inputs.axes.workload, **inputs.axes.machine}
    return xr.Dataset(data, coords=coords)


def attributes(inputs: Inputs, technique: str) -> dict[str, Any]:
    """Return what an answer must carry: version, names, digests, sources and the weakest kind of fact."""
    from accelmodel import __version__

    cluster = inputs.cluster
    specs = (inputs.model, cluster.device, cluster.link, cluster.scale_out)
    behind = [fact for spec in specs for fact in spec.facts.values()]
    return {
        "accelmodel_version": __version__,
        "technique": technique,
        "phase": inputs.work.phase,
        "model": inputs.model.name,
        "device": cluster.device.name,
        "link": cluster.link.name,
        "digests": ", ".join(f"{spec.name}:{spec.digest}" for spec in specs),
        "sources": ", ".join(sorted({fact.source for fact in behind})),
        "weakest_fact": weakest(fact.standing for fact in behind),
        "notes": "; ".join([*inputs.table.notes, *(f"{spec.name}: {note}" for spec in specs for note in spec.notes)]),
    }
