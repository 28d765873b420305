"""What of a stored study is believed, how many search it at once, and what a full disk or a kill leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated
from studies import STUDY, opened, quick, small, trials

from accelmodel.dse.search import optimise as optuna_search
from accelmodel.dse.search import record, storage
from accelmodel.dse.search.digest import name_of
from accelmodel.dse.search.optimise import optimise
from accelmodel.errors import SpecError

PLACES = ["a.db", "a.journal"]
CHIP = """
[device]
like = "ascend-910b2"
[default]
kind = "datasheet"
source = "data-sheet"
locator = "page 1"
[sources.data-sheet]
title = "a chip"
[hbm]
bandwidth = { value = 1600, unit = "GB/s" }
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    quick(monkeypatch)
    return small(tmp_path)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(optuna_search, "BATCH", 4)


def test_an_edited_chip_is_answered_anew(tmp_path, warm):
    """In the same storage: the old trials stay with the old chip, and 'no regret' is said of the new one alone."""
    text = STUDY.replace('device = "ascend-910b2"', 'device = "chip.toml"')
    found = []
    for bandwidth in ("1600", "800"):
        (tmp_path / "chip.toml").write_text(CHIP.replace("1600", bandwidth), encoding="utf-8")
        found.append(optimise(*small(tmp_path, text), "preserve", tmp_path / "a.db", 4))
    assert [each.resumed for each in found] == [0, 0]
    assert found[0].name != found[1].name
    assert found[1].best["throughput_per_area"] < found[0].best["throughput_per_area"]


def damaged(path, number, change):
    """Change the n-th stored trial of a journal."""
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [place for place, line in enumerate(lines) if '"op_code":4' in line]
    told = json.loads(lines[places[number]])
    change(told)
    lines[places[number]] = json.dumps(told, separators=(",", ":"))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def without(name):
    return lambda trial: (trial["params"].pop(name), trial["distributions"].pop(name))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda trial: trial.update(value=trial["value"] * 1.001), "the model says"),
        (lambda trial: trial.update(value=float("nan")), "not 1 finite numbers"),
        (lambda trial: trial.update(value=None, values=[1.0, 2.0]), "is not a readable Optuna storage"),
        (lambda trial: trial.update(value="a"), "is not a readable Optuna storage"),
        (lambda trial: trial["params"].update({"L2 [MB]": 9.0}), r"L2 [MB] 9.0 is not in the space"),
        (lambda trial: trial["params"].update({"L2 [MB]": float("inf")}), "not in the space"),
        (without("cores"), "its parameters are"),
        (without("technique"), "its parameters are"),
        (lambda trial: trial["system_attrs"].update({"constraints:die area": 0.5}), "has die area 0.5, the model says"),
        (lambda trial: trial.update(system_attrs={}), "does not say how it keeps to shoreline, die area, memory"),
        (lambda trial: trial.pop("params"), "is not a readable Optuna storage"),
        (lambda trial: trial.update(op_code=99), "is not a readable Optuna storage"),
    ],
    ids=range(12),
)
def test_what_is_read_back_is_checked(study, tmp_path, change, says):
    path = tmp_path / "a.journal"
    optimise(*study, "preserve", path, 6)
    damaged(path, 2, change)
    content = path.read_bytes()
    with pytest.raises(SpecError, match="a.journal: is not a readable Optuna storage") as error:
        optimise(*study, "preserve", path, 8)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert "move it away or choose another place with --storage" in str(error.value)
    assert path.read_bytes().startswith(content)


def test_a_number_changed_in_a_database_is_found(study, tmp_path):
    path = tmp_path / "a.db"
    optimise(*study, "preserve", path, 6)
    with sqlite3.connect(path) as database:
        database.execute("update trial_values set value = value * 1.01 where trial_id = 3")
    with pytest.raises(SpecError, match=r"trial 2 of tiny .* has throughput per area .* the model says"):
        optimise(*study, "preserve", path, 8)


def test_a_database_of_something_else_is_refused(study, tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as other:
        other.execute("create table trials (something text)")
    with pytest.raises(SpecError, match=r"a\.db: is not a readable Optuna storage"):
        optimise(*study, "preserve", tmp_path / "a.db", 8)


@pytest.mark.parametrize("name", PLACES)
def test_trials_of_somebody_else_are_left_alone(study, tmp_path, name):
    """One that is running, one that failed, and a study of another name."""
    path = tmp_path / name
    found = optimise(*study, "preserve", path, 4)
    kept = opened(path, found.name)
    kept.ask()
    kept.tell(kept.ask(), state=state_of("FAIL"))
    again = optimise(*study, "preserve", path, 8)
    assert (again.resumed, again.trials) == (4, 8)
    states = [trial.state.name for trial in opened(path, found.name).get_trials()]
    assert states == ["COMPLETE"] * 4 + ["RUNNING", "FAIL"] + ["COMPLETE"] * 4


def state_of(name):
    import optuna

    return optuna.trial.TrialState[name]


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("times", [40, pytest.param(5_000, marks=pytest.mark.nightly)])
def test_a_damaged_storage_is_refused_or_gives_the_trials_of_a_sound_one(study, tmp_path, monkeypatch, times, name):
    """Whatever was damaged: one line that names file and remedy, or trials whose numbers are the model's."""
    monkeypatch.setattr(storage, "LEFT_OVER", 0.01)
    path = tmp_path / name
    study_name = optimise(*study, "preserve", path, 8).name
    sound = path.read_bytes()
    values = {json.dumps(params): values for params, values in trials(path, study_name)}
    rng = random.Random(times)
    outcomes = set()
    for _ in range(times // (1 if name == "a.journal" else 4)):
        path.write_bytes(mutated(sound, rng) if name == "a.journal" else flipped(sound, rng))
        try:
            found = optimise(*study, "preserve", path, 8)
        except SpecError as error:
            assert str(error).startswith(f"{path}: is not a readable Optuna storage (")
            assert str(error).endswith("); move it away or choose another place with --storage")
            assert "\n" not in str(error)
            outcomes.add("refused")
            continue
        assert found.trials == 8
        if not found.fault:
            for params, now in trials(path, found.name):
                assert now == pytest.approx(values.get(json.dumps(params), now), rel=record.ALIKE)
        outcomes.add("read")
    assert "refused" in outcomes or name == "a.db"
    assert "read" in outcomes


def flipped(content, rng):
    """Return a file with one byte changed."""
    raw = bytearray(content)
    raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # the filters of threads are one
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
@pytest.mark.parametrize("name", PLACES)
def test_several_at_once_store_as_many_as_asked_and_no_chip_twice(study, tmp_path, small_batches, name):
    """Threads open the file each for itself, as processes do; all begin on a file that is not there."""
    path = tmp_path / name
    found, faults = [], []

    def search():
        try:
            found.append(optimise(*study, "preserve", path, 30))
        except BaseException as error:
            faults.append(error)

    workers = [threading.Thread(target=search) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not faults
    assert [each.trials for each in found] == [30, 30, 30]
    assert {each.fault for each in found} == {""}
    assert len({json.dumps(each.best, sort_keys=True) for each in found}) == 1
    stored = opened(path, found[0].name).get_trials()
    assert [trial.number for trial in stored] == list(range(30))
    assert len({json.dumps(trial.params, sort_keys=True) for trial in stored}) == 30
    assert sorted(opened(path, found[0].name).user_attrs) == ["digest", "searches begun"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
@pytest.mark.parametrize("name", PLACES)
def test_a_disk_that_fills_loses_no_trial_and_no_answer(study, tmp_path, small_batches, name):
    import resource

    whole = optimise(*study, "preserve", tmp_path / f"whole-{name}", 12)
    size = (tmp_path / f"whole-{name}").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    seen = set()
    for limit in np.linspace(10 if name == "a.journal" else size // 2, size - 1, 6).astype(int):
        path = tmp_path / f"{limit}-{name}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), before[1]))
        try:
            found = optimise(*study, "preserve", path, 12)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert found.trials == 12
        assert found.best == whole.best
        assert f"{path}: cannot be written" in found.fault
        again = optimise(*study, "preserve", path, 12)
        seen.add(again.resumed)
        assert f"it keeps {again.resumed} trials" in found.fault
        assert (again.fault, again.trials) == ("", 12)
        assert len(trials(path, whole.name)) == 12
    assert len(seen) > 1


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("place", ["missing", "file", "folder"])
def test_a_search_whose_file_cannot_be_written_is_answered_and_says_so(study, tmp_path, place, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / name).mkdir(parents=True)
    found = optimise(*study, "preserve", tmp_path / place / name, 4)
    assert found.trials == 4
    assert "cannot be written" in found.fault
    assert "--storage" in found.fault


EXPLORE = ["explore", "--study", "tiny.toml", "--output", "a.html", "--json"]


def started(folder, *more):
    command = [sys.executable, "-m", "accelmodel", *EXPLORE, *more]
    env = {**os.environ, "PYTHONPATH": str(Path(record.__file__).parents[2])}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


#: a database for tests, such as postgresql://me@localhost/trials: emptied of the study by whoever gives it
SERVER = os.environ.get("ACCELMODEL_TEST_STORAGE")


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("name", [*PLACES, *([SERVER] if SERVER else [])])
def test_two_processes_on_one_study_store_as_many_as_asked(tmp_path, name):
    asked = small(tmp_path)
    both = [started(tmp_path, "--trials", "96", "--storage", name) for _ in range(2)]
    answers = [json.loads(each.communicate(timeout=300)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    for technique in ("none", "preserve"):
        assert answers[0]["optuna"][technique]["trials"] == 48
        stored = trials(name if "://" in name else tmp_path / name, name_of(*asked), technique)
        assert len(stored) == len({json.dumps(params, sort_keys=True) for params, _ in stored}) == 48


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("name", PLACES)
def test_kill_at_random_moments_loses_nothing_that_was_told(tmp_path, name):
    path, study_name = tmp_path / name, name_of(*small(tmp_path))
    rng = np.random.default_rng(0)
    kept: dict[str, list] = {"none": [], "preserve": []}

    def look(done):
        for technique, before in kept.items():
            try:
                now = trials(path, study_name, technique)
            except KeyError:  # not begun
                now = []
            assert now[: len(before)] == before
            assert not done or len(now) == 96
            kept[technique] = now

    for _ in range(12):
        process = started(tmp_path, "--trials", "192", "--storage", name)
        begin = path.stat().st_mtime_ns if path.exists() else 0
        while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == begin):
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        look(done=False)
    process = started(tmp_path, "--trials", "192", "--storage", name)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["optuna"]["none"]["trials"] == 96
    look(done=True)
