"""Where compiled laws are kept from one process to the next, and why what is kept is never stale.

Numba keys its cache by the file that defines a function, so a cached caller would go on returning the
old number after a helper in another file has changed.  The folder is therefore named by the hash of all
sources that compiled code can come from: this package, which imports nothing but itself.

What lies there is run, so nobody else may be able to write it: where no folder is ours alone, nothing is kept.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def source_digest(package: Path) -> str:
    """Return 16 hex digits that change when any Python source below ``package`` changes."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _user() -> int | None:
    """Number of the user where files have owners, else None."""
    return os.getuid() if hasattr(os, "getuid") else None


def is_ours(folder: Path) -> bool:
    """Whether a folder is one, no link, belongs to this user, and nobody else may write in it."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(state.st_mode):
        return False
    shared = bool(state.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    return _user() is None or (state.st_uid == _user() and not shared)


def _is_safe(base: Path) -> bool:
    """Whether nobody else can put a folder of theirs in the place of ours in ``base``: not theirs, or sticky."""
    try:
        state = base.stat()
    except OSError:
        return False
    shared = bool(state.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    sticky = bool(state.st_mode & stat.S_ISVTX)
    return _user() is None or (state.st_uid in (_user(), 0) and (sticky or not shared))


def _made(base: Path, *names: str) -> Path | None:
    """Return a folder below ``base``, made where it is not there, if each step from ``base`` on is ours alone."""
    folder = base
    for name in names:
        folder = folder / name
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return None
        if not is_ours(folder):
            return None
    return folder if os.access(folder, os.W_OK) else None


def _home() -> Path | None:
    """Return the user's cache folder, made where it is not there; a relative path or a bare ``~`` names none."""
    named = os.environ.get("XDG_CACHE_HOME") or ""
    base = Path(named) if os.path.isabs(named) else Path(os.path.expanduser("~")) / ".cache"
    if not base.is_absolute():
        return None
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return base


def _bases() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Folders that the cache may stand in, best first, and the names of ours that lead to it there."""
    asked = os.environ.get("NUMBA_CACHE_DIR") or ""
    if os.path.isabs(asked):
        yield Path(asked), ("accelmodel",)
    home = _home()
    if home is not None:
        yield home, ("accelmodel", "numba")
    yield Path(tempfile.gettempdir()), (f"accelmodel-{_user() or 0}", "numba")


@cache
def folder() -> Path | None:
    """Return the folder that compiled code is kept in, None where there is none that is ours alone.

    The first that can be written of ``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME`` or ``~/.cache``, and the temporary folder.
    """
    leaf = source_digest(Path(__file__).resolve().parent)
    for base, names in _bases():
        found = _made(base, *names, leaf) if _is_safe(base) else None
        if found is not None:
            return found
    return None


def holds(name: str) -> bool:
    """Whether the compiled form of a kernel, named ``module.function``, lies in the folder."""
    found = folder()
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    return found is not None and next(found.glob(f"*/{name}-*.{version}*.nbi"), None) is not None
