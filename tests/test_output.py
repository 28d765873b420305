"""Files are whole or as they were, whatever happens and whatever stands in them."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import tomllib
from pathlib import Path

import pytest
from faults import FAULTS, KILL, Killed, Plan
from hypothesis import given
from hypothesis import strategies as st

from accelmodel import output
from accelmodel.errors import SpecError, plain
from accelmodel.output import NotWritten, recorded, toml_string, writable, write


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_file_is_old_or_new_after_every_fault(tmp_path, old, fault):
    path = tmp_path / "file.toml"
    new = b"new" * 10_000
    with Plan(tmp_path) as plan:
        write(path, new)
    assert path.read_bytes() == new
    for at in range(len(plan.seen)):
        path.unlink(missing_ok=True)
        if old is not None:
            path.write_bytes(old)
        try:
            with Plan(tmp_path, at, fault):
                write(path, new, "--output")
        except NotWritten as error:
            assert "file.toml: cannot be written" in str(error)
            assert "choose another place with --output" in str(error)
            assert list(tmp_path.iterdir()) == ([] if old is None else [path])
        except Killed:
            assert fault == KILL
        assert (path.read_bytes() if path.exists() else None) in (old, new), plan.seen[at]


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
def test_a_disk_that_fills_in_the_middle_leaves_the_old_file(tmp_path):
    import resource

    path = tmp_path / "file"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(NotWritten, match="cannot be written"):
            write(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("nowhere/file", os.strerror(errno.ENOENT)),
        ("file/file", os.strerror(errno.ENOTDIR)),
        ("folder", "is a folder"),
        ("zero\0", "no file can have this name"),
        ("x" * 300, os.strerror(errno.ENAMETOOLONG)),
    ],
)
def test_a_place_that_takes_no_file_is_refused_before_and_after_the_work(tmp_path, place, says):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for act in (lambda path: writable(path, "--report"), lambda path: write(path, "", "--report")):
        with pytest.raises(NotWritten, match="cannot be written") as error:
            act(tmp_path / place)
        assert says in str(error.value)
        assert str(error.value).endswith("choose another place with --report")
    assert {each.name for each in tmp_path.iterdir()} == {"file", "folder"}


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(output.os, "access", lambda *_: False)  # root may write what it likes
    for act in (writable, lambda path: write(path, "new")):
        with pytest.raises(NotWritten, match="is read-only"):
            act(path)
    assert path.read_text(encoding="utf-8") == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_refused_before_the_work_and_devices_stay_devices():
    with pytest.raises(NotWritten, match=os.strerror(errno.ENOSPC)):
        writable("/dev/full")
    writable("/dev/null")
    write("/dev/null", "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX")
def test_mode_and_link_stay(tmp_path):
    real = tmp_path / "real"
    real.write_text("old", encoding="utf-8")
    real.chmod(0o640)
    (tmp_path / "link").symlink_to(real)
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert real.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    write(tmp_path / "fresh", "")
    (tmp_path / "plain").touch()
    assert (tmp_path / "fresh").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_is_kept_is_recorded_where_somebody_asks(tmp_path):
    write(tmp_path / "unasked", "")
    with recorded() as kept:
        write(tmp_path / "one", "")
        write(tmp_path / "one", "")
        with pytest.raises(SpecError):
            write(tmp_path / "no" / "two", "")
    assert kept == [str(tmp_path / "one")]


def test_none_is_no_file():
    writable(None, "--report")


@given(st.text())
def test_any_text_stands_in_toml(text):
    document = f"# {plain(text)}\na = {toml_string(text)}\n"
    assert tomllib.loads(document) == {"a": text}
    assert json.loads(json.dumps(text)) == text


def test_what_is_no_character_is_written_as_an_escape(tmp_path):
    name = b"chip-\xff".decode("utf-8", "surrogateescape")
    path = write(tmp_path / "file.toml", f"a = {toml_string(name)}\n# {name}\n")
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {"a": "chip-\\udcff"}
