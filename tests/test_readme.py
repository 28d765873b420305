"""What the README shows runs, and continuous integration runs the tests as the README says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import accelmodel as am
from accelmodel.cli import app
from accelmodel.errors import SpecError
from accelmodel.inference import operator_time
from accelmodel.measured import aiconfigurator
from accelmodel.specs import load

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


@pytest.fixture
def newcomer(tmp_path, monkeypatch):
    """A folder with the files that the README speaks of, and no measured kernels installed: those take minutes."""
    (tmp_path / "my-chip.toml").write_bytes(load.path_of("device", "a100-sxm-80gb").read_bytes())
    m, n = (axis.ravel() for axis in np.meshgrid(2.0 ** np.arange(12), 512.0 * np.arange(1, 9)))
    times, _ = operator_time.time_columns(
        operator_time.matmul(m, n, 4096.0), am.cluster(am.load("device", "a100-sxm-80gb"))
    )
    noise = 1.0 + 0.02 * np.sin(m * n)
    lines = [f"matmul,{m},{n},4096,16,{time}" for m, n, time in zip(m, n, times * noise, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["kind,m,n,k,bits,time_s", *lines]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(aiconfigurator, "installed", lambda: False)

    def absent():
        raise SpecError(aiconfigurator.HOW)

    monkeypatch.setattr(aiconfigurator, "root", absent)
    aiconfigurator.rows.cache_clear()


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_command_runs(number, newcomer, monkeypatch, capsys, warm):
    monkeypatch.setattr(sys, "argv", shlex.split(COMMANDS[number], comments=True))
    with pytest.raises(SystemExit) as ended:
        app.main()
    captured = capsys.readouterr()
    if ended.value.code == 2 and aiconfigurator.HOW in captured.err:
        return
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
