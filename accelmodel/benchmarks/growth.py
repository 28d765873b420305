"""How time and memory of whole steps grow: with designs, with kinds of operators, with layers.

Asked as a user asks, by ``total_time``; memory is what Python and NumPy hold at most beyond what they are given.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from accelmodel.inference.operators import operator_table
from accelmodel.inference.step import total_time
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load

Progress = Callable[[str], None]
DEVICE = "h200-sxm"
WORK: dict[str, Any] = {"phase": "decode", "batch": 4, "context": 16384, "tp": 8, "weight_bits": 4}
#: designs of one call
DESIGNS = (10_000, 100_000, 1_000_000)
#: models with few and with many kinds of operators
MODELS = ("llama-3-70b", "gpt-oss-120b", "deepseek-v3")
#: by how many times the layers that a model has
LAYERS = (1, 2, 4)
#: designs where something else grows
POINTS = 100_000
_REPEATS = 3


def chips(count: int) -> Cluster:
    """Return a cluster of which three numbers vary over ``count`` designs."""
    import xarray as xr

    chip, rng = load("device", DEVICE), np.random.default_rng(0)
    factors = [xr.DataArray(rng.uniform(0.5, 2.0, count), dims="design") for _ in range(3)]
    return cluster(
        override(
            chip,
            {
                "hbm.bandwidth": chip.hbm.bandwidth * factors[0],
                "l2.capacity": chip.l2.capacity * factors[1],
                "l2.bandwidth": chip.l2.bandwidth * factors[2],
            },
        )
    )


def asked(model: LanguageModel, count: int) -> dict[str, float]:
    """Time one question: ``designs``, ``operators``, ``layers`` [1], ``seconds`` [s], ``steps_per_s`` [1/s].

    ``bytes_per_step`` [B] is the most memory that it held at once, over its designs.
    """
    varied, work = chips(count), workload(**WORK)
    total_time(model, varied, work, "preserve")
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        total_time(model, varied, work, "preserve")
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    total_time(model, varied, work, "preserve")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    seconds = statistics.median(times)
    return {
        "designs": float(count),
        "operators": float(len(operator_table(model, work).names)),
        "layers": float(model.layers),
        "seconds": seconds,
        "steps_per_s": count / seconds,
        "bytes_per_step": peak / count,
    }


def growth(progress: Progress, scale: float = 1.0) -> dict[str, list[dict[str, Any]]]:
    """Return rows as of ``asked``, with the ``model``, by what grows: ``designs``, ``operators``, ``layers``.

    Parameters
    ----------
    progress : callable
        Called with a line on what is measured next.
    scale : float
        Share of the designs to ask about [1].
    """
    first, points = load("model", MODELS[0]), max(1, int(POINTS * scale))
    questions = {
        "designs": [(first, max(1, int(count * scale))) for count in DESIGNS],
        "operators": [(load("model", name), points) for name in MODELS],
        "layers": [(override(first, layers=first.layers * times), points) for times in LAYERS],
    }
    rows = {}
    for what, group in questions.items():
        progress(f"growth with {what}")
        rows[what] = [{"model": model.name, **asked(model, count)} for model, count in group]
    return rows
