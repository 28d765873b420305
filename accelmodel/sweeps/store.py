"""Finished chunks, kept beside the output until it is written: what is told as done is there after any end.

A chunk is one file, written beside and put in place whole, with the digest of what it answers in its name and its
contents; what does not read back whole is computed anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, Protocol, TypeVar

import numpy as np

from accelmodel.errors import SpecError
from accelmodel.sweeps.grid import Arrays

_DIGEST, _REASONS = "digest", "reasons"


class Cut(Protocol):
    """What is computed chunk by chunk."""

    @property
    def chunks(self) -> int:
        """How many chunks there are."""

    def holds(self, number: int, arrays: Arrays) -> bool:
        """Return whether arrays that were read back are a whole chunk."""


Grid = TypeVar("Grid", bound=Cut)


@dataclass(frozen=True, eq=False)
class Store(Generic[Grid]):
    """The chunks of one grid, in a folder of their own."""

    grid: Grid
    digest: str
    folder: Path

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:09d}.npz"

    def keep(self, number: int, arrays: Arrays, reasons: list[str]) -> None:
        """Write a chunk; OSError where the disk does not take it."""
        beside = self.folder / f".{uuid.uuid4().hex}"
        try:
            with open(beside, "xb") as file:
                held: Any = {**arrays, _DIGEST: np.array(self.digest), _REASONS: np.array(reasons, dtype=str)}
                np.savez(file, **held)
            os.replace(beside, self._path(number))
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise

    def read(self, number: int) -> tuple[Arrays, list[str]] | None:
        """Return a chunk; None where it is not there, not whole, or answers something else."""
        try:
            with open(self._path(number), "rb") as raw, np.load(raw, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        reasons = found.pop(_REASONS, np.array([], dtype=str)).tolist()
        if str(found.pop(_DIGEST, "")) != self.digest:
            return None
        if not self.grid.holds(number, found):
            return None
        return found, reasons

    def missing(self) -> list[int]:
        """Return the chunks that are still to be computed."""
        return [number for number in range(self.grid.chunks) if self.read(number) is None]

    def drop(self) -> None:
        """Remove the folder: what it held stands in the output."""
        shutil.rmtree(self.folder, ignore_errors=True)


def folder_of(output: Path, digest: str) -> Path:
    """Return where the chunks of an output are kept: beside it, named by what they answer."""
    return output.with_name(f"{output.name}.{digest[:8]}.parts")


def others(output: Path, digest: str) -> list[Path]:
    """Return folders of chunks that were left for the same output by another question, or an earlier state of files."""
    own = folder_of(output, digest)
    found = output.parent.glob(f"{_escaped(output.name)}.*.parts")
    return sorted(path for path in found if path != own and path.is_dir())


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


@contextlib.contextmanager
def opened(grid: Grid, digest: str, output: Path) -> Iterator[Store[Grid]]:
    """Give the store of an output, which no other process writes to meanwhile.

    The lock ends with its process, however that ends.

    Raises
    ------
    SpecError
        If another process is at work on the same output and question.
    """
    folder = folder_of(output, digest)
    with _locked(folder, output):
        for left in folder.glob(".*"):
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != _LOCK:
                left.unlink()
        found = Store(grid, digest, folder)
        try:
            yield found
        finally:
            if not any(folder.glob("*.npz")):
                found.drop()


_LOCK = ".lock"


@contextlib.contextmanager
def _locked(folder: Path, output: Path) -> Iterator[None]:
    path = folder / _LOCK
    file: IO[Any]
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = open(path, "a+b")  # noqa: SIM115
        except FileNotFoundError:
            continue  # its owner has just finished and removed the folder
        if not _lock(file):
            file.close()
            raise SpecError(
                f"{output}: another process is computing it; wait for it, or choose another place with --output"
            )
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()
    with file:
        yield


def _lock(file: IO[Any]) -> bool:
    """Return whether a file could be locked; where there are no such locks it is taken to be free."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
