"""A small study for the tests of the search, a model that answers at once, and storages opened as any user would."""

from __future__ import annotations

import numpy as np
import optuna
import xarray as xr

from accelmodel.dse.enumeration import blocks, rows
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.evaluation.choice import Used
from accelmodel.dse.search import objective, record
from accelmodel.dse.search import optimise as optuna_search
from accelmodel.dse.search.storage import opened as storage_at
from accelmodel.dse.search.storage import place_of
from accelmodel.dse.studies.objectives import OBJECTIVES
from accelmodel.dse.studies.study import load_study

STUDY = """
[study]
title = "tiny"
device = "ascend-910b2"
bill = "ascend-910b"
[space]
l2_capacity = { from = "8MB", to = "256MB", step = "8MB" }
hbm_stacks = { values = ["2", "4", "5"] }
cores = { values = ["24"] }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
phase = "decode"
weight_bits = 8
activation_bits = 8
kv_bits = 8
[software]
tp = [8]
threshold = [1.0]
rule = ["partial"]
[constraints]
die_area = "700mm2"
"""


def small(folder, text=STUDY):
    """Return a study written in a folder, and its parts."""
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    study = load_study(str(path))
    return study, parts_of_study(study)


def opened(storage, name):
    """Return a study as plain Optuna opens it."""
    return optuna.load_study(study_name=name, storage=storage_at(place_of(storage)))


def trials(storage, name, technique="preserve"):
    """Return parameters and objectives of what is stored for a technique, in order."""
    return [
        (trial.params, trial.values)
        for trial in opened(storage, name).get_trials()
        if trial.params["technique"] == technique
    ]


def any_use(study, cluster, errors=None):
    """Any numbers for each chip, at once, in place of ``dse.evaluation.evaluate.use``."""
    device = cluster.device
    rate = (np.sqrt(xr.DataArray(device.l2.capacity)) * device.hbm.stacks).expand_dims("point")
    used = Used(rate, None, None, None, rate * 0.0, {})
    return {technique: [(kind, used) for kind in study.kinds()] for technique in study.techniques}


def at_once(study, parts, errors=None, **axes):
    """Stand for the model: any numbers, larger L2 and more stacks better, the area limit at 192 MB."""
    l2, stacks = axes["l2_capacity"], axes["hbm_stacks"]
    rate = xr.concat([np.sqrt(l2) * stacks * (1 + i) for i in range(len(study.techniques))], "technique")
    rate = rate.assign_coords(technique=study.techniques)
    area = 5e-4 + l2 * 1e-12
    found = {"throughput": rate, "die_area": area, "power": l2 * 0.0 + 300.0, "price": l2 * 1e-5}
    found |= dict.fromkeys(study.objectives, rate / area)
    found |= {f"excess_{name}": area * 0.0 - 0.5 for name in study.limits()}
    found |= {"excess_memory": rate * 0.0 - 0.5, "excess_die_area": area / 700e-6 - 1.0}
    found["feasible"] = rate * found["excess_die_area"] <= 0.0
    units = {"throughput": "token/s", "die_area": "m2", "power": "W", "price": "USD"}
    for name, unit in units.items():
        found[name] = found[name].assign_attrs(units=unit)
    assert set(study.objectives) <= set(OBJECTIVES)
    return xr.Dataset(found)


def quick(monkeypatch):
    """Replace the model by one that answers at once, wherever the search asks it."""
    for module in (record, objective, optuna_search, rows):
        monkeypatch.setattr(module, "evaluate", at_once)
    monkeypatch.setattr(blocks, "judged", lambda study, parts, only, **axes: at_once(study, parts, **axes))
