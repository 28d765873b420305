"""The command of a case asks the same: what it prints is what the case gives."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys

import pytest
from hypothesis import HealthCheck, given, settings

import accelmodel as am
from accelmodel.cli import app
from accelmodel.inference.step import totals
from accelmodel.specs.load import load
from accelmodel.testing.asked import cases
from accelmodel.testing.case import Case, Stored, changes
from accelmodel.testing.prompts import prompt_of


@pytest.fixture
def asked(monkeypatch, capsys, warm):
    """Run the command of a case and return its JSON."""

    def run(command):
        monkeypatch.setattr(sys, "argv", [*shlex.split(command), "--json"])
        with pytest.raises(SystemExit) as ended:
            app.main()
        out = capsys.readouterr()
        assert ended.value.code == 0, out.err
        return json.loads(out.out)

    return run


@given(cases())
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
def test_a_command_gives_the_time_of_its_case(asked, case):
    ours = float(totals(case.inputs(), case.technique).step_time)
    assert asked(case.command)["time_s"] == pytest.approx(ours, rel=1e-9)


def test_a_file_of_ones_own_and_changes_of_all_parts(asked, tmp_path):
    path = tmp_path / "my chip.toml"
    path.write_text('[device]\nlike = "h100-sxm"\n\n', encoding="utf-8")
    case = Case(am.cluster(str(path)), load("model", "llama-3-8b"), {"phase": "decode", "batch": 3, "context": 999},
                names={"device": str(path)}).having({"device.hbm.bandwidth": 1e12 / 3.0, "link.start_up": 1e-5,
                                                     "scale_out.share": 0.5})  # fmt: skip
    assert f"--device '{path}'" in case.command
    assert "--set link.start_up=1e-05s" in case.command
    assert asked(case.command)["time_s"] == float(totals(case.inputs(), case.technique).step_time)


def test_the_command_of_a_stored_prompt(asked):
    chips = am.cluster("a100-sxm-80gb", link="hccs-mesh-8")
    case = Stored(chips, load("model", "llama-3-8b"), load("storage", "nvme"), 3000.0, 7.5e8, 0.5, 2)
    found = asked(case.command)
    (row,) = found["rows"]
    assert row["ttft_s"]["cake"] == pytest.approx(am.cake(prompt_of(case)), rel=1e-9)


def test_what_is_as_its_file_says_is_not_set():
    chip = load("device", "mi300x")
    assert changes(chip, chip) == []
    assert changes(am.override(chip, {"price": 5.0}), chip) == ["price=5USD"]


def test_a_chip_without_a_file_has_a_command(warm):
    chip = am.override(am.load("device", "h100-sxm"), {"l2.capacity": "60MB"})
    own = dataclasses.replace(chip, name="nobody-has-it")
    case = Case(am.cluster(own), load("model", "llama-3-8b"), {"phase": "decode", "batch": 1, "context": 128})
    assert case.command.startswith("accelmodel step --device nobody-has-it --devices 8 --model llama-3-8b")
