"""Cake decisions per second: 64 compute chunks against 256 I/O chunks, at constant rates and with traces.

Each decision has its own curve or traces, and its own rates.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from accelmodel.benchmarks import python_twin
from accelmodel.laws.kernels import two_fronts
from accelmodel.laws.kernels.two_fronts import MEETING, Engine, Rate

CHUNKS, CHUNK, IO_CHUNK = 64, 512.0, 128.0
STORED = CHUNKS * CHUNK
#: bytes of the KV cache of a token: LongAlpaca-7B
TOKEN_BYTES = 512.0 * 1024.0
#: chunk times of an A100 and LongAlpaca-7B (Cake, arXiv 2410.03065, Figure 4, straight line): first, and growth [s]
FIRST, GROWTH = 41.07e-3, 1.106e-3
#: bandwidth [B/s] and share of the engine, each decision anywhere between
BANDWIDTH, SHARE = (7.0 * 2.0**27, 100.0 * 2.0**27), (0.125, 1.0)
#: rows of a trace, and time between them [s]
ROWS, INTERVAL = 200, 0.05
#: decisions at once, and those that the interpreter makes
POOL = {"constant rates": 2**17, "traces": 2**11}
FEW = 100
_REPEATS = 3


def constant(count: int, seed: int = 0) -> dict[str, Any]:
    """Return ``count`` decisions at constant rates, for ``answer``."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0.5, 2.0, (256, 2))
    curves = FIRST * factors[:, :1] + GROWTH * factors[:, 1:] * np.arange(CHUNKS)
    token_time = TOKEN_BYTES / (BANDWIDTH[0] * (BANDWIDTH[1] / BANDWIDTH[0]) ** rng.uniform(size=count))
    fixed = np.tile([CHUNK, STORED, IO_CHUNK, 0.0], (count, 1))
    given = np.column_stack([rng.uniform(*SHARE, count), fixed, token_time, np.full(count, 0.1)])
    return {"curves": curves, "curve": rng.integers(len(curves), size=count), "given": given}


def traced(count: int, seed: int = 0) -> dict[str, Any]:
    """Return ``count`` decisions with bandwidth and share given over time, for ``answer``."""
    rng = np.random.default_rng(seed)
    return {
        "times": FIRST + GROWTH * np.arange(CHUNKS),
        "given": np.tile([STORED, IO_CHUNK, 0.0, TOKEN_BYTES], (count, 1)),
        "at": np.tile(np.arange(ROWS) * INTERVAL, (count, 1)),
        "budgets": rng.uniform(*SHARE, (count, ROWS)),
        "rates": rng.uniform(*BANDWIDTH, (count, ROWS)),
    }


FORMS: dict[str, Callable[[int], dict[str, Any]]] = {"constant rates": constant, "traces": traced}


def evaluate_inputs(inputs: Mapping[str, Any]) -> tuple[Any, float]:
    """Return what the meetings are (decision, MEETING), and how long the kernel took [s]."""
    given = inputs["given"]
    out = np.zeros((len(given), len(MEETING)))
    if "curves" in inputs:
        asked = (inputs["curves"], inputs["curve"], given)
        start = time.perf_counter()
        two_fronts.meet_many.compiled()(*asked, out)
        return out, time.perf_counter() - start
    engine = Engine(inputs["times"], CHUNK)
    budgets, rates = (Rate(inputs["at"], inputs[name], math.inf) for name in ("budgets", "rates"))
    start = time.perf_counter()
    two_fronts.meet_traced_many.compiled()(engine, given, budgets, rates, out)
    return out, time.perf_counter() - start


def rate(form: str, seconds: float) -> float:
    """Return decisions per second on all cores: the median of passes that fill ``seconds``."""
    evaluate_inputs(FORMS[form](2))
    inputs = FORMS[form](POOL[form])
    times: list[float] = []
    while len(times) < _REPEATS or sum(times) < seconds:
        times.append(evaluate_inputs(inputs)[1])
    return POOL[form] / statistics.median(times)


def measure(seconds: float, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return decisions per second of both forms and of their Python twins, and the ratios.

    Returns
    -------
    dict
        ``rates`` name → decisions/s, ``ratios`` name → kernel on all cores / Python twin on one [1]; None where the
        twin could not be run.
    """
    rates: dict[str, float | None] = {}
    ratios: dict[str, float | None] = {}
    for form, prepare in FORMS.items():
        progress(f"Cake, {form}")
        ours = rates[f"{form}, all cores"] = rate(form, seconds)
        try:
            twin = FEW / python_twin.interpreted(__name__, prepare(FEW))[1]
        except (OSError, subprocess.SubprocessError):
            twin = None
        rates[f"{form}, Python"] = twin
        ratios[f"{form}, kernel/Python"] = ours / twin if twin else None
    return {"rates": rates, "ratios": ratios}
