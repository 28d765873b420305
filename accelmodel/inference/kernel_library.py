"""A step whose quantised matmuls run on a framework's own kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.columns import STREAM
from accelmodel.inference.inputs import Inputs
from accelmodel.inference.intervals import UNSAID_IN_STEP
from accelmodel.inference.operator_time import Columns, matmul, pointwise, time_columns
from accelmodel.inference.routing import exchanged
from accelmodel.laws.types import GROUPED, MATMUL, Operator
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.formats import plain_bits
from accelmodel.specs.given import override
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.specs.memories import none

_STRETCH, _COUNT, _FLOPS, _N, _K, _OUTPUT, _GROUPS = (
    Operator._fields.index(name) for name in ("stretch", "count", "flops", "n", "k", "output_bytes", "groups")
)
#: columns that grow with the copies of tokens that are passed over, and the rows that do
_PASSED = tuple(Operator._fields.index(name) for name in ("input_bytes", "output_bytes", "flops", "vector_ops"))
_AROUND = ("expert_gather", "expert_activation", "expert_sum")
#: whose kernels run floats of 8 bit with a scale of 32 bit for each block of 128 x 128, and on which generations
BLOCKS, ON = "deepgemm-8bit", ("Hopper", "Blackwell")
#: bytes of such weights over their number: more than without scales, and less than with one for each 32
_SCALED = (1.0001, 1.01)


def with_block_scales(inputs: Inputs) -> Inputs:
    """Return inputs whose matmuls with block scales run on the kernels that engines run them on.

    A checkpoint whose weights carry a scale for each block (DeepSeek-V3 and others) goes to kernels that split no
    depth.  Others stay as they are, and so do those on a chip that varies over axes, which is noted.
    """
    if inputs.cluster.device.architecture not in ON:
        return inputs
    of = dict(zip(Operator._fields, inputs.operators, strict=True))
    alone = (of["kind"] == MATMUL) & (of["count"] > 0.0) & (of["bits"] == 8.0) & (of["integer"] == 0.0)
    alone = alone & (of["groups"] == 1.0) & (of["experts"] == 0.0)
    share = of["weight_bytes"][alone] / (of["n"][alone] * of["k"][alone])
    if not share.size or not ((share > _SCALED[0]) & (share < _SCALED[1])).all():
        return inputs
    if inputs.axes.machine:
        note = "matmuls with block scales by the law of the best library, as the chip varies"
        return replace(inputs, table=replace(inputs.table, notes=(*inputs.table.notes, note)))
    return replace(on_library(inputs, load("library", BLOCKS)), by_law=inputs.operators)


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
    if inputs.by_law is not None:
        known = load("library", BLOCKS)
        said = tuple(_by(each) for each in (known, _experts_of(known)))
        others = tuple(note for note in inputs.table.notes if not note.endswith(said))
        inputs = replace(
            inputs, operators=inputs.by_law, by_law=None, said=frozenset(), table=replace(inputs.table, notes=others)
        )
    if inputs.axes.machine:
        raise SpecError(f"{library.name} is relative to one chip; leave out the axes {', '.join(inputs.axes.machine)}")
    columns = dict(zip(Operator._fields, inputs.operators, strict=True))
    experts = _experts_of(library)
    ours = (columns["count"] > 0.0) & (columns["integer"] == 0.0)
    plain = ours & (columns["kind"] == MATMUL) & (columns["bits"] == library.bits) & (columns["groups"] == 1.0)
    alone = np.nonzero(plain & _has_weights(columns, library) & (library.matrix_factor > 0.0))
    of_experts = (columns["kind"] == GROUPED) & (columns["experts"] > 0.0) & (columns["narrow"] == 1.0)
    grouped = np.nonzero(ours & of_experts & (columns["bits"] == experts.bits) & (experts.expert_share > 0.0))
    if not len(alone[0]) + len(grouped[0]):
        raise SpecError(f"{library.name} is for matmuls {_of(library)}, and there are none")
    operators = inputs.operators.copy()
    m, n, k = (columns[name][alone] for name in ("m", "n", "k"))
    if len(m):
        usual, _ = time_columns(matmul(m, n, k, library.bits, weights=library.weights or None), inputs.cluster)
        operators[_STRETCH][alone] *= library_times(m, n, k, library, inputs.cluster) / usual
    given = {name: values[grouped] for name, values in columns.items() if name not in ("stretch", "count")}
    if len(given["m"]):
        usual, _ = time_columns(given, inputs.cluster)
        operators[_STRETCH][grouped] *= expert_times(given, experts, inputs.cluster) / usual
        _pass_over(operators, inputs, experts)
    used = dict.fromkeys(
        f"matmuls {_of(each)} {_by(each)}" for each, rows in ((library, alone), (experts, grouped)) if len(rows[0])
    )
    named = {word for word, rows in zip(UNSAID_IN_STEP, (alone, grouped), strict=True) if len(rows[0])}
    table = replace(inputs.table, notes=(*inputs.table.notes, *used))
    return replace(inputs, operators=operators, table=table, said=inputs.said | named)


def _has_weights(columns: Columns, library: KernelLibrary) -> Any:
    """Return which matmuls have weights as narrow as a library takes them; all where it does not say."""
    narrow: Any = np.asarray(columns["narrow"])
    return (narrow < 1.0) & (plain_bits(narrow * library.bits) == library.weights) | (library.weights == 0.0)


def _by(library: KernelLibrary) -> str:
    return f"by the kernels of {library.framework}"


def _of(library: KernelLibrary) -> str:
    if library.weights:
        return f"whose weights alone have {library.weights:g} bit"
    return f"at floats of {library.bits:g} bit"


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
            operators[_GROUPS][place] *= 1.0 + idle
            # the matmul before it has one number in for each of the stream, and writes two for each of the activation
            up = place - 1
            copies = operators[_FLOPS][up] / (2.0 * operators[_N][up] * operators[_K][up])
            operators[_OUTPUT][place] += idle * copies * (operators[_N][up] + operators[_K][up]) * STREAM


def _experts_of(library: KernelLibrary) -> KernelLibrary:
    """Return the library of a framework's experts: the one it names, or itself."""
    return load("library", library.experts) if library.experts else library


#: a price at which the depth of no matmul is split [s]
NEVER = 1.0
#: operations of a vector lane that widen a weight: shift and mask or convert, subtract its zero, multiply its scale
WIDENING = 3.0


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
    Tiles follow ``library_tiles``; the rest of the law is that of the best library's kernels, which also multiply where
    weights are widened into a copy.
    """
    if not library.matrix_factor:
        raise SpecError(f"{library.name} has matmuls of experts alone; a step with experts takes it")
    tiles, warm = library_tiles(m, library, cluster), np.broadcast_to(warm, np.shape(m))
    times = _before(m, n, k, library, cluster)
    copied = (m >= library.copied_rows) & (library.copied_rows > 0.0)
    for columns, copy in {*zip(tiles.tolist(), copied.tolist(), strict=True)}:
        own = (tiles == columns) & (copied == copy)
        chip = cluster if copy else _paced(cluster, library, **{"matmul.tile_least": columns})
        weights = None if copy or not library.weights else library.weights
        given = {**matmul(m[own], n[own], k[own], library.bits, weights=weights), "warm": warm[own]}
        times[own] += time_columns(given, chip)[0]
    return times


def _before(m: Any, n: Any, k: Any, library: KernelLibrary, cluster: Cluster) -> Any:
    """Return what comes before the matmuls [s]: activations are quantised, or weights are widened into a copy."""
    if not library.weights:
        found, _ = time_columns(pointwise(m * k, 3.0, 2.0 * library.passes, library.bits / 8.0), cluster)
        return found + np.asarray(m * library.row_time).reshape(-1, *[1] * (found.ndim - 1))
    found, _ = time_columns(pointwise(n * k, WIDENING, library.weights / 8.0, library.bits / 8.0), cluster)
    copied = (m >= library.copied_rows) & (library.copied_rows > 0.0)
    return np.where(copied.reshape(-1, *[1] * (found.ndim - 1)), found, 0.0) + library.start


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
    rows = library.min_rows
    changed = {
        "matmul.min_rows": device.matmul.min_rows if none(rows) or device.architecture != "Hopper" else rows,
        "compute.matrix_share": np.minimum(device.compute.matrix_share * library.matrix_factor, 1.0),
        "matmul.slice_clocks": device.matmul.slice_clocks * library.slice_factor,
        "matmul.split_time": library.split_time or NEVER,
    }
    return replace(cluster, device=override(device, {**changed, **changes}))
