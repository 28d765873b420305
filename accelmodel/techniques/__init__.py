"""Techniques: one paper each.  A technique is a policy on the timeline; "none" is one too."""

from __future__ import annotations

from collections.abc import Callable

from accelmodel.errors import SpecError, unknown
from accelmodel.laws.timeline import NO_PREFETCH, RULES
from accelmodel.laws.vectors import Policy


def none(threshold: float = 1.0, rule: str = "paper") -> Policy:
    """Nothing runs beside the operators."""
    return Policy(NO_PREFETCH, 1.0, 0.0)


def fused(threshold: float = 1.0, rule: str = "paper") -> Policy:
    """Products that end in an all-reduce are cut and overlapped with it: the paper's other baseline."""
    return Policy(NO_PREFETCH, 1.0, 1.0)


def preserve(threshold: float = 1.0, rule: str = "paper") -> Policy:
    """Weights and KV cache are prefetched into L2 while collectives run (arXiv 2501.08192).

    Parameters
    ----------
    threshold : float
        Share of usable L2 that one window's prefetches may fill [1].
    rule : {"paper", "partial", "best-fit"}
        How operands are admitted; see ``laws.timeline``.
    """
    if rule not in RULES:
        raise unknown("admission rule", rule, RULES)
    if not 0.0 <= threshold <= 16.0:
        raise SpecError(f"threshold {threshold:g} must be a share of usable L2 from 0 to 16")
    return Policy(RULES[rule], threshold, 0.0)


TECHNIQUES: dict[str, Callable[..., Policy]] = {"none": none, "fused": fused, "preserve": preserve}


def policy(name: str, threshold: float = 1.0, rule: str = "paper") -> Policy:
    """Return the policy of a technique by name; raises SpecError with the closest match."""
    if name not in TECHNIQUES:
        raise unknown("technique", name, TECHNIQUES)
    return TECHNIQUES[name](threshold=threshold, rule=rule)
