"""Arrays by name: what an answer is before it is a Dataset.  That is made where Python asks, not for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

#: names of the axes of an array, and the array
Variable = tuple[tuple[str, ...], npt.NDArray[Any]]


@dataclass(frozen=True)
class Figures:
    """Arrays by name over labelled axes, the labels of each axis, and what stands behind them as text."""

    variables: Mapping[str, Variable]
    labels: Mapping[str, Any]
    attributes: Mapping[str, str]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.variables[name][1]

    def over(self, name: str, *axes: str) -> npt.NDArray[Any]:
        """Return an array with its axes in the order named, which names all of them."""
        dims, values = self.variables[name]
        return np.transpose(values, [dims.index(axis) for axis in axes])

    def dataset(self) -> xr.Dataset:
        """Return the same as a Dataset."""
        import xarray as xr

        return xr.Dataset(dict(self.variables), coords=dict(self.labels), attrs=dict(self.attributes))
