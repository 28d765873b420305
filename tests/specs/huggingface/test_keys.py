"""The three kinds of keys: used, harmless, and all others, of which those that speak of layers refuse the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelmodel.errors import SpecError
from accelmodel.specs.huggingface.harmless import HARMLESS
from accelmodel.specs.huggingface.keys import SYNONYMS, Keys, speaks
from accelmodel.specs.huggingface.read import FURTHER
from accelmodel.specs.load import load

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
#: words that issue reports of this trade name: any key of them may change the layers
WORDS = (
    "expert", "experts", "moe", "layer", "layers", "block", "attn", "attention", "kv", "head", "heads", "window",
    "sliding", "swa", "chunk", "shared", "share", "cla", "act", "activation", "residual", "compress", "recurrent",
    "ssm", "mamba", "state", "conv", "linear", "sparse", "indexer", "latent", "lora", "mlp", "ffn", "hybrid", "pattern",
    "parallel", "gate", "qk", "sink", "router", "cross",
)  # fmt: skip
USED = {key for keys in SYNONYMS.values() for key in keys} | {"attention_bias", "mlp_bias", "rope_scaling"}


def read(config):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return load("model", path)


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", max_size=8)


@settings(deadline=None, max_examples=60)
@given(word=st.sampled_from(WORDS), before=NAMES, after=NAMES, value=st.sampled_from([2, 0.5, True, "some", [1, 2]]))
def test_an_unknown_key_with_such_a_word_refuses_the_file_whatever_its_name(word, before, after, value):
    key = "_".join(part for part in (before.strip("_"), word, after.strip("_")) if part)
    if key in HARMLESS or key in USED or key in ("sliding_window", "use_sliding_window"):
        return
    with pytest.raises(SpecError, match="not understood") as error:
        read(LLAMA | {key: value})
    assert key in str(error.value)


@settings(deadline=None, max_examples=20)
@given(word=st.sampled_from(WORDS), after=NAMES, value=st.sampled_from([None, False, 0, "", [], {}]))
def test_a_key_that_says_nothing_refuses_no_file(word, after, value):
    key = f"some_{word}_{after}".rstrip("_")
    assert read(LLAMA | {key: value}) == read(LLAMA)


@settings(deadline=None, max_examples=30)
@given(key=st.sampled_from(sorted(HARMLESS - {"model_type", "rope_scaling"})), value=st.sampled_from([2, 0.5, "some"]))
def test_a_harmless_key_never_changes_the_answer(key, value):
    if key.endswith("quantization_config") or key in ("compression_config", *FURTHER):
        return
    assert read(LLAMA | {key: value}) == read(LLAMA)


def test_a_key_that_says_nothing_of_layers_is_left_out_and_named():
    model = read(LLAMA | {"favourite_colour": "blue"})
    assert model == read(LLAMA)
    assert any("favourite_colour" in note for note in model.notes)


def test_in_a_family_that_is_not_known_every_key_must_be_understood():
    strange = LLAMA | {"model_type": "newcomer"}
    assert read(strange).layers == 32.0
    with pytest.raises(SpecError, match="favourite_colour"):
        read(strange | {"favourite_colour": "blue"})
    with pytest.raises(SpecError, match="tie_word_embeddings"):
        read({key: value for key, value in strange.items() if key != "tie_word_embeddings"})
    with pytest.raises(SpecError, match="relu2"):
        read(strange | {"hidden_act": "relu2"})


def test_two_spellings_of_a_size_must_agree():
    assert read(LLAMA | {"n_layer": 32}) == read(LLAMA)
    with pytest.raises(SpecError, match="n_layer.*contradicts num_hidden_layers"):
        read(LLAMA | {"n_layer": 16})


def test_a_size_for_each_layer_is_one_size_where_all_are_alike():
    keys = Keys(Path("config.json"), {"moe_topk": [8, 8, 8], "intermediate_size": [1, 2, 3]})
    assert keys.alike("experts_used") == 8
    assert keys.each("intermediate_size", 3) == [1, 2, 3]
    with pytest.raises(SpecError, match="differs from layer to layer"):
        keys.alike("intermediate_size")
    with pytest.raises(SpecError, match="3 entries for 4 layers"):
        keys.each("intermediate_size", 4)


@pytest.mark.parametrize("key", ["moe_k", "attn_type_list", "block_types", "useCLA", "nGateHeads", "window2"])
def test_words_are_found_however_a_name_is_written(key):
    assert speaks(key)


@pytest.mark.parametrize("key", ["rope_theta", "vocab_size", "max_position_embeddings", "transformers_version"])
def test_other_names_do_not_speak_of_layers(key):
    assert not speaks(key)
