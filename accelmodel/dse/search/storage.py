"""Where trials are kept: a file or a server, told by path or URL, opened by Optuna's own storages.

What goes wrong with it is said in one line: what holds something else than was written is left alone (SpecError), and
what can no longer be written is an OSError, after which a search goes on without it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from accelmodel.errors import SpecError, unknown
from accelmodel.output import failed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

#: how long another process may stay in its turn, which includes compiling the kernels [s]
PATIENCE = 300
#: how long a lock file of Optuna's may stand before it is nobody's: it is held while one line is written [s]
LEFT_OVER = 3
#: scheme of a URL → what is behind it, and what to install for it
SERVERS = {
    "postgresql": ("sql", "psycopg[binary]"),
    "mysql": ("sql", "mysqlclient"),
    "mariadb": ("sql", "mysqlclient"),
    "redis": ("redis", "redis"),
    "rediss": ("redis", "redis"),
    "grpc": ("grpc", "grpcio protobuf"),
}
#: endings of journal files; any other new file becomes an SQLite database
_JOURNALS = (".journal", ".jsonl", ".log")
#: how a line of a journal starts, and a database
LINE, DATABASE = b'{"op_code":', b"SQLite format 3\0"
#: what SQLite and its drivers say of a database that is held, of one that is none, and of one that lacks something
_HELD, _NONE, _LACKING = "database is locked", ("not a database", "malformed"), ("no such table", "no such column")


@dataclass(frozen=True)
class Place:
    """Where trials are kept: ``kind`` journal, sqlite, sql, redis or grpc; ``path`` of a file, ``url`` of a server."""

    kind: str
    path: Path | None = None
    url: str = ""

    def __str__(self) -> str:
        """Return the path, or the URL without its password."""
        return str(self.path) if self.path is not None else re.sub(r"(//[^:@/]*):[^@/]*@", r"\1:***@", self.url)


def place_of(storage: str | Path) -> Place:
    """Return the place that a path or a URL means.

    Raises
    ------
    SpecError
        If the URL is of no storage of Optuna's.

    Examples
    --------
    >>> [place_of(each).kind for each in ("a.db", "a.journal", "sqlite:///a.db", "grpc://localhost:13000")]
    ['sqlite', 'journal', 'sqlite', 'grpc']
    >>> str(place_of("postgresql://me:secret@host/trials"))
    'postgresql://me:***@host/trials'
    """
    text = str(storage)
    scheme, separator, rest = text.partition("://")
    dialect = scheme.partition("+")[0]
    if not separator:
        return Place(_kind_of(Path(text)), Path(text))
    if dialect == "sqlite":
        if rest in ("", "/") or ":memory:" in rest:
            raise SpecError(f"--storage {text}: a database in memory is gone with the process; give sqlite:///FILE")
        return Place("sqlite", Path(rest.removeprefix("/").partition("?")[0]))
    if dialect not in SERVERS:
        raise unknown("storage", f"{scheme}://", [f"{each}://" for each in ("sqlite", *SERVERS)])
    if dialect == "grpc" and not _port(text):
        raise SpecError(f"--storage {text}: give grpc://HOST:PORT")
    return Place(SERVERS[dialect][0], url=text)


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _kind_of(path: Path) -> str:
    """Return what a file is by how it starts; by its ending where it is not there yet, or is neither."""
    head = b""
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(len(DATABASE))
    if head == DATABASE:
        return "sqlite"
    return "journal" if head.startswith(LINE) or path.suffix in _JOURNALS else "sqlite"


def unreadable(place: Place, why: str) -> SpecError:
    """Return the error for a storage that holds something else than was written."""
    return SpecError(
        f"{place}: is not a readable Optuna storage ({why}); move it away or choose another place with --storage"
    )


def held(place: Place) -> SpecError:
    """Return the error for a storage that another process does not give free."""
    return SpecError(
        f"{place}: held by another process for {PATIENCE:g} s; end that process, or choose another place with --storage"
    )


def opened(place: Place) -> BaseStorage:
    """Return the storage at a place; a file is made if it is not there.

    Raises
    ------
    SpecError
        If it is none, or what opens it is not installed.
    OSError
        If it cannot be written or reached.
    """
    import optuna
    from optuna.storages import JournalStorage, RDBStorage, get_storage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalRedisBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with worded(place), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is experimental, and a lock's short life
        if place.kind == "grpc":
            parts = urlsplit(place.url)
            proxy = optuna.storages.GrpcStorageProxy(host=parts.hostname or "localhost", port=parts.port or 13000)
            proxy.wait_server_ready(timeout=10)
            return proxy
        if place.kind == "redis":
            return JournalStorage(JournalRedisBackend(place.url))
        if place.kind == "journal":
            path = str(place.path)
            return JournalStorage(JournalFileBackend(path, JournalFileOpenLock(path, grace_period=LEFT_OVER)))
        if place.kind == "sqlite":
            waiting = {"connect_args": {"timeout": PATIENCE}}
            return get_storage(RDBStorage(f"sqlite:///{place.path}", waiting))
        return get_storage(place.url)


@contextlib.contextmanager
def worded(place: Place) -> Iterator[None]:
    """Let what a storage raises inside the block out as SpecError, where it holds what nobody wrote, or as OSError."""
    try:
        yield
    except (SpecError, OSError):
        raise
    except ImportError:
        scheme = place.url.partition(":")[0].partition("+")[0]
        needed = SERVERS.get(scheme, ("", "sqlalchemy"))[1]
        raise SpecError(
            f"{place}: what opens it is not installed; pip install {' '.join(f'{each!r}' for each in needed.split())}"
        ) from None
    except Exception as error:
        raise _told(place, error) from None


def _told(place: Place, error: BaseException) -> SpecError | OSError:
    """Return an error of a storage in one line: as a system says it, or as what is wrong with the content."""
    import optuna
    import sqlalchemy

    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        return error.__context__  # Optuna says of a lock file that cannot be removed that it had none
    if isinstance(cause, sqlalchemy.exc.DBAPIError):
        cause = cause.orig
    text = " ".join(str(cause).split())
    driver = type(cause).__module__.partition(".")[0]
    if driver == "sqlite3":
        if _HELD in text:
            return held(place)
        return unreadable(place, text) if any(each in text for each in (*_NONE, *_LACKING)) else _failing(text)
    if driver in ("psycopg", "psycopg2", "MySQLdb", "pymysql", "mysql", "redis", "grpc", "asyncpg", "pg8000"):
        return _failing(text)
    return unreadable(place, f"{type(cause).__name__}: {text}"[:300])


def _failing(text: str) -> OSError:
    return OSError(errno.EIO, text[:300])


def lost(place: Place, error: OSError) -> SpecError:
    """Return the error for a storage that cannot be written, with what names another place."""
    if place.path is not None:
        return failed(place.path, error, "--storage")
    reason = error.strerror or str(error) or os.strerror(errno.EIO)
    return SpecError(f"{place}: cannot be used ({reason}); start it, or choose another place with --storage")
