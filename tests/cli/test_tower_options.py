"""Options of ``step`` for towers: what they ask, what they say, what they refuse."""

from __future__ import annotations

import json

import pytest

from accelmodel.cli.tower_options import towers_asked
from accelmodel.errors import SpecError
from accelmodel.specs.load import load


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    text = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 1000, "tie_word_embeddings": False,
    }  # fmt: skip
    vision = {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "patch_size": 14,
        "image_size": 336, "spatial_merge_size": 2,
    }  # fmt: skip
    path = tmp_path_factory.mktemp("seeing") / "seeing.json"
    path.write_text(json.dumps({"model_type": "llava", "text_config": text, "vision_config": vision}), encoding="utf-8")
    return load("model", path)


def test_a_size_becomes_patches_and_tokens(seeing):
    work, (note,) = towers_asked(seeing, 4096, 2, "1024x768", 0.0)
    # 1024 / 14 and 768 / 14, rounded up: 74 x 55; four patches a token
    assert work == {"images": 2, "image_patches": 74 * 55}
    assert f"{74 * 55} patches" in note
    assert "1018 tokens" in note


def test_the_size_of_the_model_is_the_default(seeing):
    work, _ = towers_asked(seeing, 4096, 1, None, 0.0)
    assert work["image_patches"] == 24 * 24


def test_nothing_asked_is_nothing_said(seeing):
    assert towers_asked(seeing, 1, 0, None, 0.0) == ({}, [])


@pytest.mark.parametrize(
    ("context", "images", "size", "seconds", "words"),
    [
        (4096, 0, "1024x768", 0.0, "--images"),
        (4096, 1, "1024", 0.0, "--image-size"),
        (4096, 1, "0x10", 0.0, "--image-size"),
        (143, 1, "336x336", 0.0, "--context 143 is below the 144 tokens"),
        (4096, 0, None, 30.0, "no audio tower"),
    ],
)
def test_what_cannot_be_asked_is_refused(seeing, context, images, size, seconds, words):
    with pytest.raises(SpecError, match=words):
        towers_asked(seeing, context, images, size, seconds)
