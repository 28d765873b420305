"""Times of measured collectives, each called by whom measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.inference import operator_time
from accelmodel.inference.calls import called
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.link import CALLERS

if TYPE_CHECKING:
    import pandas as pd

#: collectives by kernels of serving engines; all others are by the libraries of the devices' makers
BY_ENGINES = "custom all-reduce"
#: framework whose engine goes through a memory that all devices see, where a switch adds up
THROUGH_MEMORY = "vLLM"


def exchange_times(kind: str, frame: pd.DataFrame, given: operator_time.Columns, chip: Cluster) -> Any:
    """Return the times of the rows of a frame on a cluster [s], in a graph; axes of the cluster follow the rows.

    Parameters
    ----------
    kind : str
        Of ``aiconfigurator.SHAPES``.
    frame : DataFrame
        With ``source`` and ``devices``.
    given : mapping
        The operators that its rows describe.
    """
    if kind != BY_ENGINES:
        return operator_time.timed(given, called(chip, "library", "graph")).time
    ranks = frame["devices"].to_numpy(dtype=float)
    calls = (called(chip, by, "graph") for by in CALLERS[:2])
    engine, shared = (operator_time.exchanged(given, each, ranks).time for each in calls)
    through = frame["source"].str.startswith(THROUGH_MEMORY).to_numpy()
    return np.where(through.reshape(-1, *[1] * (engine.ndim - 1)), shared, engine)
