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

from accelmodel.benchmarks import c_twin, cake_fronts, numpy_twin, python_twin, studies
from accelmodel.benchmarks.growth import growth
from accelmodel.benchmarks.peers import known, measured
from accelmodel.inference.policies import policy
from accelmodel.inference.run import Machines, Part, cores, machines_of, on_all_cores, part, run_kernel
from accelmodel.inference.step import prepare
from accelmodel.laws.jit import running
from accelmodel.laws.kernels import step
from accelmodel.laws.kernels.block import Span
from accelmodel.laws.types import GIVEN, TOTALS, Policy
from accelmodel.specs.given import cluster, workload
from accelmodel.specs.load import load

Progress = Callable[[str], None]
MODEL, DEVICE, TECHNIQUE = "llama-3-70b", "ascend-910b2", "preserve"
WORK: dict[str, Any] = {
    "phase": "decode", "batch": 4, "context": 16384, "tp": 8, "weight_bits": 8, "activation_bits": 8, "kv_bits": 8
}  # fmt: skip
#: fields that differ from design to design, as factors of the 910B2's
VARIED = ("rate_8bit_int", "rate_16bit", "vector_rate", "hbm_rate", "l2_rate", "l2_bytes", "link_rate", "hop", "launch")
SPREAD = (0.25, 4.0)
CORES = (8, 128)
#: most designs held at once: 208 B each; a longer run passes over them again
POOL = 2**17
#: designs that the interpreter runs
FEW = 8
#: axes of the space that is enumerated, and points on each: 10⁸ designs
SPACE = {"l2_bytes": 100, "hbm_rate": 100, "link_rate": 100, "cores": 100}
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
    return prepared.operators[:, :, 0], prepared.machines.base(), policy(TECHNIQUE).numbers


def designs(base: Any, count: int, seed: int = 0) -> Any:
    """Return ``count`` different designs around a machine, as an array (field, design)."""
    rng = np.random.default_rng(seed)
    machines = np.repeat(base[:, None], count, axis=1)
    for name in VARIED:
        machines[GIVEN.index(name)] *= np.exp(rng.uniform(np.log(SPREAD[0]), np.log(SPREAD[1]), count))
    machines[GIVEN.index("cores")] = rng.integers(*CORES, count, endpoint=True)
    return machines


def _one_core(table: Any, machines: Any, rule: Policy) -> Any:
    """Return totals (TOTALS, design) of the step kernel on one core, called as the twins are."""
    found = np.empty((len(TOTALS), 1, machines.shape[1]))
    whole = machines_of(machines[:, None])
    place = slice(0, 1), slice(0, machines.shape[1])
    each = part(whole, place, Span(0, 1, 0, machines.shape[1]))
    compiled = step.evaluate.compiled()
    compiled(table[:, :, None], each.designs, rule, each.span, found, np.zeros((0, 0, 0, 0)))
    return found[:, 0]


def _all_cores(table: Any, machines: Any, rule: Policy) -> Any:
    """Return the same from the kernel on all cores."""
    return run_kernel(table[:, :, None], machines[:, None], rule)[0][:, 0]


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
    found["kernel, one core"] = rate(_one_core, asked, seconds)
    progress("kernel on all cores")
    found["kernel, all cores"] = rate(_all_cores, asked, seconds)
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


def space(base: Any, points: Mapping[str, int] = SPACE) -> Machines:
    """Return the designs of the space over its axes."""
    lengths = tuple(points.values())
    fields = [np.full((1,) * len(lengths), value) for value in base]
    for place, (name, length) in enumerate(points.items()):
        field = GIVEN.index(name)
        axis = np.arange(8.0, 8.0 + length) if name == "cores" else base[field] * np.geomspace(*SPREAD, length)
        fields[field] = axis.reshape([length if other == place else 1 for other in range(len(lengths))])
    return Machines(tuple(fields), (), lengths)


def peak_bytes() -> float | None:
    """Return the most memory that this process has had resident [B], or None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024.0


def exhaustive(asked: tuple[Any, Any, Policy], seconds: float, *, full: bool) -> dict[str, Any]:
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
    machines = space(base)
    total = machines.designs
    columns, blank = np.ascontiguousarray(table[:, :, None]), np.zeros((0, 0, 0, 0))
    compiled = step.evaluate.compiled()
    fastest: list[float] = []
    done: list[int] = []

    def work(each: Part) -> None:
        if not full and done and time.perf_counter() - begun >= seconds:
            return
        size = each.span.end - each.span.begin
        found = np.empty((len(TOTALS), 1, size))
        compiled(columns, each.designs._replace(design=0), rule, Span(0, 1, 0, size), found, blank)
        fastest.append(float(found[0].min()))
        done.append(size)

    with running("compiled"):
        run_kernel(columns, designs(base, 256)[:, None], rule)
    begun = time.perf_counter()
    on_all_cores(machines, 1, work, shuffled=not full)
    taken = time.perf_counter() - begun
    evaluated = sum(done)
    return {
        "designs": total,
        "designs_evaluated": evaluated,
        "whole_s": taken * total / evaluated,
        "kind": "measured" if evaluated == total else "extrapolated",
        "designs_per_s": evaluated / taken,
        "fastest_step_s": min(fastest),
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
        "cores": cores(),
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
        Enumerate all of the 10⁸ designs, and all of the 10⁸ chips of the study.
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
        ``cake_fronts``); ``startup_s`` [s]; ``growth``, ``exhaustive`` and ``studies`` (see there); ``notes``.
        Fit for JSON.
    """
    asked = inputs()
    progress("enumeration")
    # first, so that the peak of memory is its own
    whole = exhaustive(asked, _ENUMERATION * seconds, full=full)
    progress("whole studies")
    chips = studies.measure(_ENUMERATION * seconds, full=full)
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
        "studies": chips,
        "notes": notes,
    }
