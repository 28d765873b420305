"""A sweep whose axes are chunked: nothing is computed before it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.nomenclature import label
from accelmodel.sweeps.dataset import attributes, coordinates
from accelmodel.sweeps.digest import digest_of
from accelmodel.sweeps.grid import Arrays, Grid, Place, evaluate

if TYPE_CHECKING:
    import xarray as xr


def _arrays(grid: Grid, place: Place) -> Arrays:
    return evaluate(grid, place)[0]


def lazy(grid: Grid) -> xr.Dataset:
    """Return the dataset of a grid as Dask arrays: a task for each chunk, which any scheduler may run."""
    import dask
    import dask.array as da
    import xarray as xr

    task: Any = dask.delayed(_arrays, pure=True)
    chunks = np.empty(grid.counts, dtype=object)
    for number in range(grid.chunks):
        chunks[np.unravel_index(number, grid.counts)] = (grid.place(number), task(grid, grid.place(number)))
    data = {}
    for name, variable in grid.question.command.variables.items():
        dtype = grid.dtype(variable)
        own = (1,) * len(variable.over)

        def one(cell: Any, name: str = name, dtype: Any = dtype, variable: Any = variable) -> Any:
            place, found = cell
            return da.from_delayed(found[name], shape=grid.shape(variable, place), dtype=dtype)

        blocks = np.empty(grid.counts + own, dtype=object)
        for at in np.ndindex(grid.counts):
            blocks[at + (0,) * len(own)] = one(chunks[at])
        data[name] = (grid.dims(variable), da.block(blocks.tolist()))
    found = xr.Dataset(data, coords=coordinates(grid), attrs=attributes(grid, digest_of(grid), []))
    return label(found)
