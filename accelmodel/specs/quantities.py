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

from accelmodel.errors import SpecError, brief
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
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{brief(value)} holds what is not a number") from None
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
    """What a numeric field may hold: unit, bounds, whether it counts things, whether 0 is allowed as well."""

    unit: str = "1"
    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    whole: bool = False
    or_zero: bool = False

    def check(self, value: Any) -> Any:
        """Return the value as a float, or as the labelled array it is; raise ValueError if not allowed."""
        if hasattr(value, "dims"):
            return value.copy(data=self.check_all(value.values))
        if isinstance(value, bool | str) or not isinstance(value, int | float):
            raise ValueError(f"{brief(value)} is not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ValueError(f"{brief(value)} is not finite")
        self._bounds(number)
        return number

    def check_all(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the values of an axis as floats; raise ValueError if one is not allowed."""
        if values.dtype.kind not in "iuf":
            raise ValueError("the axis holds what is not a number")
        if not values.size:
            raise ValueError("the axis is empty")
        if not np.isfinite(values).all():
            raise ValueError("the axis holds a value that is not finite")
        for each in np.unique(values) if self.whole or self.or_zero else (values.min(), values.max()):
            self._bounds(float(each))
        return values.astype(float)

    def _bounds(self, number: float) -> None:
        if self.or_zero and number == 0.0:
            return
        least = " or 0" if self.or_zero else ""
        if self.gt is not None and not number > self.gt:
            raise ValueError(f"{self._shown(number)} must be above {self.gt:g}")
        if self.ge is not None and not number >= self.ge:
            raise ValueError(f"{self._shown(number)} must be at least {self._shown(self.ge)}{least}")
        if self.le is not None and not number <= self.le:
            raise ValueError(f"{self._shown(number)} must be at most {self._shown(self.le)}")
        if self.whole and not number.is_integer():
            raise ValueError(f"{self._shown(number)} must be a whole number")

    def _shown(self, number: float) -> str:
        return f"{number:g}" if self.unit == "1" else show(number, self.unit)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)


def checked(name: str, value: Any, quantity: Quantity) -> Any:
    """Return a number that a caller gave, or a list or an array of them as a labelled axis; SpecError if not allowed.

    Examples
    --------
    >>> checked("batch", 4, Quantity(ge=1.0, whole=True))
    4.0
    """
    try:
        return quantity.check(labelled(name, value))
    except ValueError as error:
        raise SpecError(f"{name}: {error}") from None


def one(name: str, value: Any, quantity: Quantity) -> float:
    """Return a number that a caller gave; SpecError if it is not allowed, or several.

    Examples
    --------
    >>> one("percentile", 95, Quantity(ge=0.0, le=100.0))
    95.0
    """
    found = checked(name, value, quantity)
    if hasattr(found, "dims") and found.dims:
        raise SpecError(f"{name}: {brief(value)} is an axis; give one number")
    return float(found)


def several(name: str, values: Any, quantity: Quantity) -> npt.NDArray[np.float64]:
    """Return numbers that a caller gave as a list, an array or one number; SpecError if one is not allowed.

    Examples
    --------
    >>> several("tokens", [512, 1024], Quantity(ge=1.0)).tolist()
    [512.0, 1024.0]
    """
    found = checked(name, values if hasattr(values, "dims") else _listed(values), quantity)
    if len(found.dims) > 1:
        raise SpecError(f"{name}: an array of shape {found.shape}; give a list")
    return np.atleast_1d(np.asarray(found.values, dtype=float))


def _listed(values: Any) -> Any:
    several_of_them = values.ndim > 0 if isinstance(values, np.ndarray) else isinstance(values, list | tuple)
    return values if several_of_them else [values]


# Below the least no such thing is built: a number there is a slip of the unit, or of the keyboard.
Count = Annotated[Number, Quantity(ge=1.0, le=1e9, whole=True)]
CountOrNone = Annotated[Number, Quantity(ge=0.0, le=1e9, whole=True)]
Share = Annotated[Number, Quantity(ge=1e-6, le=1.0)]
Bytes = Annotated[Number, Quantity("B", ge=0.0, le=1e18)]
ByteRate = Annotated[Number, Quantity("B/s", ge=1e3, le=1e18)]
ByteRateOrNone = Annotated[Number, Quantity("B/s", ge=1e3, le=1e18, or_zero=True)]
FlopRate = Annotated[Number, Quantity("FLOP/s", ge=1e6, le=1e21)]
FlopRateOrNone = Annotated[Number, Quantity("FLOP/s", ge=1e6, le=1e21, or_zero=True)]
Seconds = Annotated[Number, Quantity("s", ge=0.0, le=1e3)]
Area = Annotated[Number, Quantity("m2", ge=1e-12, le=1.0, or_zero=True)]
Dollars = Annotated[Number, Quantity("USD", ge=1e-2, le=1e7, or_zero=True)]
#: of a rented server: a hundredth of a cent to a hundred thousand dollars an hour
HourlyPriceOrNone = Annotated[Number, Quantity("USD/s", ge=1e-4 / 3600.0, le=1e5 / 3600.0, or_zero=True)]
Watts = Annotated[Number, Quantity("W", ge=1e-9, le=1e6, or_zero=True)]
#: a transistor's switch and a vacuum tube's lie between
JoulesPerFlop = Annotated[Number, Quantity("J/FLOP", ge=1e-16, le=1e-7, or_zero=True)]
JoulesPerByte = Annotated[Number, Quantity("J/B", ge=1e-15, le=1e-6, or_zero=True)]
Length = Annotated[Number, Quantity("m", ge=1e-6, le=10.0, or_zero=True)]
