"""Towers beside a language model: parameters by hand and against published sizes."""

from __future__ import annotations

import json

import pytest

from accelmodel.inference.memory import memory_per_device, weight_bytes
from accelmodel.specs.huggingface.towers import tower_parameters, towers
from accelmodel.specs.load import load
from accelmodel.specs.parameters import parameters
from accelmodel.specs.workload import Workload


def test_counted_by_hand():
    table = {"hidden_size": 100, "num_hidden_layers": 2, "intermediate_size": 300, "patch_size": 10, "image_size": 40}
    layer = 4 * 100 * 100 + 4 * 100 + 2 * 100 * 300 + 300 + 100 + 4 * 100
    # three colours of a patch, sixteen places, and what joins it to a stream of 500
    assert tower_parameters(table, 500) == 2 * layer + 3 * 100 * 100 + 16 * 100 + 100 * 100 + 100 * 500


@pytest.mark.parametrize(
    ("table", "published"),
    [
        # SigLIP so400m with its projection: 0.42e9
        ({"model_type": "siglip_vision_model", "hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304,
          "patch_size": 14, "image_size": 896}, 0.42e9),
        # the tower of Qwen2.5-VL-7B, which has 8.29e9 parameters of which 7.616e9 are the language model's
        ({"model_type": "qwen2_5_vl", "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "patch_size": 14,
          "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": 3584, "in_chans": 3}, 0.676e9),
        # the encoder of Whisper large: 0.637e9
        ({"d_model": 1280, "encoder_layers": 32, "encoder_ffn_dim": 5120}, 0.637e9),
    ],
)  # fmt: skip
def test_published_towers_within_three_percent(table, published):
    assert tower_parameters(table, 3584) == pytest.approx(published, rel=0.03)


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
