"""What formulas written as plain arithmetic take: a number, an array of numbers, or numbers along labelled axes.

Compiled laws take floats.  These names are for what is evaluated once, and over everything at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr
    from typing_extensions import TypeIs

    #: a float, or a DataArray that carries labelled axes
    Number: TypeAlias = float | xr.DataArray
else:
    # specifications read their annotations when they are loaded, which must not need xarray
    Number = Any

Array: TypeAlias = npt.NDArray[np.float64]
#: a float, or an array of one for each instance, batch, design …
Floats: TypeAlias = float | Array

_OfOne: TypeAlias = "Callable[[Number], Number]"
_OfTwo: TypeAlias = "Callable[[Number, Number], Number]"

# numpy's own functions: a DataArray in gives a DataArray out, which their annotations do not say
ceil = cast(_OfOne, np.ceil)
floor = cast(_OfOne, np.floor)
rint = cast(_OfOne, np.rint)
sqrt = cast(_OfOne, np.sqrt)
least = cast(_OfTwo, np.minimum)
most = cast(_OfTwo, np.maximum)


def has_axes(value: object) -> TypeIs[xr.DataArray]:
    """Whether a value lies along labelled axes; asked without loading xarray."""
    return hasattr(value, "dims")
