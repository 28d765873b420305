"""A small study for the tests of the search, and its file opened as any user of Optuna would."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

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


def opened(path: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path))))
