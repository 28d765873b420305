"""Chips that a search begins with: the best of an earlier study, as far as they are in the space of this one."""

from __future__ import annotations

import pytest
from studies import STUDY, quick, small

from accelmodel.dse.search.optimise import optimise
from accelmodel.dse.search.storage import place_of
from accelmodel.dse.search.warm_start import from_study
from accelmodel.errors import SpecError


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    quick(monkeypatch)
    return optimise(*small(tmp_path), "preserve", tmp_path / "a.db", 24)


@pytest.mark.parametrize("given", ["tiny", "tiny / throughput", None])
def test_the_best_of_an_earlier_study_come_first(tmp_path, earlier, given):
    """By name, by the start of one, or by its storage; those beyond a limit last."""
    study, _ = small(tmp_path, STUDY.replace("batch = [4]", "batch = [8]"))
    rows = from_study(study, place_of(tmp_path / "a.db"), given or str(tmp_path / "a.db"))
    assert len(rows) == 24
    assert rows[0] == {name: earlier.best[name] for name in ("l2_capacity", "hbm_stacks", "cores")}
    kept = [row["l2_capacity"] <= 200e6 for row in rows]
    assert kept == sorted(kept, reverse=True)


def test_chips_that_are_not_in_the_space_are_left_out(tmp_path, earlier):
    study, _ = small(tmp_path, STUDY.replace('["2", "4", "5"]', '["4", "6"]'))
    rows = from_study(study, place_of(tmp_path / "a.db"), "tiny")
    assert {row["hbm_stacks"] for row in rows} == {4.0}


def test_nothing_to_begin_with_is_said(tmp_path, earlier):
    study, _ = small(tmp_path, STUDY.replace('["2", "4", "5"]', '["6"]'))
    with pytest.raises(SpecError, match=r"--warm-start tiny: no trial of tiny / .* is a chip of study tiny"):
        from_study(study, place_of(tmp_path / "a.db"), "tiny")
    with pytest.raises(SpecError, match="unknown study to start from 'tinny'"):
        from_study(study, place_of(tmp_path / "a.db"), "tinny")
