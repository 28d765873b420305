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


@pytest.mark.parametrize(
    ("whole", "outside", "inside", "tied"),
    [
        ("qwen3_vl_moe", False, True, False),
        ("mistral3", True, False, True),
        ("mistral3", None, False, False),
        ("llava_onevision", False, True, True),
        ("qwen2_5_vl", False, True, True),
        ("paligemma", None, False, True),
        ("paligemma", False, True, False),
    ],
)
def test_the_whole_model_says_whether_embeddings_are_tied(whole, outside, inside, tied, tmp_path):
    config = {"model_type": whole, "text_config": QWEN | {"tie_word_embeddings": inside}}
    if outside is not None:
        config["tie_word_embeddings"] = outside
    assert read(tmp_path, config).tied_embeddings == tied


def test_sizes_around_the_language_model_may_repeat_its_own_and_not_contradict_it(tmp_path):
    repeated = {"model_type": "llava", "text_config": QWEN, "hidden_size": 896, "num_hidden_layers": 24}
    assert read(tmp_path, repeated) == read(tmp_path, QWEN)
    with pytest.raises(SpecError, match="num_hidden_layers: 23 contradicts text_config.num_hidden_layers 24"):
        read(tmp_path, repeated | {"num_hidden_layers": 23})


def test_keys_around_of_a_tower_are_no_keys_of_the_language_model(tmp_path):
    config = {"model_type": "llava", "text_config": QWEN, "projector_layernorm_eps": 1e-5, "audio_chunk_size": 480}
    assert read(tmp_path, config) == read(tmp_path, QWEN)
    with pytest.raises(SpecError, match="audio_chunk_size"):
        read(tmp_path, QWEN | {"audio_chunk_size": 480})


def test_a_model_that_drafts_for_another_is_refused_by_its_own_name(tmp_path):
    with pytest.raises(SpecError, match="'gemma4_assistant' has no keys and values of its own"):
        read(tmp_path, {"model_type": "gemma4_assistant", "text_config": QWEN})


def test_what_stands_beside_and_is_no_tower_is_told(tmp_path):
    talker = {"model_type": "some", "hidden_size": 896, "num_hidden_layers": 24}
    model = read(
        tmp_path, {"model_type": "qwen2_5_omni", "thinker_config": {"text_config": QWEN}, "talker_config": talker}
    )
    assert any(note.startswith("talker_config: parts beside") for note in model.notes)
