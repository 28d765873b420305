"""The files that an answer is written to: NetCDF, Zarr and CSV, each beside its place first."""

from __future__ import annotations

import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelmodel import output
from accelmodel.errors import SpecError, unknown
from accelmodel.nomenclature import described, label
from accelmodel.sweeps.dataset import coordinates, part, whole
from accelmodel.sweeps.grid import Arrays, Grid, Place
from accelmodel.units import show

if TYPE_CHECKING:
    import xarray as xr

Parts = Iterable[tuple[Place, Arrays]]
#: bytes that a variable of a NetCDF 3 file may take [B]
NETCDF_MOST = 2**31 - 4
#: bytes of an answer that has to be in memory whole [B]
MEMORY_MOST = 2**33
#: files of which a Zarr store has one
_STORES = (".zgroup", "zarr.json")
#: what is said where Zarr is not installed
HOW_ZARR = "needs the extra sweep: pip install 'accelmodel[sweep]'; or write NetCDF (.nc) or CSV (.csv)"


def _netcdf(grid: Grid, parts: Parts, attrs: dict[str, str], path: Path) -> None:
    whole(grid, parts, attrs).to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")
    _flush(path)


def _csv(grid: Grid, parts: Parts, attrs: dict[str, str], path: Path) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        for number, (place, arrays) in enumerate(parts):
            rows = part(grid, place, arrays).to_dataframe(dim_order=_order(grid)).reset_index()
            rows.to_csv(file, index=False, header=number == 0, lineterminator="\n")
        file.flush()
        os.fsync(file.fileno())


def _order(grid: Grid) -> list[str]:
    return [*grid.question.dims, *grid.labels]


def _zarr(grid: Grid, parts: Parts, attrs: dict[str, str], path: Path) -> None:
    """Write a store of Zarr format 2, which knows names and the dimensions of variables without extensions."""
    import xarray as xr
    import zarr

    names = label(xr.Dataset(coords=coordinates(grid), attrs=attrs))
    names.to_zarr(path, mode="w", zarr_format=2, consolidated=False)
    root = zarr.open_group(path, mode="r+", zarr_format=2)
    arrays = {}
    for name, variable in grid.question.command.variables.items():
        arrays[name] = root.create_array(
            name,
            shape=grid.shape(variable),
            chunks=(*grid.lengths, *grid.shape(variable)[len(grid.lengths) :]),
            dtype=grid.dtype(variable),
            fill_value=None,
            attributes={"_ARRAY_DIMENSIONS": list(grid.dims(variable)), **described(name)},
        )
    for place, found in parts:
        for name, values in found.items():
            arrays[name][place] = values
    zarr.consolidate_metadata(path, zarr_format=2)


#: ending of a file → what writes it
FORMATS: dict[str, Callable[[Grid, Parts, dict[str, str], Path], None]] = {
    ".nc": _netcdf,
    ".zarr": _zarr,
    ".csv": _csv,
}


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def check(grid: Grid, path: Path) -> None:
    """Raise SpecError before the work if an answer cannot be written to a place, or does not fit it."""
    if path.suffix not in FORMATS:
        raise SpecError(f"{path}: {unknown('ending of an output', path.suffix, FORMATS)}")
    if path.suffix == ".zarr" and find_spec("zarr") is None:
        raise SpecError(f"{path}: Zarr {HOW_ZARR}")
    largest = max(
        math.prod(grid.shape(variable)) * grid.dtype(variable).itemsize
        for variable in grid.question.command.variables.values()
    )
    if path.suffix == ".nc" and largest > NETCDF_MOST:
        raise SpecError(
            f"{path}: a variable takes {show(largest, 'B')}, a NetCDF 3 file holds {show(NETCDF_MOST, 'B')} of each; "
            "write to .zarr, or narrow an axis"
        )
    writable(path)
    needed = 2.0 * grid.point_bytes * grid.question.points
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise SpecError(
            f"{path}: chunks and output take {show(needed, 'B')} and {show(free, 'B')} are free; "
            "choose another place with --output, or narrow an axis"
        )


def writable(path: Path) -> None:
    """Raise SpecError if something stands under the name that must not be replaced, or nothing can be written there."""
    place = path
    if path.suffix == ".zarr":
        if path.exists() and not any((path / name).is_file() for name in _STORES):
            raise SpecError(f"{path}: is there and no Zarr store; choose another place with --output")
        place = path.parent / f".{uuid.uuid4().hex}"  # a store is a folder, and may be replaced
    output.writable(place, "--output")


def failed(path: Path, error: OSError | ValueError, rest: str = "") -> SpecError:
    """Return the error for a place that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return SpecError(f"{path}: cannot be written ({reason}); {rest or 'choose another place with --output'}")


def write(grid: Grid, parts: Parts, attrs: dict[str, str], path: Path, folder: Path) -> None:
    """Write an answer whole: in a folder beside its place first, then in it.  OSError if it cannot be written.

    A folder cannot be replaced in one step: the old one steps aside, into the folder that goes when all is done.
    """
    place(lambda made: FORMATS[path.suffix](grid, parts, attrs, made), path, folder)


def write_dataset(dataset: xr.Dataset, path: Path, folder: Path) -> None:
    """Write a dataset to NetCDF or Zarr by the ending of the file, as ``write`` does an answer."""

    def make(made: Path) -> None:
        if path.suffix == ".zarr":
            dataset.to_zarr(made, mode="w", zarr_format=2, consolidated=True)
        else:
            dataset.to_netcdf(made, engine="scipy", format="NETCDF3_64BIT")
            _flush(made)

    place(make, path, folder)


def place(make: Callable[[Path], None], path: Path, folder: Path) -> None:
    """Put what ``make`` makes in a folder in its place, whole or not at all."""
    made = folder / f".{uuid.uuid4().hex}{path.suffix}"
    try:
        make(made)
        if path.is_dir():
            os.replace(path, folder / f".{uuid.uuid4().hex}.old")
        os.replace(made, path)
        output.keep(str(path))
    except BaseException:  # what is left of it may be what fills the disk
        _remove(made)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def read(path: Path) -> xr.Dataset:
    """Return what was written to a NetCDF file or a Zarr store, lazily: in Dask's chunks where it is installed."""
    import xarray as xr

    lazily: dict[str, Any] = {"chunks": {}} if find_spec("dask") else {"chunks": None}
    if path.suffix == ".zarr":
        return xr.open_dataset(path, engine="zarr", consolidated=True, **lazily)
    return xr.open_dataset(path, engine="scipy", **lazily)
