"""Single operators by their shapes, timed alone, as a micro-benchmark times them in a captured graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelmodel.errors import SpecError
from accelmodel.inference import attention as attentions
from accelmodel.inference import columns as rows_of
from accelmodel.inference.attention import Heads
from accelmodel.inference.axes import Axes, axes_over, machines_over
from accelmodel.inference.calls import PAIR, paired
from accelmodel.inference.columns import Shard
from accelmodel.inference.policies import none
from accelmodel.inference.run import run_kernel
from accelmodel.laws import collectives, types
from accelmodel.laws.types import BOUNDS, DETAIL, Operator
from accelmodel.specs.hardware import Cluster

Columns = Mapping[str, Any]

#: widths of DeepSeek-V2 and V3: latent, rotary and plain part of keys, values (arXiv 2405.04434, section 3.1.2)
LATENT = 512.0
ROPE = 64.0
NOPE = 128.0
VALUE = 128.0
#: collectives of a whole group, by their codes in the laws; a transfer between two devices is none
COLLECTIVES = {
    name: types.COLLECTIVE + place
    for place, name in enumerate(collectives.COLLECTIVES)
    if types.COLLECTIVE + place != types.POINT_TO_POINT
}


def precision(bits: Any, kv_bits: Any = 16.0, weights: Any = None) -> Shard:
    """Return a shard that carries nothing but precisions [bit]; weights as activations where they are not given."""
    weight = bits if weights is None else weights
    sizes = {"weight": weight / 8.0, "activation": bits / 8.0, "kv": kv_bits / 8.0}
    return Shard(1.0, 1.0, 1.0, 1.0, 1.0, **sizes, bits=bits, narrow=np.minimum(weight / bits, 1.0))


def matmul(m: Any, n: Any, k: Any, bits: Any = 16.0, *, weights: Any = None, integer: Any = 0.0) -> Columns:
    """Return the columns of ``C[m, n] = A[m, k] B[k, n]``, B being weights of their own bits or of the same [bit]."""
    return {**rows_of.matmul(m, n, k, precision(bits, weights=weights)), "integer": integer}


def attention(
    phase: str, batch: Any, heads: Any, kv_heads: Any, head_dim: Any, context: Any, *, window: Any = 0.0,
    kv_bits: Any = 16.0,
) -> Columns:  # fmt: skip
    """Return the columns of grouped-query attention over ``context`` tokens, all of them new in prefill.

    Parameters
    ----------
    phase : {"prefill", "decode"}
    batch, heads, kv_heads, head_dim : array_like
        Sequences, query heads, key-value heads, width of a head [1].
    context : array_like
        Tokens of each sequence, the new one included [token].
    window : array_like
        Reach of a sliding window [token]; 0 is none.
    kv_bits : array_like
        Precision of the cache [bit].
    """
    new = 1.0 if phase == "decode" else context
    reach = np.where(np.asarray(window) > 0.0, window, np.inf)
    part = replace(precision(16.0, kv_bits), sequences=batch, new_tokens=new, tokens=batch * new)
    bend = np.minimum(context, reach)
    if phase == "decode":
        keys, read = bend, bend
    else:
        # sum of min(position, window) over the positions, over their number
        keys, read = (bend * (bend + 1.0) / 2.0 + bend * (context - bend)) / context, context
    columns = attentions.grouped_attention(part, Heads(heads, kv_heads, head_dim, head_dim), keys, read, 0.0, bend)
    return {**columns, "sliding": (bend < context) * 1.0}


def latent_attention(phase: str, batch: Any, heads: Any, context: Any, *, kv_bits: Any = 16.0) -> Columns:
    """Return the columns of multi-head latent attention (DeepSeek-V2) over ``context`` tokens, all new in prefill.

    Decode is absorbed and reads the latent cache at ``kv_bits``; prefill computes on expanded keys and values.
    """
    new = 1.0 if phase == "decode" else context
    part = replace(precision(16.0, kv_bits), sequences=batch, new_tokens=new, tokens=batch * new)
    if phase == "decode":
        cache = batch * context * (LATENT + ROPE) * part.kv
        return attentions.absorbed_attention(part, heads, LATENT, ROPE, context, cache)
    expanded = Heads(heads, heads, NOPE + ROPE, VALUE)
    return attentions.expanded_attention(part, expanded, (context + 1.0) / 2.0, batch * context, context)


def collective(kind: str, size: Any, devices: Any) -> Columns:
    """Return the columns of a collective of ``size`` bytes in all [B] over ``devices``."""
    if kind not in COLLECTIVES:
        from accelmodel.errors import unknown

        raise unknown("collective", kind, COLLECTIVES)
    return rows_of.collective(COLLECTIVES[kind], size, devices)


def pointwise(elements: Any, ops: Any, read: Any, written: Any) -> Columns:
    """Return the columns of a memory-bound pass: vector operations and bytes read and written per element."""
    return rows_of.pointwise(elements, ops, read, written)


def time_columns(columns: Columns, cluster: Cluster) -> tuple[Any, Any]:
    """Time operators one by one.

    Parameters
    ----------
    columns : mapping
        Column of ``laws.types.Operator`` → array over rows, or one number for all.
    cluster : Cluster
        Numeric fields may be DataArrays; their axes follow the rows.

    Returns
    -------
    tuple of ndarray (row, *axes of the cluster)
        Times [s], and indices into ``BOUNDS``.
    """
    found = timed(columns, cluster)
    return found.time, found.bound


class Timed(NamedTuple):
    """Times of operators [s], indices into ``BOUNDS`` and ``types.ALGORITHMS``, and the kind of each."""

    time: npt.NDArray[np.float64]
    bound: npt.NDArray[np.float64]
    algorithm: npt.NDArray[np.float64]
    kind: float


def timed(columns: Columns, cluster: Cluster) -> Timed:
    """Time operators of one kind one by one; arrays are (row, *axes of the cluster), see ``time_columns``."""
    given = {**Operator._field_defaults, **columns}
    values = {name: np.atleast_1d(np.asarray(value, dtype=float)) for name, value in given.items()}
    rows = max(value.size for value in values.values())
    if any(value.size not in (1, rows) for value in values.values()):
        raise SpecError("columns of different lengths; give one number or one for each row")
    table = np.zeros((len(Operator._fields), 1, rows))
    for name, value in values.items():
        table[Operator._fields.index(name), 0] = value
    axes = Axes({}, axes_over(cluster, {}))
    _, detail = run_kernel(table, machines_over(cluster, axes), none(), detail=True)
    times, bounds, algorithms = (
        detail[DETAIL.index(name), 0].reshape(rows, *axes.shape) for name in ("time", "bound", "algorithm")
    )
    return Timed(times, bounds, algorithms, float(values["kind"][0]))


def exchanged(columns: Columns, cluster: Cluster, ranks: Any) -> Timed:
    """Time collectives over groups of each size, of which some may be too large for an engine's own kernels."""
    few, many = (timed(columns, paired(cluster, most)) for most in (1.0, np.inf))
    large = (np.broadcast_to(ranks, len(few.time)) > PAIR).reshape(-1, *[1] * (few.time.ndim - 1))
    found = few._replace(time=np.where(large, many.time, few.time), bound=np.where(large, many.bound, few.bound))
    return found._replace(algorithm=np.where(large, many.algorithm, few.algorithm))


def bound_names(bounds: Any) -> Any:
    """Return the words for indices into ``BOUNDS``."""
    return np.array(BOUNDS)[np.asarray(bounds, dtype=int)]


def algorithm_names(algorithms: Any) -> Any:
    """Return the words for indices into ``types.ALGORITHMS``; none below 0."""
    codes = np.asarray(algorithms, dtype=int)
    return np.array([*types.ALGORITHMS, "none"])[np.where(codes < 0, len(types.ALGORITHMS), codes)]
