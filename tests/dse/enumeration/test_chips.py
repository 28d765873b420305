"""Blocks of a space and samples of it: every chip once, as the space numbers them."""

from __future__ import annotations

import numpy as np
import pytest

from accelmodel.dse.enumeration import chips
from accelmodel.dse.studies import space
from accelmodel.dse.studies.study import load_study

#: words, axes of which only the product counts, an axis without steps
STUDY = """
[study]
title = "axes of every kind"
device = "ascend-910b2"
bill = "ascend-910b"
seed = 3
[space]
l2_capacity = { values = ["8MB", "104MB", "192MB"] }
link_bandwidth = { values = ["14GB/s", "28GB/s"] }
process = { values = ["smic-7nm", "n7"] }
links = { values = ["7", "14"] }
cores = { from = "16", to = "24", step = "4" }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
phase = "decode"
"""
CONTINUOUS = STUDY.replace('{ values = ["8MB", "104MB", "192MB"] }', '{ from = "8MB", to = "800MB", log = true }')


def study_of(folder, text):
    path = folder / "kinds.toml"
    path.write_text(text, encoding="utf-8")
    return load_study(str(path))


@pytest.fixture
def study(tmp_path):
    return study_of(tmp_path, STUDY)


def everything(study):
    return {name: values.values.tolist() for name, values in space.points(study, 0, space.size(study)).items()}


@pytest.mark.parametrize("block", [1, 4, 5, 9, 10**6])
def test_blocks_hold_every_chip_once_and_by_its_number(study, block):
    whole = chips.whole(study, block)
    points = everything(study)
    assert whole.size == space.size(study) == 3 * 3 * 2 * 3  # 7 x 28 GB/s are 14 x 14 GB/s
    seen = []
    for number in range(whole.chunks):
        count = int(np.prod(whole.within(number)))
        assert count <= block
        given, dims = whole.given(number), whole.dims(number)
        own = whole.chips(number, np.arange(count))
        values = whole.values(own)
        for name, value in given.items():
            if hasattr(value, "dims"):
                value = value.variable.set_dims(dict(zip(dims, whole.within(number), strict=True))).values.reshape(-1)
            assert (np.broadcast_to(value, count) == values[name]).all(), name
            assert values[name].tolist() == [points[name][chip] for chip in own.tolist()], name
        seen += own.tolist()
    assert sorted(seen) == list(range(whole.size))


def test_a_word_is_a_block_of_its_own(study):
    whole = chips.whole(study)
    assert whole.chunks == 2
    assert [whole.given(number)["process"] for number in range(2)] == ["smic-7nm", "n7"]


def scores_of(source):
    """A score of each chip that is its number, under two techniques with opposite signs."""
    for number in range(source.chunks):
        count = int(np.prod(source.within(number)))
        own = source.chips(number, np.arange(count)).astype(float)
        yield number, np.stack([own, -own]).reshape(2, *source.within(number))


@pytest.mark.parametrize("source", ["whole", "sample"])
def test_curves_are_the_best_at_each_value(study, source):
    source = chips.whole(study, 5) if source == "whole" else chips.sample(study, 20, 0, 6)
    values = source.values(np.arange(source.size))
    for name, own in source.curves.items():
        found = np.max([source.along(number, scores)[name] for number, scores in scores_of(source)], axis=0)
        for place, value in enumerate(own):
            here = np.flatnonzero(values[name] == value)
            expected = [here.max(), -here.min()] if len(here) else [-np.inf, -np.inf]
            assert found[:, place].tolist() == expected, (name, value)


def test_a_sample_is_of_different_chips_whose_words_do_not_mix(study):
    points = everything(study)
    every = set(zip(*points.values(), strict=True))
    assert len(every) == 54
    found = chips.sample(study, 40, 0, 7)
    taken = list(zip(*(found.columns[name].tolist() for name in points), strict=True))
    assert len(taken) == len(set(taken)) == 40
    assert set(taken) <= every
    for number in range(found.chunks):
        assert found.within(number)[0] <= 7
        assert isinstance(found.given(number)["process"], str)
    other = chips.sample(study, 40, 1, 7)
    assert found.columns["cores"].tolist() == chips.sample(study, 40, 0, 9).columns["cores"].tolist()
    assert found.columns["cores"].tolist() != other.columns["cores"].tolist()


def test_an_axis_without_steps_is_drawn_between_its_ends(tmp_path):
    study = study_of(tmp_path, CONTINUOUS)
    assert chips.continuous(study) == ["l2_capacity"]
    found = chips.sample(study, 4000, 0, 1000)
    sizes = found.columns["l2_capacity"]
    assert sizes.min() > 8e6
    assert sizes.max() < 800e6
    assert len(set(sizes)) == 4000
    # evenly in ratio: half below the geometric mean of 80 MB, with a standard deviation of 0.8 %
    assert (sizes < 80e6).mean() == pytest.approx(0.5, abs=0.04)
    parts = found.curves["l2_capacity"]
    edges = 8e6 * 100.0 ** (np.arange(chips.PARTS + 1) / chips.PARTS)
    at = found.at["l2_capacity"]
    assert ((edges[at] <= sizes * (1 + 1e-12)) & (sizes <= edges[at + 1] * (1 + 1e-12))).all()
    assert ((edges[:-1] < parts) & (parts < edges[1:])).all()
