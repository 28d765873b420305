"""Language models: shipped shapes and parameter counts."""

from __future__ import annotations

import dataclasses

import pytest

from accelmodel.specs import facts, load
from accelmodel.specs.given import override
from accelmodel.specs.language_model import LanguageModel, mixers, perceptrons
from accelmodel.specs.layer_kinds import Dense, Grouped, Latent, StateSpace
from accelmodel.specs.parameters import active_parameters, mixer_parameters, mlp_parameters, parameters

PRESETS = [
    "deepseek-r1", "deepseek-v3", "gemma-3-27b", "glm-4.5-air", "gpt-3-175b", "gpt-oss-120b", "gpt-oss-20b", "kimi-k2",
    "llama-3.3-70b", "mistral-small-24b", "phi-4", "qwen2.5-32b", "qwen2.5-72b", "qwen2.5-7b", "qwen3-14b",
    "qwen3-30b-a3b", "qwen3-8b", "llama-3-70b", "llama-3-8b", "llama-3.1-405b", "llama-3.1-70b",
    "llama-3.1-8b", "llama-3.2-1b", "llama-3.2-3b",
    "longalpaca-13b", "longalpaca-7b", "mixtral-8x7b", "opt-1.3b", "opt-2.7b", "opt-30b", "opt-6.7b",
    "phi-3-medium", "phi-3-small", "qwen2-72b", "qwen2-7b", "qwen3-235b-a22b", "qwen3-32b",
]  # fmt: skip


def test_all_presets_are_there():
    assert set(PRESETS) <= set(load.available("model"))


@pytest.mark.parametrize("name", PRESETS)
def test_preset_has_the_published_number_of_parameters(name):
    model = load.load("model", name)
    published = model.facts["published_parameters"]
    assert published.locator
    assert published.source in facts.sources() or published.source.endswith(("-paper", "-card"))
    assert parameters(model) == pytest.approx(published.value, rel=0.01)
    assert 0 < active_parameters(model) <= parameters(model)


@pytest.mark.parametrize(
    ("name", "active"), [("deepseek-v3", 37e9), ("qwen3-235b-a22b", 22e9), ("gpt-oss-120b", 5.13e9)]
)
def test_active_parameters_agree_with_the_model_cards(name, active):
    assert active_parameters(load.load("model", name)) == pytest.approx(active, rel=0.02)


def attention_parameters(model):
    return mixer_parameters(mixers(model)[0], model.hidden)


def sparse_parameters(model, experts=None):
    return mlp_parameters(perceptrons(model)[-1], model.hidden, experts)


def test_dense_model_counted_by_hand():
    model = load.load("model", "llama-3-8b")
    attention = 4096 * 4096 + 2 * 4096 * 1024 + 4096 * 4096  # q, k and v, o
    mlp = 3 * 4096 * 14336  # gate, up, down
    assert attention_parameters(model) == attention == 41_943_040
    assert sparse_parameters(model) == mlp == 176_160_768
    total = 2 * 128256 * 4096 + 32 * (attention + mlp + 2 * 4096) + 4096
    assert parameters(model) == total == 8_030_261_248
    assert active_parameters(model) == total - 128256 * 4096


def test_biases_layer_norm_and_positions_counted_by_hand():
    model = load.load("model", "opt-2.7b")
    attention = 4 * (2560 * 2560 + 2560)
    mlp = 2560 * 10240 + 10240 + 10240 * 2560 + 2560
    total = 50272 * 2560 + 2050 * 2560 + 32 * (attention + mlp + 2 * 2 * 2560) + 2 * 2560
    assert parameters(model) == total == 2_651_596_800


def test_mixture_of_experts_counted_by_hand():
    model = load.load("model", "gpt-oss-120b")
    attention = (
        2880 * (64 + 2 * 8) * 64 + (64 + 2 * 8) * 64  # q, k, v and their biases
        + 64 * 64 * 2880 + 2880  # o and its bias
        + 64  # sinks
    )  # fmt: skip
    expert = 2880 * 2 * 2880 + 2 * 2880 + 2880 * 2880 + 2880
    router = 2880 * 128 + 128
    assert attention_parameters(model) == attention
    assert sparse_parameters(model) == router + 128 * expert
    assert sparse_parameters(model, 4.0) == router + 4 * expert
    norms = 36 * 2 * 2880 + 2880
    assert parameters(model) == 2 * 201088 * 2880 + 36 * (attention + router + 128 * expert) + norms
    assert parameters(model) == 116_829_156_672
    assert active_parameters(model) == 201088 * 2880 + 36 * (attention + router + 4 * expert) + norms


def test_latent_attention_counted_by_hand():
    model = load.load("model", "deepseek-v3")
    attention = (
        7168 * 1536 + 1536 + 1536 * 128 * (128 + 64)  # queries: down, norm, up
        + 7168 * (512 + 64) + 512  # keys and values: down with the rotary part, norm
        + 512 * 128 * (128 + 128)  # up
        + 128 * 128 * 7168  # output
    )  # fmt: skip
    assert attention_parameters(model) == attention == 187_107_328
    dense, expert = 3 * 7168 * 18432, 3 * 7168 * 2048
    sparse = 256 * 7168 + 256 + (256 + 1) * expert
    assert sparse_parameters(model) == sparse
    total = 2 * 129280 * 7168 + 61 * (attention + 2 * 7168) + 3 * dense + 58 * sparse + 7168
    assert parameters(model) == total
    assert total == pytest.approx(671.03e9, rel=1e-4)


def test_latent_attention_without_query_compression():
    model = override(load.load("model", "deepseek-v3"), q_lora_rank=0)
    compressed = 7168 * 1536 + 1536 + 1536 * 128 * 192
    assert attention_parameters(model) == 187_107_328 - compressed + 7168 * 128 * 192


def hybrid(**layers):
    kinds = tuple(
        Grouped(kind, count, heads=4.0, kv_heads=4.0, head_dim=16.0, window=64.0 * (kind == "window"))
        for kind, count in layers.items()
    )
    return LanguageModel(
        "tiny", layers=8.0, hidden=64.0, vocabulary=100.0, heads=4.0, kv_heads=4.0, head_dim=16.0, ffn=128.0,
        gated=True, attention=kinds,
    )  # fmt: skip


def test_kinds_of_layers_share_the_layers_or_stand_side_by_side_in_all_of_them():
    assert len(mixers(hybrid(full=2.0, window=6.0))) == 2
    assert len(mixers(hybrid(full=8.0, window=8.0))) == 2
    with pytest.raises(ValueError, match="tells of 9 layers, and the model has 8"):
        hybrid(full=3.0, window=6.0)


def test_attention_may_stand_beside_a_state_space_that_every_layer_has():
    space = StateSpace("state-space", 8.0, inner=128.0, state=16.0, heads=4.0)
    some = Grouped("full", 3.0, heads=4.0, kv_heads=4.0, head_dim=16.0)
    sizes = {"layers": 8.0, "hidden": 64.0, "vocabulary": 100.0, "heads": 4.0, "kv_heads": 4.0, "head_dim": 16.0}
    assert len(mixers(LanguageModel("tiny", **sizes, ffn=0.0, gated=True, attention=(space, some)))) == 2
    twice = (dataclasses.replace(some, layers=8.0), dataclasses.replace(some, layers=4.0, kv_heads=2.0))
    with pytest.raises(ValueError, match="tells of 12 layers, and the model has 8"):
        LanguageModel("tiny", **sizes, ffn=0.0, gated=True, attention=twice)


def test_layers_that_share_their_weights_hold_them_once():
    own = Dense("dense", 6.0, 128.0, gated=False)
    assert dataclasses.replace(own, copies=2.0).held == 2.0
    assert own.held == 6.0
    sizes = {"layers": 6.0, "hidden": 64.0, "vocabulary": 100.0, "heads": 4.0, "kv_heads": 4.0, "head_dim": 16.0}
    whole = LanguageModel("tiny", **sizes, ffn=128.0, gated=False, mlp=(own,))
    shared = LanguageModel("tiny", **sizes, ffn=128.0, gated=False, mlp=(dataclasses.replace(own, copies=2.0),))
    assert parameters(whole) - parameters(shared) == 4 * 2 * 64 * 128
    assert active_parameters(shared) < parameters(shared)
    with pytest.raises(ValueError, match="copies 7 exceeds layers 6"):
        LanguageModel("tiny", **sizes, ffn=128.0, gated=False, mlp=(dataclasses.replace(own, copies=7.0),))


def test_gates_of_latent_attention_and_a_gate_behind_a_perceptron_counted_by_hand():
    plain = Latent("latent", 1.0, heads=4.0, kv_lora_rank=32.0, qk_rope_dim=8.0, qk_nope_dim=16.0, v_head_dim=24.0)
    gated = dataclasses.replace(plain, output_gate=True, head_gate=True, sinks=True)
    assert mixer_parameters(gated, 64.0) - mixer_parameters(plain, 64.0) == 64 * 4 * 24 + 64 * 4 + 4
    assert mlp_parameters(Dense("dense", 1.0, 128.0, False, receptance=True), 64.0) == 2 * 64 * 128 + 64 * 64


def test_attention_may_read_more_than_the_stream():
    plain = Grouped("full", 1.0, heads=4.0, kv_heads=2.0, head_dim=16.0)
    wide = dataclasses.replace(plain, inputs=128.0)
    assert mixer_parameters(wide, 64.0) - mixer_parameters(plain, 64.0) == 64 * (4 + 2 * 2) * 16
