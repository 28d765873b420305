"""Whole servers against measurements: time per token and to the first token of continuous batching.

The points are those of ``silicon_sample.csv`` in aiconfigurator-core: a number of users who each wait for an answer and
ask again.  Ten requests a user are simulated (``serving``); the first of all users come at once, which the measured
means include.  Most points are of InferenceMAX, whose requests have 0.8 to 1 of the stated lengths; users with one and
the same length stay in step with each other, which makes them wait longer.  An engine adds a time for each layer of a
step and for each sequence, and to each request and token of its prompt before the queue: fitted by version.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from accelmodel import serving, silicon
from accelmodel.accuracy import statistics
from accelmodel.laws.serving_kernel import Rules, Times, Traffic
from accelmodel.library import cluster, load, workload
from accelmodel.memory import memory_per_device

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
#: shortest of the uniformly drawn lengths of InferenceMAX, of the stated one (its RANDOM_RANGE_RATIO)
SHORTEST = 0.8
#: sequences of a step: more than any point needs
SEQUENCES = 2048
#: share of a device's memory that engines take (vLLM --gpu-memory-utilization, also in InferenceMAX)
SHARE = 0.9


class Launch(NamedTuple):
    """How an engine is started: tokens of prompts in a step, and whether prompts take steps of their own."""

    chunk: int
    apart: bool = False


#: framework, and whether InferenceMAX starts it → launch.  SGLang computes waiting prompts before it decodes on; the
#: others mix.  Tokens of a step as the scripts of InferenceMAX have them (benchmarks/70b_fp8_b200*, dsr1_fp8_b200*),
#: else by default: vLLM 2048 outside its own web server
LAUNCHES = {
    ("vllm", True): Launch(8192), ("vllm", False): Launch(2048),
    ("trtllm", True): Launch(16384), ("trtllm", False): Launch(8192),
    ("sglang", True): Launch(32768, True), ("sglang", False): Launch(8192, True),
}  # fmt: skip
#: decode steps for which TensorRT-LLM holds prompts back to gather more (batch_wait_timeout_iters), set by InferenceMAX
#: for Llama-3.1-70B at 1024 tokens in and out on fewer than eight devices
GATHER = 20


class Host(NamedTuple):
    """What an engine adds [s]: to a step by layer and sequence; before the queue, to a request and by prompt token."""

    layer: float = 0.0
    sequence: float = 0.0
    entry: float = 0.0
    token: float = 0.0


#: candidates of the last two [s], [s/token]
ENTRIES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08)
TOKENS = (0.0, 2e-6, 5e-6, 1e-5, 2e-5)
#: most points from which they are chosen
ENOUGH = 24
#: reach of the tables of step times
LONGEST, WIDEST = 17_000.0, 32_768.0
#: fewest points of an engine and kind that are worth a fit
FEWEST = 15
#: logarithmic error from which it is counted linearly
SOFT = 0.1

#: columns of ``points`` that tell a server
SERVER = ["model", "device", "tp", "ep", "bits"]

Progress = Callable[[str], None]


def points() -> pd.DataFrame:
    """Return the points that are modelled.

    Aggregated serving of ``MODELS`` on measured devices, on one node, of which the parallelism is told and attention is
    not data parallel; without those whose weights would not fit the memory of so few devices.

    Returns
    -------
    DataFrame
        ``model``, ``kind`` ("dense" or "moe"), ``device``, ``engine`` (framework and version), ``precision``, ``bits``,
        ``tp``, ``ep``, ``users``, ``prompt`` and ``answer`` [token], ``public`` (InferenceMAX), ``layers``, ``room``
        [token of KV cache], measured ``ttft`` and ``tpot`` [s], ``training``.

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
            "public": frame["silicon_data_source"].str.contains(r"^db-dump|^source_file=\d{4}-\d\d-\d\d\.csv"),
            "ttft": frame["silicon_ttft_ms"] * 1e-3,
            "tpot": frame["silicon_tpot_ms"] * 1e-3,
        }
    ).reset_index(drop=True)
    found["layers"] = [load("model", name).layers for name in found["model"]]
    words = found["model"] + found["device"] + found["engine"]
    codes = np.array([zlib.crc32(word.encode()) for word in words])
    sizes = [found[name] for name in ("bits", "tp", "ep", "users", "prompt", "answer")]
    found["training"] = silicon.hashed(codes, *sizes) < 0.7
    found["room"] = [_room(*each) for each in zip(*(found[name] for name in SERVER), strict=True)]
    return found[found["room"] > 0.0].reset_index(drop=True)


@cache
def _room(model: str, device: str, tp: float, ep: float, bits: float) -> float:
    """Return the tokens of KV cache for which a server has memory; 0 where not even its weights fit."""
    work = {"tp": tp, "ep": ep, "weight_bits": bits, "activation_bits": bits, "kv_bits": _kv_bits(bits)}
    held = memory_per_device(load("model", model), workload(phase="decode", batch=1, context=1000, **work))
    free = float(load("device", device).hbm_capacity) - float(held["weights"])
    taken = (1.0 - SHARE) * float(load("device", device).hbm_capacity)
    return 0.0 if free <= 0.0 else max(free - taken, 0.0) / float(held["kv_cache"]) * 1000.0 + 1.0


def _kv_bits(bits: float) -> float:
    """Return the bits of the KV cache: 8 where the weights are quantised."""
    return 16.0 if bits == 16.0 else 8.0


@cache
def _tables(model: str, device: str, tp: float, ep: float, bits: float) -> Times:
    """Return the step times of one server."""
    work = {"tp": tp, "ep": ep, "weight_bits": bits, "activation_bits": bits, "kv_bits": _kv_bits(bits)}
    chip = cluster(load("device", device))
    return serving.step_tables(load("model", model), [chip], float(SEQUENCES), LONGEST, WIDEST, **work)[0]


def traffic(row: Any) -> Traffic:
    """Return the requests of a point: ten for each user, of drawn lengths where InferenceMAX asks."""
    count = ROUNDS * row.users
    if not row.public:
        return serving.closed_loop(row.users, count, np.int64(row.prompt), np.int64(row.answer))
    draw = np.random.default_rng(count)
    prompt, answer = (draw.integers(int(SHORTEST * most), most + 1, count) for most in (row.prompt, row.answer))
    return serving.closed_loop(row.users, count, prompt, answer)


def rules(row: Any, host: Host) -> Rules:
    """Return what the engine of a point does, by ``LAUNCHES`` and what its host adds."""
    framework = row.engine.split()[0]
    launch = LAUNCHES[framework, row.public]
    gathers = framework == "trtllm" and row.public and row.model == "llama-3.1-70b"
    gathers &= row.prompt == row.answer == 1024 and row.tp < 8.0
    return Rules(
        SEQUENCES, max(row.room, row.prompt + row.answer), launch.chunk, 0, host.layer * row.layers, host.sequence, 0.0,
        False, host.entry, host.token, GATHER if gathers else 0, launch.apart,
    )  # fmt: skip


def predict(frame: pd.DataFrame, engines: dict[str, Host] | None = None) -> tuple[Any, Any]:
    """Return the mean time to first token and per further token of some points [s].

    Parameters
    ----------
    frame : DataFrame
        As from ``points``.
    engines : dict, optional
        Engine → what its host adds; nothing by default.
    """

    def served(row: Any) -> tuple[float, float]:
        times = _tables(row.model, row.device, row.tp, row.ep, row.bits)
        found = serving.simulate(times, rules(row, (engines or {}).get(row.engine, Host())), traffic(row))
        between = (found.finish - found.first) / np.maximum(found.traffic.answer - 1, 1)
        return float(np.mean(found.first - found.traffic.arrival)), float(np.mean(between))

    for row in frame.drop_duplicates(SERVER).itertuples():
        _tables(row.model, row.device, row.tp, row.ep, row.bits)
    # the kernel holds no lock, so that threads share the cores
    with ThreadPoolExecutor() as pool:
        first, between = zip(*pool.map(served, frame.itertuples()), strict=True)
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


def fit_entry(frame: pd.DataFrame, host: Host) -> Host:
    """Return the host with the times before the queue that fit the measured times to first token best.

    Least mean absolute logarithmic error on some ``ENOUGH`` points, of the quicker third of ``frame``; over
    ``ENTRIES``, then ``TOKENS``, then ``ENTRIES`` again.
    """
    order = np.argsort((frame["users"] * frame["answer"]).to_numpy(), kind="stable")
    quick = order[: max(len(order) // 3, ENOUGH)]
    chosen = frame.iloc[quick[:: max(len(quick) // ENOUGH, 1)]]
    measured = chosen["ttft"].to_numpy()

    def error(candidate: Host) -> float:
        told = predict(chosen, dict.fromkeys(chosen["engine"], candidate))[0]
        return float(np.mean(np.abs(np.log(told / measured))))

    for name, values in (("entry", ENTRIES), ("token", TOKENS), ("entry", ENTRIES)):
        host = min((host._replace(**{name: value}) for value in values), key=error)
    return host


def fit_host(frame: pd.DataFrame, bare: Any) -> Host:
    """Return what the host of an engine adds, fitted to points of it.

    Layers and sequences, then the way to the queue, which changes who waits for whom; then layers and sequences again.

    Parameters
    ----------
    frame : DataFrame
        Training points of one engine.
    bare : ndarray
        Their predicted times per token without an engine [s].
    """
    host = fit_entry(frame, Host(*fit(frame, bare)))
    waited = predict(frame, dict.fromkeys(frame["engine"], host._replace(layer=0.0, sequence=0.0)))[1]
    return host._replace(**dict(zip(("layer", "sequence"), fit(frame, waited), strict=True)))


def table(progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the accuracy of whole servers on held-out points, by engine, kind, model and device.

    Returns
    -------
    list of dict
        ``device``, ``model``, ``kind``, ``source`` (engine), ``precision``, ``quantity`` ("tpot" or "ttft"), ``n``,
        ``median_ape``, ``mean_ape``, ``p90_ape``, ``bias``, ``bare_median_ape`` (without engine), ``mode``,
        ``layer_time_s``, ``sequence_time_s``, ``entry_time_s``, ``prompt_token_time_s``, ``split``.
    """
    found: list[dict[str, Any]] = []
    for (engine, kind), frame in points().groupby(["engine", "kind"]):
        if len(frame) < FEWEST:
            continue
        if progress:
            progress(f"{engine}, {kind}")
        bare = predict(frame)
        seen = frame["training"].to_numpy()
        host = fit_host(frame[seen], bare[1][seen])
        held = frame[~seen]
        ours = predict(held, {str(engine): host})
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
                        "mode": "aggregated", "layer_time_s": host.layer, "sequence_time_s": host.sequence,
                        "entry_time_s": host.entry, "prompt_token_time_s": host.token, "split": "held-out",
                    }
                )  # fmt: skip
    return found
