"""Turns: what is added in bulk reads back as Optuna's own, whole or not at all, and nobody is kept out for ever."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest

from accelmodel.dse.search import storage, turns
from accelmodel.dse.search.storage import opened, place_of
from accelmodel.dse.search.turns import turn
from accelmodel.errors import SpecError

PLACES = ["a.db", "a.journal"]
DISTRIBUTIONS = {
    "L2 [MB]": optuna.distributions.FloatDistribution(8.0, 256.0, step=8.0),
    "cores": optuna.distributions.IntDistribution(8, 32, step=8),
    "technique": optuna.distributions.CategoricalDistribution(["none", "preserve"]),
}


def trial(l2=8.0, **more):
    params = {"L2 [MB]": l2, "cores": 16, "technique": "preserve"}
    made = {"values": [1.5, math.inf], "user_attrs": {"die area [mm²]": 512.5, "chosen rule": "paper"}, **more}
    return optuna.trial.create_trial(params=params, distributions=DISTRIBUTIONS, **made)


def study_at(path):
    return optuna.create_study(
        study_name="s", storage=opened(place_of(path)), directions=["maximize", "minimize"], load_if_exists=True
    )


@pytest.mark.parametrize("name", PLACES)
def test_what_is_added_in_bulk_is_what_optuna_adds(tmp_path, name):
    """Trials of every state, beside those of Optuna's own way."""
    failed, pruned = (optuna.trial.TrialState.FAIL, optuna.trial.TrialState.PRUNED)
    made = [
        trial(constraints={"die area": -0.25, "memory": 0.5}),
        trial(16.0, state=failed, values=None),
        trial(24.0, state=pruned, values=None, intermediate_values={1: 2.0, 2: math.nan}),
    ]
    kept = study_at(tmp_path / name)
    kept.add_trials(made)
    with turn(place_of(tmp_path / name), kept) as add:
        add(made)
        add([])
    found = study_at(tmp_path / name).get_trials()
    assert [each.number for each in found] == list(range(6))
    for own, bulk in zip(found[:3], found[3:], strict=True):
        for what in ("state", "values", "params", "distributions", "user_attrs", "constraints", "datetime_start"):
            assert getattr(bulk, what) == getattr(own, what), what
        assert repr(bulk.intermediate_values) == repr(own.intermediate_values)
    assert kept.ask().number == 6


@pytest.mark.parametrize("name", PLACES)
def test_a_batch_is_stored_whole_or_not_at_all_by_a_database(tmp_path, name):
    kept = study_at(tmp_path / name)

    def interrupted():
        with turn(place_of(tmp_path / name), kept) as add:
            add([trial(), trial(16.0)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(study_at(tmp_path / name).get_trials()) == (0 if name == "a.db" else 2)
    with turn(place_of(tmp_path / name), kept) as add:
        add([trial(24.0)])
    assert study_at(tmp_path / name).get_trials()[-1].params["L2 [MB]"] == 24.0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
@pytest.mark.parametrize("name", PLACES)
def test_one_at_a_time(tmp_path, name):
    """Threads open the file each for itself, as processes do: each counts what is there and adds one more."""
    study_at(tmp_path / name)
    faults = []

    def count():
        try:
            kept = study_at(tmp_path / name)
            for _ in range(4):
                with turn(place_of(tmp_path / name), kept) as add:
                    here = len(kept.get_trials(deepcopy=False))
                    time.sleep(0.002)
                    add([trial(user_attrs={"before": here})])
        except BaseException as error:
            faults.append(error)

    workers = [threading.Thread(target=count) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not faults
    assert [each.user_attrs["before"] for each in study_at(tmp_path / name).get_trials()] == list(range(12))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
@pytest.mark.parametrize("name", PLACES)
def test_a_process_that_stands_still_in_its_turn_is_named(tmp_path, monkeypatch, name):
    for module in (storage, turns):
        monkeypatch.setattr(module, "PATIENCE", 0.2)
    kept, other = study_at(tmp_path / name), study_at(tmp_path / name)
    place = place_of(tmp_path / name)
    with turn(place, kept) as add:
        add([trial()])
        with (
            pytest.raises(SpecError, match=r"a\..*: held by another process .* end that process, or choose"),
            turn(place, other),
        ):
            pass
    with turn(place, other) as add:
        add([trial()])
    assert len(kept.get_trials()) == 2


@pytest.mark.parametrize("link", [False, True])
def test_a_lock_left_by_a_killed_process_is_taken_over(tmp_path, monkeypatch, link):
    monkeypatch.setattr(storage, "LEFT_OVER", 0.2)
    path = tmp_path / "a.journal"
    kept = study_at(path)
    lock = Path(f"{path}.lock")
    lock.symlink_to(path) if link else lock.touch()
    begin = time.monotonic()
    with turn(place_of(path), kept) as add:
        add([trial()])
    assert not os.path.lexists(lock)
    assert time.monotonic() - begin < 3.0


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_line_that_a_killed_process_left_unfinished_is_dropped(tmp_path, kept):
    path = tmp_path / "a.journal"
    with turn(place_of(path), study_at(path)) as add:
        add([trial(8.0 * (1 + i)) for i in range(8)])
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with turns.prepared(place_of(path)):
        pass
    left = len(study_at(path).get_trials())
    assert left < 8
    with turn(place_of(path), study_at(path)) as add:
        add([trial()])
    assert len(study_at(path).get_trials()) == left + 1


def test_a_storage_without_locks_takes_turns_by_a_study_that_one_can_make(tmp_path, monkeypatch):
    """As of Redis and the gRPC proxy; a turn that was killed is taken over."""
    monkeypatch.setattr(turns, "_GONE", 0.2)
    path = tmp_path / "a.journal"
    kept = study_at(path)
    place = storage.Place("redis", url="redis://nowhere")
    order = []

    def late():
        with turn(place, study_at(path)):
            order.append("second")

    with turn(place, kept) as add:
        other = threading.Thread(target=late)
        other.start()
        time.sleep(0.1)
        order.append("first")
        add([trial()])
    other.join()
    assert order == ["first", "second"]
    kept._storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s / turn")
    with turn(place, kept) as add:
        add([trial()])
    assert [each.study_name for each in kept._storage.get_all_studies()] == ["s"]
    assert len(kept.get_trials()) == 2
