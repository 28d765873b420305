"""The command ``dashboard``: it finds the trials of a study, says where it answers, and serves on loopback alone."""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
import threading
import urllib.request

import pytest

from accelmodel.cli import dashboard
from accelmodel.dse.search.storage import place_of


@pytest.fixture
def served(monkeypatch):
    """What would be served, without serving it."""
    seen = []
    monkeypatch.setattr(dashboard, "_serve", lambda server, place, port: seen.append((place.path.name, port)))
    return seen


@pytest.fixture
def here(tmp_path, run):
    for name in ("accelmodel-mine.db", "other.db"):
        sqlite3.connect(tmp_path / name).execute("create table a (b)").connection.close()
    (tmp_path / "mine.toml").write_text("", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("mine", "accelmodel-mine.db"),
        ("mine.toml", "accelmodel-mine.db"),
        ("other.db", "other.db"),
        ("sqlite:///other.db", "other.db"),
    ],
)
def test_a_study_is_found_by_name_file_or_storage(here, run, served, given, name):
    pytest.importorskip("optuna_dashboard")
    code, out, err = run(f"dashboard {given} --no-open --json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert served == [(name, int(data["url"].split(":")[2].partition("/")[0]))]
    assert data["url"].startswith("http://127.0.0.1:")
    assert data["storage"] == name


def test_a_study_without_trials_says_how_to_have_some(run, refused, tmp_path):
    said = refused("dashboard nothing")
    assert "neither in a file of that name nor in accelmodel-nothing.db" in said
    assert "accelmodel explore --study nothing" in said


def test_a_missing_package_says_how_to_get_it(here, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert "pip install 'accelmodel[dashboard]'" in refused("dashboard mine --no-open")


def test_a_port_that_is_taken_is_named(here, refused, served):
    pytest.importorskip("optuna_dashboard")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"--port {port}: " in refused(f"dashboard mine --no-open --port {port}")
    assert served == []


def test_what_is_served_is_the_dashboard_of_optuna(tmp_path):
    """One study and its answer over HTTP, on this machine alone."""
    import optuna

    server = pytest.importorskip("optuna_dashboard")
    url = f"sqlite:///{tmp_path / 'a.db'}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(study_name="mine / tpot / 1234abcd", storage=url)
    port = dashboard._bound(0)
    serving = threading.Thread(target=dashboard._serve, args=(server, place_of(url), port), daemon=True)
    serving.start()
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                found = json.loads(answer.read())
            break
        except OSError:
            serving.join(0.05)
    assert [study["study_name"] for study in found["study_summaries"]] == ["mine / tpot / 1234abcd"]
