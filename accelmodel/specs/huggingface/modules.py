"""Modules that a checkpoint has for each layer of a model: what lists of a quantisation name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from accelmodel.specs.huggingface.layers import Layers
from accelmodel.specs.layer_kinds import (
    Compressed,
    Convolution,
    Dense,
    Experts,
    Grouped,
    Latent,
    Linear,
    Part,
    Recurrent,
    StateSpace,
)

#: class of weights, name, parameters
Module = tuple[str, str, float]


def modules(layers: Layers, hidden: float, vocabulary: float, tied: bool) -> Iterator[Module]:
    """Yield the matrices of a model by the names that most checkpoints have for them."""
    yield "tables", "embed_tokens", vocabulary * hidden
    if not tied:
        yield "tables", "lm_head", vocabulary * hidden
    for place, parts in enumerate(layers):
        for part in parts:
            for of, name, size in _PARTS[type(part)](part, hidden):
                yield of, f"layers.{place}.{name}", size


def _attention(**sizes: float) -> Iterator[Module]:
    for name, size in sizes.items():
        if size:
            yield "attention", f"self_attn.{name.replace('__', '.')}", size


def _grouped(kind: Grouped, hidden: float) -> Iterator[Module]:
    value = float(kind.value_dim or kind.head_dim)
    query = float(kind.heads * kind.head_dim)
    own = 0.0 if kind.shared_kv else float(kind.kv_heads)
    rank = float(kind.q_lora_rank)
    yield from _attention(
        q_proj=0.0 if rank else hidden * query * (2.0 if kind.output_gate else 1.0),
        q_a_proj=hidden * rank,
        q_b_proj=rank * query,
        k_proj=hidden * own * float(kind.head_dim),
        v_proj=0.0 if kind.keys_are_values else hidden * own * value,
        o_proj=float(kind.heads) * value * hidden,
        index_q_proj=hidden * float(kind.index_heads * kind.index_dim),
        index_k_proj=hidden * float(kind.index_dim),
    )


def _latent(kind: Latent, hidden: float) -> Iterator[Module]:
    rank, latent, rope, heads = (float(x) for x in (kind.q_lora_rank, kind.kv_lora_rank, kind.qk_rope_dim, kind.heads))
    query = heads * (float(kind.qk_nope_dim) + rope)
    own = 0.0 if kind.shared_index else 1.0
    index = own * float(kind.index_heads) * float(kind.index_dim)
    yield from _attention(
        q_a_proj=hidden * rank,
        q_b_proj=rank * query,
        q_proj=0.0 if rank else hidden * query,
        kv_a_proj_with_mqa=hidden * (latent + rope),
        kv_b_proj=latent * heads * float(kind.qk_nope_dim + kind.v_head_dim),
        o_proj=heads * float(kind.v_head_dim) * hidden,
        g_proj=float(kind.output_gate) * heads * float(kind.v_head_dim) * hidden,
        indexer__wq_b=index * (rank or hidden),
        indexer__wk=own * hidden * float(kind.index_dim),
        indexer__weights_proj=own * hidden * float(kind.index_heads),
    )


def _compressed(kind: Compressed, hidden: float) -> Iterator[Module]:
    rank, width, heads = float(kind.q_lora_rank), float(kind.head_dim), float(kind.heads)
    groups, inner = float(kind.groups), float(kind.output_rank)
    series = 2.0 if kind.top_k else 1.0
    index = float(kind.index_dim) * series if kind.top_k else 0.0
    yield from _attention(
        wq_a=hidden * rank,
        wq_b=rank * heads * width,
        wkv=hidden * width,
        wo_a=heads * width * inner,
        wo_b=groups * inner * hidden,
        compressor=2.0 * hidden * width * series if kind.ratio else 0.0,
        indexer__compressor=2.0 * hidden * index,
        indexer__wq_b=rank * float(kind.index_heads * kind.index_dim),
        indexer__weights_proj=hidden * float(kind.index_heads),
    )


def _linear(kind: Linear, hidden: float) -> Iterator[Module]:
    keys, values = float(kind.key_heads * kind.key_dim), float(kind.value_heads * kind.value_dim)
    yield from _attention(
        in_proj_qkv=hidden * (2.0 * keys + values),
        in_proj_z=0.0 if kind.gate_rank else hidden * values * float(kind.output_gate),
        in_proj_a=0.0 if kind.decay_rank else hidden * float(kind.value_heads * kind.decay),
        in_proj_b=hidden * float(kind.value_heads) * float(kind.delta),
        f_a_proj=hidden * float(kind.decay_rank),
        f_b_proj=float(kind.decay_rank) * float(kind.value_heads * kind.key_dim),
        g_a_proj=hidden * float(kind.gate_rank),
        g_b_proj=float(kind.gate_rank) * values,
        out_proj=values * hidden,
    )


def _state_space(kind: StateSpace, hidden: float) -> Iterator[Module]:
    inner, state = float(kind.inner), float(kind.state)
    shared = 0.0 if kind.step_rank else 2.0 * float(kind.groups) * state + float(kind.heads)
    yield from _attention(
        in_proj=hidden * (2.0 * inner + shared),
        x_proj=inner * (float(kind.step_rank) + 2.0 * state) if kind.step_rank else 0.0,
        dt_proj=float(kind.step_rank) * inner,
        out_proj=inner * hidden,
    )


def _recurrent(kind: Recurrent, hidden: float) -> Iterator[Module]:
    width = float(kind.width)
    yield from _attention(linear_x=hidden * width, linear_y=hidden * width, linear_out=width * hidden)


def _convolution(kind: Convolution, hidden: float) -> Iterator[Module]:
    width = float(kind.width)
    yield from _attention(in_proj=3.0 * hidden * width, out_proj=width * hidden)


def _perceptron(of: str, prefix: str, hidden: float, width: float, gated: bool) -> Iterator[Module]:
    for name in ("gate_proj", "up_proj", "down_proj") if gated else ("up_proj", "down_proj"):
        yield of, f"{prefix}.{name}", hidden * width


def _dense(kind: Dense, hidden: float) -> Iterator[Module]:
    yield from _perceptron("mlp", "mlp", hidden, float(kind.width), kind.gated)


def _experts(kind: Experts, hidden: float) -> Iterator[Module]:
    branches = 3.0 if kind.gated else 2.0
    inside = float(kind.latent) or hidden
    # beside a perceptron the experts are no part of it
    inner = "" if kind.dense_width else "mlp."
    yield "router", f"{inner}gate", hidden * float(kind.experts)
    yield "experts", f"{inner}experts", float(kind.experts) * branches * inside * float(kind.width)
    if kind.latent:
        yield "experts", "mlp.fc1_latent_proj", hidden * inside
        yield "experts", "mlp.fc2_latent_proj", hidden * inside
    if kind.shared:
        width = float(kind.shared * kind.shared_width)
        yield from _perceptron("shared_experts", "mlp.shared_experts", hidden, width, kind.gated)
    if kind.dense_width:
        yield from _perceptron("mlp", "mlp", hidden, float(kind.dense_width), kind.gated)


_PARTS: dict[type[Part], Callable[[Any, float], Iterator[Module]]] = {
    Grouped: _grouped,
    Latent: _latent,
    Compressed: _compressed,
    Linear: _linear,
    StateSpace: _state_space,
    Recurrent: _recurrent,
    Convolution: _convolution,
    Dense: _dense,
    Experts: _experts,
}
