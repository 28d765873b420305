"""How laws and kernels are compiled, and why a cached result is never stale.

Numba keys its cache by the file that defines a function, so a cached caller would go on returning the
old number after a helper in another file has changed.  The cache folder is therefore named by the
hash of all sources that compiled code can come from: this folder, which imports nothing of the package
but itself.  Where no folder can be written, nothing is cached.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def source_digest(package: Path) -> str:
    """Return 16 hex digits that change when any Python source below ``package`` changes."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path | None:
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    leaf = Path("accelmodel") / "numba" / source_digest(Path(__file__).resolve().parent)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for base in (
        home,
        os.path.join(tempfile.gettempdir(), f"accelmodel-{os.getuid() if hasattr(os, 'getuid') else 0}"),
    ):
        folder = Path(base) / leaf
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


_FOLDER = _cache_folder()
if _FOLDER is not None:
    numba.config.CACHE_DIR = str(_FOLDER)  # type: ignore[attr-defined]
CACHED = _FOLDER is not None


#: no way in from C: nothing asks for it, and compiling it takes a tenth of the time in all
_ALL: Any = {
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
    # a multiply and an add as one, and sums in any order: the last digits of an answer.  Infinity and NaN stay
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
}


def law(function: F) -> F:
    """Compile a scalar law: inlined into its caller, so that the loop over designs vectorises."""
    return cast(F, numba.njit(**_ALL, forceinline=True)(function))


def kernel(function: F) -> F:
    """Compile a serial loop that releases the GIL."""
    return cast(F, numba.njit(**_ALL, nogil=True, cache=CACHED)(function))


def inner_kernel(function: F) -> F:
    """Compile a loop that kernels alone call: it has no way in from Python, and is cached as part of its callers."""
    return cast(F, numba.njit(**_ALL | {"no_cpython_wrapper": True})(function))


def glue(function: F) -> F:
    """Compile as part of its caller: kernels that call kernels would be optimised anew at every level.

    Not to be called from a parallel loop: what it writes there is lost (numba 0.68).
    """
    return cast(F, numba.njit(**_ALL, inline="always")(function))


def parallel_kernel(function: F) -> F:
    """Compile a loop over ``numba.prange`` that uses all cores."""
    return cast(F, numba.njit(**_ALL, nogil=True, cache=CACHED, parallel=True)(function))
