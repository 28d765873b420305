"""Files as a disk, an editor or a colleague may leave them: cut off, letters exchanged, values of another type."""

from __future__ import annotations

import random
import re

VALUES = (b"NaN", b"nan", b"Infinity", b"-1", b'"x"', b"true", b"[]", b"{}", b"1e400", b"0", b"null", b"7", b"1e-320")
_VALUE = re.compile(rb"-?\d+\.?\d*(e-?\d+)?|\"[^\"]*\"|true|null")


def mutated(text: bytes, rng: random.Random) -> bytes:
    """Return a text with one or two faults."""
    raw = bytearray(text)
    kind = rng.random()
    if kind < 0.2:
        return text[: rng.randrange(len(text))]
    if kind < 0.5:
        for _ in range(rng.randrange(1, 3)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw)
    found = rng.choice(list(_VALUE.finditer(text)))
    raw[found.start() : found.end()] = rng.choice(VALUES)
    return bytes(raw)
