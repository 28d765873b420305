"""What an answer tells: edges, limits that exclude, prices; texts follow from the data."""

from __future__ import annotations

import pytest

from accelmodel.dse import told
from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.idle import idle
from accelmodel.dse.studies.objectives import OBJECTIVES, better, gain, regret, sign
from accelmodel.dse.studies.study import Constraints, load_study
from accelmodel.errors import Infeasible, SpecError

TEXT = """
[study]
title = "told"
device = "h100-sxm"
objectives = ["tokens_per_dollar"]
HEAD
[space]
l2.capacity = { values = ["25MB", "50MB", "100MB"] }
hbm.stacks = { values = [5] }
link.links = { values = [9, 18] }
link.bandwidth = { values = ["25GB/s", "50GB/s"] }
scale_out.bandwidth = { values = ["25GB/s", "50GB/s"] }
[workload]
models = ["llama-3.1-8b"]
batch = [8]
context = [2048]
phase = "decode"
[software]
techniques = ["none"]
tp = [2]
[constraints]
LIMITS
"""


def study_of(folder, limits="", head=""):
    path = folder / "told.toml"
    path.write_text(TEXT.replace("LIMITS", limits).replace("HEAD", head), encoding="utf-8")
    return load_study(str(path))


def row(l2, links, rate):
    return {"l2_capacity": l2, "hbm_stacks": 5.0, "links": links, "link_bandwidth": rate, "scale_out_bandwidth": 3e10}


def test_an_optimum_at_the_end_of_an_axis_is_told_with_the_axis_to_widen(tmp_path):
    study = study_of(tmp_path)
    found = told.edges(study, {"none": row(25e6, 18.0, 25e9), "preserve": row(100e6, 18.0, 50e9)})
    ends = {(each["technique"], each["axis"]): each["side"] for each in found}
    # 18 links at 25 GB/s are neither the fewest nor the most bytes a second, and one value has no ends
    assert ends == {
        ("none", "l2_capacity"): "low",
        ("preserve", "l2_capacity"): "high",
        ("preserve", "links"): "high",
        ("preserve", "link_bandwidth"): "high",
    }
    words = told.edge_words(study, found)
    assert words[0] == "none: the best l2.capacity is the smallest of the space, 25 MB; widen space.l2.capacity"
    assert not told.edges(study, {"none": row(50e6, 18.0, 25e9)})


def test_limits_tell_what_they_exclude(tmp_path):
    study = study_of(tmp_path, 'die_area = "815mm2"\npower = "2kW"')
    found = enumerate_space(study, parts_of_study(study))
    limits = {each["limit"]: each for each in told.limits_told(study, found.misses)}
    assert limits["die_area"]["excluded"] == found.evaluated - found.feasible > 0
    assert limits["die_area"]["excluded_alone"] == limits["die_area"]["excluded"]
    assert limits["die_area"]["value"] == pytest.approx(815e-6)
    assert limits["power"]["excluded"] == 0 > limits["power"]["least_excess"]


def test_where_all_are_excluded_the_limit_the_nearest_and_a_remedy_are_told(tmp_path):
    study = study_of(tmp_path, 'die_area = "700mm2"\nprice = "1000USD"')
    with pytest.raises(Infeasible) as caught:
        enumerate_space(study, parts_of_study(study))
    text = str(caught.value)
    assert "none of its 18 chips" in text
    assert "constraints.die_area 700 mm² excludes all (the nearest has" in text
    assert "constraints.price 1000 USD excludes all (the nearest has" in text
    assert "the chip nearest to all, l2 capacity 25 MB, hbm stacks 5" in text
    assert text.endswith("loosen constraints.price, or widen [space]")


def test_a_price_is_a_bill_or_what_it_sells_at(tmp_path):
    bill, selling = study_of(tmp_path), study_of(tmp_path, head='price = "selling"')
    words = told.price_told(bill, parts_of_study(bill))
    assert words["price_words"].endswith("h100-sxm sells at 30,000 USD")
    parts = parts_of_study(selling)
    told_so = told.price_told(selling, parts)
    found = enumerate_space(selling, parts).best["none"]
    cost = enumerate_space(bill, parts_of_study(bill)).best["none"]
    assert found["l2_capacity"] == cost["l2_capacity"]
    assert found["price"] == pytest.approx(cost["price"] * told_so["markup"], rel=1e-9)
    assert told_so["price_words"].startswith("price is a selling price")
    path = tmp_path / "unsold.toml"
    text = TEXT.replace("h100-sxm", "a100-sxm-40gb").replace("HEAD", 'price = "selling"').replace("LIMITS", "")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match="what a100-sxm-40gb sells at is not known"):
        parts_of_study(load_study(str(path)))


def test_an_axis_that_moves_nothing_is_found(tmp_path):
    study = study_of(tmp_path)
    parts = parts_of_study(study)
    assert idle(study, parts, row(50e6, 18.0, 25e9)) == ["scale_out_bandwidth"]


def test_the_headline_is_of_the_technique_that_is_best(tmp_path):
    study = study_of(tmp_path, 'tpot = "1s"')
    chip = {**row(25e6, 18.0, 25e9), "tokens_per_dollar": 2e6}
    text = told.headline(study, {"none": chip}, {"none": 1.0})
    assert text.startswith(
        "best by tokens per dollar: 2 million tokens per USD, time per output token at most 1000 ms: "
    )
    assert "l2.capacity 25 MB" in text


def test_directions():
    assert set(told.SHOWN) == set(OBJECTIVES)
    assert set(OBJECTIVES) < set(Constraints.model_fields)
    for name in OBJECTIVES:
        good, bad = (2.0, 1.0) if sign(name) > 0.0 else (1.0, 2.0)
        assert better(name, good, bad)
        assert gain(name, good, bad) == 2.0
        assert regret(name, bad, good) == 0.5
        assert regret(name, good, bad) == 0.0
