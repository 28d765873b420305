"""Parameters of each kind of layer, counted by hand."""

from __future__ import annotations

import pytest

from accelmodel.specs.layer_kinds import (
    Compressed,
    Convolution,
    Dense,
    Experts,
    Grouped,
    Latent,
    Linear,
    Recurrent,
    StateSpace,
)
from accelmodel.specs.parameters import mixer_parameters, mlp_parameters

H = 1000.0


def grouped(**more):
    return Grouped("full", 1.0, heads=8.0, kv_heads=2.0, head_dim=10.0, **more)


def latent(kind="latent", **more):
    sizes = {"heads": 8.0, "kv_lora_rank": 40.0, "qk_rope_dim": 6.0, "qk_nope_dim": 10.0, "v_head_dim": 12.0}
    return Latent(kind, 1.0, **sizes, **more)


def compressed(**more):
    sizes = {"heads": 8.0, "head_dim": 20.0, "q_lora_rank": 30.0, "output_rank": 50.0, "groups": 2.0, "window": 64.0}
    return Compressed("compressed", 1.0, **sizes, **more)


INDEX = {"top_k": 64.0, "index_heads": 4.0, "index_dim": 16.0}
PLAIN = 1000 * 80 + 2 * 1000 * 20 + 80 * 1000
#: queries, latent with positions and its norm, keys and values of all heads, output
LATENT = 1000 * 8 * 16 + 1000 * 46 + 40 + 40 * 8 * 22 + 8 * 12 * 1000
COMPRESSED = 1000 * 30 + 30 + 30 * 160 + 1000 * 20 + 20 + 2 * 80 * 50 + 100 * 1000 + 8
#: keys and values of four and eight heads of 16 by 20: projections, taps, output
LINEAR = 1000 * (2 * 64 + 160) + 3 * (2 * 64 + 160) + 160 * 1000


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (grouped(), PLAIN),
        (grouped(qkv_bias=True, output_bias=True, qk_norm=True, sinks=True), PLAIN + 80 + 40 + 1000 + 20 + 8),
        (grouped(whole_norm=True), PLAIN + 80 + 20),
        (grouped(output_gate=True), PLAIN + 1000 * 80),
        (grouped(head_gate=True), PLAIN + 1000 * 8),
        (grouped(q_lora_rank=30.0), PLAIN - 1000 * 80 + 1000 * 30 + 30 + 30 * 80),
        (grouped(value_dim=4.0), 1000 * 80 + 1000 * 20 + 1000 * 8 + 32 * 1000),
        (grouped(keys_are_values=True), PLAIN - 1000 * 20),
        (grouped(shared_kv=True), PLAIN - 2 * 1000 * 20),
        (latent(), LATENT),
        (latent(q_lora_rank=30.0), LATENT - 1000 * 8 * 16 + 1000 * 30 + 30 + 30 * 8 * 16),
        # an indexer: queries, keys with a norm of two numbers a channel, and a weight a head
        (latent("sparse", **INDEX), LATENT + 1000 * 64 + 1000 * 16 + 2 * 16 + 1000 * 4),
        (latent("sparse", **INDEX, shared_index=True), LATENT),
        # grouped attention whose keys an indexer picks in blocks: queries, one key, and a norm of each
        (
            Grouped("block-sparse", 1.0, heads=8.0, kv_heads=2.0, head_dim=10.0, **INDEX),
            PLAIN + 1000 * 4 * 16 + 1000 * 16 + 2 * 16,
        ),
        # a window alone: queries through a rank with its norm, one key with its norm, output in groups, sinks
        (compressed(), COMPRESSED),
        # keys for 128 tokens: key and weight, a number for each place, norm
        (compressed(ratio=128.0), COMPRESSED + 2 * 1000 * 20 + 128 * 20 + 20),
        # keys for 4 tokens in two overlapping series, picked by an indexer that has such keys of its own
        (
            compressed(ratio=4.0, **INDEX),
            COMPRESSED + 4 * 1000 * 20 + 8 * 20 + 20 + 30 * 64 + 1000 * 4 + 4 * 1000 * 16 + 8 * 16 + 16,
        ),
        # gated DeltaNet: decay and strength a value head, their bias and rate, gate, norm
        (Linear("linear", 1.0, 4.0, 8.0, 16.0, 20.0, 3.0), LINEAR + 2 * 1000 * 8 + 2 * 8 + 1000 * 160 + 20),
        # Kimi delta attention: decay of each key channel and gate through a rank
        (
            Linear("linear", 1.0, 8.0, 8.0, 16.0, 16.0, 4.0, decay_rank=16.0, gate_rank=16.0),
            4 * 1000 * 128 + 4 * 384 + 2 * (1000 * 16 + 16 * 128) + 128 + 8 + 1000 * 8 + 16,
        ),
        # lightning attention: neither decay nor strength is learned
        (Linear("linear", 1.0, 8.0, 8.0, 16.0, 16.0, decay=0.0, delta=False), 5 * 1000 * 128 + 16),
        # Mamba-2: one projection; taps with bias; rate, skip and step a head; norm; output
        (
            StateSpace("state-space", 1.0, 2000.0, 16.0, heads=20.0, groups=2.0),
            1000 * (2 * 2000 + 2 * 2 * 16 + 20) + (2000 + 64) * 5 + 3 * 20 + 2000 + 2000 * 1000,
        ),
        # Mamba: two branches; taps with bias; step, write and read; step with bias; rates and skip; output
        (
            StateSpace("state-space", 1.0, 2000.0, 16.0, step_rank=63.0, gated_norm=False),
            1000 * 4000 + 2000 * 5 + 2000 * (63 + 32) + 63 * 2000 + 2000 + 2000 * 16 + 2000 + 2000 * 1000,
        ),
        # RG-LRU: two branches and output with biases, taps, two gates in blocks, rates
        (
            Recurrent("recurrent", 1.0, 1200.0, 10.0),
            2 * 1001 * 1200 + 1201 * 1000 + 1200 * 5 + 2 * (10 * 120 * 120 + 1200) + 1200,
        ),
        (Convolution("convolution", 1.0, 1000.0, 3.0), 1000 * 3000 + 3 * 1000 + 1000 * 1000),
    ],
    ids=range(24),
)
def test_what_mixes_tokens(kind, count):
    assert mixer_parameters(kind, H) == count


EXPERTS = {"experts": 16.0, "used": 2.0, "width": 50.0}


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (Dense("dense", 1.0, 300.0), 3 * 1000 * 300),
        (Dense("dense", 1.0, 300.0, gated=False, bias=True), 2 * 1000 * 300 + 300 + 1000),
        (Experts("experts", 1.0, **EXPERTS), 1000 * 16 + 16 * 3 * 1000 * 50),
        (
            Experts("experts", 1.0, **EXPERTS, shared=1.0, shared_width=70.0, shared_gate=True, router_bias=True),
            1000 * 16 + 16 + 16 * 3 * 1000 * 50 + 3 * 1000 * 70 + 1000,
        ),
        (Experts("experts", 1.0, **EXPERTS, dense_width=90.0), 1000 * 16 + 16 * 3 * 1000 * 50 + 3 * 1000 * 90),
        (
            Experts("experts", 1.0, **EXPERTS, gated=False, latent=200.0),
            1000 * 16 + 16 * 2 * 200 * 50 + 2 * 1000 * 200,
        ),
    ],
    ids=range(6),
)
def test_what_works_on_each_token(kind, count):
    assert mlp_parameters(kind, H) == count


def test_a_token_uses_its_own_experts_alone():
    kind = Experts("experts", 1.0, **EXPERTS)
    assert mlp_parameters(kind, H) - mlp_parameters(kind, H, 2.0) == 14 * 3 * 1000 * 50


def test_a_token_cannot_use_more_experts_than_there_are():
    with pytest.raises(ValueError, match="used 17 exceeds experts 16"):
        Experts("experts", 1.0, 16.0, 17.0, 50.0)
