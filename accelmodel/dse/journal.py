"""A study's file: named by all that is behind its numbers, opened by one process at a time, and read with suspicion.

Processes that work on one study take turns.  The turn is a lock of the operating system on the file itself, which
goes with the process that holds it, however that ends.  Inside a turn Optuna writes as it always does, with a lock
file beside, so that a dashboard may write too; one that stands still is left over from a kill and is taken away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from accelmodel import __version__
from accelmodel.dse.evaluate import evaluate
from accelmodel.dse.objectives import sign
from accelmodel.dse.parts import Parts
from accelmodel.dse.rows import CHUNK
from accelmodel.dse.study import Study
from accelmodel.errors import SpecError
from accelmodel.output import failed, keep, writable
from accelmodel.specs.base import Spec, field_units, value_of
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import optuna
    from optuna.study import StudyDirection

#: how long another process may stay in its turn without writing, which includes compiling the kernels [s]
PATIENCE = 300.0
#: how long a lock file of Optuna's may stand before it is nobody's: it is held while one line is written [s]
LEFT_OVER = 3.0
#: how far a stored number may be from what the model says now: laws may be compiled otherwise, not be others [1]
ALIKE = 1e-6
#: what a file system says that knows no locks: there one process at a time is to use a journal
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
#: how a line of a journal starts
_FIRST = b'{"op_code":'
#: what is stored of a trial beside its parameters and objectives
FIGURES = ("throughput", "die_area", "power", "price")


def digest(study: Study, parts: Parts) -> str:
    """Return 16 hex digits that change with anything behind a number of the study.

    That is what the study asks, but for its title and the number of trials; every field of the chip, its links, bill,
    process and models, what was fitted to them, and the version of the package.
    """
    asked = study.model_dump(mode="json", exclude={"study": {"title", "trials"}, "name": True, "digest": True})
    device = parts.device
    specs: list[Spec] = [device, parts.link, parts.bill, parts.process, load("link", device.scale_out)]
    specs += [load("model", name) for name in study.models]
    # by content and never by path: a study may be asked from another folder
    asked["study"].update(device=device.name, bill=parts.bill.name)
    asked["workload"]["models"] = [spec.name for spec in specs[5:]]
    asked["space"] = {name: np.asarray(axis.grid).tolist() for name, axis in study.axes().items()}
    content = [__version__, json.dumps(asked, sort_keys=True), *(_content(spec) for spec in specs)]
    return hashlib.sha256("\n".join(content).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _content(spec: Spec) -> str:
    values = {name: value_of(spec, name) for name in field_units(type(spec))}
    return f"{type(spec).__name__} {spec.digest} {values!r} {spec.residuals!r}"


def unreadable(storage: Path, why: str) -> SpecError:
    """Return the error for a file that holds something else than was written."""
    return SpecError(
        f"{storage}: is not a readable Optuna journal ({why}); move it away or choose another place with --storage"
    )


def check(storage: Path) -> None:
    """Look at a study's file before the work: it can be written, is a journal, and its lock is no leftover.

    Raises
    ------
    SpecError
        If it cannot be used.
    """
    if not storage.exists():
        writable(storage, "--storage")
        return
    if not storage.is_file():  # a device has no end, and a pipe waits
        raise failed(storage, OSError(errno.EINVAL, "no regular file"), "--storage")
    try:
        with storage.open("r+b") as file, _turn(file, storage):
            _mend(file, storage)
            _take_over(storage)
    except OSError as error:
        raise failed(storage, error, "--storage") from None
    writable(storage, "--storage")


def _mend(file: IO[bytes], storage: Path) -> None:
    """Cut off a last line that a killed process left unfinished; leave alone, with an error, what is no journal."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(0)
    if not _FIRST.startswith(file.read(len(_FIRST))):
        raise unreadable(storage, "does not start like a journal")
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


@contextlib.contextmanager
def _turn(file: IO[bytes], storage: Path) -> Iterator[None]:
    """Hold the file's lock, which the operating system frees when the process ends; without one, go ahead."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    size = -1
    begin = time.monotonic()
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            yield
            return
        now = os.fstat(file.fileno()).st_size
        if now != size:
            size, begin = now, time.monotonic()
        if time.monotonic() - begin > PATIENCE:
            raise SpecError(
                f"{storage}: held by another process that has written nothing for {PATIENCE:g} s; end that process, "
                "or choose another place with --storage"
            )
        time.sleep(0.01)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _take_over(storage: Path) -> None:
    """Wait for a lock file of Optuna's to go, and take it away if it stands still: its process was killed."""
    lock = Path(f"{storage}.lock")
    begin = time.monotonic()
    seen = None
    while True:
        try:
            found = lock.lstat().st_mtime_ns
        except FileNotFoundError:
            return
        if found != seen:
            seen, begin = found, time.monotonic()
        if time.monotonic() - begin >= LEFT_OVER or time.time() - found * 1e-9 >= LEFT_OVER:
            lock.unlink(missing_ok=True)
            return
        time.sleep(0.01)


@dataclass
class Journal:
    """A study in its file: finished trials come out checked, new ones go in for good.

    Attributes
    ----------
    storage : Path
    name : str
        Of the study in the file.
    fault : str
        Why trials are no longer stored; empty as long as they are.
    """

    storage: Path
    name: str
    study: Study
    parts: Parts
    technique: str
    fault: str = ""
    _seen: set[int] = field(default_factory=set, repr=False)
    _kept: Any = field(default=None, repr=False)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other processes away from the study: what they stored is seen, and nobody stores meanwhile."""
        if self.fault:
            yield
            return
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self.storage.open("a+b"))
                stack.enter_context(_turn(file, self.storage))
                _mend(file, self.storage)
                _take_over(self.storage)
                self._kept = self._kept or self._study()
            except (OSError, RuntimeError) as error:
                self._cut()
                self._fail(_cause(error))
            yield

    def _fail(self, error: OSError) -> None:
        count = len(self._seen)
        self.fault = (
            f"{failed(self.storage, error, '--storage')}; it keeps {count} trials of {self.technique}, and the same "
            "command goes on from there"
        )

    def _study(self) -> optuna.Study:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        try:
            backend = JournalFileBackend(str(self.storage), lock_obj=JournalFileOpenLock(str(self.storage)))
            kept = optuna.create_study(
                storage=JournalStorage(backend),
                study_name=self.name,
                directions=directions(self.study),
                load_if_exists=True,
            )
            kept.set_metric_names(ordered(self.study))
        except (OSError, RuntimeError, SpecError):
            raise
        except Exception as error:  # whatever Optuna meets in a file that somebody changed
            raise unreadable(self.storage, type(error).__name__) from None
        return kept

    def news(self) -> list[optuna.trial.FrozenTrial]:
        """Return the finished trials that this process has not seen, checked; inside a turn.

        Raises
        ------
        SpecError
            If one is not of this study, or the model gives other numbers for its chip.
        """
        new = self._unseen()
        for trial in new:
            if why := _stray(self.study, trial):
                raise unreadable(self.storage, f"trial {trial.number} of {self.name}: {why}")
        for start in range(0, len(new), CHUNK):
            self._compare(new[start : start + CHUNK])
        return new

    def _unseen(self) -> list[optuna.trial.FrozenTrial]:
        """Return the finished trials since the last call; a trial of somebody's that is still running is left out."""
        from optuna.trial import TrialState

        if self.fault:
            return []
        try:
            found = self._kept.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        except OSError as error:
            self._fail(error)
            return []
        except Exception as error:
            raise unreadable(self.storage, type(error).__name__) from None
        new = [trial for trial in found if trial.number not in self._seen]
        self._seen |= {trial.number for trial in new}
        if self._seen:
            keep(f"{self.storage} (the same command goes on from there)")
        return new

    def add(self, trials: list[optuna.trial.FrozenTrial]) -> None:
        """Store trials; inside a turn.  Where that is not possible ``fault`` says why, and the search goes on."""
        try:
            if not self.fault:
                self._kept.add_trials(trials)
        except (OSError, RuntimeError) as error:
            self._cut()
            self._unseen()
            self._fail(_cause(error))
        self._unseen()

    def _cut(self) -> None:
        """Take away the part of a line that a full disk left."""
        with contextlib.suppress(OSError, SpecError), self.storage.open("r+b") as file:
            _mend(file, self.storage)

    def _compare(self, trials: list[optuna.trial.FrozenTrial]) -> None:
        """Raise SpecError if the model no longer gives what the trials hold."""
        import xarray as xr

        axes = self.study.axes()
        chips = {axis: xr.DataArray([trial.params[axis] for trial in trials], dims="design") for axis in axes}
        result = evaluate(self.study, self.parts, **chips).sel(technique=self.technique)
        held = {objective: [trial.values[i] for trial in trials] for i, objective in enumerate(ordered(self.study))}
        held |= {name: [trial.user_attrs[name] for trial in trials] for name in FIGURES}
        held["feasible"] = [float(trial.constraints["feasible"] <= 0.0) for trial in trials]
        for name, values in held.items():
            now = np.broadcast_to(result[name].values.astype(float), len(trials))
            for i in np.flatnonzero(np.abs(np.array(values) - now) > ALIKE * np.abs(now))[:1]:
                number = trials[i].number
                why = f"trial {number} of {self.name} has {name} {values[i]:g}, the model says {now[i]:g}"
                raise unreadable(self.storage, why)


def _cause(error: OSError | RuntimeError) -> OSError:
    """Return what the system said: where its lock file cannot be removed, Optuna says that it had none."""
    if isinstance(error, OSError):
        return error
    return error.__context__ if isinstance(error.__context__, OSError) else OSError(errno.EIO, str(error))


def ordered(study: Study) -> list[str]:
    """Return the objectives, the study's own first."""
    return study.objectives


def directions(study: Study) -> list[StudyDirection]:
    """Return which way each objective is better, as Optuna says it."""
    from optuna.study import StudyDirection

    return [StudyDirection.MAXIMIZE if sign(name) > 0.0 else StudyDirection.MINIMIZE for name in study.objectives]


def _stray(study: Study, trial: optuna.trial.FrozenTrial) -> str:
    """Return why a trial is none of the study's; empty if it is one."""
    axes = study.axes()
    if set(trial.params) != set(axes):
        return f"its parameters are {', '.join(sorted(trial.params)) or 'none'}, not {', '.join(axes)}"
    for name, axis in axes.items():
        value, values = trial.params[name], axis.grid
        if axis.kind == "word":
            if value not in values:
                return f"{name} {value!r} is not in the space"
            continue
        if axis.values is None and _is_number(value) and axis.low <= value <= axis.high:
            continue
        if not _is_number(value) or not np.isclose(values, value, rtol=1e-9, atol=0.0).any():
            return f"{name} {value!r} is not in the space"
    if trial.values is None or len(trial.values) != len(study.objectives) or not all(map(_is_number, trial.values)):
        return f"its objectives {trial.values} are not {len(study.objectives)} finite numbers"
    if set(trial.constraints) != {"feasible"} or not all(map(_is_number, trial.constraints.values())):
        return "it does not say whether it is feasible"
    for name in FIGURES:
        if not _is_number(trial.user_attrs.get(name)):
            return f"{name} is {trial.user_attrs.get(name)!r}, not a number"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
