"""Towers beside a language model: parameters by hand and against published sizes."""

from __future__ import annotations

import json

import pytest

from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device, weight_bytes
from accelmodel.specs.huggingface.towers import tower_parameters, towers
from accelmodel.specs.load import load
from accelmodel.specs.parameters import parameters
from accelmodel.specs.workload import Workload


def test_counted_by_hand():
    table = {"hidden_size": 100, "num_hidden_layers": 2, "intermediate_size": 300, "patch_size": 10, "image_size": 40}
    layer = 4 * 100 * 100 + 4 * 100 + 2 * 100 * 300 + 300 + 100 + 4 * 100
    # three colours of a patch with a bias, sixteen places, and two matrices that join it to a stream of 500
    joint = 100 * 500 + 500 + 500 * 500 + 500
    assert tower_parameters(table, 500) == 2 * layer + 3 * 100 * 100 + 100 + 16 * 100 + joint


@pytest.mark.parametrize(
    ("table", "published"),
    [
        # the tower of Qwen2.5-VL-7B, which has 8.29e9 parameters of which 7.616e9 are the language model's
        ({"model_type": "qwen2_5_vl", "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "patch_size": 14,
          "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": 3584, "in_chans": 3}, 0.676e9),
        # the encoder of Whisper large: 0.637e9
        ({"d_model": 1280, "encoder_layers": 32, "encoder_ffn_dim": 5120}, 0.637e9),
    ],
)  # fmt: skip
def test_published_towers_within_three_percent(table, published):
    assert tower_parameters(table, 3584) == pytest.approx(published, rel=0.03)


SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304,
    "num_attention_heads": 16, "patch_size": 14, "image_size": 364,
}  # fmt: skip
CLIP = {
    "model_type": "clip_vision_model", "hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096,
    "num_attention_heads": 16, "patch_size": 14, "image_size": 336,
}  # fmt: skip
QWEN3 = {
    "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "patch_size": 16,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 2304,
}  # fmt: skip
GLM = {
    "depth": 24, "hidden_size": 1536, "out_hidden_size": 4096, "num_heads": 12, "image_size": 336, "patch_size": 14,
    "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
#: whole model, its tower, numbers of its stream, parameters of its class in transformers 5.24
CLASSES = [
    ({"model_type": "gemma3"}, {**SIGLIP, "image_size": 896, "vision_use_head": False}, 5376, 423_060_336),
    ({"model_type": "llava"}, CLIP, 5120, 334_974_976),
    ({"model_type": "vipllava"}, CLIP, 4096, 341_274_624),
    ({"model_type": "llava"}, {"model_type": "pixtral", "patch_size": 16, "image_size": 1024}, 5120, 434_957_312),
    ({"model_type": "mistral3", "spatial_merge_size": 2},
     {"model_type": "pixtral", "patch_size": 14, "image_size": 1540}, 5120, 438_958_080),
    ({"model_type": "qwen3_vl"},
     {**QWEN3, "model_type": "qwen3_vl", "out_hidden_size": 4096, "deepstack_visual_indexes": [8, 16, 24]},
     4096, 576_388_336),
    ({"model_type": "qwen3_5"}, {**QWEN3, "model_type": "qwen3_5", "out_hidden_size": 5120}, 5120, 460_730_096),
    ({"model_type": "glm4v"}, {**GLM, "model_type": "glm4v", "intermediate_size": 13696}, 4096, 892_498_432),
    ({"model_type": "glm4v_moe"}, {**GLM, "model_type": "glm4v_moe", "intermediate_size": 10944}, 4096, 858_681_856),
    ({"model_type": "internvl", "downsample_ratio": 0.5},
     {"model_type": "internvl_vision", "hidden_size": 3200, "num_hidden_layers": 45, "intermediate_size": 12800,
      "num_attention_heads": 25, "patch_size": [14, 14], "image_size": [448, 448]}, 8192, 5_708_504_448),
    ({"model_type": "llama4"},
     {"model_type": "llama4_vision_model", "hidden_size": 1408, "num_hidden_layers": 34, "intermediate_size": 5632,
      "num_attention_heads": 16, "patch_size": 14, "image_size": 336, "vision_output_dim": 4096,
      "projector_input_dim": 4096, "projector_output_dim": 4096, "pixel_shuffle_ratio": 0.5}, 5120, 871_932_416),
    ({"model_type": "mllama"},
     {"model_type": "mllama_vision_model", "hidden_size": 1280, "num_hidden_layers": 32, "num_global_layers": 8,
      "intermediate_size": 5120, "attention_heads": 16, "patch_size": 14, "image_size": 560, "max_num_tiles": 4,
      "vision_output_dim": 7680}, 4096, 895_028_755),
    ({"model_type": "aya_vision", "downsample_factor": 2, "alignment_intermediate_size": 36864},
     {**SIGLIP, "vision_use_head": False}, 8192, 733_844_720),
    ({"model_type": "idefics3", "scale_factor": 2}, {**SIGLIP, "model_type": "idefics3_vision"}, 4096, 431_800_560),
    ({"model_type": "idefics2", "text_config": {"intermediate_size": 14336}},
     {**SIGLIP, "model_type": "idefics2_vision", "image_size": 980}, 4096, 1_161_011_440),
    ({"model_type": "ovis2"},
     {"model_type": "aimv2_vision_model", "hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 2816,
      "num_attention_heads": 8, "patch_size": 14, "image_size": 448, "hidden_stride": 2, "vocab_size": 65536},
     3584, 813_411_318),
    ({"model_type": "kimi_k25"},
     {"model_type": "kimi_k25_vision", "pos_emb_height": 64, "pos_emb_width": 64, "merge_kernel_size": [2, 2]},
     7168, 471_143_920),
    ({"model_type": "gemma4"}, {"model_type": "gemma4_vision", "position_embedding_size": 10240}, 5376, 171_493_376),
    ({"model_type": "janus"}, {"model_type": "janus_vision_model", "projection_dim": 4096}, 4096, 324_668_416),
    ({"model_type": "got_ocr2"}, {"model_type": "got_ocr2_vision"}, 1024, 96_618_752),
    ({"model_type": "voxtral"},
     {"model_type": "voxtral_encoder", "hidden_size": 1280, "num_hidden_layers": 32, "intermediate_size": 5120,
      "num_attention_heads": 20, "num_mel_bins": 128, "max_source_positions": 1500}, 5120, 689_397_760),
    ({"model_type": "qwen2_audio"},
     {"model_type": "qwen2_audio_encoder", "d_model": 1280, "encoder_layers": 32, "encoder_ffn_dim": 5120,
      "encoder_attention_heads": 20, "num_mel_bins": 128, "max_source_positions": 1500}, 4096, 642_215_936),
]  # fmt: skip


@pytest.mark.parametrize(("around", "table", "outer", "parameters"), CLASSES)
def test_towers_as_their_classes_have_them(around, table, outer, parameters):
    found = towers({**around, "vision_config": table}, outer)
    assert found.parameters == pytest.approx(parameters, rel=2e-3)
    # what is known may be wrong by a little, what is guessed by all of it
    assert found.slack == pytest.approx(0.02 * found.parameters)


def test_towers_with_the_sizes_that_their_makers_publish():
    """Sizes of whole models less those of their text parts: MiniCPM-V 2.6, Ovis2.5-9B, Gemma 3n E4B."""
    minicpm = {"model_type": "minicpmv", "vision_config": {**SIGLIP, "image_size": 980}, "query_num": 64}
    assert towers(minicpm, 3584).parameters == pytest.approx(8.10e9 - 7.61e9, rel=0.03)
    ovis = {
        "model_type": "ovis2_5",
        "vit_config": {**SIGLIP, "model_type": "siglip2_navit"},
        "visual_vocab_size": 65536,
    }
    assert towers(ovis, 4096).parameters == pytest.approx(9.17e9 - 8.19e9, rel=0.03)
    gemma = {
        "model_type": "gemma3n",
        "vision_config": {"architecture": "mobilenetv5_300m_enc", "hidden_size": 2048},
        "audio_config": {
            "model_type": "gemma3n_audio", "hidden_size": 1536, "conf_num_hidden_layers": 12,
            "conf_num_attention_heads": 8,
        },
    }  # fmt: skip
    assert towers(gemma, 2048).parameters == pytest.approx(7.85e9 - 6.87e9, rel=0.03)


def test_the_width_of_perceptrons_in_the_blocks_of_glm_is_that_of_the_stream():
    (found,) = towers({"vision_config": {**GLM, "model_type": "glm4v", "intermediate_size": 13696}}, 4096).shapes
    assert (found.inner, found.gate, found.merged) == (4096, True, 4)


def test_an_index_that_disagrees_with_a_tower_that_is_known_is_refused(tmp_path):
    text = {
        "model_type": "qwen3_vl_text", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 1000,
        "tie_word_embeddings": False,
    }  # fmt: skip
    vision = {**QWEN3, "model_type": "qwen3_vl", "out_hidden_size": 64, "deepstack_visual_indexes": [8, 16, 24]}
    content = {"model_type": "qwen3_vl", "text_config": text, "vision_config": vision}
    (tmp_path / "config.json").write_text(json.dumps(content), encoding="utf-8")
    model = load("model", tmp_path)
    whole = 2.0 * float(parameters(model) + model.tower_parameters)
    index = tmp_path / "model.safetensors.index.json"
    for share, allowed in ((1.0, True), (1.03, True), (0.9, False), (1.1, False)):
        index.write_text(json.dumps({"metadata": {"total_size": share * whole}}), encoding="utf-8")
        if allowed:
            assert load("model", tmp_path) == model
        else:
            with pytest.raises(SpecError, match="apart"):
                load("model", tmp_path)


@pytest.mark.parametrize("table", [{"hidden_size": 1024}, {"hidden_size": "x", "num_hidden_layers": [1]}, {}])
def test_a_tower_whose_shape_is_not_told_is_not_counted(table):
    found = towers({"vision_config": table}, 4096)
    assert (found.parameters, found.shapes) == (0.0, ())
    assert all("not counted" in note for note in found.notes)


def test_a_tower_lies_in_memory_and_is_none_of_the_models_parameters(tmp_path):
    text = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 1000, "tie_word_embeddings": False,
    }  # fmt: skip
    vision = {"hidden_size": 100, "num_hidden_layers": 2, "intermediate_size": 300, "patch_size": 10}
    (tmp_path / "alone.json").write_text(json.dumps(text), encoding="utf-8")
    (tmp_path / "both.json").write_text(
        json.dumps({"model_type": "llava", "text_config": text, "vision_config": vision}), encoding="utf-8"
    )
    alone, both = load("model", tmp_path / "alone.json"), load("model", tmp_path / "both.json")
    work, tower = Workload("decode", 1.0, 128.0), tower_parameters(vision, 64)
    assert parameters(both) == parameters(alone)
    assert weight_bytes(both, work) - weight_bytes(alone, work) == 2.0 * tower
    assert memory_per_device(both, work)["weights"] - memory_per_device(alone, work)["weights"] == 2.0 * tower
    assert any("vision tower" in note for note in both.notes)


def test_the_shape_of_a_tower_is_kept():
    vision = {
        "model_type": "qwen2_5_vl", "depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420,
        "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": 3584,
        "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
    }  # fmt: skip
    (found,) = towers({"vision_config": vision}, 3584).shapes
    assert (found.layers, found.hidden, found.attention_heads, found.inner) == (32, 1280, 16, 3420)
    assert found.gate
    # three colours of 14 x 14 in two frames; 2 x 2 patches a token; 8 x 8 patches a window in 28 of 32 layers
    assert (found.inputs, found.merged, found.window, found.window_layers) == (3 * 14 * 14 * 2, 4, 64, 28)


def test_patches_that_become_a_token_by_each_key():
    vision = {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "patch_size": 14,
        "image_size": 896,
    }  # fmt: skip
    for table, around, merged in (
        ({}, {}, 1),
        ({"merge_kernel_size": [2, 2]}, {}, 4),
        ({}, {"mm_tokens_per_image": 256}, 16),
        ({}, {"spatial_merge_size": 2}, 4),
        ({}, {"downsample_ratio": 0.5}, 4),
        ({"pooling_kernel_size": 3}, {}, 9),
    ):
        (found,) = towers({"vision_config": {**vision, **table}, **around}, 64).shapes
        assert found.merged == merged, (table, around)


def test_a_tower_without_heads_is_counted_and_has_no_shape():
    vision = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "patch_size": 14}
    found = towers({"vision_config": vision}, 64)
    assert found.parameters > 0
    assert found.shapes == ()
    assert "its time is not known" in found.notes[0]


@pytest.mark.parametrize(
    ("around", "table", "tokens"),
    [
        # an image of 896 x 896 px is 64 x 64 patches of 14 px
        ({"model_type": "gemma3"}, {**SIGLIP, "image_size": 896}, 256),
        ({"model_type": "idefics2"}, {**SIGLIP, "model_type": "idefics2_vision", "image_size": 896}, 64),
        ({"model_type": "llava"}, {**SIGLIP, "image_size": 896}, 4096),
        ({"model_type": "smolvlm", "scale_factor": 4}, {**SIGLIP, "image_size": 896}, 256),
        ({"model_type": "ovis2"}, {**SIGLIP, "model_type": "aimv2_vision_model", "image_size": 896, "hidden_stride": 2},
         1024),
        # four slices of 448 x 448 px, each of which has 64 queries
        ({"model_type": "minicpmv", "query_num": 64}, {**SIGLIP, "image_size": 896}, 256),
    ],
)  # fmt: skip
def test_tokens_of_an_image_by_class(around, table, tokens):
    (found,) = towers({**around, "vision_config": table}, 4096).shapes
    assert 64 * 64 / found.merged == pytest.approx(tokens)


@pytest.mark.parametrize(
    ("kind", "tokens"), [("voxtral_encoder", 375), ("qwen2_audio_encoder", 750), ("qwen3_omni_moe_audio_encoder", 375)]
)
def test_tokens_of_half_a_minute_of_sound_by_class(kind, tokens):
    table = {
        "model_type": kind, "d_model": 1280, "encoder_layers": 32, "encoder_ffn_dim": 5120,
        "encoder_attention_heads": 20, "num_mel_bins": 128,
    }  # fmt: skip
    (found,) = towers({"audio_config": table}, 4096).shapes
    assert 30 * found.frames / found.merged == tokens


@pytest.mark.parametrize("changes", [{"pixel_shuffle_ratio": 1e-9}, {"spatial_merge_size": 1_000_000}])
def test_a_shape_that_no_tower_has_is_not_timed(changes):
    found = towers({"vision_config": {**SIGLIP, **changes}}, 4096)
    assert found.shapes == ()
    assert "its time is not known" in found.notes[0]


def test_patches_that_do_not_divide_evenly_into_tokens():
    (found,) = towers({"vision_config": {**SIGLIP, "image_size": 980}, "model_type": "idefics2"}, 4096).shapes
    assert found.merged == 70 * 70 / 64


def test_a_tower_that_does_not_say_what_it_is_is_what_its_whole_model_is():
    """dots.ocr: 1.26 billion parameters of 3.04 are its tower's, whose perceptrons are gated."""
    table = {
        "embed_dim": 1536, "hidden_size": 1536, "intermediate_size": 4224, "num_hidden_layers": 42,
        "num_attention_heads": 12, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 1,
    }  # fmt: skip
    found = towers({"model_type": "dots_ocr", "vision_config": table}, 1536)
    assert found.parameters == pytest.approx(1.262e9, rel=2e-3)
    assert found.shapes[0].gate
