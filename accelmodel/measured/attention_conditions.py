"""What the measured attention was: what of its data was in L2, and what was written to the cache before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time as kernels
from accelmodel.laws.l2cache import resident_share
from accelmodel.specs.schema import Device

if TYPE_CHECKING:
    import pandas as pd

#: share of the bandwidth at which new keys and values go to the paged cache (prefill of vLLM: 0.4 on H100 and B200,
#: 0.65 on A100, 0.8 on L40S)
WRITING = 0.6


def held(touched: Any, device: Device) -> Any:
    """Return the share of bytes that a measurement finds in L2 which touches as many time after time."""
    found = np.vectorize(resident_share, otypes=[float])
    return found(touched, float(device.l2_capacity * device.l2_usable), float(device.l2_ways))


def warmth(given: kernels.Columns, device: Device) -> Any:
    """Return the share of its bytes that attention finds in L2 where a measurement repeats it on the same data."""
    return held(
        sum(np.asarray(given[name], dtype=float) for name in ("weight_bytes", "input_bytes", "output_bytes")), device
    )


def writing(size: Any, found: Any, device: Device) -> Any:
    """Return the time to write ``size`` bytes to the paged cache, of which a share is found in L2 [s]."""
    pace = found / device.l2_bandwidth + (1.0 - found) / (device.hbm_bandwidth * device.hbm_share)
    return np.asarray(size, dtype=float) * pace / WRITING


def cache_write(frame: pd.DataFrame, found: Any, device: Device) -> Any:
    """Return the time in which new keys and values go to the paged cache before attention is computed [s].

    The measured calls of prefill begin with it; those of TensorRT-LLM rotate the queries too.  ``found`` is the share
    of their bytes that lies in L2.
    """
    width = frame["batch"] * frame["head_dim"] * frame["context"]
    rotated = frame["source"].str.startswith("TensorRT-LLM") * frame["heads"] * 4.0
    return writing(width * (2.0 * frame["kv_heads"] * (2.0 + frame["bits"] / 8.0) + rotated), found, device)
