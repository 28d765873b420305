"""Fused kernels: matmuls cut into pieces whose reduction runs while the next piece is computed.

The other baseline of PRESERVE (arXiv 2501.08192, evaluation; second-hand).
"""

from __future__ import annotations

from accelmodel.laws.prefetch import NO_PREFETCH
from accelmodel.laws.types import Policy


def fused() -> Policy:
    """Return the policy under which matmuls that end in an all-reduce are cut and overlapped with it."""
    return Policy(NO_PREFETCH, 1.0, 1.0)
