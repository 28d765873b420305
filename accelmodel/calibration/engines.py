"""Fitting what an engine adds to its kernels: to whole batches, and to servers whose users wait for answers.

Time of a batch = kernels / efficiency + steps x (step_time + sequences x sequence_time), where ``kernels`` are those of
the step model; of a server the same for a token.  Then the way of a prompt to the queue, which changes who waits.  Only
training rows are seen, and each origin, model and device counts the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration.fit import Fit
from accelmodel.errors import unknown
from accelmodel.inference.calls import as_engine, paired
from accelmodel.laws.kernels.batching import Rules, Times, curve, decode_time, surface
from accelmodel.measured import steady
from accelmodel.serving import simulate
from accelmodel.specs.cloud import Engine
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

#: constant → span in which it makes sense
CONSTANTS = {"efficiency": (0.4, 1.0), "step_time": (1e-6, 2e-2), "sequence_time": (1e-7, 2e-4)}
#: where the fit begins
_START = {"efficiency": 0.85, "step_time": 5e-4, "sequence_time": 5e-6}
#: tokens of prompts that are computed together
CHUNK = 8192
#: logarithmic error from which it is counted linearly
SOFT = 0.1
#: fewest rows of an origin that are fitted alone
FEWEST = 6
#: share of origins between which the ranges lie
_INNER = (5.0, 95.0)
_NOBODY = Rules(1, 1e9, 0, 0, 0.0, 0.0, 0.0, False)


@cache
def tables(engine: str, model: str, device: str, tp: float, bits: float) -> Times:
    """Return the step times of one server of ``measured.steady``, whose kernels are those of an engine."""
    work = {"tp": tp, "weight_bits": bits, "activation_bits": bits, "kv_bits": bits}
    chip = paired(as_engine(cluster(load("device", device)), load("engine", engine)), tp)
    return simulate.step_tables(steady.model_of(model), [chip], 2048.0, 8192.0, 32768.0, **work)[0]


def kernels_of_batch(times: Times, batch: int, prompt: int, answer: int) -> tuple[float, float]:
    """Return the time of the kernels of a whole batch [s], and the steps that it takes.

    Prompts in steps of at most ``CHUNK`` tokens, then all sequences decode together.
    """
    together = max(CHUNK // prompt, 1)
    parts = [min(together, batch - first) for first in range(0, batch, together)]
    total = sum(n * surface(times.prompt_attention, prompt, 1.0) + curve(times.other, float(n * prompt)) for n in parts)
    total += decode_time(batch, float(batch * prompt), answer - 1, times, _NOBODY)
    return total, float(len(parts) + answer - 1)


def of_batches(engine: str) -> pd.DataFrame:
    """Return the measured batches of an engine with ``kernels`` [s], ``steps`` and ``sequences`` over all of them."""
    frame = steady.batches()
    frame = frame[frame["engine"] == engine].reset_index(drop=True)
    found = [
        kernels_of_batch(
            tables(engine, row.model, row.device, float(row.tp), float(row.bits)), row.batch, row.prompt, row.answer
        )
        for row in frame.itertuples()
    ]
    kernels, steps = np.array(found, dtype=float).reshape(-1, 2).T
    return frame.assign(kernels=kernels, steps=steps, sequences=frame["batch"] * (frame["answer"] - 1.0))


def predicted(frame: pd.DataFrame, engine: Engine | dict[str, float]) -> Any:
    """Return the time that an engine makes of kernels, steps and sequences [s]."""
    share, step, sequence = (
        float(engine[name] if isinstance(engine, dict) else getattr(engine, name)) for name in CONSTANTS
    )
    parts = (frame[name].to_numpy(dtype=float) for name in ("kernels", "steps", "sequences"))
    kernels, steps, sequences = parts
    return kernels / share + steps * step + sequences * sequence


def solve(frame: pd.DataFrame, groups: list[str], others: dict[str, float] | None = None) -> dict[str, float]:
    """Return the constants that fit rows best: soft-L1 least squares of the logarithmic error, groups alike.

    Parameters
    ----------
    frame : DataFrame
        With ``kernels``, ``steps``, ``sequences`` and ``time``.
    groups : list of str
        Columns that tell the groups.
    others : dict, optional
        Constants that are known.
    """
    from scipy.optimize import least_squares

    known = others or {}
    free = [name for name in CONSTANTS if name not in known]
    weight = 1.0 / np.sqrt(frame.groupby(groups)["time"].transform("size").to_numpy(dtype=float))
    measured = frame["time"].to_numpy(dtype=float)

    def moved(x: Any) -> dict[str, float]:
        return known | dict(zip(free, map(float, np.exp(x)), strict=True))

    def errors(x: Any) -> Any:
        return weight * np.log(predicted(frame, moved(x)) / measured)

    low, high = np.log(np.array([CONSTANTS[name] for name in free])).T
    start = np.clip(np.log([_START[name] for name in free]), low, high)
    found = least_squares(errors, start, bounds=(low, high), loss="soft_l1", f_scale=SOFT * float(weight.mean()))
    return moved(found.x)


def fit(engines: list[str], rows: Callable[[str], pd.DataFrame], progress: Callable[[str], None] | None = None) -> Fit:
    """Return the constants of an engine, or of one that stands for several.

    Parameters
    ----------
    engines : list of str
        Whose rows count.
    rows : callable
        Engine → training rows with ``kernels``, ``steps``, ``sequences``, ``time``, ``origin``, ``model``, ``device``.
    progress : callable, optional
        Told what is being fitted.

    Raises
    ------
    SpecError
        If nobody measured it.
    """
    import pandas as pd

    groups = ["origin", "model", "device"]
    parts = []
    for engine in engines:
        if progress:
            progress(engine)
        parts.append(rows(engine))
    frame = pd.concat(parts, ignore_index=True)
    if frame.empty:
        raise unknown("measured engine", engines[0], sorted(steady.batches()["engine"].unique()))
    found = solve(frame, groups)
    parts = [part for _, part in frame.groupby(groups) if len(part) >= FEWEST]
    spans = {}
    for name in CONSTANTS:
        rest = {other: value for other, value in found.items() if other != name}
        alone = [solve(part, groups, rest)[name] for part in parts]
        low, high = np.percentile([*alone, found[name]], _INNER)
        spans[name] = (min(float(low), found[name]), max(float(high), found[name]))
    sources = ", ".join(sorted(frame["origin"].unique()))
    return Fit("whole steps", found, spans, len(frame), sources, ())
