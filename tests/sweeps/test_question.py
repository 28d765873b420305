"""Questions: names, units, ranges; all that is wrong with one is said at once."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from accelmodel.errors import SpecError
from accelmodel.specs import find
from accelmodel.sweeps.question import load_sweep, read, sweep_schema

BASE = """
[sweep]
command = "step"
[fixed]
device = "h100-sxm"
model = "llama-3-8b"
context = 4096
[axes]
batch = [1, 2]
"""


def asked(text, **more):
    return read(tomllib.loads(text), "q.toml", **more)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"step"', '"steps"', "sweep.unknown command 'steps', did you mean 'step'?"),
        ("[sweep]", '[sweep]\ntitel = "x"', "sweep.titel: unknown key 'titel', did you mean 'title'?"),
        ("context", "contxt", "fixed.contxt: unknown axis or field 'contxt', did you mean 'context'?"),
        ("batch =", "l2.capacty =", "axes.l2.capacty: unknown axis or field 'l2.capacty', did you mean 'l2.capacity'?"),
        ("[1, 2]", "[1, 2, 1]", "axes.batch: holds a value twice"),
        ("[1, 2]", "[1.5]", "axes.batch: 1.5"),
        ("[1, 2]", "[]", "axes.batch"),
        ("[1, 2]", "[true]", "axes.batch: must be a number, not True"),
        ("batch = [1, 2]", "l2.capacity = [104]", "axes.l2.capacity: 104 has no unit; write it in quotes"),
        ("batch = [1, 2]", 'l2.capacity = ["104"]', "has no unit"),
        ("batch = [1, 2]", 'l2.capacity = ["1MB/s"]', "is in B/s, expected B"),
        ("batch = [1, 2]", 'hbm.bandwidth = ["-1TB/s"]', "axes.hbm.bandwidth"),
        ("[1, 2]", "{ from = 4, to = 1, step = 1 }", "does not rise"),
        ("[1, 2]", "{ from = 1, to = 4 }", "give a list, or from, to and either step or points"),
        ("[1, 2]", "{ from = 1, to = 4, stpe = 1 }", "axes.batch.stpe: unknown"),
        ("[1, 2]", "{ from = 1, to = 1e9, step = 1 }", "over 10,000,000 values"),
        ("[1, 2]", '{ from = 1, to = 8, step = 1, scale = "log" }', "a log scale has points"),
        ("batch = [1, 2]", 'device = ["a100-sxm-80gb"]', "is given twice, also as fixed.device"),
        ("batch = [1, 2]", 'l2_capacity = ["8MB"]\nl2.capacity = ["9MB"]', "is given twice"),
        ("batch = [1, 2]", 'technique = ["preserv"]', "did you mean 'preserve'"),
        ('"llama-3-8b"', '"llama-3-80b"', "did you mean 'llama-3-8b'"),
        ("batch = [1, 2]", 'l2.capacity = ["8MB"]', "fixed.batch: is missing"),
    ],
)
def test_what_is_wrong_is_said(old, new, says):
    assert old in BASE
    with pytest.raises(SpecError) as error:
        asked(BASE.replace(old, new, 1))
    assert says in str(error.value)
    assert str(error.value).startswith("q.toml: ")


def test_all_faults_are_said_a_line_each():
    text = BASE.replace("context", "contxt").replace("[1, 2]", "[0]").replace("h100-sxm", "h100-sxn")
    with pytest.raises(SpecError) as error:
        asked(text)
    assert len(str(error.value).splitlines()) == 2
    assert "contxt" in str(error.value)
    assert "axes.batch" in str(error.value)


def test_values_are_in_si_and_numbers_of_python_are_taken_so():
    text = BASE.replace("batch = [1, 2]", 'l2.capacity = ["8MB", "1GiB"]\nlink.bandwidth = ["400Gbps"]\nbatch = [3]')
    found = asked(text)
    assert found.dims == ("l2_capacity", "link_bandwidth", "batch")
    assert [axis.values.tolist() for axis in found.axes] == [[8e6, 2.0**30], [5e10], [3.0]]
    tables = tomllib.loads(BASE) | {"axes": {"l2_capacity": np.array([8e6]), "batch": (1, 2)}}
    assert read(tables, "here", bare=True).axes[0].values.tolist() == [8e6]


def test_ranges():
    def values(entry):
        return asked(BASE.replace("[1, 2]", entry)).axes[0].values.tolist()

    assert values("{ from = 1, to = 7, step = 2 }") == [1.0, 3.0, 5.0, 7.0]
    assert values("{ from = 1, to = 8, step = 3 }") == [1.0, 4.0, 7.0]
    assert values("{ from = 1, to = 10, points = 4 }") == [1.0, 4.0, 7.0, 10.0]
    assert values('{ from = 1, to = 64, points = 7, scale = "log" }') == [2.0**i for i in range(7)]


def test_names_in_a_file_are_those_beside_it(tmp_path, monkeypatch):
    chip = find.path_of("device", "h100-sxm").read_text(encoding="utf-8")
    (tmp_path / "my-chip.toml").write_text(chip, encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(BASE.replace("h100-sxm", "my-chip"), encoding="utf-8")
    monkeypatch.chdir(tmp_path.parent)
    assert load_sweep(str(path)).specs["device", "my-chip"].name == "my-chip"


@pytest.mark.parametrize("name", find.available("sweep"))
def test_shipped_questions_are_read_and_have_a_figure(name):
    found = load_sweep(name)
    assert found.points > 1
    assert found.head.figure is not None
    assert sweep_schema()["$defs"]["Head"]["properties"].keys() >= found.head.model_fields_set
