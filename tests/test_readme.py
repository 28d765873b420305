"""What the README shows runs, and continuous integration runs the tests as the README says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from accelmodel.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
#: commands that write files or take minutes, and have tests of their own
ELSEWHERE = ("explore", "benchmark")
COMMANDS = [
    line
    for language, block in BLOCKS
    if language == "sh"
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("accelmodel ") and not set(ELSEWHERE) & set(line.split())
]
PYTHON = [block for language, block in BLOCKS if language == "python"]


def test_the_readme_has_commands_and_python():
    assert len(COMMANDS) >= 3
    assert PYTHON


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_command_runs(number, tmp_path, monkeypatch, capsys, warm):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(COMMANDS[number], comments=True))
    with pytest.raises(SystemExit) as ended:
        app.main()
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    assert captured.out.strip()
    # progress bars go to standard error, and nothing else
    assert "accelmodel: " not in captured.err


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_runs(number, tmp_path, monkeypatch, warm):
    monkeypatch.chdir(tmp_path)
    exec(compile(PYTHON[number], f"README.md, python block {number}", "exec"), {"__name__": "readme"})


def test_continuous_integration_takes_its_test_command_from_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    found = re.search(r"command=\$\((awk .* README\.md)\)", script)
    assert found, ".ci/run does not read README.md"
    out = subprocess.run(["bash", "-c", found[1]], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    marked = README.partition("<!-- tests -->")[2]
    block = re.search(r"^```sh\n(.*?)^```$", marked, flags=re.MULTILINE | re.DOTALL)
    assert block, "README.md has no block of sh below <!-- tests -->"
    assert out.strip() == block[1].strip()
    assert "pytest" in out
    assert README.count("<!-- tests -->") == 1


def test_links_to_files_of_the_repository_exist():
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target
