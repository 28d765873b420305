"""An exploration that does not see all chips: what it proves, what Optuna adds, and how that is told."""

from __future__ import annotations

import dataclasses
import json

import pytest

from accelmodel.dse.enumeration import looking
from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.explore import explore, summary
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError

STUDY = """
[study]
title = "looked at"
device = "ascend-910b2"
bill = "ascend-910b"
objective = "tokens_per_dollar"
trials = 24
[space]
l2_capacity = { from = "8MB", to = "128MB", step = "8MB" }
cores = { values = ["16", "20", "24"] }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
phase = "decode"
[software]
tp = [8]
"""


@pytest.fixture
def study(tmp_path, warm):
    (tmp_path / "looked.toml").write_text(STUDY, encoding="utf-8")
    return load_study(str(tmp_path / "looked.toml"))


def test_the_stage_tells_what_was_estimated(study):
    stages = []
    found = looking.look(study, parts_of_study(study), looking.USUAL, lambda *told: stages.append(told))
    assert {stage for stage, _, _ in stages} == {f"every chip of the space ({found.plan.expected.words()})"}
    assert {total for _, total, _ in stages} == {48}
    assert sum(done for _, _, done in stages) == 48
    assert found.certificate is None


@pytest.mark.parametrize("way", ["all", "sample=12", "none"])
def test_better_chips_of_a_search_count_where_not_all_were_seen(study, tmp_path, way):
    every = enumerate_space(study, parts_of_study(study))
    found = explore(study, tmp_path / "a.journal", looking=looking.Looking(way))
    data = summary(found, None)
    told = data["enumeration"]
    assert told["way"] == way.partition("=")[0]
    assert told["chips"] == 48
    assert told["evaluated"] == {"all": 48, "sample=12": 12, "none": 0}[way]
    for technique in study.techniques:
        seen = [found.found[technique].best["tokens_per_dollar"]]
        if way == "sample=12":
            drawn = enumerate_space(study, parts_of_study(study), way=way)
            seen.append(drawn.best[technique]["tokens_per_dollar"])
        expected = every.best[technique]["tokens_per_dollar"] if way == "all" else max(seen)
        assert found.every.best[technique]["tokens_per_dollar"] == expected
    # the best of all is not known, and so is no regret
    assert (data["regret"] is None) == (way != "all")
    if way == "sample=12":
        assert told["certificate"]["drawn"] == 12
        assert told["certificate"]["better_share_below"] == told["certificate"]["better_fewer_than"] / 48
        assert "of 12 chips drawn at random: with 99 % confidence" in told["certificate"]["words"]
    else:
        assert told["certificate"] is None
    if way != "none":
        for axis, curve in told["curves"].items():
            assert len(curve["values"]) == len(curve["best"]["none"]), axis
        assert set(told["front"]) == set(study.techniques)
    json.dumps(data, allow_nan=False)


def test_more_confidence_proves_less(study):
    shares = [
        looking.look(study, parts_of_study(study), looking.Looking("sample=20", confidence=each), lambda *_: None)
        for each in (0.9, 0.999)
    ]
    assert shares[0].certificate.fewer_than < shares[1].certificate.fewer_than
    assert dataclasses.replace(shares[0], certificate=None) == dataclasses.replace(shares[1], certificate=None)
    with pytest.raises(SpecError, match="confidence"):
        looking.look(study, parts_of_study(study), looking.Looking("sample=20", confidence=1.0), lambda *_: None)
