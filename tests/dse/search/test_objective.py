"""A study in a loop of one's own in plain Optuna: trial by trial and in batches the same numbers as the search's."""

from __future__ import annotations

import optuna
import pytest
import xarray as xr
from studies import STUDY, small

from accelmodel.dse.evaluation.evaluate import evaluate
from accelmodel.dse.search.optimise import Search, optimise
from accelmodel.errors import SpecError

TWO = STUDY.replace('title = "tiny"', 'title = "tiny"\nobjectives = ["throughput_per_area", "price"]')


def test_plain_optuna_finds_what_the_search_stores(tmp_path, warm):
    """The same sampler and seed, trial by trial and in one batch; parameters, objectives, limits and attributes."""
    study, parts = small(tmp_path, TWO)
    chip = study.objective("preserve")
    assert chip.directions == ["maximize", "minimize"]
    own = optuna.create_study(directions=chip.directions, sampler=optuna.samplers.RandomSampler(seed=3))
    own.optimize(chip, n_trials=3)
    batch = optuna.create_study(directions=chip.directions, sampler=optuna.samplers.RandomSampler(seed=3))
    chip.tell(batch, chip.ask(batch, 3))
    found = optimise(study, parts, "preserve", tmp_path / "a.db", 3, search=Search(sampler="random"))
    assert found.trials == 3
    for one, other in zip(own.trials, batch.trials, strict=True):
        assert one.params == other.params
        assert one.values == pytest.approx(other.values)
        assert one.constraints == pytest.approx(other.constraints)
        assert one.user_attrs == other.user_attrs
        assert one.user_attrs["chosen TP"] == 8
        assert one.user_attrs["area cores [mm²]"] > 1.0


def test_values_are_those_of_the_model_in_the_units_of_their_names(tmp_path, warm):
    study, parts = small(tmp_path, TWO)
    chip = study.objective()
    own = optuna.create_study(directions=chip.directions)
    own.enqueue_trial({"L2 [MB]": 104.0, "HBM stacks": 4, "cores": 24})
    own.optimize(chip, n_trials=1)
    axes = {"l2_capacity": 104e6, "hbm_stacks": 4.0, "cores": 24.0}
    chips = {name: xr.DataArray([value], dims="design") for name, value in axes.items()}
    said = evaluate(study, parts, **chips).sel(technique="preserve").isel(design=0)
    values = dict(zip(chip.metric_names, own.trials[0].values, strict=True))
    assert values["throughput per area [tokens/s/mm²]"] == pytest.approx(float(said.throughput_per_area) * 1e-6)
    assert values["price [USD]"] == pytest.approx(float(said.price))
    assert own.trials[0].constraints["die area"] == pytest.approx(float(said.die_area) / 700e-6 - 1.0)


def test_a_pruner_may_end_a_trial_after_some_models(tmp_path, warm):
    study, _ = small(tmp_path, STUDY.replace('["llama-3-8b"]', '["llama-3-8b", "llama-3-70b"]'))
    chip = study.objective(by_model=True)
    pruner = optuna.pruners.ThresholdPruner(lower=1e9)
    own = optuna.create_study(directions=chip.directions, pruner=pruner)
    own.optimize(chip, n_trials=1)
    assert own.trials[0].state is optuna.trial.TrialState.PRUNED
    assert list(own.trials[0].intermediate_values) == [1]


def test_what_cannot_be_is_refused(tmp_path):
    study, _ = small(tmp_path, TWO)
    with pytest.raises(SpecError, match="unknown technique of this study 'perserve', did you mean 'preserve'"):
        study.objective("perserve")
    with pytest.raises(SpecError, match="by_model: study tiny has 2 objectives and 1 models"):
        study.objective(by_model=True)
