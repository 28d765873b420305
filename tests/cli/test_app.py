"""The command line as a user meets it: exit codes, one line for what is wrong, JSON and nothing else with --json."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelmodel import __version__, estimates
from accelmodel.cli import app, options, specs, terminal
from accelmodel.errors import Infeasible
from accelmodel.laws import jit
from accelmodel.specs import facts
from accelmodel.specs.base import field_types, field_units
from accelmodel.specs.hardware import Device
from accelmodel.specs.link import Link

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


def test_a_line_says_when_something_is_compiled(run, monkeypatch):
    monkeypatch.undo()

    def compiles(kind):
        for listener in jit._listeners:
            listener("step.evaluate")
        return {}

    monkeypatch.setattr(specs, "known", compiles)
    code, out, err = run("list", "--json")
    assert (code, json.loads(out)) == (0, {"accelmodel_version": __version__})
    assert err == "accelmodel: compiling step.evaluate, once on this machine; `accelmodel warm-up` does it ahead\n"
    assert jit._listeners == []


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
        ("step --l2 5parsecs", "--l2: unknown unit 'parsecs'"),
        ("step --l2 -1MB", "l2.capacity"),
        ("step --l2 5MB/s", "is in B/s, expected B"),
        ("step --l2 nan", "--l2: 'nan' is not a number"),
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
        ("step --tp 8 --weight-bits 0.5", "--weight-bits"),
        ("step --tp 8 --kv-bits nan", "--kv-bits"),
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
        ("preserve --models llama-3-8b,qwen2-8b", "did you mean 'qwen3-8b'"),
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
    assert "config.json:1: is not valid JSON" in refused("step --model ./config.json")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert "config.json" in refused("step --model ./config.json")
    device = (facts.root() / "devices" / "ascend-910b2.toml").read_text(encoding="utf-8")
    (tmp_path / "twice.toml").write_text(device + "capacity = 1\n", encoding="utf-8")
    last = device.count("\n") + 1
    assert f"twice.toml:{last}: is not valid TOML" in refused("step --device ./twice.toml")
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    assert "binary.toml:2: is not UTF-8" in refused("show ./binary.toml")
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


_MANY = ",".join(str(32 * size) for size in range(1, 2001))
_RATES = ",".join(f"{rate}MB/s" for rate in range(1, 2001))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("step --l2 104", "--l2: '104' has no unit: write 104MB"),
        ("step --hbm-bandwidth 3350", "--hbm-bandwidth: '3350' has no unit: write 3350GB/s"),
        ("step --hbm-capacity 80", "--hbm-capacity: '80' has no unit: write 80GB"),
        ("step --set l2.capacity=104", "l2.capacity: '104' has no unit: write 104MB"),
        ("step --set link.start_up=20", "start_up: '20' has no unit: write 20us"),
        ("cake --bandwidth 7", "--bandwidth: '7' has no unit: write 7GB/s"),
        ("cake --tail 5", "--tail: '5' has no unit: write 5"),
        ("instances --batch 1 --slo-ttft 500", "slo-ttft: '500' has no unit: write 500ms"),
        ("instances --batch 1 --requests 9 --deadline 2", "deadline: '2' has no unit: write 2h"),
        ("collective --bytes 1:1024", "--bytes: '1' has no unit: write 1"),
        ("step --context 16k", "--context: '16k' is not one number; write 16384 (16 x 1024) or 16000"),
        ("step --weight-bits i8", "'i8' is no number of bits and no format; write 8"),
        ("step --batch 1,2", "--batch: '1,2' is not one number; it takes one number"),
        ("step --batch=1e3", "--batch: '1e3' is not one number; write 1000"),
        ("preserve --context 16k", "context: '16k' is not whole numbers; write 16384"),
        ("cake --kv-bits i8", "--kv-bits: 'i8' is not a number; write 8"),
        ("matmul --m 1 --n 1 --k " + "9" * 400, "must be numbers from 1 up to 1,000,000,000"),
        ("step --batch " + "9" * 400, "batch"),
        ("step --set link.bandwidth=1e-300B/s", "bandwidth: 1e-300 B/s must be at least 1 kB/s"),
        ("step --set device.price=1e300USD", "price: 1e+300 USD must be at most"),
        ("instances --batch 1 --max-price 1e300", "max-price 1e+300 must be above 0, and below 1e+09"),
        ("matmul --m 1:1000000000 --n {many} --k {many}", "matmul: m 30 x n 2,000 x k 2,000 are 1.2e+08 rows, about"),
        ("attention --batch {many} --context {many} --kv-heads 32", "attention: batch 2,000 x context 2,000 are 4e+06"),
        (
            "preserve --tp 8 --batch {many} --context {many}",
            "preserve: models 2 x batch 2,000 x context 2,000 are 8e+06 rows",
        ),
        ("cake --tokens {many} --bandwidth {rates}", "cake: tokens 2,000 x bandwidth 2,000 are 4e+06 rows"),
        (
            "explore --study preserve-l2 --trials 1000000000",
            "explore: trials 1,000,000,000 x techniques 2 are 2e+09 rows, about 463 d",
        ),
        ("show " + "x" * 10_000, "unknown specification"),
        ("show " + "x/" * 5_000, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_answered_with_what_to_write(refused, monkeypatch, command, says):
    monkeypatch.setattr(estimates, "memory", lambda: 1e9)
    said = refused(command.format(many=_MANY, rates=_RATES) if "{" in command else command)
    assert says in said
    assert len(said) < 1400


def test_a_group_of_one_device_has_an_answer(answer):
    command = "step --device ascend-910b2 --devices 8 --tp 8 --model llama-3-8b"
    alone = answer(f"{command} --set link.devices=1")
    # all eight talk over the network between nodes, which is slower than the links of a node
    assert alone["time_s"] > answer(command)["time_s"]


@pytest.mark.parametrize("command", sorted(app.COMMANDS))
def test_no_command_prints_what_is_not_finite(monkeypatch, command):
    """Every command ends in ``answer``, which looks at all numbers before anything is printed."""
    module = ast.parse(inspect.getsource(importlib.import_module(f"accelmodel.cli.{app.COMMANDS[command]}")))
    calls = [
        node.func.id for node in ast.walk(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert {"answer", "answered"} & set(calls)
    assert "emit" not in calls


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")], ids=range(4))
@pytest.mark.parametrize("as_json", [True, False])
def test_an_answer_that_is_not_finite_is_refused_before_it_is_printed(capsys, value, as_json):
    printed = []
    with pytest.raises(Infeasible, match=r"answer\.rows\.1\.time_s is "):
        options.answer({"rows": [{"time_s": 1.0}, {"time_s": value}]}, as_json, printed.append)
    assert (printed, capsys.readouterr().out) == ([], "")


def test_output_in_any_encoding():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "accelmodel", "show", "h100-sxm"]
    done = subprocess.run(words, capture_output=True, env=environment, check=False, cwd=Path(app.__file__).parents[2])
    assert (done.returncode, done.stderr) == (0, b"")
    assert b" us" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
def test_a_stream_of_any_encoding_takes_every_character(monkeypatch, encoding):
    bytes_out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(bytes_out, encoding=encoding))
    terminal.any_encoding()
    sys.stdout.write("25 µs → 814 mm² \ud800 \N{GRINNING FACE}")
    sys.stdout.flush()
    read = bytes_out.getvalue().decode(encoding)
    assert read.startswith(("25 µs", "25 us"))
    assert "\\ud800" in read


def test_text_from_a_file_is_never_an_order_to_the_terminal(run, tmp_path):
    name = "[bold red]x[/] [link=file:///etc]y[/link] :smile: \\u001b[31m\\u202eevil\\u2066"
    text = f'[device]\nlike = "l4"\nname = "{name}"\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    for command in ("show ./mine.toml", "step --device ./mine.toml --devices 1 --model opt-2.7b",
                    "matmul --device ./mine.toml --m 1 --n 1 --k 1",
                    "step --device ./mine.toml --set l2.ways=0"):  # fmt: skip
        code, out, err = run(command)
        assert code in (0, 2)
        assert all(each.isprintable() or each == "\n" for each in out + err)
        if "show" in command:
            assert "[bold red]x[/] [link=file:///etc]y[/link] :smile: \\x1b[31m\\u202eevil" in " ".join(out.split())


def test_a_name_with_a_line_in_it_is_one_line(run):
    code, out, err = run("show", "./a\nb\x1b[2J.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "\x1b" not in err


def test_files_of_every_sort_are_answered_in_a_line(refused, tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    os.mkfifo(tmp_path / "config.json")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.toml").mkdir()
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(10**10)
    for path, told in (
        ("pipe.toml", "named pipe"), ("folder.toml", "a folder"), ("large.toml", "larger than 1 MiB"),
        ("/dev/zero", "a device"),
    ):  # fmt: skip
        assert told in refused(f"step --device ./{path}" if path[0] != "/" else f"step --device {path}")
    assert "named pipe" in refused("step --model ./config.json")
    for option in ("--bandwidth-trace", "--budget-trace", "--chunk-times"):
        assert "named pipe" in refused(f"cake {option} pipe.csv")
    assert "named pipe" in refused("instances --batch 1 --prices pipe.csv")
    assert "named pipe" in refused("fleet --workload pipe.csv")


# ---- whatever is given: an answer whose numbers are finite, or what is wrong, a line each ------------------------

_WORDS = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "nan", "inf", "1e400", "9" * 400, "1e-300", "104", "104MB", "16k", "int8", "1,2", "1:64", ":",
         ",", "[bold]x[/]", "\x1b[31m", "\u202e", "a\nb", "x" * 2000, "/dev/zero", "/", ".", "\ud800", "1e18B/s"]
    ),
    st.text(max_size=12).filter(lambda text: "\0" not in text),
    st.floats().map(str),
    st.integers().map(str),
)  # fmt: skip
_ASKED = {
    "step": ("--model", "--device", "--devices", "--link", "--phase", "--batch", "--context", "--prefix", "--tp",
             "--pp", "--weight-bits", "--kv-bits", "--technique", "--threshold", "--rule", "--l2", "--hbm-bandwidth",
             "--cores", "--set"),
    "matmul": ("--m", "--n", "--k", "--bits", "--library", "--device"),
    "attention": ("--batch", "--heads", "--kv-heads", "--head-dim", "--context", "--window", "--phase", "--kv-bits"),
    "collective": ("--bytes", "--devices", "--kind", "--link"),
    "show": (), "list": (), "schema": (),
}  # fmt: skip
_FIELDS = [f"{part}.{name}" for part, kind in (("device", Device), ("link", Link)) for name in field_types(kind)]
_CONFIG_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
)


def tried(run, words, a_file=False):
    """Run a command and check that it keeps the rules."""
    code, out, err = run(words[0], *words[1:])
    assert code in (0, 2), err
    assert all(each.isprintable() or each == "\n" for each in out + err)
    if code == 0:
        json.loads(out, parse_constant=lambda constant: pytest.fail(constant))
        return
    assert out == ""
    lines = err.splitlines()
    assert 1 <= len(lines) <= 11
    assert all(line.startswith("accelmodel: ") and len(line) < 1400 for line in lines)
    assert a_file or len(lines) <= max(1, sum(word.startswith("--") for word in words))


_TRIES = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(**_TRIES)
@given(data=st.data())
def test_options_of_every_sort(run, data):
    command = data.draw(st.sampled_from(sorted(_ASKED)))
    base = {"matmul": ["--m", "4", "--n", "4", "--k", "4"], "collective": ["--bytes", "1MB"]}.get(command, [])
    base = [data.draw(_WORDS)] if command in ("show", "list", "schema") else base
    base += ["--model", "opt-2.7b", "--device", "l4", "--devices", "1"] if command == "step" else []
    for option in data.draw(st.lists(st.sampled_from(_ASKED[command] or ("--nonsense",)), max_size=3, unique=True)):
        base += [option, data.draw(_WORDS)]
    tried(run, [command, *base, *([] if command == "schema" else ["--json"])])


@settings(**_TRIES)
@given(changes=st.dictionaries(st.sampled_from(_FIELDS), st.floats(-15.0, 20.0), min_size=1, max_size=3),
       technique=st.sampled_from(["none", "fused", "preserve"]), devices=st.sampled_from(["2", "3"]))  # fmt: skip
def test_fields_of_every_size(run, changes, technique, devices):
    words = [
        "step",
        "--model",
        "opt-2.7b",
        "--device",
        "l4",
        "--tp",
        "2",
        "--devices",
        devices,
        "--technique",
        technique,
    ]
    for name, exponent in changes.items():
        part, _, field = name.partition(".")
        unit = field_units({"device": Device, "link": Link}[part])[field]
        value = 10.0**exponent
        words += ["--set", f"{name}={round(value) or 1 if value < 1e15 else value}{'' if unit == '1' else unit}"]
    tried(run, [*words, "--json"])


@settings(**_TRIES)
@given(data=st.data())
def test_files_of_every_content(run, tmp_path, data):
    source, command = data.draw(
        st.sampled_from(
            [("devices/l4.toml", "show {}"), ("links/pcie4-x16.toml", "collective --bytes 1MB --link {}"),
             ("models/opt-2.7b.toml", "step --device l4 --devices 1 --model {}"), ("storage/nvme.toml", "show {}"),
             ("instances/g6.xlarge.toml", "show {}"), ("engines/in-flight.toml", "show {}"),
             ("prices/aws.csv", "instances --batch 1 --only --instance g6.xlarge --region x --prices {}"),
             ("studies/preserve-l2.toml", "explore --objective none --study {}")]
        )
    )  # fmt: skip
    raw = bytearray((facts.root() / source).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw)))
        more = data.draw(st.binary(max_size=6) | st.sampled_from([b"nan", b"1e400", b"-1", b"[x]", b'"', b"=", b"\n"]))
        raw[place : place + data.draw(st.integers(0, 12))] = more
    path = tmp_path / f"mine{Path(source).suffix}"
    path.write_bytes(raw)
    tried(run, [*command.format(path).split(), "--json"], a_file=True)


@settings(**_TRIES)
@given(
    st.dictionaries(
        st.sampled_from([*CONFIG, "text_config", "rope_scaling", "num_experts"]), _CONFIG_VALUES, max_size=3
    )
)
def test_configs_of_every_content(run, tmp_path, changes):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | changes), encoding="utf-8")
    tried(run, ["show", "./config.json", "--json"])
