"""Compiled laws are kept where that is possible, and a damaged or full cache costs only the compiling."""

from __future__ import annotations

import errno

import numba
import pytest
from faults import Plan

from accelmodel.laws.kept import tolerant


def twice(x):
    return 2.0 * x


def compiled():
    return tolerant(numba.njit(cache=True)(twice))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    first = compiled()
    assert first(2.0) == 4.0
    again = compiled()
    assert again(2.0) == 4.0
    assert again.stats.cache_hits
    return tmp_path


@pytest.mark.parametrize("end", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"nothing", None], ids=["empty", "other", "cut"])
def test_a_damaged_file_is_compiled_anew_and_replaced(folder, end, content):
    (path,) = folder.rglob(f"*.{end}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    found = compiled()
    assert found(2.0) == 4.0
    assert not found.stats.cache_hits
    again = compiled()
    assert again(2.0) == 4.0
    assert again.stats.cache_hits


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EACCES])
def test_a_cache_that_cannot_be_written_is_none(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    with Plan(tmp_path) as plan:
        compiled()(2.0)
    assert plan.seen
    for at in range(len(plan.seen)):
        for path in tmp_path.rglob("*.nb*"):
            path.unlink()
        with Plan(tmp_path, at, fault):
            assert compiled()(2.0) == 4.0
