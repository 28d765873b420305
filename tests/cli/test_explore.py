"""The command ``explore``: the answer, an interruption, a journal that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from faults import each_fault
from studies import any_use, opened

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
rule = ["partial"]
"""


def test_explore(run, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    code, out, err = run("explore --study small.toml --json --trials 8 --draws 48 --prior triangular")
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
    assert (tmp_path / "accelmodel-small.db").is_file()
    assert data["optuna"]["preserve"]["trials"] == 8
    told = data["posterior"]["alone"]
    assert (told["draws"], told["prior"], told["axis"]) == (48, "triangular", "l2_capacity")
    assert told["best"]["preserve"]["along"][0]["at_least"] == told["answered"]
    assert sum(row["probability"] for row in told["best"]["none"]["along"]) == pytest.approx(told["answered"])
    assert told["claim"]["of"] == "constants as given"  # the study names no published answer
    assert data["posterior"]["space"]["designs"] == told["designs"] == 3


def test_a_wrong_prior_is_refused_before_anything_is_searched(run, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    code, out, err = run("explore --study small.toml --trials 4 --prior flat")
    assert (code, out) == (2, "")
    assert "unknown prior 'flat'" in err.splitlines()[-1]
    assert not list(tmp_path.glob("*.journal"))


def test_priors_that_are_offered_are_those_that_are_taken():
    from accelmodel.cli.posterior_options import PRIORS as OFFERED
    from accelmodel.dse.posterior.priors import PRIORS

    assert tuple(PRIORS) == OFFERED


def test_an_interrupted_exploration_exits_130(run, tmp_path, monkeypatch):
    from accelmodel.dse import explore

    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    monkeypatch.setattr(explore, "optimise_each", interrupted)
    code, out, err = run("explore --study small.toml --trials 8")
    assert (code, out) == (130, "")
    assert "accelmodel-small.db keeps every finished batch" in err
    assert "Traceback" not in err


def test_explore_refuses_a_bad_journal(run, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "bad.journal").write_text("no journal\n", encoding="utf-8")
    code, out, err = run("explore --study small.toml --storage bad.journal --trials 4")
    assert (code, out) == (2, "")
    assert "not a readable Optuna storage" in err.splitlines()[-1]
    assert "Traceback" not in err


def whole(path: Path, ends: str, old: str = "old") -> None:
    """Assert that a file is as it was, or new and whole."""
    text = path.read_text(encoding="utf-8") if path.exists() else old
    assert text == old or text.endswith(ends), f"{path.name} is half"


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_whatever_fails_no_told_trial_is_lost_and_no_report_is_half(run, tmp_path, monkeypatch, every):
    from accelmodel.dse import explore
    from accelmodel.dse.evaluation import evaluate
    from accelmodel.dse.search import optimise as optuna_search
    from accelmodel.dse.search import storage
    from accelmodel.report import exploration

    monkeypatch.setattr(evaluate, "use", any_use)
    monkeypatch.setattr(explore, "sensitivity", lambda *_: [])
    monkeypatch.setattr(optuna_search, "BATCH", 3)
    monkeypatch.setattr(storage, "LEFT_OVER", 0.02)
    monkeypatch.setattr(exploration, "page", lambda _: "<html>" + "x" * 20_000 + "</html>")
    kept: dict[str, list] = {}

    def fill(folder):
        kept.clear()
        (folder / "small.toml").write_text(STUDY, encoding="utf-8")
        (folder / "a.html").write_text("old", encoding="utf-8")

    def look(folder):
        whole(folder / "a.html", "</html>")
        path = folder / "a.journal"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        names = [json.loads(line)["study_name"] for line in lines if line.startswith(b'{"op_code":0') and b"}" in line]
        for name in dict.fromkeys(names):
            now = [(trial.params, trial.values) for trial in opened(path, name).get_trials()]
            assert now[: len(kept.get(name, []))] == kept.get(name, []), "a trial that was told is lost"
            assert len(now) <= 12
            kept[name] = now

    command = "explore --study small.toml --storage a.journal --output a.html --trials 6 --draws 0 --json"
    each_fault(run, tmp_path, command, fill, look, every)
    assert [len(found) for found in kept.values()] == [12]


def test_an_answer_whose_report_cannot_be_written_is_printed(run, tmp_path, monkeypatch):
    from accelmodel.report import exploration

    def vanished(_):
        place.rmdir()
        return "<html></html>"

    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(exploration, "page", vanished)
    code, out, err = run("explore --study small.toml --output place/a.html --trials 4 --json")
    assert code == 2
    assert json.loads(out)["report"] is None
    last = err.splitlines()[-1]
    assert last.startswith("accelmodel: place/a.html: cannot be written (No such file or directory)")
    assert "kept: accelmodel-small.db (the same command goes on from there)" in last


def test_output_and_storage_are_looked_at_before_the_work(refused, tmp_path, monkeypatch):
    from accelmodel.dse import explore

    def worked(*_):
        raise AssertionError("worked")

    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    monkeypatch.setattr(explore, "enumerate_space", worked)
    assert "choose another place with --output" in refused("explore --study small.toml --output no/a.html")
    assert "choose another place with --storage" in refused("explore --study small.toml --storage no/a.journal")


def test_how_many_chips_are_looked_at_is_a_choice(run, refused, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    common = "explore --study small.toml --trials 4 --json"
    code, out, err = run(f"{common} --enumerate sample=2 --confidence 0.6")
    assert code == 0, err
    data = json.loads(out)
    looked = data["enumeration"]
    assert (looked["way"], looked["chips"], looked["evaluated"]) == ("sample", 3, 2)
    # if both others were better, two different chips cannot have missed both; one is missed with 1/3 < 0.4
    assert looked["certificate"]["better_fewer_than"] == 1.0
    assert looked["certificate"]["confidence"] == 0.6
    assert data["regret"] is None
    code, out, err = run(f"{common} --keep chips.nc")
    assert code == 0, err
    assert json.loads(out)["enumeration"]["kept"] == "chips.nc"
    assert (tmp_path / "chips.nc").is_file()
    assert "none of auto, all, sample, none" in refused("explore --study small.toml --enumerate some")
    assert "all chips are kept, or none" in refused("explore --study small.toml --enumerate none --keep a.nc")
    assert "ending" in refused("explore --study small.toml --keep chips.txt")
    assert "cannot be reached" in refused("explore --study small.toml --scheduler nonsense://x")
