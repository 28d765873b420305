"""Rows of layers that keep a fixed state in place of tokens: linear attention, state spaces, recurrences, convolutions.

In decode the state is read, changed and written back (``laws.recurrence``); in a prefill tokens are worked on in
chunks, as matmuls within and between them (chunkwise form: Mamba-2, arXiv 2405.21060, section 6; gated DeltaNet, arXiv
2412.06464, section 3.3).  Of kernels without the delta rule nothing was measured: their chunks are one matmul.
"""

from __future__ import annotations

from collections.abc import Iterator

from accelmodel.inference.columns import HIGH_BITS, STREAM, Row, Shard, matmul, pointwise
from accelmodel.inference.rowwise import ACTIVATION_OPS, gated_norm
from accelmodel.laws import recurrence, types
from accelmodel.laws.numeric import Number, ceil
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Convolution, Linear, Recurrent, StateSpace
from accelmodel.specs.workload import Workload

#: states are kept at this precision, since errors in them add up (Mamba, arXiv 2312.00752, section E) [B]
STATE = 4.0
#: tokens of a chunk of Mamba-2 (its kernels use 64 to 256)
CHUNK = 128.0
#: vector operations per number of the state in decode: forget, write, read
STATE_OPS = 6.0
#: vector operations per number that a convolution over tokens makes: each tap is loaded and masked apart (fitted to the
#: training rows of aiconfigurator-core 0.12.0, all fitted devices together)
CONVOLUTION_OPS = 108.0
#: the same of a token alone, whose tokens before lie apart, three of each channel together: they are walked one by one
#: (fitted to the training rows of decode, all fitted devices together)
STEPPED_OPS = 350.0


def convolution_pass(part: Shard, channels: Number, taps: Number) -> dict[str, Number]:
    """Columns of a depthwise convolution over the tokens before, with its activation; it keeps ``taps`` - 1 of them."""
    kept = part.sequences * channels * (taps - 1.0) * STREAM
    ops = STEPPED_OPS if part.decoding else CONVOLUTION_OPS
    passed = pointwise(part.tokens * channels, ops, STREAM, STREAM)
    return {**passed, "weight_bytes": 2.0 * kept, "prefetch_bytes": kept}


def state_update(part: Shard, heads: Number, key: Number, value: Number) -> dict[str, Number]:
    """Columns of the state's part of a layer without delta rule: heads with ``key`` by ``value`` numbers each."""
    if part.decoding:
        return state_step(part, heads, key, value, STATE_OPS)
    chunks = ceil(part.new_tokens / CHUNK)
    # within a chunk scores and values; between chunks reading and writing
    depth = CHUNK * (key / value + 1.0) + 2.0 * key
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


def state_step(part: Shard, heads: Number, key: Number, value: Number, ops: float) -> dict[str, Number]:
    """Columns of a state that is read, changed by the new tokens and written back.

    After each drafted token, since which of them hold is known after the step.
    """
    numbers = part.sequences * heads * key * value
    return {
        "kind": types.RECURRENCE,
        "groups": part.sequences * heads,
        "m": part.new_tokens,
        "n": value,
        "k": key,
        "weight_bytes": (1.0 + part.new_tokens) * numbers * STATE,
        "prefetch_bytes": numbers * STATE,
        "input_bytes": part.tokens * heads * (2.0 * key + value) * STREAM,
        "output_bytes": part.tokens * heads * value * STREAM,
        "flops": part.new_tokens * numbers * ops,
    }


def delta_update(part: Shard, keys: Number, heads: Number, kind: Linear) -> dict[str, Number]:
    """Columns of the state's part of a layer with the delta rule, ``keys`` key heads and ``heads`` value heads.

    What a key recalls is taken away before its value is written, which within a chunk needs the inverse of the products
    of its keys.  Kernels apart hand on these inverses, keys and values by which states change, and the states.
    """
    key, value = kind.key_dim, kind.value_dim
    gates = part.tokens * heads * key * float(kind.decay > 1.0)
    if part.decoding:
        step = state_step(part, heads, key, value, STATE_OPS + 4.0)
        return {**step, "input_bytes": step["input_bytes"] + gates * STREAM, "vector_ops": gates * STATE_OPS}
    length = recurrence.CHUNK
    rows = part.sequences * heads * ceil(part.new_tokens / length) * length
    handed = 7.0 * key * STREAM + 6.0 * value * STREAM + 12.0 * length + 2.0 * key * value * STREAM / length
    return {
        "kind": types.RECURRENCE,
        "groups": part.sequences * heads,
        "m": part.new_tokens,
        "n": value,
        "k": key,
        "bits": HIGH_BITS,
        "weight_bytes": 2.0 * part.sequences * heads * key * value * STATE,
        "input_bytes": (part.tokens * (2.0 * keys * key + heads * value) + gates) * STREAM,
        "output_bytes": part.tokens * heads * value * STREAM,
        "message_bytes": part.tokens * heads * handed,
        "flops": 2.0 * rows * (length * (3.0 * key + 2.0 * value) + 3.0 * key * value),
        "vector_ops": gates * STATE_OPS,
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
        yield "state_convolution", convolution_pass(part, width, kind.convolution)
    if kind.delta:
        yield "state_update", delta_update(part, keys, values, kind)
    else:
        yield "state_update", state_update(part, values, kind.key_dim, kind.value_dim)
    yield "state_norm", gated_norm(part.tokens * values, kind.value_dim, part)
    yield "output_projection", matmul(part.tokens, model.hidden, values * kind.value_dim, part)


def state_space(kind: StateSpace, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Mamba-2, or Mamba where its steps have a rank (``specs.layer_kinds.StateSpace``)."""
    groups, heads = part.cut(kind.groups), part.cut(kind.heads)
    inner = part.cut(kind.inner) if kind.step_rank else heads * (kind.inner / kind.heads)
    shared = 2.0 * groups * kind.state
    if kind.step_rank:
        yield "state_projection", matmul(part.tokens, 2.0 * inner, model.hidden, part)
        yield "state_convolution", convolution_pass(part, inner, kind.convolution)
        yield "step_down", matmul(part.tokens, kind.step_rank + 2.0 * kind.state, inner, part)
        yield "step_up", matmul(part.tokens, inner, kind.step_rank, part)
        # each channel forgets at rates of its own: a scan, and no matmuls between chunks
        numbers = part.tokens * inner * kind.state
        scan = pointwise(numbers, STATE_OPS, 4.0 * STREAM / float(kind.state), STREAM / float(kind.state))
        state = part.sequences * inner * kind.state * STATE
        yield "state_update", {**scan, "weight_bytes": state, "prefetch_bytes": state}
    else:
        yield "state_projection", matmul(part.tokens, 2.0 * inner + shared + heads, model.hidden, part)
        yield "state_convolution", convolution_pass(part, inner + shared, kind.convolution)
        yield "state_update", state_update(part, heads, kind.state, kind.inner / kind.heads)
        yield "state_norm", gated_norm(part.tokens, inner, part)
    yield "output_projection", matmul(part.tokens, model.hidden, inner, part)


def recurrent(kind: Recurrent, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Gated linear recurrence between two projections, with gates in blocks (Griffin, arXiv 2402.19427, section 2)."""
    width, blocks = part.cut(kind.width), part.cut(kind.blocks)
    block = kind.width / kind.blocks
    yield "state_projection", matmul(part.tokens, 2.0 * width, model.hidden, part)
    yield "state_convolution", convolution_pass(part, width, kind.convolution)
    yield "recurrence_gates", matmul(part.tokens, 2.0 * block, block, part, groups=blocks)
    state = part.sequences * width * STATE
    scan = pointwise(part.tokens * width, STATE_OPS + ACTIVATION_OPS, 3.0 * STREAM, STREAM)
    yield "state_update", {**scan, "weight_bytes": state, "prefetch_bytes": state}
    yield "output_projection", matmul(part.tokens, model.hidden, width, part)


def convolution(kind: Convolution, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Short convolution between two gates (LFM2)."""
    width = part.cut(kind.width)
    yield "state_projection", matmul(part.tokens, 3.0 * width, model.hidden, part)
    yield "state_convolution", convolution_pass(part, width, kind.convolution)
    yield "output_projection", matmul(part.tokens, model.hidden, width, part)
