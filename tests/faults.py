"""Failing what a command asks of the file system, one operation after another, and looking at what is left.

``each_fault(run, folder, COMMAND, fill, look)`` is the whole test of a command: it runs once for each operation with
that one failing (disk full, no permission, a kill), looks at what is left, runs again, and looks again.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

KILL = -1
FAULTS = {"disk full": errno.ENOSPC, "no permission": errno.EACCES, "kill": KILL}
_WRITES = os.O_WRONLY | os.O_RDWR
#: audit event → which of its arguments are paths
_EVENTS = {"os.rename": (0, 1), "os.remove": (0,), "os.mkdir": (0,), "os.truncate": (0,), "os.chmod": (0,)}
_RANDOM = re.compile(r"[0-9a-f]{8}[0-9a-f-]{24,28}")
_PLANS: list[Plan] = []


class Killed(BaseException):
    """What a kill is like from inside: nothing that comes after it reaches the disk."""


class Plan:
    """The operations on files below a folder, in order; the one at ``at`` fails."""

    def __init__(self, folder: Path, at: int | None = None, fault: int = 0) -> None:
        self.folder = str(folder)
        self.at = at
        self.fault = fault
        self.seen: list[str] = []
        self.dead = False

    def __enter__(self) -> Plan:
        if _hook not in _INSTALLED:
            sys.addaudithook(_hook)
            _INSTALLED.append(_hook)
        self._fsync = os.fsync
        os.fsync = self._sync
        _PLANS.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _PLANS.remove(self)
        os.fsync = self._fsync

    def _sync(self, file: int) -> None:
        self.see("fsync", os.readlink(f"/proc/self/fd/{file}") if sys.platform == "linux" else self.folder)
        self._fsync(file)

    def see(self, event: str, *paths: Any) -> None:
        """Count an operation, and fail it if its turn has come."""
        names = [os.path.abspath(os.fsdecode(path)) for path in paths if isinstance(path, str | bytes | os.PathLike)]
        if not any(name.startswith(self.folder) for name in names):
            return
        if self.dead:
            raise Killed
        self.seen.append(f"{event} {' '.join(os.path.relpath(name, self.folder) for name in names)}")
        if len(self.seen) - 1 == self.at:
            if self.fault == KILL:
                self.dead = True
                raise Killed
            raise OSError(self.fault, os.strerror(self.fault), names[0])


_INSTALLED: list[Any] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _PLANS:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITES:
            _PLANS[-1].see("open", path)
    elif event in _EVENTS:
        _PLANS[-1].see(event, *(arguments[place] for place in _EVENTS[event]))


def _telling(seen: list[str], every: bool) -> list[int]:
    """Return which operations to fail: all, or of each kind of operation on each file the first and the last."""
    if every:
        return list(range(len(seen)))
    kinds: dict[str, list[int]] = {}
    for number, text in enumerate(seen):
        kinds.setdefault(_RANDOM.sub("*", text), []).append(number)
    return sorted({place for places in kinds.values() for place in (places[0], places[-1])})


def each_fault(
    run: Callable[..., tuple[int, str, str]],
    folder: Path,
    command: str,
    fill: Callable[[Path], None],
    look: Callable[[Path], None],
    every: bool = False,
) -> None:
    """Run a command with each of its operations on files failing in turn.

    Parameters
    ----------
    run : callable
        Command → exit code, standard output, standard error; it runs in ``folder``.
    folder : Path
        Emptied before every run.
    command : str
    fill : callable
        Puts into the folder what the command needs and what it is to replace.
    look : callable
        Asserts that nothing in the folder is half or lost; called after the fault and after the run that follows.
    every : bool
        Every fault at every operation, not only one at the first and the last of each kind.
    """

    def fresh() -> None:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        fill(folder)

    fresh()
    with Plan(folder) as plan:
        code, _, err = run(command)
    assert code == 0, err
    assert plan.seen, "the command writes nothing"
    look(folder)
    for turn, at in enumerate(_telling(plan.seen, every)):
        faults = list(FAULTS.items())
        for name, fault in faults if every else [faults[turn % len(faults)]]:
            fresh()
            what = f"{name} at {plan.seen[at]}"
            with Plan(folder, at, fault):
                try:
                    code, _, err = run(command)
                except Killed:
                    code = KILL
            assert code in (0, 2, KILL), f"{what}: {err}"
            if code == 2:
                last = err.splitlines()[-1]
                assert last.startswith("accelmodel: "), what
                assert os.strerror(fault) in last, f"{what}: {last}"
            assert "internal error" not in err, f"{what}: {err}"
            assert "Traceback" not in err, what
            look(folder)
            code, _, err = run(command)
            assert code == 0, f"after {what}: {err}"
            look(folder)
