"""The roofline (Williams, Waterman and Patterson, CACM 52(4), 2009), plain and as operators of the step meet it."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelmodel.laws.jit import law


def roofline(flops: Any, peak: Any, moved: Any, bandwidth: Any, more: Any = 0.0) -> Any:
    """Longer of computing at the peak and of moving every byte once at the bandwidth [s]; numbers or arrays.

    The yardstick that the laws are held against; ``more`` is a fixed time on the memory's side [s].

    Examples
    --------
    2 GFLOP at 1 TFLOP/s take 2 ms, 4 GB at 1 TB/s take 4 ms:

    >>> float(roofline(2e9, 1e12, 4e9, 1e12))
    0.004
    """
    return np.maximum(flops / peak, moved / bandwidth + more)


@law
def stream_time(hot: float, cold: float, l2_time: float, hbm_time: float) -> float:
    """Time to stream an operand of which ``hot`` bytes lie in L2 and ``cold`` bytes in HBM [s], by the times of a byte.

    One after the other, as an operand is read in address order and prefetched from its beginning.
    """
    return hot * l2_time + cold * hbm_time


@law
def body_time(on_chip: float, memory: float, exposed: float) -> float:
    """Time of an operator without its launch [s]: the longer of its two parts, and what of the shorter shows."""
    return max(on_chip, memory) + exposed * min(on_chip, memory)
