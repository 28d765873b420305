"""What a dashboard shows, read back through Optuna alone: names, units, attributes, limits, note, figures and files."""

from __future__ import annotations

import warnings

import optuna
import plotly.graph_objects as go
import pytest
from studies import STUDY, opened, quick, small

from accelmodel.dse.search.dashboard import artifacts, facts_of, note_of, publish
from accelmodel.dse.search.optimise import optimise, optimise_each
from accelmodel.dse.search.storage import place_of

TWO = STUDY.replace('title = "tiny"', 'title = "tiny"\nobjectives = ["throughput_per_area", "price"]')


@pytest.mark.parametrize("name", ["a.db", "a.journal"])
def test_a_study_tells_itself_through_optuna_alone(tmp_path, warm, name):
    study, parts = small(tmp_path, TWO)
    facts = facts_of(study, parts, "accelmodel explore --study tiny.toml")
    found, missing = optimise_each(study, parts, study.techniques, tmp_path / name, 8, facts=facts)
    assert missing == []
    kept = opened(tmp_path / name, found["none"].name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert kept.metric_names == ["throughput per area [tokens/s/mm²]", "price [USD]"]
    assert [direction.name for direction in kept.directions] == ["MAXIMIZE", "MINIMIZE"]
    told = kept.user_attrs
    assert (told["question"], told["device"], told["techniques"]) == ("tiny", "ascend-910b2", "none, preserve")
    assert told["command"] == "accelmodel explore --study tiny.toml"
    assert told["limits"] == "shoreline at most 1, die area at most 700 mm²"
    assert "llama-3-8b: batch 4, context 4096, decode" in told["workload"]
    for spec in ("device", "link", "bill", "process", "model llama-3-8b"):
        assert f"{spec} " in told["digests"]
    assert len(kept.get_trials()) == 8
    for trial in kept.get_trials():
        assert set(trial.params) == {"L2 [MB]", "HBM stacks", "cores", "technique"}
        assert set(trial.constraints) == {"shoreline", "die area", "memory"}
        area = trial.user_attrs["die area [mm²]"]
        assert trial.constraints["die area"] == pytest.approx(area / 700.0 - 1.0, abs=1e-5)
        assert trial.user_attrs["chosen TP"] == 8
        assert sum(trial.user_attrs[f"area {part} [mm²]"] for part in ("cores", "L2", "HBM", "links", "uncore")) <= (
            area * 1.001
        )
        rate = trial.user_attrs["throughput [tokens/s]"]
        assert trial.values[0] == pytest.approx(rate / area, rel=1e-5)
    best = {name: each.best for name, each in found.items()}
    assert found["none"].best["throughput_per_area"] > 0.0
    assert "| preserve |" in note_of(study, best, "4 trials of each", {"none": 4, "preserve": 4})


@pytest.mark.parametrize("name", ["a.db", "a.journal"])
def test_note_figures_and_files_are_stored_once_and_replaced(tmp_path, monkeypatch, name):
    quick(monkeypatch)
    place = place_of(tmp_path / name)
    found = optimise(*small(tmp_path), "preserve", tmp_path / name, 4)
    page = tmp_path / "report.html"
    for text in ("first " * 1000, "second"):
        page.write_text(text, encoding="utf-8")
        publish(place, found.name, text, {"curve": go.Figure(go.Scatter(y=[1.0, 2.0]))}, [page], text[:7])
        kept = opened(tmp_path / name, found.name)
        assert kept.user_attrs["answer"] == text[:7]
        (held,) = optuna.artifacts.get_all_artifact_meta(kept)
        assert held.filename == "report.html"
        assert (artifacts(place) / held.artifact_id).read_text(encoding="utf-8") == text
    assert len(kept.get_trials()) == 4


def test_the_dashboard_reads_its_note_and_figure(tmp_path, monkeypatch):
    shown = pytest.importorskip("optuna_dashboard")
    quick(monkeypatch)
    found = optimise(*small(tmp_path), "preserve", tmp_path / "a.db", 4)
    for text in ("x" * 5000, "the answer"):
        publish(place_of(tmp_path / "a.db"), found.name, text, {"curve": go.Figure(go.Scatter(y=[1.0, 2.0]))})
        assert shown.get_note(opened(tmp_path / "a.db", found.name)) == text
    kept = opened(tmp_path / "a.db", found.name)
    system = kept._storage.get_study_system_attrs(kept._study_id)
    assert system["dashboard:note_ver"] == 2
    assert any(key.startswith("dashboard:plot_data:curve") for key in system)
