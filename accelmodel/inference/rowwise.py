"""Columns of operators that work row by row, a core a row: norms, activations, rotary embedding, softmax, rounding."""

from __future__ import annotations

from collections.abc import Iterator

from accelmodel.inference.columns import STREAM, Row, Shard, anywhere, pointwise
from accelmodel.laws import types
from accelmodel.laws.elementwise import PLAIN
from accelmodel.laws.numeric import Number, has_axes, most
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons

#: vector operations per element of a norm, an activation, a rotary embedding, a rounding, a sampling pass
NORM_OPS = 6.0
ACTIVATION_OPS = 10.0
ROTARY_OPS = 6.0
QUANTISE_OPS = 3.0
SAMPLE_OPS = 3.0
#: the same of a softmax by itself, each instruction counted as the multiply-add that it takes the place of: in each of
#: three sweeps a conversion and a comparison or a sum, two exponentials of 10 instructions each, a division of 9
SOFTMAX_OPS = 75.0
#: sweeps of a norm; of a softmax; of what first reads where its rows are: angles by position, tables by token
SWEEPS = 2.0
SOFTMAX_SWEEPS = 3.0
LOOKED_UP = 2.0
#: rows of up to so many elements are worked on by a part of a core's threads each, so many beside each other
SHORT, TOGETHER = 1024.0, 16.0
#: elements of a block of threads, which those are dealt out to that no row holds together
BLOCK = 2048.0
#: matmuls whose activations no kernel before them rounds
_AS_THEY_ARE = ("expert_up", "router", "absorb", "expand_cache")
#: a softmax of such a row keeps it in registers
SHORT_SWEEPS = 2.0


def rowwise(
    rows: Number, width: Number, ops: float, moved: tuple[Number, Number, Number], *, sweeps: Number = 1.0,
    plain: bool = False,
) -> dict[str, Number]:  # fmt: skip
    """Columns of an operator that works row by row: per element bytes read, written and read again by later sweeps.

    Parameters
    ----------
    rows, width : float
        Rows, and elements of each [1].
    ops : float
        Vector operations per element [FLOP].
    moved : tuple of float
        Bytes per element [B].
    sweeps : float
        Over each row, one after another [1].
    plain : bool
        Whether its kernel loads a value at a time.
    """
    read, written, again = moved
    short = (width <= SHORT) * 1.0
    return {
        **pointwise(rows * width, ops, read, written),
        "kind": types.ROW,
        "groups": most(rows / (1.0 + short * (TOGETHER - 1.0)), 1.0),
        "n": sweeps,
        "m": PLAIN if plain else 1.0,
        "message_bytes": rows * width * again,
    }


def blockwise(elements: Number, ops: float, read: Number, written: Number) -> dict[str, Number]:
    """Columns of an operator whose elements are dealt out in blocks, as no row holds them together."""
    return rowwise(elements / BLOCK, BLOCK, ops, (read, written, 0.0))


def norms(model: LanguageModel) -> Number:
    """Return how many norms stand before a part of a layer [1]."""
    if model.parallel:
        return model.norms_per_layer * model.layers / sum(kind.layers for kind in mixers(model))
    if model.attention or model.mlp:
        # layers may have one part alone, or more than two: their norms are spread over the parts
        parts = sum(kind.layers for kind in (*mixers(model), *perceptrons(model)))
        return model.norms_per_layer * model.layers / parts
    return model.norms_per_layer / 2.0


def norm(model: LanguageModel, part: Shard) -> dict[str, Number]:
    """Residual addition and norm in one pass: reads both, writes the sum and the normed copy.

    Where the addition is a kernel of its own (``norm_rows``), the norm reads the sum and writes the copy alone.
    """
    passes, plain = norms(model), part.runs_apart("norm")
    read, written = (STREAM, part.handed) if plain else (2.0 * STREAM, STREAM + part.handed)
    moved = read, written, STREAM
    return rowwise(part.tokens, model.hidden * passes, NORM_OPS, moved, sweeps=SWEEPS * passes, plain=plain)


def norm_rows(prefix: str, model: LanguageModel, part: Shard) -> Iterator[Row]:
    """Rows of a norm before a part of a layer: the residual addition where it is a kernel of its own, and the norm."""
    if part.runs_apart("norm"):
        yield f"{prefix}_addition", pointwise(part.tokens * model.hidden, 1.0, 2.0 * STREAM, STREAM)
    yield f"{prefix}_norm", norm(model, part)


def normed_again(rows: Number, width: Number, part: Shard) -> dict[str, Number]:
    """Norm within a layer, of heads or of a latent vector, which nothing is added to."""
    moved = STREAM, STREAM, STREAM
    return rowwise(rows, width, NORM_OPS, moved, sweeps=SWEEPS, plain=part.runs_apart("norm"))


def gated_norm(rows: Number, width: Number, part: Shard) -> dict[str, Number]:
    """Norm of what a state gives, times its gate."""
    moved = 2.0 * STREAM, part.handed, STREAM
    return rowwise(rows, width, ROTARY_OPS, moved, sweeps=SWEEPS, plain=part.runs_apart("norm"))


def activation_rows(prefix: str, tokens: Number, width: Number, gated: bool, part: Shard) -> Iterator[Row]:
    """Rows of the activation function of a perceptron, times its other branch where it has one: one kernel, or two."""
    branches, numbers = 2.0 if gated else 1.0, tokens * width
    if not part.runs_apart("activation"):
        yield f"{prefix}_activation", blockwise(numbers, ACTIVATION_OPS, branches * STREAM, part.handed)
        return
    yield f"{prefix}_activation", pointwise(numbers, ACTIVATION_OPS, STREAM, STREAM if gated else part.handed)
    if gated:
        yield f"{prefix}_product", pointwise(numbers, 1.0, 2.0 * STREAM, part.handed)


def rotary_rows(tokens: Number, turned: Number, cached: Number, part: Shard, *, normed: bool = False) -> Iterator[Row]:
    """Rows of the rotary embedding of so many numbers a token, and of what it writes to the cache: one kernel, or two.

    Queries and keys may be ``normed`` first, in the same kernel; where norms run apart, that is ``normed_again``.
    """
    apart = part.runs_apart("rotary")
    ops, again, sweeps = (ROTARY_OPS + NORM_OPS, STREAM, LOOKED_UP + 1.0) if normed else (ROTARY_OPS, 0.0, LOOKED_UP)
    moved = STREAM, STREAM if apart else part.kv, again
    yield "rotary_and_cache", rowwise(tokens, turned, ops, moved, sweeps=sweeps, plain=apart)
    if apart:
        yield "cache_write", pointwise(tokens * cached, 1.0, STREAM, part.kv)


def rounding_rows(rows: Iterator[Row], part: Shard) -> Iterator[Row]:
    """Rows with a kernel before each matmul that rounds its activations, where an engine has such kernels.

    Copies of tokens are rounded as they are gathered, or sent, for their experts; products of heads and of a router are
    of what is not rounded, or was for another matmul.
    """
    for name, columns in rows:
        kind = columns["kind"]
        rounded = not has_axes(kind) and kind in types.PRODUCTS and not name.startswith(_AS_THEY_ARE)
        if rounded and part.runs_apart("quantise"):
            k = columns["k"]
            # not of all rows of tiles, which may be padded
            tokens = columns["flops"] / (2.0 * columns["n"] * k)
            width = columns["input_bytes"] / (tokens * k)
            narrow = (width < STREAM) * (columns["weight_bytes"] > 0.0) * 1.0
            if anywhere(narrow > 0.0):
                rounding = rowwise(tokens, k, QUANTISE_OPS, (STREAM, width, 0.0))
                yield f"{name}_rounding", {**rounding, "count": narrow}
        yield name, columns


def softmax(rows: Number, width: Number, written: Number) -> dict[str, Number]:
    """Softmax by itself: sweeps for the largest value, the sum and the shares; two where a row stays in registers."""
    short = (width <= SHORT) * 1.0
    sweeps = SOFTMAX_SWEEPS - short * (SOFTMAX_SWEEPS - SHORT_SWEEPS)
    return rowwise(rows, width, SOFTMAX_OPS, (STREAM, written, (sweeps - 1.0) * STREAM), sweeps=sweeps)
