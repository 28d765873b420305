"""Samplers and pruners by name: what is not there or cannot search a study says so before the work."""

from __future__ import annotations

import importlib.util
import sys

import optuna
import pytest
from studies import STUDY, small

from accelmodel.dse.search import samplers
from accelmodel.dse.search.samplers import NEEDS, SAMPLERS, check_pruner, check_sampler, pruner_of, sampler_of
from accelmodel.errors import SpecError

EVEN = STUDY.replace('hbm_stacks = { values = ["2", "4", "5"] }', "").replace('die_area = "700mm2"', "")


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "qmc", "random"])
def test_each_is_that_of_optuna_and_seeded(name):
    kinds = {"tpe": "TPE", "nsga2": "NSGAII", "nsga3": "NSGAIII", "qmc": "QMC", "random": "Random"}
    drawn = []
    for seed in (1, 1, 2):
        made = sampler_of(name, seed)
        assert type(made) is getattr(optuna.samplers, f"{kinds[name]}Sampler")
        trial = optuna.create_study(directions=["minimize"], sampler=made).ask(
            {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}
        )
        drawn.append(trial.params["x"])
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("name", NEEDS)
def test_one_whose_package_is_missing_says_how_to_get_it(tmp_path, monkeypatch, name):
    monkeypatch.setattr(samplers.importlib.util, "find_spec", lambda _: None)
    study, _ = small(tmp_path)
    with pytest.raises(SpecError, match=rf"--sampler {name}: needs {NEEDS[name][0]}.*; pip install {NEEDS[name][0]}"):
        check_sampler(name, study)


def test_a_wrong_name_is_answered_with_the_closest(tmp_path):
    study, _ = small(tmp_path)
    with pytest.raises(SpecError, match="unknown sampler 'nsga', did you mean 'nsga2'"):
        check_sampler("nsga", study)
    with pytest.raises(SpecError, match="unknown pruner 'medan', did you mean 'median'"):
        check_pruner("medan", study)
    assert "tpe" in SAMPLERS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            EVEN.replace('title = "tiny"', 'title = "tiny"\nobjectives = ["tpot", "price"]'),
            "it has 2 objectives, tpot, price",
        ),
        (EVEN.replace("[workload]", 'hbm_stacks = { values = ["2", "4", "5"] }\n[workload]'), "HBM stacks is a choice"),
    ],
)
def test_what_cma_es_cannot_search_it_refuses(tmp_path, monkeypatch, text, says):
    monkeypatch.setattr(samplers.importlib.util, "find_spec", lambda _: True)
    study, _ = small(tmp_path, text)
    with pytest.raises(SpecError, match=f"--sampler cma: CMA-ES cannot search study tiny: {says}"):
        check_sampler("cma", study)


def test_what_cma_es_can_search_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(samplers.importlib.util, "find_spec", lambda _: True)
    check_sampler("cma", small(tmp_path, EVEN)[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (STUDY, "study tiny has one, llama-3-8b; leave --pruner out"),
        (
            STUDY.replace('title = "tiny"', 'title = "tiny"\nobjectives = ["tpot", "price"]'),
            "study tiny has 2, tpot, price",
        ),
    ],
)
def test_a_study_that_has_nothing_to_be_pruned_by_says_so(tmp_path, text, says):
    study, _ = small(tmp_path, text)
    check_pruner("none", study)
    with pytest.raises(SpecError, match=says):
        check_pruner("median", study)


@pytest.mark.parametrize("name", samplers.PRUNERS)
def test_pruners_are_those_of_optuna(name):
    assert isinstance(pruner_of(name), optuna.pruners.BasePruner)


def test_looking_for_packages_imports_none(tmp_path):
    before = set(sys.modules)
    for name in NEEDS:
        if all(importlib.util.find_spec(module) for module in NEEDS[name]) and name != "cma":
            check_sampler(name, small(tmp_path)[0])
    assert not {"torch", "cmaes", "optunahub"} & (set(sys.modules) - before)
