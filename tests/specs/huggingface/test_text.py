"""Which part of a file is the language model, wherever it is nested, and of what family."""

from __future__ import annotations

import json

import pytest

from accelmodel.errors import SpecError
from accelmodel.specs.huggingface.text import family_name
from accelmodel.specs.load import load

QWEN = {
    "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip


def read(folder, config):
    (folder / "some.json").write_text(json.dumps(config), encoding="utf-8")
    return load("model", folder / "some.json")


@pytest.mark.parametrize(
    "nested",
    [
        {"model_type": "internvl_chat", "llm_config": QWEN},
        {"model_type": "deepseek_vl_v2", "language_config": QWEN},
        {"model_type": "llava", "text_config": QWEN, "vision_feature_layer": -2, "image_token_index": 151646},
        {"model_type": "qwen2_5_omni", "thinker_config": {"text_config": QWEN}, "talker_config": {"hidden_size": 1}},
    ],
)
def test_nested_language_models_are_read_as_they_are_alone(nested, tmp_path):
    assert read(tmp_path, nested) == read(tmp_path, QWEN)


def test_tying_and_precision_may_stand_around_the_language_model(tmp_path):
    text = {key: value for key, value in QWEN.items() if key != "tie_word_embeddings"}
    assert not read(tmp_path, {"model_type": "llava", "text_config": text}).tied_embeddings
    around = {"tie_word_embeddings": True, "quantization_config": {"quant_method": "fp8"}}
    model = read(tmp_path, {"model_type": "llava", "text_config": text, **around})
    assert model.tied_embeddings
    assert model.precision.format == "fp8"


def test_a_class_fills_in_what_a_nested_file_leaves_out_and_says_so(tmp_path):
    model = read(tmp_path, {"model_type": "llava", "text_config": {"vocab_size": 32064}})
    assert (model.layers, model.hidden, model.ffn, model.vocabulary) == (32.0, 4096.0, 11008.0, 32064.0)
    assert any("hidden_size 4096" in note for note in model.notes)


def test_a_key_around_that_speaks_of_layers_refuses_too(tmp_path):
    with pytest.raises(SpecError, match="num_extra_layers"):
        read(tmp_path, {"model_type": "llava", "text_config": QWEN, "num_extra_layers": 2})


def test_an_encoder_is_refused(tmp_path):
    with pytest.raises(SpecError, match="encoder"):
        read(tmp_path, QWEN | {"is_encoder_decoder": True})


@pytest.mark.parametrize(
    ("model_type", "family"),
    [("gemma3_text", "gemma3"), ("mllama_text_model", "mllama"), ("kimi_k2", "deepseek_v3"), ("llama", "llama")],
)
def test_family_of_a_word(model_type, family):
    assert family_name(model_type) == family
