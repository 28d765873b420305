"""A step whose quantised matmuls run on a framework's own kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.columns import STREAM
from accelmodel.inference.operator_time import Columns, matmul, pointwise, time_columns
from accelmodel.inference.routing import exchanged
from accelmodel.inference.step import Inputs
from accelmodel.laws.types import GROUPED, MATMUL, Operator
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load

_STRETCH, _COUNT, _FLOPS, _N, _K, _OUTPUT = (
    Operator._fields.index(name) for name in ("stretch", "count", "flops", "n", "k", "output_bytes")
)
#: columns that grow with the copies of tokens that are passed over, and the rows that do
_PASSED = tuple(Operator._fields.index(name) for name in ("input_bytes", "output_bytes", "flops", "vector_ops"))
_AROUND = ("expert_gather", "expert_activation", "expert_sum")


def on_library(inputs: Inputs, library: KernelLibrary) -> Inputs:
    """Return inputs whose matmuls at a library's precision take its times, quantisation included.

    Parameters
    ----------
    inputs : Inputs
        As from ``step.prepare``, of one chip.
    library : KernelLibrary

    Returns
    -------
    Inputs
        With those matmuls stretched; those at other precisions keep the law, and those of experts where the library
        neither has them nor names one that has.

    Raises
    ------
    SpecError
        If nothing runs at the library's precision, or the chip varies over axes.
    """
    if inputs.axes.machine:
        raise SpecError(f"{library.name} is relative to one chip; leave out the axes {', '.join(inputs.axes.machine)}")
    columns = dict(zip(Operator._fields, inputs.operators, strict=True))
    experts = _experts_of(library)
    ours = (columns["count"] > 0.0) & (columns["integer"] == 0.0)
    plain = ours & (columns["kind"] == MATMUL) & (columns["bits"] == library.bits) & (columns["groups"] == 1.0)
    alone = np.nonzero(plain & (library.matrix_factor > 0.0))
    of_experts = (columns["kind"] == GROUPED) & (columns["experts"] > 0.0) & (columns["narrow"] == 1.0)
    grouped = np.nonzero(ours & of_experts & (columns["bits"] == experts.bits) & (experts.expert_share > 0.0))
    if not len(alone[0]) + len(grouped[0]):
        raise SpecError(f"{library.name} is for matmuls at floats of {library.bits:g} bit, and there are none")
    operators = inputs.operators.copy()
    m, n, k = (columns[name][alone] for name in ("m", "n", "k"))
    if len(m):
        usual, _ = time_columns(matmul(m, n, k, library.bits), inputs.cluster)
        operators[_STRETCH][alone] *= library_times(m, n, k, library, inputs.cluster) / usual
    given = {name: values[grouped] for name, values in columns.items() if name not in ("stretch", "count")}
    if len(given["m"]):
        usual, _ = time_columns(given, inputs.cluster)
        operators[_STRETCH][grouped] *= expert_times(given, experts, inputs.cluster) / usual
        _pass_over(operators, inputs, experts)
    used = dict.fromkeys(each.framework for each, rows in ((library, alone), (experts, grouped)) if len(rows[0]))
    notes = (*inputs.table.notes, *(f"matmuls at {library.bits:g} bit by the kernels of {name}" for name in used))
    return replace(inputs, operators=operators, table=replace(inputs.table, notes=notes))


def _pass_over(operators: Any, inputs: Inputs, library: KernelLibrary) -> None:
    """Change the rows around the matmuls of experts to what a library's kernels do there (``mlps.passes``)."""
    once = {"expert_gather": library.gathers, "expert_activation": library.activates}
    longer = dict.fromkeys(("expert_gather", "expert_sum"), library.expert_passes)
    together = inputs.over_work(1.0 - exchanged(inputs.work)).ravel()
    # ranks that share experts have all tokens: as many copies lie idle as the others hold
    idle = library.elsewhere * together * (inputs.over_work(inputs.work.ep).ravel() - 1.0)
    for place, name in enumerate(inputs.table.names):
        row = next((each for each in _AROUND if each in name), "")
        if not row:
            continue
        operators[_COUNT][place] *= once.get(row, 1.0)
        operators[_STRETCH][place] *= longer.get(row, 1.0)
        if row == "expert_gather":
            continue
        for column in _PASSED:
            operators[column][place] *= 1.0 + idle
        if row == "expert_activation":
            # the matmul before it has one number in for each of the stream, and writes two for each of the activation
            up = place - 1
            copies = operators[_FLOPS][up] / (2.0 * operators[_N][up] * operators[_K][up])
            operators[_OUTPUT][place] += idle * copies * (operators[_N][up] + operators[_K][up]) * STREAM


def _experts_of(library: KernelLibrary) -> KernelLibrary:
    """Return the library of a framework's experts: the one it names, or itself."""
    return load("library", library.experts) if library.experts else library


#: a price at which the depth of no matmul is split [s]
NEVER = 1.0


def library_tiles(m: Any, library: KernelLibrary, cluster: Cluster) -> Any:
    """Return the columns of the tiles that a library takes for matmuls of ``m`` rows.

    CUTLASS's dispatch in vLLM, which SGLang's follows: the largest tile beyond 128 rows on Hopper
    (``scaled_mm_sm90_fp8_dispatch``), beyond 256 on Ada and Blackwell (``sm89``, ``sm100``).
    """
    few = library.quarter_rows * (2.0 if cluster.device.architecture == "Hopper" else 4.0)
    share = np.where(m <= library.quarter_rows, 0.25, np.where(m <= few, 0.5, 1.0))
    return float(cluster.device.matmul.tile_n) * share


def library_times(m: Any, n: Any, k: Any, library: KernelLibrary, cluster: Cluster, warm: Any = 0.0) -> Any:
    """Time matmuls by a framework's own operator_time, the quantisation of their 16-bit activations included.

    Parameters
    ----------
    m, n, k : ndarray (row,)
    library : KernelLibrary
    cluster : Cluster
        Fields of its device may be DataArrays; their axes follow the rows.
    warm : array_like
        Share of the HBM traffic that lies in L2 before [1].

    Returns
    -------
    ndarray (row, *axes of the cluster)
        Times [s].

    Raises
    ------
    SpecError
        If the library has no plain matmuls.

    Notes
    -----
    Tiles follow ``library_tiles``; the rest of the law is that of the best library's kernels.
    """
    if not library.matrix_factor:
        raise SpecError(f"{library.name} has matmuls of experts alone; a step with experts takes it")
    tiles, warm = library_tiles(m, library, cluster), np.broadcast_to(warm, np.shape(m))
    quantised, _ = time_columns(pointwise(m * k, 3.0, 2.0 * library.passes, library.bits / 8.0), cluster)
    rows = np.asarray(m * library.row_time).reshape(-1, *[1] * (quantised.ndim - 1))
    times = quantised + rows
    for columns in np.unique(tiles):
        own = tiles == columns
        chip = _paced(cluster, library, **{"matmul.tile_least": columns})
        given = {**matmul(m[own], n[own], k[own], library.bits), "warm": warm[own]}
        times[own] += time_columns(given, chip)[0]
    return times


def expert_times(columns: Columns, library: KernelLibrary, cluster: Cluster) -> Any:
    """Time matmuls of experts by a framework's own kernels [s], one for each row of ``columns``.

    What rounds activations for them is in rows of its own: the exchange, or the gathering of copies, and the activation
    function.
    """
    times, _ = time_columns(columns, on_experts(cluster, library))
    return times


def on_experts(cluster: Cluster, library: KernelLibrary) -> Cluster:
    """Return a cluster whose experts run on the kernels of a library."""
    names = ("expert_start", "expert_tile_time", "expert_share")
    changed = {f"matmul.{name}": getattr(library, name) for name in names}
    return replace(cluster, device=override(cluster.device, changed))


def _paced(cluster: Cluster, library: KernelLibrary, **changes: Any) -> Cluster:
    """Return a cluster whose matrix units work at the pace of a library's kernels."""
    device = cluster.device
    changed = {
        "compute.matrix_share": np.minimum(device.compute.matrix_share * library.matrix_factor, 1.0),
        "matmul.slice_clocks": device.matmul.slice_clocks * library.slice_factor,
        "matmul.split_time": NEVER,
    }
    return replace(cluster, device=override(device, {**changed, **changes}))
