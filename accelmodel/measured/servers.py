"""Measured points of whole servers: what was served on how many devices, and how its engine was started.

The points are those of ``silicon_sample.csv`` in aiconfigurator-core.  Two thirds are of InferenceMAX, whose scripts
(SemiAnalysisAI/InferenceX, benchmarks/) tell the options of the engines; the others are NVIDIA's own, with defaults.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from accelmodel.inference.memory import memory_per_device
from accelmodel.measured import aiconfigurator
from accelmodel.specs.given import workload
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

#: model there → ours, and whether it has experts
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": ("llama-3.1-8b", "dense"),
    "meta-llama/Llama-3.1-70B": ("llama-3.1-70b", "dense"),
    "nvidia/Llama-3.1-8B-Instruct-FP8": ("llama-3.1-8b", "dense"),
    "Qwen/Qwen3-32B": ("qwen3-32b", "dense"),
    "nvidia/Qwen3-32B-NVFP4": ("qwen3-32b", "dense"),
    "openai/gpt-oss-120b": ("gpt-oss-120b", "moe"),
    "Qwen/Qwen3-235B-A22B-FP8": ("qwen3-235b-a22b", "moe"),
    "deepseek-ai/DeepSeek-V3": ("deepseek-v3", "moe"),
    "deepseek-ai/DeepSeek-R1": ("deepseek-v3", "moe"),
    "nvidia/DeepSeek-R1-NVFP4": ("deepseek-v3", "moe"),
    "nvidia/DeepSeek-V3.1-NVFP4": ("deepseek-v3", "moe"),
}
#: most devices of one server; a point that tells more counts those of several servers together
NODE = 8
#: what is added to the engine's version in the later of NVIDIA's series
LATER = ", later series"
#: columns that tell a server
SERVER = ["model", "device", "tp", "ep", "bits", "kv"]


class Launch(NamedTuple):
    """How an engine is started."""

    chunk: int  #: tokens of a step
    share: float = 0.9  #: share of the device's memory for weights and KV cache
    left: float = 1.0  #: share of what weights leave of it for KV cache
    apart: bool = False  #: prompts take steps of their own
    poll: int = 0  #: decode steps between looks at the queue
    gather: int = 0  #: decode steps for which prompts are held back to gather more
    slots: int = 0  #: sequences at once; 0: as many as there are users


def _vllm(row: Any) -> Launch:
    """--gpu-memory-utilization 0.9; --max-num-batched-tokens 8192, as its web server has; 2048 in the older series."""
    return Launch(8192 if row.drawn else 2048)


def _sglang(row: Any) -> Launch:
    """Prompts are computed before it decodes on; dsr1_fp8_b200.sh, dsr1_fp4_b200.sh, dsr1_fp8_h200_slurm.sh."""
    if not row.public:
        return Launch(8192, apart=True)
    # --scheduler-recv-interval; not set on Hopper
    poll = 0 if row.device.startswith("h") else 30 if row.users >= 16 and (row.tp == 8.0 or row.bits == 4.0) else 10
    if row.bits == 4.0:
        return Launch(16384, 0.85, apart=True, poll=poll)
    return Launch(8192, 0.95, apart=True, poll=poll) if row.tp == 4.0 else Launch(32768, 0.82, apart=True, poll=poll)


def _trtllm(row: Any) -> Launch:
    """Takes its share of what weights leave free; 70b_fp8_b200_trt*, gptoss_fp4_b200_trt*, dsr1_fp[48]_b200_trt.sh.

    batch_wait_timeout_iters is 20 for Llama-3.1-70B at 1024 tokens in and out on fewer than eight devices, and 40 for
    DeepSeek of 8 bit at as many tokens with 64 to 255 users.

    In the series of Llama-3.1-8B the first token comes later by a whole answer over the number of users, whatever the
    prompt: one of them is always without a slot.
    """
    even = row.prompt == row.answer == 1024
    if not row.public:
        return Launch(8192, 1.0, 0.9, slots=max(row.users - 1, 1) if row.model == "llama-3.1-8b" else 0)
    if row.model == "gpt-oss-120b":
        return Launch(20000, 1.0, 0.85)
    if row.model == "deepseek-v3":
        left = 0.75 if (row.tp, row.bits, row.prompt, row.answer) == (4.0, 8.0, 8192, 1024) else 0.8
        gather = 40 if row.bits == 8.0 and even and 64 <= row.users < 256 else 0
        return Launch(max(8192, -(-(row.users + row.prompt + 64) // 64) * 64), 1.0, left, gather=gather)
    return Launch(16384, 1.0, 0.9, gather=20 if row.model == "llama-3.1-70b" and even and row.tp < 8.0 else 0)


#: framework → how it is started for a point
LAUNCHES = {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm}


def launch(row: Any) -> Launch:
    """Return how the engine of a point is started."""
    return LAUNCHES[row.engine.split()[0]](row)


def kv_bits(frame: pd.DataFrame) -> Any:
    """Return the bits of the KV cache: 8 where the weights are quantised, but in SGLang only where its options say so.

    Its --kv-cache-dtype is auto, which is that of the model; the scripts of InferenceMAX set fp8.
    """
    kept = (frame["bits"] == 16.0) | (frame["engine"].str.startswith("sglang") & ~frame["public"])
    return np.where(kept, 16.0, 8.0)


@cache
def _held(model: str, device: str, tp: float, ep: float, bits: float, kv: float) -> tuple[float, float, float]:
    """Return the bytes of a device, of the weights that it holds, and of KV cache for a token."""
    work = {"tp": tp, "ep": ep, "weight_bits": bits, "activation_bits": bits, "kv_bits": kv}
    held = memory_per_device(load("model", model), workload(phase="decode", batch=1, context=1000, **work))
    return float(load("device", device).hbm.capacity), float(held["weights"]), float(held["kv_cache"]) / 1000.0


def room(row: Any) -> float:
    """Return the tokens of KV cache for which the server of a point has memory; 0 where its weights do not fit."""
    device, weights, token = _held(*(getattr(row, name) for name in SERVER))
    started = launch(row)
    return max(started.share * device - weights, 0.0) * started.left / token


def _bits(frame: pd.DataFrame) -> Any:
    """Return the bits of weights: those of gpt-oss are MXFP4, as released, whatever a point tells."""
    unquantised = frame["precision"].isna() & frame["gemm_quant_mode"].isna()
    four = (
        frame["precision"].eq("fp4") | frame["gemm_quant_mode"].eq("nvfp4") | frame["model_path"].str.contains("gpt-")
    )
    return np.where(four, 4.0, np.where(unquantised, 16.0, 8.0))


def _common(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that all points have."""
    import pandas as pd

    systems = {system: device for device, system in aiconfigurator.SYSTEMS.items()}
    kinds = frame["model_path"].map(MODELS)
    found = pd.DataFrame(
        {
            "model": kinds.str[0],
            "kind": kinds.str[1],
            "device": frame["system"].map(systems),
            "engine": frame["backend"] + " " + frame["backend_version"].fillna("of unstated version"),
            "bits": _bits(frame),
            "prompt": frame["isl"].astype(int),
            "answer": frame["osl"].astype(int),
            "public": frame["silicon_data_source"].str.contains(r"^db-dump|^source_file=\d{4}-\d\d-\d\d\.csv"),
            "ttft": frame["silicon_ttft_ms"] * 1e-3,
            "tpot": frame["silicon_tpot_ms"] * 1e-3,
        }
    )
    found["layers"] = [load("model", name).layers for name in found["model"]]
    found["kv"] = kv_bits(found)
    later = ~found["public"] & (found["prompt"] % 1000 == 0)
    found["drawn"] = found["public"] | later
    # another client and other options than the series before: an engine of its own
    found["engine"] = found["engine"].where(~later, found["engine"] + LATER)
    return found


def _read(mode: str) -> pd.DataFrame:
    """Return the raw rows of modelled models on measured devices."""
    import pandas as pd

    frame = pd.read_csv(aiconfigurator.root() / "silicon_sample.csv")
    known = frame["model_path"].isin(MODELS) & frame["system"].isin(aiconfigurator.SYSTEMS.values())
    return frame[known & (frame["mode"] == mode)]


def points() -> pd.DataFrame:
    """Return the points of aggregated serving that are modelled: prompts and answers on the same devices.

    Models of ``MODELS`` on measured devices, of which the parallelism is told and attention is not data parallel.
    Left out are points that tell more than ``NODE`` devices: they count those of several servers, so that nothing says
    what one of them does; and those whose longest request would not fit the memory beside the weights.

    Returns
    -------
    DataFrame
        ``model``, ``kind`` ("dense" or "moe"), ``device``, ``engine`` (framework and version), ``bits``, ``tp``,
        ``ep``, ``users``, ``prompt`` and ``answer`` [token], ``public`` (InferenceMAX), ``layers``, ``room`` [token of
        KV cache], ``kv`` (bits of it), ``drawn`` (lengths differ from request to request: those of InferenceMAX, and of
        the series with prompts of whole thousands, whose first tokens come sooner than they could if all users waited
        in step), measured ``ttft`` and ``tpot`` [s], ``training``.

    Raises
    ------
    SpecError
        If the package is not installed.
    """
    frame = _read("agg")
    alone = (frame["pp_size"].fillna(1.0) == 1.0) & (frame["attention_dp_size"].fillna(1.0) == 1.0)
    frame = frame[(frame["tp_size"] <= NODE) & alone]
    sizes = {
        "tp": frame["tp_size"].astype(float),
        "ep": np.maximum(frame["moe_ep_size"].fillna(1.0), 1.0),
        "users": frame["batch_size"].astype(int),
    }
    found = _common(frame).assign(**sizes).reset_index(drop=True)
    words = found["model"] + found["device"] + found["engine"]
    codes = np.array([zlib.crc32(word.encode()) for word in words])
    hashes = [found[name] for name in ("bits", "tp", "ep", "users", "prompt", "answer")]
    found["training"] = aiconfigurator.hashed(codes, *hashes) < 0.7
    found["room"] = [room(row) for row in found.itertuples()]
    return found[found["room"] >= found["prompt"] + found["answer"]].reset_index(drop=True)


def handed_over() -> pd.DataFrame:
    """Return the points of disaggregated serving that are modelled: prompts and answers on servers of their own.

    Of 1,602 points, 1,328 do not tell the numbers of workers, 29 more are of other models, and attention is data
    parallel on a side in 181 of the rest: 64 remain.  Users are those of ``silicon_concurrency``, else the sequences of
    all decode workers.

    Returns
    -------
    DataFrame
        As ``points``, without ``room`` and ``training``; ``tp``, ``ep`` and ``workers`` of the prefill side, and
        ``decode_tp``, ``decode_ep`` and ``decode_workers``.

    Raises
    ------
    SpecError
        If the package is not installed.
    """
    frame = _read("disagg")
    sides = ("prefill", "decode")
    for side in sides:
        known = frame[f"{side}_num_workers"].notna() & frame[f"{side}_tp_size"].notna()
        alone = frame[[f"{side}_pp_size", f"{side}_attention_dp_size"]].fillna(1.0).eq(1.0).all(axis=1)
        frame = frame[known & alone]
    stated = frame["silicon_data_source"].str.extract(r"silicon_concurrency=(\d+)")[0].astype(float)
    sizes: dict[str, Any] = {
        "users": stated.fillna(frame["decode_batch_size"] * frame["decode_num_workers"]).astype(int)
    }
    for side, begin in zip(sides, ("", "decode_"), strict=True):
        sizes[f"{begin}tp"] = frame[f"{side}_tp_size"].astype(float)
        sizes[f"{begin}ep"] = np.maximum(frame[f"{side}_moe_ep_size"].fillna(1.0), 1.0)
        sizes[f"{begin}workers"] = frame[f"{side}_num_workers"].astype(int)
    return _common(frame).assign(**sizes).reset_index(drop=True)
