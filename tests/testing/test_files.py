"""Planted faults: a good file with one thing wrong is found out, and the check says which number it is."""

from __future__ import annotations

import json

import pytest

from accelmodel.errors import SpecError
from accelmodel.specs.find import FOLDERS
from accelmodel.specs.load import available
from accelmodel.testing.files import BROKEN, HOLDS, check_file, kind_named
from accelmodel.testing.invariants import INVARIANTS

#: a chip as its data sheet has it: what is planted replaces one value
CHIP = """
[default]
kind = "datasheet"
source = "sheet"
locator = "page 1"
[sources.sheet]
title = "Data sheet of my chip"
[device]
architecture = "hopper"
process = "n4"
link = "{link}"
die_area = {{ value = {die_area}, unit = "mm2" }}
dies = 1
power = {{ value = {power}, unit = "W" }}
price = {{ value = {price}, unit = "USD" }}
[compute]
cores = {cores}
clock = {{ value = {clock} }}
peak_16bit = {{ value = {peak}, unit = "TFLOP/s" }}
peak_8bit_float = {{ value = {narrow}, unit = "TFLOP/s" }}
peak_8bit_int = {{ value = {integer}, unit = "TOP/s" }}
vector_rate = {{ value = {vector}, unit = "TFLOP/s" }}
matrix_share = {share}
launch_time = {{ value = {launch} }}
[hbm]
bandwidth = {{ value = {hbm}, unit = "{hbm_unit}" }}
capacity = {{ value = {memory} }}
stacks = {stacks}
[l2]
capacity = {{ value = {l2} }}
bandwidth = {{ value = {l2_rate}, unit = "TB/s" }}
"""
GOOD = {
    "link": "nvlink4-switch", "die_area": 814, "power": 700, "price": 30000, "cores": 132,
    "clock": '1.83, unit = "GHz"', "peak": 989, "narrow": 1979, "integer": 1979, "vector": 67, "share": 0.8,
    "launch": '1.5, unit = "us"', "hbm": 3.35, "hbm_unit": "TB/s", "memory": '80, unit = "GB"', "stacks": 5,
    "l2": '50, unit = "MB"', "l2_rate": 9.5,
}  # fmt: skip
#: what is planted → what of GOOD it replaces, and a word of what is said
PLANTED = {
    "a peak a thousand times too high": ({"peak": 989_000, "narrow": 1_979_000, "integer": 1_979_000}, "peak_16bit"),
    "a peak in GFLOP/s": ({"peak": 0.989, "narrow": 1.979, "integer": 1.979, "vector": 0.067}, "peak_16bit"),
    "bits for bytes of memory": ({"hbm": 26.8}, "hbm.bandwidth"),
    "memory slower than the link": ({"hbm": 0.3}, "slower than the link"),
    "memory in GB/s for TB/s": ({"hbm_unit": "GB/s"}, "slower than the link"),
    "L2 slower than memory": ({"l2_rate": 2.0}, "l2.bandwidth"),
    "L2 larger than memory": ({"l2": '500, unit = "GB"'}, "l2.capacity"),
    "L2 of bytes": ({"l2": '50, unit = "B"'}, "l2.capacity"),
    "8 bit slower than 16": ({"narrow": 494}, "peak_8bit_float"),
    "integers a hundred times slower": ({"integer": 9.89}, "peak_8bit_int"),
    "a vector unit above the matrix unit": ({"vector": 6700}, "vector_rate"),
    "a share above 1": ({"share": 1.5}, "matrix_share"),
    "a share in percent": ({"share": 80}, "matrix_share"),
    "a launch of seconds": ({"launch": '1.5, unit = "s"'}, "launch_time"),
    "a launch of milliseconds": ({"launch": '1.5, unit = "ms"'}, "launch_time"),
    "a clock in kHz": ({"clock": '1830, unit = "kHz"'}, "clock"),
    "a clock in THz": ({"clock": '1.83, unit = "THz"'}, "clock"),
    "a memory of bytes": ({"memory": '80, unit = "B"'}, "hbm"),
    "a memory of TB": ({"memory": '80, unit = "TB"'}, "hbm.capacity"),
    "cores of another chip": ({"cores": 114}, "cores"),
    "stacks of another chip": ({"stacks": 1}, "stacks"),
    "a negative bandwidth": ({"hbm": -3.35}, "hbm.bandwidth"),
    "no number": ({"hbm": "nan"}, "hbm.bandwidth"),
    "an endless peak": ({"peak": "inf"}, "peak_16bit"),
    "a die larger than the reticle": ({"die_area": 8140}, "die_area"),
    "a die too small for what is on it": ({"die_area": 20}, "die_area"),
    "power below what its parts draw": ({"power": 70}, "power"),
    "power of a rack": ({"power": 70_000}, "power"),
    "a price of an hour": ({"price": 3}, "price"),
    "a price in cents": ({"price": 300_000_000}, "price"),
    "a unit of another thing": ({"hbm_unit": "TFLOP/s"}, "hbm.bandwidth"),
    "a link that is not there": ({"link": "nvlink9"}, "nvlink9"),
}  # fmt: skip
LINK = """
[default]
kind = "datasheet"
source = "sheet"
locator = "page 1"
[sources.sheet]
title = "Data sheet of my link"
[link]
topology = "mesh"
algorithms = ["ring", "one-shot", "two-shot"]
bandwidth = {{ value = {bandwidth} }}
links = {links}
share = {share}
hop_latency = {{ value = {hop} }}
start_up = {{ value = {start_up} }}
devices = {devices}
"""
GOOD_LINK = {
    "bandwidth": '196, unit = "GB/s"', "links": 7, "share": 0.8, "hop": '1, unit = "us"',
    "start_up": '20, unit = "us"', "devices": 8,
}  # fmt: skip
PLANTED_IN_A_LINK = {
    "too few links": ({"links": 3}, "links 3"),
    "links of bits": ({"links": 700}, "bandwidth of one link"),
    "bits for bytes": ({"bandwidth": '15.7, unit = "TB/s"'}, "bandwidth"),
    "a latency in ms": ({"hop": '1, unit = "ms"'}, "hop_latency"),
    "a start-up in ms": ({"start_up": '20, unit = "ms"'}, "start_up"),
    "a share in percent": ({"share": 80}, "share"),
    "a share of a hundredth": ({"share": 0.008}, "share"),
    "one device": ({"devices": 1}, "devices"),
    "devices of none": ({"devices": 0}, "devices"),
    "more devices than links reach": ({"devices": 64}, "links 7"),
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 128256,
    "max_position_embeddings": 8192, "tie_word_embeddings": True, "hidden_act": "silu",
}  # fmt: skip


def faults(checked):
    return [fault for check in checked.checks for fault in check.faults]


@pytest.fixture
def chip(tmp_path):
    def write(**changes):
        path = tmp_path / "my-chip.toml"
        path.write_text(CHIP.format(**{**GOOD, **changes}), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def link(tmp_path):
    def write(**changes):
        path = tmp_path / "my-link.toml"
        path.write_text(LINK.format(**{**GOOD_LINK, **changes}), encoding="utf-8")
        return str(path)

    return write


def test_the_good_chip_is_sound(warm, chip):
    found = check_file(chip(), examples=2)
    assert faults(found) == []
    assert found.sound
    assert [check.name for check in found.checks[:2]] == ["reads", "plausible"]
    names = [name for name, each in INVARIANTS.items() if each.of in ("step", "stored")]
    assert [check.name for check in found.checks[2:]] == names
    assert {check.result for check in found.checks} == {HOLDS}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_named(chip, name, monkeypatch):
    changes, word = PLANTED[name]
    monkeypatch.setattr("accelmodel.testing.checks.tried", lambda *_, **__: [])
    found = check_file(chip(**changes))
    assert not found.sound
    told = faults(found)
    assert any(word in fault for fault in told), told
    assert all("\n" not in fault for fault in told)


def test_the_good_link_is_sound(warm, link):
    assert faults(check_file(link(), examples=2)) == []


@pytest.mark.parametrize("name", PLANTED_IN_A_LINK)
def test_a_fault_in_a_link_is_found_and_named(link, name, monkeypatch):
    changes, word = PLANTED_IN_A_LINK[name]
    monkeypatch.setattr("accelmodel.testing.checks.tried", lambda *_, **__: [])
    told = faults(check_file(link(**changes)))
    assert any(word in fault for fault in told), told


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"hidden_size": 128}, "heads x head_dim"),
        ({"intermediate_size": 10}, "ffn"),
        ({"num_key_value_heads": 5}, "num_key_value_heads 5"),
        ({"num_hidden_layers": 0}, "layers"),
        ({"num_hidden_layers": -16}, "layers"),
    ],
)
def test_a_fault_in_a_config_is_found_and_named(tmp_path, changes, word, monkeypatch):
    monkeypatch.setattr("accelmodel.testing.checks.tried", lambda *_, **__: [])
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, "head_dim": 64, **changes}), encoding="utf-8")
    told = faults(check_file(str(path)))
    assert any(word in fault for fault in told), told


def test_a_config_is_checked_as_a_model(warm, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    found = check_file(str(path), examples=1)
    assert (found.kind, faults(found)) == ("model", [])


def test_all_that_is_wrong_with_a_file_is_told_at_once(chip):
    found = check_file(chip(share=1.5, hbm=-1))
    assert [check.name for check in found.checks] == ["reads"]
    assert found.checks[0].result == BROKEN
    told = found.checks[0].faults
    assert [word in fault for fault, word in zip(told, ("matrix_share", "hbm.bandwidth"), strict=True)] == [True, True]


@pytest.mark.parametrize("kind", FOLDERS)
def test_no_shipped_file_is_doubted(kind, monkeypatch):
    monkeypatch.setattr("accelmodel.testing.checks.tried", lambda *_, **__: [])
    for name in available(kind):
        found = check_file(name)
        assert found.kind in FOLDERS
        assert faults(found) == [], name


@pytest.mark.parametrize("name", ["nvlink4-switch", "gb200-nvl72", "nvme", "in-flight", "p5.48xlarge", "llama-3.2-1b"])
def test_every_kind_is_tried(warm, name):
    found = check_file(name, examples=1)
    assert found.sound, faults(found)
    assert len(found.checks) > 3
    json.dumps(found.data(), allow_nan=False)


def test_a_file_that_is_not_there():
    with pytest.raises(SpecError, match="unknown file 'h100-sxn', did you mean 'h100-sxm'"):
        kind_named("h100-sxn")
    with pytest.raises(SpecError, match=r"nowhere\.toml"):
        kind_named("./nowhere.toml")
