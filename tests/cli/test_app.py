"""The command line as a user meets it: exit codes, one line for what is wrong, JSON and nothing else with --json."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

import accelmodel as am
from accelmodel import __version__
from accelmodel.cli import app, specs, terminal
from accelmodel.specs import facts

STEP = (
    "step --device ascend-910b2 --devices 8 --tp 8 --model llama-3-70b --phase decode --batch 4 --context 16384 "
    "--weight-bits 8 --activation-bits 8 --kv-bits 8"
)
MODELS = "llama-3-8b,llama-3-70b,qwen2-7b,qwen2-72b,phi-3-small,phi-3-medium"
STUDY = """
[study]
title = "small"
device = "ascend-910b2"
bill = "ascend-910b"
[space]
l2_capacity = { values = ["8MB", "104MB", "192MB"] }
hbm_stacks = { values = ["4"] }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
weight_bits = 8
activation_bits = 8
kv_bits = 8
[software]
tp = [8]
threshold = [1.0]
rule = ["paper"]
"""
CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, warm):
    """Run a command in an empty folder; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(command, *more):
        monkeypatch.setattr(sys, "argv", ["accelmodel", *command.split(), *more])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


@pytest.fixture
def answer(run):
    """Run a command with --json and return the document; nothing else may be printed."""

    def call(command, *more):
        code, out, err = run(command, *more, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


@pytest.fixture
def refused(run):
    """Run a command that is wrong: exit code 2, nothing on standard output, one line (of a file one a fault)."""

    def call(command, *more):
        code, out, err = run(command, *more)
        assert (code, out) == (2, "")
        assert err.endswith("\n")
        lines = err.splitlines()
        assert len(lines) == 1 or all(".toml: " in line for line in lines[:10])
        assert all(line.startswith("accelmodel: ") for line in lines)
        assert len(lines) <= 11
        assert "Traceback" not in err
        assert "internal error" not in err
        return err

    return call


def test_step(answer):
    data = answer(f"{STEP} --technique preserve")
    assert {"time_s", "tokens_per_s", "operators"} <= set(data)
    keys = {"name", "time_s", "bound", "flops", "hbm_bytes", "l2_hit_bytes", "link_bytes"}
    for row in data["operators"]:
        assert keys <= set(row)
        assert row["bound"] in ("compute", "hbm", "l2", "link", "latency")
        assert all(math.isfinite(row[key]) and row[key] >= 0.0 for key in keys - {"name", "bound"})
    assert sum(row["time_s"] for row in data["operators"]) == pytest.approx(data["time_s"], rel=1e-9)
    assert data["tokens_per_s"] == pytest.approx(4 / data["time_s"])
    assert data["prefetched_bytes"] > 0.0
    assert sum(row["l2_hit_bytes"] for row in data["operators"]) > 0.0
    assert data["accelmodel_version"] == __version__
    plain = answer(STEP)
    assert plain["prefetched_bytes"] == 0.0
    assert data["time_s"] < plain["time_s"]


def test_step_for_people(run):
    code, out, err = run(f"{STEP} --technique preserve")
    assert (code, err) == (0, "")
    assert "all_reduce_into_attention" in out
    assert "tokens/s" in out


@pytest.mark.parametrize("technique", ["none", "fused", "preserve"])
def test_prefill_with_a_prefix(answer, technique):
    data = answer(f"step --tp 8 --phase prefill --batch 2 --context 4096 --prefix 1024 --technique {technique}")
    assert data["ttft_s"] == data["time_s"]
    assert data["tokens_per_s"] == pytest.approx(2 * 3072 / data["time_s"])
    assert data["technique"] == technique


def test_preserve(answer):
    data = answer(f"preserve --device ascend-910b2 --models {MODELS} --tp 2,4,8 --batch 1:64 --context 2048:32768")
    rows = data["rows"]
    assert len(rows) == 6 * 3 * 7 * 5
    assert data["skipped"] == ""
    cells = {(row["model"], row["tp"], row["batch"], row["context"]) for row in rows}
    assert len(cells) == len(rows)
    assert {row["batch"] for row in rows} == {1, 2, 4, 8, 16, 32, 64}
    assert {row["context"] for row in rows} == {2048, 4096, 8192, 16384, 32768}
    for row in rows:
        assert row["speedup"] == pytest.approx(row["baseline_s"] / row["preserve_s"])
        assert row["fused_s"] <= row["baseline_s"] * (1 + 1e-12)
        assert row["prefetched_bytes"] >= 0.0
    fitting = [row["speedup"] for row in rows if row["feasible"]]
    assert 0 < len(fitting) < len(rows)
    assert data["max_speedup"] == max(fitting)
    assert data["min_speedup"] == min(fitting)


def test_preserve_says_which_models_it_skips(answer):
    data = answer("preserve --models llama-3-8b,deepseek-v3 --tp 2 --batch 1 --context 2048")
    assert [row["model"] for row in data["rows"]] == ["llama-3-8b"]
    assert "deepseek-v3 does not fit" in data["skipped"]


def test_preserve_for_people(run):
    code, out, err = run("preserve --model llama-3-8b --tp 8 --batch 1,4 --phase decode")
    assert (code, err) == (0, "")
    assert "speed-up from" in out


def test_explore(run, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    code, out, err = run("explore --study small.toml --json --trials 8")
    assert code == 0, err
    data = json.loads(out)
    for technique in ("none", "preserve"):
        assert data["best"][technique]["l2_bytes"] in (8e6, 104e6, 192e6)
    objective = "tokens_per_s_per_m2"
    assert data["gain"] == pytest.approx(data["best"]["preserve"][objective] / data["best"]["none"][objective])
    assert data["gain"] >= 1.0
    assert data["evaluations"] == 3 + 2 * 8
    assert data["exhaustive"]["l2_bytes"] == data["best"]["preserve"]["l2_bytes"]
    assert data["exhaustive"]["chips"] == 3
    assert 0.0 <= data["regret"] < 1.0
    assert Path(data["report"]).is_file()
    assert Path(data["report"]).stat().st_size > 10_000
    assert (tmp_path / "accelmodel-small.journal").is_file()
    assert data["optuna"]["preserve"]["trials"] == 8


def test_an_interrupted_exploration_exits_130(run, tmp_path, monkeypatch):
    from accelmodel.dse import explore

    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    monkeypatch.setattr(explore, "optimise", interrupted)
    code, out, err = run("explore --study small.toml --trials 8")
    assert (code, out) == (130, "")
    assert "accelmodel-small.journal keeps every finished batch" in err
    assert "Traceback" not in err


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


def test_validate(answer, tmp_path):
    data = answer("validate --claims --output table.md")
    keys = {"claim", "source", "published", "model", "relative_error", "tolerance", "within", "calibrated_on_it"}
    keys |= {"device", "kind", "precision", "n", "median_ape", "mean_ape", "p90_ape", "bias", "split"}
    assert len(data["rows"]) > 10
    assert all(keys <= set(row) for row in data["rows"])
    assert data["region"]["holds"] == len(data["region"]["points"])
    assert data["region"]["tested"] == 700
    table = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    titles = [line for line in table if line.startswith("## ")]
    assert titles == ["## Measured kernels", "## Published claims", "## Other measurements"]
    assert sum(line.startswith("| ") for line in table) == len(titles) + len(data["rows"])


def test_list(answer, run):
    everything = answer("list")
    assert everything.pop("kernels") == everything["kernel_libraries"]  # as it was called
    assert set(everything) == {
        "devices", "links", "models", "processes", "bills", "storage", "instances", "engines", "kernel_libraries",
        "studies", "architectures",
    }  # fmt: skip
    assert everything["devices"] == am.available("device")
    assert everything["studies"] == ["preserve-l2"]
    assert answer("list models") == {"models": am.available("model")}
    code, out, _ = run("list")
    assert code == 0
    assert "ascend-910b2" in out


@pytest.mark.parametrize("kind", ["device", "link", "model", "process", "bill"])
def test_show_for_every_shipped_name(answer, run, kind):
    for name in am.available(kind):
        data = answer(f"show {name}")
        assert (data["name"], data["kind"]) == (name, kind)
        assert len(data["digest"]) == 16
        for row in data["fields"]:
            assert row["kind"] in (*facts.KINDS, "default"), (name, row["field"])
    code, out, err = run(f"show {am.available(kind)[0]}")
    assert (code, err) == (0, "")
    assert am.available(kind)[0] in out


def test_show_reads_paths(answer, tmp_path):
    (tmp_path / "mine.toml").write_text((facts.root() / "devices" / "a10g.toml").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    assert answer("show ./mine.toml")["kind"] == "device"
    assert answer("show ./config.json")["kind"] == "model"


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ("--l2 104MB", "--set l2_capacity=104MB"),
        ("--hbm-bandwidth 2TB/s", "--set device.hbm_bandwidth=2e12"),
        ("--hbm-capacity 96GB", "--set hbm_capacity=96e9B"),
        ("--l2-bandwidth 5TB/s", "--set device.l2_bandwidth=5TB/s"),
        ("--link-bandwidth 50GB/s", "--set link.bandwidth=400Gbps"),
        ("--cores 24", ""),
        ("--devices 8", ""),
        ("--link hccs-mesh-8", ""),
        ("--threshold 1.0 --rule paper", ""),
        ("--set scale_out.bandwidth=1GB/s", ""),
    ],
)
def test_shortcuts_and_settings_are_the_same(answer, options, same):
    command = f"{STEP} --technique preserve"
    one, other = (answer(f"{command} {each}")["time_s"] for each in (options, same))
    assert one == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "slower"),
    [
        ("--hbm-bandwidth 0.8TB/s", True),
        ("--hbm-bandwidth 3.2TB/s", False),
        ("--link-bandwidth 20GB/s", True),
        ("--link pcie4-x16", True),
        ("--l2 8MB", True),
        ("--cores 2", True),
        ("--set link.start_up=100us", True),
        ("--set link.start_up=1us --set launch_time=1us", False),
        ("--threshold 0.1", True),
    ],
)
def test_overrides_change_the_answer(answer, options, slower):
    command = f"{STEP} --technique preserve"
    before, after = answer(command)["time_s"], answer(f"{command} {options}")["time_s"]
    assert after > before if slower else after < before


def test_device_and_model_by_path(answer, tmp_path):
    device = (facts.root() / "devices" / "ascend-910b2.toml").read_text(encoding="utf-8")
    (tmp_path / "chip.toml").write_text(device, encoding="utf-8")
    model = (facts.root() / "models" / "llama-3-8b.toml").read_text(encoding="utf-8")
    (tmp_path / "model.toml").write_text(model, encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    shipped = answer("step --device ascend-910b2 --model llama-3-8b --tp 8")
    mine = answer("step --device ./chip.toml --model model.toml --tp 8")
    hub = answer("step --device chip.toml --model ./config.json --tp 8")
    assert mine["device"] == "chip"
    assert mine["time_s"] == shipped["time_s"] == hub["time_s"]


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
        ("step --tp 8 --technique preserve --threshold nan", "threshold"),
        ("step --tp 8 --weight-bits 0", "weight_bits"),
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


def test_a_table_that_cannot_be_written(tmp_path):
    with pytest.raises(am.SpecError, match="cannot be written"):
        terminal.write_text(tmp_path / "nowhere" / "table.md", "")


def test_explore_refuses_a_bad_journal(run, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "bad.journal").write_text("no journal\n", encoding="utf-8")
    code, out, err = run("explore --study small.toml --storage bad.journal --trials 4")
    assert (code, out) == (2, "")
    assert "not a readable Optuna journal" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_version_and_help(run):
    assert run("--version") == (0, f"accelmodel {__version__}\n", "")
    for command in ("--help", "step --help", "explore --help"):
        code, out, err = run(command)
        assert (code, err) == (0, "")
        assert "Usage: " in out
    code, out, err = run("")
    assert code == 2
    assert "Usage: " in out + err
