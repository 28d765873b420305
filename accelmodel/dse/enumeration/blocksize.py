"""How many chips are evaluated at once: as many as labels are cheap for, and as few as memory holds."""

from __future__ import annotations

from accelmodel.dse.studies.software import policies
from accelmodel.dse.studies.study import Study
from accelmodel.inference.request import NODES

#: chips of a block at most: so many that labels cost less than numbers; and at least
BLOCK, LEAST = 2**20, 2**12
#: memory that a block may take [B]
ROOM = 8e8


def _steps_of_kinds(study: Study) -> list[int]:
    """Return how many steps are timed for a chip, of each kind of requests [1]."""
    software = study.software
    ways = len(software.tp or [1, 2, 4, 8]) * len(software.pp) * len(software.ep) * len(software.dp)
    techniques = sum(len(policies(study, technique)) for technique in study.techniques)
    return [
        ways * len(kind.batch) * len(kind.context) * (1 + NODES if kind.phase == "end-to-end" else 1) * techniques
        for kind in study.kinds()
    ]


def steps_of(study: Study) -> int:
    """Return how many steps are timed for a chip [1]; of degrees left to software about as many as there are."""
    return sum(_steps_of_kinds(study))


def bytes_of(study: Study) -> float:
    """Return what a chip takes while its block is evaluated [B]: numbers of its figures, and of each step of a kind."""
    return 8.0 * (40 + 12 * len(study.techniques) + 6 * max(_steps_of_kinds(study)))


def block_of(study: Study) -> int:
    """Return how many chips of a study are evaluated at once."""
    return int(min(BLOCK, max(LEAST, ROOM // bytes_of(study))))
