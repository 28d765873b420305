"""How many chips are looked at: what is asked, what it takes, and what is refused before it is begun."""

from __future__ import annotations

import pytest

from accelmodel.dse.enumeration import plan
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError

STUDY = """
[study]
title = "sizes"
device = "ascend-910b2"
bill = "ascend-910b"
[space]
l2_capacity = { from = "8MB", to = "TO", step = "1MB" }
cores = { from = "16", to = "24" }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
phase = "decode"
[software]
tp = [8]
"""


@pytest.fixture
def study(tmp_path):
    def make(last="16MB", text=STUDY):
        path = tmp_path / "sizes.toml"
        path.write_text(text.replace("TO", last), encoding="utf-8")
        return load_study(str(path))

    return make


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", ("auto", None)),
        ("all", ("all", None)),
        ("none", ("none", None)),
        ("sample", ("sample", None)),
        ("sample=1", ("sample", 1)),
        ("sample=1e6", ("sample", 1_000_000)),
    ],
)
def test_what_is_asked(text, expected):
    assert plan.asked(text) == expected


@pytest.mark.parametrize(
    "text", ["", "some", "all=3", "sample=", "sample=0", "sample=1.5", "sample=x", "sample=1e10", "Sample"]
)
def test_what_is_no_way_is_refused(text):
    with pytest.raises(SpecError, match="enumerate"):
        plan.asked(text)


def test_small_spaces_are_looked_at_whole(study):
    small = study()
    found = plan.planned(small, parts_of_study(small), "auto")
    assert (found.way, found.count) == ("all", 9 * 9)
    # none, and preserve with none to choose from
    assert found.expected.seconds == pytest.approx(81 * 3 * plan._STEP)
    assert plan.planned(small, parts_of_study(small), "sample").count == 81, "no more than there are"
    assert plan.planned(small, parts_of_study(small), "none").count == 0


def test_what_takes_long_is_drawn_and_what_takes_too_long_refused(study, monkeypatch):
    large = study("500MB")
    parts = parts_of_study(large)
    seconds = plan.planned(large, parts, "all").expected.seconds
    monkeypatch.setattr(plan, "AUTO_SECONDS", seconds / 2.0)
    monkeypatch.setattr(plan, "SAMPLE", 100)
    assert plan.planned(large, parts, "auto").way == "sample"
    assert plan.planned(large, parts, "auto").count == 100
    # what may go on after an end, or has workers, is begun
    assert plan.planned(large, parts, "auto", kept=True).way == "all"
    monkeypatch.setattr(plan, "MOST_SECONDS", seconds / 2.0)
    with pytest.raises(
        SpecError, match=r"4,437 chips, about 1 s and .* at most 1 s; narrow an axis, .*--enumerate sample"
    ):
        plan.planned(large, parts, "all")
    assert plan.planned(large, parts, "all", scheduler=True).way == "all"
    monkeypatch.setattr(plan, "memory", lambda: 1e3)
    with pytest.raises(SpecError, match="of which 1 kB may be taken"):
        plan.planned(large, parts, "all", scheduler=True)


def test_an_axis_without_steps_takes_any_sample(study):
    text = STUDY.replace('to = "TO", step = "1MB"', 'to = "TO"').replace('cores = { from = "16", to = "24" }', "")
    found = study("500MB", text)
    assert plan.planned(found, parts_of_study(found), "sample=1000").count == 1000
    assert plan.planned(found, parts_of_study(found), "all").count == 17


def test_many_chips_are_timed(study, warm):
    large = study("5000MB")
    found = plan.estimate(large, parts_of_study(large))
    assert found.chips == 4993 * 9
    # 0.3 to 3 us a chip and core, and a fixed time below a second
    assert 0.005 < found.seconds < 10.0
