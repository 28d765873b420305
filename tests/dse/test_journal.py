"""A study's file: what names it, who may open it when, and what of it is believed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated
from studies import STUDY, any_use, opened

from accelmodel.dse import evaluate, journal, optuna_search
from accelmodel.dse.chip import parts_of_study
from accelmodel.dse.explore import explore
from accelmodel.dse.journal import digest
from accelmodel.dse.optuna_search import optimise
from accelmodel.dse.study import load_study
from accelmodel.errors import SpecError
from accelmodel.specs import facts

CHIP = """
[device]
like = "ascend-910b2"
[default]
kind = "datasheet"
source = "data-sheet"
locator = "page 1"
[sources.data-sheet]
title = "a chip"
[l2]
capacity = { value = 100, unit = "MB" }
"""


def small(folder, text=STUDY):
    """Return the study of the search's tests, written in a folder, and its parts."""
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    study = load_study(str(path))
    return study, parts_of_study(study)


@pytest.fixture
def study(tmp_path, warm):
    return small(tmp_path)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(optuna_search, "BATCH", 4)


def trials(path, name):
    """Return what is stored of a study, in order."""
    return [(trial.params, trial.values) for trial in opened(path, name).get_trials()]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('title = "tiny"', 'title = "another"\ntrials = 9', True),
        ('values = ["24"]', 'values = ["24.0"]', True),
        ('from = "8MB"', 'from = "8000kB"', True),
        ("batch = [4]", "batch = [8]", False),
        ('to = "256MB"', 'to = "128MB"', False),
        ('die_area = "700mm2"', 'die_area = "600mm2"', False),
        ("weight_bits = 8", "weight_bits = 16", False),
        ('models = ["llama-3-8b"]', 'models = ["llama-3-70b"]', False),
        ("threshold = [1.0]", "threshold = [0.9]", False),
    ],
)
def test_the_digest_is_of_what_is_behind_a_number(tmp_path, old, new, same):
    assert old in STUDY
    before, after = digest(*small(tmp_path)), digest(*small(tmp_path, STUDY.replace(old, new)))
    assert (before == after) is same


def test_the_place_of_a_study_is_not_behind_a_number(tmp_path):
    found = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "chip.toml").write_text(CHIP, encoding="utf-8")
        found.add(digest(*small(folder, STUDY.replace('device = "ascend-910b2"', 'device = "chip.toml"'))))
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["device", "fitted", "link", "process", "bill", "model", "version"])
def test_whatever_is_edited_starts_a_new_study(tmp_path, warm, kind, monkeypatch):
    """Also where only what the file names was edited, and what was fitted to it."""
    shipped = {"link": "links/hccs-mesh-8", "process": "processes/smic-7nm", "bill": "bills/ascend-910b"}
    for part, name in {**shipped, "model": "models/llama-3-8b"}.items():
        shutil.copy(facts.root() / f"{name}.toml", tmp_path / f"own-{part}.toml")
    chip = CHIP.replace("[default]", 'link = "own-link.toml"\nprocess = "own-process.toml"\n[default]')
    (tmp_path / "chip.toml").write_text(chip, encoding="utf-8")
    text = STUDY.replace('device = "ascend-910b2"', 'device = "chip.toml"')
    text = text.replace('bill = "ascend-910b"', 'bill = "own-bill.toml"')
    text = text.replace('models = ["llama-3-8b"]', 'models = ["own-model.toml"]')
    before = digest(*small(tmp_path, text))
    if kind == "version":
        monkeypatch.setattr(journal, "__version__", "0.0.0")
    elif kind == "fitted":
        fitted = (
            '[l2]\nusable = { value = 0.5, kind = "calibrated", source = "user", locator = "x", range = [0.4, 0.6] }\n'
        )
        sourced = '[sources.user]\ntitle = "mine"\n'
        (tmp_path / "chip.calibrated.toml").write_text(sourced + fitted, encoding="utf-8")
    elif kind == "device":
        (tmp_path / "chip.toml").write_text(chip.replace("100", "120"), encoding="utf-8")
    else:
        with (tmp_path / f"own-{kind}.toml").open("a", encoding="utf-8") as file:
            file.write("\n# edited\n")
    assert digest(*small(tmp_path, text)) != before


def test_a_field_that_the_caller_replaced_is_behind_a_number(study):
    asked, parts = study
    cheaper = replace(parts, process=replace(parts.process, wafer_price=parts.process.wafer_price / 2))
    assert digest(asked, cheaper) != digest(asked, parts)


def test_an_edited_chip_is_answered_anew(tmp_path, warm):
    path = tmp_path / "a.journal"
    text = STUDY.replace('device = "ascend-910b2"', 'device = "chip.toml"')
    found = []
    for bandwidth in (1600, 800):
        hbm = f'[hbm]\nbandwidth = {{ value = {bandwidth}, unit = "GB/s" }}\n'
        (tmp_path / "chip.toml").write_text(CHIP + hbm, encoding="utf-8")
        found.append(optimise(*small(tmp_path, text), "preserve", path, 8))
    assert [each.resumed for each in found] == [0, 0]
    assert found[1].best["throughput_per_area"] < found[0].best["throughput_per_area"]


def damaged(path, number, change):
    """Change the n-th stored trial of a journal."""
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [place for place, line in enumerate(lines) if '"op_code":4' in line]
    record = json.loads(lines[places[number]])
    change(record)
    lines[places[number]] = json.dumps(record, separators=(",", ":"))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda trial: trial["values"].reverse(), "the model says"),
        (lambda trial: trial.update(values=[trial["values"][0] * 1.001, trial["values"][1]]), "the model says"),
        (lambda trial: trial.update(values=[float("nan"), 1.0]), "not 2 finite numbers"),
        (lambda trial: trial.update(values=[1.0]), "not a readable Optuna journal"),
        (lambda trial: trial.update(values=["a", "b"]), "not a readable Optuna journal"),
        (lambda trial: trial["params"].update(l2_capacity=9e6), "l2_capacity 9000000.0 is not in the space"),
        (lambda trial: trial["params"].update(l2_capacity=float("inf")), "not in the space"),
        (lambda trial: (trial["params"].pop("cores"), trial["distributions"].pop("cores")), "its parameters are"),
        (lambda trial: trial["user_attrs"].update(power=True), "power is True, not a number"),
        (lambda trial: trial["user_attrs"].pop("power"), "power is None, not a number"),
        (lambda trial: trial["user_attrs"].update(price=1.0), "has price 1, the model says"),
        (lambda trial: trial.update(system_attrs={}), "does not say whether it is feasible"),
        (lambda trial: trial.pop("params"), "not a readable Optuna journal"),
        (lambda trial: trial.update(op_code=99), "not a readable Optuna journal"),
    ],
    ids=range(14),
)
def test_what_is_read_back_is_checked(study, tmp_path, change, says):
    path = tmp_path / "a.journal"
    optimise(*study, "preserve", path, 6)
    damaged(path, 2, change)
    content = path.read_bytes()
    with pytest.raises(SpecError, match="a.journal: is not a readable Optuna journal") as error:
        optimise(*study, "preserve", path, 8)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert "move it away or choose another place with --storage" in str(error.value)
    assert path.read_bytes().startswith(content)


def quick(monkeypatch):
    """Replace the model by any number for each chip, at once."""

    monkeypatch.setattr(evaluate, "use", any_use)


@pytest.mark.parametrize("times", [100, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_a_damaged_journal_is_refused_or_gives_the_trials_of_a_sound_one(study, tmp_path, monkeypatch, times):
    """Whatever was damaged: one line that names file and remedy, or trials whose numbers are the model's."""
    quick(monkeypatch)
    monkeypatch.setattr(journal, "LEFT_OVER", 0.01)
    path = tmp_path / "a.journal"
    name = optimise(*study, "preserve", path, 8).name
    sound = path.read_bytes()
    values = {json.dumps(params): values for params, values in trials(path, name)}
    rng = random.Random(times)
    outcomes = []
    for _ in range(times):
        path.write_bytes(mutated(sound, rng))
        try:
            found = optimise(*study, "preserve", path, 8)
        except SpecError as error:
            assert str(error).startswith(f"{path}: is not a readable Optuna journal (")
            assert str(error).endswith("); move it away or choose another place with --storage")
            assert "\n" not in str(error)
            outcomes.append("refused")
            continue
        assert (found.trials, found.fault) == (8, "")
        for params, now in trials(path, found.name):
            assert now == pytest.approx(values.get(json.dumps(params), now), rel=journal.ALIKE)
        outcomes.append("read")
    assert {"refused", "read"} == set(outcomes)


def test_better_than_the_best_of_all_is_an_error(study, tmp_path, monkeypatch):
    real = journal.Journal._compare
    path = tmp_path / "a.journal"
    optimise(*study, "none", path, 6)
    damaged(path, 2, lambda trial: trial.update(values=[trial["values"][0] * 2, trial["values"][1]]))
    monkeypatch.setattr(journal.Journal, "_compare", lambda *_: None)
    with pytest.raises(SpecError, match=r"a\.journal: tiny/none/.* holds a chip of .*, better than the best of all"):
        explore(study[0], path, 6)
    monkeypatch.setattr(journal.Journal, "_compare", real)
    with pytest.raises(SpecError, match="the model says"):
        explore(study[0], path, 6)


@pytest.mark.parametrize("age", [0.0, 3600.0, -3600.0])
@pytest.mark.parametrize("link", [False, True])
def test_a_lock_left_by_a_killed_process_is_taken_over(study, tmp_path, monkeypatch, age, link):
    monkeypatch.setattr(journal, "LEFT_OVER", 0.2)
    path = tmp_path / "a.journal"
    optimise(*study, "preserve", path, 4)
    lock = Path(f"{path}.lock")
    lock.symlink_to(path) if link else lock.touch()
    os.utime(lock, (time.time() - age,) * 2, follow_symlinks=False)
    begin = time.monotonic()
    journal.check(path)
    assert not os.path.lexists(lock)
    assert time.monotonic() - begin < 3.0
    assert optimise(*study, "preserve", path, 6).trials == 6


def test_a_lock_that_goes_away_is_waited_for(study, tmp_path, monkeypatch):
    path = tmp_path / "a.journal"
    path.touch()
    lock = Path(f"{path}.lock")
    lock.touch()
    monkeypatch.setattr(journal.time, "sleep", lambda _: lock.unlink(missing_ok=True))
    assert optimise(*study, "preserve", path, 4).trials == 4


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_a_process_that_stands_still_in_its_turn_is_named(study, tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr(journal, "PATIENCE", 0.2)
    path = tmp_path / "a.journal"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SpecError, match=r"a\.journal: held by another process .* end that process, or choose"):
            journal.check(path)
    assert optimise(*study, "preserve", path, 4).trials == 4


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # the filters of threads are one
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_several_at_once_store_as_many_as_asked(study, tmp_path, small_batches):
    """Threads open the file each for itself, as processes do."""
    path = tmp_path / "a.journal"
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
    assert len({json.dumps(each.best, sort_keys=True) for each in found}) == 1
    assert [trial.number for trial in opened(path, found[0].name).get_trials()] == list(range(30))


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
def test_a_disk_that_fills_loses_no_trial_and_no_answer(study, tmp_path, small_batches, monkeypatch):
    import resource

    quick(monkeypatch)
    whole = optimise(*study, "preserve", tmp_path / "whole.journal", 12)
    size = (tmp_path / "whole.journal").stat().st_size
    reference = trials(tmp_path / "whole.journal", whole.name)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    seen = set()
    for limit in np.linspace(10, size - 1, 12).astype(int):
        path = tmp_path / f"{limit}.journal"
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), before[1]))
        try:
            found = optimise(*study, "preserve", path, 12)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert found.best == whole.best
        assert f"{path}: cannot be written" in found.fault
        again = optimise(*study, "preserve", path, 12)
        seen.add(again.resumed)
        assert f"it keeps {again.resumed} trials of preserve" in found.fault
        assert (again.fault, again.trials) == ("", 12)
        assert trials(path, whole.name)[: again.resumed] == reference[: again.resumed]
        assert len(trials(path, whole.name)) == 12
    assert len(seen) > 5


@pytest.mark.parametrize("place", ["missing/a.journal", "file/a.journal", "folder", "/dev/zero", "pipe"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(study, tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecError, match=r"cannot be written .*--storage"):
        explore(study[0], tmp_path / place, 4)


def test_looking_at_a_place_leaves_nothing_there(tmp_path):
    journal.check(tmp_path / "a.journal")
    assert list(tmp_path.iterdir()) == []


EXPLORE = ["explore", "--study", "tiny.toml", "--storage", "a.journal", "--output", "a.html", "--json"]


def started(folder, *more):
    command = [sys.executable, "-m", "accelmodel", *EXPLORE, *more]
    env = {**os.environ, "PYTHONPATH": str(Path(journal.__file__).parents[2])}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_two_processes_on_one_study_store_as_many_as_asked(study, tmp_path):
    both = [started(tmp_path, "--trials", "96") for _ in range(2)]
    answers = [json.loads(each.communicate(timeout=300)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert answers[0]["optuna"]["preserve"]["trials"] == 96
    for technique in ("none", "preserve"):
        name = f"tiny/{technique}/throughput_per_area/{digest(*study)}"
        assert len(trials(tmp_path / "a.journal", name)) == 96


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_kill_at_random_moments_loses_nothing_that_was_told(study, tmp_path):
    path = tmp_path / "a.journal"
    names = [f"tiny/{technique}/throughput_per_area/{digest(*study)}" for technique in ("none", "preserve")]
    rng = np.random.default_rng(0)
    kept: list[list] = [[], []]

    def look(done):
        text = path.read_bytes() if path.exists() else b""
        path.write_bytes(text[: text.rfind(b"\n") + 1])  # what Optuna itself reads over
        for place, name in enumerate(names):
            now = trials(path, name) if name.encode() in path.read_bytes() else []
            assert now[: len(kept[place])] == kept[place]
            assert not done or len(now) == 512
            kept[place] = now

    for _ in range(12):
        process = started(tmp_path, "--trials", "512")
        begin = path.stat().st_size if path.exists() else 0
        while process.poll() is None and (not path.exists() or path.stat().st_size == begin):
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        look(done=False)
    process = started(tmp_path, "--trials", "512")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["optuna"]["none"]["trials"] == 512
    look(done=True)
