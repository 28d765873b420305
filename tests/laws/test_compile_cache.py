"""The folder of compiled code: where it stands, and that nobody else can write what we run."""

from __future__ import annotations

import os
import stat
import tempfile

import pytest

from accelmodel.laws import compile_cache

MINE = os.getuid() if hasattr(os, "getuid") else 0


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A home and a temporary folder of the test's own; return them and what finds the cache there."""
    home, shared = tmp_path / "home", tmp_path / "tmp"
    home.mkdir(mode=0o700)
    shared.mkdir()
    shared.chmod(0o1777)
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(shared))
    return home, shared, compile_cache.folder.__wrapped__


def mode(folder):
    return stat.S_IMODE(folder.stat().st_mode)


def test_it_stands_in_the_home_and_is_ours_alone(places):
    home, _, folder = places
    found = folder()
    assert found.parent == home / ".cache" / "accelmodel" / "numba"
    assert [mode(each) for each in (found, found.parent, found.parent.parent)] == [0o700] * 3
    assert folder() == found


def test_an_absolute_place_is_taken_as_named(places, monkeypatch, tmp_path):
    _, _, folder = places
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert folder().parent == tmp_path / "mine" / "accelmodel" / "numba"
    (tmp_path / "numba").mkdir(mode=0o700)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert folder().parent == tmp_path / "numba" / "accelmodel"


@pytest.mark.parametrize("named", ["~/.cache", "~", "cache", ""])
def test_what_is_no_absolute_place_is_none(places, monkeypatch, tmp_path, named):
    home, _, folder = places
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("NUMBA_CACHE_DIR", named)
    assert folder().is_relative_to(home / ".cache")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "tmp"]


@pytest.mark.parametrize("lost", ["~", "nowhere", "/dev/null/home"])
def test_without_a_home_it_stands_in_the_temporary_folder(places, monkeypatch, tmp_path, lost):
    _, shared, folder = places
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", lost)
    found = folder()
    assert found.parent == shared / f"accelmodel-{MINE}" / "numba"
    assert [mode(each) for each in (found, found.parent, found.parent.parent)] == [0o700] * 3
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "tmp"]


def spoil_mode(folder):
    folder.mkdir()
    folder.chmod(0o770)


def spoil_others(folder):
    folder.mkdir()
    folder.chmod(0o702)


def spoil_link(folder):
    real = folder.with_name("real")
    real.mkdir(mode=0o700)
    folder.symlink_to(real)


def spoil_file(folder):
    folder.write_text("")


SPOILT = [spoil_mode, spoil_others, spoil_link, spoil_file]


@pytest.mark.skipif(os.name == "nt", reason="folders have no mode")
@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("level", range(3))
def test_what_others_can_write_is_no_cache(places, monkeypatch, spoil, level):
    """At each level below the temporary folder, and nothing is left to fall back on: nothing is cached."""
    _, shared, folder = places
    monkeypatch.setenv("HOME", "~")
    target = (folder(), folder().parent, folder().parent.parent)[level]
    for each in sorted(shared.rglob("*"), key=lambda each: -len(each.parts)):
        if each == target or each.is_relative_to(target):
            each.rmdir()
    spoil(target)
    assert folder() is None


@pytest.mark.skipif(os.name == "nt", reason="folders have no mode")
def test_a_spoilt_home_is_left_for_the_temporary_folder(places):
    home, shared, folder = places
    (home / ".cache").mkdir(mode=0o700)
    spoil_mode(home / ".cache" / "accelmodel")
    assert folder().is_relative_to(shared)


@pytest.mark.skipif(os.name == "nt", reason="folders have no mode")
def test_another_users_folder_is_no_cache(places, monkeypatch):
    home, _, folder = places
    (home / ".cache").mkdir(mode=0o700)
    (home / ".cache" / "accelmodel").mkdir(mode=0o700)
    monkeypatch.setattr(compile_cache, "_user", lambda: MINE + 1)
    assert not compile_cache.is_ours(home / ".cache" / "accelmodel")
    assert folder() is None


@pytest.mark.skipif(os.name == "nt", reason="folders have no mode")
def test_a_temporary_folder_that_others_may_rearrange_holds_none(places, monkeypatch):
    _, shared, folder = places
    monkeypatch.setenv("HOME", "~")
    shared.chmod(0o777)
    assert folder() is None


def test_it_knows_what_it_holds(places, monkeypatch):
    _, _, folder = places
    monkeypatch.setattr(compile_cache, "folder", folder)
    assert not compile_cache.holds("step.evaluate")
    kept = folder() / "kernels_0123"
    kept.mkdir()
    (kept / "step.evaluate-7.py27.nbi").write_text("")
    (kept / "step.evaluate_parallel-9.py311.nbi").write_text("")
    assert not compile_cache.holds("step.evaluate")
    import sys

    (kept / f"step.evaluate-7.py{sys.version_info.major}{sys.version_info.minor}.nbi").write_text("")
    assert compile_cache.holds("step.evaluate")
