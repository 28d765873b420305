"""Techniques: one paper each.  A technique is a policy on the timeline; "none" is one too."""

from __future__ import annotations

from collections.abc import Callable

from accelmodel.errors import unknown
from accelmodel.inference.preserve import preserve
from accelmodel.laws.prefetch import NO_PREFETCH
from accelmodel.laws.types import Policy


def none(threshold: float = 1.0, rule: str = "paper") -> Policy:
    """Nothing runs beside the operators."""
    return Policy(NO_PREFETCH, 1.0, 0.0)


def fused(threshold: float = 1.0, rule: str = "paper") -> Policy:
    """Matmuls that end in an all-reduce are cut and overlapped with it: the paper's other baseline."""
    return Policy(NO_PREFETCH, 1.0, 1.0)


TECHNIQUES: dict[str, Callable[..., Policy]] = {"none": none, "fused": fused, "preserve": preserve}


def policy(name: str, threshold: float = 1.0, rule: str = "paper") -> Policy:
    """Return the policy of a technique by name; raises SpecError with the closest match."""
    if name not in TECHNIQUES:
        raise unknown("technique", name, TECHNIQUES)
    return TECHNIQUES[name](threshold=threshold, rule=rule)
