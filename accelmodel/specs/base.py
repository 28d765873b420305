"""What every specification carries: name, facts, digest, residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

import pydantic
from pydantic.dataclasses import dataclass

from accelmodel.specs.facts import Fact
from accelmodel.specs.quantities import (
    Number,
    Quantity,
)

CONFIG = pydantic.ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, config=CONFIG)
class Residual:
    """How measured times of one kind of operator lie around the predicted ones.

    Nine tenths of them lie between ``lower`` and ``upper`` times the prediction [1]; from ``rows`` measurements.
    """

    kind: str
    bits: Annotated[Number, Quantity(gt=0.0, le=64.0)]
    lower: Annotated[Number, Quantity(gt=0.0, le=100.0)]
    upper: Annotated[Number, Quantity(gt=0.0, le=100.0)]
    rows: int


@dataclass(frozen=True, config=CONFIG)
class Spec:
    """What every specification carries: its name, its facts by field, the digest of its file, and its residuals."""

    name: str
    residuals: tuple[Residual, ...] = field(default=(), repr=False, compare=False, kw_only=True)
    facts: Mapping[str, Fact] = field(default_factory=dict, repr=False, compare=False, kw_only=True)
    digest: str = field(default="", repr=False, compare=False, kw_only=True)
