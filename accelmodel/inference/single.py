"""Single operators on a device: matmuls, attention of one layer, collectives; with the interval of each.

What the step model times within a step, timed alone, as a micro-benchmark times it in a captured graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack

import numpy as np

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.inference import operator_time
from accelmodel.inference.attributes import behind, json_value, on_cluster, parts_of, uneven_groups
from accelmodel.inference.axes import axes_of, carried, with_coordinates
from accelmodel.inference.calls import USUAL_LAUNCH, called, callers_note, extremes, measured_as, paths_note
from accelmodel.inference.figures import Figures, Variable
from accelmodel.inference.intervals import factors, kind_of
from accelmodel.inference.kernel_library import library_times
from accelmodel.inference.machine import machine
from accelmodel.inference.named import ClusterLike, as_cluster
from accelmodel.inference.shapes import Grid, grid
from accelmodel.laws.numeric import has_axes
from accelmodel.specs.base import Spec
from accelmodel.specs.cloud import KernelLibrary
from accelmodel.specs.formats import Bits, Words, bits_of, plain_bits, worked
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.load import load
from accelmodel.specs.quantities import Quantity, Values, one
from accelmodel.specs.workload import Phase

if TYPE_CHECKING:
    import xarray as xr

#: collectives, as type checkers know them; ``operator_time.COLLECTIVES`` has their codes
Kind: TypeAlias = Literal["all-reduce", "all-gather", "reduce-scatter", "all-to-all"]
#: who calls collectives and how, as type checkers know them; ``specs.link`` has the words
Caller: TypeAlias = Literal["", "engine", "symmetric-memory", "library"]
Launch: TypeAlias = Literal["", "graph", "eager"]
_BITS = Quantity(ge=1.0, le=64.0)
PRECISIONS = (16.0, 8.0, 6.0, 4.0)
#: formats of libraries' own matmuls
_OF_LIBRARIES = {8.0: "fp8", 4.0: "nvfp4"}
#: what the shape of an attention is where nothing is said: a layer of Llama-3-8B
_ATTENTION = {
    "batch": 1.0, "heads": 32.0, "kv_heads": 8.0, "head_dim": 128.0, "context": 4096.0, "window": 0.0, "kv_bits": 16.0,
}  # fmt: skip


class AttentionShape(TypedDict, total=False):
    """What is asked of one attention; see ``attention``."""

    batch: Values
    heads: Values
    kv_heads: Values
    head_dim: Values
    context: Values
    window: Values
    kv_bits: float


def _figures(
    found: operator_time.Timed,
    grid: Grid,
    chip: Cluster,
    ends: tuple[Any, Any],
    about: dict[str, Any],
    longer: Any = 1.0,
) -> Figures:
    """Put names, interval and attributes on times of operators; axes of the cluster follow those of the grid."""
    over = axes_of(list(machine(chip).values()), grid.axes)
    axes = {**grid.axes, **over}
    shape = tuple(len(labels) for labels in axes.values())

    def of(values: Any) -> Variable:
        return tuple(axes), np.asarray(values).reshape(shape)

    low, high = ends
    variables = {
        "time": of(found.time * longer),
        "lower": of(found.time * low * longer),
        "upper": of(found.time * high * longer),
        "bound": of(operator_time.bound_names(found.bound)),
        "algorithm": of(operator_time.algorithm_names(found.algorithm)),
    }
    specs: dict[str, Spec] = {**parts_of(chip), **about.pop("parts", {})}
    asked = {name: value if isinstance(value, str) else json.dumps(json_value(value)) for name, value in about.items()}
    return Figures(variables, axes, {**behind(specs), **on_cluster(chip), **asked})


def _dataset(found: Figures, chip: Cluster, *sizes: Any) -> xr.Dataset:
    """Return figures with units, and with what their caller put on the axes of sizes and cluster."""
    labelled = (value for value in sizes if has_axes(value))
    extra = {str(name): coord for value in labelled for name, coord in value.coords.items()}
    result = found.dataset().assign_coords(extra)
    return with_coordinates(result, carried(chip.device, chip.link, chip.scale_out))


def matmul(
    cluster: ClusterLike,
    *,
    m: Values,
    n: Values,
    k: Values,
    bits: float | str = 16.0,
    library: str | KernelLibrary | None = None,
) -> xr.Dataset:
    """Time matmuls ``C[m, n] = A[m, k] B[k, n]`` whose operands lie in HBM.

    Parameters
    ----------
    cluster : str, Device or Cluster
        Whose device runs them; its fields may be labelled axes.
    m, n, k : float
        Rows, columns and depth [1]; a list or an array is an axis of that name.
    bits : {16, 8, 6, 4} or str
        Precision of both operands [bit], or their format by its name (``"fp8"``, ``"int8"`` …): a number takes the
        fastest that the chip has at it.  The result is at 16 bit.
    library : str or KernelLibrary, optional
        A framework's own 8 or 4 bit matmuls, such as ``"vllm-8bit"``: at its precision, with the quantisation of their
        activations.  What bounds them is told of the matmul by the law.

    Returns
    -------
    xarray.Dataset
        Over the axes: ``time`` [s], ``lower`` and ``upper`` [s], between which nine tenths of measured times lie,
        ``bound``: compute, hbm, l2 or latency; ``algorithm``: none.

    Raises
    ------
    SpecError
        If a name is unknown, a size is not above 0, or the precision is not modelled.

    Notes
    -----
    The law is that of ``laws.matmul``: tiles in waves over the cores, the longer of computing and fetching, and a share
    of the shorter.  Sizes are taken as given; kernels that a library chooses anew for each shape step where this does
    not.

    Examples
    --------
    >>> found = matmul("h100-sxm", m=[1, 4096], n=4096, k=4096)
    >>> found.bound.values.tolist()
    ['hbm', 'compute']
    """
    chip = as_cluster(cluster)
    return _dataset(matmul_figures(chip, m, n, k, bits, library), chip, m, n, k)


def matmul_figures(
    chip: Cluster,
    m: Values,
    n: Values,
    k: Values,
    bits: float | str = 16.0,
    library: str | KernelLibrary | None = None,
) -> Figures:
    """Return the numbers of ``matmul``, which needs xarray, without it."""
    own = load("library", library) if isinstance(library, str) else library
    if own is not None and not isinstance(own, KernelLibrary):
        raise SpecError(f"library must be a name, a path as text or load('library', name), not {brief(library)}")
    given = bits_of(bits)
    memory = one("bits", given, _BITS)
    width = float(plain_bits(memory)) if isinstance(given, Bits) else memory
    if own and width not in (own.bits, own.weights, PRECISIONS[0]):
        has = own.weights or own.bits
        raise SpecError(f"bits {width:g}: the matmuls of {own.name} have {has:g} bit; leave one of them out")
    width, memory = (float(own.bits), float(own.weights or own.bits)) if own else (width, memory)
    if width not in PRECISIONS:
        raise SpecError(f"bits {width:g}: matmuls are modelled at 16, 8, 6 and 4 bit; give one of them, or a format")
    sizes = grid(m=m, n=n, k=k)
    sizes.above_zero("m", "n", "k")
    rows, columns, depth = (sizes.flat(name) for name in ("m", "n", "k"))
    word = given.word if isinstance(given, Bits) else _OF_LIBRARIES.get(width, "") if own else ""
    worked_at = worked(width, width, Words(word), chip.device.compute)
    asked = operator_time.matmul(rows, columns, depth, worked_at.bits, weights=memory, integer=worked_at.integer)
    found = operator_time.timed(asked, chip)
    about: dict[str, Any] = {"bits": width, "matrix": worked_at.names[width]}
    longer: Any = 1.0
    if own:
        # the interval is longer by as much
        longer = library_times(rows, columns, depth, own, chip) / found.time
        about |= {"library": own.name, "parts": {"library": own}}
    return _figures(found, sizes, chip, _ends(chip, found, bits=width), about, longer)


def _ends(chip: Cluster, found: operator_time.Timed, **asked: Any) -> tuple[float, float]:
    """Return the factors of the interval of operators of one kind."""
    low, high = factors(chip, **asked)[int(kind_of(found.kind))]
    return low, high


def attention(cluster: ClusterLike, phase: Phase = "decode", **shape: Unpack[AttentionShape]) -> xr.Dataset:
    """Time the attention of one layer, grouped queries or not.

    Parameters
    ----------
    cluster : str, Device or Cluster
        Whose device runs it; its fields may be labelled axes.
    phase : {"decode", "prefill"}
        One new token of each sequence, or all of them.
    batch : float
        Sequences [1]; 1 by default.  Of this and the following, a list or an array is an axis of that name.
    heads, kv_heads, head_dim : float
        Query heads and key-value heads on the device, and width of a head [1]; 32, 8 and 128 by default.
    context : float
        Tokens of each sequence, the new one included [token]; 4096 by default.
    window : float
        Reach of a sliding window [token]; 0, the default, is none.
    kv_bits : float
        Precision of the cache [bit]; 16 by default.

    Returns
    -------
    xarray.Dataset
        As ``matmul``.

    Raises
    ------
    SpecError
        If a name is unknown or a value not allowed.

    Notes
    -----
    The law is that of ``laws.attention``; masks other than causal and sliding, and pages of the cache that a kernel
    walks through, are left out.

    Examples
    --------
    >>> found = attention("h100-sxm", batch=8, context=[1024, 8192])
    >>> found.time.dims, found.bound.values.tolist()[-1]
    (('context',), 'hbm')
    """
    chip = as_cluster(cluster)
    return _dataset(attention_figures(chip, phase, shape), chip, *shape.values())


def attention_figures(chip: Cluster, phase: str, shape: Mapping[str, Any]) -> Figures:
    """Return the numbers of ``attention``, which needs xarray, without it."""
    if str(phase) not in ("prefill", "decode"):
        raise unknown("phase", phase, ("prefill", "decode"))
    for name in shape:
        if name not in _ATTENTION:
            raise unknown("size of an attention", name, _ATTENTION)
    asked: dict[str, Any] = {**_ATTENTION, **shape}
    kv_bits = one("kv_bits", asked.pop("kv_bits"), _BITS)
    sizes = grid(**asked)
    sizes.above_zero("batch", "heads", "kv_heads", "head_dim", "context")
    batch, heads, kv_heads, head_dim, context, window = map(sizes.flat, asked)
    if (heads % kv_heads).any():
        at = int(np.argmax(heads % kv_heads))
        raise SpecError(f"heads {heads[at]:g} must be a multiple of kv_heads {kv_heads[at]:g}; change one of them")
    columns = operator_time.attention(
        phase, batch, heads, kv_heads, head_dim, context, window=window, kv_bits=kv_bits
    )  # fmt: skip
    found = operator_time.timed(columns, chip)
    about = {
        "phase": phase,
        "kv_bits": float(kv_bits),
        "shape": json.dumps({n: json_value(v) for n, v in asked.items()}),
    }
    return _figures(found, sizes, chip, _ends(chip, found, phase=phase, kv_bits=float(kv_bits)), about)


#: collective → bytes that each device must send, over those of the message and (n - 1) / n
_SENT = {"all-reduce": 2.0}


def collective(
    cluster: ClusterLike,
    *,
    size: Values,
    kind: Kind = "all-reduce",
    devices: Values | None = None,
    by: Caller = "",
    launch: Launch = "",
) -> xr.Dataset:
    """Time collectives by the fastest algorithm that the software which calls them offers.

    Parameters
    ----------
    cluster : str, Device or Cluster
        Whose links carry it; fields of the links may be labelled axes.
    size : float
        Bytes of the whole message [B]; a list or an array is an axis.
    kind : {"all-reduce", "all-gather", "reduce-scatter", "all-to-all"}
    devices : float, optional
        Devices that take part [1]; all of the cluster by default.  A list or an array is an axis.
    by : {"library", "engine", "symmetric-memory"}, optional
        Whose kernels send small messages: the vendor's library, which is the default, a serving engine, or an engine by
        way of a memory that all devices see (as vLLM behind switches that add up).
    launch : {"graph", "eager"}, optional
        From a captured graph, the default, or one by one by the host.

    Returns
    -------
    xarray.Dataset
        As ``matmul``; ``algorithm`` is the one taken, and ``busbw`` the bus bandwidth as nccl-tests count it [B/s]:
        bytes that each device must send, over the time.  Where ``by`` or ``launch`` is left out, ``lower`` and
        ``upper`` hold what it may be.

    Raises
    ------
    SpecError
        If a name or the kind is unknown, a size is not above 0, or fewer than two devices take part.

    Notes
    -----
    The laws are those of ``laws.collectives``: latency, start-up and bandwidth of each algorithm, between nodes where
    the devices are more than a node's.  Contention of other traffic is left out.

    Examples
    --------
    >>> found = collective("h100-sxm", size=[1e4, 1e9], devices=8)
    >>> found.bound.values.tolist()
    ['latency', 'link']
    """
    chip = as_cluster(cluster)
    taking_part = chip.devices if devices is None else devices
    figures = collective_figures(called(chip, by, launch), size, kind, taking_part)
    return _dataset(figures, chip, size, taking_part)


def collective_figures(chip: Cluster, size: Values, kind: str, devices: Any) -> Figures:
    """Return the numbers of ``collective``, which needs xarray, without it, as the cluster's are called."""
    if str(kind) not in operator_time.COLLECTIVES:
        raise unknown("collective", kind, operator_time.COLLECTIVES)
    sizes = grid(size=size, devices=devices)
    sizes.above_zero("size")
    least = float(sizes.sizes["devices"].min())
    if least < 2.0:
        raise SpecError(f"devices {least:g}: a collective needs at least 2")
    message, ranks = sizes.flat("size"), sizes.flat("devices")
    columns = operator_time.collective(kind, message, ranks)
    fast, slow = extremes(chip)
    usual = chip if chip.link.by else called(chip, "library")
    found = operator_time.exchanged(columns, usual, ranks)
    varies = sizes.varies["devices"]
    shown = f"varies over {', '.join(varies)}" if varies else str(least)
    ends = (operator_time.exchanged(columns, each, ranks).time / found.time for each in (fast, slow))
    own = _ends(chip, found, collective=measured_as(usual.link, kind), ranks=float(ranks.max()))
    low, high = (factor * end for factor, end in zip(own, ends, strict=True))
    calls = {"by": usual.link.by, "launch": usual.link.launch or USUAL_LAUNCH}
    figures = _figures(found, sizes, chip, (low, high), {"kind": kind, "devices": shown, **calls})
    said = collective_notes(chip, ranks, kind)
    notes = "; ".join(filter(None, [figures.attributes["notes"], *said]))
    figures = replace(figures, attributes={**figures.attributes, "notes": notes})
    sent = _SENT.get(kind, 1.0) * (ranks - 1.0) / ranks * message
    axes, time = figures.variables["time"]
    busbw = sent.reshape(-1, *[1] * (found.time.ndim - 1)) / found.time
    return replace(figures, variables={**figures.variables, "busbw": (axes, busbw.reshape(time.shape))})


def collective_notes(chip: Cluster, ranks: Any, kind: str = "all-reduce") -> list[str]:
    """Return what is said of collectives beside the notes on their device: groups, paths and kernels that it takes."""
    calls = (*paths_note(chip, ranks), *callers_note(chip, ranks, kind))
    return [*uneven_groups(chip, {"devices": ranks}, ranks), *calls]
