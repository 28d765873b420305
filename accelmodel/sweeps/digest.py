"""What stands behind the numbers of a sweep, as one short text: the same text means the same numbers."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from accelmodel.specs import facts
from accelmodel.sweeps.grid import Grid

_PACKAGE = Path(__file__).resolve().parents[1]
#: letters of a digest
LENGTH = 16


@cache
def sources() -> str:
    """Return the digest of the package's own code and of the facts that every answer rests on."""
    made = hashlib.sha256()
    for path in sorted([*_PACKAGE.rglob("*.py"), *facts.root().glob("*.toml")]):
        made.update(path.name.encode() + path.read_bytes())
    return made.hexdigest()


@cache
def _prices() -> str:
    """Return the digest of everything that is rented: instances, their devices and links, engines, price lists."""
    made = hashlib.sha256()
    for path in sorted(path for path in facts.root().rglob("*") if path.suffix in (".toml", ".csv")):
        made.update(path.name.encode() + path.read_bytes())
    return made.hexdigest()


def digest_of(grid: Grid) -> str:
    """Return what identifies the numbers of a grid, chunk by chunk.

    Version and code of the package, the question with its values in SI, how it is cut, and the digest of each
    specification, calibrated constants included; not its title, nor where it is written.
    """
    from accelmodel import __version__

    question = grid.question
    behind = {
        "version": __version__,
        "sources": sources(),
        "prices": _prices() if question.head.command == "instances" else "",
        "command": question.head.command,
        "axes": [[axis.field.full, axis.values.tolist()] for axis in question.axes],
        "fixed": sorted([field.full, str(value)] for field, value in question.fixed.items()),
        "specs": sorted([part, word, spec.name, spec.digest] for (part, word), spec in question.specs.items()),
        "cut": grid.lengths,
    }
    return hashlib.sha256(json.dumps(behind).encode()).hexdigest()[:LENGTH]
