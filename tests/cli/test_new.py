"""The commands ``new``, ``schema`` and ``show`` for files of one's own."""

from __future__ import annotations

import json
import sys

import pytest

from accelmodel import cli
from accelmodel.cli.new import KINDS


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a folder of its own; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(command: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["accelmodel", *command.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def test_a_new_device_answers_at_once_and_is_not_overwritten(run, tmp_path):
    code, out, _ = run("new device mine --like mi300x")
    assert code == 0
    assert "wrote mine.toml" in out
    code, out, _ = run("step --device mine --devices 1 --model opt-2.7b --json")
    assert code == 0
    assert "from mi300x, not measured on this chip" in json.loads(out)["notes"]
    before = (tmp_path / "mine.toml").read_bytes()
    code, _, err = run("new device mine --like h100-sxm")
    assert code == 2
    assert "is there already" in err
    assert (tmp_path / "mine.toml").read_bytes() == before


def test_a_shipped_name_is_refused(run, tmp_path):
    for name in ("h100-sxm", "h100-sxm.toml"):
        code, _, err = run(f"new device {name} --like mi300x")
        assert code == 2
        assert "h100-sxm: is the name of a shipped device" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("like", ["mi300", "MI300X", "mi-300x"])
def test_an_unknown_neighbour_is_answered_with_the_closest(run, like):
    code, _, err = run(f"new device mine --like {like}")
    assert code == 2
    assert "did you mean 'mi300x'" in err


@pytest.mark.parametrize(
    ("kind", "like", "says"),
    [
        ("device", "l4", "--device mine"),
        ("storage", "nvme", "--tier mine"),
        ("process", "n4", 'process = "mine"'),
        ("bill", "a100", 'bill = "mine"'),
        ("study", "preserve-l2", "--study mine"),
        ("sweep", "l2-that-pays", "accelmodel sweep mine"),
    ],
)
def test_it_says_how_to_name_what_was_written(run, tmp_path, kind, like, says):
    code, out, _ = run(f"new {kind} mine --like {like}")
    assert code == 0
    assert " ".join(out.split()).endswith(says)
    (tmp_path / "sub").mkdir()
    _, out, _ = run(f"new {kind} sub/mine --like {like}")
    assert " ".join(out.split()).endswith(says.replace("mine", "sub/mine.toml"))


def test_show_names_origin_and_both_names(run):
    run("new device mine --like mi300x")
    code, out, _ = run("show mine --json")
    rows = {row["field"]: row for row in json.loads(out)["fields"]}
    assert code == 0
    assert rows["l2_capacity"]["key"] == "l2.capacity"
    assert rows["l2_capacity"]["inherited"] == "mi300x"
    assert rows["scaling_time"]["inherited"] == "architecture cdna3"


@pytest.mark.parametrize("kind", KINDS)
def test_schema_prints_one_document(run, kind):
    code, out, _ = run(f"schema {kind}")
    assert code == 0
    assert json.loads(out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_unknown_kinds_are_answered_with_the_closest(run):
    for command in ("schema devise", "new devise mine --like l4"):
        code, _, err = run(command)
        assert code == 2
        assert "did you mean 'device'" in err


def test_all_faults_of_a_file_are_a_line_each(run, tmp_path):
    (tmp_path / "bad.toml").write_text('[device]\nlike = "l4"\nwarp = 1\nblocks = 2\n', encoding="utf-8")
    code, _, err = run("show bad.toml")
    assert code == 2
    assert [line.split(": ")[:3] for line in err.splitlines()] == [
        ["accelmodel", "bad.toml:3", "warp"],
        ["accelmodel", "bad.toml:4", "blocks"],
    ]


@pytest.mark.parametrize(
    "setting", ["l2.capacity=104MB", "l2_capacity=104MB", "device.l2.capacity=104MB", "device.l2_capacity=104MB"]
)
def test_set_takes_every_spelling(run, setting):
    step = "step --device l4 --devices 1 --model opt-2.7b --json"
    answers = [json.loads(run(f"{step} {how}")[1]) for how in (f"--set {setting}", "--l2 104MB")]
    assert answers[0]["time_s"] == answers[1]["time_s"]
    assert answers[0]["time_s"] != json.loads(run(step)[1])["time_s"]


def test_set_takes_former_names_and_names_the_closest(run):
    step = "step --device l4 --devices 1 --model opt-2.7b --json --set"
    assert json.loads(run(f"{step} unhidden=0.9")[1])["time_s"] == json.loads(run(f"{step} exposed=0.9")[1])["time_s"]
    assert json.loads(run(f"{step} link.crowding=1.2")[1])["time_s"]
    code, _, err = run(f"{step} l2.capacty=1MB")
    assert code == 2
    assert "did you mean 'l2.capacity'" in err
