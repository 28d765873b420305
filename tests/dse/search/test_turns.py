"""Turns: one process at a time adds to a storage, and nobody is kept out for ever."""

from __future__ import annotations

import os
import subprocess
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
    made = {"values": [1.5, 2.0], "user_attrs": {"die area [mm²]": 512.5, "chosen rule": "paper"}, **more}
    return optuna.trial.create_trial(params=params, distributions=DISTRIBUTIONS, **made)


def study_at(path):
    return optuna.create_study(
        study_name="s", storage=opened(place_of(path)), directions=["maximize", "minimize"], load_if_exists=True
    )


@pytest.mark.parametrize("name", PLACES)
def test_one_at_a_time(tmp_path, name):
    """Threads open the file each for itself, as processes do: each counts what is there and adds one more."""
    study_at(tmp_path / name)
    faults = []

    def count():
        try:
            kept = study_at(tmp_path / name)
            for _ in range(4):
                with turn(place_of(tmp_path / name)):
                    here = len(kept.get_trials(deepcopy=False))
                    time.sleep(0.002)
                    kept.add_trial(trial(user_attrs={"before": here}))
        except BaseException as error:
            faults.append(error)

    workers = [threading.Thread(target=count) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not faults
    assert [each.user_attrs["before"] for each in study_at(tmp_path / name).get_trials()] == list(range(12))


@pytest.mark.parametrize("name", PLACES)
def test_a_process_that_stands_still_in_its_turn_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(turns, "PATIENCE", 0.2)
    place = place_of(tmp_path / name)
    with (
        turn(place),
        pytest.raises(SpecError, match=r"a\..*: held by another process .* end that process, or choose"),
        turn(place),
    ):
        pass
    with turn(place):
        pass


@pytest.mark.parametrize("name", PLACES)
def test_a_process_that_is_killed_in_its_turn_gives_it_free(tmp_path, name):
    code = (
        "import sys, time; from accelmodel.dse.search.turns import turn; "
        "from accelmodel.dse.search.storage import place_of\n"
        "with turn(place_of(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / name)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        process.kill()
        process.wait()
        with turn(place_of(tmp_path / name)):
            pass


@pytest.mark.parametrize("link", [False, True])
def test_a_lock_of_optuna_left_by_a_killed_process_is_taken_over(tmp_path, monkeypatch, link):
    monkeypatch.setattr(storage, "LEFT_OVER", 0.2)
    path = tmp_path / "a.journal"
    kept = study_at(path)
    lock = Path(f"{path}.lock")
    lock.symlink_to(path) if link else lock.touch()
    begin = time.monotonic()
    with turn(place_of(path)):
        kept.add_trial(trial())
    assert not os.path.lexists(lock)
    assert time.monotonic() - begin < 3.0


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_line_that_a_killed_process_left_unfinished_is_dropped(tmp_path, kept):
    path = tmp_path / "a.journal"
    study_at(path).add_trials([trial(8.0 * (1 + i)) for i in range(8)])
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with turn(place_of(path)):
        left = len(study_at(path).get_trials())
        study_at(path).add_trial(trial())
    assert left < 8
    assert len(study_at(path).get_trials()) == left + 1


def test_a_proxy_takes_turns_by_a_study_that_one_can_make(tmp_path, monkeypatch):
    """The proxy's server is played by a journal: what counts is that a study of a name is made once."""
    path = tmp_path / "a.journal"
    kept = study_at(path)
    monkeypatch.setattr(turns, "opened", lambda _: opened(place_of(path)))
    place = storage.Place("grpc", url="grpc://nowhere:13000")
    order = []

    def late():
        with turn(place):
            order.append("second")

    with turn(place):
        other = threading.Thread(target=late)
        other.start()
        time.sleep(0.1)
        order.append("first")
        kept.add_trial(trial())
    other.join()
    assert order == ["first", "second"]
    names = optuna.study.get_all_study_names(opened(place_of(path)))
    assert names == ["s"]
    optuna.create_study(study_name="accelmodel / turn", storage=opened(place_of(path)))
    monkeypatch.setattr(turns, "PATIENCE", 0.1)
    with pytest.raises(SpecError, match="one was killed: delete the study 'accelmodel / turn'"), turn(place):
        pass
