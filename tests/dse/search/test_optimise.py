"""The search with Optuna: it resumes, repeats, keeps what was done, and tries no chip twice."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest
from studies import STUDY, at_once, opened, quick, small, trials

from accelmodel.dse.enumeration.enumerate import enumerate_space
from accelmodel.dse.search import objective, record
from accelmodel.dse.search import optimise as optuna_search
from accelmodel.dse.search.optimise import Search, optimise, optimise_each
from accelmodel.dse.studies.objectives import sign
from accelmodel.dse.studies.study import load_study
from accelmodel.errors import Infeasible, SpecError


@pytest.fixture
def study(tmp_path, monkeypatch):
    quick(monkeypatch)
    return small(tmp_path)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(optuna_search, "BATCH", 4)


@pytest.fixture
def asked(study, monkeypatch):
    """Chips handed to the model, batch by batch."""
    seen: list[int] = []

    def counting(study, parts, **chips):
        seen.append(len(next(iter(chips.values()))))
        return at_once(study, parts, **chips)

    monkeypatch.setattr(objective, "evaluate", counting)
    return seen


@pytest.mark.parametrize("technique", load_study().techniques)
def test_finds_a_best_within_the_space_and_the_constraints(tmp_path, warm, technique):
    asked, parts = small(tmp_path)
    done: list[int] = []
    found = optimise(asked, parts, technique, tmp_path / "a.db", 48, done.append)
    assert (found.trials, found.resumed, sum(done)) == (48, 0, 48)
    for name, axis in asked.axes().items():
        assert found.best[name] in axis.values, name
    assert found.best["die_area"] <= 700e-6
    every = enumerate_space(asked, parts).best[technique]
    assert 0.97 * every[asked.headline] < found.best[asked.headline] <= every[asked.headline] * (1 + 1e-12)
    assert found.best["throughput"] / found.best["die_area"] == pytest.approx(found.best[asked.headline])


def test_as_many_trials_as_chips_find_the_best_of_all(study, tmp_path):
    """No chip is tried twice while there are others, whatever the sampler proposes."""
    every = enumerate_space(*study).best["preserve"]["throughput_per_area"]
    found = optimise(*study, "preserve", tmp_path / "a.journal", 96, search=Search(sampler="random"))
    stored = trials(tmp_path / "a.journal", found.name)
    assert len({json.dumps(params, sort_keys=True) for params, _ in stored}) == 96
    assert found.best["throughput_per_area"] == pytest.approx(every)
    assert optimise(*study, "preserve", tmp_path / "a.journal", 100).trials == 100


@pytest.mark.parametrize("name", ["a.db", "a.journal"])
def test_resumes_and_evaluates_only_what_is_missing(study, tmp_path, small_batches, asked, name):
    path = tmp_path / name
    first = optimise(*study, "preserve", path, 8)
    assert asked == [4, 4]
    second = optimise(*study, "preserve", path, 14)
    assert asked == [4, 4, 4, 2]
    assert (second.trials, second.resumed) == (14, 8)
    third = optimise(*study, "preserve", path, 14)
    assert sum(asked) == 14
    assert third.best == second.best
    assert second.best["throughput_per_area"] >= first.best["throughput_per_area"]
    assert [trial.number for trial in opened(path, second.name).get_trials()] == list(range(14))


def test_a_seeded_run_repeats_exactly(study, tmp_path):
    runs = []
    for name in ("a", "b"):
        found = optimise(*study, "preserve", tmp_path / f"{name}.journal", 40)
        runs.append((found.best, trials(tmp_path / f"{name}.journal", found.name)))
    assert runs[0] == runs[1]
    asked, parts = study
    other = asked.model_copy(update={"study": asked.study.model_copy(update={"seed": 1})})
    found = optimise(other, parts, "preserve", tmp_path / "c.journal", 40)
    assert trials(tmp_path / "c.journal", found.name) != runs[0][1]


def test_techniques_share_a_study_and_a_changed_study_shares_a_file(study, tmp_path):
    asked, parts = study
    path = tmp_path / "a.db"
    both, _ = optimise_each(asked, parts, ["none", "preserve"], path, 16)
    other = asked.model_copy(update={"workload": asked.workload.model_copy(update={"batch": [8]})})
    changed = optimise(other, parts, "preserve", path, 8)
    assert {both["none"].name, both["preserve"].name} == {both["none"].name} != {changed.name}
    assert [each.resumed for each in (*both.values(), changed)] == [0, 0, 0]
    kept = opened(path, both["none"].name)
    assert [trial.params["technique"] for trial in kept.get_trials()] == ["none"] * 8 + ["preserve"] * 8


def test_an_interrupt_keeps_the_finished_batches(study, tmp_path, small_batches, monkeypatch):
    path, calls = tmp_path / "a.db", []

    def interrupted(*arguments, **chips):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return at_once(*arguments, **chips)

    monkeypatch.setattr(objective, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        optimise(*study, "preserve", path, 12)
    found = optimise(*study, "preserve", path, 12)
    assert (found.resumed, found.trials) == (4, 12)
    assert len(calls) == 4


def test_no_feasible_trial_is_told(study, tmp_path, monkeypatch):
    def never(study, parts, **axes):
        result = at_once(study, parts, **axes)
        return result.assign(excess_die_area=result.excess_die_area * 0.0 + 1.0)

    for module in (objective, optuna_search):
        monkeypatch.setattr(module, "evaluate", never)
    with pytest.raises(Infeasible, match="none of 8 trials kept to the constraints; raise --trials"):
        optimise(*study, "preserve", tmp_path / "a.journal", 8)


def test_a_chip_that_serves_nothing_is_a_failed_trial_that_says_so(study, tmp_path, monkeypatch, small_batches):
    """It has no objective, counts as tried, and is not tried again."""

    def no_room(study, parts, **axes):
        result = at_once(study, parts, **axes)
        small = axes["l2_capacity"] < 100e6
        return result.assign({name: result[name].where(~small) for name in study.objectives})

    quick(monkeypatch)
    for module in (objective, optuna_search, record):
        monkeypatch.setattr(module, "evaluate", no_room)
    found = optimise(*study, "preserve", tmp_path / "a.db", 24)
    stored = opened(tmp_path / "a.db", found.name).get_trials()
    failed = [trial for trial in stored if trial.state.name == "FAIL"]
    assert len(stored) == 24
    assert failed
    assert all(trial.params["L2 [MB]"] < 100.0 and trial.user_attrs["why it failed"] for trial in failed)
    assert found.best["l2_capacity"] >= 100e6
    assert optimise(*study, "preserve", tmp_path / "a.db", 24).resumed == 24


def test_several_objectives_each_in_its_direction(tmp_path, warm):
    text = STUDY.replace('title = "tiny"', 'title = "tiny"\nobjectives = ["tpot", "price", "throughput_per_area"]')
    asked, parts = small(tmp_path, text)
    found = optimise(asked, parts, "preserve", tmp_path / "a.db", 16)
    kept = opened(tmp_path / "a.db", found.name)
    assert [direction.name for direction in kept.directions] == ["MINIMIZE", "MINIMIZE", "MAXIMIZE"]
    assert kept.metric_names == ["TPOT [ms]", "price [USD]", "throughput per area [tokens/s/mm²]"]
    allowed = [trial for trial in kept.get_trials() if max(trial.constraints.values()) <= 0.0]
    assert found.best["tpot"] * 1e3 == pytest.approx(min(trial.values[0] for trial in allowed))
    assert sign(asked.headline) == -1.0


def test_an_axis_without_steps_is_searched_between_its_ends(tmp_path, warm):
    text = STUDY.replace('to = "256MB", step = "8MB"', 'to = "256MB"')
    asked, parts = small(tmp_path, text)
    found = optimise(asked, parts, "preserve", tmp_path / "a.db", 12)
    stored = trials(tmp_path / "a.db", found.name)
    assert len({params["L2 [MB]"] for params, _ in stored}) == 12
    assert 8e6 <= found.best["l2_capacity"] <= 256e6
    assert optimise(asked, parts, "preserve", tmp_path / "a.db", 12).best == found.best


@pytest.mark.nightly
def test_workers_store_as_many_as_asked_together(tmp_path):
    asked, parts = small(tmp_path)
    found, _ = optimise_each(asked, parts, asked.techniques, tmp_path / "a.db", 128, search=Search(workers=2))
    for technique in asked.techniques:
        stored = trials(tmp_path / "a.db", found[technique].name, technique)
        assert len(stored) == len({json.dumps(params, sort_keys=True) for params, _ in stored}) == 64


def test_warm_chips_are_tried_first_and_told(study, tmp_path):
    rows = [
        {"l2_capacity": 64e6, "hbm_stacks": 5.0, "cores": 24.0},
        {"l2_capacity": 65e6, "hbm_stacks": 5.0, "cores": 24.0},
    ]
    found = optimise(*study, "preserve", tmp_path / "a.db", 6, search=Search(start=rows))
    stored = opened(tmp_path / "a.db", found.name).get_trials()
    assert {name: stored[0].params[name] for name in ("L2 [MB]", "HBM stacks", "cores")} == {
        "L2 [MB]": 64.0, "HBM stacks": 5, "cores": 24,
    }  # fmt: skip
    assert [trial.user_attrs.get("started from") for trial in stored] == ["given", *[None] * 5]


@pytest.mark.parametrize("sampler", ["random", "qmc", "nsga2", "nsga3", "tpe"])
def test_every_sampler_searches_and_resumes(study, tmp_path, sampler):
    for count in (6, 10):
        found = optimise(*study, "preserve", tmp_path / "a.journal", count, search=Search(sampler=sampler))
        assert (found.trials, found.fault) == (count, "")


def test_a_pruner_ends_trials_after_some_models(tmp_path, warm, small_batches):
    text = STUDY.replace('["llama-3-8b"]', '["llama-3-8b", "llama-3-70b"]')
    asked, parts = small(tmp_path, text)
    found = optimise(asked, parts, "preserve", tmp_path / "a.db", 24, search=Search(pruner="median"))
    stored = opened(tmp_path / "a.db", found.name).get_trials()
    pruned = [trial for trial in stored if trial.state is optuna.trial.TrialState.PRUNED]
    assert len(stored) == 24
    assert pruned
    assert all(list(trial.intermediate_values) == [1] for trial in pruned)
    assert {trial.user_attrs["why it failed"] for trial in pruned} == {"pruned after llama-3-8b"}
    whole = [trial for trial in stored if trial not in pruned]
    assert all(np.isclose(trial.intermediate_values[2], trial.values[0]) for trial in whole)
    assert optimise(asked, parts, "preserve", tmp_path / "a.db", 24, search=Search(pruner="median")).resumed == 24


def test_a_study_that_cannot_be_pruned_says_why(study, tmp_path):
    with pytest.raises(SpecError, match="study tiny has one, llama-3-8b; leave --pruner out"):
        optimise(*study, "preserve", tmp_path / "a.db", 4, search=Search(pruner="median"))
    assert not (tmp_path / "a.db").exists()


def test_fewer_trials_than_techniques_are_refused(study, tmp_path):
    asked, parts = study
    with pytest.raises(SpecError, match="--trials 1: 2 techniques are searched, none, preserve; ask for 2 or more"):
        optimise_each(asked, parts, asked.techniques, tmp_path / "a.db", 1)
    found, _ = optimise_each(asked, parts, asked.techniques, tmp_path / "a.db", 9)
    assert {name: each.trials for name, each in found.items()} == {"none": 5, "preserve": 4}
