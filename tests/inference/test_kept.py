"""What a sequence keeps, kind by kind of layer, by hand."""

import pytest

import accelmodel as am
from accelmodel.inference.kept import kept, kept_by, kept_bytes, state_bytes_per_sequence
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.layer_kinds import Compressed, Convolution, Grouped, Latent, Linear, StateSpace

CONTEXT = 10_000.0
HEADS = {"heads": 8, "kv_heads": 2, "head_dim": 64}
#: bytes of a token in such a layer at 16 bit
TOKEN = 2 * 2 * 64 * 2


def model(*attention):
    return LanguageModel(
        name="kinds", layers=8, hidden=512, vocabulary=1000, ffn=1024, gated=True, attention=attention, **HEADS
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Grouped("full", 8, **HEADS), TOKEN * CONTEXT),
        (Grouped("window", 8, window=1024, **HEADS), TOKEN * 1024),
        (Grouped("chunked", 8, window=4096, **HEADS), TOKEN * 4096),
        (Grouped("full", 8, shared_kv=True, **HEADS), 0.0),
        (Grouped("cross", 8, cross_tokens=6404, **HEADS), TOKEN * 6404),
        (Grouped("full", 8, value_dim=32, **HEADS), 2 * (64 + 32) * 2 * CONTEXT),
        (
            Grouped("block-sparse", 8, top_k=2048, index_heads=4, index_dim=128, **HEADS),
            (TOKEN + 128 * 2) * CONTEXT,
        ),
        (Latent("latent", 8, 8, 512, 64, 128, 128), 576 * 2 * CONTEXT),
        (
            Latent("sparse", 8, 8, 512, 64, 128, 128, top_k=2048, index_heads=64, index_dim=128),
            (576 * 2 + 128) * CONTEXT,
        ),
        (Compressed("compressed", 8, 8, 64, 128, 128, 2, 128, 4), (64 * 2) * (128 + CONTEXT / 4)),
        (Linear("linear", 8, 4, 8, 128, 64, 4), 8 * 128 * 64 * 4 + 3 * (2 * 4 * 128 + 8 * 64) * 2),
        (StateSpace("state-space", 8, 1024, 128, 16, 1, 4), 1024 * 128 * 4 + 3 * (1024 + 2 * 128) * 2),
        (Convolution("convolution", 8, 512, 3), 2 * 512 * 2),
    ],
)  # fmt: skip
def test_kept_of_one_layer(kind, expected):
    assert kept_by(kind, 16.0).of(CONTEXT) == expected
    assert kept_bytes(model(kind), CONTEXT, 16.0) == 8 * expected


def test_tensor_ranks_share_heads_and_states_but_not_latents():
    full, latent = Grouped("full", 8, **HEADS), Latent("latent", 8, 8, 512, 64, 128, 128)
    assert kept_by(full, 16.0, 2.0).of(CONTEXT) == TOKEN / 2 * CONTEXT
    assert kept_by(full, 16.0, 8.0).of(CONTEXT) == TOKEN / 2 * CONTEXT  # a head on each
    assert kept_by(latent, 16.0, 8.0) == kept_by(latent, 16.0)
    assert kept_by(Grouped("cross", 8, cross_tokens=100, **HEADS), 16.0, 2.0).fixed == TOKEN / 2 * 100


def test_bits_are_those_of_keys_and_values_and_not_of_states_or_of_an_indexer():
    sparse = Grouped("block-sparse", 8, top_k=2048, index_heads=4, index_dim=128, **HEADS)
    assert kept_by(sparse, 8.0).token == TOKEN / 2 + 128 * 2
    linear = Linear("linear", 8, 4, 8, 128, 64)
    assert kept_by(linear, 8.0) == kept_by(linear, 16.0)


def test_parts_of_a_mixed_model_add_up():
    mixed = model(
        Grouped("full", 2, **HEADS), Grouped("window", 4, window=1024, **HEADS), Linear("linear", 2, 4, 8, 128, 64)
    )
    found = kept(mixed)
    assert (found.token, found.near, found.reach) == (2 * TOKEN, 4 * TOKEN, 1024)
    assert found.fixed == state_bytes_per_sequence(mixed) == 2 * 8 * 128 * 64 * 4
    for context in (1.0, 1000.0, 1024.0, CONTEXT):
        assert found.of(context) == kept_bytes(mixed, context, 16.0)


def test_two_windows_take_together_what_each_takes_once_the_wider_is_full():
    both = model(Grouped("window", 4, window=512, **HEADS), Grouped("window", 4, window=2048, **HEADS))
    assert kept(both).of(CONTEXT) == pytest.approx(4 * TOKEN * (512 + 2048), rel=1e-12)  # rounding
    assert kept(both).reach == 2048


def test_half_of_the_layers_of_gpt_oss_keep_their_window_alone():
    spec = am.load("model", "gpt-oss-120b")
    assert kept_bytes(spec, 32768.0, 16.0) == 18 * 8 * 64 * 2 * 2 * (32768 + 128)
