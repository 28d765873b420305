"""Engines' files against whole batches, servers and offline throughput; and the rows that they are fitted to.

An engine's file holds one set of constants for all its versions, models and devices, so that it says what an engine
adds where nobody measured; what one version adds on one device is fitted in ``servers``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel.calibration import engines as calibration
from accelmodel.calibration import file
from accelmodel.calibration.errors import statistics
from accelmodel.calibration.fit import Fit, ended
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.calls import as_engine, paired
from accelmodel.laws.kernels.batching import Rules
from accelmodel.measured import aiconfigurator, steady
from accelmodel.measured import servers as points_of
from accelmodel.output import writable
from accelmodel.serving import simulate
from accelmodel.serving.serve import replicas_on
from accelmodel.specs.cloud import Engine
from accelmodel.specs.given import cluster
from accelmodel.specs.load import calibrated_path, field_units, load, path_of
from accelmodel.validation.servers import ENTRIES, FRAMEWORKS, Host, misses, predict

if TYPE_CHECKING:
    import pandas as pd

#: engine → those whose rows it is fitted to; one that stands for any of them to all
FITTED = {**{name: [name] for name in FRAMEWORKS.values()}, "in-flight": list(FRAMEWORKS.values())}
#: how far nine tenths of whole steps of measured kernels lie from those predicted [1]
KERNELS = 0.15
#: requests of an offline run: enough to fill a server several times over
_SAMPLES = 6
Progress = Callable[[str], None]


@cache
def servers_of(engine: str) -> pd.DataFrame:
    """Return the measured dense servers of an engine; none where the tables are not installed."""
    import pandas as pd

    if not aiconfigurator.installed():
        return pd.DataFrame()
    frame = points_of.points()
    ours = frame["engine"].str.split().str[0].map(FRAMEWORKS) == engine
    return frame[ours & (frame["kind"] == "dense")].reset_index(drop=True)


@cache
def rows(engine: str) -> pd.DataFrame:
    """Return all rows of an engine with ``kernels``, ``steps`` and ``sequences``: of batches whole, of servers a token.

    Returns
    -------
    DataFrame
        Also ``origin``, ``model``, ``device``, ``bits``, ``time`` [s], ``training``.
    """
    import pandas as pd

    batches = calibration.of_batches(engine) if engine in set(steady.batches()["engine"]) else pd.DataFrame()
    frame = servers_of(engine)
    if not len(frame):
        return batches
    own = frame[["model", "device", "bits", "training"]].assign(
        origin=frame["engine"], kernels=predict(frame)[1], steps=1.0, sequences=frame["users"].astype(float),
        time=frame["tpot"],
    )  # fmt: skip
    return pd.concat([batches, own], ignore_index=True)


def entry_time(engines: list[str], found: dict[str, float]) -> float:
    """Return the time before the queue that fits measured times of tokens, first and further, best [s]."""
    import pandas as pd

    frames = [frame[frame["training"]] for frame in map(servers_of, engines) if len(frame)]
    if not frames:
        return 0.0
    error = misses(pd.concat(frames, ignore_index=True))
    return min(ENTRIES, key=lambda entry: error(_host(found | {"entry_time": entry})))


def _host(found: dict[str, float]) -> Host:
    return Host(0.0, found["sequence_time"], found["entry_time"], 0.0, found["step_time"], found["efficiency"])


def fit_engine(
    name: str, output: Path | None, progress: Progress | None = None
) -> tuple[dict[str, Any], dict[Path, str]]:
    """Fit what an engine adds to its kernels; return the answer and the file that is to be written."""
    if name not in FITTED:
        raise unknown("engine that was measured", name, FITTED)
    engine, path = load("engine", name), output or calibrated_path(path_of("engine", name))
    writable(path, "--output")
    if not aiconfigurator.installed():
        raise SpecError("engines are fitted to the servers of aiconfigurator-core too; install accelmodel[validate]")
    fit = calibration.fit(FITTED[name], lambda each: rows(each)[rows(each)["training"]], progress)
    entry = entry_time(FITTED[name], dict(fit.values))
    near = ENTRIES.index(entry)
    values = {**fit.values, "entry_time": entry}
    spans = {**fit.spans, "entry_time": (ENTRIES[max(near - 1, 0)], ENTRIES[min(near + 1, len(ENTRIES) - 1)])}
    fit = Fit(fit.kind, values, spans, fit.rows, fit.sources, ())
    files = {path: file.text(engine, "engine", [fit], "engines-measured", datetime.date.today().isoformat())}
    units = field_units(Engine)
    possible = {**calibration.CONSTANTS, "entry_time": (ENTRIES[0], ENTRIES[-1])}
    constants = {
        field: {
            "value": value,
            "unit": units[field],
            "range": list(spans[field]),
            "fitted_to": fit.sources,
            "bound": ended(value, possible[field]),
        }
        for field, value in values.items()
    }
    return {"device": name, "files": [], "constants": constants, "rows": []}, files


def _inside(frame: pd.DataFrame, engine: dict[str, float], spans: Any) -> float:
    """Return the share of measured times between the ends of an engine's constants, in quadrature."""
    middle = calibration.predicted(frame, engine)
    less = more = 0.0 * middle
    for name in calibration.CONSTANTS:
        for end in spans[name]:
            off = calibration.predicted(frame, engine | {name: end}) - middle
            less, more = less + np.minimum(off, 0.0) ** 2, more + np.maximum(off, 0.0) ** 2
    measured = frame["time"].to_numpy(dtype=float)
    kernels = KERNELS * frame["kernels"].to_numpy(dtype=float)
    low, high = middle - np.sqrt(less + kernels**2), middle + np.sqrt(more + kernels**2)
    return float(np.mean((low <= measured) & (measured <= high)))


def accuracy(name: str, engine: dict[str, float], spans: Any) -> list[dict[str, Any]]:
    """Return the accuracy of an engine's constants on held-out rows, all of them and by origin."""
    import pandas as pd

    frame = pd.concat([rows(each) for each in FITTED[name]], ignore_index=True)
    held = frame[~frame["training"].astype(bool)]

    def row(part: pd.DataFrame, device: str, origin: str) -> dict[str, Any]:
        ours = calibration.predicted(part, engine)
        return {
            "device": device, "kind": f"step time of {name}", "source": origin, "precision": "all", "split": "held-out",
            **statistics(ours, part["time"].to_numpy()), "inside": _inside(part, engine, spans),
        }  # fmt: skip

    parts = held.groupby(["device", "origin"])
    return [row(held, "all", "all"), *(row(part, str(device), str(origin)) for (device, origin), part in parts)]


def offline(engine: str | None = None) -> list[dict[str, Any]]:
    """Return throughput of offline runs beside the measured one, nothing fitted to them.

    All samples wait from the beginning; lengths are drawn from exponential distributions with the measured means, cut
    at 1,024 tokens.

    Parameters
    ----------
    engine : str, optional
        Name of an engine's file, in place of what ran.

    Returns
    -------
    list of dict
        ``system``, ``device``, ``devices``, ``engine``, ``predicted`` and ``measured`` [token/s], ``ratio`` [1].
    """
    found = []
    for row in steady.offline().itertuples():
        rules = load("engine", engine or row.engine)
        bits: dict[str, Any] = {"weight_bits": float(row.bits), "activation_bits": float(row.bits), "kv_bits": 8.0}
        chips = paired(as_engine(cluster(load("device", row.device), row.tp), rules), float(row.tp))
        (replica,) = replicas_on(steady.model_of(row.model), [chips], rules, 2048, tp=float(row.tp), **bits)
        rate = _throughput(replica.times, replica.rules, row.prompt, row.answer) * row.devices / row.tp
        found.append(
            {
                "system": row.system, "device": row.device, "devices": row.devices, "engine": rules.name,
                "predicted": rate, "measured": row.tokens_per_s, "ratio": rate / row.tokens_per_s,
            }
        )  # fmt: skip
    return found


def _throughput(times: Any, rules: Rules, prompt: float, answer: float) -> float:
    together = int(min(1024, rules.room // (prompt + answer)))
    count = _SAMPLES * together
    draw = np.random.default_rng(0)
    lengths = [np.clip(draw.exponential(mean, count).round(), 1, 1024).astype(np.int64) for mean in (prompt, answer)]
    waiting = simulate.closed_loop(count, count, *lengths)
    served = simulate.simulate(times, rules._replace(max_num_seqs=together), waiting, gaps=False)
    return float(lengths[1].sum() / served.finish.max())


def table(progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the accuracy of engines' files: of whole steps on held-out rows, and of offline runs.

    Returns
    -------
    list of dict
        ``device``, ``kind``, ``source``, ``precision``, ``n``, ``median_ape``, ``mean_ape``, ``p90_ape``, ``bias``,
        ``inside`` (share of rows between the ends), ``split``, ``mode``.
    """
    found = []
    for name in FITTED:
        if progress:
            progress(f"engine {name}")
        engine = load("engine", name)
        constants = {each: float(getattr(engine, each)) for each in calibration.CONSTANTS}
        spans = {each: engine.facts[each].range if each in engine.facts else () for each in constants}
        found += accuracy(name, constants, spans)
    if progress:
        progress("offline throughput")
    return found + _offline_rows()


def _offline_rows() -> list[dict[str, Any]]:
    """Return the accuracy of offline runs, all of them and by device."""
    import pandas as pd

    frame = pd.DataFrame(offline())
    labels = {"kind": "offline throughput", "precision": "as run", "split": "not fitted"}
    return [
        {**labels, "device": device, "source": "MLPerf v4.1", **statistics(part["predicted"], part["measured"])}
        for device, part in [("all", frame), *((str(name), part) for name, part in frame.groupby("device"))]
    ]
