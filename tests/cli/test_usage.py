"""What is said of a wrong command line: one line with the option, the closest one, and what to give."""

from __future__ import annotations

import pytest

from accelmodel.cli.app import COMMANDS, Commands
from accelmodel.cli.examples import EXAMPLES
from accelmodel.errors import begun, unknown


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("matmul", "matmul needs --m, --n and --k; for example: accelmodel matmul --device"),
        ("matmul --m 1 --n 2", "matmul needs --m, --n and --k"),
        ("collective", "collective needs --bytes; for example: accelmodel collective"),
        ("show", "show needs NAME; for example: accelmodel show h100-sxm"),
        ("new", "new needs KIND and NAME; for example: accelmodel new device"),
        ("new device", "new needs KIND and NAME"),
        ("schema", "schema needs KIND; for example: accelmodel schema device"),
        (
            "calibrate",
            "calibrate needs either a DEVICE, a --library, an --engine or --shared; for example: accelmodel calibrate",
        ),
        ("calibrate l4 --library vllm-8bit", "either a DEVICE, a --library, an --engine or --shared"),
        ("calibrate --library vllm-8bit --measurements rows.csv", "--measurements are of one device"),
        ("fleet", "fleet needs --workload, a CSV file"),
        ("instances", "instances needs --batch"),
        ("stepp", "unknown command 'stepp', did you mean 'step'?"),
        ("'", 'unknown command "\'"'),
        ("--versoin", "unknown option '--versoin', did you mean '--version'?"),
        ("--device l4 step", "--device stands before the command; write accelmodel step --device"),
        ("step --tp", "'--tp' requires an argument; see accelmodel step --help"),
        ("step --tp eight", "'--tp'"),
        ("step h100-sxm", "for example: accelmodel step --device"),
        ("instances --batch 4 --slo-ttft=", "--slo-ttft is empty; give it a value, or leave it out"),
        ("step --batch 4 --tp 1 --batch=8", "--batch is given twice; give it once"),
        ("calibrate l4 --output a.toml --output a.toml", "--output is given twice"),
    ],
)
def test_what_is_missing_or_wrong_is_named(refused, command, says):
    assert says in refused(command)


@pytest.mark.parametrize("words", [["step", "--link", ""], ["step", "--link", " "], ["list", ""], ["show", "\t"]])
def test_an_empty_word_is_not_taken_for_none(refused, words):
    assert " is empty; give it a value, or leave it out" in refused(*words)


def test_an_option_that_takes_several_may_stand_twice(answer):
    found = answer("step --batch 1 --set l2.capacity=64MB --set hbm.share=0.8")
    assert len(found["overrides"]["device"]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_option_is_answered_with_the_closest(refused, command):
    """Two letters of every long option of every command swapped."""
    known = [word for each in Commands().get_command(None, command).params for word in each.opts]
    for option in known:
        if len(option) < 6 or not option.startswith("--"):
            continue
        wrong = f"{option[:-2]}{option[-1]}{option[-2]}"
        if wrong in known or option[-1] == option[-2]:
            continue
        said = refused(f"{command} {wrong}")
        assert any(f"unknown option '{wrong}', did you mean '{each}'?" in said for each in (option, option.rstrip("s")))
        assert said.endswith(f"see accelmodel {command} --help\n")


@pytest.mark.parametrize(
    "command",
    [command for command in EXAMPLES if command not in ("explore", "benchmark", "dashboard", "docs", "validate")],
)
def test_a_command_alone_answers_or_says_what_to_give(run, command):
    code, out, err = run(command)
    if code == 0:
        assert out.strip()
    else:
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "; for example: " in err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("show h100", "did you mean 'h100-sxm' or 'h100-pcie'?"),
        ("step --device h100", "did you mean 'h100-sxm' or 'h100-pcie'?"),
        ("step --model llama-3-", "did you mean 'llama-3-8b' or 'llama-3-70b'?"),
        ("step --link NVLINK3", "did you mean 'nvlink3-mesh-4' or 'nvlink3-switch'?"),
        ("instances --batch 1 --instance p4", "did you mean 'p4d.24xlarge' or 'p4de.24xlarge'?"),
        ("step --tech", "did you mean '--technique'?"),
        ("show preserve-l2", "preserve-l2 is a study"),
        ("show l", "unknown specification 'l'"),
    ],
)
def test_a_name_is_met_by_its_beginning(refused, command, says):
    assert says in refused(command)


def test_show_answers_for_the_only_name_that_begins_so(answer):
    assert answer("show b300")["name"] == "b300-sxm"
    assert answer("show B300")["name"] == "b300-sxm"
    assert answer("show hop")["kind"] == "architecture"
    assert answer("show a100")["kind"] == "bill"  # a name in full, although others begin with it


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("h100", "'h100-sxm' or 'h100-pcie'"),
        ("H100-P", "'h100-pcie'"),
        ("h10-sxm", "'h100-sxm'"),
        ("l4", "'l4-x'"),
    ],
)
def test_who_was_meant(given, meant):
    assert f", did you mean {meant}?" in str(unknown("device", given, ["h100-sxm", "h100-pcie", "l4-x", "t4"]))


def test_nothing_and_too_many_mean_nobody():
    assert begun("", ["a"]) == []
    assert begun("a", [f"a{i}" for i in range(6)]) == []
    assert begun("a", [f"a{i}" for i in range(5)]) == [f"a{i}" for i in range(5)]


def test_an_option_of_another_command_is_told(refused):
    assert "; step has --images; see accelmodel instances --help" in refused("instances --images 2")
    assert "; step has --pp; see accelmodel cake --help" in refused("cake --pp 2")
