"""Rows of layers that keep a fixed state in place of tokens: linear attention, state spaces, recurrences, convolutions.

In decode the state is read, changed and written back; in a prefill tokens are worked on in chunks, as matmuls within
and between them (chunkwise form: Mamba-2, arXiv 2405.21060, section 6; gated DeltaNet, arXiv 2412.06464, section 3.3).
"""

from __future__ import annotations

from collections.abc import Iterator

from accelmodel.inference.columns import (
    ACTIVATION_OPS,
    HIGH_BITS,
    ROTARY_OPS,
    STREAM,
    Row,
    Shard,
    anywhere,
    matmul,
    pointwise,
)
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, ceil
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Convolution, Linear, Recurrent, StateSpace
from accelmodel.specs.workload import Workload

#: states are kept at this precision, since errors in them add up (Mamba, arXiv 2312.00752, section E) [B]
STATE = 4.0
#: tokens of a chunk (flash-linear-attention and Mamba-2 use 64 to 256)
CHUNK = 128.0
#: vector operations per number of the state in decode: forget, write, read
STATE_OPS = 6.0


def _convolution(tokens: Number, channels: Number, taps: Number) -> dict[str, Number]:
    """Depthwise convolution over the tokens before, with its activation."""
    return pointwise(tokens * channels, 2.0 * float(taps) + ACTIVATION_OPS, STREAM, STREAM)


def state_update(part: Shard, heads: Number, key: Number, value: Number, delta: bool) -> dict[str, Number]:
    """Columns of the state's part of a layer: heads with a matrix of ``key`` by ``value`` numbers each.

    With the delta rule what a key recalls is taken away before its value is written.
    """
    numbers = part.sequences * heads * key * value
    if part.decoding or not anywhere(part.new_tokens > 1.0):
        # the state after each drafted token is kept: which of them holds is known after the step
        columns = pointwise(numbers * part.new_tokens, STATE_OPS + (4.0 if delta else 0.0), 0.0, STATE, numbers * STATE)
        return {**columns, "prefetch_bytes": numbers * STATE}
    chunks = ceil(part.new_tokens / CHUNK)
    # within a chunk scores and values, with the delta rule also the keys' inverse; between chunks reading and writing
    inside = CHUNK * (key / value + 1.0) * (2.0 if delta else 1.0)
    depth = inside + 2.0 * key
    groups = part.sequences * heads * chunks
    passed = part.tokens * heads * (2.0 * key + 2.0 * value) * STREAM
    return {
        "kind": types.MATMUL,
        "groups": groups,
        "m": CHUNK,
        "n": value,
        "k": depth,
        "bits": HIGH_BITS,
        "weight_bytes": 0.0,
        "input_bytes": passed + groups * key * value * STATE,
        "output_bytes": part.tokens * heads * value * STREAM,
        "flops": 2.0 * groups * CHUNK * value * depth,
    }


def linear(kind: Linear, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Linear attention with a gated output (``specs.layer_kinds.Linear``)."""
    values, keys = part.cut_groups(kind.value_heads, kind.key_heads)
    width = 2.0 * keys * kind.key_dim + values * kind.value_dim
    gate = values * kind.value_dim if kind.output_gate and not kind.gate_rank else 0.0
    # with the delta rule a value head has a number that says how much is written
    scalars = values * (kind.delta * 1.0) + (0.0 if kind.decay_rank else part.cut(kind.value_heads * kind.decay))
    yield "state_projection", matmul(part.tokens, width + gate + scalars, model.hidden, part)
    for name, rank, columns in (
        ("decay", kind.decay_rank, values * kind.key_dim),
        ("gate", kind.gate_rank, values * kind.value_dim),
    ):
        if rank:
            yield f"{name}_down", matmul(part.tokens, rank, model.hidden, part)
            yield f"{name}_up", matmul(part.tokens, columns, rank, part)
    if kind.convolution:
        yield "state_convolution", _convolution(part.tokens, width, kind.convolution)
    yield "state_update", state_update(part, values, kind.key_dim, kind.value_dim, kind.delta)
    yield "state_norm", pointwise(part.tokens * values * kind.value_dim, ROTARY_OPS, 2.0 * STREAM, part.activation)
    yield "output_projection", matmul(part.tokens, model.hidden, values * kind.value_dim, part)


def state_space(kind: StateSpace, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Mamba-2, or Mamba where its steps have a rank (``specs.layer_kinds.StateSpace``)."""
    groups, heads = part.cut(kind.groups), part.cut(kind.heads)
    inner = part.cut(kind.inner) if kind.step_rank else heads * (kind.inner / kind.heads)
    shared = 2.0 * groups * kind.state
    if kind.step_rank:
        yield "state_projection", matmul(part.tokens, 2.0 * inner, model.hidden, part)
        yield "state_convolution", _convolution(part.tokens, inner, kind.convolution)
        yield "step_down", matmul(part.tokens, kind.step_rank + 2.0 * kind.state, inner, part)
        yield "step_up", matmul(part.tokens, inner, kind.step_rank, part)
        # each channel forgets at rates of its own: a scan, and no matmuls between chunks
        numbers = part.tokens * inner * kind.state
        scan = pointwise(numbers, STATE_OPS, 4.0 * STREAM / float(kind.state), STREAM / float(kind.state))
        state = part.sequences * inner * kind.state * STATE
        yield "state_update", {**scan, "weight_bytes": state, "prefetch_bytes": state}
    else:
        yield "state_projection", matmul(part.tokens, 2.0 * inner + shared + heads, model.hidden, part)
        yield "state_convolution", _convolution(part.tokens, inner + shared, kind.convolution)
        yield "state_update", state_update(part, heads, kind.state, kind.inner / kind.heads, False)
        yield "state_norm", pointwise(part.tokens * inner, ROTARY_OPS, 2.0 * STREAM, part.activation)
    yield "output_projection", matmul(part.tokens, model.hidden, inner, part)


def recurrent(kind: Recurrent, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Gated linear recurrence between two projections, with gates in blocks (Griffin, arXiv 2402.19427, section 2)."""
    width, blocks = part.cut(kind.width), part.cut(kind.blocks)
    block = kind.width / kind.blocks
    yield "state_projection", matmul(part.tokens, 2.0 * width, model.hidden, part)
    yield "state_convolution", _convolution(part.tokens, width, kind.convolution)
    yield "recurrence_gates", matmul(part.tokens, 2.0 * block, block, part, groups=blocks)
    state = part.sequences * width * STATE
    scan = pointwise(part.tokens * width, STATE_OPS + ACTIVATION_OPS, 3.0 * STREAM, STREAM)
    yield "state_update", {**scan, "weight_bytes": state, "prefetch_bytes": state}
    yield "output_projection", matmul(part.tokens, model.hidden, width, part)


def convolution(kind: Convolution, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Short convolution between two gates (LFM2)."""
    width = part.cut(kind.width)
    yield "state_projection", matmul(part.tokens, 3.0 * width, model.hidden, part)
    yield "state_convolution", _convolution(part.tokens, width, kind.convolution)
    yield "output_projection", matmul(part.tokens, model.hidden, width, part)
