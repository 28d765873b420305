"""One block of chips: evaluated, and reduced to what is kept of it; here or on a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.chips import Source
from accelmodel.dse.enumeration.harvest import Wanted, reap
from accelmodel.dse.evaluation.evaluate import judged
from accelmodel.dse.studies.study import Study
from accelmodel.errors import SpecError
from accelmodel.laws.jit import running
from accelmodel.specs.load import load
from accelmodel.sweeps.grid import Arrays


@dataclass(frozen=True, eq=False)
class Blocks:
    """The chips of a study, block by block, and what is asked of them.

    Attributes
    ----------
    models : mapping
        Model → digest of its file, which workers must have too.
    """

    study: Study
    parts: Parts
    wanted: Wanted
    source: Source
    models: Mapping[str, str]


def blocks_of(study: Study, parts: Parts, wanted: Wanted, source: Source) -> Blocks:
    """Return the chips of a study block by block, with the digests of the models that they serve."""
    return Blocks(study, parts, wanted, source, {name: load("model", name).digest for name in study.models})


def arrays_of(blocks: Blocks, number: int) -> Arrays:
    """Return ``wanted.variables`` of a block over (technique, chips), or over the chips alone where all are alike.

    Raises
    ------
    SpecError
        If this worker has other models under the same names.
    """
    for name, digest in blocks.models.items():
        if load("model", name).digest != digest:
            raise SpecError(f"a worker has another file of model {name}; let all of them see the same files")
    # one form for all, so that last digits do not depend on where and when a block is
    with running("compiled"):
        found = judged(blocks.study, blocks.parts, blocks.wanted.variables, **blocks.source.given(number))
    sizes = dict(zip(blocks.source.dims(number), blocks.source.within(number), strict=True))
    arrays: Arrays = {}
    for name in blocks.wanted.variables:
        variable: Any = found[name].variable
        each = {"technique": len(blocks.wanted.techniques)} if "technique" in variable.dims else {}
        arrays[name] = variable.set_dims({**each, **sizes}).values
    return arrays


def reaped(blocks: Blocks, number: int) -> Arrays:
    """Return what is kept of a block, without the block."""
    return reap(blocks.wanted, blocks.source, number, arrays_of(blocks, number))
