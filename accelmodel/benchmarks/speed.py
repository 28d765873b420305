"""Speed on this machine, as ratios in one run: the fused kernel, its twins in NumPy, C and Python, and the peers.

The question is the decode step of Llama-3-70B at TP 8 with PRESERVE on an Ascend 910B2, each design different.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from accelmodel.benchmarks import c_twin, cake_fronts, numpy_twin, python_twin
from accelmodel.benchmarks.growth import growth
from accelmodel.benchmarks.peers import known, measured
from accelmodel.inference.policies import policy
from accelmodel.inference.step import prepare
from accelmodel.laws.kernels import step
from accelmodel.laws.types import TOTALS, Machine, Policy
from accelmodel.specs.given import cluster, workload
from accelmodel.specs.load import load

Progress = Callable[[str], None]
MODEL, DEVICE, TECHNIQUE = "llama-3-70b", "ascend-910b2", "preserve"
WORK: dict[str, Any] = {
    "phase": "decode", "batch": 4, "context": 16384, "tp": 8, "weight_bits": 8, "activation_bits": 8, "kv_bits": 8
}  # fmt: skip
#: fields that differ from design to design, as factors of the 910B2's
VARIED = ("rate_8bit", "rate_16bit", "vector_rate", "hbm_rate", "l2_rate", "l2_bytes", "link_rate", "hop", "launch")
SPREAD = (0.25, 4.0)
CORES = (8, 128)
#: most designs held at once: 208 B each; a longer run passes over them again
POOL = 2**17
#: designs that the interpreter runs
FEW = 8
#: axes of the space that is enumerated, and points on each: 10⁸ designs
SPACE = {"l2_bytes": 100, "hbm_rate": 100, "link_rate": 100, "cores": 100}
CHUNK = 2**16
#: how much longer the enumeration runs than each form
_ENUMERATION = 5.0
_REPEATS = 3
_FIRST_ANSWER = (
    "import accelmodel as am; chip = am.load('device', 'ascend-910b2'); "
    "work = am.workload(phase='decode', batch=4, context=16384, tp=8); "
    "am.time_step(am.load('model', 'llama-3-8b'), am.cluster(chip), work)"
)


def no_progress(stage: str) -> None:
    """Progress that nobody watches."""


def inputs() -> tuple[Any, Any, Policy]:
    """Return the table (column, row) and the machine (field,) of the benchmark's step, and its policy."""
    prepared = prepare(load("model", MODEL), cluster(load("device", DEVICE)), workload(**WORK))
    return prepared.operators[:, :, 0], prepared.machines[:, 0, 0], policy(TECHNIQUE).numbers


def designs(base: Any, count: int, seed: int = 0) -> Any:
    """Return ``count`` different designs around a machine, as an array (field, design)."""
    rng = np.random.default_rng(seed)
    machines = np.repeat(base[:, None], count, axis=1)
    for name in VARIED:
        machines[Machine._fields.index(name)] *= np.exp(rng.uniform(np.log(SPREAD[0]), np.log(SPREAD[1]), count))
    machines[Machine._fields.index("cores")] = rng.integers(*CORES, count, endpoint=True)
    return machines


def _kernel(parallel: bool) -> Callable[[Any, Any, Policy], Any]:
    """Return the fused kernel, called as the twins are."""
    whole = (step.evaluate_parallel if parallel else step.evaluate).compiled()
    blank = np.zeros((0, 0, 0, 0))

    def run(table: Any, machines: Any, rule: Policy) -> Any:
        totals = np.zeros((len(TOTALS), 1, machines.shape[1]))
        whole(table[:, :, None], machines[:, None], rule, totals, blank)
        return totals[:, 0]

    return run


def rate(form: Callable[[Any, Any, Policy], Any], asked: tuple[Any, Any, Policy], seconds: float) -> float:
    """Return designs per second of a form of the step: the median of passes that fill ``seconds``."""
    table, base, rule = asked
    form(table, designs(base, 256), rule)
    count, taken = 256, 0.0
    while count < POOL and taken < seconds / _REPEATS:
        count = min(4 * count, POOL)
        machines = designs(base, count)
        start = time.perf_counter()
        form(table, machines, rule)
        taken = time.perf_counter() - start
    times = [taken]
    while len(times) < _REPEATS or sum(times) < seconds:
        start = time.perf_counter()
        form(table, machines, rule)
        times.append(time.perf_counter() - start)
    return count / statistics.median(times)


def rates(asked: tuple[Any, Any, Policy], seconds: float, progress: Progress) -> tuple[dict[str, Any], list[str]]:
    """Return form → steps per second (None where not measured), and notes."""
    notes = []
    found: dict[str, float | None] = {}
    progress("kernel on one core")
    found["kernel, one core"] = rate(_kernel(False), asked, seconds)
    progress("kernel on all cores")
    found["kernel, all cores"] = rate(_kernel(True), asked, seconds)
    progress("NumPy twin")
    found["NumPy, one core"] = rate(numpy_twin.evaluate, asked, seconds)
    progress("C twin")
    compiled = c_twin.load()
    found["C, one core"] = rate(compiled, asked, seconds) if compiled is not None else None
    notes.append(c_twin.note() if compiled is not None else "C: not measured: no C compiler")
    progress("Python twin")
    table, base, rule = asked
    try:
        found["Python, one core"] = FEW / python_twin.evaluate(table, designs(base, FEW), rule)[1]
    except (OSError, subprocess.SubprocessError) as error:
        found["Python, one core"] = None
        notes.append(f"Python: not measured: {type(error).__name__}")
    return found, notes


def _ratios(found: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the kernel's rate on one core over that of everything else [1]."""
    ours = found["kernel, one core"]
    names = {"kernel/NumPy": "NumPy, one core", "kernel/C": "C, one core", "kernel/Python": "Python, one core"}
    ratios = {name: ours / found[form] if found[form] else None for name, form in names.items()}
    ratios["all cores/one core"] = found["kernel, all cores"] / ours
    for peer in others:
        label = f"kernel/{peer['name']}" + (" (measured now)" if peer["kind"] == "measured now" else "")
        ratios[label] = ours / peer["steps_per_s"] if peer["steps_per_s"] else None
    return ratios


def chunk_of_space(base: Any, start: int, stop: int) -> Any:
    """Return designs ``start`` to ``stop`` of the space in row-major order, as an array (field, design)."""
    machines = np.repeat(base[:, None], stop - start, axis=1)
    index = np.unravel_index(np.arange(start, stop), tuple(SPACE.values()))
    for (name, points), i in zip(SPACE.items(), index, strict=True):
        field = Machine._fields.index(name)
        axis = np.arange(8.0, 8.0 + points) if name == "cores" else base[field] * np.geomspace(*SPREAD, points)
        machines[field] = axis[i]
    return machines


def peak_bytes() -> float | None:
    """Return the most memory that this process has had resident [B], or None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024.0


def exhaustive(
    asked: tuple[Any, Any, Policy], seconds: float, *, full: bool, progress: Progress = no_progress
) -> dict[str, Any]:
    """Enumerate 10⁸ designs a chunk at a time on all cores, keeping only the fastest.

    Parameters
    ----------
    asked : tuple
        As from ``inputs``.
    seconds : float
        How long to go on unless ``full`` [s]; chunks are spread over the space.

    Returns
    -------
    dict
        ``designs``, ``designs_evaluated``, ``whole_s`` and its ``kind`` (measured or extrapolated),
        ``designs_per_s``, ``fastest_step_s``, ``peak_resident_bytes``.
    """
    table, base, rule = asked
    run = _kernel(True)
    total = int(np.prod(list(SPACE.values())))
    starts = range(0, total, CHUNK)
    order = range(len(starts)) if full else np.random.default_rng(0).permutation(len(starts))
    run(table, designs(base, 256), rule)
    begun = time.perf_counter()
    done = 0
    fastest = np.inf
    taken = 0.0
    for turn, i in enumerate(order):
        machines = chunk_of_space(base, starts[i], min(starts[i] + CHUNK, total))
        fastest = min(fastest, float(run(table, machines, rule)[0].min()))
        done += machines.shape[1]
        taken = time.perf_counter() - begun
        if not full and taken >= seconds:
            break
        if turn % 100 == 0:
            progress(f"enumeration: {done:,} of {total:,} designs")
    return {
        "designs": total,
        "designs_evaluated": done,
        "whole_s": taken * total / done,
        "kind": "measured" if done == total else "extrapolated",
        "designs_per_s": done / taken,
        "fastest_step_s": fastest,
        "peak_resident_bytes": peak_bytes(),
    }


def _process_time(code: str, cache: str | None = None) -> float:
    """Return how long an interpreter takes to start, run the code and end [s]."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if cache is not None:
        environment.pop("NUMBA_CACHE_DIR", None)
        environment["XDG_CACHE_HOME"] = cache
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def startup(*, cold: bool, progress: Progress = no_progress) -> dict[str, float | None]:
    """Return what a user waits for [s]: the import, and the first answer with a warm and a cold compile cache.

    First answers are whole processes, interpreter included; the import is without the interpreter.
    """
    progress("import")
    pairs = [(_process_time("import accelmodel"), _process_time("pass")) for _ in range(5)]
    waits: dict[str, float | None] = {"import": max(0.0, statistics.median(a - b for a, b in pairs))}
    progress("first answer")
    with tempfile.TemporaryDirectory(prefix="accelmodel-") as folder:
        first = _process_time(_FIRST_ANSWER, folder if cold else None)
        waits["first_answer_warm"] = min(_process_time(_FIRST_ANSWER, folder if cold else None) for _ in range(3))
    waits["first_answer_cold"] = first if cold else None
    return waits


def machine() -> dict[str, Any]:
    """Return what this machine is, as far as speed goes."""
    import numba

    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": numba.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


def benchmark(
    seconds: float = 1.0,
    *,
    peers: bool = False,
    full: bool = False,
    cold: bool = True,
    checkouts: Mapping[str, Path] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure speed on this machine.

    Parameters
    ----------
    seconds : float
        How long each form runs [s]; the enumeration runs five times as long.
    peers : bool
        Also install the peers that pip can, each in an environment of its own, and time them: minutes, network.
    full : bool
        Enumerate all of the 10⁸ designs.
    cold : bool
        Also measure the first answer with an empty compile cache: about half a minute.
    checkouts : mapping of str to Path, optional
        Peer → folder that holds its repository already (``peers.measured``).
    progress : callable
        Called with a line on what is measured next.

    Returns
    -------
    dict
        ``machine``; ``rates`` name → steps/s or None; ``ratios`` name → ratio [1] or None; ``peers`` list of
        ``name``, ``steps_per_s``, ``what``, ``measured``, ``kind``, ``note``; ``cake`` (decisions/s, see
        ``cake_fronts``); ``startup_s`` [s]; ``growth`` and ``exhaustive`` (see there); ``notes``.
        Fit for JSON.
    """
    asked = inputs()
    progress("enumeration")
    # first, so that the peak of memory is its own
    whole = exhaustive(asked, _ENUMERATION * seconds, full=full, progress=progress)
    found, notes = rates(asked, seconds, progress)
    others = known() + (measured(progress, checkouts) if peers else [])
    notes.append(f"one step: {MODEL}, TP 8, {DEVICE}, {TECHNIQUE}, {asked[0].shape[1]} rows of operators; numbers only")
    return {
        "machine": machine(),
        "rates": found,
        "ratios": _ratios(found, others),
        "peers": others,
        "cake": cake_fronts.measure(seconds, progress),
        "startup_s": startup(cold=cold, progress=progress),
        "growth": growth(progress, min(1.0, seconds)),
        "exhaustive": whole,
        "notes": notes,
    }
