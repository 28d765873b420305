"""What a numeric field of a specification may hold: an SI float within bounds, or a labelled axis."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from accelmodel.errors import brief
from accelmodel.laws.numeric import Number
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

#: what may be given for a number: a list or an array becomes a labelled axis, see ``labelled``
Values: TypeAlias = "float | Sequence[float] | npt.NDArray[Any] | xr.DataArray"


def labelled(name: str, value: Any) -> Any:
    """Return a list or an array as a labelled axis that has the name of what it is given for; all else as it is.

    Raises
    ------
    ValueError
        If it is empty, holds anything but numbers, or has several dimensions, which have no names.

    Examples
    --------
    >>> labelled("batch", [1, 2, 4]).dims
    ('batch',)
    >>> labelled("batch", 4)
    4
    """
    array = axis_of(value)
    if array is None:
        return value.item() if isinstance(value, np.ndarray | np.generic) else value
    import xarray as xr

    return xr.DataArray(array.astype(float), dims=name, coords={name: array})


def axis_of(value: Any) -> npt.NDArray[Any] | None:
    """Return the labels of the axis that a list or an array of one dimension is, None for a number and all else.

    Raises
    ------
    ValueError
        As ``labelled``.
    """
    if hasattr(value, "dims") or not isinstance(value, list | tuple | np.ndarray | np.generic):
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{brief(value)} holds what is not a number")
    if array.ndim == 0:
        return None
    if array.ndim > 1 or not array.size:
        raise ValueError(
            f"an array of shape {array.shape} has no labels for its axes; give one dimension, or an xarray.DataArray "
            "with named dimensions"
        )
    return array


@dataclasses.dataclass(frozen=True)
class Quantity:
    """What a numeric field may hold: its SI unit, bounds, and whether it counts things."""

    unit: str = "1"
    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    whole: bool = False

    def check(self, value: Any) -> Any:
        """Return the value as a float, or as the labelled array it is; raise ValueError if not allowed."""
        if hasattr(value, "dims"):
            low, high = float(value.min()), float(value.max())
            if not math.isfinite(float(value.sum())):
                raise ValueError("the axis holds a value that is not finite")
            for end in (low, high):
                self._bounds(end)
            return value.astype(float)
        if isinstance(value, bool | str) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is not a number")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{value!r} is not finite")
        self._bounds(number)
        return number

    def _bounds(self, number: float) -> None:
        shown = f"{show(number, self.unit)} ({number:g} {self.unit})"
        if self.gt is not None and not number > self.gt:
            raise ValueError(f"{shown} must be above {self.gt:g}")
        if self.ge is not None and not number >= self.ge:
            raise ValueError(f"{shown} must be at least {self.ge:g}")
        if self.le is not None and not number <= self.le:
            raise ValueError(f"{shown} must be at most {self.le:g}")
        if self.whole and not number.is_integer():
            raise ValueError(f"{shown} must be a whole number")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)


Count = Annotated[Number, Quantity(ge=1.0, le=1e9, whole=True)]
CountOrNone = Annotated[Number, Quantity(ge=0.0, le=1e9, whole=True)]
Share = Annotated[Number, Quantity(gt=0.0, le=1.0)]
Bytes = Annotated[Number, Quantity("B", ge=0.0, le=1e18)]
ByteRate = Annotated[Number, Quantity("B/s", gt=0.0, le=1e18)]
FlopRate = Annotated[Number, Quantity("FLOP/s", gt=0.0, le=1e21)]
FlopRateOrNone = Annotated[Number, Quantity("FLOP/s", ge=0.0, le=1e21)]
Seconds = Annotated[Number, Quantity("s", ge=0.0, le=1e3)]
Area = Annotated[Number, Quantity("m2", ge=0.0, le=1.0)]
Dollars = Annotated[Number, Quantity("USD", ge=0.0, le=1e9)]
Watts = Annotated[Number, Quantity("W", ge=0.0, le=1e6)]
