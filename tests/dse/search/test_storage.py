"""Places of trials: told by path or URL, looked at before the work, and what is wrong said in one line."""

from __future__ import annotations

import os
import sqlite3

import pytest

from accelmodel.dse.search import turns
from accelmodel.dse.search.storage import place_of
from accelmodel.dse.search.turns import check
from accelmodel.errors import SpecError


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ("a.db", "sqlite", "a.db"),
        ("a", "sqlite", "a"),
        ("a.journal", "journal", "a.journal"),
        ("sqlite:///a.db", "sqlite", "a.db"),
        ("sqlite:////tmp/a.db", "sqlite", "/tmp/a.db"),
        ("postgresql://me:secret@host:5432/trials", "sql", "postgresql://me:***@host:5432/trials"),
        ("postgresql+psycopg2://me@host/trials", "sql", "postgresql+psycopg2://me@host/trials"),
        ("mysql://me:a:b@host/trials", "sql", "mysql://me:***@host/trials"),
        ("redis://:secret@host:6379/0", "redis", "redis://:***@host:6379/0"),
        ("grpc://host:13000", "grpc", "grpc://host:13000"),
    ],
)
def test_a_place_is_told_by_path_or_url_and_its_password_by_nobody(given, kind, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = place_of(given)
    assert (place.kind, str(place)) == (kind, told)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("postgres://host/trials", "unknown storage 'postgres://'"),
        ("sqlite://", "in memory is gone with the process"),
        ("sqlite:///:memory:", "in memory is gone with the process"),
        ("grpc://host", "give grpc://HOST:PORT"),
        ("grpc://host:port", "give grpc://HOST:PORT"),
    ],
)
def test_a_url_of_no_storage_is_refused(given, says):
    with pytest.raises(SpecError, match=says):
        place_of(given)


def test_a_file_is_what_its_content_says(tmp_path):
    for name in ("a.journal", "a.db"):
        sqlite3.connect(tmp_path / name).execute("create table a (b)").connection.close()
        assert place_of(tmp_path / name).kind == "sqlite"
        (tmp_path / name).write_text('{"op_code":0,"study_name":"x"}\n', encoding="utf-8")
        assert place_of(tmp_path / name).kind == "journal"


@pytest.mark.parametrize("name", ["a.journal", "a.db"])
@pytest.mark.parametrize("content", [b"hello", b"hello\nworld\n", b'{"a": 1}\n', b"[1]\n", bytes(range(256)), b"\n"])
def test_what_is_no_storage_is_refused_and_left_alone(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SpecError, match=r"is not a readable Optuna storage .*--storage"):
        check(place_of(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["a.db", "a.journal"])
@pytest.mark.parametrize("place", ["missing", "file", "folder"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path, place, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / name).mkdir(parents=True)
    with pytest.raises(SpecError, match=r"cannot be written .*--storage"):
        check(place_of(tmp_path / place / name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX files")
@pytest.mark.parametrize("place", ["/dev/zero", "pipe"])
def test_a_place_that_has_no_end_is_refused(tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecError, match=r"cannot be written .*--storage"):
        check(place_of(tmp_path / place))


@pytest.mark.parametrize("name", ["a.db", "a.journal"])
def test_looking_at_a_place_leaves_nothing_there(tmp_path, name):
    check(place_of(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_held_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.1)
    path = tmp_path / "a.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("create table a (b)")
        other.execute("begin immediate")
        with pytest.raises(SpecError, match=r"a\.db: held by another process .* end that process, or choose"):
            check(place_of(path))
        other.execute("rollback")
    check(place_of(path))


def test_a_server_that_does_not_answer_is_named_without_its_password(monkeypatch):
    for url in ("postgresql://me:secret@127.0.0.1:1/trials", "redis://:secret@127.0.0.1:1/0"):
        with pytest.raises(SpecError, match=r"not installed; pip install|cannot be used") as error:
            check(place_of(url))
        assert "secret" not in str(error.value)
        assert "\n" not in str(error.value)
