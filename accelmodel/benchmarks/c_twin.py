"""The whole step in hand-written C (``step.c``), compiled with the system's compiler: how fast it could be."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.laws.types import TOTALS, Policy

#: what a careful author would use, none of which changes a result beyond rounding: no ``-ffast-math``
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-shared", "-fPIC")
SOURCE = Path(__file__).with_name("step.c")
#: longest that the compiler may take [s]
_PATIENCE = 120.0
_DOUBLES = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")

Evaluate = Callable[[Any, Any, Policy], Any]


def compiler() -> str | None:
    """Return the path of a C compiler, or None: ``$CC``, else cc, gcc or clang."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def _library() -> ctypes.CDLL | None:
    command = compiler()
    if command is None:
        return None
    with tempfile.TemporaryDirectory(prefix="accelmodel-") as folder:
        # the library stays mapped after its file is gone; where it cannot be removed, the folder is left behind
        out = Path(folder) / "step.so"
        try:
            subprocess.run(
                [command, *FLAGS, "-o", str(out), str(SOURCE), "-lm"],
                check=True,
                capture_output=True,
                timeout=_PATIENCE,
            )
            return ctypes.CDLL(str(out))
        except (OSError, subprocess.SubprocessError):
            return None


@cache
def load() -> Evaluate | None:
    """Compile and load ``step.c``.

    Returns
    -------
    callable or None
        ``evaluate(table, machines, policy) -> totals``, as ``numpy_twin.evaluate``; None where there is no
        C compiler or it fails.
    """
    library = _library()
    if library is None:
        return None
    function = library.evaluate
    function.restype = ctypes.c_int
    function.argtypes = [_DOUBLES, ctypes.c_long, _DOUBLES, ctypes.c_long, *(ctypes.c_double,) * 3, _DOUBLES]

    def evaluate(table: Any, machines: Any, policy: Policy) -> Any:
        totals = np.empty((len(TOTALS), machines.shape[1]))
        columns, designs = np.ascontiguousarray(table), np.ascontiguousarray(machines)
        if function(columns, columns.shape[1], designs, designs.shape[1], *policy, totals):
            raise MemoryError("the C twin found no memory for one block of designs")
        return totals

    return evaluate
