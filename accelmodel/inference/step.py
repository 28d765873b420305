"""One step of a model on a cluster, operator by operator: the only caller of the laws on specifications."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.errors import SpecError, brief
from accelmodel.estimates import need_affordable
from accelmodel.inference.attributes import (
    asked,
    behind,
    json_value,
    noted,
    of_technique,
    on_cluster,
    parts_of,
    uneven_groups,
)
from accelmodel.inference.axes import (
    Axes,
    axes_of,
    axes_over,
    machines_over,
    table_array,
    with_coordinates,
)
from accelmodel.inference.calls import as_engine, callers_note, left_open, measured_as, paired, paths_note
from accelmodel.inference.columns import shard
from accelmodel.inference.energy import energy_notes, energy_numbers, of_operators
from accelmodel.inference.figures import Figures, Variable
from accelmodel.inference.hosted import with_host, without_host
from accelmodel.inference.inputs import Inputs as Inputs
from accelmodel.inference.intervals import UNSAID_IN_STEP, factors, interval, kind_of, on_maker
from accelmodel.inference.kernel_library import on_usual
from accelmodel.inference.named import ClusterLike, ModelLike, WorkLike, as_cluster, as_model, as_workload
from accelmodel.inference.placement import need_room, placed
from accelmodel.inference.policies import Technique, chosen, none
from accelmodel.inference.routing import told
from accelmodel.inference.run import run_kernel
from accelmodel.inference.speculation import draft_of, speculates, speculation, tokens_yielded
from accelmodel.laws.numeric import Array, Number, has_axes
from accelmodel.laws.types import ALGORITHMS, BOUNDS, COLLECTIVE, DETAIL, RECURRENCE
from accelmodel.specs.bits import settled
from accelmodel.specs.cloud import Engine
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel, mixers
from accelmodel.specs.layer_kinds import Latent
from accelmodel.specs.load import load
from accelmodel.specs.workload import Workload

if TYPE_CHECKING:
    import xarray as xr

#: the policy that does nothing beside the operators: the baseline is the same code path
NONE = none()
#: fields of a workload that are no numbers
_WORDS = ("phase", "draft", "weight_format", "activation_format")
_WORK_NUMBERS = tuple(f.name for f in fields(Workload) if f.name not in _WORDS)
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
#: variables of a step that say what it takes, and per-operator ones that they follow from
ENERGY = ("step_energy", "step_energy_lower", "step_energy_upper", "power", "power_stretch", "joules_per_token")
_ENERGETIC = ("time", "hbm_bytes", "fetched_bytes", "link_bytes")

#: least time [s] and memory [B] of an operator of one point
_SECONDS, _ROOM = 2e-8, 8.0
#: arrays over operators that what a step takes is worked out in
_WORKED_OUT = 6


def _check_fit(model: LanguageModel, cluster: Cluster, work: Workload) -> tuple[Number, Number]:
    """Return bytes needed on a device and whether they fit; raise Infeasible if no point does."""
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
    return need_room(model, cluster.device, work)


def prepare(model: LanguageModel, cluster: Cluster, work: Workload) -> Inputs:
    """Return the inputs of the kernel as arrays, its labelled axes collected from workload, device and links.

    Kernels are those of the engine that runs the cluster (``calls.as_engine``).

    Raises
    ------
    SpecError, Infeasible
        As ``time_step``.
    """
    cluster = paired(cluster, work.tp)
    table = placed(model, cluster.device, work, cluster.software.unfused)
    groups = {name: getattr(work, name) for name in ("tp", "ep")}
    uneven = uneven_groups(cluster, groups, work.tp * work.dp * work.pp)
    calls = (*paths_note(cluster, work.tp), *callers_note(cluster, work.tp))
    said = (*uneven, *calls, *on_maker(cluster))
    table = replace(table, notes=(*table.notes, *said))
    needed, fits = _check_fit(model, cluster, work)
    varying = [value for column in table.columns.values() for value in column] + [
        getattr(work, n) for n in _WORK_NUMBERS
    ]
    over_work = axes_of(varying, {})
    axes = Axes(over_work, axes_over(cluster, over_work, fits, *energy_numbers(cluster.device)))
    sizes = {name: len(labels) for name, labels in (*axes.workload.items(), *axes.machine.items())}
    need_affordable("step", sizes, seconds=len(table.names) * _SECONDS, room=len(table.names) * _ROOM)
    operators = table_array(table, axes.workload)
    designs = machines_over(cluster, axes)
    found = Inputs(model, cluster, settled(model, work), table, axes, operators, designs, needed, fits)
    return on_usual(found)


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
    """Time whole prefill, decode or mixed steps: totals only, for questions with many points.

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
    model: ModelLike,
    cluster: ClusterLike,
    work: WorkLike,
    technique: str | Technique = "none",
    engine: str | Engine = "",
    cpu: str = "",
) -> xr.Dataset:
    """Time one prefill, decode or mixed step, operator by operator.

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
    engine : str or Engine
        Name or path of an engine, or what ``load("engine", ...)`` returns, whose host adds its work to the step, and
        which says who calls collectives; none where left out, and then ``lower`` and ``upper`` hold what it may be.
    cpu : str
        Name or path of the ``cpu`` that the engine's host runs on; by default the one its constants were fitted on.

    Returns
    -------
    xarray.Dataset
        Over ``operator`` (and the axes): ``time`` [s], ``bound``, ``flops`` [FLOP], ``hbm_bytes``,
        ``l2_hit_bytes``, ``link_bytes``, ``admitted_bytes`` and ``fetched_bytes`` (by the prefetch lane
        beside the operator) [B], all over the ``count`` invocations of a row; ``l2_resident_bytes``
        (prefetched and waiting when one invocation ends) [B]; ``algorithm`` of collectives; ``count``;
        ``lower`` and ``upper`` [s], between which nine tenths of measured times lie (see ``intervals``).
        ``energy`` [J] of one device over the invocations of a row.
        Without ``operator``: ``step_time`` [s], also as ``ttft`` or ``tpot``, with its ``step_time_lower`` and
        ``step_time_upper``; ``tokens_per_s``, ``prefetched_bytes``, ``memory_bytes`` [B], ``feasible``.  With a draft
        ``tokens_per_step`` [token], by which ``tpot`` and ``tokens_per_s`` count; of mixed steps
        ``prefill_tokens_per_s`` [token/s].  ``step_energy`` [J] of one device, with all its constants at the ends of
        their ranges ``step_energy_lower`` and ``step_energy_upper``; ``power`` [W], its mean, never above its limit;
        ``power_stretch``: how many times as long the step lasts where that limit holds down the clock, which ``time``
        and all rates leave out; ``joules_per_token`` [J/token] of all devices that the step uses, together.  With an
        engine ``host_time`` [s], which ``ttft``, ``tpot``, rates and energy include and ``step_time`` does not.
        ``ttft_lower`` and ``ttft_upper``, or ``tpot_lower`` and ``tpot_upper`` [s]: ends of those with what is not
        certain of the engine, and without one with all that engines of streams may add.

        Attributes, all text, JSON where they have parts: ``technique`` and ``technique_parameters``; ``model``,
        ``device``, ``link``, ``scale_out``, ``devices``; ``phase``, ``sizes``, ``degrees``, ``bits``, ``precision``;
        with a draft ``speculation``; ``experts`` of a mixture: how tokens come to them; ``overrides``: what the caller
        gave in place of what is known; ``digests``,
        ``sources`` and ``weakest_fact`` of what stands behind it; ``notes``; ``accelmodel_version``.

    Raises
    ------
    SpecError
        If a name is unknown, a value not allowed, or the model cannot be cut as asked.
    Infeasible
        If it does not fit the device's memory at any point.

    Notes
    -----
    Operators follow one another, as in a captured graph of kernels; what an engine's host adds between steps is left
    out unless ``engine`` names one, so that steps shorter than the host's work are told too short.  Routing of experts
    is uniform unless ``imbalance`` says otherwise: optimistic for skewed routers.

    Examples
    --------
    >>> work = {"phase": "decode", "batch": 4, "context": 16384, "tp": 8}
    >>> result = time_step("llama-3-70b", "h100-sxm", work, technique="preserve")
    >>> result.attrs["technique"], result.attrs["device"], bool(result.feasible)
    ('preserve', 'h100-sxm', True)
    >>> bool(abs(result.time.sum() / result.step_time - 1.0) < 1e-9)
    True
    """
    chip = as_cluster(cluster)
    host = load("engine", engine) if isinstance(engine, str) and engine else engine
    if host and not isinstance(host, Engine):
        raise SpecError(f"engine must be a name, a path as text or load('engine', name), not {brief(engine)}")
    if cpu and not host:
        raise SpecError(f"cpu {cpu} is what an engine's host runs on; give engine too, such as 'in-flight'")
    if isinstance(host, Engine):
        chip = as_engine(chip, host)
    inputs = prepare(as_model(model), chip, as_workload(work))
    found = figures(inputs, technique)
    found = with_host(found, inputs, host, cpu) if isinstance(host, Engine) else without_host(found, inputs)
    return with_coordinates(found.dataset(), inputs.carried())


def evaluate(inputs: Inputs, technique: str | Technique = "none") -> xr.Dataset:
    """Return what ``time_step`` returns, of inputs that are prepared already."""
    return with_coordinates(figures(inputs, technique).dataset(), inputs.carried())


def figures(inputs: Inputs, technique: str | Technique = "none") -> Figures:
    """Return the numbers of ``evaluate``, which needs xarray, without it."""
    work, beside = inputs.work, chosen(technique)
    sizes = dict(zip(inputs.axes.names, inputs.axes.shape, strict=True))
    operators = len(inputs.table.names)
    need_affordable(
        "step by operators",
        sizes,
        seconds=operators * _SECONDS,
        room=operators * _ROOM * (2 * len(DETAIL) + _WORKED_OUT),
    )
    sums, detail = run_kernel(inputs.operators, inputs.machines, beside.numbers, detail=True)
    rows = ("operator", *inputs.axes.names)
    found: dict[str, Variable] = {name: (rows, values) for name, values in _operators(inputs, detail).items()}

    def put(name: str, value: Number | Array) -> None:
        found[name] = (inputs.axes.names, inputs.over_axes(value))

    step_time = sums[0].reshape(inputs.axes.shape)
    put("step_time", step_time)
    ends = _ends(inputs)
    kinds, times = inputs.column("kind"), found["time"][1]
    for name, end, shift in zip(("lower", "upper"), (0, 1), left_open(inputs), strict=True):
        # what is left open of collectives is a choice and no error: it comes beside the interval
        sign = 2.0 * end - 1.0
        found[name] = (rows, np.maximum(times * ends[kind_of(kinds), end] + sign * shift, 0.0))
        whole = interval(times, kinds, ends)[end] + sign * np.sum(shift, axis=0)
        put(f"step_time_{name}", np.maximum(whole, 0.0))
    taken = of_operators(inputs, {name: found[name][1] for name in _ENERGETIC}, step_time)
    found["energy"] = (rows, taken["energy"])
    for name in ENERGY:
        put(name, taken[name])
    put("prefetched_bytes", sums[1].reshape(inputs.axes.shape))
    yielded = tokens_yielded(work)
    put("tokens_per_s", inputs.over_axes(work.batch * yielded) / step_time)
    if work.phase == "prefill":
        put("ttft", step_time)
    else:
        put("tpot", step_time / inputs.over_axes(yielded))
    if work.phase == "mixed":
        put("prefill_tokens_per_s", inputs.over_axes(work.prefill_tokens) / step_time)
    if speculates(work):
        put("tokens_per_step", yielded)
    put("memory_bytes", inputs.memory)
    found["feasible"] = (inputs.axes.names, inputs.over_axes(inputs.fits * 1.0) > 0.5)
    labels = {"operator": list(inputs.table.names), **inputs.axes.workload, **inputs.axes.machine}
    about = attributes(inputs, beside)
    more = energy_notes(inputs.cluster, taken["power_stretch"])
    about["notes"] = "; ".join(filter(None, [about["notes"], *more]))
    return Figures(found, labels, about)


def _ends(inputs: Inputs) -> Any:
    """Return the factors between which measured times of each kind of operator lie, of the widest precision asked."""
    work = inputs.work
    bits = float(np.max(np.maximum(work.weight_bits, work.activation_bits)))
    exchanged = (inputs.column("kind") >= COLLECTIVE) & (inputs.column("count") > 0.0)
    ranks = float(np.max(np.where(exchanged, inputs.column("ranks"), 1.0)))
    which = measured_as(inputs.cluster.link)
    special = _special(inputs)
    kv = float(np.max(work.kv_bits))
    return factors(inputs.cluster, work.phase, bits, kv, ranks=ranks, collective=which, special=special)


def _special(inputs: Inputs) -> tuple[str, ...]:
    """Return the kinds of ``intervals.SPECIAL`` that speak for the operators of a step."""
    work, kinds = inputs.work, inputs.column("kind")
    found = [each for each in UNSAID_IN_STEP if each not in inputs.said]
    if any(isinstance(each, Latent) for each in mixers(inputs.model)):
        found.append("mla prefill" if work.phase == "prefill" else "mla decode")
    if (kinds == RECURRENCE).any():
        found.append("recurrence")
    if np.max(work.weight_bits) < np.min(work.activation_bits):
        found.append("weight-only matmul")
    return tuple(found)


def _operators(inputs: Inputs, detail: Array) -> dict[str, Any]:
    """Return the kernel's figures of each operator by name, numbers over all invocations and words for codes."""

    def of(name: str) -> Any:
        return detail[DETAIL.index(name)].reshape(-1, *inputs.axes.shape)

    def words(names: tuple[str, ...], codes: Any, absent: Any) -> Any:
        return np.array([*names, "none"])[np.where(absent, len(names), codes).astype(int)]

    count, kind = inputs.column("count"), inputs.column("kind")
    idle = (count == 0.0) | ((kind >= COLLECTIVE) & (inputs.column("ranks") <= 1.0))
    return {
        **{name: of(name) * (count if summed else 1.0) for name, summed in _VARIABLES.items()},
        "flops": inputs.column("flops") * count,
        "count": np.where(idle, 0.0, count),
        "bound": words(BOUNDS, of("bound"), idle),
        "algorithm": words(ALGORITHMS, of("algorithm"), idle | (of("algorithm") < 0.0)),
    }


def attributes(inputs: Inputs, technique: Technique) -> dict[str, str]:
    """Return what an answer must carry: version, names, digests, sources and the weakest kind of fact."""
    cluster = inputs.cluster
    draft = draft_of(inputs.model, inputs.work)
    drafted = {"draft": draft.model} if draft and not draft.head else {}
    return {
        **behind({"model": inputs.model, **drafted, **parts_of(cluster)}),
        **of_technique(technique),
        **asked(inputs.work),
        "precision": json.dumps(inputs.table.precision),
        **speculation(inputs.model, inputs.work),
        **_of_experts(inputs),
        "model": inputs.model.name,
        **on_cluster(cluster),
        "notes": "; ".join(dict.fromkeys([*inputs.table.notes, *noted({"model": inputs.model, **parts_of(cluster)})])),
    }


def _of_experts(inputs: Inputs) -> dict[str, str]:
    """Return as JSON how tokens come to the experts of a model that has some."""
    found = told(inputs.model, inputs.work, shard(inputs.model, inputs.work))
    return {"experts": json.dumps({name: json_value(value) for name, value in found.items()})} if found else {}
