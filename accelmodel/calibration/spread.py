"""Between which factors of the predicted time nine tenths of measured times lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.specs.base import Residual

if TYPE_CHECKING:
    import pandas as pd

#: what an interval leaves out on either side
TAIL = 0.05
#: what it leaves out on either side of one source at most: nobody says whose kernels run
OF_ONE = 0.075
_PLACES = np.linspace(0.0, 1.0, 1001)


def ends(parts: Iterable[Any], *, each: float = OF_ONE) -> tuple[float, float]:
    """Return the factors between which nine tenths of all ratios lie, each part counting the same.

    So far apart that of no part more than ``each`` lies beyond either.  Of times that were not looked at: of n that
    were, such a one lies between two neighbours, and beyond the last on either side, with probability 1 / (n + 1)
    (split conformal prediction: Vovk et al., 2005).

    Parameters
    ----------
    parts : iterable of ndarray
        Measured over predicted times, those of one source each.
    each : float
        0.5 and more: no part is looked at alone.

    Examples
    --------
    >>> ends([np.linspace(0.0, 2.0, 100_001)])
    (0.1, 1.9)
    """
    found = [np.asarray(part) for part in parts]
    count = sum(map(len, found))
    pooled = np.concatenate([np.quantile(part, _PLACES) for part in found])
    beyond = max(TAIL - (1.0 - TAIL) / count, 0.0)
    lower, upper = np.quantile(pooled, [beyond, 1.0 - beyond])
    alone = [np.quantile(part, [min(each, 0.5), 1.0 - min(each, 0.5)]) for part in found]
    lower = min(lower, *(low for low, _ in alone))
    upper = max(upper, *(high for _, high in alone))
    return round(float(lower), 4), round(float(upper), 4)


def around(kind: str, frame: pd.DataFrame, times: Any) -> tuple[Residual, ...]:
    """Return how measured times of rows lie around predicted ones, by precision; each source counts the same."""
    found = []
    for bits, group in frame.assign(ratio=frame["time"].to_numpy() / times).groupby("bits"):
        lower, upper = ends(part.to_numpy() for _, part in group.groupby("source")["ratio"])
        found.append(Residual(kind, float(bits), lower, upper, len(group)))
    return tuple(found)
