"""Chips of a space by number: each once, and what is one chip counted as one."""

from __future__ import annotations

import itertools

import pytest

from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.studies.space import points, size
from accelmodel.dse.studies.study import load_study

TEXT = """
[study]
title = "links"
device = "DEVICE"
[space]
links = { values = [4, 6, 12] }
cores = { values = [100, 132] }
link.bandwidth = { values = ["25GB/s", "50GB/s"] }
process = { values = ["n5", "n7"] }
[workload]
models = ["llama-3-8b"]
batch = [1]
context = [1024]
phase = "decode"
"""


def study_of(folder, device):
    path = folder / "links.toml"
    path.write_text(TEXT.replace("DEVICE", device), encoding="utf-8")
    return load_study(str(path))


def chips_of(study):
    chips = points(study, 0, size(study))
    return list(zip(*(chips[name].values.tolist() for name in study.axes()), strict=True))


def test_links_by_bandwidth_that_make_one_chip_are_one(tmp_path):
    study = study_of(tmp_path, "h100-sxm")
    found = chips_of(study)
    assert list(study.axes()) == ["links", "cores", "link_bandwidth", "process"]
    products = {links * one for links, one in itertools.product((4.0, 6.0, 12.0), (25e9, 50e9))}
    assert len(products) == 5
    assert size(study) == len(found) == len(set(found)) == 5 * 2 * 2
    assert {(links * one, cores, word) for links, cores, one, word in found} == set(
        itertools.product(products, (100.0, 132.0), ("n5", "n7"))
    )


def test_on_a_torus_the_number_of_links_counts_by_itself(tmp_path):
    assert size(study_of(tmp_path, "tpu-v5p")) == 3 * 2 * 2 * 2


def test_they_are_one_chip_indeed(tmp_path):
    study = study_of(tmp_path, "h100-sxm")
    one, other = (
        evaluate(study, parts_of_study(study), links=links, link_bandwidth=rate)
        for links, rate in ((6.0, 5e10), (12.0, 2.5e10))
    )
    for name in ("throughput", "price", "die_area", "power", "shoreline", "carbon"):
        assert float(one[name].max()) == pytest.approx(float(other[name].max()), rel=1e-12), name


def test_a_part_of_the_chips_is_that_part_of_all(tmp_path):
    study = study_of(tmp_path, "h100-sxm")
    whole = chips_of(study)
    part = points(study, 3, 11)
    assert list(zip(*(part[name].values.tolist() for name in study.axes()), strict=True)) == whole[3:11]
