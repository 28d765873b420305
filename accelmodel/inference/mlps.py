"""Rows of what works on each token alone: perceptrons, and mixtures of experts with the exchange around them."""

from __future__ import annotations

from collections.abc import Iterator

from accelmodel.inference.columns import ACTIVATION_OPS, STREAM, Row, Shard, ceil_div, collective, matmul, pointwise
from accelmodel.laws import types
from accelmodel.laws.numeric import Number
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Dense, Experts
from accelmodel.specs.workload import Workload


def perceptron(
    prefix: str, tokens: Number, width: Number, gated: bool, model: LanguageModel, part: Shard
) -> Iterator[Row]:
    """Two-layer mlp, gated (SwiGLU, arXiv 2002.05202) or not."""
    branches = 2.0 if gated else 1.0
    yield f"{prefix}_up", matmul(tokens, branches * width, model.hidden, part)
    yield f"{prefix}_activation", pointwise(tokens * width, ACTIVATION_OPS, branches * STREAM, part.activation)
    yield f"{prefix}_down", matmul(tokens, model.hidden, width, part)


def dense(kind: Dense, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Perceptron, its columns cut over the tensor ranks."""
    if kind.receptance:
        yield "mlp_receptance", matmul(part.tokens, part.cut(model.hidden), model.hidden, part.at("mlp"))
    yield from perceptron("mlp", part.tokens, part.cut(kind.width), kind.gated, model, part.at("mlp"))


def active_experts(tokens: Number, kind: Experts, held: Number) -> Number:
    """Return how many of the ``held`` experts get a token at all, on average, with uniform routing."""
    return held * (1.0 - (1.0 - kind.used / kind.experts) ** tokens)


def _routed(kind: Experts, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Routed experts on one device.  Their weights cannot be prefetched: the router decides which are needed."""
    group = work.tp * work.dp
    held = kind.experts / work.ep
    width = ceil_div(kind.width, group / work.ep)
    tokens = part.tokens * work.dp
    active = active_experts(tokens, kind, held)
    rows = tokens * kind.used / kind.experts * held / active
    branches = 2.0 if kind.gated else 1.0
    hidden = kind.latent or model.hidden
    late = {"groups": active, "prefetch_bytes": 0.0}
    yield "expert_up", matmul(rows, branches * width, hidden, part, **late)
    yield "expert_activation", pointwise(active * rows * width, ACTIVATION_OPS, branches * STREAM, part.activation)
    yield "expert_down", matmul(rows, hidden, width, part, **late)


def experts(kind: Experts, model: LanguageModel, work: Workload, part: Shard) -> Iterator[Row]:
    """Router, shared experts, and routed experts; with data-parallel attention, tokens travel to them."""
    if kind.dense_width:
        yield from perceptron("mlp", part.tokens, part.cut(kind.dense_width), kind.gated, model, part.at("mlp"))
    yield "router", matmul(part.tokens, kind.experts, model.hidden, part.at("router"))
    if kind.shared:
        width = part.cut(kind.shared * kind.shared_width)
        yield from perceptron("shared_expert", part.tokens, width, kind.gated, model, part.at("shared_experts"))
    if kind.latent:
        yield "expert_entry", matmul(part.tokens, kind.latent, model.hidden, part.at("experts"))
    yield "dispatch", exchange(kind, model, work, part, types.ALL_GATHER, collective(types.ALL_TO_ALL, 0.0, 1.0))
    yield from _routed(kind, model, work, part.at("experts"))
    if kind.latent:
        yield "expert_exit", matmul(part.tokens, model.hidden, kind.latent, part.at("experts"))


def exchange(
    kind: Experts, model: LanguageModel, work: Workload, part: Shard, whole: float, alone: dict[str, Number]
) -> dict[str, Number]:
    """Collective around the experts: all-to-all with expert parallelism, else ``whole`` over the data-parallel ranks.

    Without data-parallel attention every tensor rank holds all tokens, and ``alone`` takes place instead.
    """
    split, spread = (work.ep > 1.0) * 1.0, (work.dp > 1.0) * 1.0
    hidden = kind.latent or model.hidden
    routed = part.tokens * kind.used * hidden * STREAM
    gathered = part.tokens * work.dp * hidden * STREAM
    exchange = collective(
        split * types.ALL_TO_ALL + (1.0 - split) * whole,
        split * routed + (1.0 - split) * gathered,
        split * work.ep + (1.0 - split) * work.dp,
    )
    return {column: spread * exchange[column] + (1.0 - spread) * alone[column] for column in exchange}
