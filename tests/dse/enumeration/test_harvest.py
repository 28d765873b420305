"""Best, curves, front and limits of a space in blocks, against a loop over all chips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelmodel.dse.enumeration import enumerate as enumeration
from accelmodel.dse.enumeration import harvest
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.studies import space
from accelmodel.dse.studies.study import load_study

#: less of the headline is better; a limit that depends on the technique, one that does not, and memory
STUDY = """
[study]
title = "small"
device = "ascend-910b2"
bill = "ascend-910b"
objectives = ["tpot", "die_area", "tokens_per_dollar"]
[space]
l2_capacity = { values = ["8MB", "104MB", "192MB"] }
hbm_stacks = { values = ["1", "2", "4"] }
cores = { values = ["16", "24"] }
[workload]
models = ["llama-3-70b"]
batch = [4]
context = [4096]
phase = "decode"
[software]
tp = [8]
[constraints]
die_area = "640mm2"
tpot = "TPOT"
"""


@pytest.fixture
def study(tmp_path, warm):
    def make(limit):
        path = tmp_path / "small.toml"
        path.write_text(STUDY.replace("TPOT", limit), encoding="utf-8")
        return load_study(str(path))

    plain = make("10s")
    times = evaluate(plain, parts_of_study(plain), **space.points(plain, 0, 18)).tpot
    # between what one chip takes with prefetching and without, so that the technique decides
    chip = int(np.nanargmax((times.sel(technique="none") - times.sel(technique="preserve")).values))
    return make(f"{float(times.isel(design=chip).mean()):.6g}s")


def beats(one, other):
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("block", [1, 4, 18])
def test_against_a_loop_over_all_chips(study, block):
    parts = parts_of_study(study)
    points = space.points(study, 0, 18)
    every = evaluate(study, parts, **points)
    found = enumeration.enumerate_space(study, parts, block=block)
    allowed = {name: np.broadcast_to(every.feasible.sel(technique=name).values, 18) for name in study.techniques}
    assert not (allowed["none"] == allowed["preserve"]).all(), "the technique decides nothing: the test shows less"
    assert found.feasible == int((allowed["none"] | allowed["preserve"]).sum())
    assert 0 < found.feasible < found.evaluated == 18

    def of(name, technique, chip):
        value = every[name].sel(technique=technique) if "technique" in every[name].dims else every[name]
        return float(np.broadcast_to(value.values, 18)[chip])

    for technique in study.techniques:
        kept = np.flatnonzero(allowed[technique])
        best = min(kept, key=lambda chip: of("tpot", technique, chip))
        assert found.best[technique]["tpot"] == of("tpot", technique, best)
        for axis in study.axes():
            assert found.best[technique][axis] == points[axis].values[best]
            values, curve = found.curves[axis]
            for value, told in zip(values, curve[technique], strict=True):
                here = [of("tpot", technique, chip) for chip in kept if points[axis].values[chip] == value]
                assert told == min(here) if here else math.isnan(told)
        signs = {"tpot": 1.0, "die_area": 1.0, "tokens_per_dollar": -1.0}
        costs = {tuple(sign * of(name, technique, chip) for name, sign in signs.items()) for chip in kept}
        front = [mine for mine in costs if not any(beats(other, mine) for other in costs)]
        rows = [(row["tpot"], row["die_area"], -row["tokens_per_dollar"]) for row in found.front[technique]]
        assert rows == sorted(front)
    limits = harvest.wanted(study).limits
    assert {"die_area", "tpot", "memory"} <= set(limits)
    least = {
        name: np.broadcast_to((v.min("technique") if "technique" in v.dims else v).values, 18)
        for name in limits
        for v in [every[f"excess_{name}"]]
    }
    broken = np.array([least[name] > 0.0 for name in limits])
    for i, name in enumerate(limits):
        assert found.misses.excluded[name] == broken[i].sum()
        assert found.misses.alone[name] == (broken[i] & (broken.sum(axis=0) == 1)).sum()
        assert found.misses.least[name] == least[name].min()
    assert found.misses.excluded["memory"] == 6, "one stack of 16 GB holds no eighth of 140 GB"
    nearest = np.max(list(least.values()), axis=0)
    assert found.misses.distance == nearest.min()
    assert found.misses.nearest["cores"] == points["cores"].values[nearest.argmin()]
