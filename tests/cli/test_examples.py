"""The help of each command: it ends with examples that run as they stand, and every option says what to give."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from accelmodel.cli.app import COMMANDS, Commands
from accelmodel.cli.examples import EXAMPLES, epilog, needs
from accelmodel.cli.site.markdown import words
from accelmodel.cli.site.tables import options

#: commands that take long or need measured kernels and files of one's own: their examples run in other tests
ELSEWHERE = ("explore", "dashboard", "benchmark", "docs", "calibrate", "validate")
RUN = [line for command, lines in EXAMPLES.items() if command not in ELSEWHERE for line in lines]
#: what shows a user what to give: an example, or a closed list
SHOWN = re.compile(r"[Ss]uch as \S|[\w-]+,? (?:\(.*?\), )?(?:[\w-]+ )?or [\w-]+[.;,]|=VALUE|…")


def test_each_command_has_examples():
    assert set(EXAMPLES) == set(COMMANDS)
    for command, lines in EXAMPLES.items():
        assert lines
        assert all(f"accelmodel {command}" in line for line in lines)


@pytest.mark.parametrize("line", RUN)
def test_examples_run_as_they_stand(line, run, tmp_path):
    *before, last = line.split("; ")
    for command in before:
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    program, *argv = shlex.split(last)
    assert program == "accelmodel"
    code, out, err = run(shlex.join(argv))
    assert (code, "accelmodel: " in err) == (0, False)
    assert out.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_have_options_that_exist(command):
    known = {word for each in words(options(command)) for word in each.split("/")}
    for line in EXAMPLES[command]:
        given = {word for word in shlex.split(line.split("; ")[-1]) if word.startswith("--")}
        assert given <= known | {"--no-open"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_ends_with_the_examples(run, command):
    code, out, err = run(f"{command} --help")
    assert (code, err) == (0, "")
    ends = [line.strip() for line in out.rstrip().splitlines()[-len(EXAMPLES[command]) :]]
    assert tuple(ends) == EXAMPLES[command]  # whole, to be copied


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_has_an_example_or_a_closed_list(command):
    for parameter in Commands().get_command(None, command).params:
        if parameter.name in ("help", "as_json") or getattr(parameter, "is_flag", False):
            continue
        assert SHOWN.search(parameter.help or ""), f"{command} {parameter.opts[0]}: {parameter.help}"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_stands_twice(command):
    spelt = [name for each in Commands().get_command(None, command).params for name in each.opts]
    assert len(spelt) == len(set(spelt))


def test_what_shows_what_to_give():
    assert SHOWN.search("prefill or decode.")
    assert SHOWN.search("L2 capacity, such as 104MB.")
    assert not SHOWN.search("L2 capacity.")
    assert not SHOWN.search("Longest time; that of the tier.")


def test_a_command_that_lacks_something_shows_one_that_has_it():
    assert needs("schema", "KIND") == "schema needs KIND; for example: accelmodel schema device"
    assert epilog("schema") == "\b\nExample:\n  accelmodel schema device"
