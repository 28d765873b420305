"""A step whose quantised matmuls run on a framework's own kernels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.inference.columns import STREAM
from accelmodel.inference.inputs import Inputs
from accelmodel.inference.intervals import UNSAID_IN_STEP
from accelmodel.inference.operator_time import Columns, matmul, pointwise, time_columns
from accelmodel.inference.routing import exchanged
from accelmodel.laws.numeric import Array
from accelmodel.laws.types import GROUPED, MATMUL, Operator
from accelmodel.specs.architecture import is_of
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
#: bytes of weights with a scale of 32 bit for each block of 128 x 128 over their number: more than without scales, and
#: less than with one for each 32
_SCALED = (1.0001, 1.01)
#: on what engines run matmuls that the law of the best kernels is too fast for: the first that is made for one
USUAL = (
    "deepgemm-8bit",
    "aiter-8bit",
    "vllm-4bit",
    "deepgemm-experts-8bit",
    "tensorrt-llm-experts-8bit",
    "trtllm-gen-experts-4bit",
)


class Step(NamedTuple):
    """A step's operators, as libraries change them.

    Attributes
    ----------
    operators : ndarray (column, row, point)
    names : tuple of str
        Of the rows.
    alone, group : ndarray (point,)
        Share of the experts' work that no exchange comes before [1], and ranks that share experts [1].
    """

    operators: Array
    names: tuple[str, ...]
    alone: Array
    group: Array


class Run(NamedTuple):
    """A library that runs some matmuls of a step, plain ones or those of experts, and what to say of it."""

    library: KernelLibrary
    plain: bool
    experts: bool
    note: str


def on_usual(inputs: Inputs) -> Inputs:
    """Return inputs whose matmuls run on the libraries of the engine that runs the cluster, else on the ``USUAL`` ones.

    On a chip that varies over axes they keep the law, which is noted.
    """
    found, used = by_libraries(_step(inputs), inputs.cluster, libraries_of(inputs.cluster), vary=inputs.axes.machine)
    if not used:
        return inputs
    table = replace(inputs.table, notes=(*inputs.table.notes, *notes_of(used)))
    if inputs.axes.machine:
        return replace(inputs, table=table)
    said = _said(used, inputs.cluster.software.libraries)
    return replace(inputs, operators=found, by_law=inputs.operators, table=table, said=said)


def notes_of(used: Sequence[Run]) -> list[str]:
    """Return what to say of libraries, each once."""
    return list(dict.fromkeys(each.note for each in used))


def _said(used: Sequence[Run], named: Collection[str]) -> frozenset[str]:
    """Return of which kinds of ``UNSAID_IN_STEP`` it is said whose kernels run: by who names them, or by scales."""
    words: set[str] = set()
    for each in used:
        if each.library.name in named or each.library.blocks:
            words |= {word for word, here in zip(UNSAID_IN_STEP, (each.plain, each.experts), strict=True) if here}
    return frozenset(words)


def libraries_of(cluster: Cluster) -> tuple[KernelLibrary, ...]:
    """Return what matmuls on a cluster may run on, the first that is made for one before others.

    Raises
    ------
    SpecError
        If a library that the cluster's software names is unknown.
    """
    named = dict.fromkeys((*cluster.software.libraries, *USUAL))
    return tuple(load("library", name) for name in named)


def on_library(inputs: Inputs, library: KernelLibrary) -> Inputs:
    """Return inputs whose matmuls at a library's precision take its times, quantisation included.

    Parameters
    ----------
    inputs : Inputs
        As from ``step.prepare``, of one chip.
    library : KernelLibrary
        Comes before those of the engine that runs the cluster, on any architecture.

    Returns
    -------
    Inputs
        With those matmuls stretched; those at other precisions stay, and those of experts where the library neither has
        them nor names one that has.

    Raises
    ------
    SpecError
        If nothing runs at the library's precision, or the chip varies over axes.
    """
    if inputs.axes.machine:
        raise SpecError(f"{library.name} is relative to one chip; leave out the axes {', '.join(inputs.axes.machine)}")
    others = libraries_of(inputs.cluster)
    notes = tuple(note for note in inputs.table.notes if not note.startswith(_NOTED))
    if inputs.by_law is not None:
        inputs = replace(inputs, operators=inputs.by_law, by_law=None, said=frozenset())
    step, asked = _step(inputs), (replace(library, generations=[], blocks=0.0), _anywhere(library))
    if not by_libraries(step, inputs.cluster, asked)[1]:
        raise SpecError(f"{library.name} is for matmuls {_of(library)}, and there are none")
    found, used = by_libraries(step, inputs.cluster, (*asked, *others))
    table = replace(inputs.table, notes=(*notes, *notes_of(used)))
    named = (*inputs.cluster.software.libraries, *(each.name for each in asked))
    return replace(inputs, operators=found, table=table, said=_said(used, named))


def _anywhere(library: KernelLibrary) -> KernelLibrary:
    """Return the library of a framework's experts, the one it names or itself, for any architecture and scales."""
    experts = load("library", library.experts) if library.experts else library
    return replace(experts, generations=[], blocks=0.0)


def _step(inputs: Inputs) -> Step:
    work = inputs.work
    alone, group = (inputs.over_work(value).ravel() for value in (1.0 - exchanged(work), work.ep))
    return Step(inputs.operators, inputs.table.names, alone, group)


#: how notes on libraries begin
_NOTED = "matmuls "


def by_libraries(
    step: Step, cluster: Cluster, libraries: Sequence[KernelLibrary], *, vary: Collection[str] = ()
) -> tuple[Array, list[Run]]:
    """Return operators whose matmuls run each on the first library that is made for it, and which those are.

    Parameters
    ----------
    step : Step
    cluster : Cluster
    libraries : sequence of KernelLibrary
    vary : collection of str
        Axes over which the chip varies: then nothing changes, and what would have is said.

    Returns
    -------
    tuple
        An array as ``step.operators``, and who runs some; those very operators and none where none is made for any.
    """
    columns = dict(zip(Operator._fields, step.operators, strict=True))
    free = (columns["count"] > 0.0) & (columns["integer"] == 0.0)
    scaled = _has_blocks(columns)
    operators: Array = step.operators
    used: list[Run] = []
    for library in libraries:
        if library.generations and not is_of(cluster.device.architecture, library.generations):
            continue
        ours = free & (scaled | (library.blocks == 0.0))
        alone = ours & _is_plain(columns, library)
        grouped = ours & _is_grouped(columns, library)
        if not (alone.any() or grouped.any()):
            continue
        free = free & ~(alone | grouped)
        whose = f"{'matmuls' if alone.any() else 'matmuls of experts'} {_of(library)}"
        by = f"the kernels of {library.framework} ({library.name})"
        note = f"{whose} by {'the law of the best kernels, as the chip varies' if vary else by}"
        used.append(Run(library, bool(alone.any()), bool(grouped.any()), note))
        if vary:
            continue
        operators = operators.copy() if operators is step.operators else operators
        _stretch(operators, columns, step, cluster, library, alone, grouped)
    return operators, used


def _stretch(
    operators: Any, columns: Columns, step: Step, cluster: Cluster, library: KernelLibrary, *which: Any
) -> None:
    """Change the rows that a library runs, plain matmuls and those of experts, and those around them."""
    alone, grouped = map(np.nonzero, which)
    if len(alone[0]):
        m, n, k = (columns[name][alone] for name in ("m", "n", "k"))
        usual, _ = time_columns(matmul(m, n, k, library.bits, weights=library.weights or None), cluster)
        operators[_STRETCH][alone] *= library_times(m, n, k, library, cluster) / usual
        _drop_rounding(operators, step.names, which[0])
    if len(grouped[0]):
        given = {name: values[grouped] for name, values in columns.items() if name not in ("stretch", "count")}
        usual, _ = time_columns(given, cluster)
        operators[_STRETCH][grouped] *= expert_times(given, library, cluster) / usual
        _pass_over(operators, step, library, which[1].any(axis=0))


def _drop_rounding(operators: Any, names: tuple[str, ...], alone: Any) -> None:
    """Take out what rounds activations before matmuls of a library, whose times have it."""
    for place in range(1, len(names)):
        if "_rounding" in names[place - 1]:
            operators[_COUNT][place - 1] *= ~alone[place]


def _has_blocks(columns: Columns) -> Any:
    """Return which matmuls are of weights of 8 bit that have a scale for each block of 128 x 128."""
    weights = np.maximum(columns["groups"] * columns["n"] * columns["k"], 1.0)
    share = columns["weight_bytes"] / weights
    return (columns["bits"] == 8.0) & (share > _SCALED[0]) & (share < _SCALED[1])


def _is_plain(columns: Columns, library: KernelLibrary) -> Any:
    """Return which are matmuls with weights at a library's precision, not of experts."""
    plain = (columns["kind"] == MATMUL) & (columns["bits"] == library.bits) & (columns["groups"] == 1.0)
    return plain & (columns["experts"] == 0.0) & _has_weights(columns, library) & (library.matrix_factor > 0.0)


def _is_grouped(columns: Columns, library: KernelLibrary) -> Any:
    """Return which are matmuls of experts at a library's precision."""
    of_experts = (columns["kind"] == GROUPED) & (columns["experts"] > 0.0) & (columns["narrow"] == 1.0)
    return of_experts & (columns["bits"] == library.bits) & (library.expert_share > 0.0)


def _has_weights(columns: Columns, library: KernelLibrary) -> Any:
    """Return which matmuls have weights as narrow as a library takes them; all where it does not say."""
    narrow: Any = np.asarray(columns["narrow"])
    return (narrow < 1.0) & (plain_bits(narrow * library.bits) == library.weights) | (library.weights == 0.0)


def _of(library: KernelLibrary) -> str:
    if library.weights:
        return f"whose weights alone have {library.weights:g} bit"
    return f"at floats of {library.bits:g} bit"


def _pass_over(operators: Any, step: Step, library: KernelLibrary, where: Any) -> None:
    """Change the rows around the matmuls of experts to what a library's kernels do there (``mlps.passes``)."""
    once = {"expert_gather": library.gathers, "expert_activation": library.activates}
    longer = dict.fromkeys(("expert_gather", "expert_sum"), library.expert_passes)
    # ranks that share experts have all tokens: as many copies lie idle as the others hold
    idle = library.elsewhere * step.alone * (step.group - 1.0) * where
    for place, name in enumerate(step.names):
        row = next((each for each in _AROUND if each in name), "")
        if not row:
            continue
        operators[_COUNT][place] *= np.where(where, once.get(row, 1.0), 1.0)
        operators[_STRETCH][place] *= np.where(where, longer.get(row, 1.0), 1.0)
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
