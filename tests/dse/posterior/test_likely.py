"""How likely the optimum of an exploration is: published answers, candidates of a space, both answers."""

from __future__ import annotations

import pytest
from studies import STUDY

from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.posterior.likely import candidates, likely, published
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import SpecError


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("likely") / "tiny.toml"
    path.write_text(STUDY, encoding="utf-8")
    return load_study(str(path))


@pytest.fixture(scope="module")
def every(warm_once, study):
    return enumerate_space(study, parts_of_study(study))


@pytest.fixture(scope="module")
def warm_once():
    from accelmodel.laws.jit import running

    with running("compiled"):
        yield


def named(study, claims):
    return study.model_copy(update={"study": study.study.model_copy(update={"claims": claims})})


def test_a_study_may_name_a_published_answer(study):
    assert published(study) is None
    assert published(named(study, "preserve")) == {"none": 8e6, "preserve": 104e6, "gain": 1.25}
    with pytest.raises(SpecError, match=r"study\.claims: unknown file of published claims 'presrve', did you mean"):
        published(named(study, "presrve"))


def test_claims_along_another_axis_are_none_of_this_study(study):
    other = study.model_copy(update={"space": {"cores": study.space["cores"]}})
    assert published(named(other, "preserve")) is None


def test_candidates_are_the_best_along_the_axis_and_the_front(study, every):
    chips = candidates(study, every)
    rows = list(zip(*(chips[name] for name in study.axes()), strict=True))
    assert len(set(rows)) == len(rows)
    for best in every.best.values():
        for size in study.axes()["l2_capacity"].grid:
            assert (size, best["hbm_stacks"], best["cores"]) in rows
    front = {tuple(row[name] for name in study.axes()) for kept in every.front.values() for row in kept}
    assert len(front & set(rows)) >= min(len(front), 16)


def test_both_answers_and_one_where_there_is_one_axis(study, every):
    alone, space = likely(study, parts_of_study(study), every, {}, 8)
    assert list(alone.chips) == ["l2_capacity"]
    assert list(space.chips) == list(study.axes())
    for technique in study.techniques:
        top, place = space.nominal[technique].max(), int(space.nominal[technique].argmax())
        assert top == pytest.approx(every.best[technique]["throughput_per_area"], rel=1e-9)
        assert space.values[place] == every.best[technique]["l2_capacity"]
    single = study.model_copy(update={"space": {"l2_capacity": study.space["l2_capacity"]}})
    around, other = likely(single, parts_of_study(study), every, {}, 8)
    assert other is None
    assert around.score["none"].shape == (8, 32)
