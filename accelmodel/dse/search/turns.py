"""Turns at a storage: whoever is in his turn sees all trials there are, and nobody else adds any until he has.

Files, databases and Redis lock by means of their own, and free the lock of a process that was killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from accelmodel.dse.search.storage import (
    DATABASE,
    LEFT_OVER,
    LINE,
    PATIENCE,
    Place,
    held,
    lost,
    opened,
    unreadable,
    worded,
)
from accelmodel.errors import SpecError
from accelmodel.output import failed, writable

#: what the lock of a server is called, and its number where locks have numbers
_NAME, _NUMBER = "accelmodel / turn", 0x61636365_6C6D6F64
#: ending of the file beside a storage's that is locked in its stead
TURN = "-turn"
#: how long a turn in Redis may take before it is nobody's: its process was killed [s]
_GONE = 60.0


@contextlib.contextmanager
def turn(place: Place) -> Iterator[None]:
    """Hold the storage for the block, which adds trials or studies.

    Raises
    ------
    SpecError
        If another process does not give it free, or the storage is none.
    OSError
        If it cannot be written.
    """
    with worded(place), _TURNS[place.kind](place):
        yield


def check(place: Place) -> None:
    """Look at a storage before the work: it is one, it can be written, and nobody stands in the way.

    A file that is not there yet is not made.

    Raises
    ------
    SpecError
        If it cannot be used.
    """
    if place.path is None:
        try:
            with turn(place):
                opened(place)
        except OSError as error:
            raise lost(place, error) from None
        return
    if place.path.exists():
        if not place.path.is_file():  # a device has no end, and a pipe waits
            raise failed(place.path, OSError(errno.EINVAL, "no regular file"), "--storage")
        try:
            _check_start(place, place.path)
        except OSError as error:
            raise failed(place.path, error, "--storage") from None
    writable(place.path, "--storage")


def _check_start(place: Place, path: Path) -> None:
    with path.open("r+b") as file:
        head = file.read(len(DATABASE))
    expected = LINE if place.kind == "journal" else DATABASE
    if head and not (head.startswith(expected) or expected.startswith(head)):
        raise unreadable(place, "does not start like a journal" if place.kind == "journal" else "is no database")
    if place.kind == "sqlite":
        with worded(place), contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            connection.execute("BEGIN IMMEDIATE")


@contextlib.contextmanager
def _of_file(place: Place) -> Iterator[None]:
    """Lock an empty SQLite file beside the storage's: the operating system frees it when the process ends."""
    beside = sqlite3.connect(f"{place.path}{TURN}", timeout=PATIENCE, isolation_level=None)
    with contextlib.closing(beside):
        beside.execute("BEGIN EXCLUSIVE")
        yield


@contextlib.contextmanager
def _of_journal(place: Place) -> Iterator[None]:
    with _of_file(place):
        _mend(Path(str(place.path)))
        yield


def _mend(path: Path) -> None:
    """Cut off a last line that a killed process or a full disk left unfinished, to which Optuna would append."""
    from optuna.storages.journal import JournalFileOpenLock

    if not path.exists() or _whole(path):
        return
    lock = JournalFileOpenLock(str(path), grace_period=LEFT_OVER)
    lock.acquire()
    try:
        if not _whole(path):
            with path.open("r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
    finally:
        lock.release()


def _whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


@contextlib.contextmanager
def _of_database(place: Place) -> Iterator[None]:
    """Take the lock of a database server that goes with the connection."""
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    engine = sqlalchemy.create_engine(place.url, poolclass=NullPool)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sqlalchemy.text(f"set lock_timeout = '{PATIENCE}s'"))
            connection.execute(sqlalchemy.text("select pg_advisory_xact_lock(:number)"), {"number": _NUMBER})
        else:
            asked = {"name": _NAME, "seconds": PATIENCE}
            if not connection.execute(sqlalchemy.text("select get_lock(:name, :seconds)"), asked).scalar():
                raise held(place)
        yield


@contextlib.contextmanager
def _of_redis(place: Place) -> Iterator[None]:
    import redis

    lock = redis.Redis.from_url(place.url).lock(_NAME, timeout=_GONE, blocking_timeout=PATIENCE)
    if not lock.acquire():
        raise held(place)
    try:
        yield
    finally:
        with contextlib.suppress(redis.exceptions.LockError):  # it took longer: the lock is another's by now
            lock.release()


@contextlib.contextmanager
def _of_proxy(place: Place) -> Iterator[None]:
    """Make a study that only one process can make, and delete it: a proxy has no other lock."""
    import optuna

    storage, begin = opened(place), time.monotonic()
    while True:
        try:
            optuna.create_study(study_name=_NAME, storage=storage)
            break
        except optuna.exceptions.DuplicatedStudyError:
            pass
        if time.monotonic() - begin > PATIENCE:
            raise SpecError(f"{held(place)}; if none is at it, one was killed: delete the study {_NAME!r} in it")
        time.sleep(0.02)
    try:
        yield
    finally:
        optuna.delete_study(study_name=_NAME, storage=storage)


#: kind of a storage → how its turns are taken
_TURNS: dict[str, Callable[[Place], contextlib.AbstractContextManager[None]]] = {
    "sqlite": _of_file,
    "journal": _of_journal,
    "sql": _of_database,
    "redis": _of_redis,
    "grpc": _of_proxy,
}
