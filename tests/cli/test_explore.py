"""The command ``explore``: the answer, an interruption, a journal that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

STUDY = """
[study]
title = "small"
device = "ascend-910b2"
bill = "ascend-910b"
[space]
l2_capacity = { values = ["8MB", "104MB", "192MB"] }
hbm_stacks = { values = ["4"] }
[workload]
models = ["llama-3-8b"]
batch = [4]
context = [4096]
weight_bits = 8
activation_bits = 8
kv_bits = 8
[software]
tp = [8]
threshold = [1.0]
rule = ["paper"]
"""


def test_explore(run, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    code, out, err = run("explore --study small.toml --json --trials 8")
    assert code == 0, err
    data = json.loads(out)
    for technique in ("none", "preserve"):
        assert data["best"][technique]["l2_bytes"] in (8e6, 104e6, 192e6)
    objective = "tokens_per_s_per_m2"
    assert data["gain"] == pytest.approx(data["best"]["preserve"][objective] / data["best"]["none"][objective])
    assert data["gain"] >= 1.0
    assert data["evaluations"] == 3 + 2 * 8
    assert data["exhaustive"]["l2_bytes"] == data["best"]["preserve"]["l2_bytes"]
    assert data["exhaustive"]["chips"] == 3
    assert 0.0 <= data["regret"] < 1.0
    assert Path(data["report"]).is_file()
    assert Path(data["report"]).stat().st_size > 10_000
    assert (tmp_path / "accelmodel-small.journal").is_file()
    assert data["optuna"]["preserve"]["trials"] == 8


def test_an_interrupted_exploration_exits_130(run, tmp_path, monkeypatch):
    from accelmodel.dse import explore

    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    monkeypatch.setattr(explore, "optimise", interrupted)
    code, out, err = run("explore --study small.toml --trials 8")
    assert (code, out) == (130, "")
    assert "accelmodel-small.journal keeps every finished batch" in err
    assert "Traceback" not in err


def test_explore_refuses_a_bad_journal(run, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "bad.journal").write_text("no journal\n", encoding="utf-8")
    code, out, err = run("explore --study small.toml --storage bad.journal --trials 4")
    assert (code, out) == (2, "")
    assert "not a readable Optuna journal" in err.splitlines()[-1]
    assert "Traceback" not in err
