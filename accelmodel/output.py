"""Files that are written: checked before the work, written beside, and put in place whole.

A reader finds the old file or the new one, never half of either, whatever happens in between: a full disk, a kill, two
processes that write the same file.  Whoever asks (``recorded``) is told what was kept.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from accelmodel.errors import SpecError

#: what a disk gives out at once: one that has none left is full
_BLOCK = 4096
_RECORD: ContextVar[list[str] | None] = ContextVar("record", default=None)


class NotWritten(SpecError):
    """A file could not be written; what stood there before is untouched."""


@contextlib.contextmanager
def recorded() -> Iterator[list[str]]:
    """Give a list that names what is written inside the block, as it is kept.

    Examples
    --------
    >>> with recorded() as files:
    ...     keep("study.journal")
    >>> files
    ['study.journal']
    """
    kept: list[str] = []
    token = _RECORD.set(kept)
    try:
        yield kept
    finally:
        _RECORD.reset(token)


def keep(what: str) -> None:
    """Record, where somebody does, that a file is whole from now on."""
    record = _RECORD.get()
    if record is not None and what not in record:
        record.append(what)


def failed(path: Path, error: OSError, option: str = "") -> NotWritten:
    """Return the error for a file that could not be written; ``option`` is what names another place."""
    reason = error.strerror or str(error) or type(error).__name__
    return NotWritten(f"{path}: cannot be written ({reason}); choose another place{option and f' with {option}'}")


def writable(path: str | Path | None, option: str = "") -> None:
    """Check before the work that a file can be written, by writing a block beside it; None is no file.

    Raises
    ------
    NotWritten
        If its folder is missing or takes no file, the disk is full, or what stands there must not be replaced.
    """
    if path is None:
        return
    path = Path(path)
    try:
        if _is_special(path):
            _poke(path)
            return
        _check_old(path)
        beside = _beside(Path(os.path.realpath(path)))
        try:
            with open(beside, "xb") as file:
                file.write(bytes(_BLOCK))
        finally:
            _remove(beside)
    except (OSError, ValueError) as error:
        raise _refused(path, error, option) from None


def make_folder(path: Path, option: str = "") -> None:
    """Make a folder and those above it; NotWritten if that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _refused(path, error, option) from None


def write(path: str | Path, content: str | bytes, option: str = "") -> Path:
    """Write a file whole: beside it first, then in its place.  What UTF-8 cannot hold is written as an escape.

    Raises
    ------
    NotWritten
        If it cannot be written; what stood there before is untouched.
    """
    path = Path(path)
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    try:
        if _is_special(path):
            with open(path, "wb") as file:
                file.write(raw)
        else:
            _check_old(path)
            _replace(Path(os.path.realpath(path)), raw)
    except (OSError, ValueError) as error:
        raise _refused(path, error, option) from None
    keep(str(path))
    return path


def _replace(path: Path, raw: bytes) -> None:
    beside = _beside(path)
    try:
        with open(beside, "xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException:
        _remove(beside)
        raise


def _beside(path: Path) -> Path:
    """Return a name in the same folder that no other process uses."""
    return path.parent / f".{uuid.uuid4().hex}.part"


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _refused(path: Path, error: OSError | ValueError, option: str) -> NotWritten:
    """Return the error; a name that no file can have (a zero byte) is a ValueError."""
    if not isinstance(error, OSError):
        error = OSError(errno.EINVAL, "no file can have this name")
    return failed(path, error, option)


def _is_special(path: Path) -> bool:
    """Tell whether a path is a device or a pipe: written to, never replaced."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _check_old(path: Path) -> None:
    """Raise OSError if what stands under the name must not be replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "is read-only")
    if any(os.path.samestat(found, each) for each in _streams()):
        raise FileExistsError(errno.EEXIST, "is where this program prints")


def _streams() -> Iterator[os.stat_result]:
    """Yield what standard output and standard error are; either may be closed."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            yield os.fstat(stream)


def _poke(path: Path) -> None:
    """Raise OSError if a device takes nothing; a pipe is left alone, for opening it would wait for a reader."""
    if stat.S_ISFIFO(path.stat().st_mode):
        return
    device = os.open(path, os.O_WRONLY)
    try:
        os.write(device, b"")
    finally:
        os.close(device)


def toml_string(text: str) -> str:
    """Return text as a TOML string, whatever is in it; what is no character becomes its escape in words.

    Examples
    --------
    >>> print(toml_string('a "b" \\\\ c'))
    "a \\"b\\" \\\\ c"
    """
    sound = text.encode("utf-8", "backslashreplace").decode()
    return json.dumps(sound, ensure_ascii=False).replace("\x7f", "\\u007f")
