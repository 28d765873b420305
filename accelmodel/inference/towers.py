"""Rows of vision and audio towers, which run before a prefill; engines cut them over tensor ranks like the layers.

That is how vLLM and SGLang run them by default (``mm_encoder_tp_mode`` "weights"): heads and perceptrons are cut, with
two all-reduces a layer.  Weights are at 16 bit, since quantised files leave towers out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from accelmodel.errors import SpecError
from accelmodel.inference.attention import Heads, grouped_attention
from accelmodel.inference.columns import (
    HIGH_BITS,
    STREAM,
    Row,
    Shard,
    anywhere,
    collective,
    matmul,
)
from accelmodel.inference.rowwise import ACTIVATION_OPS, LOOKED_UP, NORM_OPS, ROTARY_OPS, SWEEPS, blockwise, rowwise
from accelmodel.laws import types
from accelmodel.laws.numeric import Number, ceil
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.tower import Tower
from accelmodel.specs.workload import Workload


def tower_rows(model: LanguageModel, work: Workload, part: Shard) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Yield (name, count, columns) of the towers that a prefill asks, in graph order.

    Raises
    ------
    SpecError
        If images or sound are asked of a model without a tower for them whose shape is known, or in decode.
    """
    for kind, asked, patches in (
        ("vision", work.images, work.image_patches),
        ("audio", work.audio_seconds, 0.0),
    ):
        if not anywhere(asked > 0.0):
            continue
        tower = tower_of(model, kind)
        if work.phase != "prefill":
            raise SpecError(f"{_OPTIONS[kind]} is of a prefill, which runs the tower; leave it out in {work.phase}")
        if kind == "vision":
            pictures, each = part.sequences * asked, patches
        else:
            # sound is cut into segments, each of which sees itself
            frames = asked * tower.frames
            pictures = part.sequences * ceil(frames / tower.window) if tower.window else part.sequences
            each = part.sequences * frames / pictures
        if not anywhere(each > 0.0):
            raise SpecError("images need image_patches: patches of one image; give them, or --image-size")
        yield from _rows(tower, pictures, each, part, kind)


#: kind of tower → what asks for it
_OPTIONS = {"vision": "images (--images)", "audio": "audio_seconds (--audio-seconds)"}


def tower_of(model: LanguageModel, kind: str) -> Tower:
    """Return a model's tower of a kind; SpecError where it has none whose shape is known."""
    for tower in model.tower:
        if tower.kind == kind:
            return tower
    raise SpecError(
        f"{model.name} has no {kind} tower whose shape its file tells; leave {_OPTIONS[kind]} out, or give [[tower]]"
    )


def _rows(
    tower: Tower, pictures: Number, each: Number, part: Shard, kind: str
) -> Iterator[tuple[str, Number, dict[str, Number]]]:
    """Rows of a tower on so many pictures of as many patches each."""
    tokens = pictures * each
    plain = replace(
        part, sequences=pictures, new_tokens=each, tokens=tokens, weight=STREAM, activation=STREAM, kv=STREAM,
        bits=HIGH_BITS,
    )  # fmt: skip
    layers = tower.layers
    yield f"{kind}_embedding", 1.0, matmul(tokens, tower.hidden, tower.inputs, plain)
    for name, columns in _layer(tower, tokens, plain):
        yield f"{kind}_{name}", layers, columns
    for name, count, window in (
        ("attention", layers - tower.window_layers, 0.0),
        ("attention_window", tower.window_layers, tower.window),
    ):
        if count:
            yield f"{kind}_{name}", count, _attention(tower, tokens, each, window, plain)
    # all-reduces after attention and after the perceptron
    reduction = collective(types.ALL_REDUCE, tokens * tower.hidden * STREAM, part.tp)
    yield f"{kind}_all_reduce", 2.0 * layers, reduction
    joined, after = tower.hidden * tower.merged, tokens / tower.merged
    yield f"{kind}_merge", 1.0, matmul(after, plain.cut(joined), joined, plain)
    yield f"{kind}_projection", 1.0, matmul(after, tower.outer, plain.cut(joined), plain)


def _layer(tower: Tower, tokens: Number, part: Shard) -> Iterator[Row]:
    """Rows of a layer but for attention itself."""
    heads = part.cut(tower.attention_heads)
    width = heads * tower.width / tower.attention_heads
    inner = part.cut(tower.inner)
    branches = 2.0 if tower.gate else 1.0
    # two norms, each of which adds to the stream
    moved = 2.0 * STREAM, 2.0 * STREAM, STREAM
    yield "norms", rowwise(tokens, 2.0 * tower.hidden, NORM_OPS, moved, sweeps=2.0 * SWEEPS)
    yield "qkv_projection", matmul(tokens, 3.0 * width, tower.hidden, part)
    yield "rotary", rowwise(tokens, 2.0 * width, ROTARY_OPS, (STREAM, STREAM, 0.0), sweeps=LOOKED_UP)
    yield "output_projection", matmul(tokens, tower.hidden, width, part)
    yield "mlp_up", matmul(tokens, branches * inner, tower.hidden, part)
    yield "mlp_activation", blockwise(tokens * inner, ACTIVATION_OPS, branches * STREAM, STREAM)
    yield "mlp_down", matmul(tokens, tower.hidden, inner, part)


def _attention(tower: Tower, tokens: Number, each: Number, window: Number, part: Shard) -> dict[str, Number]:
    """Columns of attention where each patch sees all of its picture, or of its window."""
    seen = window if window else each
    head = tower.width / tower.attention_heads
    local = replace(part, sequences=tokens / seen, new_tokens=seen)
    heads = part.cut(tower.attention_heads)
    found = grouped_attention(local, Heads(heads, heads, head, head), seen, seen, 0.0, seen)
    # keys and values were made just before
    return {**found, "prefetch_bytes": 0.0}
