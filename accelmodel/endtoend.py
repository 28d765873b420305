"""Whole servers against measurements: time per token and to the first token of continuous batching.

The points are those of ``silicon_sample.csv`` in aiconfigurator-core: a number of users who each wait for an answer and
ask again.  Ten requests a user are simulated (``serving``); the first of all users come at once, which the measured
means include.  An engine adds a time for each layer of a step and one for each sequence, fitted by version.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from accelmodel import serving, silicon
from accelmodel.accuracy import statistics
from accelmodel.laws.serving_kernel import Rules, Times
from accelmodel.library import cluster, load

if TYPE_CHECKING:
    import pandas as pd

#: model there → ours, and whether it has experts
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": ("llama-3.1-8b", "dense"),
    "meta-llama/Llama-3.1-70B": ("llama-3.1-70b", "dense"),
    "Qwen/Qwen3-32B": ("qwen3-32b", "dense"),
    "openai/gpt-oss-120b": ("gpt-oss-120b", "moe"),
    "Qwen/Qwen3-235B-A22B-FP8": ("qwen3-235b-a22b", "moe"),
    "deepseek-ai/DeepSeek-V3": ("deepseek-v3", "moe"),
    "deepseek-ai/DeepSeek-R1": ("deepseek-v3", "moe"),
}
#: requests of each user, as the measurements have
ROUNDS = 10
#: tokens of a step, sequences of a step, and tokens of KV cache: more than any point needs
CHUNK, SEQUENCES, ROOM = 8192, 2048, 1e9
#: reach of the tables of step times
LONGEST, WIDEST = 17_000.0, 32_768.0
#: fewest points of an engine and kind that are worth a fit
FEWEST = 15
#: logarithmic error from which it is counted linearly
SOFT = 0.1

Progress = Callable[[str], None]


def points() -> pd.DataFrame:
    """Return the points that are modelled.

    Aggregated serving of ``MODELS`` on measured devices, on one node, of which the parallelism is told and attention is
    not data parallel.

    Returns
    -------
    DataFrame
        ``model``, ``kind`` ("dense" or "moe"), ``device``, ``engine`` (framework and version), ``precision``, ``bits``,
        ``tp``, ``ep``, ``users``, ``prompt`` and ``answer`` [token], ``layers``, measured ``ttft`` and ``tpot`` [s],
        ``training``.

    Raises
    ------
    SpecError
        If the package is not installed.
    """
    import pandas as pd

    frame = pd.read_csv(silicon.root() / "silicon_sample.csv")
    systems = {system: device for device, system in silicon.SYSTEMS.items()}
    frame = frame[frame["model_path"].isin(MODELS) & frame["system"].isin(systems) & (frame["mode"] == "agg")]
    alone = (frame["pp_size"].fillna(1.0) == 1.0) & (frame["attention_dp_size"].fillna(1.0) == 1.0)
    frame = frame[frame["tp_size"].notna() & alone]
    kinds = frame["model_path"].map(MODELS)
    version = frame["backend_version"].fillna("of unstated version")
    unquantised = frame["precision"].isna() & frame["gemm_quant_mode"].isna()
    four = frame["precision"].eq("fp4") | frame["gemm_quant_mode"].eq("nvfp4")
    found = pd.DataFrame(
        {
            "model": kinds.str[0],
            "kind": kinds.str[1],
            "device": frame["system"].map(systems),
            "engine": frame["backend"] + " " + version,
            "bits": np.where(four, 4.0, np.where(unquantised, 16.0, 8.0)),
            "tp": frame["tp_size"].astype(float),
            "ep": np.maximum(frame["moe_ep_size"].fillna(1.0), 1.0),
            "users": frame["batch_size"].astype(int),
            "prompt": frame["isl"].astype(int),
            "answer": frame["osl"].astype(int),
            "ttft": frame["silicon_ttft_ms"] * 1e-3,
            "tpot": frame["silicon_tpot_ms"] * 1e-3,
        }
    ).reset_index(drop=True)
    found["layers"] = [load("model", name).layers for name in found["model"]]
    words = found["model"] + found["device"] + found["engine"]
    codes = np.array([zlib.crc32(word.encode()) for word in words])
    sizes = [found[name] for name in ("bits", "tp", "ep", "users", "prompt", "answer")]
    found["training"] = silicon.hashed(codes, *sizes) < 0.7
    return found


@cache
def _tables(model: str, device: str, tp: float, ep: float, bits: float) -> Times:
    """Return the step times of one server; the KV cache has 8 bit where the weights are quantised."""
    kv = 16.0 if bits == 16.0 else 8.0
    work = {"tp": tp, "ep": ep, "weight_bits": bits, "activation_bits": bits, "kv_bits": kv}
    chip = cluster(load("device", device))
    return serving.step_tables(load("model", model), [chip], float(SEQUENCES), LONGEST, WIDEST, **work)[0]


def predict(frame: pd.DataFrame, engines: dict[str, tuple[float, float]] | None = None) -> tuple[Any, Any]:
    """Return the mean time to first token and per further token of some points [s].

    Parameters
    ----------
    frame : DataFrame
        As from ``points``.
    engines : dict, optional
        Engine → time of a layer and of a sequence in each step [s]; none by default.
    """
    first, between = [], []
    for row in frame.itertuples():
        layer, sequence = (engines or {}).get(row.engine, (0.0, 0.0))
        times = _tables(row.model, row.device, row.tp, row.ep, row.bits)
        rules = Rules(SEQUENCES, ROOM, CHUNK, 0, layer * row.layers, sequence, 0.0, False)
        traffic = serving.closed_loop(row.users, ROUNDS * row.users, np.int64(row.prompt), np.int64(row.answer))
        served = serving.simulate(times, rules, traffic)
        first.append(float(np.mean(served.first - served.traffic.arrival)))
        between.append(float(np.mean((served.finish - served.first) / max(row.answer - 1, 1))))
    return np.array(first), np.array(between)


def fit(frame: pd.DataFrame, bare: Any) -> tuple[float, float]:
    """Return the time of a layer and of a sequence in each step of an engine [s].

    Robust fit of log(bare + layers x layer + users x sequence) to the measured time per token, ``bare`` being the
    prediction without an engine [s].
    """
    from scipy.optimize import least_squares

    layers, users, measured = (frame[name].to_numpy() for name in ("layers", "users", "tpot"))

    def errors(x: Any) -> Any:
        layer, sequence = np.exp(x)
        return np.log((bare + layers * layer + users * sequence) / measured)

    low, high = np.log([1e-9, 1e-9]), np.log([1e-3, 1e-3])
    found = least_squares(errors, np.log([1e-5, 1e-5]), bounds=(low, high), loss="soft_l1", f_scale=SOFT)
    layer, sequence = np.exp(found.x)
    return float(layer), float(sequence)


def table(progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the accuracy of whole servers on held-out points, by engine, kind, model and device.

    Returns
    -------
    list of dict
        ``device``, ``model``, ``kind``, ``source`` (engine), ``precision``, ``quantity`` ("tpot" or "ttft"), ``n``,
        ``median_ape``, ``mean_ape``, ``p90_ape``, ``bias``, ``bare_median_ape`` (without engine), ``layer_time_s``,
        ``sequence_time_s``, ``split``.
    """
    found: list[dict[str, Any]] = []
    for (engine, kind), frame in points().groupby(["engine", "kind"]):
        if len(frame) < FEWEST:
            continue
        if progress:
            progress(f"{engine}, {kind}")
        bare = predict(frame)
        seen = frame["training"].to_numpy()
        constants = fit(frame[seen], bare[1][seen])
        held = frame[~seen]
        ours = predict(held, {str(engine): constants})
        for (model, device, bits), group in held.groupby(["model", "device", "bits"]):
            at = held.index.get_indexer(group.index)
            inside = np.flatnonzero(~seen)[at]
            for quantity, predicted, without in zip(("ttft", "tpot"), ours, bare, strict=True):
                measured = group[quantity].to_numpy()
                found.append(
                    {
                        "device": device, "model": model, "kind": kind, "source": engine,
                        "precision": f"{bits:g} bit", "quantity": quantity, **statistics(predicted[at], measured),
                        "bare_median_ape": statistics(without[inside], measured)["median_ape"],
                        "layer_time_s": constants[0], "sequence_time_s": constants[1], "split": "held-out",
                    }
                )  # fmt: skip
    return found
