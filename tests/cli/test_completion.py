"""The shell completes commands, options, and names and words as values of options."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.cli.app import COMMANDS, Commands
from accelmodel.inference.policies import TECHNIQUES


@pytest.fixture
def offered(run, monkeypatch):
    """Ask as bash does, the last word being typed."""

    def ask(line):
        monkeypatch.setenv("_ACCELMODEL_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        code, out, _ = run("")
        assert code == 0
        return out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("accelmodel st", ["step"]),
        ("accelmodel step --hbm-", ["--hbm-bandwidth", "--hbm-capacity"]),
        ("accelmodel step --device h100", ["h100-pcie", "h100-sxm"]),
        ("accelmodel step --technique ", ["none", "fused", "preserve"]),
        ("accelmodel preserve --models llama-3-8b,phi-3", ["llama-3-8b,phi-3-medium", "llama-3-8b,phi-3-small"]),
        ("accelmodel instances --instance p5", ["p5.48xlarge", "p5e.48xlarge", "p5en.48xlarge"]),
        ("accelmodel collective --kind all-r", ["all-reduce"]),
        ("accelmodel cake --tier nv", ["nvme"]),
        ("accelmodel show nvlink4", ["nvlink4-switch"]),
    ],
)
def test_what_the_shell_is_offered(offered, line, words):
    assert sorted(offered(line)) == sorted(words)


def test_options_of_names_complete_them():
    kinds = {"device": "device", "link": "link", "model": "model", "library": "library", "tier": "storage",
             "instance": "instance", "engine": "engine", "study": "study"}  # fmt: skip
    found = set()
    for command in COMMANDS:
        for parameter in Commands().get_command(None, command).params:
            kind = kinds.get(parameter.opts[0].removeprefix("--"))
            if kind:
                names = {each.value for each in parameter.shell_complete(None, "")}
                assert names == set(am.available(kind)), (command, parameter.name)
                found.add(kind)
    assert found == set(kinds.values())


def test_offered_techniques_are_all():
    command = Commands().get_command(None, "step")
    parameter = next(each for each in command.params if each.name == "technique")
    assert [each.value for each in parameter.shell_complete(None, "")] == list(TECHNIQUES)


def test_the_script_of_a_shell_is_printed(run):
    code, out, _ = run("--show-completion bash")
    assert code == 0
    assert "_ACCELMODEL_COMPLETE=complete_bash" in out
