"""Files of one's own in every command, by path and by name in the working directory: the answer of the shipped ones."""

from __future__ import annotations

import csv
import json
import re
import sys

import pytest
from answers import differences

from accelmodel.cli import app, options
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError
from accelmodel.report import exploration
from accelmodel.specs import facts
from accelmodel.specs.load import load

#: kind → folder, shipped specification that is copied
KINDS = {
    "device": ("devices", "h100-sxm"),
    "link": ("links", "nvlink3-switch"),
    "model": ("models", "llama-3.1-8b"),
    "storage": ("storage", "nvme"),
    "instance": ("instances", "g6.xlarge"),
    "engine": ("engines", "in-flight"),
    "library": ("kernel_libraries", "vllm-8bit"),
    "study": ("studies", "preserve-l2"),
}
STEP = "step --device {device} --model {model} --batch 8 --context 512"
RATE = "instances --model {model} --input 1024 --output 256 --rate 2.0 --engine {engine} --instance {instance} --only"
FLEET = "fleet --model {model} --workload mix.csv --engine {engine} --instance {instance} --only"
#: every command that names a specification; in braces the kinds of one's own
COMMANDS = (
    "show {device}", "show {link}", "show {storage}", "show {instance}",
    STEP,
    STEP.replace("8 --context", "8 --devices 2 --tp 2 --link {link} --context"),
    STEP + " --weight-bits 8 --activation-bits 8 --library {library}",
    "preserve --device {device} --link {link} --models {model} --tp 2 --batch 4 --context 2048",
    "matmul --device {device} --m 1,256 --n 8192 --k 8192 --bits 8 --library {library}",
    "attention --device {device} --context 512,4096",
    "collective --device {device} --link {link} --devices 8 --bytes 1MB,64MB",
    "cake --device {device} --link {link} --tp 2 --model {model} --tokens 4096 --tier {storage} --policies all",
    RATE,
    RATE.replace("--rate 2.0", "--batch 4"),
    FLEET,
)  # fmt: skip
#: small study in which everything that has a name is a file of one's own
STUDY = """
[study]
title = "own"
device = "{device}"
bill = "{bill}"
[space]
l2_capacity = {{ values = ["8MB", "64MB"] }}
[workload]
models = ["{model}"]
batch = [4]
context = [4096]
phase = "decode"
[software]
tp = [8]
threshold = [1.0]
rule = ["partial"]
"""


def own_of(kind):
    return f"my-{kind}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a copy of one specification of each kind under another name, and a price of one."""
    monkeypatch.chdir(tmp_path)
    for kind, (place, name) in KINDS.items():
        for suffix in (".toml", ".calibrated.toml"):
            shipped = facts.root() / place / f"{name}{suffix}"
            if shipped.is_file():
                (tmp_path / f"{own_of(kind)}{suffix}").write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "mix.csv").write_text("input,output,rate\n128,128,0.5\n1024,256,0.2\n", encoding="utf-8")
    name = KINDS["instance"][1]
    with (facts.root() / "prices" / "aws.csv").open(encoding="utf-8", newline="") as file:
        row = next(each for each in csv.DictReader(file) if each["instance"] == name and each["region"] == "us-east-1")
    lines = ["instance,region,price_per_hour,date"]
    lines += [f"{each},us-east-1,{row['price_per_hour']},{row['date']}" for each in (name, own_of("instance"))]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys, warm):
    def call(command):
        monkeypatch.setattr(sys, "argv", ["accelmodel", *command.split(), "--json"])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert ended.value.code == 0, captured.err
        return json.loads(captured.out)

    return call


@pytest.fixture
def unreported(monkeypatch):
    """Spare the tests the report of an exploration, which has tests of its own."""
    monkeypatch.setattr(exploration, "write_report", lambda _, path: path)


def named(data):
    """Return an answer without what the name of a specification is, and without notes: a copy inherits with a note."""
    text = json.dumps({key: value for key, value in data.items() if key != "notes"})
    for kind, (_, name) in KINDS.items():
        text = text.replace(f'"{own_of(kind)}"', f'"{name}"')
    return json.loads(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_copy_of_a_shipped_file_gives_the_same_answer(run, folder, command):
    """By path and by name in the working directory."""
    if "--instance" in command:
        command += " --prices own.csv"
    before = named(run(command.format(**{kind: name for kind, (_, name) in KINDS.items()})))
    for form in ("./{}.toml", "{}"):
        after = named(run(command.format(**{kind: form.format(own_of(kind)) for kind in KINDS})))
        assert differences(before, after) == [], form
    assert sum(isinstance(value, float) for value in numbers(before)) > 3


def numbers(data):
    if isinstance(data, dict):
        return [each for value in data.values() for each in numbers(value)]
    if isinstance(data, list):
        return [each for value in data for each in numbers(value)]
    return [data]


def test_a_copy_of_the_shipped_study_is_the_same_study(folder):
    shipped = load_study(KINDS["study"][1])
    for form in ("{}.toml", "./{}.toml", "{}"):
        own = load_study(form.format(own_of("study")))
        assert own.model_copy(update={"name": shipped.name}) == shipped
        assert own.name == own_of("study")


@pytest.mark.parametrize("form", ["{}.toml", "./{}.toml", "{}"])
def test_a_study_names_files_that_stand_beside_it(run, folder, unreported, form):
    """Device, bill and model of a study are found from the study, wherever the command runs."""
    inner = folder / "inner"
    inner.mkdir()
    for kind, place, name in (("device", "devices", "ascend-910b2"), ("bill", "bills", "ascend-910b"),
                              ("model", "models", "llama-3-8b")):  # fmt: skip
        text = (facts.root() / place / f"{name}.toml").read_text(encoding="utf-8")
        (inner / f"own-{kind}.toml").write_text(text, encoding="utf-8")
    plain = STUDY.format(device="ascend-910b2", bill="ascend-910b", model="llama-3-8b")
    own = STUDY.format(**{kind: form.format(f"own-{kind}") for kind in ("device", "bill", "model")})
    (folder / "plain.toml").write_text(plain, encoding="utf-8")
    (inner / "own.toml").write_text(own, encoding="utf-8")
    before = run("explore --study plain --trials 2 --storage a.journal --output a.html")
    after = run("explore --study inner/own.toml --trials 2 --storage b.journal --output b.html")
    renamed = json.loads(json.dumps(after).replace('"own-model"', '"llama-3-8b"'))
    assert differences(named(before), named(renamed)) == []
    assert after["study"] == "own"


def test_a_name_that_ships_means_what_ships(folder, run):
    command = STEP.format(device="h100-sxm", model="llama-3.1-8b")
    before = run(command)
    (folder / "h100-sxm.toml").write_text("nonsense", encoding="utf-8")
    assert run(command) == before


def test_a_hugging_face_folder_is_a_model(folder, run, unreported):
    """A folder with a config.json beside the study, and its file for the commands."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
        "max_position_embeddings": 8192, "tie_word_embeddings": False, "hidden_act": "silu",
    }  # fmt: skip
    (folder / "llama").mkdir()
    (folder / "llama" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, model in (("plain", "llama-3-8b"), ("own", "llama")):
        text = STUDY.format(device="ascend-910b2", bill="ascend-910b", model=model)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    before = run("explore --study plain --trials 2 --storage a.journal --output a.html")
    after = run("explore --study own --trials 2 --storage b.journal --output b.html")
    assert after["best"]["none"]["tokens_per_s_per_device"] == pytest.approx(
        before["best"]["none"]["tokens_per_s_per_device"], rel=1e-3
    )
    assert load("model", "llama/config.json").layers == 32.0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["link=pcie4-x16"], "give it with --link"),
        (["device.scale_out=roce-200g"], "scale_out names a file"),
        (["process=n5"], "accelmodel new device"),
        (["architecture=hopper"], "architecture names a file"),
        (["l2.capacity=1MB", "l2_capacity=2MB"], "device.l2.capacity is set twice"),
        (["link.share=0.5", "link.share=0.6"], "link.share is set twice"),
    ],
)
def test_a_setting_that_would_change_nothing_or_be_lost_is_refused(settings, says):
    with pytest.raises(SpecError, match=re.escape(says)):
        options.hardware("h100-sxm", None, settings=settings)


def test_an_option_and_a_setting_of_one_field_are_refused():
    for shortcut, setting in (
        ("l2_capacity", "l2.capacity=2MB"),
        ("cores", "cores=9"),
        ("link_bandwidth", "link.bandwidth=1GB/s"),
    ):
        with pytest.raises(SpecError, match="is set twice"):
            options.hardware("h100-sxm", None, shortcuts={shortcut: "1"}, settings=[setting])


@pytest.mark.parametrize(
    "command",
    [
        "step {} --devices 16 --tp 8 --dp 2 --model llama-3-8b --batch 8 --context 512",
        "preserve {} --models llama-3-8b --tp 8 --batch 4 --context 2048",
        "cake {} --tp 2 --model llama-3-8b --tokens 4096",
        "collective {} --devices 16 --bytes 1MB",
    ],
)
def test_a_cluster_is_a_device_with_the_links_of_a_file(run, command):
    together = run(command.format("--cluster cloudmatrix-384"))
    apart = run(command.format("--device ascend-910c --link cloudmatrix-384"))
    assert not differences(apart, together)
