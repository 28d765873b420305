"""The speed of whole studies: what is timed is what an exploration answers."""

from __future__ import annotations

import pytest

from accelmodel.benchmarks import studies
from accelmodel.dse.enumeration import blocksize, chips
from accelmodel.dse.enumeration.harvest import wanted
from accelmodel.dse.studies import space

SMALL = {
    "l2_capacity": ("8MB", "200MB", "64MB"),
    "hbm_stacks": ("2", "5", "1"),
    "cores": ("16", "24", "4"),
    "link_bandwidth": ("14GB/s", "28GB/s", "14GB/s"),
}


def test_the_space_is_as_large_as_it_says():
    study = studies.large()
    assert space.size(study) == 10**8
    assert {"die_area", "power", "memory"} <= set(wanted(study).limits)
    assert wanted(study).techniques == ("none", "preserve")
    # blocks of about a million, so that labels cost less than numbers
    source = chips.whole(study)
    assert blocksize.BLOCK / 2 < 10**8 / source.chunks <= blocksize.BLOCK


@pytest.mark.parametrize("full", [False, True])
def test_all_of_a_small_space_is_measured(warm, full):
    found = studies.measure(60.0, full=full, study=studies.large(SMALL))
    assert found["chips"] == found["chips_evaluated"] == 4 * 4 * 3 * 2
    assert found["kind"] == "measured"
    assert found["chips_per_s"] == pytest.approx(found["chips"] / found["whole_s"])
    assert found["cpu_s_per_million"] > 0.0


def test_a_part_is_told_as_a_part(warm, monkeypatch):
    monkeypatch.setattr(studies, "cores", lambda: 1)
    monkeypatch.setattr(studies, "whole", lambda study: chips.whole(study, 6))
    found = studies.measure(0.0, study=studies.large(SMALL))
    assert found["kind"] == "extrapolated"
    assert found["chips_evaluated"] == 6
    assert found["whole_s"] == pytest.approx(96 / found["chips_per_s"])
