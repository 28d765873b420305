"""A small study for the tests of the search, and its file opened as any user of Optuna would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import xarray as xr
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from accelmodel.dse.choice import Used

STUDY = """
[study]
title = "tiny"
device = "ascend-910b2"
bill = "ascend-910b"
objectives = ["throughput_per_area", "tokens_per_dollar"]
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
rule = ["paper"]
[constraints]
die_area = "700mm2"
"""


def any_use(study, cluster, errors=None):
    """Any numbers for each chip, at once, in place of ``dse.evaluate.use``."""
    device = cluster.device
    rate = (np.sqrt(xr.DataArray(device.l2.capacity)) * device.hbm.stacks).expand_dims("point")
    used = Used(rate, None, None, rate * 0.0, {})
    return {technique: [(kind, used) for kind in study.kinds()] for technique in study.techniques}


def opened(path: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path))))
