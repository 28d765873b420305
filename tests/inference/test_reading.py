"""How a model was read, and from where its precisions are."""

import pytest
import xarray as xr

import accelmodel as am
from accelmodel.inference.reading import all_in_words, in_words, reading, readings
from accelmodel.specs.layer_kinds import Grouped


def test_what_the_file_states_is_taken_and_said():
    found = reading(am.load("model", "gpt-oss-120b"))
    assert found["precision"] == {"weight_bits": 4.25, "activation_bits": 16.0, "kv_bits": 16.0}
    assert set(found["precision_from"].values()) == {"file"}
    assert found["weight_bytes"] == pytest.approx(65.25e9, rel=1e-3)  # the size of its files
    assert found["kv_bytes_per_token"] == 36 * 2 * 8 * 64 * 2


def test_what_is_asked_wins_and_leaves_activations_at_the_default():
    spec = am.load("model", "deepseek-v3")
    found = reading(spec, {"weight_bits": 4.0, "kv_bits": 0.0})
    assert found["precision"] == {"weight_bits": 4.0, "activation_bits": 16.0, "kv_bits": 16.0}
    assert found["precision_from"] == {"weight_bits": "asked", "activation_bits": "default", "kv_bits": "file"}
    work = am.workload(phase="decode", batch=1, context=10, weight_bits=4)
    assert reading(spec, work) == found


def test_a_file_that_says_nothing_is_read_at_the_default():
    found = reading(am.load("model", "llama-3-8b"), {"kv_bits": 8.0})
    assert found["precision_from"] == {"weight_bits": "default", "activation_bits": "default", "kv_bits": "asked"}
    assert (found["kv_bytes_per_token"], found["state_bytes_per_sequence"]) == (64 * 1024, 0.0)
    assert found["weight_bytes"] == 2.0 * found["parameters"]


def test_of_an_axis_the_first_precision_is_told():
    bits = xr.DataArray([8.0, 16.0], dims="kv_bits", coords={"kv_bits": [8.0, 16.0]})
    work = am.workload(phase="decode", batch=1, context=10, kv_bits=bits)
    assert reading(am.load("model", "llama-3-8b"), work)["precision"]["kv_bits"] == 8.0


def test_several_models_are_a_line_each():
    specs = [am.load("model", name) for name in ("llama-3-8b", "gpt-oss-120b")]
    found = readings(specs, [{"kv_bits": 8.0}] * 2)
    assert [each["model"] for each in found] == ["llama-3-8b", "gpt-oss-120b"]
    assert all_in_words(found) == [f"{each['model']} {in_words(each)}" for each in found]
    assert "(4.25 bit, file; activations 16 bit, file)" in all_in_words(found)[1]
    assert "of KV cache a token (8 bit, asked)" in all_in_words(found)[0]


def test_entries_of_one_kind_say_in_what_they_differ():
    """Of four layers two read the cache of the others, and one sees all tokens; a kind that is alone says nothing."""
    own = {"heads": 8.0, "kv_heads": 2.0, "head_dim": 64.0}
    parts = (
        Grouped("window", 2.0, window=128.0, **own),
        Grouped("window", 1.0, window=128.0, shared_kv=True, **own),
        Grouped("full", 1.0, **own),
    )
    model = am.LanguageModel(
        name="shared", layers=4.0, hidden=512.0, vocabulary=1000.0, ffn=1024.0, gated=True, attention=parts, **own
    )
    found = reading(model)
    assert found["layers"] == [
        {"kind": "window", "count": 2.0, "sizes": {"shared_kv": False}},
        {"kind": "window", "count": 1.0, "sizes": {"shared_kv": True}},
        {"kind": "full", "count": 1.0},
    ]
    assert found["mlp"] == [{"kind": "dense", "count": 4.0}]
    assert "layers: 2 window, 1 window (shared_kv), 1 full, 4 dense" in in_words(found)


def test_precisions_are_told_once():
    found = reading(am.load("model", "gpt-oss-120b"))
    assert "65.25 GB of weights (4.25 bit, file; activations 16 bit, file)" in in_words(found)
    assert "65.25 GB of weights, " in in_words(found, by_class=True)
    plain = reading(am.load("model", "llama-3-8b"))
    assert "16.06 GB of weights (16 bit, default), " in in_words(plain)
