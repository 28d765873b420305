"""An exploration of any list of techniques: each result stands under the name of its technique."""

from __future__ import annotations

import pytest

from accelmodel.dse.explore import explore, gains, summary
from accelmodel.dse.studies.software import variants
from accelmodel.dse.studies.study import load_study
from accelmodel.inference.policies import TECHNIQUES
from accelmodel.laws.prefetch import NO_PREFETCH, RULES
from accelmodel.laws.types import Policy

#: six chips; all three techniques differ on them
STUDY = """
[study]
title = "techniques"
device = "ascend-910b2"
bill = "ascend-910b"
trials = 6
[space]
l2_capacity = { values = ["8MB", "64MB", "104MB"] }
cores = { values = ["16", "24"] }
[workload]
models = ["llama-3-70b"]
batch = [4]
context = [16384]
phase = "decode"
weight_bits = 8
activation_bits = 8
kv_bits = 8
[software]
TECHNIQUES
tp = [8]
threshold = [0.5, 1.0]
rule = ["partial"]
"""


def explored(folder, techniques):
    """Return the exploration and its summary of a study with these techniques."""
    path = folder / "techniques.toml"
    line = f"techniques = {techniques}" if techniques else ""
    path.write_text(STUDY.replace("TECHNIQUES", line), encoding="utf-8")
    place = folder / f"{len(techniques)}{'-'.join(techniques)}.journal"
    # as many for each technique, however many there are
    found = explore(load_study(str(path)), place, trials=8 * max(len(techniques), 2))
    return found, summary(found, "none.html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("techniques")


@pytest.fixture(scope="module")
def three(folder, warm):
    return explored(folder, ["none", "fused", "preserve"])


@pytest.mark.parametrize("pair", [["none", "fused"], ["none", "preserve"], ["fused", "none"]])
def test_a_third_technique_changes_nothing_of_the_others(three, folder, pair):
    """Numbers of a technique are those of a study that has it and the baseline alone, in whatever order."""
    of_three, data = three
    of_two, other = explored(folder, pair)
    for name in pair:
        assert of_three.every.best[name] == of_two.every.best[name]
        assert of_three.every.curve[name] == of_two.every.curve[name]
        assert of_three.every.front[name] == of_two.every.front[name]
        assert of_three.found[name].best == of_two.found[name].best
        for key in ("best", "gains", "regrets", "curve"):
            assert data[key][name] == other[key][name], key
        for ours, theirs in zip(of_three.moves, of_two.moves, strict=True):
            assert ours[f"l2_{name}"] == theirs[f"l2_{name}"]


def test_techniques_of_this_study_differ_so_that_a_wrong_label_shows(three):
    found, data = three
    assert list(data["best"]) == ["none", "fused", "preserve"]
    rates = [chip["tokens_per_s_per_device"] for chip in data["best"].values()]
    assert len(set(rates)) == 3
    assert data["gains"]["none"] == 1.0
    assert 1.0 < data["gains"]["fused"] != data["gains"]["preserve"] > 1.0
    assert (data["gain_of"], data["gain"]) == ("preserve", data["gains"]["preserve"])
    assert data["l2_alone"]["gain"] == data["l2_alone"]["gains"]["preserve"]
    assert gains(found.study, found.every) == data["gains"]


def test_without_preserve_the_last_technique_is_spoken_of(folder, warm):
    _, data = explored(folder, ["none", "fused"])
    assert (data["gain_of"], data["gain"]) == ("fused", data["gains"]["fused"])
    assert data["exhaustive"]["l2_bytes"] == data["best"]["fused"]["l2_bytes"]
    assert data["regret"] == data["regrets"]["fused"]


@pytest.mark.parametrize(
    ("techniques", "candidate"),
    [
        (["preserve", "none", "fused"], "preserve"),
        (["fused", "none"], "fused"),
        (["none", "fused"], "fused"),
        (["none"], "none"),
    ],
)
def test_the_candidate_is_found_by_name(folder, techniques, candidate):
    path = folder / "candidate.toml"
    path.write_text(STUDY.replace("TECHNIQUES", f"techniques = {techniques}"), encoding="utf-8")
    assert load_study(str(path)).candidate == candidate


def test_the_baseline_alone_gains_nothing(folder, warm):
    _, data = explored(folder, ["none"])
    assert (data["gain_of"], data["gain"]) == ("none", 1.0)


def test_a_study_that_names_no_techniques_compares_preserve_with_none(folder, warm):
    _, data = explored(folder, [])
    assert list(data["best"]) == ["none", "preserve"]


def test_a_technique_takes_of_the_study_only_the_parameters_that_it_has(folder, monkeypatch):
    """One that takes a threshold alone, one that takes neither, one that takes both."""

    def filling(threshold: float = 1.0) -> Policy:
        return Policy(RULES["partial"], threshold, 0.0)

    monkeypatch.setitem(TECHNIQUES, "filling", filling)
    path = folder / "filling.toml"
    path.write_text(STUDY.replace("TECHNIQUES", 'techniques = ["none", "filling"]'), encoding="utf-8")
    study = load_study(str(path))
    assert [dict(each.parameters) for each in variants(study, "filling")] == [{"threshold": 0.5}, {"threshold": 1.0}]
    assert [each.numbers for each in variants(study, "fused")] == [Policy(NO_PREFETCH, 1.0, 1.0)]
    both = [{"threshold": share, "rule": "partial"} for share in (0.5, 1.0)]
    assert [dict(each.parameters) for each in variants(study, "preserve")] == both
