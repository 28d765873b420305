"""The whole step in hand-written C (``step.c``), compiled with the system's compiler: how fast it could be.

``step.c`` is frozen: it computes a whole step with the fields of a machine and an operator that it lists, and a field
that the model gains need not be written there.  It finds its fields by name, at places that are written into a header
when it is compiled.  Where the model has fields that it does not know, it computes less than the kernel (``unread``).
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.laws import types
from accelmodel.laws.types import GIVEN, TOTALS, Operator, Policy

#: what a careful author would use, none of which changes a result beyond rounding: no ``-ffast-math``
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-shared", "-fPIC")
SOURCE = Path(__file__).with_name("step.c")
#: longest that the compiler may take [s]
_PATIENCE = 120.0
_DOUBLES = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")

#: kinds of operators and collectives that ``step.c`` computes, by their constants
KINDS = (
    "MATMUL", "ATTENTION", "ELEMENTWISE", "ROW", "GROUPED", "COLLECTIVE",
    "ALL_REDUCE", "ALL_GATHER", "REDUCE_SCATTER", "ALL_TO_ALL", "POINT_TO_POINT",
)  # fmt: skip

Evaluate = Callable[[Any, Any, Policy], Any]


def compiler() -> str | None:
    """Return the path of a C compiler, or None: ``$CC``, else cc, gcc or clang."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def positions() -> str:
    """Return the header ``positions.h``: places of all fields in their arrays, and codes of kinds."""
    lines = [f"#define AT_MACHINE_{name} {place}" for place, name in enumerate(GIVEN)]
    lines += [f"#define AT_OPERATOR_{name} {place}" for place, name in enumerate(Operator._fields)]
    lines += [f"#define KIND_{name} {int(getattr(types, name))}" for name in KINDS]
    return "\n".join(lines) + "\n"


def unread() -> tuple[str, ...]:
    """Return the fields of a machine that ``step.c`` does not know; where they are not 0 it computes less."""
    known = re.findall(r"X\((\w+)\)", SOURCE.read_text(encoding="utf-8"))
    return tuple(name for name in GIVEN if name not in known)


def note() -> str:
    """Return what was compiled how, and what of the model it leaves out."""
    left = unread()
    less = f"; computes less than the kernel, without {', '.join(left)}" if left else "; the same step as the kernel"
    return f"C: {' '.join(FLAGS)}{less}"


def _library() -> ctypes.CDLL | None:
    command = compiler()
    if command is None:
        return None
    with tempfile.TemporaryDirectory(prefix="accelmodel-") as folder:
        # the library stays mapped after its file is gone; where it cannot be removed, the folder is left behind
        out = Path(folder) / "step.so"
        (Path(folder) / "positions.h").write_text(positions(), encoding="utf-8")
        try:
            subprocess.run(
                [command, *FLAGS, "-I", folder, "-o", str(out), str(SOURCE), "-lm"],
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
        if (table[Operator._fields.index("kind")] >= types.EXCHANGE).any():
            raise ValueError("the twin in C has no exchanges around experts; leave out ep or dp")
        totals = np.empty((len(TOTALS), machines.shape[1]))
        columns, designs = np.ascontiguousarray(table), np.ascontiguousarray(machines)
        if function(columns, columns.shape[1], designs, designs.shape[1], *policy, totals):
            raise MemoryError("the C twin found no memory for one block of designs")
        return totals

    return evaluate
