"""Any answer as a file: NetCDF, Zarr or CSV, put in its place whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.sweeps import formats

if TYPE_CHECKING:
    import xarray as xr


def _netcdf(found: xr.Dataset, path: Path) -> None:
    # the engine that is always there: which one xarray takes depends on what else is installed
    found.to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")


def _zarr(found: xr.Dataset, path: Path) -> None:
    found.to_zarr(path, mode="w", zarr_format=2, consolidated=True)


def _csv(found: xr.Dataset, path: Path) -> None:
    found.to_dataframe().reset_index().to_csv(path, index=False, lineterminator="\n")


#: ending of a file → what writes it
WRITERS: dict[str, Callable[[xr.Dataset, Path], None]] = {".nc": _netcdf, ".zarr": _zarr, ".csv": _csv}


def save(found: xr.Dataset, output: str | os.PathLike[str]) -> Path:
    """Write an answer to a file: what stood there before is replaced by all of it, or stays.

    Parameters
    ----------
    found : xarray.Dataset
        What a function of this package returns, or what was made of it.
    output : path
        ``.nc`` (NetCDF 3), ``.zarr`` (format 2, with the extra ``sweep``) or ``.csv`` (a row a point).

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    SpecError
        If the ending is none of these, or nothing can be written there.

    Examples
    --------
    >>> import tempfile
    >>> import accelmodel as am
    >>> found = am.matmul("h100-sxm", m=[1, 64], n=4096, k=4096)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(found, Path(folder) / "matmul.csv").name
    'matmul.csv'
    """
    if not hasattr(found, "data_vars"):
        raise SpecError(f"{brief(found)} is no dataset; give what a function of this package returns")
    path = Path(output)
    if path.suffix not in WRITERS:
        raise SpecError(f"{path}: {unknown('ending of an output', path.suffix, WRITERS)}")
    if path.suffix == ".zarr" and find_spec("zarr") is None:
        raise SpecError(f"{path}: Zarr {formats.HOW_ZARR}")
    formats.writable(path)
    made = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        WRITERS[path.suffix](found, made)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(made, path)
    except OSError as error:
        raise formats.failed(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)
    return path
