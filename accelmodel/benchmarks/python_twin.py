"""The package itself without compilation: its kernels run by the Python interpreter, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.inference.run import run_kernel
from accelmodel.laws.types import Policy

_CODE = "import sys; from accelmodel.benchmarks.python_twin import respond; respond(*sys.argv[1:])"
#: longest that a run may take [s]
_PATIENCE = 600.0


def respond(module: str, folder: str) -> None:
    """Evaluate the inputs that ``interpreted`` left in a folder; to be run where Numba is switched off."""
    with np.load(Path(folder) / "inputs.npz") as inputs, np.errstate(all="ignore"):
        found, seconds = import_module(module).evaluate_inputs(inputs)
    np.savez(Path(folder) / "answer.npz", found=found, seconds=seconds)


def interpreted(module: str, inputs: Mapping[str, Any]) -> tuple[Any, float]:
    """Run ``evaluate_inputs(inputs)`` of a module with ``NUMBA_DISABLE_JIT=1``.

    Parameters
    ----------
    module : str
        Its ``answer`` returns an array, and the time that the kernel took, start-up left out [s].
    inputs : mapping of str to array

    Raises
    ------
    OSError, subprocess.SubprocessError
        Where no process can be started, or it fails.
    """
    with tempfile.TemporaryDirectory(prefix="accelmodel-") as folder:
        np.savez(Path(folder) / "inputs.npz", **inputs)
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", _CODE, module, folder]
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE, env=environment)
        with np.load(Path(folder) / "answer.npz") as answered:
            return answered["found"], float(answered["seconds"])


def evaluate_inputs(inputs: Mapping[str, Any]) -> tuple[Any, float]:
    """Return totals (TOTALS, design) of the steps that ``evaluate`` asks, and their time [s]."""
    table, machines = inputs["table"][:, :, None], inputs["machines"][:, None, :]
    start = time.perf_counter()
    totals, _ = run_kernel(table, machines, Policy(*map(float, inputs["policy"])))
    return totals[:, 0], time.perf_counter() - start


def evaluate(table: Any, machines: Any, policy: Policy) -> tuple[Any, float]:
    """Time whole steps of one workload without compilation.

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
    return interpreted(__name__, {"table": table, "machines": machines, "policy": np.array(policy)})
