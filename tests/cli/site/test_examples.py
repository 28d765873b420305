"""What the documentation shows runs, and the keys of JSON that it lists are those of the answers."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest

import accelmodel as am
from accelmodel.cli.app import COMMANDS
from accelmodel.cli.site import examples, pages, tables
from accelmodel.cli.site.markdown import words
from accelmodel.errors import SpecError
from accelmodel.inference import operator_time
from accelmodel.measured import aiconfigurator
from accelmodel.specs import load

TEXTS = pages.texts()
#: commands that write files, take minutes or answer until stopped, and have tests of their own
ELSEWHERE = ("explore", "dashboard", "benchmark", "docs")
#: words of commands that need the measured kernels: minutes with them, an error that says so without
MEASURED = ("--hybrid", "--transfer", "--end-to-end")
RUN = [name for name, text in TEXTS.items() if examples.blocks(text)]
STUDY = TEXTS["tutorials/architect"]


def left_out(argv):
    """Return whether a command is tested elsewhere or needs the measured kernels."""
    if argv[1] in ELSEWHERE or set(MEASURED) & set(argv):
        return True
    needed = {"validate": "--claims", "calibrate": "--measurements"}.get(argv[1])
    return needed is not None and needed not in argv


@pytest.fixture
def newcomer(tmp_path, monkeypatch):
    """A folder with the files that the pages speak of, and no measured kernels installed: those take minutes."""
    (tmp_path / "my-chip.toml").write_bytes(load.path_of("device", "a100-sxm-80gb").read_bytes())
    m, n = (axis.ravel() for axis in np.meshgrid(2.0 ** np.arange(12), 512.0 * np.arange(1, 9)))
    times, _ = operator_time.time_columns(
        operator_time.matmul(m, n, 4096.0), am.cluster(am.load("device", "a100-sxm-80gb"))
    )
    noise = 1.0 + 0.02 * np.sin(m * n)
    lines = [f"matmul,{m},{n},4096,16,{time}" for m, n, time in zip(m, n, times * noise, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["kind,m,n,k,bits,time_s", *lines]), encoding="utf-8")
    monkeypatch.setattr(aiconfigurator, "installed", lambda: False)

    def absent():
        raise SpecError(aiconfigurator.HOW)

    monkeypatch.setattr(aiconfigurator, "root", absent)
    aiconfigurator.rows.cache_clear()
    return tmp_path


@pytest.mark.parametrize("name", RUN)
def test_examples_run(name, newcomer, warm):
    printed = examples.run(TEXTS[name], newcomer, lambda argv: left_out(argv) or name == f"commands/{argv[1]}")
    shown = [block for block in examples.blocks(TEXTS[name]) if block.shown]
    for block, text in zip(shown, printed, strict=True):
        ran = block.language == "python" or not name.startswith("commands/")
        skipped = any(left_out(argv) for argv in examples.commands(block))
        assert text.strip() or skipped or not ran, f"{name} shows an example that prints nothing"


@pytest.mark.parametrize("name", TEXTS)
def test_commands_that_are_not_run_exist_with_their_options(name):
    for block in examples.blocks(TEXTS[name]):
        for argv in examples.commands(block) if block.language == "sh" else []:
            known = set(words(tables.options(argv[1])))
            given = {word.partition("=")[0] for word in argv[2:] if word.startswith("--")}
            spelled = {option for word in known for option in word.split("/")}
            assert given <= spelled | {"--no-open"}, f"{name}: {shlex.join(argv)}"


def documented(name):
    """Return key → whether it is there only sometimes, as the page of a command lists them."""
    part = TEXTS[f"commands/{name}"].partition("## JSON")[2]
    rows = re.findall(r"^\| (`.*?) \|.*?\| (.*?) \|$", part, flags=re.MULTILINE)
    return {key: meaning.startswith("only ") for cell, meaning in rows for key in words(cell)}


def keys(answer, place=""):
    """Yield the keys of an answer: ``rows[].time_s``."""
    if isinstance(answer, dict) and answer:
        for key, value in answer.items():
            yield from keys(value, f"{place}.{key}" if place else key)
    elif isinstance(answer, list):
        yield from {each for value in answer for each in keys(value, f"{place}[]")} or {f"{place}[]"}
    else:
        yield place


def matches(listed, key):
    """Return whether a listed key, in which words in capitals stand for names, is a key of an answer."""
    return re.fullmatch(re.sub(r"[A-Z]{2,}", ".+", re.escape(listed)), key) is not None


def test_listed_keys_are_matched_by_name_and_place():
    assert matches("rows[].ttft_s.POLICY", "rows[].ttft_s.load_only")
    assert not matches("rows[].ttft_s.POLICY", "rows[].ttft")
    assert set(keys({"a": [{"b": 1}, {"c": []}], "d": {}})) == {"a[].b", "a[].c[]", "d"}


def asked_of(name):
    """Return the commands of a page whose answers are held against its keys."""
    if name == "explore":
        return [["accelmodel", "explore", "--study", "my-study.toml", "--trials", "4"]]
    found = [argv for block in examples.blocks(TEXTS[f"commands/{name}"]) for argv in examples.commands(block)]
    return [argv for argv in found if argv[1] == name and not left_out(argv)]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("benchmark", "dashboard", "docs")])
def test_keys_of_json_are_listed(name, newcomer, warm):
    for block in examples.blocks(STUDY if name == "explore" else TEXTS[f"commands/{name}"]):
        if block.language == "file":
            (newcomer / block.name).write_text(block.text, encoding="utf-8")
    found: set[str] = set()
    for argv in asked_of(name):
        found |= set(keys(json.loads(examples.run_command([*argv, "--json"], newcomer))))
    listed = documented(name)
    assert found, f"commands/{name} shows no command that can be run here"
    for key in found:
        assert any(matches(each, key) for each in listed), f"commands/{name} does not list {key}"
    for each, sometimes in listed.items():
        assert sometimes or any(matches(each, key) for key in found), f"commands/{name} lists {each}"


def test_outputs_stand_below_their_examples(tmp_path):
    page = "```python\nprint(1 + 1)\n```\n\n<!-- output -->\n\n```python\nx = 3\n```\n"
    made = examples.with_outputs(page, tmp_path)
    assert "```text\n2\n```" in made
    assert examples.OUTPUT not in made


def test_a_command_that_fails_says_which(tmp_path):
    with pytest.raises(SpecError, match=r"show nowhere.*unknown specification"):
        examples.run("```sh\naccelmodel show nowhere\n```\n", tmp_path)
