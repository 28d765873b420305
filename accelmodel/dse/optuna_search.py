"""Searching a design space with Optuna: ask in batches, evaluate a batch in one call, store it in bulk.

The sampler works on a study in memory, since asking a file for every trial costs more than the model by
orders of magnitude; each finished batch goes to a journal file, which ``optuna-dashboard`` opens as it
is and from which an interrupted search resumes.
"""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from accelmodel.dse.chip import Parts
from accelmodel.dse.enumeration import Count, evaluate, no_progress
from accelmodel.dse.study import OBJECTIVES, Study
from accelmodel.errors import Infeasible, SpecError

if TYPE_CHECKING:
    import optuna

#: chips asked for at once: large enough that the model's call costs less than the sampler
BATCH = 32
#: how long to wait for another process that writes to the same file [s]
PATIENCE = 5.0
#: how a line of a journal starts
_FIRST = b'{"op_code":'


@dataclass(frozen=True)
class Found:
    """What a search found: best chip and its objectives, and how many trials stand behind it."""

    best: dict[str, float]
    trials: int
    resumed: int
    storage: str
    name: str


def distributions(study: Study) -> dict[str, optuna.distributions.BaseDistribution]:
    """Return Optuna's view of the space: evenly spaced axes as stepped floats, others as categories."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    space: dict[str, BaseDistribution] = {}
    for name, values in study.axes().items():
        steps = np.diff(values)
        if len(values) > 1 and np.allclose(steps, steps[0]):
            space[name] = FloatDistribution(float(values[0]), float(values[-1]), step=float(steps[0]))
        else:
            space[name] = CategoricalDistribution([float(value) for value in values])
    return space


def _mend(storage: Path) -> None:
    """Cut off a last line that a killed process left unfinished; leave alone, with an error, what is no journal."""
    content = storage.read_bytes() if storage.is_file() else b""
    if content and not content.startswith(_FIRST):
        raise ValueError("does not start like a journal")
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(storage, whole)


def _open(storage: Path, name: str) -> optuna.Study:
    """Return the study in its journal file; SpecError if the file is locked, unwritable or no journal."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    lock = Path(f"{storage}.lock")
    waited = 0.0
    while lock.exists():
        if waited >= PATIENCE:
            raise SpecError(
                f"{storage}: locked by another process for over {PATIENCE:g} s; wait for it, or delete {lock} "
                "if no process uses the study"
            )
        time.sleep(0.1)
        waited += 0.1
    try:
        _mend(storage)
        backend = JournalFileBackend(str(storage), lock_obj=JournalFileOpenLock(str(storage)))
        return optuna.create_study(
            storage=JournalStorage(backend),
            study_name=name,
            directions=["maximize"] * len(OBJECTIVES),
            load_if_exists=True,
        )
    except OSError as error:
        raise SpecError(
            f"{storage}: cannot be written ({error.strerror}); choose another place with --storage"
        ) from None
    except Exception as error:
        raise SpecError(
            f"{storage}: is not a readable Optuna journal ({type(error).__name__}); move it away or choose another "
            "place with --storage"
        ) from None


def _ordered(study: Study) -> list[str]:
    """Objectives, the study's own first."""
    first = study.study.objective
    return [first, *(name for name in OBJECTIVES if name != first)]


def optimise(
    study: Study, parts: Parts, technique: str, storage: Path, trials: int, progress: Count = no_progress
) -> Found:
    """Search the space for one technique until the study holds ``trials`` trials.

    Parameters
    ----------
    study : Study
    parts : Parts
    technique : str
        One of the study's.
    storage : Path
        Journal file; made if it is not there, resumed if it is.
    trials : int
        Trials wanted in all, those of earlier runs included.
    progress : callable
        Called with the number of trials done since the last call.

    Raises
    ------
    SpecError
        If the file is locked, cannot be written, or is no journal.
    Infeasible
        If no trial kept to the constraints.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = f"{study.name}/{technique}/{study.study.objective}/{study.digest}"
    kept = _open(storage, name)
    done = kept.get_trials(deepcopy=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        kept.set_metric_names(_ordered(study))
        sampler = optuna.samplers.TPESampler(seed=study.study.seed + len(done))
    memory = optuna.create_study(directions=["maximize"] * len(OBJECTIVES), sampler=sampler)
    memory.add_trials(done)
    progress(min(len(done), trials))
    for start in range(len(done), trials, BATCH):
        asked = [memory.ask(distributions(study)) for _ in range(min(BATCH, trials - start))]
        _run_batch(study, parts, technique, memory, asked)
        kept.add_trials(memory.get_trials(deepcopy=False)[start : start + len(asked)])
        progress(len(asked))
    return _best(study, memory, len(done), storage, name)


def _run_batch(study: Study, parts: Parts, technique: str, memory: optuna.Study, asked: list[optuna.Trial]) -> None:
    import xarray as xr

    chips = {axis: xr.DataArray([trial.params[axis] for trial in asked], dims="design") for axis in study.axes()}
    result = evaluate(study, parts, **chips).sel(technique=technique)
    for i, trial in enumerate(asked):
        trial.set_constraint("feasible", 0.0 if bool(result.feasible[i]) else 1.0)
        for figure in ("throughput", "die_area", "power", "price"):
            trial.set_user_attr(figure, float(np.broadcast_to(result[figure].values, len(asked))[i]))
        memory.tell(trial, [float(result[objective].values[i]) for objective in _ordered(study)])


def _best(study: Study, memory: optuna.Study, resumed: int, storage: Path, name: str) -> Found:
    complete = [trial for trial in memory.get_trials(deepcopy=False) if trial.values is not None]
    allowed = [trial for trial in complete if all(value <= 0.0 for value in trial.constraints.values())]
    if not allowed:
        raise Infeasible(f"study {study.name}: none of {len(complete)} trials kept to the constraints; raise --trials")
    top = max(allowed, key=lambda trial: trial.values[0])
    best = {**top.params, **dict(zip(_ordered(study), top.values, strict=True)), **top.user_attrs}
    return Found(best, len(complete), resumed, str(storage), name)
