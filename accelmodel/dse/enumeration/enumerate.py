"""Every chip of a space, or a sample of them: the best, what each axis gives, the front, and what limits exclude.

How much is looked at is a choice: all, some at random with what they prove, or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.blocks import Blocks, blocks_of, reaped
from accelmodel.dse.enumeration.blocksize import block_of
from accelmodel.dse.enumeration.certificate import CONFIDENCE, certify
from accelmodel.dse.enumeration.chips import Source, continuous, plain, sample, whole
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.enumeration.front_file import dataset
from accelmodel.dse.enumeration.harvest import Harvest, wanted
from accelmodel.dse.enumeration.keeping import is_front, kept, kept_front
from accelmodel.dse.enumeration.plan import Plan, planned
from accelmodel.dse.enumeration.rows import Row, rows_of
from accelmodel.dse.evaluation.misses import Misses
from accelmodel.dse.studies.space import size
from accelmodel.dse.studies.study import Study
from accelmodel.errors import Infeasible, SpecError
from accelmodel.inference.run import cores
from accelmodel.sweeps.formats import write_dataset
from accelmodel.sweeps.grid import Arrays
from accelmodel.sweeps.spread import computed

#: chips of a part of a sample
SAMPLED = 2**17
Count = Callable[[int], None]


def no_progress(done: int) -> None:
    """Progress that nobody watches."""


def enumerate_space(
    study: Study,
    parts: Parts,
    progress: Count = no_progress,
    *,
    way: str | Plan = "all",
    keep: str | Path | None = None,
    scheduler: str | None = None,
    confidence: float = CONFIDENCE,
    block: int | None = None,
) -> Enumeration:
    """Look at the chips of a space, a block at a time, and keep the best, the curves and the front.

    Parameters
    ----------
    study : Study
    parts : Parts
    progress : callable
        Called with the number of chips done since the last call.
    way : str or Plan
        ``"all"``; ``"sample"`` or ``"sample=N"``; ``"none"``; ``"auto"``: all where that takes minutes, else a sample.
    keep : path, optional
        ``.zarr``, ``.nc`` or ``.csv``: every chip is kept there, block by block; the same call goes on where one before
        it ended.  ``.front.zarr`` or ``.front.nc``: so are the best, the curves and the front alone.
    scheduler : str, optional
        Address of a Dask scheduler whose workers evaluate the blocks.
    confidence : float
        Probability with which what a sample proves must hold [1].
    block : int, optional
        Chips evaluated at once [1].

    Returns
    -------
    Enumeration
        The same, byte for byte, however many workers there are and wherever it was interrupted.

    Raises
    ------
    SpecError
        If the way is unknown, it takes too long, or the file cannot be written.
    Infeasible
        If no chip that was looked at keeps to the limits; names the limit that most miss.
    """
    keep = None if keep is None else Path(keep)
    plan = way
    if not isinstance(plan, Plan):
        plan = planned(study, parts, plan, kept=keep is not None, scheduler=scheduler is not None)
    if keep is not None and plan.way != "all":
        raise SpecError(f"{keep}: all chips are kept, or none; leave --keep out, or look at all with --enumerate all")
    after = wanted(study)
    if plan.way == "none":
        return Enumeration(plan, size(study), 0, 0, {}, {}, {}, after.front, Misses(), _lead(study))
    source: Source = whole(study, block)
    if plan.way == "sample":
        source = sample(study, plan.count, study.study.seed, block or min(SAMPLED, block_of(study)))
    blocks = blocks_of(study, parts, after, source)
    progress(0)
    if keep is None:
        found = _together(blocks, _computed(blocks, scheduler, progress), plan)
    elif is_front(keep):
        with kept_front(blocks, keep, scheduler, progress) as (folder, each):
            found = _together(blocks, each, plan)
            write_dataset(dataset(study, found), keep, folder)
    else:
        found = _together(blocks, kept(blocks, keep, scheduler, progress), plan)
    proved = None
    if plan.way == "sample":
        proved = certify(math.inf if continuous(study) else size(study), plan.count, confidence)
    return replace(found, certificate=proved, kept=str(keep or ""))


def _computed(blocks: Blocks, scheduler: str | None, progress: Count) -> Iterator[tuple[int, Arrays]]:
    """Yield what is kept of each block as it is done."""
    source = blocks.source
    numbers = list(range(source.chunks))
    workers = min(cores(), len(numbers))
    for number, found in computed(partial(reaped, blocks), numbers, workers, scheduler, threads=True):
        yield number, found
        progress(math.prod(source.within(number)))


def _together(blocks: Blocks, found: Iterable[tuple[int, Arrays]], plan: Plan) -> Enumeration:
    """Return what all blocks give together; raise Infeasible where no chip keeps to the limits."""
    harvest = Harvest(blocks.wanted, blocks.source)
    for number, each in found:
        harvest.add(number, each)
    misses = _misses(blocks, harvest)
    if not np.isfinite(harvest.best).any():
        error = misses.error(blocks.study)
        if plan.way == "sample":
            raise Infeasible(f"{error}; these were drawn at random: draw more, or look at all with --enumerate all")
        raise error
    return _gathered(blocks, harvest, misses, plan)


def _misses(blocks: Blocks, harvest: Harvest) -> Misses:
    """Return what limits exclude, with the chip that comes nearest to keeping all."""
    limits = harvest.wanted.limits
    (rows,) = _rows(blocks, harvest.nearest_chip).values()
    excesses = {name: min(row[f"excess_{name}"] for row in rows.values()) for name in limits}
    axes = {name: plain(values[0]) for name, values in harvest.source.values(harvest.nearest_chip).items()}
    return Misses(
        harvest.source.size,
        dict(zip(limits, harvest.excluded.tolist(), strict=True)),
        dict(zip(limits, harvest.alone.tolist(), strict=True)),
        dict(zip(limits, harvest.least.tolist(), strict=True)),
        {**axes, **{f"excess_{name}": excess for name, excess in excesses.items()}},
        float(harvest.nearest[0]),
    )


def _gathered(blocks: Blocks, harvest: Harvest, misses: Misses, plan: Plan) -> Enumeration:
    """Return a harvest in rows of chips."""
    study, techniques = blocks.study, harvest.wanted.techniques
    front = harvest.front()
    best = {
        name: int(chip)
        for name, chip, score in zip(techniques, harvest.best_chip, harvest.best, strict=True)
        if np.isfinite(score)
    }
    rows = _rows(blocks, np.unique(np.concatenate([np.array([*best.values()], dtype=np.int64), *front.values()])))
    direction = harvest.wanted.signs[harvest.wanted.headline]
    curves = {
        axis: (
            harvest.source.curves[axis].tolist(),
            {name: _told(direction * own) for name, own in zip(techniques, scores, strict=True)},
        )
        for axis, scores in harvest.along.items()
    }
    return Enumeration(
        plan=plan,
        chips=size(study),
        evaluated=harvest.source.size,
        feasible=int(harvest.feasible[0]),
        best={name: rows[chip][name] for name, chip in best.items()},
        curves=curves,
        front={name: [rows[chip][name] for chip in chips.tolist()] for name, chips in front.items()},
        front_by=harvest.wanted.front,
        misses=misses,
        axis=_lead(study),
    )


def _lead(study: Study) -> str:
    return study.axis or next(iter(study.axes()))


def _told(values: Any) -> list[float]:
    """Return the best at each value of an axis; NaN where there is none."""
    return [float(value) if np.isfinite(value) else math.nan for value in values]


def _rows(blocks: Blocks, chips: Any) -> dict[int, dict[str, Row]]:
    """Return number of a chip → technique → everything about it."""
    found = rows_of(blocks.study, blocks.parts, blocks.source.values(chips))
    return dict(zip(chips.tolist(), found, strict=True))
