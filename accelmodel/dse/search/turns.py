"""Turns on one study: whoever is in his turn sees all trials there are, and what he adds is stored whole or not at all.

A database locks the study's row, SQLite itself, and a journal file is locked by the operating system: all three go
with the process that holds them, however that ends.  Other storages make a study that only one process can make.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from accelmodel.dse.search.storage import PATIENCE, Place, held, worded

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy import Connection

#: stores trials of a study, inside a turn, and returns their numbers
Add = Callable[["list[FrozenTrial]"], "list[int]"]
#: what a file system says that knows no locks: there one process at a time is to use a journal
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
#: how long a study that stands for a turn may stand: its process was killed [s]
_GONE = 60.0


@contextlib.contextmanager
def turn(place: Place, kept: optuna.Study) -> Iterator[Add]:
    """Hold the study for the block, and give what adds trials to it.

    Raises
    ------
    SpecError
        If another process does not give it free, or the storage is none.
    OSError
        If it cannot be written.
    """
    with worded(place):
        if place.kind in ("sqlite", "sql"):
            with _transaction(kept) as add:
                yield add
        elif place.path is not None:
            with _locked_file(place, place.path):
                yield lambda trials: _add_each(kept, trials)
        else:
            with _named_turn(place, kept._storage, f"{kept.study_name} / turn"):
                yield lambda trials: _add_each(kept, trials)


def _add_each(kept: optuna.Study, trials: list[FrozenTrial]) -> list[int]:
    first = len(kept.get_trials(deepcopy=False))
    kept.add_trials(trials)
    return list(range(first, first + len(trials)))


def finished_numbers(place: Place, kept: optuna.Study) -> set[int] | None:
    """Return the numbers of all finished trials where that is cheaper than to read them, of a database; else None."""
    from optuna.trial import TrialState
    from sqlalchemy import select

    if place.kind not in ("sqlite", "sql"):
        return None
    storage: Any = kept._storage
    table = _tables().TrialModel.__table__
    done = [state for state in TrialState if state.is_finished()]
    with storage._backend.scoped_session() as session:
        own = table.c.study_id == kept._study_id
        return set(session.execute(select(table.c.number).where(own, table.c.state.in_(done))).scalars().all())


@contextlib.contextmanager
def prepared(place: Place) -> Iterator[None]:
    """Hold a storage in which a study is about to be made; only a journal's end needs to be looked at."""
    with worded(place):
        if place.kind == "journal" and place.path is not None:
            with _locked_file(place, place.path):
                yield
        else:
            yield


@contextlib.contextmanager
def _transaction(kept: optuna.Study) -> Iterator[Add]:
    """Let everything that Optuna reads and writes inside the block be one transaction of the database."""
    from sqlalchemy import select

    storage: Any = kept._storage
    database = storage._backend
    with database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            studies = _tables().StudyModel.__table__
            row = select(studies.c.study_id).where(studies.c.study_id == kept._study_id)
            connection.execute(row.with_for_update())
        database.scoped_session.remove()
        database.scoped_session.configure(bind=connection, join_transaction_mode="create_savepoint")
        try:
            yield lambda trials: _add_rows(connection, kept._study_id, trials)
            connection.commit()
        finally:
            database.scoped_session.remove()
            database.scoped_session.configure(bind=database.engine, join_transaction_mode="conditional_savepoint")


def _tables() -> Any:
    from optuna.storages._rdb import models

    return models


def _add_rows(connection: Connection, study_id: int, trials: list[FrozenTrial]) -> list[int]:
    """Store trials a table at a time: Optuna's own way costs 15 ms each, this 0.5 ms."""
    from optuna.distributions import distribution_to_json
    from sqlalchemy import func, insert, select

    models = _tables()
    table = models.TrialModel.__table__
    own = table.c.study_id == study_id
    first = connection.execute(select(func.count()).select_from(table).where(own)).scalar() or 0
    if not trials:
        return []
    rows = [
        {
            "number": first + place,
            "study_id": study_id,
            "state": trial.state,
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        for place, trial in enumerate(trials)
    ]
    connection.execute(insert(table), rows)
    numbers = select(table.c.trial_id).where(own, table.c.number >= first).order_by(table.c.number)
    rows_of: dict[Any, list[dict[str, Any]]] = {
        kind: []
        for kind in (
            models.TrialParamModel,
            models.TrialValueModel,
            models.TrialUserAttributeModel,
            models.TrialSystemAttributeModel,
            models.TrialIntermediateValueModel,
        )
    }
    for key, trial in zip(connection.execute(numbers).scalars().all(), trials, strict=True):
        for name, value in trial.params.items():
            kind = trial.distributions[name]
            told = {"param_value": kind.to_internal_repr(value), "distribution_json": distribution_to_json(kind)}
            rows_of[models.TrialParamModel].append({"trial_id": key, "param_name": name, **told})
        for place, value in enumerate(trial.values or ()):
            number, kind_of_value = models.TrialValueModel.value_to_stored_repr(value)
            rows_of[models.TrialValueModel].append(
                {"trial_id": key, "objective": place, "value": number, "value_type": kind_of_value}
            )
        for step, value in trial.intermediate_values.items():
            number, kind_of_value = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
            told = {"intermediate_value": number, "intermediate_value_type": kind_of_value}
            rows_of[models.TrialIntermediateValueModel].append({"trial_id": key, "step": step, **told})
        rows_of[models.TrialUserAttributeModel] += _attributes(key, trial.user_attrs)
        rows_of[models.TrialSystemAttributeModel] += _attributes(key, trial.system_attrs)
    for model, found in rows_of.items():
        if found:
            connection.execute(insert(model.__table__), found)
    return list(range(first, first + len(trials)))


def _attributes(key: int, attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": key, "key": name, "value_json": json.dumps(value)} for name, value in attributes.items()]


@contextlib.contextmanager
def _locked_file(place: Place, path: Path) -> Iterator[None]:
    """Hold the lock of the operating system on a journal, cut off what a killed process left of a line."""
    with path.open("r+b") as file, _locked(place, file):
        _mend(file)
        yield


def _mend(file: IO[bytes]) -> None:
    """Cut off a last line that a killed process or a full disk left unfinished."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


@contextlib.contextmanager
def _locked(place: Place, file: IO[bytes]) -> Iterator[None]:
    """Hold the file's lock, which the operating system frees when the process ends; without one, go ahead."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    begin = time.monotonic()
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            break
        if time.monotonic() - begin > PATIENCE:
            raise held(place)
        time.sleep(0.01)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


@contextlib.contextmanager
def _named_turn(place: Place, storage: BaseStorage, name: str) -> Iterator[None]:
    """Make a study that only one process can make, and delete it; one that stands still is left from a kill."""
    from optuna.exceptions import DuplicatedStudyError
    from optuna.study import StudyDirection

    begin, seen = time.monotonic(), None
    while True:
        try:
            own = storage.create_new_study([StudyDirection.MINIMIZE], name)
            break
        except DuplicatedStudyError:
            pass
        found = next((study._study_id for study in storage.get_all_studies() if study.study_name == name), None)
        if found != seen:
            begin, seen = time.monotonic(), found
        if found is not None and time.monotonic() - begin > _GONE:
            with contextlib.suppress(KeyError):
                storage.delete_study(found)
        time.sleep(0.02)
    try:
        yield
    finally:
        with contextlib.suppress(KeyError):
            storage.delete_study(own)
