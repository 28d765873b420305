"""Shipped names, paths, names in the working directory, and names inside files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import accelmodel as am
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError
from accelmodel.specs import find
from accelmodel.specs.template import new_file

KINDS = [kind for kind in find.FOLDERS if kind not in ("study", "sweep", "architecture")]
SHEET = '[default]\nkind = "paper"\nsource = "s"\nlocator = "x"\n[sources.s]\ntitle = "x"\n'
TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "vocab_size": 1000, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own(folder: Path, kind: str, name: str) -> Path:
    """Return a copy of a shipped file under a name of one's own."""
    path = folder / f"{name}.toml"
    path.write_bytes(find.path_of(kind, find.available(kind)[0]).read_bytes())
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_ones_own_goes_by_path_and_by_name(here, kind):
    path = own(here, kind, "mine")
    by_name, by_path = am.load(kind, "mine"), am.load(kind, str(path))
    assert by_name == by_path
    assert by_name.name == "mine"
    assert by_name == am.load(kind, "./mine.toml")


def test_a_study_of_ones_own_goes_by_path_and_by_name(here):
    path = own(here, "study", "mine")
    assert load_study("mine") == load_study(str(path))
    with pytest.raises(SpecError, match="did you mean 'preserve-l2'"):
        load_study("preserve-l3")


def test_a_name_is_only_a_file_of_its_kind(here):
    own(here, "link", "mine")
    with pytest.raises(SpecError, match="unknown device 'mine'"):
        am.load("device", "mine")


def test_a_shipped_name_means_the_shipped_file(here):
    (here / "l4.toml").write_text(f'{SHEET}[device]\nlike = "h100-sxm"\n', encoding="utf-8")
    assert am.load("device", "l4").compute.cores == 58.0
    assert am.load("device", "./l4.toml").compute.cores == 132.0


def test_a_folder_with_a_config_is_a_model(here):
    folder = here / "tiny"
    folder.mkdir()
    config = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,'
    config += '"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100,'
    config += '"hidden_act": "silu", "tie_word_embeddings": false}'
    (folder / "config.json").write_text(config, encoding="utf-8")
    for name in ("tiny", "./tiny", "tiny/config.json"):
        model = am.load("model", name)
        assert (model.name, model.layers) == ("tiny", 2.0)


def test_names_inside_a_file_mean_files_beside_it(here, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    own(other, "link", "my-link")
    own(other, "process", "my-node")
    text = f'{SHEET}[device]\nlike = "l4"\nlink = "my-link"\nscale_out = "./my-link.toml"\nprocess = "my-node"\n'
    (other / "my-chip.toml").write_text(text, encoding="utf-8")
    chip = am.load("device", str(other / "my-chip.toml"))
    cluster = am.cluster(chip)
    assert cluster.link.name == cluster.scale_out.name == "my-link"
    assert am.load("process", chip.process).name == "my-node"
    (other / "next.toml").write_text(f'{SHEET}[device]\nlike = "my-chip"\n', encoding="utf-8")
    assert am.cluster(am.load("device", str(other / "next.toml"))).link.name == "my-link"


def test_an_instance_and_a_study_name_what_stands_beside_them(here, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "my-chip.toml").write_text(f'{SHEET}[device]\nlike = "l4"\n', encoding="utf-8")
    text = new_file("instance", "mine", "g6.xlarge").replace('device = "l4"', 'device = "my-chip"')
    (other / "mine.toml").write_text(text, encoding="utf-8")
    assert am.load("device", am.load("instance", str(other / "mine.toml")).device).name == "my-chip"
    study = find.path_of("study", "preserve-l2").read_text(encoding="utf-8").replace('"ascend-910b2"', '"my-npu"')
    (other / "my-npu.toml").write_text(f'{SHEET}[device]\nlike = "ascend-910b2"\n', encoding="utf-8")
    (other / "question.toml").write_text(study, encoding="utf-8")
    assert am.load("device", load_study(str(other / "question.toml")).study.device).name == "my-npu"


def test_axes_of_a_study_go_by_both_names(here):
    text = find.path_of("study", "preserve-l2").read_text(encoding="utf-8")
    assert "l2_capacity = " in text
    (here / "dotted.toml").write_text(text.replace("l2_capacity = ", "l2.capacity = "), encoding="utf-8")
    assert list(load_study("dotted").axes()) == list(load_study("preserve-l2").axes())


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "..", "", "~"])
def test_what_no_file_can_be_called_is_unknown(here, name):
    with pytest.raises(SpecError):
        am.load("device", name)


@pytest.mark.parametrize("name", ["model.gguf", "./model-Q4_K_M.gguf", "folder/model.safetensors"])
def test_files_of_weights_are_no_models(name):
    with pytest.raises(SpecError, match="holds weights, which are not read; give the config.json"):
        find.path_of("model", name)


def hub(folder, name, *snapshots, main=""):
    """Return a folder of the hub's cache, whose snapshots link to blobs."""
    for number, layers in enumerate(snapshots):
        content = {**TINY, "num_hidden_layers": layers}
        blob = folder / name / "blobs" / str(number)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_text(json.dumps(content), encoding="utf-8")
        config = folder / name / "snapshots" / f"rev{number}" / "config.json"
        config.parent.mkdir(parents=True)
        config.symlink_to(blob)
    if main:
        (folder / name / "refs").mkdir()
        (folder / name / "refs" / "main").write_text(main, encoding="utf-8")
    return folder / name


def test_a_folder_of_the_hubs_cache_is_a_model_by_name_and_by_path(here):
    hub(here, "models--org--two", 2, 3, main="rev1")
    for name in ("models--org--two", "./models--org--two", "models--org--two/snapshots"):
        model = am.load("model", name)
        assert (model.name, model.layers) == ("two", 3.0)
    assert am.load("model", "models--org--two/snapshots/rev0").layers == 2.0


def test_of_several_snapshots_or_models_each_is_named(here):
    hub(here, "models--org--two", 2, 3)
    with pytest.raises(SpecError, match="has 2 snapshots with a config.json: rev0, rev1"):
        am.load("model", "models--org--two")
    cache = here / "cache" / "hub"
    hub(cache, "models--org--one", 2)
    assert am.load("model", "./cache").name == "one"
    hub(cache, "models--org--other", 2)
    with pytest.raises(SpecError, match="holds 2 models: models--org--one, models--org--other"):
        am.load("model", str(cache))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("adapter_config.json", "holds an adapter .* base model"),
        ("params.json", "Mistral's own params.json"),
        ("model_index.json", "pipeline of images"),
        ("weights-Q4_K_M.gguf", "weights alone"),
        ("model.safetensors", "weights alone"),
        ("mine_config.json", "give one of mine_config.json"),
        ("inner/config.json", "give one of inner"),
        ("generation_config.json", "has no config.json; give the folder of a model"),
    ],
)
def test_a_folder_without_a_config_says_what_it_has(here, name, told):
    (here / "folder" / name).parent.mkdir(parents=True)
    (here / "folder" / name).write_text("{}", encoding="utf-8")
    for asked in ("folder", "./folder", here / "folder"):
        with pytest.raises(SpecError, match=told):
            am.load("model", asked)


def test_a_config_that_links_to_nothing_is_told(here):
    (here / "folder").mkdir()
    (here / "folder" / "config.json").symlink_to("nowhere")
    with pytest.raises(SpecError, match="links to a file that is not there"):
        am.load("model", "./folder")


def test_an_address_is_no_path(here):
    with pytest.raises(SpecError, match="nothing is downloaded"):
        am.load("model", "https://example.org/org/model")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "a/b"}, "an adapter's, of 'a/b'"),
        ("params.json", {"dim": 4096, "n_layers": 32, "n_heads": 32}, "Mistral's own"),
        ("config.json", {"_class_name": "UNet", "_diffusers_version": "0.21"}, "pipeline of images"),
        ("generation_config.json", {"temperature": 1.0}, "nothing of the model's shape"),
    ],
)
def test_a_file_that_is_no_config_says_what_it_is(here, name, content, told):
    (here / name).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SpecError, match=told):
        am.load("model", here / name)
