"""Axes of more than numbers, such as the kind of link, or of a level inside: the chips of each value by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.dse.studies.axes import level_of

if TYPE_CHECKING:
    import xarray as xr

#: axes whose words bring a topology or algorithms along
APART = ("link", "scale_out")


def apart(axes: dict[str, Any]) -> str | None:
    """Return the first axis whose values must be evaluated apart; None where there is none."""
    return next(
        (name for name, value in axes.items() if hasattr(value, "dims") and (name in APART or level_of(name))), None
    )


def by_word(name: str, axes: dict[str, Any], answer: Callable[..., xr.Dataset]) -> xr.Dataset:
    """Return the answer over axes, one call for each value of an axis, in the order of the axes.

    Parameters
    ----------
    name : str
        The axis, of one dimension.
    axes : dict
        All axes.
    answer : callable
        Axes → Dataset.
    """
    import xarray as xr

    words = axes[name]
    (dim,) = words.dims
    found, order = [], []
    for word in dict.fromkeys(words.values.tolist()):
        places = np.flatnonzero(words.values == word)
        here = {key: _at(value, dim, places) for key, value in axes.items() if key != name}
        result = answer(**here, **{name: word})
        over = [key for key, value in result.data_vars.items() if dim not in value.dims]
        found.append(result.assign({key: result[key].expand_dims({dim: len(places)}) for key in over}))
        order.append(places)
    whole = xr.concat(found, dim).isel({dim: np.argsort(np.concatenate(order))})
    for key, variable in found[0].data_vars.items():
        whole[key] = whole[key].transpose(*variable.dims).assign_attrs(variable.attrs)
    labels = words.coords.get(dim)
    return whole if labels is None else whole.assign_coords({dim: labels})


def _at(value: Any, dim: Any, places: Any) -> Any:
    return value.isel({dim: places}) if dim in getattr(value, "dims", ()) else value
