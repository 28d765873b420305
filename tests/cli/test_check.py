"""The command ``check``: what it prints of a sound file, of one that is not, and of an invariant that does not hold."""

from __future__ import annotations

import json

import pytest

from accelmodel.cli import check
from accelmodel.testing import steps

CHIP = '[device]\nlike = "h100-sxm"\n'


def test_a_sound_file(run, tmp_path):
    (tmp_path / "my-chip.toml").write_text(CHIP, encoding="utf-8")
    code, out, err = run("check my-chip.toml --examples 1")
    assert (code, err) == (0, "")
    assert "device my-chip.toml" in out
    assert "my-chip.toml: sound" in out
    assert "more-is-never-slower" in out


def test_json_lists_every_check(answer):
    data = answer("check nvme in-flight --examples 1")
    assert data["sound"]
    assert data["examples"] == 1
    assert [file["name"] for file in data["files"]] == ["nvme", "in-flight"]
    for file in data["files"]:
        for each in file["checks"]:
            assert each["result"] == "holds"
            assert each["words"]


def test_a_file_that_is_not_sound(run, tmp_path):
    (tmp_path / "my-chip.toml").write_text(f"{CHIP}[compute]\nmatrix_share = 1.5\n", encoding="utf-8")
    code, out, err = run("check my-chip --json")
    assert code == 2
    (file,) = json.loads(out)["files"]
    assert not file["sound"]
    assert any("matrix_share" in fault for fault in file["checks"][0]["faults"])
    assert err == "accelmodel: my-chip: is not sound; see the checks above\n"


def test_a_broken_invariant_shows_a_command_and_both_numbers(run, monkeypatch):
    real = steps.totals

    def slow(inputs, technique):
        found = real(inputs, technique)
        return found.assign(step_time=found.step_time * (1.5 if technique.name == "fused" else 1.0))

    monkeypatch.setattr(steps, "totals", slow)
    code, out, err = run("check h100-sxm --examples 8")
    assert code == 2
    lines = out.splitlines()
    at = next(n for n, line in enumerate(lines) if "a step is slower with fused than without" in line)
    assert lines[at + 1].startswith("  accelmodel step --device h100-sxm")
    assert lines[at + 3] == f"{lines[at + 1]} --technique fused"
    assert lines[at + 2].startswith("  gives ")
    assert lines[at + 4].startswith("  gives ")
    assert "h100-sxm: is not sound" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("h100-sxn", "unknown file 'h100-sxn', did you mean 'h100-sxm'"),
        ("./nowhere.toml", "nowhere.toml"),
        ("h100-sxm --examples 0", "examples"),
        ("", "check needs"),
    ],
)
def test_what_is_wrong_is_told_before_the_work(refused, options, says):
    assert says in refused(f"check {options}")


def test_without_hypothesis_one_line_says_what_to_install(refused, monkeypatch):
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    assert "pip install 'accelmodel[check]'" in refused("check h100-sxm")
