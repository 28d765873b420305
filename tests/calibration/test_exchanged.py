"""Measured collectives are timed as called by whom measured them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from accelmodel.calibration.exchanged import exchange_times
from accelmodel.inference import operator_time
from accelmodel.inference.single import collective
from accelmodel.specs.given import cluster


def test_each_row_by_its_own_software():
    chips = cluster("h100-sxm")
    sizes, devices = np.array([1024.0, 65536.0, 1024.0]), np.array([8.0, 4.0, 8.0])
    frame = pd.DataFrame({"source": ["vLLM 0.24.0", "SGLang 0.5.14", "SGLang 0.5.14"], "devices": devices})
    given = operator_time.collective("all-reduce", sizes, devices)
    found = exchange_times("custom all-reduce", frame, given, chips)
    callers = ("symmetric-memory", "engine", "engine")
    for time, size, ranks, by in zip(found, sizes, devices, callers, strict=True):
        assert time == float(collective(chips, size=size, devices=ranks, by=by).time)
    library = exchange_times("all-reduce", frame, given, chips)
    assert (library > found).all()
    assert library[1] == float(collective(chips, size=65536.0, devices=4.0, by="library").time)
