"""Files as the hub has them: folders, snapshots, single files, what Python's json reads, the index beside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from accelmodel.errors import SpecError
from accelmodel.specs import find
from accelmodel.specs.huggingface import files
from accelmodel.specs.load import load
from accelmodel.specs.parameters import parameters

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "tie_word_embeddings": False,
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_folder_a_snapshot_and_a_single_file_keep_their_names(tmp_path):
    snapshot = tmp_path / "models--some-lab--Tiny-1M" / "snapshots" / "0a1b2c" / "config.json"
    folder, single = tmp_path / "Tiny-2M" / "config.json", tmp_path / "Tiny-3M.json"
    for path in (snapshot, folder, single):
        write(path, TINY)
    assert load("model", str(snapshot)).name == "Tiny-1M"
    assert load("model", str(snapshot.parent)).name == "Tiny-1M"
    assert load("model", str(tmp_path / "models--some-lab--Tiny-1M")).name == "Tiny-1M"
    assert load("model", str(folder.parent)).name == "Tiny-2M"
    assert load("model", single).name == "Tiny-3M"


def test_of_several_snapshots_the_one_that_the_cache_names_is_read(tmp_path):
    cache = tmp_path / "models--lab--Tiny"
    for layers, revision in ((2, "old"), (3, "new")):
        write(cache / "snapshots" / revision / "config.json", TINY | {"num_hidden_layers": layers})
    with pytest.raises(SpecError, match="2 snapshots"):
        load("model", str(cache))
    write(cache / "refs" / "main", "new")
    assert load("model", cache).layers == 3.0


def test_an_id_of_the_hub_says_what_to_run(tmp_path):
    os.chdir(tmp_path)
    with pytest.raises(SpecError, match="nothing is downloaded; run hf download meta-llama/Llama-3.1-8B config.json"):
        load("model", "meta-llama/Llama-3.1-8B")
    write(tmp_path / "meta-llama" / "Llama-3.1-8B" / "config.json", TINY)
    assert load("model", "meta-llama/Llama-3.1-8B").name == "Llama-3.1-8B"


@pytest.mark.parametrize("name", ["./a/b", "a/b.toml", "a/b/c", "a b/c"])
def test_other_paths_are_no_ids(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    find.need_local(name)


def test_what_pythons_json_reads_is_read(tmp_path):
    text = json.dumps(TINY | {"time_step_limit": [0.0, float("inf")], "logits_scaling": float("nan")})
    assert "Infinity" in text
    assert load("model", write(tmp_path / "config.json", text)).layers == 2.0
    with pytest.raises(SpecError, match="hidden_size"):
        load("model", write(tmp_path / "config.json", text.replace("64", "Infinity", 1)))


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "config.json", TINY)
    monkeypatch.setattr(files, "_MAX_FILE_BYTES", 100)
    with pytest.raises(SpecError, match="larger than"):
        load("model", path)


def test_weights_beside_must_be_as_large_as_what_was_read(tmp_path):
    path = write(tmp_path / "config.json", TINY)
    size = 2.0 * float(parameters(load("model", path)))
    index = tmp_path / files.INDEX
    write(index, {"metadata": {"total_size": int(size * 1.015)}, "weight_map": {}})
    assert any("+1.5" in note for note in load("model", path).notes)
    for wrong in (0.97, 1.03, 2.0):
        write(index, {"metadata": {"total_size": int(size * wrong)}})
        with pytest.raises(SpecError, match=r"total_size is .* B and config.json was read as"):
            load("model", path)
    write(index, {"metadata": {"total_size": "large"}})
    with pytest.raises(SpecError, match="not a number of bytes"):
        load("model", path)


def test_weights_of_32_bit_are_twice_as_large(tmp_path):
    path = write(tmp_path / "config.json", TINY | {"torch_dtype": "float32"})
    size = 4.0 * float(parameters(load("model", path)))
    write(tmp_path / files.INDEX, {"metadata": {"total_size": size}})
    assert load("model", path).layers == 2.0


def test_modules_that_predict_further_tokens_may_lie_beside(tmp_path):
    path = write(tmp_path / "config.json", TINY | {"num_nextn_predict_layers": 1})
    size = 2.0 * float(parameters(load("model", path)))
    layer = 4 * 64 * 64 + 3 * 64 * 128
    write(tmp_path / files.INDEX, {"metadata": {"total_size": size + 2 * (layer + 2 * (64 + 1000) * 64)}})
    assert load("model", path).layers == 2.0


def test_name_of_a_file_without_a_folder():
    assert files.name_of(Path("config.json")) == Path().resolve().name


def test_what_a_file_tells_of_a_tower_bounds_its_weights_by_a_factor_of_two(tmp_path):
    tower = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 256, "patch_size": 4}
    write(tmp_path / "config.json", {"model_type": "llava", "text_config": TINY, "vision_config": tower})
    model = load("model", tmp_path)
    text, beside = 2.0 * float(parameters(model)), 2.0 * float(model.tower_parameters)
    for share in (0.6, 1.0, 1.9):
        write(tmp_path / files.INDEX, {"metadata": {"total_size": text + share * beside}})
        assert load("model", tmp_path) == model
    for share in (0.2, 2.5):
        write(tmp_path / files.INDEX, {"metadata": {"total_size": text + share * beside}})
        with pytest.raises(SpecError, match="apart"):
            load("model", tmp_path)


def test_weights_of_parts_that_are_not_counted_may_lie_beside(tmp_path):
    talker = {"hidden_size": 64, "num_hidden_layers": 2}
    write(tmp_path / "config.json", {"model_type": "llava", "text_config": TINY, "talker_config": talker})
    text = 2.0 * float(parameters(load("model", tmp_path)))
    write(tmp_path / files.INDEX, {"metadata": {"total_size": 3.0 * text}})
    assert any("+200" in note for note in load("model", tmp_path).notes)
    write(tmp_path / files.INDEX, {"metadata": {"total_size": 0.9 * text}})
    with pytest.raises(SpecError, match="apart"):
        load("model", tmp_path)
    # a convolutional part has no layers by that name
    coder = {"hidden_size": 64, "num_filters": 32}
    write(tmp_path / "config.json", {"model_type": "llava", "text_config": TINY, "acoustic_tokenizer_config": coder})
    write(tmp_path / files.INDEX, {"metadata": {"total_size": 1.5 * text}})
    assert any("acoustic_tokenizer_config: parts beside" in note for note in load("model", tmp_path).notes)


def test_of_many_models_in_a_folder_each_has_its_own_files_beside(tmp_path):
    for name in ("big", "small"):
        (tmp_path / f"{name}_config.json").write_text(json.dumps(TINY), encoding="utf-8")
    (tmp_path / "big_hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}', encoding="utf-8")
    assert load("model", tmp_path / "big_config.json").precision.format == "fp8"
    assert load("model", tmp_path / "small_config.json").precision.format == ""


def test_a_tower_that_a_file_tells_by_its_name_alone_is_said_and_may_lie_beside(tmp_path):
    for keys, told in (
        ({"model_type": "llava_llama", "mm_vision_tower": "openai/clip-vit-large-patch14-336"}, "mm_vision_tower"),
        ({"model_type": "phi3_v", "img_processor": {"name": "clip"}, "embd_layer": {"a": 1}}, "img_processor"),
    ):
        write(tmp_path / "config.json", {**TINY, **keys})
        model = load("model", tmp_path)
        assert any(told in note and "not counted" in note for note in model.notes)
        write(tmp_path / files.INDEX, {"metadata": {"total_size": 3.0 * float(parameters(model))}})
        assert load("model", tmp_path) == model
        (tmp_path / files.INDEX).unlink()
