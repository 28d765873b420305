"""Parts of a device beside its cores and caches: what joins its dies, and a second memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from accelmodel.errors import unknown
from accelmodel.specs.base import CONFIG, Section
from accelmodel.specs.quantities import ByteRateOrNone, Bytes, FlopRateOrNone, Seconds, Share

#: what may lie in a second memory
HELD = ("kv", "weights", "experts")


def some(value: Any) -> bool:
    """Whether a number is above 0, along an axis everywhere."""
    return bool(np.all(np.asarray(value) > 0.0))


def none(value: Any) -> bool:
    """Whether a number is 0."""
    return not bool(np.any(np.asarray(value)))


@dataclass(frozen=True, config=CONFIG)
class DieToDie(Section):
    """What joins the dies of a device, or the sockets of a server: none where ``bandwidth`` is 0.

    ``bandwidth`` goes into one die, from all others together.  What is ``interleaved`` lies evenly over all dies, so
    that of it ``1 - 1 / dies`` crosses; the rest was placed where it is read.
    """

    bandwidth: ByteRateOrNone = 0.0
    latency: Seconds = 0.0
    interleaved: Share = 1.0

    def __post_init__(self) -> None:
        if none(self.bandwidth) and not none(self.latency):
            raise ValueError("latency is given and bandwidth is not; give both, or neither")


@dataclass(frozen=True, config=CONFIG)
class Tier(Section):
    """A second memory of a device, with or without compute in it: none where it ``holds`` nothing.

    All of what it ``holds`` lies there: ``kv`` (keys and values), ``weights`` (of all layers) or ``experts`` (the
    routed ones).  ``bandwidth`` is that at which it is read: by the chip, or where it has ``compute`` by that.
    """

    name: str = ""
    holds: str = ""
    capacity: Bytes = 0.0
    bandwidth: ByteRateOrNone = 0.0
    compute: FlopRateOrNone = 0.0

    def __post_init__(self) -> None:
        if not self.holds:
            for name in ("capacity", "bandwidth", "compute"):
                if not none(getattr(self, name)):
                    raise ValueError(f"{name} is given and holds is not; say what lies there: {', '.join(HELD)}")
            return
        if self.holds not in HELD:
            raise unknown("what a tier holds", self.holds, HELD)
        for name in ("capacity", "bandwidth"):
            if not some(getattr(self, name)):
                raise ValueError(f"{name} is missing, or 0; add it, or take all of [tier] away")
        if not none(self.compute) and not some(self.compute):
            raise ValueError("compute is 0 at some points and not at others; ask for each by itself")
        if self.holds != "kv" and not none(self.compute):
            raise ValueError(
                f"compute is given and holds is {self.holds!r}; only attention is computed there: holds = 'kv'"
            )
