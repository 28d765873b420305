"""The search with Optuna: it resumes, repeats, keeps what was done, and refuses files it cannot use."""

from __future__ import annotations

import re
import warnings

import numpy as np
import optuna
import pytest
from studies import STUDY, opened

from accelmodel.dse import enumeration, optuna_search
from accelmodel.dse.chip import parts_of_study
from accelmodel.dse.optuna_search import optimise
from accelmodel.dse.study import load_study
from accelmodel.errors import Infeasible, SpecError


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY, encoding="utf-8")
    return load_study(str(path))


@pytest.fixture
def parts(study, warm):
    return parts_of_study(study)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(optuna_search, "BATCH", 4)


@pytest.fixture
def asked(monkeypatch):
    """Chips handed to the model, batch by batch."""
    seen: list[int] = []

    def counting(study, parts, **chips):
        seen.append(len(next(iter(chips.values()))))
        return enumeration.evaluate(study, parts, **chips)

    monkeypatch.setattr(optuna_search, "evaluate", counting)
    return seen


def test_axes_become_distributions(study):
    space = optuna_search.distributions(study)
    assert space["l2_capacity"] == optuna.distributions.FloatDistribution(8e6, 256e6, step=8e6)
    assert space["hbm_stacks"] == optuna.distributions.CategoricalDistribution([2.0, 4.0, 5.0])
    assert space["cores"] == optuna.distributions.CategoricalDistribution([24.0])


@pytest.mark.parametrize("technique", load_study().techniques)
def test_finds_a_best_within_the_space_and_the_constraints(study, parts, tmp_path, technique):
    done: list[int] = []
    found = optimise(study, parts, technique, tmp_path / "a.journal", 48, done.append)
    assert (found.trials, found.resumed, sum(done)) == (48, 0, 48)
    for name, axis in study.axes().items():
        assert np.isclose(axis.grid, found.best[name]).any(), name
    assert found.best["die_area"] <= 700e-6
    every = enumeration.enumerate_space(study, parts).best[technique]
    objective = study.study.objective
    assert 0.97 * every[objective] < found.best[objective] <= every[objective] * (1 + 1e-12)
    assert found.best["throughput"] / found.best["die_area"] == pytest.approx(found.best[objective])


def test_resumes_and_evaluates_only_what_is_missing(study, parts, tmp_path, small_batches, asked):
    path = tmp_path / "a.journal"
    first = optimise(study, parts, "preserve", path, 8)
    assert asked == [4, 4]
    second = optimise(study, parts, "preserve", path, 14)
    assert asked == [4, 4, 4, 2]
    assert (second.trials, second.resumed) == (14, 8)
    third = optimise(study, parts, "preserve", path, 14)
    assert sum(asked) == 14
    assert third.best == second.best
    assert second.best[study.study.objective] >= first.best[study.study.objective]
    trials = opened(path, second.name).get_trials()
    assert len(trials) == 14
    assert [trial.number for trial in trials] == list(range(14))


def test_the_journal_opens_in_plain_optuna(study, parts, tmp_path):
    path = tmp_path / "a.journal"
    found = optimise(study, parts, "preserve", path, 16)
    assert found.storage == str(path)
    kept = opened(path, found.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        assert set(kept.metric_names) == set(study.objectives)
        assert kept.metric_names[0] == study.study.objective
    assert [direction.name for direction in kept.directions] == ["MAXIMIZE"] * len(study.objectives)
    for trial in kept.get_trials():
        assert trial.state.name == "COMPLETE"
        assert set(trial.params) == set(study.axes())
        assert set(trial.user_attrs) == {"throughput", "die_area", "power", "price"}
        assert trial.values[0] == pytest.approx(trial.user_attrs["throughput"] / trial.user_attrs["die_area"])
        assert (trial.constraints["feasible"] <= 0.0) is (trial.user_attrs["die_area"] <= 700e-6)


def test_a_seeded_run_repeats_exactly(study, parts, tmp_path):
    runs = []
    for name in ("a", "b"):
        found = optimise(study, parts, "preserve", tmp_path / f"{name}.journal", 40)
        trials = opened(tmp_path / f"{name}.journal", found.name).get_trials()
        runs.append((found.best, [(trial.params, trial.values) for trial in trials]))
    assert runs[0] == runs[1]
    other = study.model_copy(update={"study": study.study.model_copy(update={"seed": 1})})
    found = optimise(other, parts, "preserve", tmp_path / "c.journal", 40)
    trials = opened(tmp_path / "c.journal", found.name).get_trials()
    assert [(trial.params, trial.values) for trial in trials] != runs[0][1]


def test_techniques_and_changed_studies_share_a_file_but_no_trials(study, parts, tmp_path):
    path = tmp_path / "a.journal"
    none = optimise(study, parts, "none", path, 8)
    ahead = optimise(study, parts, "preserve", path, 8)
    other = study.model_copy(update={"workload": study.workload.model_copy(update={"batch": [8]})})
    changed = optimise(other, parts, "preserve", path, 8)
    assert (none.resumed, ahead.resumed, changed.resumed) == (0, 0, 0)
    assert len({none.name, ahead.name, changed.name}) == 3


def test_an_interrupt_keeps_the_finished_batches(study, parts, tmp_path, small_batches, monkeypatch):
    path, calls = tmp_path / "a.journal", []

    def interrupted(*arguments, **chips):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return enumeration.evaluate(*arguments, **chips)

    monkeypatch.setattr(optuna_search, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        optimise(study, parts, "preserve", path, 12)
    found = optimise(study, parts, "preserve", path, 12)
    assert (found.resumed, found.trials) == (4, 12)
    assert len(calls) == 4


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_line_that_a_killed_process_left_unfinished_is_dropped(study, parts, tmp_path, small_batches, kept):
    path = tmp_path / "a.journal"
    optimise(study, parts, "preserve", path, 8)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    found = optimise(study, parts, "preserve", path, 12)
    assert found.trials == 12
    assert found.resumed < 8
    assert optimise(study, parts, "preserve", path, 12).resumed == 12


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"hello\nworld\n",
        b'{"a": 1}\n',
        b"[1]\n",
        bytes(range(256)),
        b'{"op_code":0,"x\n{"op_code":1}\n',
        b"\n",
    ],
    ids=range(7),
)
def test_what_is_no_journal_is_refused_and_left_alone(study, parts, tmp_path, content):
    path = tmp_path / "a.journal"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=r"not a readable Optuna journal.*--storage"):
        optimise(study, parts, "preserve", path, 4)
    assert path.read_bytes() == content


@pytest.mark.parametrize("place", ["missing/a.journal", "file/a.journal", "folder"])
def test_a_search_whose_file_cannot_be_written_is_answered_and_says_so(study, parts, tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    found = optimise(study, parts, "preserve", tmp_path / place, 4)
    assert found.trials == 4
    assert re.search(r"cannot be written .*--storage", found.fault)


def test_no_feasible_trial_is_told(study, parts, tmp_path):
    tight = study.model_copy(update={"constraints": study.constraints.model_copy(update={"die_area": "1mm2"})})
    with pytest.raises(Infeasible, match="none of 8 trials kept to the constraints; raise --trials"):
        optimise(tight, parts, "preserve", tmp_path / "a.journal", 8)
