"""The package itself without compilation: the kernel run by the Python interpreter, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.laws import step_kernel
from accelmodel.laws.vectors import TOTALS, Policy

_CODE = "import sys; from accelmodel.benchmarks.python_twin import answer; answer(sys.argv[1])"
#: longest that a question may take [s]
_PATIENCE = 600.0


def answer(folder: str) -> None:
    """Answer the question that ``evaluate`` left in a folder; to be run where Numba is switched off."""
    question = np.load(Path(folder) / "question.npz")
    table, machines = question["table"][:, :, None], question["machines"][:, None, :]
    totals = np.zeros((len(TOTALS), 1, machines.shape[2]))
    start = time.perf_counter()
    with np.errstate(all="ignore"):
        step_kernel.evaluate(table, machines, Policy(*map(float, question["policy"])), totals, np.zeros((0, 0, 0, 0)))
    seconds = time.perf_counter() - start
    np.savez(Path(folder) / "answer.npz", totals=totals[:, 0], seconds=seconds)


def evaluate(table: Any, machines: Any, policy: Policy) -> tuple[Any, float]:
    """Time whole steps of one workload with ``NUMBA_DISABLE_JIT=1``.

    Parameters
    ----------
    table : ndarray (column of Operator, row)
    machines : ndarray (field of Machine, design)
        A few designs: each takes milliseconds.
    policy : Policy

    Returns
    -------
    tuple
        Totals (TOTALS, design) as of the kernel, and the time that they took, start-up left out [s].
    """
    with tempfile.TemporaryDirectory(prefix="accelmodel-") as folder:
        np.savez(Path(folder) / "question.npz", table=table, machines=machines, policy=np.array(policy))
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", _CODE, folder]
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE, env=environment)
        found = np.load(Path(folder) / "answer.npz")
        return found["totals"], float(found["seconds"])
