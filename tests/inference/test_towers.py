"""Rows of towers: products counted patch by patch, how they are cut, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.inference.memory import memory_per_device
from accelmodel.inference.operators import operator_table
from accelmodel.inference.step import figures, prepare
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.tower import Tower
from accelmodel.specs.workload import Workload

SIGHT = Tower(
    "vision", 4.0, hidden=64.0, attention_heads=4.0, inner=256.0, inputs=588.0, outer=128.0, merged=4.0, patch=14.0,
    image=112.0,
)  # fmt: skip
HEARING = Tower("audio", 2.0, 64.0, 4.0, 256.0, inputs=960.0, outer=128.0, frames=50.0, window=1500.0)
MODEL = LanguageModel(
    "tiny", layers=2.0, hidden=128.0, vocabulary=1000.0, heads=8.0, kv_heads=8.0, head_dim=16.0, ffn=512.0, gated=True,
    tower=(SIGHT, HEARING), tower_parameters=1e6,
)  # fmt: skip


def rows(work, word, model=MODEL):
    table = operator_table(model, work)
    return {
        name: {column: values[place] for column, values in table.columns.items()}
        for place, name in enumerate(table.names)
        if name.startswith(word)
    }


def total(found):
    return sum(row["count"] * row["flops"] for name, row in found.items() if name.split("_", 1)[1] in MATMULS)


MATMULS = (
    "embedding", "qkv_projection", "attention", "attention_window", "output_projection", "mlp_up", "mlp_down", "merge",
    "projection",
)  # fmt: skip


def test_products_of_two_images_patch_by_patch():
    found = rows(Workload("prefill", 3.0, 1000.0, images=2.0, image_patches=64.0), "vision")
    images, patches = 3 * 2, 64
    each = 588 * 64 + 4 * (4 * 64 * 64 + 2 * 64 * 256)  # embedding; four layers of projections and perceptron
    pairs = 4 * 2 * 64 * patches  # each patch sees all: scores and values of all heads
    joint = (64 * 4) ** 2 + 64 * 4 * 128  # merging of four patches, and the way to the stream
    assert total(found) == images * 2 * (patches * (each + pairs) + patches / 4 * joint)


def test_windows_reach_as_far_as_they_are_told():
    local = dataclasses.replace(SIGHT, window=16.0, window_layers=3.0)
    found = rows(
        Workload("prefill", 1.0, 1000.0, images=1.0, image_patches=64.0), "vision_attention",
        dataclasses.replace(MODEL, tower=(local,)),
    )  # fmt: skip
    assert {name: row["count"] for name, row in found.items()} == {
        "vision_attention": 1.0, "vision_attention_window": 3.0,
    }  # fmt: skip
    assert found["vision_attention_window"]["flops"] == found["vision_attention"]["flops"] / 4


def test_tensor_ranks_share_a_tower_and_sum_it_twice_a_layer():
    work = Workload("prefill", 1.0, 1000.0, images=1.0, image_patches=64.0)
    alone, shared = rows(work, "vision"), rows(dataclasses.replace(work, tp=4.0), "vision")
    for name in ("qkv_projection", "attention", "output_projection", "mlp_up", "mlp_down", "merge", "projection"):
        assert shared[f"vision_{name}"]["flops"] == alone[f"vision_{name}"]["flops"] / 4
    assert shared["vision_all_reduce"]["count"] == 2 * 4
    assert shared["vision_all_reduce"]["message_bytes"] == 64 * 64 * 2


def test_sound_is_heard_in_segments_of_half_a_minute():
    found = rows(Workload("prefill", 2.0, 4000.0, audio_seconds=45.0), "audio")
    # 2250 frames of two sequences in two segments each
    assert found["audio_embedding"]["m"] == 2 * 2250
    assert (found["audio_attention"]["n"], found["audio_attention"]["groups"]) == (1125, 2 * 2 * 4)


def test_without_images_nothing_is_added():
    assert rows(Workload("prefill", 1.0, 1000.0), ("vision", "audio")) == {}


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (Workload("decode", 1.0, 1000.0, images=1.0, image_patches=64.0), "prefill"),
        (Workload("prefill", 1.0, 1000.0, images=1.0), "image_patches"),
    ],
)
def test_what_cannot_be_asked_is_refused(work, words):
    with pytest.raises(SpecError, match=words):
        operator_table(MODEL, work)


def test_a_model_without_a_tower_says_so():
    with pytest.raises(SpecError, match="no vision tower"):
        operator_table("llama-3-8b", Workload("prefill", 1.0, 1000.0, images=1.0, image_patches=64.0))


def test_towers_are_cut_over_tensor_ranks_in_memory():
    bare = dataclasses.replace(MODEL, tower_parameters=0.0)
    for tp in (1.0, 4.0):
        work = Workload("decode", 1.0, 100.0, tp=tp)
        held = memory_per_device(MODEL, work)["weights"] - memory_per_device(bare, work)["weights"]
        assert held == pytest.approx(1e6 * 2 / tp)


def test_the_answer_says_whether_their_time_is_in():
    for work, words in (
        (Workload("prefill", 1.0, 1000.0), "not in time"),
        (Workload("prefill", 1.0, 1000.0, images=1.0, image_patches=64.0), "asked of them in time"),
        (Workload("decode", 1.0, 1000.0), "do not run in decode"),
    ):
        assert any(words in note for note in operator_table(MODEL, work).notes)


def test_more_images_take_longer():
    chip = am.cluster(am.load("device", "h100-sxm"))

    def time(images):
        work = Workload("prefill", 1.0, 1000.0, images=images, image_patches=4096.0)
        return float(figures(prepare(MODEL, chip, work))["step_time"])

    assert time(1.0) < time(2.0) < time(4.0)
