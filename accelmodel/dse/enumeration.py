"""Every chip of a space, or a sample of them: the best, what each axis gives, the front, and what limits exclude.

How much is looked at is a choice: all, some at random with what they prove, or none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.dse.blocks import Blocks, arrays_of, blocks_of, reaped
from accelmodel.dse.certificate import CONFIDENCE, Certificate, certify
from accelmodel.dse.chip import Parts
from accelmodel.dse.chips import BLOCK, Source, along_design, continuous, plain, runs, sample, whole
from accelmodel.dse.evaluate import evaluate
from accelmodel.dse.harvest import Harvest, Wanted
from accelmodel.dse.keeping import kept
from accelmodel.dse.misses import Misses
from accelmodel.dse.objectives import sign
from accelmodel.dse.space import size
from accelmodel.dse.study import Study
from accelmodel.errors import SpecError
from accelmodel.estimates import MOST_SECONDS, duration, memory
from accelmodel.inference.run import cores
from accelmodel.laws.jit import running
from accelmodel.sweeps.grid import Arrays
from accelmodel.sweeps.spread import computed
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: what may be looked at
WAYS = ("auto", "all", "sample", "none")
#: longest that all chips are looked at where nobody says how much [s], and the chips of a sample then
AUTO_SECONDS, SAMPLE = 600.0, 100_000
#: chips that are timed for the estimate: a few, and enough to see what one more takes
_FEW, _MANY = 2**10, 2**15
#: chips of which rows are made at once, and of a part of a sample
CHUNK, SAMPLED = 2**13, 2**17
#: chips from which compiling is worth it
_COMPILED = 64
Count = Callable[[int], None]
Row = dict[str, Any]


def no_progress(done: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Enumeration:
    """What is kept of the chips that were looked at, however many.

    Attributes
    ----------
    way : {"all", "sample", "none"}
        How much was looked at.
    chips : int
        Chips of the space; of axes without steps as many as would be looked at.
    evaluated, feasible : int
        Chips looked at, and those that keep to all limits with any technique.
    best : dict
        Technique → the best chip by the headline objective: its axes, figures and objectives, in SI.
    curves : dict
        Axis → its values, and technique → best headline at each; NaN where no chip keeps to the limits.
    front : dict
        Technique → rows of the chips that no other beats on all of ``front_by``.
    front_by : tuple of str
        The objectives of the study; of one objective it and the die area.
    misses : Misses
        What the limits exclude.
    axis : str
        The axis that answers of one axis speak of.
    certificate : Certificate or None
        What a sample proves.
    kept : str
        File that holds every chip; "" without.
    """

    way: str
    chips: int
    evaluated: int
    feasible: int
    best: dict[str, Row]
    curves: dict[str, tuple[list[Any], dict[str, list[float]]]]
    front: dict[str, list[Row]]
    front_by: tuple[str, ...]
    misses: Misses
    axis: str
    certificate: Certificate | None = None
    kept: str = ""

    @property
    def curve(self) -> dict[str, tuple[list[Any], list[float]]]:
        """Technique → values of ``axis``, and the best headline at each; 0 where no chip keeps to the limits."""
        values, best = self.curves[self.axis]
        return {name: (values, [0.0 if math.isnan(each) else each for each in own]) for name, own in best.items()}


@dataclass(frozen=True)
class Estimate:
    """What looking at chips takes: chips, time within a factor of three [s], memory [B]."""

    chips: int
    seconds: float
    bytes: float

    def words(self) -> str:
        """Return it in words.

        Examples
        --------
        >>> Estimate(1_000_000, 4.0, 5e8).words()
        '1,000,000 chips, about 4 s and 500 MB of memory'
        """
        return f"{self.chips:,} chips, about {duration(self.seconds)} and {show(self.bytes, 'B', 3)} of memory"


def wanted(study: Study) -> Wanted:
    """Return what an enumeration of a study is after."""
    front = front_of(study)
    signs = {name: sign(name) for name in (study.objective, *front)}
    return Wanted(tuple(study.techniques), study.objective, signs, front, (*study.limits(), "memory"))


def front_of(study: Study) -> tuple[str, ...]:
    """Return the objectives of a study's front; of a single one it and the die area, of a rate by area its parts."""
    if len(study.objectives) > 1:
        return tuple(study.objectives)
    if study.objective == "die_area":
        return ("die_area", "throughput")
    return ("die_area", "throughput" if study.objective == "throughput_per_area" else study.objective)


def asked(text: str) -> tuple[str, int | None]:
    """Return the way and, of a sample, how many chips.

    Raises
    ------
    SpecError
        If it is none of the ways, or no whole number of chips.

    Examples
    --------
    >>> asked("sample=5000"), asked("all")
    (('sample', 5000), ('all', None))
    """
    way, equals, count = text.partition("=")
    if way not in WAYS or (equals and way != "sample"):
        raise SpecError(f"enumerate: {text!r} is none of {', '.join(WAYS)}; a sample has a size: sample=10000")
    if not equals:
        return way, None
    try:
        number = float(count)
    except ValueError:
        number = 0.0
    if not (number.is_integer() and 1 <= number <= 1e9):
        raise SpecError(f"enumerate: {text!r}: a sample has 1 to 1e9 chips, such as sample=10000")
    return way, int(number)


def estimate(study: Study, parts: Parts, chips: int | None = None) -> Estimate:
    """Return what looking at so many chips takes, of all by default; some are timed for it.

    Raises
    ------
    SpecError
        If the study has a value that no chip can have.
    """
    total = size(study) if chips is None else chips
    source = whole(study)
    some = min(total, source.size)
    room = min(total, math.prod(source.lengths)) * _bytes_a_chip(study) * (cores() if source.chunks > 1 else 1)
    if some <= _FEW:
        return Estimate(total, 0.0, room)
    with running("compiled"):
        few, many = (_timed(study, parts, min(some, count)) for count in (_FEW, _MANY))
    a_chip = max(many - few, 0.1 * many) / max(min(some, _MANY) - _FEW, 1)
    return Estimate(total, few + a_chip * total, room)


def _timed(study: Study, parts: Parts, count: int) -> float:
    """Return how long so many chips take [s]: the quicker of two calls, the first of which may compile."""
    source = sample(study, count, 0, count)
    blocks = blocks_of(study, parts, wanted(study), source)
    taken = []
    for _ in range(2):
        begun = time.perf_counter()
        for number in range(source.chunks):
            arrays_of(blocks, number)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def _bytes_a_chip(study: Study) -> float:
    """Return what a chip takes while its block is evaluated [B]: numbers of figures, and of each choice of software."""
    return 8.0 * (40 + 12 * len(study.techniques))


def chosen(study: Study, parts: Parts, way: str, *, kept: bool = False, scheduler: bool = False) -> tuple[str, int]:
    """Return how chips are looked at, and how many; refuse what would take too long.

    Raises
    ------
    SpecError
        With the estimate, if it is over the limits.
    """
    name, count = asked(way)
    total = size(study)
    if name == "none":
        return name, 0
    if name == "sample":
        least = total if not continuous(study) else 10**9
        number = min(SAMPLE if count is None else count, least)
        _need(study, estimate(study, parts, number), kept=kept, scheduler=scheduler)
        return name, number
    expected = estimate(study, parts)
    if name == "auto" and expected.seconds > AUTO_SECONDS and not (kept or scheduler):
        return "sample", min(SAMPLE, total)
    _need(study, expected, kept=kept, scheduler=scheduler)
    return "all", total


def _need(study: Study, expected: Estimate, *, kept: bool, scheduler: bool) -> None:
    """Raise SpecError if looking at chips takes more than this machine has, or longer than anyone waits."""
    remedy = "narrow an axis, draw some with --enumerate sample, or leave it out with --enumerate none"
    if expected.bytes > memory():
        raise SpecError(
            f"study {study.name}: {expected.words()}, of which {show(memory(), 'B', 2)} may be taken; {remedy}"
        )
    if expected.seconds > MOST_SECONDS and not (kept or scheduler):
        raise SpecError(
            f"study {study.name}: {expected.words()}, at most {duration(MOST_SECONDS)}; {remedy}, or give --keep, so "
            "that it may go on after an end, or a --scheduler with workers"
        )


def enumerate_space(
    study: Study,
    parts: Parts,
    progress: Count = no_progress,
    *,
    way: str = "all",
    keep: Path | None = None,
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
    way : str
        ``"all"``; ``"sample"`` or ``"sample=N"``; ``"none"``; ``"auto"``: all where that takes minutes, else a sample.
    keep : path, optional
        ``.zarr`` or ``.nc``: every chip is kept there, block by block; the same call goes on where one before it ended.
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
    name, count = chosen(study, parts, way, kept=keep is not None, scheduler=scheduler is not None)
    after = wanted(study)
    if name == "none":
        return Enumeration(name, size(study), 0, 0, {}, {}, {}, after.front, Misses(), _lead(study))
    if name == "sample" and keep is not None:
        raise SpecError(f"{keep}: a sample is not kept; leave --keep out, or look at all with --enumerate all")
    source: Source = (
        whole(study, block or BLOCK) if name == "all" else sample(study, count, study.study.seed, block or SAMPLED)
    )
    blocks = blocks_of(study, parts, after, source, _form(source))
    harvest = Harvest(after, source)
    progress(0)
    for number, found in _blocks(blocks, keep, scheduler, progress):
        harvest.add(number, found)
    misses = _misses(blocks, harvest)
    if not np.isfinite(harvest.best).any():
        raise misses.error(study)
    proved = None
    if name == "sample":
        proved = certify(math.inf if continuous(study) else size(study), count, confidence)
    return replace(_gathered(blocks, harvest, misses, name), certificate=proved, kept=str(keep or ""))


def _blocks(blocks: Blocks, keep: Path | None, scheduler: str | None, progress: Count) -> Iterator[tuple[int, Arrays]]:
    """Yield what is kept of each block."""
    if keep is not None:
        yield from kept(blocks, keep, scheduler, progress)
        return
    source = blocks.source
    numbers = list(range(source.chunks))
    workers = min(cores(), len(numbers))
    for number, found in computed(partial(reaped, blocks), numbers, workers, scheduler, threads=True):
        yield number, found
        progress(math.prod(source.within(number)))


def _form(source: Source) -> str:
    """Return how the chips are computed: by compiled kernels where there are enough of them."""
    return "compiled" if source.size > _COMPILED else "interpreted"


def _misses(blocks: Blocks, harvest: Harvest) -> Misses:
    """Return what limits exclude, with the chip that comes nearest to keeping all."""
    limits, chip = harvest.wanted.limits, int(harvest.nearest_chip[0])
    rows = _rows(blocks, harvest.nearest_chip)[chip]
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


def _gathered(blocks: Blocks, harvest: Harvest, misses: Misses, way: str) -> Enumeration:
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
        way=way,
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
    columns = blocks.source.values(chips)
    order, parts = runs(columns, CHUNK)
    found: dict[int, dict[str, Row]] = {}
    for part in parts:
        own = {name: values[order[part]] for name, values in columns.items()}
        with running(blocks.form):
            result = evaluate(blocks.study, blocks.parts, **along_design(own))
        for technique in blocks.wanted.techniques:
            figures = _figures(result.sel(technique=technique), len(order[part]))
            for place, chip in enumerate(chips[order[part]].tolist()):
                axes = {name: plain(values[place]) for name, values in own.items()}
                found.setdefault(chip, {})[technique] = {
                    **axes,
                    **{name: values[place] for name, values in figures.items()},
                }
    return found


def _figures(result: xr.Dataset, count: int) -> dict[str, list[Any]]:
    """Return each variable as a list over chips; of one over models one for each, as ``chosen_tp.MODEL``."""
    found: dict[str, list[Any]] = {}
    for name, variable in result.data_vars.items():
        if name == "feasible":
            continue
        if "model" in variable.dims:
            each = {f"{name}.{model}": variable.sel(model=model) for model in variable["model"].values.tolist()}
        else:
            each = {str(name): variable}
        for label, values in each.items():
            found[label] = np.broadcast_to(values.values, (count,)).tolist()
    return found
