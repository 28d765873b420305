"""What software chose for the best chips."""

from __future__ import annotations

import re

import pytest

from accelmodel.dse.explore import explore
from accelmodel.dse.studies.study import load_study
from accelmodel.report import choices, dashboard

STUDY = """
[study]
title = "One or two devices"
device = "h100-sxm"
objectives = ["tokens_per_dollar"]
trials = 2

[space]
l2.capacity = { values = ["32MB", "50MB"] }

[workload]
models = ["llama-3.1-8b", "qwen3-8b"]
context = [4096]
phase = "decode"

[software]
techniques = ["none"]
batch = [1, 32]
tp = [1, 2]
"""


@pytest.fixture(scope="module")
def exploration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choices")
    path = folder / "two.toml"
    path.write_text(STUDY, encoding="utf-8")
    return explore(load_study(str(path)), folder / "study.journal", draws=0)


def test_choices_are_those_of_the_best_chip_and_bounds_share_the_step(exploration):
    rows = choices.chosen_points(exploration)
    best = exploration.every.best["none"]
    assert [row["of"] for row in rows] == ["llama-3.1-8b", "qwen3-8b"]
    for row in rows:
        assert row["tp"] == best[f"chosen_tp.{row['of']}"]
        assert row["batch"] == best[f"chosen_batch.{row['of']}"]
        assert 0.97 < sum(row["bounds"].values()) <= 1.0 + 1e-9
        assert max(row["bounds"], key=row["bounds"].__getitem__) == "hbm"


def test_models_served_alike_share_a_row(exploration):
    rows = choices.chosen_points(exploration)
    alike = len({(row["tp"], row["batch"]) for row in rows})
    assert len(re.findall("<tr>", choices.table(exploration))) == 1 + alike


def test_a_dashboard_has_figures_of_the_report(exploration):
    found = dashboard.figures_of(exploration)
    assert "best" in found
    assert all(len(figure.to_json()) < 100_000 for figure in found.values())
