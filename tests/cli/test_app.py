"""The command line as a user meets it: exit codes, one line for what is wrong, JSON and nothing else with --json."""

from __future__ import annotations

import json

import pytest

from accelmodel import __version__
from accelmodel.cli import specs
from accelmodel.specs import facts

CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}  # fmt: skip


def test_an_interrupt_elsewhere_exits_130(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(specs, "known", interrupted)
    code, out, err = run("list")
    assert (code, out) == (130, "")
    assert err in ("", "accelmodel: interrupted\n")


def test_our_own_fault_exits_1_in_one_line(run, monkeypatch):
    def broken(*_):
        raise RuntimeError("oops")

    monkeypatch.setattr(specs, "known", broken)
    code, out, err = run("list")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "internal error (RuntimeError: oops); please report" in err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("step --device ascend-910b9", "did you mean 'ascend-910b"),
        ("step --device ./nowhere.toml", "nowhere.toml: cannot be read"),
        ("step --model llama-3-80b", "did you mean 'llama-3-"),
        ("step --link hccs-mash-8", "did you mean 'hccs-mesh-8'"),
        ("step --l2 5parsecs", "l2_capacity: unknown unit 'parsecs'"),
        ("step --l2 -1MB", "l2.capacity"),
        ("step --l2 5MB/s", "is in B/s, expected B"),
        ("step --l2 nan", "l2_capacity: 'nan' is not a number"),
        ("step --hbm-bandwidth 0TB/s", "hbm.bandwidth"),
        ("step --hbm-bandwidth 3TB", "is in B, expected B/s"),
        ("step --link-bandwidth -5GB/s", "bandwidth"),
        ("step --cores 0", "cores"),
        ("step --cores 1.5", "whole number"),
        ("step --set l2_usable", "write FIELD=VALUE"),
        ("step --set l2_usabel=0.5", "did you mean"),
        ("step --set link.l2_usable=0.5", "unknown field"),
        ("step --set chip.l2_usable=0.5", "unknown part 'chip'"),
        ("step --set l2_usable=2", "must be at most 1"),
        ("step --set name=x", "unknown"),
        ("step --model llama-3.1-405b", "does not fit"),
        ("step --tp 128 --devices 128", "heads"),
        ("step --pp 81 --devices 81", "layers"),
        ("step --tp 8 --pp 2 --devices 8", "exceeds the 8 devices"),
        ("step --model llama-3-8b --ep 2 --tp 2", "ep must be 1"),
        ("step --model mixtral-8x7b --tp 8 --ep 3", "ep must divide"),
        ("step --tp 8 --phase prefill --context 1024 --prefix 1024", "prefix must be below context"),
        ("step --tp 8 --phase dream", "unknown phase 'dream'"),
        ("step --tp 8 --technique dream", "unknown technique 'dream'"),
        ("step --tp 8 --technique preserve --rule dream", "unknown admission rule 'dream'"),
        ("step --tp 8 --threshold 0.7", "technique 'none' takes no parameters, and was given threshold"),
        ("step --tp 8 --technique fused --rule paper", "technique 'fused' takes no parameters, and was given rule"),
        ("step --tp 8 --technique preserve --threshold nan", "threshold"),
        ("step --tp 8 --weight-bits 0.5", "weight_bits"),
        ("step --tp 8 --kv-bits nan", "kv_bits"),
        ("step --batch 0", "--batch"),
        ("step --batch many", "--batch"),
        ("step --batch 99999999999999", "batch"),
        ("step --nonsense", "--nonsense"),
        ("stepp", "stepp"),
        ("preserve --phase dream", "unknown phase 'dream'"),
        ("preserve --batch 64:1", "a range must rise"),
        ("preserve --batch 0", "numbers from 1 up"),
        ("preserve --batch 1:2:4", "whole numbers"),
        ("preserve --batch ,", "whole numbers"),
        ("preserve --tp two", "tp: 'two'"),
        ("preserve --context 1e4", "context: '1e4'"),
        ("preserve --models ,", "names nothing"),
        ("preserve --models llama-3-8b,qwen2-8b", "did you mean 'qwen2-"),
        ("preserve --tp 16", "exceeds the 8 devices"),
        ("preserve --models deepseek-v3 --tp 1", "does not fit"),
        ("explore --study nothing", "unknown study 'nothing'"),
        ("explore --objective fun", "unknown objective 'fun'"),
        ("explore --trials 0", "--trials"),
        ("list chips", "unknown kind 'chips'"),
        ("show ascend-910b9", "did you mean 'ascend-910b"),
    ],
)
def test_wrong_input_is_told_in_one_line(refused, command, says):
    assert says in refused(command)


def test_broken_files_are_told_in_one_line(refused, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG)[:50], encoding="utf-8")
    assert "config.json: is not valid JSON" in refused("step --model ./config.json")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert "config.json" in refused("step --model ./config.json")
    device = (facts.root() / "devices" / "ascend-910b2.toml").read_text(encoding="utf-8")
    (tmp_path / "twice.toml").write_text(device + "capacity = 1\n", encoding="utf-8")
    assert "twice.toml: is not valid TOML" in refused("step --device ./twice.toml")
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    assert "binary.toml: is not UTF-8" in refused("show ./binary.toml")
    (tmp_path / "empty.toml").touch()
    assert "empty.toml" in refused("show ./empty.toml")
    assert "empty.toml" in refused("explore --study ./empty.toml")


def test_version_and_help(run):
    assert run("--version") == (0, f"accelmodel {__version__}\n", "")
    for command in ("--help", "step --help", "explore --help"):
        code, out, err = run(command)
        assert (code, err) == (0, "")
        assert "Usage: " in out
    code, out, err = run("")
    assert code == 2
    assert "Usage: " in out + err
