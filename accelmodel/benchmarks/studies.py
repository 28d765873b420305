"""Speed of whole studies: every chip of a space with steps, costs, limits, best and front, as ``explore`` looks at it.

The space has 10⁸ chips: one model, fixed software, decode, with prefetching and without.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from accelmodel.dse.enumeration.blocks import blocks_of, reaped
from accelmodel.dse.enumeration.chips import whole
from accelmodel.dse.enumeration.harvest import Harvest, wanted
from accelmodel.dse.evaluation.chip import parts_of_study
from accelmodel.dse.studies.ranges import Range
from accelmodel.dse.studies.study import Study, load_study
from accelmodel.inference.run import cores
from accelmodel.sweeps.spread import computed

#: axes: 500 x 8 x 50 x 500 chips
SPACE = {
    "l2_capacity": ("1MB", "500MB", "1MB"),
    "hbm_stacks": ("1", "8", "1"),
    "cores": ("8", "57", "1"),
    "link_bandwidth": ("1GB/s", "500GB/s", "1GB/s"),
}


def large(space: dict[str, tuple[str, str, str]] = SPACE) -> Study:
    """Return the shipped study over another space, with one model and fixed software, in decode."""
    study = load_study("preserve-l2")
    ranges = {
        name: Range.model_validate(dict(zip(("from", "to", "step"), each, strict=True))) for name, each in space.items()
    }
    workload = study.workload.model_copy(update={"models": ["llama-3-70b"], "phase": "decode"})
    software = study.software.model_copy(update={"threshold": [1.0], "rule": (study.software.rule or ["partial"])[:1]})
    return study.model_copy(update={"space": ranges, "workload": workload, "software": software})


def measure(seconds: float, *, full: bool = False, study: Study | None = None) -> dict[str, Any]:
    """Look at chips of the space on all cores, block by block.

    Parameters
    ----------
    seconds : float
        How long to go on unless ``full`` [s]; blocks are spread over the space.
    full : bool
        Look at all of them.
    study : Study, optional
        Another study.

    Returns
    -------
    dict
        ``chips``, ``chips_evaluated``, ``whole_s`` and its ``kind`` (measured or extrapolated), ``chips_per_s``,
        ``cpu_s_per_million``: time on one core for 10⁶ chips, ``cores``.
    """
    study = study or large()
    source = whole(study)
    blocks = blocks_of(study, parts_of_study(study), wanted(study), source)
    harvest = Harvest(blocks.wanted, source)
    task = partial(reaped, blocks)
    task(0)  # compiles
    order = np.arange(source.chunks) if full else np.random.default_rng(0).permutation(source.chunks)
    evaluated = 0
    begun, used = time.perf_counter(), time.process_time()
    for start in range(0, len(order), cores()):
        for number, found in computed(task, order[start : start + cores()].tolist(), cores(), threads=True):
            harvest.add(number, found)
            evaluated += int(np.prod(source.within(number)))
        if not full and time.perf_counter() - begun >= seconds:
            break
    harvest.front()
    taken, used = time.perf_counter() - begun, time.process_time() - used
    return {
        "chips": source.size,
        "chips_evaluated": evaluated,
        "whole_s": taken * source.size / evaluated,
        "kind": "measured" if evaluated == source.size else "extrapolated",
        "chips_per_s": evaluated / taken,
        "cpu_s_per_million": 1e6 * used / evaluated,
        "cores": cores(),
    }
